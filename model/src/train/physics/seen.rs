use super::Normalisation;
use crate::data::physics::{Body, ClipPhysics, PhysicsFacts};
use crate::data::{ClipRange, Clips};
use crate::dynamics::OBJECT_VALUES;

/// The truth of one window, frame by frame.
pub struct Seen<'a> {
    clips: &'a Clips,
    /// Facts of the whole dataset and of this clip, where there are any.
    facts: Option<(&'a PhysicsFacts, &'a ClipPhysics)>,
    range: &'a ClipRange,
    offset: usize,
    /// Frames of the window.
    pub length: usize,
    pub normalisation: &'a Normalisation,
    tracked: usize,
}

impl<'a> Seen<'a> {
    pub fn new(
        clips: &'a Clips,
        range: &'a ClipRange,
        (offset, length): (usize, usize),
        normalisation: &'a Normalisation,
    ) -> Self {
        let facts = clips.physics.as_ref();
        let facts = facts.and_then(|facts| facts.clip(range.start).map(|clip| (facts, clip)));
        Self { clips, facts, range, offset, length, normalisation, tracked: clips.tracked_objects() }
    }

    /// Objects that the readout has room for.
    pub fn slots(&self) -> usize {
        self.normalisation.slots
    }

    /// What holds for the whole clip.
    pub fn clip(&self) -> Option<&'a ClipPhysics> {
        self.facts.map(|(_, clip)| clip)
    }

    /// The object of `slot`; one that does not exist where nothing is known.
    pub fn body(&self, slot: usize) -> Body {
        self.clip().and_then(|clip| clip.bodies.get(slot)).copied().unwrap_or_default()
    }

    /// Frames of the window that have a next one in it.
    pub fn steps(&self) -> usize {
        self.length.saturating_sub(1)
    }

    /// The row of `frame`, if the clip has it.
    fn row(&self, frame: usize) -> Option<usize> {
        let frame = self.offset + frame;
        (frame < self.range.len).then_some(self.range.start + frame)
    }

    /// Whether the window and the clip have both `frame` and the next one.
    fn goes_on(&self, frame: usize) -> bool {
        frame + 1 < self.length && self.row(frame + 1).is_some()
    }

    /// Whether `frame` is within the clip and its physics are known.
    pub fn is_known(&self, frame: usize) -> bool {
        self.facts.is_some() && self.row(frame).is_some()
    }

    /// True position of an object that exists, metres.
    pub fn position(&self, frame: usize, slot: usize) -> Option<[f32; 3]> {
        self.values(frame, slot, 0)
    }

    /// True linear velocity of an object that exists, m/s.
    pub fn velocity(&self, frame: usize, slot: usize) -> Option<[f32; 3]> {
        self.values(frame, slot, 3)
    }

    fn values(&self, frame: usize, slot: usize, first: usize) -> Option<[f32; 3]> {
        let row = self.row(frame).filter(|_| self.body(slot).exists)?;
        let first = (row * self.tracked + slot) * OBJECT_VALUES + first;
        self.clips.objects.get(first..first + 3)?.try_into().ok()
    }

    /// Standard deviation of one axis of an object's velocity, m/s.
    pub fn velocity_scale(&self, slot: usize, axis: usize) -> f32 {
        self.normalisation.scale.get(slot * OBJECT_VALUES + 3 + axis).copied().unwrap_or(1.0)
    }

    /// Whether the object flies freely from `frame` to the next, which is in the window too.
    pub fn is_free(&self, frame: usize, slot: usize) -> bool {
        self.goes_on(frame) && self.of_row(frame, slot, |facts| &facts.free).unwrap_or(false)
    }

    /// 1 + the first slot of those in touch with this one from `frame` to the next, which is in the window too.
    pub fn touch_group(&self, frame: usize, slot: usize) -> Option<usize> {
        let group = self.of_row(frame, slot, |facts| &facts.touch_group)?;
        (self.goes_on(frame) && group > 0).then_some(usize::from(group))
    }

    /// Share of its silhouette that the main camera sees, if it exists.
    pub fn visible_share(&self, frame: usize, slot: usize) -> Option<f32> {
        self.of_row(frame, slot, |facts| &facts.visible_share).filter(|_| self.body(slot).exists)
    }

    fn of_row<T: Copy>(
        &self,
        frame: usize,
        slot: usize,
        values: impl Fn(&PhysicsFacts) -> &Vec<T>,
    ) -> Option<T> {
        let (facts, _) = self.facts.filter(|_| slot < self.tracked)?;
        values(facts).get(self.row(frame)? * self.tracked + slot).copied()
    }
}
