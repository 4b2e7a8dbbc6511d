//! How much of each instance the main camera sees: a fixed grid of rays over each silhouette, row by row.

use bevy::math::DVec2;
use worldstep_env::{Camera, Pose, Shape};

use super::ray_cast::{Eye, NEAR, Ray, RayCaster};
use crate::clips::Trajectory;

/// Rays along each side of the box around a silhouette.
const GRID: u32 = 12;
/// The same for silhouettes that fill little of their box.
const GRID_FINE: u32 = 40;
/// Fewer rays than this on a silhouette are too few to tell shares from.
const SAMPLES_MIN: u32 = 24;
/// What lies no farther in front of a surface lies on it, metres.
const SLACK: f64 = 1e-4;

/// What the main camera has of one instance in one row, counted in rays that meet the instance when it is alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// Rays within the silhouette, in the picture or beside it; 0 if it is behind the camera. What reaches behind the
    /// camera is looked at within the picture alone.
    pub total: u32,
    /// Those in the picture.
    pub inside: u32,
    /// Those in the picture that nothing else stops.
    pub seen: u32,
    /// Position of the instance that stops most of the rest.
    pub blocker: Option<u16>,
}

impl Glimpse {
    /// Share of the silhouette that is seen.
    pub fn visibility(&self) -> f32 {
        share(self.seen, self.total)
    }

    /// Share of the silhouette that lies in the picture.
    pub fn in_picture(&self) -> f32 {
        share(self.inside, self.total)
    }

    /// Share of what lies in the picture that nothing hides; 0 if nothing does.
    pub fn unhidden(&self) -> f32 {
        share(self.seen, self.inside)
    }
}

fn share(part: u32, whole: u32) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 / whole as f32 }
}

/// One [`Glimpse`] a row and instance, `len × K`.
pub fn glimpses(trajectory: &Trajectory) -> Vec<Glimpse> {
    let count = trajectory.scene.instances.len();
    let mut out = Vec::with_capacity(trajectory.len * count);
    if count == 0 || trajectory.len == 0 {
        return out;
    }
    let mut watcher = Watcher::new(trajectory);
    for row in 0..trajectory.len {
        watcher.look(trajectory, row, &mut out);
    }
    out
}

/// What is kept from row to row.
struct Watcher {
    caster: RayCaster,
    outlines: Vec<Outline>,
    silhouettes: Vec<Silhouette>,
    /// How many rays each instance stops.
    stopped: Vec<u32>,
}

/// An instance's place in the image.
#[derive(Clone, Copy, Debug)]
struct Outline {
    low: DVec2,
    high: DVec2,
    depth_min: f64,
    depth_max: f64,
    /// Parts of it are behind the camera.
    cut: bool,
}

/// Rays that meet an instance that is alone, and how far away; valid while neither it nor the camera moves.
#[derive(Clone, Debug, Default)]
struct Silhouette {
    seen_from: Option<(Camera, Pose)>,
    rays: Vec<(Ray, f64)>,
    total: u32,
}

impl Watcher {
    fn new(trajectory: &Trajectory) -> Self {
        let caster = RayCaster::new(&trajectory.scene, trajectory.poses_at(0), trajectory.soft_at(0));
        let count = caster.len();
        Self {
            caster,
            outlines: Vec::with_capacity(count),
            silhouettes: vec![Silhouette::default(); count],
            stopped: vec![0; count],
        }
    }

    fn look(&mut self, trajectory: &Trajectory, row: usize, out: &mut Vec<Glimpse>) {
        let (scene, poses) = (&trajectory.scene, trajectory.poses_at(row));
        self.caster.update(scene, poses, trajectory.soft_at(row));
        let camera = trajectory.cameras_at(row).first().copied().unwrap_or(scene.camera);
        let eye = Eye::new(&camera);
        self.outlines.clear();
        self.outlines.extend((0..self.caster.len()).map(|index| Outline::new(&self.caster, index, &eye)));
        for (index, (instance, pose)) in scene.instances.iter().zip(poses).enumerate() {
            let now = (!matches!(instance.shape, Shape::Soft { .. })).then_some((camera, *pose));
            if now.is_none() || self.silhouettes[index].seen_from != now {
                self.trace(index, &eye);
                self.silhouettes[index].seen_from = now;
            }
            out.push(self.glimpse(index));
        }
    }

