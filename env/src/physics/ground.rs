use rapier3d::prelude::*;

use super::{Look, World};
use crate::{Mesh, Shape};

/// Half of the ground's side, metres.
const HALF: f32 = 80.0;
const THICKNESS: f32 = 0.2;
/// Half of a mark's side, metres, and the distance between two marks.
const MARK: [f32; 2] = [0.25, 1.0];
const MARKS: i32 = 60;

impl World {
    /// Adds level ground at z = 0 that everything touches by MuJoCo's rule, with marks along x that show motion.
    pub fn add_ground(&mut self, friction: f32) {
        let half = [HALF, HALF, 0.5 * THICKNESS];
        let look = Look::fixed("ground", Shape::Cuboid { half_extents: half }, [0.16, 0.17, 0.15]);
        let place = RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.0, -half[2]));
        let solid = ColliderBuilder::cuboid(half[0], half[1], half[2])
            .friction(friction)
            .friction_combine_rule(CoefficientCombineRule::Max)
            .collision_groups(world_groups());
        self.add(look.of_class("ground"), place, solid);
        let marks = self.add_mesh(marks());
        let look = Look::fixed("marks", marks, [0.32, 0.33, 0.30]).of_class("ground");
        self.add_ghost(look, RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.0, 0.004)));
    }
}

/// Groups of what is not part of a robot: whatever has a `contype` or `conaffinity` of 1 touches it.
pub fn world_groups() -> InteractionGroups {
    InteractionGroups::new(Group::GROUP_1, Group::GROUP_1, InteractionTestMode::Or)
}

/// Two rows of squares, chequered.
fn marks() -> Mesh {
    let mut mesh = Mesh::default();
    for column in -MARKS..MARKS {
        for row in [-1, 0, 1] {
            let shift = if row == 0 { 0.5 } else { 0.0 };
            let center = [(column as f32 + shift) * MARK[1], row as f32 * 0.6];
            let first = mesh.vertices.len() as u32;
            for [x, y] in [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]] {
                mesh.vertices.push([center[0] + x * MARK[0], center[1] + y * MARK[0], 0.0]);
            }
            mesh.triangles.push([first, first + 1, first + 2]);
            mesh.triangles.push([first, first + 2, first + 3]);
        }
    }
    mesh
}
