//! How deep things are in each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::track::Track;

/// Share of the smaller radius from which on two things are told to be in each other.
const DEEP: f64 = 0.1;

/// Depths over the dreamt frames in which both things are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Penetration {
    /// Mean depth, metres; 0 where nothing touches.
    pub mean_m: f64,
    /// Deepest, metres.
    pub deepest_m: f64,
    /// Share of the pairs of things and frames that are deeper than a tenth of the smaller one's radius.
    pub deep_share: f64,
    /// Pairs of things and frames.
    pub pairs: usize,
}

/// Two things: objects by position, and what stands still by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pair {
    /// Two objects.
    Objects(usize, usize),
    /// An object and what stands still.
    Fixed(usize, u16),
}

/// Pairs that never were in each other in truth, with the least gap that there was.
#[derive(Clone, Debug, Default)]
pub struct Solidity(BTreeMap<Pair, f64>);

/// The gap between the two things of each pair in frame `t`.
fn gaps(case: &Case<'_>, tracks: &[Track], t: usize) -> Vec<(Pair, f64, f64)> {
    let mut all = Vec::new();
    let placed = |object: usize| Some((case.solids[object].as_ref()?, tracks.get(object)?.at(t)?));
    for (a, (solid, at)) in (0..case.objects()).filter_map(|object| Some((object, placed(object)?))) {
        for (id, fixed) in &case.fixed {
            let gap = solid.gap(at, fixed, fixed.center());
            all.push((Pair::Fixed(a, *id), gap, solid.inner_radius().min(fixed.inner_radius())));
        }
        for (b, (other, other_at)) in
            (a + 1..case.objects()).filter_map(|object| Some((object, placed(object)?)))
        {
            // Whichever way round leaves more room: the inner ball of the one against all of the other.
            let gap = solid.gap(at, other, other_at).max(other.gap(other_at, solid, at));
            all.push((Pair::Objects(a, b), gap, solid.inner_radius().min(other.inner_radius())));
        }
    }
    all
}

impl Solidity {
    /// Learns from the truth which pairs are solid to each other: those that are never far into each other.
    pub fn learn<'a>(cases: impl Iterator<Item = &'a Case<'a>>) -> Self {
        let mut least: BTreeMap<Pair, (f64, f64)> = BTreeMap::new();
        for case in cases {
            for (pair, gap, radius) in (0..case.frames).flat_map(|t| gaps(case, &case.truth, t)) {
                let known = least.entry(pair).or_insert((f64::MAX, radius));
                *known = (known.0.min(gap), known.1.min(radius));
            }
        }
        let solid = least.into_iter().filter(|(_, (gap, radius))| *gap >= -DEEP * radius);
        Self(solid.map(|(pair, (gap, _))| (pair, gap)).collect())
    }
}

/// Sums over clips.
#[derive(Clone, Debug, Default)]
pub struct PenetrationTally {
    depth: f64,
    deepest: f64,
    deep: usize,
    pairs: usize,
}

impl PenetrationTally {
    /// Adds the dreamt part of one clip. A pair is as deep as its gap is less than the least one of the truth, or than 0.
    pub fn add(&mut self, case: &Case<'_>, tracks: &[Track], solidity: &Solidity) {
        for t in case.context..case.frames {
            for (pair, gap, radius) in gaps(case, tracks, t) {
                let Some(least) = solidity.0.get(&pair) else { continue };
                let depth = (least.min(0.0) - gap).max(0.0);
                self.depth += depth;
                self.deepest = self.deepest.max(depth);
                self.deep += usize::from(depth > DEEP * radius);
                self.pairs += 1;
            }
        }
    }

    /// `None` where no two things are solid to each other.
    pub fn report(&self) -> Option<Penetration> {
        let pairs = self.pairs as f64;
        (self.pairs > 0).then(|| Penetration {
            mean_m: self.depth / pairs,
            deepest_m: self.deepest,
            deep_share: self.deep as f64 / pairs,
            pairs: self.pairs,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use worldstep_env::{Pose, Shape};

    use super::super::solid::Solid;
    use super::*;

    /// The falling ball over a floor that it just does not reach in 20 frames.
    fn over_floor() -> Case<'static> {
        let mut case = Case::falling(20);
        let lowest = case.truth[0].at(19).unwrap()[2];
        let pose = Pose { position: [0.0, 0.0, lowest as f32 - 0.35], quat_xyzw: [0.0, 0.0, 0.0, 1.0] };
        let slab = Shape::Cuboid { half_extents: [2.0, 2.0, 0.1] };
        case.fixed.push((7, Solid::new(slab, pose).unwrap()));
        case
    }

    #[test]
    fn depth_is_what_reaches_beyond_the_surface() {
        let case = over_floor();
        let solidity = Solidity::learn([&case].into_iter());
        assert!(solidity.0.contains_key(&Pair::Fixed(0, 7)), "{solidity:?}");
        let mut truth = PenetrationTally::default();
        truth.add(&case, &case.truth, &solidity);
        assert!(truth.report().unwrap().deepest_m < 1e-6);
        let sunk =
            Track::told((0..20).map(|t| case.truth[0].at(t).map(|p| [p[0], p[1], p[2] - 0.1]).unwrap()));
        let mut tally = PenetrationTally::default();
        tally.add(&case, &[sunk], &solidity);
        let report = tally.report().unwrap();
        assert!((report.deepest_m - 0.1).abs() < 1e-5, "{report:?}");
        assert_eq!(
            (report.pairs, report.deep_share),
            (16, 1.0 / 16.0),
            "only the last frame is in the floor"
        );
    }

    #[test]
    fn what_goes_through_each_other_in_truth_is_no_pair() {
        let mut case = over_floor();
        let fallen: Vec<_> = (0..20).map(|t| [0.0, 0.0, -0.3 * f64::from(t)]).collect();
        case.truth = vec![Track::told(fallen)];
        assert!(Solidity::learn([&case].into_iter()).0.is_empty());
    }
}
