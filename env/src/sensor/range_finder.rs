use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use super::Sensor;
use crate::Space;
use crate::physics::World;

/// A level fan of rays from a body: distances to what they meet first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeFinder {
    /// Rays, evenly over `view` from left to right of the body's x axis; a full turn if `view` is 2π.
    pub rays: usize,
    /// Angle of the fan, radians.
    pub view: f32,
    /// What lies further reads as this, metres.
    pub range_max: f32,
    /// Where the rays start, in the body's frame, metres.
    pub origin: [f32; 3],
}

impl RangeFinder {
    /// Direction of ray `i` from the body's x axis about its z, radians.
    pub fn direction(&self, i: usize) -> f32 {
        let full_turn = self.view >= std::f32::consts::TAU - 1e-3;
        let gaps = if full_turn { self.rays } else { self.rays.saturating_sub(1).max(1) };
        0.5 * self.view - self.view * i as f32 / gaps as f32
    }

    /// Distances along the rays from `body`, metres; what `ignores` says yes to is not seen.
    ///
    /// Asks the colliders themselves, not the broad phase: that knows nothing before the first step.
    pub fn read<'a>(
        &'a self,
        world: &'a World,
        body: RigidBodyHandle,
        ignores: impl Fn(RigidBodyHandle) -> bool + 'a,
    ) -> impl Iterator<Item = f32> + 'a {
        let place = *world.body(body).position();
        let start = place * Vector::from(self.origin);
        let forward = place.rotation * Vector::X;
        let heading = forward.y.atan2(forward.x);
        (0..self.rays).map(move |i| {
            let angle = heading + self.direction(i);
            let ray = Ray::new(start, Vector::new(angle.cos(), angle.sin(), 0.0));
            let seen = world.physics.colliders.iter().filter_map(|(_, collider)| {
                if collider.parent().is_some_and(|parent| parent == body || ignores(parent)) {
                    return None;
                }
                collider.shape().cast_ray(collider.position(), &ray, self.range_max, true)
            });
            seen.fold(self.range_max, f32::min)
        })
    }
}

/// A [`RangeFinder`] on a body, as a sensor of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeScan {
    /// Its rays.
    pub finder: RangeFinder,
    /// What it is fixed to.
    pub body: RigidBodyHandle,
    /// What it does not see: the robot's own links.
    pub ignored: Vec<RigidBodyHandle>,
}

impl Sensor for RangeScan {
    fn space(&self) -> Space {
        Space::bounded(&vec![0.0; self.finder.rays], &vec![self.finder.range_max; self.finder.rays])
    }

    fn read(&mut self, world: &World, out: &mut Vec<f32>) {
        out.extend(self.finder.read(world, self.body, |body| self.ignored.contains(&body)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::Look;
    use crate::{Camera, Shape};

    #[test]
    fn rays_read_the_distance_to_a_wall_before_the_first_step() {
        let mut world = World::new(20, 1, Camera::new([0.0, -3.0, 3.0], [0.0; 3], 0.8));
        let half = [0.1, 5.0, 1.0];
        let look = |name: &'static str| Look::fixed(name, Shape::Cuboid { half_extents: half }, [0.5; 3]);
        let wall = RigidBodyBuilder::fixed().translation(Vector::new(2.1, 0.0, 0.0));
        world.add(look("wall"), wall, ColliderBuilder::cuboid(half[0], half[1], half[2]));
        let (eye, _) = world.add(look("eye"), RigidBodyBuilder::fixed(), ColliderBuilder::ball(0.1));
        let fan = RangeFinder { rays: 3, view: 2.0, range_max: 3.0, origin: [0.0; 3] };
        let seen: Vec<_> = fan.read(&world, eye, |_| false).collect();
        assert_eq!([fan.direction(0), fan.direction(1), fan.direction(2)], [1.0, 0.0, -1.0]);
        assert!((seen[1] - 2.0).abs() < 1e-4, "{seen:?}");
        assert_eq!([seen[0], seen[2]], [3.0; 2], "2 m / cos 1 is out of range");
    }
}
