use std::cmp::Reverse;

use worldstep_env::{Buffer, EnvError};

use super::NeuralVectorEnv;
use super::observation::DreamObservation;
use super::step::lanes_of;
use crate::config::FRAME_BYTES;
use crate::packing::FRAME_CODE_BYTES;

impl NeuralVectorEnv {
    /// Starts the next episode in the lanes of `due`: asks for their start frames, feeds all but the last to the cache and
    /// shows the last. Only these lanes are computed: most steps restart few.
    pub(super) fn restart(&mut self, due: &[bool]) -> Result<(), EnvError> {
        let lanes: Vec<usize> = lanes_of(due).collect();
        if lanes.is_empty() {
            return Ok(());
        }
        let context = self.starts.context_frames();
        let frames = self.start_frames(&lanes, context)?;
        let mut codes = vec![0; lanes.len() * context * FRAME_CODE_BYTES];
        self.engine.encode(&frames, &mut codes);
        self.warm_up(&lanes, &codes, context);
        if let Some(audit) = &mut self.audit {
            let seed_of = |lane: usize| due[lane].then(|| self.lanes[lane].next_seed());
            audit.begin(seed_of);
        }
        let first_step = *self.clock().start();
        for (i, lane) in lanes.into_iter().enumerate() {
            let last = (i + 1) * context - 1;
            self.codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES]
                .copy_from_slice(&codes[last * FRAME_CODE_BYTES..(last + 1) * FRAME_CODE_BYTES]);
            self.lanes[lane].begin(first_step);
            self.tell(lane, (0.0, false, false), None);
            self.show_true_frame(lane, &frames[last * FRAME_BYTES..(last + 1) * FRAME_BYTES]);
        }
        if self.options.observation != DreamObservation::Rgb {
            self.observe(due);
        }
        self.audit_lanes(due);
        self.tell_expected();
        Ok(())
    }

    /// `context` true frames of each of `lanes`.
    fn start_frames(&mut self, lanes: &[usize], context: usize) -> Result<Vec<u8>, EnvError> {
        let expected = lanes.len() * context * FRAME_BYTES;
        let mut frames = Vec::with_capacity(expected);
        let seeds: Vec<u64> = lanes.iter().map(|lane| self.lanes[*lane].next_seed()).collect();
        self.starts.starts(&seeds, &mut frames)?;
        if frames.len() == expected {
            return Ok(frames);
        }
        let got = frames.len();
        let message = format!("{} starts have {got} bytes, expected {expected}", lanes.len());
        Err(EnvError::Engine { message })
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
            observations[lane * FRAME_BYTES..(lane + 1) * FRAME_BYTES].copy_from_slice(frame);
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
