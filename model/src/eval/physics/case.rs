use worldstep_env::Shape;

use super::solid::Solid;
use super::track::{Track, length};
use crate::data::{Annotation, Annotations, ClipFacts, ClipRange, Clips};
use crate::dynamics::OBJECT_VALUES;

/// An object is hidden below this share of its silhouette.
pub const HIDDEN: f32 = 0.1;

/// One clip with the truth about its objects.
pub struct Case<'a> {
    /// Frames that the model was shown; the first one that it dreamt.
    pub context: usize,
    /// Frames up to the last one that was dreamt.
    pub frames: usize,
    /// Seconds from frame to frame.
    pub dt: f64,
    /// `g·dt²`, metres a frame and frame.
    pub fall: [f64; 3],
    /// Where each object is.
    pub truth: Vec<Track>,
    /// Mass of each object, kg; infinite for what physics does not move.
    pub masses: &'a [f32],
    /// Shape of each object.
    pub solids: Vec<Option<Solid>>,
    /// What stands still: ids and shapes.
    pub fixed: Vec<(u16, Solid)>,
    /// `frames × objects`: share of each silhouette that is seen.
    pub visible: &'a [f32],
}

impl<'a> Case<'a> {
    /// The clip at position `clip` with `reach` dreamt frames; `None` if it is not annotated.
    pub fn new(
        clips: &Clips,
        annotations: &'a Annotations,
        clip: usize,
        (context, reach): (usize, usize),
    ) -> Option<Self> {
        let (annotation, facts) = (annotations.clips.get(&clip)?, annotations.facts.get(clip)?);
        let range = clips.ranges.get(clip)?;
        let dt = 1.0 / f64::from(annotations.fps);
        let frames = (context + reach).min(range.len);
        let (solids, fixed) = solids(clips, facts, annotation);
        Some(Self {
            context,
            frames,
            dt,
            fall: facts.gravity.map(|g| f64::from(g) * dt * dt),
            truth: positions(clips, range, frames),
            masses: &facts.masses,
            solids,
            fixed,
            visible: &annotation.visible,
        })
    }

    /// Number of objects.
    pub fn objects(&self) -> usize {
        self.truth.len()
    }

    /// Share of an object's silhouette that is seen in frame `t`.
    pub fn visible(&self, t: usize, object: usize) -> f32 {
        self.visible.get(t * self.objects() + object).copied().unwrap_or(0.0)
    }

    /// Whether an object is in free flight in frame `t`: only gravity changes its velocity from the frame before to the
    /// frame after.
    pub fn in_flight(&self, t: usize, object: usize) -> bool {
        /// Share of gravity that may be missing: rounding.
        const TOLERANCE: f64 = 0.05;
        let fall = length(self.fall);
        let kink = self.truth[object].kink(t, self.fall);
        fall > 0.0 && kink.is_some_and(|kink| length(kink) < TOLERANCE * fall)
    }
}

/// Where the objects of a clip truly are, frame by frame; nowhere if a clip has not all of them.
pub fn positions(clips: &Clips, range: &ClipRange, frames: usize) -> Vec<Track> {
    let objects = clips.tracked_objects();
    let at = |row: usize, object: usize| {
        let from = (row * objects + object) * OBJECT_VALUES;
        [0, 1, 2].map(|i| f64::from(clips.objects[from + i]))
    };
    let known =
        |row: usize, object: usize| clips.object_known.get(row * objects + object).copied().unwrap_or(true);
    let track = |object| {
        let rows = range.start..range.start + frames;
        let positions = rows.map(|row| known(row, object).then(|| at(row, object))).collect();
        Track { positions, ..Track::default() }
    };
    (0..objects).map(track).collect()
}

/// Shapes of the tracked objects, and of what stands still.
fn solids(
    clips: &Clips,
    facts: &ClipFacts,
    annotation: &Annotation,
) -> (Vec<Option<Solid>>, Vec<(u16, Solid)>) {
    let instances = facts.scene.as_ref().map_or(&[][..], |scene| &scene.instances);
    let shape_of = |id: u16| -> Option<Shape> {
        instances.iter().find(|instance| instance.id == id).map(|instance| instance.shape)
    };
    let labels = &clips.scenario.instances;
    let tracked = labels.iter().filter(|label| label.moving).enumerate().map(|(object, label)| {
        let pose = annotation.first_poses.get(&label.id)?;
        // What turns is taken as the ball inside it, as its orientation is not read from pictures.
        let upright = annotation.upright.get(object).copied().unwrap_or(false);
        Solid::new(shape_of(label.id)?, *pose).map(|solid| if upright { solid } else { solid.turning() })
    });
    let fixed = labels.iter().filter(|label| !label.moving).filter_map(|label| {
        let pose = annotation.first_poses.get(&label.id)?;
        Some((label.id, Solid::new(shape_of(label.id)?, *pose)?))
    });
    (tracked.collect(), fixed.collect())
}

#[cfg(test)]
impl Case<'static> {
    /// A ball of 0.25 m and 2 kg that falls from rest at 20 frames a second, all of it in sight; four frames of context.
    pub fn falling(frames: usize) -> Self {
        static SEEN: [f32; 256] = [1.0; 256];
        let dt = 0.05;
        let height = |t: usize| -0.5 * 9.81 * (t as f64 * dt).powi(2);
        let ball = Shape::Sphere { radius: 0.25 };
        let pose = worldstep_env::Pose { position: [0.0; 3], quat_xyzw: [0.0, 0.0, 0.0, 1.0] };
        Self {
            context: 4,
            frames,
            dt,
            fall: [0.0, 0.0, -9.81 * dt * dt],
            truth: vec![Track::told((0..frames).map(|t| [0.0, 0.0, height(t)]))],
            masses: &[2.0],
            solids: vec![Solid::new(ball, pose)],
            fixed: Vec::new(),
            visible: &SEEN,
        }
    }
}
