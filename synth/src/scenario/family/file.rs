//! A family as it is written: the keys of `synth/scenarios/*.toml`. Unknown keys are errors.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, de};
use worldstep_env::policy::PolicyMix;

use super::mesh_file::MeshFile;
pub(in crate::scenario) use super::outcome_file::{OutcomeFile, ViolationFile, ViolationKind};
use super::soft::SoftFile;
use crate::scenario::expression::Expression;
use crate::scenario::range::Range;

/// Three coordinates.
pub(in crate::scenario) type Triple = [Expression; 3];

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct FamilyFile {
    /// Kebab-case.
    pub name: String,
    /// One line on what happens.
    pub summary: String,
    /// Length of a clip.
    pub seconds: f32,
    /// Rows in a second.
    #[serde(default = "default_fps")]
    pub fps: u32,
    /// Physics steps a row.
    #[serde(default = "default_substeps")]
    pub substeps: u32,
    /// Names of sampled parameters; a clip in which all of them are in their top third is held out of training.
    #[serde(default)]
    pub held_out: Vec<String>,
    /// Holds once the clip's goal is reached: `next.success`, and reward 1 in every such row.
    pub goal: Option<Expression>,
    /// How often each behaviour is chosen.
    #[serde(default = "default_policies")]
    pub policies: PolicyMix,
    /// Whether small things that mean nothing may stand about.
    #[serde(default = "yes")]
    pub distractors: bool,
    /// What the camera frames.
    pub region: RegionFile,
    /// Where the camera may stand.
    #[serde(default)]
    pub camera: CameraFile,
    /// Further cameras.
    #[serde(default)]
    pub cameras: Vec<ExtraCameraFile>,
    /// Sampled and derived values, by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// Values that rules and scripts may name, worked out anew in every row.
    #[serde(default)]
    pub signals: BTreeMap<String, Expression>,
    pub bodies: Vec<BodyFile>,
    /// Boxes that give way, cloth, ropes.
    #[serde(default)]
    pub soft: Vec<SoftFile>,
    #[serde(default)]
    pub joints: Vec<JointFile>,
    pub actions: Vec<ActionFile>,
    /// The first whose rule holds is the clip's; the last has none.
    pub outcomes: Vec<OutcomeFile>,
    #[serde(default)]
    pub violations: Vec<ViolationFile>,
}

fn default_fps() -> u32 {
    20
}

fn default_substeps() -> u32 {
    10
}

fn default_policies() -> PolicyMix {
    PolicyMix { random: 0.15, scripted: 0.15, noisy_expert: 0.1, noop: 0.6 }
}

fn yes() -> bool {
    true
}

/// A box in the world.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct RegionFile {
    pub center: Triple,
    /// Full extents.
    pub size: Triple,
}

/// The main camera's place about the region, in degrees; the randomisation's spreads are multiplied by `spread`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::scenario) struct CameraFile {
    /// 0 looks along −x, −90 along +y (x to the right in the image).
    pub azimuth: f64,
    pub elevation: f64,
    pub spread: f64,
    /// Whether it may move during a clip.
    pub moves: bool,
    /// Body that a tracking camera follows.
    pub track: Option<String>,
}

impl Default for CameraFile {
    fn default() -> Self {
        Self { azimuth: -90.0, elevation: 20.0, spread: 1.0, moves: true, track: None }
    }
}

/// A further camera: one that frames the region from elsewhere, or one that rides on a body.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct ExtraCameraFile {
    pub name: String,
    #[serde(default)]
    pub azimuth: f64,
    #[serde(default)]
    pub elevation: f64,
    /// Body that carries it; position, target and up are then in that body's frame.
    pub mount: Option<MountFile>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct MountFile {
    pub body: String,
    pub position: [f32; 3],
    pub target: [f32; 3],
    pub up: [f32; 3],
    /// Vertical field of view, degrees.
    pub fov: f32,
}

