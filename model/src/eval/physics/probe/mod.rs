//! Reads where objects are from pixels alone, true ones or dreamt ones.
//!
//! Frame → how likely each pixel's colour shows each object ([`colours`]) → the place where most of an object lies
//! ([`blob`]) → its position in the world ([`places`]). Everything is fitted on true frames with known silhouettes, in
//! closed form: the same frames give the same probe.

mod blob;
mod colours;
mod places;

use self::blob::Blob;
use self::colours::Colours;
use self::places::Places;

/// A silhouette that is seen to this share counts as seen whole.
pub const WHOLE: f32 = 0.9;
/// Share of the smallest whole silhouettes from which on an object is found, and from which on its place is trusted.
const FOUND: f32 = 0.4;
const CLEAR: f32 = 0.8;
/// Percentile of the whole silhouettes' sizes that stands for the smallest.
const SMALLEST: f64 = 0.05;
/// Whole silhouettes needed to learn where an object is.
const SIGHTS_MIN: usize = 20;

/// One true frame with what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// HWC `uint8`.
    pub frame: &'a [u8],
    /// 0, or 1 + the object that each pixel shows.
    pub silhouettes: &'a [u8],
    /// Share of each object's silhouette that is seen.
    pub visible: &'a [f32],
    /// Where each object is, metres.
    pub positions: &'a [[f64; 3]],
}

/// An object as the probe sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    /// Centre in the image: x, y in pixels.
    pub pixel: [f32; 2],
    /// Centre in the world, metres.
    pub position: [f64; 3],
    /// Enough of it is seen to trust the place.
    pub clear: bool,
}

/// Finds the tracked objects in frames.
#[derive(Debug)]
pub struct Probe {
    colours: Colours,
    objects: Vec<Option<ObjectEye>>,
}

#[derive(Debug)]
struct ObjectEye {
    /// Half width and half height of the window that it is sought in.
    extent: [usize; 2],
    /// Weight of pixels from which on it is found, and its place trusted.
    found: f32,
    clear: f32,
    places: Places,
}

