//! Line charts as SVG text, for pages that need no script and no network. Colours are the page's own CSS variables
//! (`--series-1` and on, `--grid`, `--text`), so a chart is as light or dark as its page.

use std::fmt::Write as _;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 220.0;
/// Room for tick labels.
const LEFT: f64 = 54.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;
/// Ticks that an axis has about.
const TICKS: f64 = 5.0;
/// Points drawn of one line: more than one a pixel is never seen.
const POINTS_MAX: usize = 400;
/// Colours that repeat when there are more lines.
const COLORS: usize = 6;

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A line.
    Line,
    /// A line with a dot at each point.
    Dots,
}

/// Points of one name.
#[derive(Clone, Debug)]
pub struct Series {
    /// What the legend says.
    pub name: String,
    /// x and y, by x.
    pub points: Vec<(f64, f64)>,
    /// How they are drawn.
    pub mark: Mark,
}

/// Some series over one x.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What the x axis says.
    pub x_name: String,
    /// Series; their order chooses their colours.
    pub series: Vec<Series>,
    /// Whether y is logarithmic; values that are not above 0 are then left out.
    pub log: bool,
}

/// One axis: what it spans, and where its ticks are.
struct Axis {
    low: f64,
    high: f64,
    log: bool,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64> + Clone, log: bool) -> Self {
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let margin = if high > low { 0.0 } else { high.abs().max(1e-9) * 0.5 };
        Self { low: low - margin, high: high + margin, log }
    }

    /// 0 at the low end, 1 at the high end.
    fn place(&self, value: f64) -> f64 {
        if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    fn ticks(&self) -> Vec<f64> {
        let step = if self.log { 0.0 } else { round_step((self.high - self.low) / TICKS) };
        if self.log {
            let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
            let powers = (first..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(power)));
            let inside = powers.filter(|tick| (self.low..=self.high).contains(tick));
            return inside.collect();
        }
        let first = (self.low / step).ceil() as i64;
        (first..).map(|i| i as f64 * step).take_while(|tick| *tick <= self.high + step * 1e-9).collect()
    }
}

/// 1, 2 or 5 times a power of ten, not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().find(|m| m * power >= step * (1.0 - 1e-9)).unwrap_or(10.0) * power
}

impl Chart {
    /// An `<svg>` element with its legend below it; empty where there is nothing to draw.
    pub fn svg(&self) -> String {
        let drawn: Vec<Vec<(f64, f64)>> = self.series.iter().map(|series| self.drawable(series)).collect();
        if drawn.iter().all(Vec::is_empty) {
            return String::new();
        }
        let all = || drawn.iter().flatten();
        let (x, y) = (Axis::new(all().map(|p| p.0), false), Axis::new(all().map(|p| p.1), self.log));
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
        self.draw_axes(&mut svg, &x, &y);
        for (i, points) in drawn.iter().enumerate() {
            draw_series(&mut svg, i % COLORS + 1, points, self.series[i].mark, (&x, &y));
        }
        svg += "</svg>";
        svg + &self.legend(&drawn)
    }

    fn drawable(&self, series: &Series) -> Vec<(f64, f64)> {
        let fits = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite() && (!self.log || p.1 > 0.0);
        let points: Vec<_> = series.points.iter().filter(fits).copied().collect();
        if series.mark == Mark::Dots { points } else { thinned(&points) }
    }

    fn draw_axes(&self, svg: &mut String, x: &Axis, y: &Axis) {
        for tick in y.ticks() {
            let at = y_pixel(y, tick);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 3.5,
                short(tick),
            );
        }
        for tick in x.ticks() {
            let (at, bottom) = (x_pixel(x, tick), HEIGHT - BOTTOM);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{bottom}\" y2=\"{}\"/>\
                 <text class=\"tick\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 4.0,
                bottom + 15.0,
                short(tick),
            );
        }
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 4.0,
            escaped(&self.x_name),
        );
    }

    fn legend(&self, drawn: &[Vec<(f64, f64)>]) -> String {
        let mut legend = String::from("<p class=\"legend\">");
        for (i, (series, points)) in self.series.iter().zip(drawn).enumerate() {
            if let Some((_, last)) = points.last() {
                let (color, name) = (i % COLORS + 1, escaped(&series.name));
                let _ = write!(
                    legend,
                    "<span><i style=\"background:var(--series-{color})\"></i>{name} <b>{}</b></span> ",
                    short(*last),
                );
            }
        }
        legend + "</p>"
    }
}