/// A sampled or a derived value.
#[derive(Clone, Debug)]
pub(in crate::scenario) enum Parameter {
    Sampled(Range),
    Derived(Expression),
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Parameter;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, an expression in quotes, or a range such as { uniform = [0.5, 2.0] }")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Parameter, E> {
                Ok(Parameter::Derived(Expression::Number(value)))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Parameter, E> {
                Ok(Parameter::Derived(Expression::Number(value as f64)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Parameter, E> {
                Expression::parse(text).map(Parameter::Derived).map_err(E::custom)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Parameter, A::Error> {
                let range = Range::deserialize(de::value::MapAccessDeserializer::new(map))?;
                range.check().map_err(de::Error::custom)?;
                Ok(Parameter::Sampled(range))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A thing with a pose.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct BodyFile {
    pub name: String,
    /// Semantic class; without one, that of the shape.
    pub class: Option<String>,
    pub shape: ShapeFile,
    #[serde(default)]
    pub motion: Motion,
    pub position: Triple,
    /// Roll, pitch, yaw about the world's x, y, z, in this order.
    pub rotation: Option<Triple>,
    pub velocity: Option<Triple>,
    /// Angular velocity.
    pub spin: Option<Triple>,
    /// kg; instead of `density`.
    pub mass: Option<Expression>,
    /// kg/m³; without one, and without `mass`, it is drawn.
    pub density: Option<Expression>,
    /// Without one it is drawn.
    pub friction: Option<Expression>,
    /// Without one it is drawn for what moves and 0 for what doesn't; the larger one of two bodies holds.
    pub restitution: Option<Expression>,
    /// Drag on linear and angular velocity, 1/s.
    pub damping: Option<[Expression; 2]>,
    /// Kinematic: velocity over time, from `t`; what actions do is added.
    pub moves: Option<Triple>,
    /// True: it is small and fast, so look for what it meets between two steps.
    #[serde(default)]
    pub fast: bool,
    /// False: it is seen and labelled, but nothing collides with it.
    #[serde(default = "yes")]
    pub solid: bool,
    /// How many of it there are; expressions have `i` (from 0) and `n`.
    pub repeat: Option<Expression>,
    /// Most that `repeat` gives.
    pub repeat_max: Option<usize>,
    /// Where its colour comes from; without one, from how it moves.
    pub color: Option<ColorFile>,
}

/// What a body may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum Motion {
    /// Physics moves it.
    #[default]
    Dynamic,
    /// Nothing moves it.
    Fixed,
    /// Actions alone move it.
    Kinematic,
}

/// A shape about the body's origin; lengths in metres, full extents.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum ShapeFile {
    /// Extents along x, y, z.
    Box(Triple),
    /// Radius.
    Sphere(Expression),
    /// Radius, height along z.
    Cylinder([Expression; 2]),
    /// Radius, height along z with its round ends.
    Capsule([Expression; 2]),
    /// A ramp: length along x, width along y, height at its +x end; the origin is in the middle of its underside.
    Wedge(Triple),
    /// The convex hull of these points.
    Hull(Vec<Triple>),
    /// An open box: extents along x, y, z and the walls' thickness; the origin is in the middle of its underside.
    Tray([Expression; 4]),
    /// An upside-down cup, open below: radius, height, thickness; the origin is in the middle of its rim.
    Cup(Triple),
    /// Triangles of an OBJ or STL file.
    Mesh(MeshFile),
}

/// Where a colour comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(in crate::scenario) enum ColorFile {
    /// A role of the randomisation's palette.
    Role(String),
    /// Linear red, green, blue.
    Linear([f32; 3]),
}

/// A link between two bodies; the world's frame at the start says where.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct JointFile {
    /// For `actions` to name it.
    pub name: Option<String>,
    pub kind: JointKind,
    /// Two names; a member of repeated bodies is `link[i + 1]`.
    pub between: [String; 2],
    /// Anchor at the start, world frame; for ropes and springs that of the first body.
    pub at: Triple,
    /// Rope and spring: anchor on the second body.
    pub to: Option<Triple>,
    /// Revolute and prismatic: axis at the start, world frame.
    pub axis: Option<Triple>,
    /// Lowest and highest angle or travel; 0 is the start.
    pub limits: Option<[Expression; 2]>,
    /// Rope: its length; without one, the distance at the start.
    pub length: Option<Expression>,
    /// Resistance of a hinge or slide, N·m·s or N·s/m.
    pub friction: Option<Expression>,
    pub motor: Option<MotorFile>,
    /// Whether the two bodies collide.
    #[serde(default)]
    pub contacts: bool,
    /// How many of it there are; expressions have `i` and `n`.
    pub repeat: Option<Expression>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum JointKind {
    Fixed,
    Revolute,
    Prismatic,
    Spherical,
    Rope,
    Spring,
}

/// A spring-damper towards an angle or a place.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct MotorFile {
    pub target: Expression,
    pub stiffness: Expression,
    pub damping: Expression,
    pub force_max: Option<Expression>,
}

/// One number of the action vector, −1 to 1.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct ActionFile {
    pub name: String,
    pub kind: ActionKind,
    pub body: Option<String>,
    pub joint: Option<String>,
    /// Further joints that do the same.
    #[serde(default)]
    pub also: Vec<String>,
    /// Force, torque, velocity: along this direction of the world.
    pub direction: Option<Triple>,
    /// What an action of 1 means: N, N·m, m/s, rad, rad/s, m.
    pub scale: Expression,
    /// Velocity: how far the body may go along the direction from where it started, metres.
    pub travel: Option<[Expression; 2]>,
    /// What the script does, from parameters, the time `t` and where bodies are; cut off at ±1.
    pub script: Expression,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum ActionKind {
    /// On a body's centre of mass.
    Force,
    /// On a body.
    Torque,
    /// Of a kinematic body.
    Velocity,
    /// Target angle or place of a joint's motor.
    MotorPosition,
    /// Target velocity of a joint's motor.
    MotorVelocity,
}

impl BodyFile {
    /// Most members; 1 for a body that is alone.
    pub fn repeat_max(&self) -> usize {
        match (&self.repeat, self.repeat_max) {
            (None, _) => 1,
            (Some(Expression::Number(count)), None) => *count as usize,
            (Some(_), most) => most.unwrap_or(0),
        }
    }
}

impl FamilyFile {
    /// Whether an action moves the body of this name.
    pub fn actuates(&self, body: &str) -> bool {
        let of_joint = |name: &String| {
            let joint = self.joints.iter().find(|joint| joint.name.as_ref() == Some(name));
            joint.is_some_and(|joint| joint.between[1].split('[').next() == Some(body))
        };
        self.actions.iter().any(|action| {
            action.body.as_deref().is_some_and(|name| name == body || is_member(name, body))
                || action.joint.iter().chain(&action.also).any(of_joint)
        })
    }
}

/// Whether `name` is `group` with a number.
fn is_member(name: &str, group: &str) -> bool {
    let number = name.strip_prefix(group).and_then(|rest| rest.strip_prefix('_'));
    number.is_some_and(|number| number.parse::<usize>().is_ok())
}
