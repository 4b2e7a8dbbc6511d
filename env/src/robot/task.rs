use std::sync::Arc;

use rand::SeedableRng as _;
use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use super::sensing::{RobotSensor, Sensing};
use super::{Control, Robot, RobotModel};
use crate::physics::{World, decode, encode};
use crate::registry::TaskEntry;
use crate::{Action, Buffer, Camera, CameraMotion, Draw, EnvError, Outcome, Rng, Space, Task};

/// Positions and speeds that are further out are told as this.
const BOUND: f32 = 1e3;
/// Largest stiffness, damping and noise.
const NUMBER_MAX: f32 = 1e6;
/// A robot that would lie in the ground starts this far above it, metres.
const CLEARANCE: f32 = 1e-3;

/// How a robot's file becomes a task: what is observed and done is the robot's, rewards and ends are whoever's that asks.
///
/// Actions are the actuators' controls in their own units and ranges; controls without a range are within ±1. The neutral
/// action is 0, or the nearest to it: for position servos that is a place, and not the start's. The state
/// observation is, in this order: of a floating base its position (m), orientation (quaternion xyzw), velocity (m/s) and
/// angular velocity (rad/s) in the world's frame; then the positions of all joints of one axis (rad, m), then their speeds,
/// in the file's order, all kept within ±1,000; then what its [`sensors`](Self::sensors) tell, in their order.
///
/// ```
/// use std::path::Path;
/// use worldstep_env::robot::{RobotControl, RobotModel, RobotTask};
/// use worldstep_env::{AutoresetMode, VectorEnv as _, make_truth, registry};
///
/// # let text = r#"<mujoco><worldbody><body><joint name="hinge" axis="0 1 0" range="-90 90" limited="true"/>
/// #   <geom type="capsule" fromto="0 0 0 0 0 -1" size="0.05" mass="1"/></body></worldbody></mujoco>"#;
/// # let file = std::env::temp_dir().join("worldstep-robot-task-example.xml");
/// # std::fs::write(&file, text)?;
/// let model = RobotModel::from_file(Path::new(&file))?;
/// let task = RobotTask { control: RobotControl::Position, stiffness: 400.0, damping: 40.0, ..RobotTask::default() };
/// let entry = registry::register(task.entry("robot/pendulum", model)?)?;
/// let mut envs = make_truth(entry.id, 64, AutoresetMode::NextStep)?;
/// envs.reset_all(Some(0))?;
/// let actions = envs.spec().action_space.neutral(64);
/// envs.step_all(&actions)?;
/// # std::fs::remove_file(&file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RobotTask {
    /// Control steps (frames) in a simulated second.
    pub fps: u32,
    /// Steps after which an episode is cut off.
    pub max_episode_steps: u32,
    /// What actions are.
    pub control: RobotControl,
    /// Of position servos, N/m or N·m/rad.
    pub stiffness: f32,
    /// Of position and speed servos, N·s/m or N·m·s/rad.
    pub damping: f32,
    /// Joints start within ± this of the file's pose, rad or m, and ± this, rad/s or m/s.
    pub noise: f32,
    /// Whether there is level ground at z = 0, if the file has no plane of its own; a floating robot that would lie in it
    /// starts on it.
    pub ground: bool,
    /// Whether the robot's links touch each other.
    pub self_contacts: bool,
    /// Physics steps in a control step.
    pub substeps: u32,
    /// Parts that Rapier's solver divides each physics step into; 1 is a step as other engines count it.
    pub solver_iterations: u32,
    /// What else is observed.
    pub sensors: Vec<RobotSensor>,
}

/// What the actions of a [`RobotTask`] are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RobotControl {
    /// What the file's actuators say; forces on all joints if it has none.
    #[default]
    File,
    /// Forces, N or N·m, on each joint.
    Force,
    /// Positions that each joint is drawn to, rad or m.
    Position,
    /// Speeds, rad/s or m/s.
    Velocity,
}

impl Default for RobotTask {
    fn default() -> Self {
        Self {
            fps: 50,
            max_episode_steps: 1_000,
            control: RobotControl::default(),
            stiffness: 100.0,
            damping: 10.0,
            noise: 0.0,
            ground: true,
            self_contacts: true,
            substeps: 1,
            solver_iterations: 4,
            sensors: Vec::new(),
        }
    }
}

