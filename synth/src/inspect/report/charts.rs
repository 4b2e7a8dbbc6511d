use std::fmt::Write as _;

use super::html::{escape, number, words};

/// Bars of a histogram.
const BINS: usize = 24;
/// Size of a histogram, pixels.
const HISTOGRAM: (f64, f64) = (220.0, 84.0);

/// Counts by name as horizontal bars, in the given order; a share of the largest is their length.
pub fn bars<'a>(caption: &str, counts: impl IntoIterator<Item = (&'a str, usize)>) -> String {
    let counts: Vec<_> = counts.into_iter().collect();
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    if total == 0 {
        return String::new();
    }
    let largest = counts.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    let mut out = format!("<table class=bars><caption>{}</caption>", escape(caption));
    for (name, count) in counts {
        let width = 100.0 * count as f64 / largest as f64;
        let share = 100.0 * count as f64 / total as f64;
        let _ = write!(
            out,
            "<tr><th scope=row>{}</th><td><span class=bar style=\"width:{width:.1}%\"></span></td>\
             <td class=n>{count}</td><td class=n>{share:.0}%</td></tr>",
            escape(&words(name)),
        );
    }
    out.push_str("</table>");
    out
}

/// A histogram of `values` as SVG with its range and median.
pub fn histogram(title: &str, unit: &str, values: &[f64]) -> String {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(&low), Some(&high)) = (sorted.first(), sorted.last()) else { return String::new() };
    let median = sorted[sorted.len() / 2];
    let label = if unit.is_empty() { words(title) } else { format!("{} ({unit})", words(title)) };
    if low == high {
        return format!(
            "<figure class=hist><figcaption>{}</figcaption><p class=same>always {}</p></figure>",
            escape(&label),
            number(low)
        );
    }
    let mut bins = [0_usize; BINS];
    for value in &sorted {
        let at = ((value - low) / (high - low) * BINS as f64) as usize;
        bins[at.min(BINS - 1)] += 1;
    }
    let (width, height) = HISTOGRAM;
    let tallest = bins.iter().copied().max().unwrap_or(1).max(1) as f64;
    let step = width / BINS as f64;
    let mut out = format!(
        "<figure class=hist><figcaption>{}</figcaption><svg viewBox=\"0 0 {width} {}\" role=img aria-label=\"{}: {} \
         values from {} to {}, median {}\">",
        escape(&label),
        height + 14.0,
        escape(&label),
        sorted.len(),
        number(low),
        number(high),
        number(median),
    );
    for (i, count) in bins.iter().enumerate().filter(|(_, count)| **count > 0) {
        let tall = (*count as f64 / tallest * height).max(1.0);
        let from = low + (high - low) * i as f64 / BINS as f64;
        let to = low + (high - low) * (i + 1) as f64 / BINS as f64;
        let _ = write!(
            out,
            "<rect class=fill x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"><title>{} to {}: \
             {count}</title></rect>",
            i as f64 * step,
            height - tall,
            step - 1.0,
            number(from),
            number(to),
        );
    }
    let at = (median - low) / (high - low) * width;
    let _ = write!(
        out,
        "<line class=median x1=\"{at:.1}\" x2=\"{at:.1}\" y1=0 y2=\"{height}\"/>\
         <text x=0 y=\"{0}\">{1}</text><text x=\"{width}\" y=\"{0}\" text-anchor=end>{2}</text></svg></figure>",
        height + 12.0,
        number(low),
        number(high),
    );
    out
}

/// Counts of every pair of names as a table, darker where there are more.
pub fn grid(caption: &str, columns: &[String], rows: &[(String, Vec<usize>)]) -> String {
    let largest = rows.iter().flat_map(|(_, counts)| counts).copied().max().unwrap_or(0);
    if largest == 0 {
        return String::new();
    }
    let mut out =
        format!("<div class=wide><table class=grid><caption>{}</caption><tr><td></td>", escape(caption));
    for column in columns {
        let _ = write!(out, "<th scope=col>{}</th>", escape(&words(column)));
    }
    out.push_str("</tr>");
    for (name, counts) in rows {
        let _ = write!(out, "<tr><th scope=row>{}</th>", escape(name));
        for count in counts {
            let share = 70.0 * *count as f64 / largest as f64;
            let _ = write!(out, "<td class=n style=\"--share:{share:.0}%\">{count}</td>");
        }
        out.push_str("</tr>");
    }
    out.push_str("</table></div>");
    out
}
