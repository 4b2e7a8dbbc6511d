use std::cmp::Reverse;

use worldstep_env::{Buffer, EnvError};

use super::NeuralVectorEnv;
use super::observation::DreamObservation;
use super::step::lanes_of;
use crate::on_card::Part;
use crate::packing::FRAME_CODE_BYTES;

/// What new episodes begin with.
pub struct Starts {
    /// Lanes that begin one.
    lanes: Vec<usize>,
    /// True frames of each.
    context: usize,
    /// These frames, one lane after the other.
    frames: Vec<u8>,
}

impl NeuralVectorEnv {
    /// Draws the true frames that the next episodes of the lanes of `due` begin with. Nothing in these lanes changes.
    pub(super) fn draw_starts(&mut self, due: &[bool]) -> Result<Starts, EnvError> {
        let (lanes, context): (Vec<usize>, _) = (lanes_of(due).collect(), self.starts.context_frames());
        let expected = lanes.len() * context * self.frame_bytes();
        let mut frames = Vec::with_capacity(expected);
        if !lanes.is_empty() {
            let seeds: Vec<u64> = lanes.iter().map(|lane| self.lanes[*lane].next_seed()).collect();
            self.starts.starts(&seeds, &mut frames)?;
        }
        if frames.len() == expected {
            return Ok(Starts { lanes, context, frames });
        }
        let got = frames.len();
        let message = format!("{} starts have {got} bytes, expected {expected}", lanes.len());
        Err(EnvError::Engine { message })
    }

    /// Starts the next episode in the lanes of `due`, those of `starts`: feeds all frames but the last to the cache and
    /// shows the last. Only these lanes are computed: most steps restart few.
    pub(super) fn begin(&mut self, due: &[bool], starts: &Starts) {
        let Starts { lanes, context, frames } = starts;
        if lanes.is_empty() {
            return;
        }
        let mut codes = vec![0; lanes.len() * context * FRAME_CODE_BYTES];
        self.engine.encode(frames, &mut codes);
        self.warm_up(lanes, &codes, *context);
        if let Some(audit) = &mut self.audit {
            let seed_of = |lane: usize| due[lane].then(|| self.lanes[lane].next_seed());
            audit.begin(seed_of);
        }
        let (first_step, bytes) = (*self.clock().start(), self.frame_bytes());
        for (i, lane) in lanes.iter().copied().enumerate() {
            let last = (i + 1) * context - 1;
            self.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES]
                .copy_from_slice(&codes[last * FRAME_CODE_BYTES..(last + 1) * FRAME_CODE_BYTES]);
            self.lanes[lane].begin(first_step);
            self.tell(lane, (0.0, false, false), None);
            self.show_true_frame(lane, &frames[last * bytes..(last + 1) * bytes]);
        }
        if self.options.observation != DreamObservation::Rgb {
            self.observe(due);
        }
        self.audit_lanes(due);
        self.tell_expected();
    }

    /// Shows the engine all start frames but the last, under the neutral action.
    fn warm_up(&mut self, lanes: &[usize], codes: &[u8], context: usize) {
        let mut seen = Vec::with_capacity(lanes.len() * (context - 1) * FRAME_CODE_BYTES);
        for film in codes.chunks_exact(context * FRAME_CODE_BYTES) {
            seen.extend_from_slice(&film[..(context - 1) * FRAME_CODE_BYTES]);
        }
        self.engine.warm_up(lanes, &seen, &self.neutral);
    }

    /// A reset shows what truth shows, not what is left of it after the tokenizer.
    fn show_true_frame(&mut self, lane: usize, frame: &[u8]) {
        if let (DreamObservation::Rgb, Buffer::U8(observations)) =
            (self.options.observation, &mut self.batch.observations)
        {
            observations[lane * frame.len()..(lane + 1) * frame.len()].copy_from_slice(frame);
            if let Some(kept) = &mut self.kept {
                kept.put(&[lane], 0, Part::Host(frame));
            }
        }
    }

    /// Tells the source of starts which ones come next: first those of lanes whose episodes have ended or will be cut off
    /// soonest.
    pub(super) fn tell_expected(&mut self) {
        self.expected_told = true;
        let mut order: Vec<_> = self.lanes.iter().filter(|lane| lane.started).collect();
        order.sort_by_key(|lane| Reverse((lane.done, lane.steps)));
        let seeds: Vec<u64> = order.iter().map(|lane| lane.next_seed()).collect();
        self.starts.expect(&seeds);
    }
}
