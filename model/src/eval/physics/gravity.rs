//! Gravity as the pictures show it: parabolas fitted to what falls.

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::track::{Track, length, median};

/// Frames of one fitted parabola.
const WINDOW: usize = 7;
/// A parabola fits if it misses by less than this many times the jitter of what is seen.
const MISFIT: f64 = 3.0;

/// Acceleration along gravity's direction, fitted to the falling objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gravity {
    /// Median over all windows that a parabola fits, m/s² along gravity; 9.81 on Earth.
    pub m_s2: f64,
    /// Median of the accelerations by what each ought to be, less 1.
    pub relative_error: f64,
    /// First and third quartile, m/s².
    pub quartiles_m_s2: [f64; 2],
    /// Windows of seven frames that a parabola fits.
    pub windows: usize,
    /// Windows in which the object flies freely in truth and is seen all along; in the others of these the source has a
    /// bounce, or what is no parabola.
    pub windows_tried: usize,
}

/// Fitted accelerations.
#[derive(Clone, Debug, Default)]
pub struct GravityTally {
    /// m/s² along gravity.
    accelerations: Vec<f64>,
    /// Each by the gravity of its own clip.
    ratios: Vec<f64>,
    tried: usize,
}

impl GravityTally {
    /// Adds the dreamt part of one falling object, where it flies freely in truth: what rests or rolls makes a parabola
    /// too, a flat one. A window in which the velocity changes by more than `kick` metres a frame at once, beside gravity,
    /// holds a bounce; `jitter_m` is how much a place that is seen jitters.
    pub fn add(&mut self, case: &Case<'_>, (object, track): (usize, &Track), (jitter_m, kick): (f64, f64)) {
        let fall = length(case.fall);
        if fall == 0.0 {
            return;
        }
        let down = case.fall.map(|g| g / fall);
        for first in case.context..(case.frames + 1).saturating_sub(WINDOW) {
            let along = |t: usize| track.at(t).map(|p| p.iter().zip(down).map(|(a, b)| a * b).sum::<f64>());
            let heights: Option<Vec<f64>> = (first..first + WINDOW).map(along).collect();
            let mut within = first + 1..first + WINDOW - 1;
            let Some(heights) = heights.filter(|_| within.clone().all(|t| case.in_flight(t, object))) else {
                continue;
            };
            self.tried += 1;
            let bounces = |t: usize| track.kink(t, case.fall).is_some_and(|kink| length(kink) > kick);
            if within.any(bounces) {
                continue;
            }
            let (acceleration, misfit) = parabola(&heights);
            if misfit <= MISFIT * jitter_m {
                self.accelerations.push(acceleration / (case.dt * case.dt));
                self.ratios.push(acceleration / fall);
            }
        }
    }

    /// `None` where nothing falls.
    pub fn report(&self) -> Option<Gravity> {
        let mut sorted = self.accelerations.clone();
        let m_s2 = median(&mut sorted)?;
        let ratio = median(&mut self.ratios.clone())?;
        let quartile = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        Some(Gravity {
            m_s2,
            relative_error: ratio - 1.0,
            quartiles_m_s2: [quartile(0.25), quartile(0.75)],
            windows: sorted.len(),
            windows_tried: self.tried,
        })
    }
}

/// Acceleration of the parabola that fits equally spaced values best, and the root mean square of what it misses.
///
/// With u = t − mean and v = u² − mean of u², terms 1, u, v are orthogonal: the acceleration is 2 Σ v·x / Σ v².
fn parabola(x: &[f64]) -> (f64, f64) {
    let count = x.len() as f64;
    let u: Vec<f64> = (0..x.len()).map(|i| i as f64 - 0.5 * (count - 1.0)).collect();
    let mean_square = u.iter().map(|u| u * u).sum::<f64>() / count;
    let v: Vec<f64> = u.iter().map(|u| u * u - mean_square).collect();
    let project = |basis: &[f64]| {
        let norm: f64 = basis.iter().map(|b| b * b).sum();
        basis.iter().zip(x).map(|(b, x)| b * x).sum::<f64>() / norm
    };
    let (mean, slope, bend) = (x.iter().sum::<f64>() / count, project(&u), project(&v));
    let miss = |i: usize| (x[i] - mean - slope * u[i] - bend * v[i]).powi(2);
    (2.0 * bend, ((0..x.len()).map(miss).sum::<f64>() / count).sqrt())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_parabola_has_its_acceleration() {
        let x: Vec<f64> = (0..7).map(|t| 3.0 - 2.0 * f64::from(t) + 0.5 * 9.81 * f64::from(t * t)).collect();
        let (acceleration, misfit) = parabola(&x);
        assert!((acceleration - 9.81).abs() < 1e-9 && misfit < 1e-9);
        let (_, bounce) = parabola(&[3.0, 2.0, 1.0, 0.0, 1.0, 2.0, 3.0]);
        assert!(bounce > 0.2, "a bounce is no parabola: {bounce}");
    }

    #[test]
    fn gravity_is_read_from_what_falls() {
        let case = Case::falling(20);
        let mut tally = GravityTally::default();
        tally.add(&case, (0, &case.truth[0]), (0.01, 0.1));
        let gravity = tally.report().unwrap();
        assert!((gravity.m_s2 - 9.81).abs() < 1e-4 && gravity.relative_error.abs() < 1e-5, "{gravity:?}");
        assert_eq!((gravity.windows, gravity.windows_tried), (20 - 4 - WINDOW + 1, 20 - 4 - WINDOW + 1));
        // Half as heavy: the same track, twice as slow.
        let slow = Track::told((0..20).map(|t| [0.0, 0.0, -0.25 * 9.81 * (f64::from(t) * case.dt).powi(2)]));
        let mut tally = GravityTally::default();
        tally.add(&case, (0, &slow), (0.01, 0.1));
        assert!((tally.report().unwrap().relative_error + 0.5).abs() < 1e-6);
    }

    /// A parabola through a slight bounce fits well enough; the jump of the velocity tells.
    #[test]
    fn a_window_with_a_bounce_does_not_count() {
        let case = Case::falling(20);
        let bounce = |t: usize| if t < 12 { case.truth[0].at(t) } else { case.truth[0].at(24 - t) };
        let track = Track { positions: (0..20).map(bounce).collect(), ..Track::default() };
        let mut tally = GravityTally::default();
        tally.add(&case, (0, &track), (1.0, 0.1));
        let gravity = tally.report().unwrap();
        assert!(
            gravity.windows < gravity.windows_tried && gravity.relative_error.abs() < 1e-6,
            "{gravity:?}"
        );
    }

    /// A ball that has come to rest is a parabola without a bend, and says nothing of gravity.
    #[test]
    fn what_rests_in_truth_does_not_count() {
        let mut case = Case::falling(30);
        let rest = |t: usize| case.truth[0].at(t.min(14)).unwrap();
        case.truth = vec![Track::told((0..30).map(rest))];
        let mut tally = GravityTally::default();
        tally.add(&case, (0, &case.truth[0]), (0.01, 10.0));
        let gravity = tally.report().unwrap();
        assert!(gravity.relative_error.abs() < 1e-5, "{gravity:?}");
        assert_eq!((gravity.windows, gravity.windows_tried), (5, 5), "frames 4 to 10 up to 8 to 14");
    }

    #[test]
    fn nothing_that_falls_gives_no_number() {
        assert_eq!(GravityTally::default().report(), None);
    }
}
