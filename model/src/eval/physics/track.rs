use super::probe::{Probe, Sight};

/// Where one object is, frame by frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    /// Position in metres where it is known well enough.
    pub positions: Vec<Option<[f64; 3]>>,
    /// Position in metres wherever it is found, however little of it; empty for positions that are told, not seen.
    pub rough: Vec<Option<[f64; 3]>>,
    /// Whether it is seen at all; empty for positions that are told.
    pub found: Vec<bool>,
    /// Centre in the image where it is seen; empty for positions that are told.
    pub pixels: Vec<Option<[f32; 2]>>,
}

impl Track {
    /// Positions that are told.
    pub fn told(positions: impl IntoIterator<Item = [f64; 3]>) -> Self {
        Self { positions: positions.into_iter().map(Some).collect(), ..Self::default() }
    }

    /// `film` after the first `context` frames of `truth`.
    pub fn joined(truth: &Self, context: usize, film: Self) -> Self {
        let mut joined = truth.clone();
        joined.positions.truncate(context);
        joined.rough.truncate(context);
        joined.found.truncate(context);
        joined.pixels.truncate(context);
        joined.positions.extend(film.positions);
        joined.rough.extend(film.rough);
        joined.found.extend(film.found);
        joined.pixels.extend(film.pixels);
        joined
    }

    /// The position in frame `t`.
    pub fn at(&self, t: usize) -> Option<[f64; 3]> {
        self.positions.get(t).copied().flatten()
    }

    /// The position in frame `t`, however little of it is seen.
    pub fn roughly(&self, t: usize) -> Option<[f64; 3]> {
        self.at(t).or_else(|| self.rough.get(t).copied().flatten())
    }

    /// Velocity in frame `t` from its neighbours, in metres a frame.
    pub fn velocity(&self, t: usize) -> Option<[f64; 3]> {
        let (before, after) = (self.at(t.checked_sub(1)?)?, self.at(t + 1)?);
        Some([0, 1, 2].map(|i| 0.5 * (after[i] - before[i])))
    }

    /// Second difference about frame `t` less what gravity gives, `g·dt²`: how the velocity changed otherwise, metres a
    /// frame.
    pub fn kink(&self, t: usize, fall: [f64; 3]) -> Option<[f64; 3]> {
        let (before, now, after) = (self.at(t.checked_sub(1)?)?, self.at(t)?, self.at(t + 1)?);
        Some([0, 1, 2].map(|i| after[i] - 2.0 * now[i] + before[i] - fall[i]))
    }
}

/// The tracks that the probe sees in the frames of a film, one an object.
pub fn probed<'a>(probe: &Probe, film: impl Iterator<Item = &'a [u8]>, objects: usize) -> Vec<Track> {
    let mut tracks = vec![Track::default(); objects];
    for frame in film {
        for (track, sight) in tracks.iter_mut().zip(probe.look(frame)) {
            let clear = |sight: Sight| sight.clear.then_some(sight.position);
            track.positions.push(sight.and_then(clear));
            track.rough.push(sight.map(|sight| sight.position));
            track.found.push(sight.is_some());
            track.pixels.push(sight.map(|sight| sight.pixel));
        }
    }
    tracks
}

/// Length of a vector.
pub fn length(v: [f64; 3]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Distance of two points.
pub fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    length([a[0] - b[0], a[1] - b[1], a[2] - b[2]])
}

/// The middle of some values, the lower one of two; `None` of none.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}
