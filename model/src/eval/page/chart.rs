use std::fmt::Write as _;

use super::markup::{escape, number};

/// Size of a chart and of the margins for its labels: left, bottom, pixels.
const SIZE: [f64; 2] = [380.0, 210.0];
const MARGIN: [f64; 2] = [40.0, 20.0];
/// Room at the top and right.
const EDGE: f64 = 8.0;
/// Lines across, about.
const LINES: f64 = 4.0;

/// A line of a chart.
pub struct Curve {
    /// Name of the colour, a variable of the style sheet.
    pub color: String,
    /// Drawn as something to compare with.
    pub thin: bool,
    /// Points in order of x.
    pub points: Vec<[f64; 2]>,
}

/// Curves over steps as SVG; empty without points.
pub fn chart(title: &str, curves: &[Curve]) -> String {
    let points = || curves.iter().flat_map(|curve| &curve.points).filter(|[_, y]| y.is_finite());
    let Some([x_low, x_high]) = bounds(points().map(|point| point[0])) else { return String::new() };
    let Some(y_bounds) = bounds(points().map(|point| point[1])) else { return String::new() };
    let (ticks, [y_low, y_high]) = ticks(y_bounds);
    let x =
        |value: f64| MARGIN[0] + (value - x_low) / (x_high - x_low).max(1e-9) * (SIZE[0] - MARGIN[0] - EDGE);
    let y = |value: f64| EDGE + (y_high - value) / (y_high - y_low) * (SIZE[1] - MARGIN[1] - EDGE);
    let mut out = format!(
        "<figure class=chart><figcaption>{0}</figcaption><svg viewBox=\"0 0 {1} {2}\" role=img aria-label=\"{0}\">",
        escape(title),
        SIZE[0],
        SIZE[1]
    );
    for tick in ticks {
        let at = y(tick);
        let _ = write!(
            out,
            "<line class=gridline x1=\"{}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"{}\" y=\"{:.1}\" \
             text-anchor=end>{}</text>",
            MARGIN[0],
            SIZE[0] - EDGE,
            MARGIN[0] - 6.0,
            at + 4.0,
            number(tick)
        );
    }
    for (i, step) in steps(x_low, x_high).into_iter().enumerate() {
        let anchor = if i == 0 { "start" } else { "middle" };
        let label = if i == 0 { format!("{step} steps") } else { step.to_string() };
        let (at, below) = (x(step as f64), SIZE[1] - 4.0);
        let _ = write!(out, "<text x=\"{at:.1}\" y=\"{below}\" text-anchor={anchor}>{label}</text>");
    }
    for curve in curves.iter().filter(|curve| !curve.points.is_empty()) {
        let class = if curve.thin { "curve thin" } else { "curve" };
        let line: String =
            curve.points.iter().map(|[px, py]| format!("{:.1},{:.1} ", x(*px), y(*py))).collect();
        let color = escape(&curve.color);
        let _ = write!(
            out,
            "<polyline class=\"{class}\" style=\"--c:var(--{color})\" points=\"{}\"/>",
            line.trim_end()
        );
    }
    out.push_str("</svg></figure>");
    out
}

fn bounds(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    values.fold(None, |bounds: Option<[f64; 2]>, value| {
        let [low, high] = bounds.unwrap_or([value; 2]);
        Some([low.min(value), high.max(value)])
    })
}

/// Round values across the range, and the range that they lie in.
fn ticks([low, high]: [f64; 2]) -> (Vec<f64>, [f64; 2]) {
    let span = (high - low).max(1e-6 * high.abs()).max(1e-9);
    let size = 10f64.powf((span / LINES).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * size).into_iter().find(|step| span / step <= LINES);
    let step = step.unwrap_or(10.0 * size);
    let (first, last) =
        ((low / step).floor() as i64, (high / step).ceil().max((low / step).floor() + 1.0) as i64);
    ((first..=last).map(|i| i as f64 * step).collect(), [first as f64 * step, last as f64 * step])
}

/// Steps that are written below: the first, and round ones.
fn steps(low: f64, high: f64) -> Vec<u64> {
    let (low, high) = (low as u64, high as u64);
    let every = [8, 16, 32, 64, 100, 200].into_iter().find(|every| (high - low) / every <= 5).unwrap_or(400);
    std::iter::once(low)
        .chain((1..=high / every).map(|i| i * every).filter(|step| *step > low + every / 2))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_hold_the_values() {
        let (ticks, [low, high]) = ticks([10.3, 27.9]);
        assert_eq!((ticks, low, high), (vec![10.0, 15.0, 20.0, 25.0, 30.0], 10.0, 30.0));
        let (flat, [low, high]) = super::ticks([0.0, 0.0]);
        assert!(low <= 0.0 && high > 0.0 && flat.len() < 8, "{flat:?}");
    }

    #[test]
    fn a_chart_has_a_line_for_each_curve_with_points() {
        let curve =
            |points: &[[f64; 2]]| Curve { color: "model".to_owned(), thin: false, points: points.to_vec() };
        let drawn = chart("a < b", &[curve(&[[1.0, 2.0], [40.0, 3.0]]), curve(&[]), curve(&[[1.0, 5.0]])]);
        assert_eq!(drawn.matches("<polyline").count(), 2);
        assert!(drawn.contains("a &lt; b") && !drawn.contains("NaN"));
        assert_eq!(chart("nothing", &[curve(&[])]), "");
    }
}
