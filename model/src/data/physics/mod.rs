//! What truth knows of a clip beyond frames, actions and poses: gravity, masses, shapes, contacts, visibility. The
//! losses on the privileged head weigh a dream against it.

mod read;
mod solid;
mod tables;
mod touch;

pub use solid::Solid;

use std::path::Path;

use super::clips::Clips;
use super::error::DataError;

/// Speed that truth's own step may be off free flight and still count as one, m/s: what the data check accepts too.
const FREE_SPEED_ERROR_MAX: f32 = 0.03;
/// Speed above which a step tells of drag, m/s.
const DRAG_SPEED_MIN: f32 = 0.1;
/// Share of a silhouette up to which an object counts as hidden.
pub const HIDDEN_SHARE_MAX: f32 = 0.05;

/// One tracked object of one clip.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Body {
    /// Whether the clip has it at all.
    pub exists: bool,
    /// kg; infinite for what no force moves.
    pub mass_kg: f32,
    /// Radius of the largest sphere about its origin that its shape holds, m; 0 if none is known. Two such
    /// spheres that overlap are two bodies that overlap, however they are turned.
    pub inner_radius_m: f32,
    /// Linear drag, 1/s, as its own untouched flight in truth tells it.
    pub drag_per_s: f32,
    /// Whether contacts are recorded of it anywhere in the dataset; what nothing ever touched may be a ghost.
    pub touchable: bool,
}

impl Body {
    /// Whether forces can change its velocity.
    pub fn is_dynamic(&self) -> bool {
        self.exists && self.mass_kg > 0.0 && self.mass_kg.is_finite()
    }
}

/// What holds for the whole of one clip.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClipPhysics {
    /// Its first row.
    pub start: usize,
    /// Seconds from one row to the next.
    pub dt_s: f32,
    /// m/s².
    pub gravity: [f32; 3],
    /// One for each tracked object.
    pub bodies: Vec<Body>,
    /// Boxes that stand still and that something touched.
    pub solids: Vec<Solid>,
}

/// What truth recorded of the physics of [`Clips`], row by row.
#[derive(Clone, Debug, Default)]
pub struct PhysicsFacts {
    /// One for each clip, in order.
    pub clips: Vec<ClipPhysics>,
    /// `rows × tracked`: share of the silhouette that the main camera sees.
    pub visible_share: Vec<f32>,
    /// `rows × tracked`: whether the object flies freely from this row to the next: nothing touches, drives or
    /// holds it, and truth does as gravity and drag say.
    pub free: Vec<bool>,
    /// `rows × tracked`: 1 + the first object of those that are in touch with it, directly or through each
    /// other, from this row to the next; 0 for what touches nothing or cannot be moved.
    pub touch_group: Vec<u16>,
}

impl PhysicsFacts {
    /// Reads what the dataset of `clips` recorded; `None` where it has no contacts or masses, as a set of
    /// another maker.
    ///
    /// # Errors
    /// [`DataError`] names the file and what is wrong with it.
    pub fn load(dir: &Path, clips: &Clips) -> Result<Option<Self>, DataError> {
        let Some(record) = read::record(dir, clips)? else { return Ok(None) };
        let tables = tables::Tables::read(dir)?;
        let mut facts = Self { visible_share: record.visible_share, ..Self::default() };
        let tracked = clips.tracked_objects();
        let touchable = tables.touched_ids(record.episodes.iter().map(|episode| episode.index));
        for (range, episode) in clips.ranges.iter().zip(&record.episodes) {
            let mut clip = episode.clip(range.start, record.dt_s, &clips.scenario, &touchable);
            let motion = Motion { clips, start: range.start, len: range.len, tracked };
            let joints = episode.held_ids();
            let driven = tables.driven(episode.index);
            let touches = touch::Touches::new(&clips.scenario, &clip.bodies, tables.contacts(episode.index));
            let quiet = |t: usize, slot: usize| {
                let id = touches.id(slot);
                !touches.is_touched(t, slot) && !driven.contains(&(t, id)) && !joints.contains(&id)
            };
            for slot in 0..tracked {
                clip.bodies[slot].drag_per_s = motion.drag(&clip, slot, |t| quiet(t, slot));
            }
            for t in 0..range.len {
                facts.touch_group.extend(touches.groups(t));
                let flies =
                    |slot: usize| t + 1 < range.len && quiet(t, slot) && motion.is_free(&clip, t, slot);
                facts.free.extend((0..tracked).map(flies));
            }
            facts.clips.push(clip);
        }
        Ok(Some(facts))
    }

    /// The clip whose first row is `start`.
    pub fn clip(&self, start: usize) -> Option<&ClipPhysics> {
        self.clips.binary_search_by_key(&start, |clip| clip.start).ok().map(|found| &self.clips[found])
    }
}

/// True velocities of one clip.
struct Motion<'a> {
    clips: &'a Clips,
    start: usize,
    len: usize,
    tracked: usize,
}

impl Motion<'_> {
    fn velocity(&self, t: usize, slot: usize) -> [f32; 3] {
        let first = ((self.start + t) * self.tracked + slot) * crate::dynamics::OBJECT_VALUES + 3;
        [0, 1, 2].map(|axis| self.clips.objects[first + axis])
    }

    /// What drag the step from row `t` lacks, times dt: `v' − v = g·dt − drag·mean(v, v')·dt`.
    fn lack(&self, clip: &ClipPhysics, t: usize, slot: usize) -> ([f32; 3], [f32; 3]) {
        let (before, after) = (self.velocity(t, slot), self.velocity(t + 1, slot));
        let mean = [0, 1, 2].map(|axis| (before[axis] + after[axis]) / 2.0);
        let lack = [0, 1, 2].map(|axis| clip.gravity[axis] * clip.dt_s - (after[axis] - before[axis]));
        (mean, lack)
    }

    /// Median over the untouched steps of what drag, in 1/s, would explain each.
    fn drag(&self, clip: &ClipPhysics, slot: usize, quiet: impl Fn(usize) -> bool) -> f32 {
        if !clip.bodies[slot].is_dynamic() {
            return 0.0;
        }
        let told = (0..self.len.saturating_sub(1)).filter(|t| quiet(*t)).filter_map(|t| {
            let (mean, lack) = self.lack(clip, t, slot);
            let square = dot(mean, mean);
            (square > DRAG_SPEED_MIN * DRAG_SPEED_MIN).then(|| dot(lack, mean) / (square * clip.dt_s))
        });
        let mut told: Vec<f32> = told.collect();
        told.sort_by(f32::total_cmp);
        told.get(told.len() / 2).map_or(0.0, |drag| drag.max(0.0))
    }

    fn is_free(&self, clip: &ClipPhysics, t: usize, slot: usize) -> bool {
        let body = &clip.bodies[slot];
        let (mean, lack) = self.lack(clip, t, slot);
        let error = [0, 1, 2].map(|axis| lack[axis] - body.drag_per_s * mean[axis] * clip.dt_s);
        body.is_dynamic() && dot(error, error) <= FREE_SPEED_ERROR_MAX * FREE_SPEED_ERROR_MAX
    }
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