impl Probe {
    /// A probe for the objects of `samples`. An object that is never seen whole often enough is never found.
    pub fn fit(samples: &[Sample<'_>]) -> Self {
        let objects = samples.first().map_or(0, |sample| sample.positions.len());
        let colours = Colours::fit(samples, objects);
        let objects = (0..objects).map(|object| ObjectEye::fit(samples, object, &colours)).collect();
        Self { colours, objects }
    }

    /// What is seen of each object in `frame`.
    pub fn look(&self, frame: &[u8]) -> Vec<Option<Sight>> {
        let weights = self.colours.weights(frame);
        let sight = |(eye, weights): (&Option<ObjectEye>, &Vec<f32>)| eye.as_ref()?.sight(weights);
        self.objects.iter().zip(&weights).map(sight).collect()
    }
}

impl ObjectEye {
    fn fit(samples: &[Sample<'_>], object: usize, colours: &Colours) -> Option<Self> {
        let whole: Vec<&Sample<'_>> =
            samples.iter().filter(|sample| sample.visible[object] >= WHOLE).collect();
        if whole.len() < SIGHTS_MIN {
            return None;
        }
        let extent = blob::extent(whole.iter().map(|sample| sample.silhouettes), object as u8 + 1)?;
        let sights: Vec<(Blob, [f64; 3])> = whole
            .iter()
            .filter_map(|sample| {
                let blob = blob::find(&colours.weights(sample.frame)[object], extent)?;
                Some((blob, sample.positions[object]))
            })
            .collect();
        let mut sizes: Vec<f64> = sights.iter().map(|(blob, _)| f64::from(blob.weight)).collect();
        sizes.sort_by(f64::total_cmp);
        let smallest = *sizes.get((sizes.len() as f64 * SMALLEST) as usize)? as f32;
        let (found, clear) = (FOUND * smallest, CLEAR * smallest);
        let trusted: Vec<_> = sights.into_iter().filter(|(blob, _)| blob.weight >= clear).collect();
        let side = whole[0].silhouettes.len().isqrt();
        (trusted.len() >= SIGHTS_MIN).then(|| Self {
            extent,
            found,
            clear,
            places: Places::fit(&trusted, side),
        })
    }

    fn sight(&self, weights: &[f32]) -> Option<Sight> {
        let blob = blob::find(weights, self.extent).filter(|blob| blob.weight >= self.found)?;
        let clear = blob.weight >= self.clear;
        Some(Sight { pixel: blob.center, position: self.places.position(&blob), clear })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_SIDE: usize = 64;

    /// A disc of radius 4 on a striped wall, partly behind a post.
    fn scene(x: f32, y: f32) -> (Vec<u8>, Vec<u8>) {
        let mut frame = Vec::new();
        let mut silhouettes = Vec::new();
        for pixel in 0..FRAME_SIDE * FRAME_SIDE {
            let (px, py) = ((pixel % FRAME_SIDE) as f32, (pixel / FRAME_SIDE) as f32);
            let disc = (px - x).powi(2) + (py - y).powi(2) < 16.0;
            let (color, label) = match ((30.0..36.0).contains(&px), disc) {
                (true, _) => ([60, 50, 130], 0),
                (_, true) => ([220, (90.0 + py / 2.0) as u8, 40], 1),
                _ => ([150 + (py as u8 % 8), 160, 190], 0),
            };
            frame.extend(color);
            silhouettes.push(label);
        }
        (frame, silhouettes)
    }

    /// 10 pixels a metre, y up.
    fn world(x: f32, y: f32) -> [f64; 3] {
        [f64::from(x) / 10.0, 0.5, (64.0 - f64::from(y)) / 10.0]
    }

    fn fitted() -> Probe {
        let places: Vec<(f32, f32)> =
            (0..80).map(|i| (6.0 + (i * 7 % 50) as f32, 6.0 + (i * 11 % 50) as f32)).collect();
        let scenes: Vec<_> = places.iter().map(|(x, y)| scene(*x, *y)).collect();
        let positions: Vec<_> = places.iter().map(|(x, y)| [world(*x, *y)]).collect();
        let visible: Vec<[f32; 1]> =
            places.iter().map(|(x, _)| [f32::from(*x < 26.0 || *x > 40.0)]).collect();
        let sample = |i: usize| Sample {
            frame: &scenes[i].0,
            silhouettes: &scenes[i].1,
            visible: &visible[i],
            positions: &positions[i],
        };
        Probe::fit(&(0..places.len()).map(sample).collect::<Vec<_>>())
    }

    #[test]
    fn an_object_is_found_where_it_is_and_not_where_it_is_hidden() {
        let probe = fitted();
        for (x, y) in [(12.5, 20.0), (48.0, 41.3), (20.0, 50.0)] {
            let sight = probe.look(&scene(x, y).0)[0].unwrap_or_else(|| panic!("nothing at {x}, {y}"));
            assert!(
                (sight.pixel[0] - x).abs() < 0.5 && (sight.pixel[1] - y).abs() < 0.5,
                "{sight:?} {x} {y}"
            );
            let error =
                sight.position.iter().zip(world(x, y)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(sight.clear && error < 0.05, "{error} m at {x}, {y}");
        }
        assert_eq!(probe.look(&scene(-40.0, 20.0).0)[0], None, "it is out of the picture");
        let half = probe.look(&scene(30.0, 20.0).0)[0];
        assert!(half.is_none_or(|sight| !sight.clear), "most of it is behind the post: {half:?}");
    }

    #[test]
    fn what_is_never_seen_is_never_found() {
        let (frame, silhouettes) = scene(12.0, 20.0);
        let sample =
            Sample { frame: &frame, silhouettes: &silhouettes, visible: &[0.0], positions: &[[0.0; 3]] };
        assert_eq!(Probe::fit(&[sample; 30]).look(&frame), [None]);
    }
}