impl RobotTask {
    /// A registry row for `model`, to make environments of or to [`register`](crate::registry::register). It lives as long
    /// as the program does.
    ///
    /// # Errors
    /// [`EnvError::Robot`] if a number of this configuration makes no sense, the robot has no joint to drive, or its joints
    /// form a loop.
    pub fn entry(&self, id: &str, model: RobotModel) -> Result<TaskEntry, EnvError> {
        self.check()?;
        let control = match self.control {
            RobotControl::File if model.actuators().is_empty() => Control::Force,
            RobotControl::File => Control::File,
            RobotControl::Force => Control::Force,
            RobotControl::Position => Control::Position { stiffness: self.stiffness, damping: self.damping },
            RobotControl::Velocity => Control::Velocity { damping: self.damping },
        };
        let model = model.with_control(control);
        let model = if self.self_contacts { model } else { model.without_self_contacts() };
        if model.actuators().is_empty() {
            let message = format!("{id} has no joint of one axis: there is nothing to act with");
            return Err(EnvError::Robot { message });
        }
        let described = Arc::new(Described { model, config: self.clone() });
        let first = RobotWorld::new(Arc::clone(&described))?;
        let (actions, states) = (described.action_space(), first.state_space());
        let id: &'static str = Box::leak(id.to_owned().into_boxed_str());
        Ok(TaskEntry {
            id,
            scenario: id,
            summary: "A robot from a file; rewards are the caller's.",
            fps: self.fps,
            max_episode_steps: self.max_episode_steps,
            action_space: Box::leak(Box::new(move || actions.clone())),
            state_space: Box::leak(Box::new(move || states.clone())),
            reward_terms: &[],
            make: Box::leak(Box::new(move || -> Box<dyn Task> {
                // It could be made once, and nothing has changed since.
                let made = RobotWorld::new(Arc::clone(&described));
                Box::new(made.unwrap_or_else(|error| unreachable!("{error}")))
            })),
        })
    }

    fn check(&self) -> Result<(), EnvError> {
        let wrong = |message: String| Err(EnvError::Robot { message });
        if !(1..=1_000).contains(&self.fps) {
            return wrong(format!("fps is {}, expected 1 to 1000", self.fps));
        }
        if !(1..=100).contains(&self.substeps) {
            return wrong(format!("substeps is {}, expected 1 to 100", self.substeps));
        }
        if !(1..=100).contains(&self.solver_iterations) {
            return wrong(format!("solver_iterations is {}, expected 1 to 100", self.solver_iterations));
        }
        if self.max_episode_steps == 0 {
            return wrong("max_episode_steps is 0, expected at least 1".to_owned());
        }
        for (name, value) in [("stiffness", self.stiffness), ("damping", self.damping), ("noise", self.noise)]
        {
            if !(0.0..=NUMBER_MAX).contains(&value) {
                return wrong(format!("{name} is {value}, expected 0 to {NUMBER_MAX}"));
            }
        }
        Ok(())
    }
}

/// What all worlds of one robot share.
struct Described {
    model: RobotModel,
    config: RobotTask,
}

impl Described {
    fn action_space(&self) -> Space {
        let within = |bound: f32, side: f32| if bound.is_finite() { bound } else { side };
        let ranges = || self.model.actuators().iter().map(|actuator| actuator.range);
        let low: Vec<_> = ranges().map(|[low, _]| within(low, -1.0)).collect();
        let high: Vec<_> = ranges().map(|[_, high]| within(high, 1.0)).collect();
        Space::bounded(&low, &high)
    }
}

/// Whether this is a plane without end.
fn is_floor(collider: &Collider) -> bool {
    collider.shape().as_halfspace().is_some()
}

/// A robot in a world of its own.
struct RobotWorld {
    described: Arc<Described>,
    world: World,
    robot: Robot,
    /// The link that the others hang on, if it is free.
    base: Option<RigidBodyHandle>,
    sensing: Sensing,
    /// What the sensors' noise is drawn from.
    rng: Rng,
}

impl RobotWorld {
    fn new(described: Arc<Described>) -> Result<Self, EnvError> {
        let config = &described.config;
        let mut world = World::new(config.fps, config.substeps, Camera::new([0.0, -3.0, 1.5], [0.0; 3], 0.6));
        world.set_solver_iterations(config.solver_iterations as usize);
        let robot = world.add_robot(&described.model)?;
        let has_floor = world.physics.colliders.iter().any(|(_, collider)| is_floor(collider));
        if config.ground && !has_floor {
            world.add_ground(1.0);
        }
        let base = robot.base(&world);
        let sensing = Sensing::new(&config.sensors, &world, &robot)?;
        let mut made = Self { described, world, robot, base, sensing, rng: Rng::seed_from_u64(0) };
        made.stand();
        made.sensing.read(&made.world, &mut made.rng);
        made.look();
        Ok(made)
    }

    /// Least and largest corner of everything that the robot is made of.
    fn extent(&self) -> [Vector; 2] {
        let mut extent: Option<[Vector; 2]> = None;
        for body in self.robot.bodies() {
            let place = *self.world.body(body).position();
            for handle in self.world.body(body).colliders() {
                let collider = self.world.physics.colliders.get(*handle);
                let Some(collider) = collider.filter(|collider| !is_floor(collider)) else { continue };
                let within = collider.position_wrt_parent().copied().unwrap_or_default();
                let aabb = collider.shape().compute_aabb(&(place * within));
                let [least, most] = extent.unwrap_or([aabb.mins, aabb.maxs]);
                extent = Some([least.min(aabb.mins), most.max(aabb.maxs)]);
            }
        }
        extent.unwrap_or([Vector::ZERO; 2])
    }

