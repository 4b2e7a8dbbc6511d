use std::fmt::Write as _;

use worldstep_env::record::EventKind;

use super::html::{escape, number, words};
use super::paint::{css, instance_color};
use crate::inspect::Rows;
use crate::lerobot::Source;

/// Size of a lane and width of the line, pixels.
const LANE: f64 = 22.0;
const WIDTH: f64 = 1000.0;
/// Where the line begins; names stand before it.
const LEFT: f64 = 130.0;
/// Lanes that are drawn.
const LANES_MAX: usize = 12;

/// Events, visible shares, contact impulses, actions and rewards of one clip over time, and where `frames` are.
pub fn timeline(rows: &Rows<'_>, frames: &[usize]) -> String {
    let line = Line { rows, per_row: (WIDTH - LEFT - 10.0) / rows.clip.len.max(1) as f64 };
    let moving = rows
        .scenario
        .instances
        .iter()
        .enumerate()
        .filter(|(slot, label)| label.moving && rows.ids(0).get(*slot).is_some_and(|id| *id != 0));
    let moving: Vec<_> = moving.take(LANES_MAX).collect();
    let mut body = String::new();
    for t in frames {
        let x = line.x(*t) + line.per_row / 2.0;
        let _ = write!(
            body,
            "<line class=shown x1=\"{x:.1}\" x2=\"{x:.1}\" y1=0 y2=\"{}\"/>",
            LANE * (moving.len() + 2) as f64
        );
    }
    for (lane, (slot, label)) in moving.iter().enumerate() {
        line.lane_name(lane, &format!("{} #{}", label.name, label.id), &mut body);
        line.visibility(lane, *slot, label.id, &mut body);
        line.impulses(lane, label.id, &mut body);
        line.events(lane, label.id, &mut body);
    }
    let width = rows.floats(Source::Action).len() / rows.clip.len.max(1);
    line.lane_name(moving.len(), "action", &mut body);
    for element in 0..width {
        line.curve(moving.len(), Source::Action, element, &mut body);
    }
    line.lane_name(moving.len() + 1, "reward", &mut body);
    line.curve(moving.len() + 1, Source::Reward, 0, &mut body);
    let height = LANE * (moving.len() + 2) as f64;
    let seconds = rows.clip.len as f64 / f64::from(rows.fps);
    format!(
        "<svg class=timeline viewBox=\"0 0 {WIDTH} {0}\" role=img aria-label=\"events over {1} s\">{body}\
         <text x=\"{LEFT}\" y=\"{2}\">0 s</text><text x=\"{3}\" y=\"{2}\" text-anchor=end>{1} s</text></svg>",
        height + 14.0,
        number(seconds),
        height + 11.0,
        WIDTH - 10.0,
    )
}

/// Colour and sign of a kind of event.
pub fn mark(kind: EventKind) -> (&'static str, &'static str) {
    match kind {
        EventKind::Collision => ("#d9480f", "✶"),
        EventKind::Rest => ("#2b8a3e", "■"),
        EventKind::Topple => ("#c2255c", "◣"),
        EventKind::OcclusionStart => ("#6741d9", "◀"),
        EventKind::OcclusionEnd => ("#9775fa", "▶"),
        EventKind::OutOfView => ("#1971c2", "↗"),
        EventKind::IntoView => ("#4dabf7", "↙"),
    }
}

struct Line<'a> {
    rows: &'a Rows<'a>,
    per_row: f64,
}

