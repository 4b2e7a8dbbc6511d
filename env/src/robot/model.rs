use std::path::Path;

use rapier3d::prelude::*;
use rapier3d_mjcf::MjcfRobot;
use rapier3d_urdf::UrdfRobot;
use serde::{Deserialize, Serialize};

use super::{Actuator, mjcf, urdf};
use crate::EnvError;

/// A robot as its file describes it, ready to be put into worlds with [`World::add_robot`](crate::physics::World::add_robot).
#[derive(Clone, Debug)]
pub struct RobotModel {
    pub(super) source: Source,
    pub(super) joints: Vec<JointSpec>,
    pub(super) actuators: Vec<Actuator>,
    pub(super) warnings: Vec<String>,
    pub(super) links: Vec<LinkSpec>,
    pub(super) self_contacts: bool,
    pub(super) weightless: bool,
}

/// What Rapier's loaders made of the file.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Mjcf(Box<MjcfRobot>),
    Urdf(Box<UrdfRobot>),
}

#[derive(Clone, Debug)]
pub(super) struct LinkSpec {
    pub name: String,
    pub color_linear: [f32; 3],
    /// Shapes to be seen, in the body's frame.
    pub shapes: Vec<(SharedShape, Pose)>,
}

/// Kinds of joints that robots have between their links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JointKind {
    /// Turns about one axis, radians.
    Hinge,
    /// Slides along one axis, metres.
    Slider,
    /// Turns freely.
    Ball,
    /// Holds.
    Fixed,
}

/// A joint of a robot. Units are metres and N for sliders, radians and N·m for hinges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JointSpec {
    /// Name in the file.
    pub name: String,
    /// What it leaves free.
    pub kind: JointKind,
    /// Lowest and highest position, if it is limited.
    pub limits: Option<[f32; 2]>,
    /// Largest force that drives it; infinite if the file names none.
    pub effort_max: f32,
    /// Largest speed that it is driven to; infinite if the file names none.
    pub velocity_max: f32,
    /// Viscous damping.
    pub damping: f32,
    /// Inertia of the rotor, kg or kg·m².
    pub armature: f32,
    /// Dry friction.
    pub friction: f32,
    /// Follows another joint: `position = coefficient × position of joint + offset`.
    pub mimic: Option<Mimic>,
    /// Position at the file's own zero pose (`ref` of MJCF): what Rapier counts from.
    pub reference: f32,
}

impl JointSpec {
    /// Whether it turns about or slides along one axis, so that it has one position.
    pub fn has_one_axis(&self) -> bool {
        matches!(self.kind, JointKind::Hinge | JointKind::Slider)
    }
}

/// How a joint follows another one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mimic {
    /// Position in [`RobotModel::joints`] of the joint that leads.
    pub joint: usize,
    /// Factor.
    pub coefficient: f32,
    /// Offset.
    pub offset: f32,
}

/// How the joints of a robot are driven if not as its file says. URDF says nothing: its joints are driven by forces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Control {
    /// As the file says.
    File,
    /// Forces (N, N·m) within the joint's effort limit.
    Force,
    /// Servos to a position within the joint's limits.
    Position {
        /// N/m or N·m/rad.
        stiffness: f32,
        /// N·s/m or N·m·s/rad.
        damping: f32,
    },
    /// Servos to a speed within the joint's limit.
    Velocity {
        /// N·s/m or N·m·s/rad.
        damping: f32,
    },
}

impl RobotModel {
    /// Reads `path`: MJCF if it ends in `.xml` or `.mjcf` and starts with `<mujoco>`, else URDF.
    ///
    /// # Errors
    /// [`EnvError::Robot`] names the file and what is wrong with it.
    pub fn from_file(path: &Path) -> Result<Self, EnvError> {
        let text = std::fs::read_to_string(path).map_err(|error| EnvError::Robot {
            message: format!("{}: {error}; expected a URDF or MJCF file", path.display()),
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::from_text(&text, folder).map_err(|error| match error {
            EnvError::Robot { message } => {
                EnvError::Robot { message: format!("{}: {message}", path.display()) }
            }
            other => other,
        })
    }

    /// Reads a robot from its text; `folder` is where the files that it names are looked for.
    ///
    /// # Errors
    /// [`EnvError::Robot`] says what is wrong.
    pub fn from_text(text: &str, folder: &Path) -> Result<Self, EnvError> {
        let options = roxmltree::ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX };
        let document = roxmltree::Document::parse_with_options(text, options)
            .map_err(|error| EnvError::Robot { message: error.to_string() })?;
        let model = match document.root_element().tag_name().name() {
            "mujoco" => mjcf::read(text, &document, folder),
            "robot" => urdf::read(text, &document, folder),
            other => Err(EnvError::Robot {
                message: format!("the root element is <{other}>, expected <mujoco> (MJCF) or <robot> (URDF)"),
            }),
        }?;
        model.check_ranges()?;
        Ok(model)
    }

    /// A range that is none would stop the process when a control is clamped to it.
    fn check_ranges(&self) -> Result<(), EnvError> {
        let joints = self.joints.iter().filter_map(|joint| Some(("joint", &joint.name, joint.limits?)));
        let actuators = self.actuators.iter().map(|actuator| ("actuator", &actuator.name, actuator.range));
        let forces =
            self.actuators.iter().map(|actuator| ("force of", &actuator.name, [0.0, actuator.force_max]));
        for (what, name, [low, high]) in joints.chain(actuators).chain(forces) {
            if low.is_nan() || high.is_nan() || low > high {
                let message =
                    format!("{what} {name:?} has the range {low} to {high}, expected two rising numbers");
                return Err(EnvError::Robot { message });
            }
        }
        Ok(())
    }

    /// This robot, driven as `control` says: every joint of one degree of freedom that follows no other gets an
    /// actuator.
    pub fn with_control(mut self, control: Control) -> Self {
        if control == Control::File {
            return self;
        }
        self.actuators = super::drive::for_joints(&self.joints, control);
        self
    }

    /// This robot, whose links pass through each other.
    pub fn without_self_contacts(self) -> Self {
        Self { self_contacts: false, ..self }
    }

    /// This robot with its links' weight taken off, as the controllers of most arms do.
    pub fn with_gravity_compensation(self) -> Self {
        Self { weightless: true, ..self }
    }

    /// Joints between links, in the file's order; a floating base is none.
    pub fn joints(&self) -> &[JointSpec] {
        &self.joints
    }

    /// Control inputs, in the file's order.
    pub fn actuators(&self) -> &[Actuator] {
        &self.actuators
    }

    /// One line for each thing that the file asks for and that is not done.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Most XML nodes that a robot's file may have.
const NODES_MAX: u32 = 1_000_000;
