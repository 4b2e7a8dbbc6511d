//! Momentum and energy beside the true ones, and how far objects are from where they ought to be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::probe::WHOLE;
use super::track::{Track, distance, length};

/// Last steps ahead of the bands that errors are averaged over; a band begins where the one before ends.
const BANDS: [usize; 5] = [1, 8, 16, 64, 256];

/// Errors of one band of steps ahead, over the frames in which the object is in sight in truth and its place is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StateError {
    /// Mean distance from where the object ought to be, metres.
    pub position_m: Option<f64>,
    /// Mean error of the momentum of what is free to move, kg·m/s.
    pub momentum_kg_m_s: Option<f64>,
    /// That error by the mean true momentum.
    pub momentum_relative: Option<f64>,
    /// Mean error of kinetic and potential energy together, joules.
    pub energy_j: Option<f64>,
    /// That error by the mean true kinetic energy.
    pub energy_relative: Option<f64>,
    /// Objects and frames that were looked at.
    pub samples: usize,
}

/// Sums over one band.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    samples: usize,
    position: f64,
    moving: usize,
    momentum: f64,
    true_momentum: f64,
    energy: f64,
    true_kinetic: f64,
}

/// Sums by band.
#[derive(Clone, Debug, Default)]
pub struct StateTally([Sums; BANDS.len()]);

impl StateTally {
    /// Adds the dreamt part of one object; momentum and energy only of what has a mass.
    pub fn add(&mut self, case: &Case<'_>, object: usize, track: &Track) {
        let truth = &case.truth[object];
        let mass = f64::from(case.masses.get(object).copied().unwrap_or(f32::INFINITY));
        for t in case.context..case.frames {
            let step = t + 1 - case.context;
            let Some(sums) = BANDS.iter().position(|last| step <= *last).map(|band| &mut self.0[band]) else {
                break;
            };
            let pair = track.at(t).zip(truth.at(t)).filter(|_| case.visible(t, object) >= WHOLE);
            let Some((at, true_at)) = pair else { continue };
            sums.samples += 1;
            sums.position += distance(at, true_at);
            let velocities = track.velocity(t).zip(truth.velocity(t)).filter(|_| mass.is_finite());
            let Some((velocity, true_velocity)) = velocities else { continue };
            // Metres a frame become metres a second; potential energy is −m g·p, and g = fall / dt².
            let (v, true_v) = (velocity.map(|v| v / case.dt), true_velocity.map(|v| v / case.dt));
            let kinetic = |v: [f64; 3]| 0.5 * mass * v.iter().map(|v| v * v).sum::<f64>();
            let rise: f64 = (0..3).map(|i| -case.fall[i] / case.dt.powi(2) * (at[i] - true_at[i])).sum();
            sums.moving += 1;
            sums.momentum += mass * distance(v, true_v);
            sums.true_momentum += mass * length(true_v);
            sums.energy += (kinetic(v) - kinetic(true_v) + mass * rise).abs();
            sums.true_kinetic += kinetic(true_v);
        }
    }

    /// Errors by band, named by its last step.
    pub fn report(&self) -> BTreeMap<usize, StateError> {
        let row = |sums: &Sums| {
            let mean = |sum: f64, count: usize| (count > 0).then(|| sum / count as f64);
            let ratio = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
            StateError {
                position_m: mean(sums.position, sums.samples),
                momentum_kg_m_s: mean(sums.momentum, sums.moving),
                momentum_relative: ratio(sums.momentum, sums.true_momentum),
                energy_j: mean(sums.energy, sums.moving),
                energy_relative: ratio(sums.energy, sums.true_kinetic),
                samples: sums.samples,
            }
        };
        BANDS.iter().zip(&self.0).map(|(last, sums)| (*last, row(sums))).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The ball of 2 kg 0.3 m too high all along, and 1 m/s too fast along x.
    #[test]
    fn errors_are_those_worked_out_by_hand() {
        let case = Case::falling(13);
        let x = |t: usize| 0.05 * (t as f64 - 4.0);
        let off = Track::told((0..13).map(|t| case.truth[0].at(t).map(|p| [x(t), 0.0, p[2] + 0.3]).unwrap()));
        let mut tally = StateTally::default();
        tally.add(&case, 0, &off);
        let report = tally.report();
        assert!(
            (report[&1].position_m.unwrap() - 0.3).abs() < 1e-9,
            "step 1 is frame 4, where x is still true"
        );
        let row = report[&8];
        assert_eq!(row.samples, 7);
        assert!((row.momentum_kg_m_s.unwrap() - 2.0).abs() < 1e-9);
        // ½·2·1² for the speed, 2·9.81·0.3 for the height.
        assert!((row.energy_j.unwrap() - (1.0 + 5.886)).abs() < 1e-6, "{row:?}");
        assert_eq!(report[&16].samples, 1, "the ninth step");
        assert_eq!((report[&64].position_m, report[&64].samples), (None, 0));
    }

    #[test]
    fn what_physics_does_not_move_has_no_momentum() {
        let case = Case { masses: &[f32::INFINITY], ..Case::falling(13) };
        let mut tally = StateTally::default();
        tally.add(&case, 0, &case.truth[0]);
        assert_eq!(tally.report()[&8].momentum_kg_m_s, None);
        assert_eq!(tally.report()[&8].position_m, Some(0.0));
    }
}
