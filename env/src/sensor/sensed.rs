use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Noise, Sensor};
use crate::physics::World;
use crate::{Rng, Space};

/// A sensor whose readings come late and are not exact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensed<S> {
    /// The sensor itself.
    pub sensor: S,
    /// On each number of a reading, when it is taken.
    pub noise: Noise,
    /// Control steps between a reading and its telling; the first one is told until the second is due.
    pub latency: usize,
    /// Readings that are not due yet, the oldest first.
    under_way: VecDeque<Vec<f32>>,
}

impl<S: Sensor> Sensed<S> {
    /// `sensor` without noise or latency.
    pub fn new(sensor: S) -> Self {
        Self { sensor, noise: Noise::default(), latency: 0, under_way: VecDeque::new() }
    }

    /// With normal noise of this standard deviation, in the reading's own units.
    pub fn with_noise(self, std: f32) -> Self {
        Self { noise: Noise { std }, ..self }
    }

    /// With readings that come so many control steps late.
    pub fn with_latency(self, latency: usize) -> Self {
        Self { latency, ..self }
    }

    /// Space of one reading.
    pub fn space(&self) -> Space {
        self.sensor.space()
    }

    /// Whether all readings that are under way are ones of this sensor, and no more than its latency needs: bytes of a state
    /// can say anything.
    pub(crate) fn is_whole(&self) -> bool {
        let numbers = self.space().flat_len();
        self.under_way.len() <= self.latency + 1
            && self.under_way.iter().all(|reading| reading.len() == numbers)
    }

    /// Takes a reading, once a control step, and appends the one that is due to `out`, kept within the space.
    pub fn read(&mut self, world: &World, rng: &mut Rng, out: &mut Vec<f32>) {
        let mut reading = if self.under_way.len() > self.latency {
            self.under_way.pop_front().unwrap_or_default()
        } else {
            Vec::new()
        };
        reading.clear();
        self.sensor.read(world, &mut reading);
        self.noise.add(&mut reading, rng);
        if let Space::Box(space) = self.sensor.space() {
            for (i, value) in reading.iter_mut().enumerate() {
                let (low, high) = space.bounds(i);
                *value = value.clamp(low, high);
            }
        }
        self.under_way.push_back(reading);
        if let Some(due) = self.under_way.front() {
            out.extend_from_slice(due);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;
    use crate::Camera;

    /// Counts its readings.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Counter(f32);

    impl Sensor for Counter {
        fn space(&self) -> Space {
            Space::bounded(&[0.0], &[6.0])
        }

        fn read(&mut self, _: &World, out: &mut Vec<f32>) {
            out.push(self.0);
            self.0 += 1.0;
        }
    }

    #[test]
    fn readings_come_late_and_stay_within_their_space() {
        let world = World::new(20, 1, Camera::new([0.0, -3.0, 3.0], [0.0; 3], 0.8));
        let (mut rng, mut out) = (Rng::seed_from_u64(1), Vec::new());
        let mut late = Sensed::new(Counter(0.0)).with_latency(2);
        (0..9).for_each(|_| late.read(&world, &mut rng, &mut out));
        assert_eq!(out, [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        late.read(&world, &mut rng, &mut out);
        assert_eq!(out[9], 6.0, "clipped");
        // Saved in between, it goes on as it would have.
        let bytes = crate::physics::encode(&late).unwrap();
        let mut again: Sensed<Counter> = crate::physics::decode(&bytes).unwrap();
        assert_eq!(again, late);
        let mut noisy = Sensed::new(Counter(3.0)).with_noise(0.1);
        out.clear();
        noisy.read(&world, &mut rng, &mut out);
        assert!(out[0] != 3.0 && (out[0] - 3.0).abs() < 0.5);
        again.read(&world, &mut rng, &mut out);
    }
}