    /// Finds the silhouette of `index`.
    fn trace(&mut self, index: usize, eye: &Eye) {
        let outline = self.outlines[index];
        let silhouette = &mut self.silhouettes[index];
        silhouette.rays.clear();
        silhouette.total = 0;
        if outline.depth_max <= NEAR {
            return;
        }
        if !outline.meets_picture(eye) {
            silhouette.total = 1;
            return;
        }
        for grid in [GRID, GRID_FINE] {
            silhouette.sample(&self.caster, index, eye, &outline, grid);
            if silhouette.total >= SAMPLES_MIN {
                break;
            }
        }
    }

    fn glimpse(&mut self, index: usize) -> Glimpse {
        let silhouette = &self.silhouettes[index];
        let target = &self.outlines[index];
        let (mut seen, mut most) = (0, 0);
        let mut blocker = None;
        self.stopped.fill(0);
        let hides = |other: &usize| *other != index && self.outlines[*other].may_hide(target);
        let others: Vec<usize> = (0..self.caster.len()).filter(hides).collect();
        for (ray, depth) in &silhouette.rays {
            let nearer = others
                .iter()
                .filter_map(|other| self.caster.cast_one(*other, ray))
                .filter(|hit| hit.depth < depth - SLACK)
                .min_by(|a, b| a.depth.total_cmp(&b.depth));
            match nearer {
                None => seen += 1,
                Some(hit) => self.stopped[hit.instance] += 1,
            }
        }
        for (other, count) in self.stopped.iter().enumerate() {
            if *count > most {
                (most, blocker) = (*count, Some(other as u16));
            }
        }
        Glimpse { total: silhouette.total, inside: silhouette.rays.len() as u32, seen, blocker }
    }
}

impl Outline {
    fn new(caster: &RayCaster, index: usize, eye: &Eye) -> Self {
        let corners = caster.bounding_corners(index).map(|corner| eye.camera_from_world(corner));
        let depths = || corners.iter().map(|corner| corner.z);
        let depth_min = depths().fold(f64::INFINITY, f64::min);
        let depth_max = depths().fold(f64::NEG_INFINITY, f64::max);
        let cut = depth_min <= NEAR;
        let (mut low, mut high) = (DVec2::splat(-eye.half), DVec2::splat(eye.half));
        if !cut {
            (low, high) = (DVec2::INFINITY, DVec2::NEG_INFINITY);
            for corner in corners {
                let place = corner.truncate() / corner.z;
                (low, high) = (low.min(place), high.max(place));
            }
        }
        Self { low, high, depth_min, depth_max, cut }
    }

    fn meets_picture(&self, eye: &Eye) -> bool {
        self.cut || (self.high.min_element() > -eye.half && self.low.max_element() < eye.half)
    }

    /// Whether this could stop rays on their way to `target`.
    fn may_hide(&self, target: &Self) -> bool {
        self.depth_max > NEAR
            && self.depth_min < target.depth_max
            && self.low.cmplt(target.high).all()
            && target.low.cmplt(self.high).all()
    }
}

impl Silhouette {
    /// Replaces the rays by those of a grid over `outline`, as far as it lies in the picture, that meet the instance.
    fn sample(&mut self, caster: &RayCaster, index: usize, eye: &Eye, outline: &Outline, grid: u32) {
        self.rays.clear();
        let picture = DVec2::splat(eye.half);
        let part = Grid::new(outline.low.max(-picture), outline.high.min(picture), grid);
        for place in part.places() {
            let ray = eye.ray(place);
            if let Some(hit) = caster.cast_one(index, &ray) {
                self.rays.push((ray, hit.depth));
            }
        }
        self.total = self.rays.len() as u32;
        let whole = Grid::new(outline.low, outline.high, grid);
        if part.step != whole.step {
            let beside =
                |place: &DVec2| !eye.sees(*place) && caster.cast_one(index, &eye.ray(*place)).is_some();
            let count = whole.places().filter(beside).count() as f64;
            let cells = whole.step.element_product() / part.step.element_product();
            self.total += (count * cells).round() as u32;
        }
    }
}

/// Places in the middle of a rectangle's cells.
struct Grid {
    low: DVec2,
    step: DVec2,
    side: u32,
}

impl Grid {
    fn new(low: DVec2, high: DVec2, side: u32) -> Self {
        Self { low, step: (high - low) / f64::from(side), side }
    }

    fn places(&self) -> impl Iterator<Item = DVec2> {
        (0..self.side * self.side).map(|cell| {
            let cell = DVec2::new(f64::from(cell % self.side), f64::from(cell / self.side));
            self.low + self.step * (cell + 0.5)
        })
    }
}