    /// Lifts a floating robot out of the ground.
    fn stand(&mut self) {
        let [least, _] = self.extent();
        if let Some(base) = self.base.filter(|_| self.described.config.ground && least.z < CLEARANCE) {
            let mut place = *self.world.body(base).position();
            place.translation.z += CLEARANCE - least.z;
            self.robot.set_base(&mut self.world, base, place);
        }
    }

    /// Puts the camera where the whole robot is seen.
    fn look(&mut self) {
        let [least, most] = self.extent();
        let (middle, size) = (0.5 * (least + most), (most - least).length().clamp(0.1, 100.0));
        let eye = middle + Vector::new(0.4, -1.6, 0.5) * size;
        let scene = self.world.scene_mut();
        scene.camera = Camera::new(eye.to_array(), middle.to_array(), 0.6);
        let instance = scene.instances.iter().position(|instance| instance.moving);
        if let Some(instance) = instance.filter(|_| self.base.is_some()) {
            self.world.scene_mut().camera_motion = CameraMotion::Follow { instance: instance as u32 };
        }
    }

    fn axes(&self) -> impl Iterator<Item = usize> {
        let joints = self.described.model.joints().iter().enumerate();
        joints.filter(|(_, joint)| joint.has_one_axis()).map(|(i, _)| i)
    }

    fn state_space(&self) -> Space {
        let mut bounds = Vec::new();
        if self.base.is_some() {
            bounds.extend([BOUND, BOUND, BOUND, 1.0, 1.0, 1.0, 1.0]);
            bounds.extend([BOUND; 6]);
        }
        bounds.extend(self.axes().flat_map(|_| [BOUND; 2]));
        let (mut low, mut high): (Vec<_>, _) = (bounds.iter().map(|bound| -bound).collect(), bounds);
        for (least, most) in self.sensing.bounds() {
            low.push(least);
            high.push(most);
        }
        Space::bounded(&low, &high)
    }
}

impl Task for RobotWorld {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        // It could be made once, and nothing has changed since.
        *self = Self::new(Arc::clone(&self.described)).unwrap_or_else(|error| unreachable!("{error}"));
        let noise = self.described.config.noise;
        if noise > 0.0 {
            let states: Vec<_> = self
                .axes()
                .map(|joint| {
                    let [position, _] = self.robot.joint_state(&self.world, joint);
                    let [low, high] = self.described.model.joints()[joint].limits.unwrap_or([-BOUND, BOUND]);
                    let near = (position + draw.within(-noise..noise)).clamp(low, high);
                    (joint, [near, draw.within(-noise..noise)])
                })
                .collect();
            self.robot.set_joints(&mut self.world, &states);
            self.stand();
        }
        if self.sensing.is_noisy() {
            self.rng = Rng::seed_from_u64(draw.index(0..usize::MAX) as u64);
        }
        if noise > 0.0 || self.sensing.is_noisy() {
            let Self { described, world, robot, sensing, rng, .. } = self;
            // Anew: what was read before the joints were where they are is no reading.
            if let Ok(anew) = Sensing::new(&described.config.sensors, world, robot) {
                *sensing = anew;
            }
            sensing.read(world, rng);
        }
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        if let Action::Box(controls) = action {
            self.robot.command(&mut self.world, controls);
            self.robot.control_step(&mut self.world);
            self.sensing.read(&self.world, &mut self.rng);
        }
        Outcome::default()
    }

    fn state(&self, out: &mut Vec<f32>) {
        let start = out.len();
        if let Some(base) = self.base {
            let base = self.world.body(base);
            out.extend(base.translation().to_array());
            out.extend(base.rotation().to_array());
            out.extend(base.linvel().to_array());
            out.extend(base.angvel().to_array());
        }
        out.extend(self.axes().map(|joint| self.robot.joint_state(&self.world, joint)[0]));
        out.extend(self.axes().map(|joint| self.robot.joint_state(&self.world, joint)[1]));
        out[start..].iter_mut().for_each(|value| *value = value.clamp(-BOUND, BOUND));
        if self.base.is_some() {
            // A unit quaternion may be one by a rounding error only.
            out[start + 3..start + 7].iter_mut().for_each(|value| *value = value.clamp(-1.0, 1.0));
        }
        out.extend(self.sensing.told());
    }

    fn expert(&self, out: &mut Buffer) {
        out.append(&self.described.action_space().neutral(1));
    }

    fn world(&self) -> &World {
        &self.world
    }

    fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    fn save(&self) -> Result<Vec<u8>, EnvError> {
        encode(&(&self.world, &self.robot, self.base, &self.sensing, &self.rng))
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), EnvError> {
        let (world, robot, base, sensing, rng): (_, _, _, Sensing, _) = decode(bytes)?;
        if base != self.base || !sensing.is_like(&self.sensing) {
            let message = "the state of another robot, or of one with other sensors".to_owned();
            return Err(EnvError::State { message });
        }
        (self.world, self.robot, self.base, self.sensing, self.rng) = (world, robot, base, sensing, rng);
        Ok(())
    }
}
