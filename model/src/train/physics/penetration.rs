//! Bodies do not overlap deeper than in truth.
//!
//! Every tracked body is taken for the largest sphere about its origin that its shape holds, of radius `r`: two
//! such spheres overlap only if the bodies do, however they are turned, which the head doesn't tell. Depths, in
//! metres, are
//!
//! ```text
//! r_a + r_b − |x_a − x_b|      of two tracked bodies
//! r − d(x)                     of a body and a box that stands still, d being the signed distance from its surface
//! ```
//!
//! of which only what exceeds truth's own depth (or 0) counts, so that a ghost or a hollow thing costs nothing
//! where truth enters it. Ids that no contact of the dataset names are left out: those are ghosts. Of boxes,
//! the [`NEAREST`] to the true position. The loss is the sum of squared excesses in units of the (smaller)
//! radius, over the number of bodies of all frames.

use burn::tensor::{Int, Tensor};

use super::seen::Seen;
use super::tensor;
use super::told::Told;
use crate::data::Solid;

/// Boxes that each body is held against.
const NEAREST: usize = 3;
/// Keeps the slope of a distance finite at 0, m².
const SQUARE_MIN: f32 = 1e-10;

/// How near bodies may come to each other and to what stands still.
#[derive(Default)]
pub struct Target {
    /// `[windows, frames, pairs]`: distance of centres below which they overlap deeper than in truth, m; and 1
    /// over their unit, 0 for none.
    pair_reach: Vec<f32>,
    pair_per_unit: Vec<f32>,
    boxes: Boxes,
    /// Bodies of all frames.
    bodies: f32,
}

/// The [`NEAREST`] boxes of each `[windows * frames * slots]`.
#[derive(Default)]
struct Boxes {
    /// `[…, 3]`.
    center: Vec<f32>,
    half_extents: Vec<f32>,
    /// `[…, 3, 3]`, one axis a row.
    axes: Vec<f32>,
    /// `[…]`: distance from the surface below which a body is deeper in than in truth, m; and 1 over its unit,
    /// 0 for none.
    reach: Vec<f32>,
    per_unit: Vec<f32>,
}

impl Target {
    pub fn push(&mut self, seen: &Seen<'_>) {
        for frame in 0..seen.length {
            let spheres: Vec<Option<Sphere>> =
                (0..seen.slots()).map(|slot| Sphere::new(seen, frame, slot)).collect();
            self.bodies += spheres.iter().flatten().count() as f32;
            for (a, b) in pairs(seen.slots()) {
                self.push_pair(spheres[a].zip(spheres[b]));
            }
            let solids = seen.clip().map_or(&[][..], |clip| &clip.solids);
            spheres.iter().for_each(|sphere| self.boxes.push(*sphere, solids));
        }
    }

    fn push_pair(&mut self, spheres: Option<(Sphere, Sphere)>) {
        let limits = spheres.map(|(a, b)| {
            let touching = a.radius + b.radius;
            (touching.min(distance(a.center, b.center)), 1.0 / a.radius.min(b.radius))
        });
        let (reach, per_unit) = limits.unwrap_or_default();
        self.pair_reach.push(reach);
        self.pair_per_unit.push(per_unit);
    }
}

impl Boxes {
    fn push(&mut self, sphere: Option<Sphere>, solids: &[Solid]) {
        let mut near: Vec<(f32, Sphere, Solid)> = sphere
            .iter()
            .flat_map(|sphere| solids.iter().map(|solid| (solid.distance(sphere.center), *sphere, *solid)))
            .collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0));
        for place in 0..NEAREST {
            let found = near.get(place);
            let solid = found.map(|(_, _, solid)| *solid).unwrap_or_default();
            self.center.extend(solid.center);
            self.half_extents.extend(solid.half_extents);
            self.axes.extend(solid.axes.as_flattened());
            self.reach.push(found.map_or(0.0, |(distance, sphere, _)| sphere.radius.min(*distance)));
            self.per_unit.push(found.map_or(0.0, |(_, sphere, _)| 1.0 / sphere.radius));
        }
    }
}

/// What a body is taken for, where it truly is.
#[derive(Clone, Copy)]
struct Sphere {
    center: [f32; 3],
    radius: f32,
}

impl Sphere {
    fn new(seen: &Seen<'_>, frame: usize, slot: usize) -> Option<Self> {
        let body = seen.body(slot);
        let known = body.touchable && body.inner_radius_m > 0.0;
        let center = seen.position(frame, slot).filter(|_| known)?;
        Some(Self { center, radius: body.inner_radius_m })
    }
}

fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f32>().sqrt()
}

/// Every two of `count`.
fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |b| (0..b).map(move |a| (a, b)))
}

/// `None` if there is nothing to run into.
pub fn loss(told: &Told, target: &Target) -> Option<Tensor<1>> {
    let any = |per_unit: &[f32]| per_unit.iter().any(|per_unit| *per_unit > 0.0);
    let pairs = any(&target.pair_per_unit).then(|| between_pairs(told, target));
    let boxes = any(&target.boxes.per_unit).then(|| into_boxes(told, &target.boxes));
    let all = pairs.into_iter().chain(boxes).reduce(|a, b| a + b)?;
    Some(all / target.bodies.max(1.0))
}

