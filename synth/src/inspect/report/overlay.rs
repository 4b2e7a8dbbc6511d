use std::fmt::Write as _;

use nalgebra::{Point3, Vector3};

use super::html::{escape, number};
use super::paint::{css, instance_color};
use crate::inspect::Rows;
use crate::inspect::geometry::{Pinhole, isometry, vector};
use crate::lerobot::{ImageChannel, Source};

/// Side of the frames, in pixels, that widths and letters are made for; on others they grow and shrink along.
pub const SIDE_USUAL: f64 = 64.0;
/// Length of the longest arrow as a share of the picture's side.
const ARROW_SHARE: f64 = 0.28;
/// Length of the drawn axes of a pose, metres.
const AXIS_M: f64 = 0.12;
/// Fewest pixels of an instance that gets a box.
const BOX_PIXELS_MIN: usize = 3;

/// What is drawn over the pictures of one clip: boxes, poses, contacts and forces, in a picture's pixels.
pub struct Overlay<'a> {
    rows: Rows<'a>,
    camera: usize,
    /// Strongest impulse and force of the clip.
    strongest: (f64, f64),
}

impl<'a> Overlay<'a> {
    /// For `rows` as `camera` sees them.
    pub fn new(rows: Rows<'a>, camera: usize) -> Self {
        let contacts = rows.clip.contacts.iter().map(|(_, contact)| vector(&contact.impulse).norm());
        let forces = rows.clip.forces.iter().map(|(_, force)| vector(&force.force).norm());
        let strongest = (contacts.fold(1e-9, f64::max), forces.fold(1e-9, f64::max));
        Self { rows, camera, strongest }
    }

    /// What is one pixel wide on frames of the usual size.
    pub fn unit(&self) -> f64 {
        self.rows.side as f64 / SIDE_USUAL
    }

    /// SVG elements over row `t`.
    pub fn frame(&self, t: usize) -> String {
        let (intrinsics, pose) = (Source::Intrinsics(self.camera), Source::WorldFromCamera(self.camera));
        let view = Pinhole::new(self.rows.row(intrinsics, t), self.rows.row(pose, t));
        let mut out = String::new();
        self.boxes(t, &view, &mut out);
        for (_, contact) in self.rows.clip.contacts.iter().filter(|(frame, _)| *frame as usize == t) {
            let impulse = vector(&contact.impulse);
            let about = format!("contact {}–{}: {} N·s", contact.a, contact.b, number(impulse.norm()));
            self.arrow(&view, (contact.point, impulse / self.strongest.0), ("contact", &about), &mut out);
        }
        for (_, applied) in self.rows.clip.forces.iter().filter(|(frame, _)| *frame as usize == t) {
            let force = vector(&applied.force);
            let about = format!("force on {}: {} N", applied.id, number(force.norm()));
            self.arrow(&view, (applied.point, force / self.strongest.1), ("force", &about), &mut out);
        }
        out
    }

    fn boxes(&self, t: usize, view: &Pinhole, out: &mut String) {
        let rows = self.rows;
        let Some(ids) = rows.id_image(ImageChannel::Instance, self.camera, t) else { return };
        for (slot, label) in rows.scenario.instances.iter().enumerate().filter(|(_, label)| label.moving) {
            let pixels = ids.iter().enumerate().filter(|(_, id)| **id == label.id);
            let places = pixels.map(|(pixel, _)| (pixel % rows.side, pixel / rows.side));
            let (mut count, mut low, mut high) = (0, (rows.side, rows.side), (0, 0));
            for (x, y) in places {
                count += 1;
                low = (low.0.min(x), low.1.min(y));
                high = (high.0.max(x + 1), high.1.max(y + 1));
            }
            if count < BOX_PIXELS_MIN {
                continue;
            }
            let color = css(instance_color(label.id));
            let _ = write!(
                out,
                "<rect class=box stroke=\"{color}\" x={} y={} width={} height={}><title>{} #{}</title></rect>\
                 <text class=id x={} y={:.1}>{}</text>",
                low.0,
                low.1,
                high.0 - low.0,
                high.1 - low.1,
                escape(&label.name),
                label.id,
                low.0,
                (low.1 as f64 - self.unit()).max(4.0 * self.unit()),
                label.id,
            );
            self.axes(t, slot, view, out);
        }
    }

    /// The axes of an object's pose: x red, y green, z blue.
    fn axes(&self, t: usize, slot: usize, view: &Pinhole, out: &mut String) {
        let pose = isometry(self.rows.pose(t, slot));
        let Some((x, y)) = view.project(&(pose * Point3::origin())) else { return };
        for (axis, color) in [(Vector3::x(), "#ff3b30"), (Vector3::y(), "#34c759"), (Vector3::z(), "#3478ff")]
        {
            if let Some((to_x, to_y)) = view.project(&(pose * Point3::from(axis * AXIS_M))) {
                let _ = write!(
                    out,
                    "<line class=axis stroke=\"{color}\" x1={x:.1} y1={y:.1} x2={to_x:.1} y2={to_y:.1} />"
                );
            }
        }
    }

    /// An arrow from `point` along `vector`, whose length 1 is the longest.
    fn arrow(
        &self,
        view: &Pinhole,
        (point, vector): ([f32; 3], Vector3<f64>),
        (class, about): (&str, &str),
        out: &mut String,
    ) {
        let start = Point3::new(f64::from(point[0]), f64::from(point[1]), f64::from(point[2]));
        let Some((x, y)) = view.project(&start) else { return };
        let _ = write!(
            out,
            "<circle class={class} cx={x:.1} cy={y:.1} r={}><title>{}</title></circle>",
            self.unit(),
            escape(about)
        );
        let length = vector.norm().min(1.0);
        let Some(tip) = vector.try_normalize(1e-9).and_then(|d| view.project(&(start + d * 0.05))) else {
            return;
        };
        let (dx, dy) = (tip.0 - x, tip.1 - y);
        let reach = dx.hypot(dy);
        if reach < 1e-6 {
            return;
        }
        // The root lets small ones be seen beside the strongest.
        let pixels = ARROW_SHARE * self.rows.side as f64 * length.sqrt();
        let (ux, uy) = (dx / reach, dy / reach);
        let (to_x, to_y) = (x + ux * pixels, y + uy * pixels);
        let (head, half) = (3.0 * self.unit(), 1.4 * self.unit());
        let (back_x, back_y) = (to_x - ux * head, to_y - uy * head);
        let _ = write!(
            out,
            "<path class={class} d=\"M{x:.1} {y:.1}L{to_x:.1} {to_y:.1}M{:.1} {:.1}L{to_x:.1} {to_y:.1}L{:.1} {:.1}\"/>",
            back_x - uy * half,
            back_y + ux * half,
            back_x + uy * half,
            back_y - ux * half,
        );
    }
}