impl Line<'_> {
    fn x(&self, t: usize) -> f64 {
        LEFT + t as f64 * self.per_row
    }

    fn lane_name(&self, lane: usize, name: &str, out: &mut String) {
        let bottom = (lane + 1) as f64 * LANE;
        let short: String = name.chars().take(22).collect();
        let _ = write!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=end>{}</text>\
             <line class=lane x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{bottom}\" y2=\"{bottom}\"/>",
            LEFT - 6.0,
            bottom - 7.0,
            escape(&short),
        );
    }

    /// Visible share as a band.
    fn visibility(&self, lane: usize, slot: usize, id: u16, out: &mut String) {
        let bottom = (lane + 1) as f64 * LANE - 2.0;
        let mut path = format!("M{:.1} {bottom:.1}", self.x(0));
        for t in 0..self.rows.clip.len {
            let share = self.rows.row(Source::Visibility, t).get(slot).copied().unwrap_or(0.0);
            let y = bottom - f64::from(share.clamp(0.0, 1.0)) * (LANE - 6.0);
            let _ = write!(path, "L{:.1} {y:.1}L{:.1} {y:.1}", self.x(t), self.x(t + 1));
        }
        let _ = write!(path, "L{:.1} {bottom:.1}Z", self.x(self.rows.clip.len));
        let color = css(instance_color(id));
        let _ =
            write!(out, "<path d=\"{path}\" fill=\"{color}\" class=band><title>visible share</title></path>");
    }

    /// Impulses of its contacts as bars, the tallest for the clip's strongest.
    fn impulses(&self, lane: usize, id: u16, out: &mut String) {
        let size = |impulse: [f32; 3]| impulse.iter().map(|v| v * v).sum::<f32>().sqrt();
        let contacts = &self.rows.clip.contacts;
        let strongest = contacts.iter().map(|(_, c)| size(c.impulse)).fold(1e-9, f32::max);
        let bottom = (lane + 1) as f64 * LANE - 2.0;
        for (frame, contact) in contacts.iter().filter(|(_, c)| c.a == id || c.b == id) {
            let tall = f64::from((size(contact.impulse) / strongest).sqrt()) * (LANE - 6.0);
            let other = if contact.a == id { contact.b } else { contact.a };
            let _ = write!(
                out,
                "<rect class=impulse x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"><title>frame {frame}: \
                 {} N·s with #{other}</title></rect>",
                self.x(*frame as usize),
                bottom - tall,
                (self.per_row * 0.5).max(1.0),
                number(f64::from(size(contact.impulse))),
            );
        }
    }

    fn events(&self, lane: usize, id: u16, out: &mut String) {
        let middle = lane as f64 * LANE + LANE * 0.62;
        for event in self.rows.clip.events.iter().filter(|event| event.a == id) {
            let (color, sign) = mark(event.kind);
            let _ = write!(
                out,
                "<text class=event style=\"fill:{color}\" x=\"{:.1}\" y=\"{middle:.1}\">{sign}<title>frame {}: {} of #{} \
                 (#{}), {}</title></text>",
                self.x(event.frame as usize) + self.per_row / 2.0,
                event.frame,
                words(event.kind.name()),
                event.a,
                event.b,
                number(f64::from(event.value)),
            );
        }
    }

    /// One element of a signal over time, scaled to the lane.
    fn curve(&self, lane: usize, source: Source, element: usize, out: &mut String) {
        let values: Vec<f32> = (0..self.rows.clip.len)
            .map(|t| self.rows.row(source, t).get(element).copied().unwrap_or(0.0))
            .collect();
        let low = values.iter().copied().fold(0.0, f32::min);
        let high = values.iter().copied().fold(low + 1e-6, f32::max);
        let bottom = (lane + 1) as f64 * LANE - 3.0;
        let points: String = values
            .iter()
            .enumerate()
            .map(|(t, value)| {
                let y = bottom - f64::from((value - low) / (high - low)) * (LANE - 7.0);
                format!("{:.1},{y:.1} {:.1},{y:.1} ", self.x(t), self.x(t + 1))
            })
            .collect();
        let _ = write!(
            out,
            "<polyline class=curve points=\"{points}\"><title>element {element}: {} to {}</title></polyline>",
            number(f64::from(low)),
            number(f64::from(high)),
        );
    }
}
