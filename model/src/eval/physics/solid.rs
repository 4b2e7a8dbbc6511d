use worldstep_env::{Pose, Shape};

/// A ball or a box, to tell how deep two things are in each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solid {
    /// Half sides of the box; of a ball, all its radius.
    half: [f64; 3],
    ball: bool,
    /// Mean half side of the whole thing.
    radius: f64,
    /// Centre where nothing else is said.
    center: [f64; 3],
    quat_xyzw: [f64; 4],
}

impl Solid {
    /// The solid of `shape`: a ball, or the box around any other one; `None` for triangles.
    pub fn new(shape: Shape, pose: Pose) -> Option<Self> {
        let (half, ball) = match shape {
            Shape::Sphere { radius } => ([radius; 3], true),
            Shape::Cuboid { half_extents } => (half_extents, false),
            Shape::Cylinder { radius, half_height } => ([radius, radius, half_height], false),
            Shape::Capsule { radius, half_height } => ([radius, radius, half_height + radius], false),
            Shape::Mesh { .. } | Shape::Soft { .. } => return None,
        };
        let center = pose.position.map(f64::from);
        let half = half.map(f64::from);
        let radius = half.iter().sum::<f64>() / 3.0;
        Some(Self { half, ball, radius, center, quat_xyzw: pose.quat_xyzw.map(f64::from) })
    }

    /// This for a thing whose orientation is not known: as large, but in contact no more than the ball that fits in.
    pub fn turning(self) -> Self {
        Self { half: [self.inner_radius(); 3], ball: true, ..self }
    }

    /// Radius of the ball that fits in.
    pub fn inner_radius(&self) -> f64 {
        self.half.iter().copied().fold(f64::MAX, f64::min)
    }

    /// Mean half side: how large it is, in metres.
    pub fn radius(&self) -> f64 {
        self.radius
    }

    /// Where it stands.
    pub fn center(&self) -> [f64; 3] {
        self.center
    }

    /// Metres between the surfaces of this one's inner ball at `at` and of `other` at `other_at`; negative inside.
    pub fn gap(&self, at: [f64; 3], other: &Self, other_at: [f64; 3]) -> f64 {
        let offset = [0, 1, 2].map(|i| at[i] - other_at[i]);
        if other.ball {
            return super::track::length(offset) - other.half[0] - self.inner_radius();
        }
        let local = turn_back(offset, other.quat_xyzw);
        let beyond = [0, 1, 2].map(|i| local[i].abs() - other.half[i]);
        let outside = super::track::length(beyond.map(|b| b.max(0.0)));
        let inside = beyond.iter().copied().fold(f64::MIN, f64::max).min(0.0);
        outside + inside - self.inner_radius()
    }
}

/// `v` in the frame whose orientation is `q`: v + 2 w (u × v) + 2 u × (u × v) with u = −q.xyz.
fn turn_back(v: [f64; 3], q: [f64; 4]) -> [f64; 3] {
    let u = [-q[0], -q[1], -q[2]];
    let cross = |a: [f64; 3], b: [f64; 3]| {
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    };
    let once = cross(u, v);
    let twice = cross(u, once);
    [0, 1, 2].map(|i| v[i] + 2.0 * (q[3] * once[i] + twice[i]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const STILL: Pose = Pose { position: [0.0; 3], quat_xyzw: [0.0, 0.0, 0.0, 1.0] };

    #[test]
    fn gaps_of_balls_and_boxes() {
        let ball = Solid::new(Shape::Sphere { radius: 0.5 }, STILL).unwrap();
        assert!((ball.gap([3.0, 0.0, 0.0], &ball, [0.0; 3]) - 2.0).abs() < 1e-12);
        let slab = Solid::new(Shape::Cuboid { half_extents: [2.0, 2.0, 0.1] }, STILL).unwrap();
        assert!((ball.gap([1.0, 1.0, 0.6], &slab, [0.0; 3])).abs() < 1e-6, "it lies on the slab");
        assert!((ball.gap([1.0, 1.0, 0.4], &slab, [0.0; 3]) + 0.2).abs() < 1e-6, "it is 0.2 m deep");
        assert!((ball.gap([5.0, 6.0, 0.0], &slab, [0.0; 3]) - 4.5).abs() < 1e-6, "3, 4, 5");
    }

    /// A quarter turn about z: what is long along x now is along y.
    #[test]
    fn a_box_is_turned() {
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let pose = Pose { position: [0.0; 3], quat_xyzw: [0.0, 0.0, half, half] };
        let long = Solid::new(Shape::Cuboid { half_extents: [2.0, 0.1, 0.1] }, pose).unwrap();
        let ball = Solid::new(Shape::Sphere { radius: 0.5 }, STILL).unwrap();
        assert!((ball.gap([0.0, 3.0, 0.0], &long, [0.0; 3]) - 0.5).abs() < 1e-6);
        assert_eq!(long.turning().inner_radius(), f64::from(0.1f32));
    }
}
