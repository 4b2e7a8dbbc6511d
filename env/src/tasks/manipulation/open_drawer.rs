//! `OpenDrawer-v0`: take the handle of a drawer with an arm and pull it open.

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use super::arm::{distance, level};
use crate::Mesh;

use super::{Arm, Chore, Manipulation, Tool};
use crate::physics::Look;
use crate::registry::{TaskEntry, term};
use crate::{Draw, Outcome};

/// The registry's row.
pub const ENTRY: TaskEntry = OpenDrawer::entry(
    ["OpenDrawer-v0", "open-drawer", "Take the handle of a drawer with an arm and pull it open."],
    &[
        term("reward/reach", "minus the distance of the tool from the handle, scaled"),
        term("reward/open", "share of 15 cm that the drawer is open"),
        term("reward/success", "+5 when it is open"),
    ],
);

const OPEN: f32 = 0.15;
const TRAVEL: f32 = 0.18;
const DRAWER: [f32; 3] = [0.1, 0.09, 0.04];
const HANDLE: [f32; 3] = [0.008, 0.008, 0.03];
/// Middle of the drawer above the table, and of the handle in front of it, metres.
const HEIGHT: f32 = 0.1;
const STICKS_OUT: f32 = 0.045;

/// A drawer in a cabinet is pulled open by its handle, an upright bar.
///
/// Action space and the first six values of the observation are those of [`Manipulation`].
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 6–8 | handle position x, y, z | ±1 | m |
/// | 9–10 | how far the drawer is open, and its speed | ±1 | m, m/s |
///
/// # Reward
/// `reward/reach` −0.1 × distance of the tool from the handle (m), `reward/open` share of 15 cm, `reward/success` +5.
///
/// # Start and end
/// The cabinet's front stands 0.5–0.56 m ahead, within ±0.12 m across; the drawer is shut and runs 18 cm towards the arm
/// against friction of 1 to 4 N·s/m. The episode terminates with success when it is open by 15 cm; it is truncated after
/// 150 steps.
pub type OpenDrawer = Manipulation<Drawer>;

/// The chore of [`OpenDrawer`].
#[derive(Serialize, Deserialize)]
pub struct Drawer {
    drawer: RigidBodyHandle,
    shut_x: f32,
}

impl Drawer {
    fn handle(&self, arm: &Arm) -> [f32; 3] {
        let [x, y, z] = arm.place(self.drawer);
        [x - DRAWER[0] - STICKS_OUT, y, z]
    }

    fn open(&self, arm: &Arm) -> f32 {
        self.shut_x - arm.place(self.drawer)[0]
    }
}

/// The cabinet: a bottom, two sides and a top about the drawer.
fn add_cabinet(arm: &mut Arm, x: f32, y: f32) -> RigidBodyHandle {
    let [dx, dy, dz] = DRAWER;
    let (gap, wall) = (0.006, 0.01);
    let side = dy + gap + wall;
    let plates = [
        ([0.0, side, 0.0], [dx, wall, dz + gap]),
        ([0.0, -side, 0.0], [dx, wall, dz + gap]),
        ([0.0, 0.0, dz + gap + wall], [dx, side + wall, wall]),
        ([0.0, 0.0, -(dz + gap + wall)], [dx, side + wall, wall]),
    ];
    let mut mesh = Mesh::default();
    plates.iter().for_each(|(center, half)| mesh.add_cuboid(*center, *half));
    let shape = arm.world.add_mesh(mesh);
    arm.world.add_ghost(
        Look::fixed("cabinet", shape, [0.35, 0.22, 0.10]).of_class("support"),
        RigidBodyBuilder::fixed().translation(Vector::new(x, y, HEIGHT)),
    )
}

impl Chore for Drawer {
    const BOUNDS: &'static [f32] = &[1.0; 5];

    fn set(arm: &mut Arm, draw: &mut Draw<'_>) -> Self {
        let x = draw.within(0.5..0.56) + DRAWER[0];
        let y = draw.within(-0.12..0.12);
        let cabinet = add_cabinet(arm, x, y);
        let mut mesh = Mesh::default();
        mesh.add_cuboid([0.0; 3], DRAWER);
        // Two stems and the bar.
        let front = -DRAWER[0] - STICKS_OUT;
        let stem = [0.5 * STICKS_OUT, 0.006, 0.004];
        for z in [-0.026, 0.026] {
            mesh.add_cuboid([-DRAWER[0] - stem[0], 0.0, z], stem);
        }
        mesh.add_cuboid([front, 0.0, 0.0], HANDLE);
        let shape = arm.world.add_mesh(mesh);
        let parts = vec![
            (Pose::IDENTITY, SharedShape::cuboid(DRAWER[0], DRAWER[1], DRAWER[2])),
            (
                Pose::from_translation(Vector::new(front, 0.0, 0.0)),
                SharedShape::cuboid(HANDLE[0], HANDLE[1], HANDLE[2]),
            ),
        ];
        let (drawer, _) = arm.world.add(
            Look::moving("drawer", shape, [0.6, 0.42, 0.2]).of_class("joint_link"),
            RigidBodyBuilder::dynamic().translation(Vector::new(x, y, HEIGHT)).can_sleep(false),
            ColliderBuilder::compound(parts).density(300.0).friction(0.8),
        );
        let slide = PrismaticJointBuilder::new(Vector::X)
            .limits([-TRAVEL, 0.0])
            .motor_model(MotorModel::ForceBased)
            .motor_velocity(0.0, draw.within(1.0..4.0))
            .contacts_enabled(false);
        arm.world.join(cabinet, drawer, slide.build());
        Self { drawer, shut_x: x }
    }

    fn observe(&self, arm: &Arm, out: &mut Vec<f32>) {
        out.extend(self.handle(arm));
        out.extend([self.open(arm), -arm.world.body(self.drawer).linvel().x]);
    }

    fn judge(&mut self, arm: &Arm) -> Outcome {
        let open = self.open(arm);
        let done = open >= OPEN;
        let reach = distance(arm.tool().position, self.handle(arm));
        let terms = [-0.1 * reach, (open / OPEN).clamp(0.0, 1.0), if done { 5.0 } else { 0.0 }, 0.0];
        Outcome { terms, terminated: done, success: done }
    }

    fn wanted(&self, arm: &Arm) -> Tool {
        let (handle, tool) = (self.handle(arm), arm.tool().position);
        let [x, y, z] = handle;
        let (aside, down) = (level(handle, tool), (tool[2] - z).abs());
        if aside < 0.02 && down < 0.03 {
            let gripped = arm.wanted().closed > 0.5 && arm.finger() < 0.02;
            let pull = if gripped { arm.wanted().position[0] - 0.03 } else { x };
            return Tool { position: [pull, y, z], yaw: 0.0, closed: 1.0 };
        }
        let height = if aside < 0.012 { z } else { z + 0.14 };
        Tool { position: [x, y, height], yaw: 0.0, closed: 0.0 }
    }
}