fn between_pairs(told: &Told, target: &Target) -> Tensor<1> {
    let ([windows, frames, slots], device) = (told.sizes(), told.device());
    let (a, b): (Vec<i32>, Vec<i32>) = pairs(slots).map(|(a, b)| (a as i32, b as i32)).unzip();
    let count = a.len();
    let of = |members: Vec<i32>| {
        let members = Tensor::<1, Int>::from_data(members.as_slice(), &device);
        told.position.clone().select(2, members)
    };
    let between = (of(a) - of(b)).square().sum_dim(3);
    let reach = tensor(&target.pair_reach, [windows, frames, count, 1], &device);
    let per_unit = tensor(&target.pair_per_unit, [windows, frames, count, 1], &device);
    let excess = (reach - (between + SQUARE_MIN).sqrt()).clamp_min(0.0);
    (excess * per_unit).square().sum()
}

fn into_boxes(told: &Told, boxes: &Boxes) -> Tensor<1> {
    let ([windows, frames, slots], device) = (told.sizes(), told.device());
    let bodies = windows * frames * slots;
    let vectors = |values: &[f32]| tensor(values, [bodies, NEAREST, 1, 3], &device);
    let numbers = |values: &[f32]| tensor(values, [bodies, NEAREST, 1, 1], &device);
    let axes = tensor(&boxes.axes, [bodies, NEAREST, 3, 3], &device);
    let away = told.position.clone().reshape([bodies, 1, 1, 3]) - vectors(&boxes.center);
    let along = (axes * away).sum_dim(3).reshape([bodies, NEAREST, 1, 3]);
    let beyond = along.abs() - vectors(&boxes.half_extents);
    let outside = (beyond.clone().clamp_min(0.0).square().sum_dim(3) + SQUARE_MIN).sqrt();
    let inside = beyond.max_dim(3).clamp_max(0.0);
    let excess = (numbers(&boxes.reach) - outside - inside).clamp_min(0.0);
    (excess * numbers(&boxes.per_unit)).square().sum()
}

#[cfg(test)]
mod tests {
    use super::super::hand_made::{Window, gradient, value};
    use super::*;

    const FLOOR: Solid = Solid {
        center: [0.0, 0.0, -0.5],
        axes: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        half_extents: [5.0, 5.0, 0.5],
    };

    fn ball(x: f32, z: f32, radius: f32) -> Option<Sphere> {
        Some(Sphere { center: [x, 0.0, z], radius })
    }

    /// One frame of balls with radius 0.2 at rest on the floor, 1 m apart; the head says that they are at `told`.
    fn on_the_floor(solids: &[Solid], told: [[f32; 2]; 2]) -> (Window, Target) {
        let (mut window, mut target) = (Window::new(1, 2), Target { bodies: 2.0, ..Target::default() });
        let spheres = [ball(0.0, 0.2, 0.2), ball(1.0, 0.2, 0.2)];
        target.push_pair(spheres[0].zip(spheres[1]));
        spheres.iter().for_each(|sphere| target.boxes.push(*sphere, solids));
        for (slot, [x, z]) in told.into_iter().enumerate() {
            window.put(0, slot, [x, 0.0, z, 0.0, 0.0, 0.0]);
        }
        (window, target)
    }

    fn cost((window, target): (Window, Target)) -> f32 {
        value(loss(&window.told(window.truth()), &target))
    }

    #[test]
    fn what_only_touches_costs_nothing() {
        assert!(cost(on_the_floor(&[FLOOR], [[0.0, 0.2], [1.0, 0.2]])) < 1e-6);
        assert!(cost(on_the_floor(&[FLOOR], [[0.0, 0.2], [0.4, 0.2]])) < 1e-6);
        assert!(cost(on_the_floor(&[FLOOR], [[0.0, 2.2], [1.0, 7.2]])) < 1e-6);
    }

    #[test]
    fn overlap_costs_its_square_in_radii() {
        // 0.1 m deep in each other: half a radius, squared, over two bodies.
        let expected = 0.125;
        assert!((cost(on_the_floor(&[FLOOR], [[0.0, 0.2], [0.3, 0.2]])) - expected).abs() < 1e-3);
    }

    #[test]
    fn sinking_into_the_floor_costs_its_square_in_radii() {
        let expected = 0.125;
        assert!((cost(on_the_floor(&[FLOOR], [[0.0, 0.1], [1.0, 0.2]])) - expected).abs() < 1e-3);
        // Centre 0.3 m below the surface: 0.5 m deep, 2.5 radii.
        assert!((cost(on_the_floor(&[FLOOR], [[0.0, -0.3], [1.0, 0.2]])) - 3.125).abs() < 1e-3);
        assert!(loss_is_none(on_the_floor(&[], [[0.0, -0.3], [1.0, 0.2]])));
    }

    fn loss_is_none((window, mut target): (Window, Target)) -> bool {
        target.pair_per_unit = vec![0.0];
        loss(&window.told(window.truth()), &target).is_none()
    }

    #[test]
    fn as_deep_as_truth_costs_nothing() {
        let sunk = Solid { center: [0.0, 0.0, -0.4], ..FLOOR };
        assert!(cost(on_the_floor(&[sunk], [[0.0, 0.2], [1.0, 0.2]])) < 1e-6);
        assert!((cost(on_the_floor(&[sunk], [[0.0, 0.1], [1.0, 0.2]])) - 0.125).abs() < 1e-3);
    }

    #[test]
    fn the_gradient_pushes_bodies_apart_and_up() {
        let (window, target) = on_the_floor(&[FLOOR], [[0.0, 0.1], [0.3, 0.1]]);
        let slope = gradient(&window, |told| loss(told, &target));
        let (left, right) = (&slope[..6], &slope[6..]);
        assert!(left[0] > 0.0 && right[0] < 0.0, "{slope:?}");
        assert!(left[2] < 0.0 && right[2] < 0.0, "{slope:?}");
    }
}