fn draw_series(svg: &mut String, color: usize, points: &[(f64, f64)], mark: Mark, axes: (&Axis, &Axis)) {
    let place = |p: &(f64, f64)| (x_pixel(axes.0, p.0), y_pixel(axes.1, p.1));
    let mut path = String::new();
    for (x, y) in points.iter().map(place) {
        let _ = write!(path, "{x:.1},{y:.1} ");
    }
    let _ = write!(
        svg,
        "<polyline class=\"line\" style=\"stroke:var(--series-{color})\" points=\"{}\"/>",
        path.trim_end()
    );
    if mark == Mark::Dots || points.len() == 1 {
        for point in points {
            let (x, y) = place(point);
            let _ = write!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" style=\"fill:var(--series-{color})\">\
                 <title>{}: {}</title></circle>",
                short(point.0),
                short(point.1),
            );
        }
    }
}

fn x_pixel(axis: &Axis, value: f64) -> f64 {
    LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT)
}

fn y_pixel(axis: &Axis, value: f64) -> f64 {
    HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM)
}

/// At most [`POINTS_MAX`] points, each the mean of its neighbours.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(POINTS_MAX).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let sum = chunk.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
        (sum.0 / chunk.len() as f64, sum.1 / chunk.len() as f64)
    };
    points.chunks(size).map(mean).collect()
}

/// A number in as few digits as tell it from its neighbours on an axis.
pub fn short(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 {
        "0".to_owned()
    } else if magnitude >= 1e6 {
        format!("{}M", trimmed(value / 1e6, 2))
    } else if magnitude >= 1e4 {
        format!("{}k", trimmed(value / 1e3, 1))
    } else if magnitude >= 100.0 {
        trimmed(value, 0)
    } else if magnitude < 1e-3 {
        format!("{value:.1e}")
    } else {
        // Three digits from the first that is not 0.
        trimmed(value, (2 - magnitude.log10().floor() as i32).max(0) as usize)
    }
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// `text` as HTML shows it.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(f64, f64)], log: bool) -> Chart {
        let series = Series { name: "a < b".to_owned(), points: points.to_vec(), mark: Mark::Dots };
        Chart { x_name: "step".to_owned(), series: vec![series], log }
    }

    /// y of each dot, in pixels.
    fn heights(svg: &str) -> Vec<f64> {
        let after = svg.split("cy=\"").skip(1);
        after.filter_map(|part| part.split('"').next()?.parse().ok()).collect()
    }

    #[test]
    fn higher_values_are_drawn_higher() {
        let heights = heights(&chart(&[(0.0, 1.0), (1.0, 3.0), (2.0, 2.0)], false).svg());
        assert_eq!(heights, [HEIGHT - BOTTOM, TOP, (HEIGHT - BOTTOM + TOP) / 2.0]);
    }

    #[test]
    fn equal_ratios_are_equal_distances_where_y_is_logarithmic() {
        let heights = heights(&chart(&[(0.0, 0.0), (1.0, 0.1), (2.0, 1.0), (3.0, 10.0)], true).svg());
        assert_eq!(heights.len(), 3, "0 has no logarithm");
        assert!((heights[0] - heights[1] - (heights[1] - heights[2])).abs() < 0.11, "{heights:?}");
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::new([0.13, 0.87].into_iter(), false);
        let ticks: Vec<String> = axis.ticks().into_iter().map(short).collect();
        assert_eq!(ticks, ["0.2", "0.4", "0.6", "0.8"]);
        let axis = Axis::new([0.013, 0.3].into_iter(), true);
        let ticks: Vec<String> = axis.ticks().into_iter().map(short).collect();
        assert_eq!(ticks, ["0.02", "0.05", "0.1", "0.2"]);
    }

    #[test]
    fn nothing_and_one_point_are_drawn_too() {
        assert_eq!(chart(&[(0.0, f64::NAN)], false).svg(), "");
        let svg = chart(&[(5.0, 5.0)], false).svg();
        assert_eq!(heights(&svg).len(), 1);
        assert!(!svg.contains("NaN") && svg.contains("a &lt; b"), "{svg}");
    }

    #[test]
    fn long_lines_are_thinned_to_means() {
        let points: Vec<_> = (0..4 * POINTS_MAX).map(|i| (i as f64, f64::from(i % 2 == 0))).collect();
        let thin = thinned(&points);
        assert_eq!(thin.len(), POINTS_MAX);
        assert!(thin.iter().all(|(_, y)| *y == 0.5));
    }

    #[test]
    fn numbers_are_short() {
        let values = [0.0, 1234.0, 12_345.0, 2.5e6, 0.25, 2.71499, 0.0123, 1.2e-5];
        assert_eq!(values.map(short), ["0", "1234", "12.3k", "2.5M", "0.25", "2.71", "0.0123", "1.2e-5"]);
    }
}
