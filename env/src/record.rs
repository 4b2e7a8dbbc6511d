//! What happened in a world, as records: contacts, applied forces, events. The tables beside a dataset's rows.

use serde::{Deserialize, Serialize};

use crate::Pose;

/// All that two bodies did to each other by touching, during one control step.
///
/// Limits: two soft bodies that touch each other have no record. Friction of a body with several contacts is shared
/// among them by load: their sum accounts for its momentum, each of them is an estimate (see
/// [`World::contacts`](crate::physics::World::contacts)).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// [`Instance::id`](crate::Instance::id) of the first body, 0 for something unseen.
    pub a: u16,
    /// Id of the second body, 0 for something unseen; `a < b` unless `b` is 0.
    pub b: u16,
    /// Mean place of the contact points, weighted by their impulse; world frame, metres.
    pub point: [f32; 3],
    /// Mean unit normal, from `a` to `b`, world frame.
    pub normal: [f32; 3],
    /// Impulse that `b` received from `a` (normal and friction), summed over the control step; world frame, N·s.
    pub impulse: [f32; 3],
    /// Deepest overlap during the step, metres; 0 if they only touched.
    pub penetration: f32,
}

/// A force that an actuator or a script put on a body during one control step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppliedForce {
    /// [`Instance::id`](crate::Instance::id) of the body.
    pub id: u16,
    /// Where it acts, world frame, metres.
    pub point: [f32; 3],
    /// Mean over the control step, world frame, N.
    pub force: [f32; 3],
    /// Mean over the control step, world frame, N·m.
    pub torque: [f32; 3],
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Two bodies began to touch; value: impulse of the step, N·s.
    Collision,
    /// A body that moved came to rest; value: seconds into the clip.
    Rest,
    /// A body fell over; value: its tilt, radians.
    Topple,
    /// A body in view began to be hidden by another; value: seconds into the clip.
    OcclusionStart,
    /// It can be seen again; value: seconds it was hidden.
    OcclusionEnd,
    /// A body left the picture; value: seconds into the clip.
    OutOfView,
    /// A body came back into the picture; value: seconds it was away.
    IntoView,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Collision,
        Self::Rest,
        Self::Topple,
        Self::OcclusionStart,
        Self::OcclusionEnd,
        Self::OutOfView,
        Self::IntoView,
    ];

    /// Name in datasets.
    pub fn name(self) -> &'static str {
        match self {
            Self::Collision => "collision",
            Self::Rest => "rest",
            Self::Topple => "topple",
            Self::OcclusionStart => "occlusion_start",
            Self::OcclusionEnd => "occlusion_end",
            Self::OutOfView => "out_of_view",
            Self::IntoView => "into_view",
        }
    }
}

/// One line of a clip's event log.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Row in which it shows first (for contacts: the row whose action was under way).
    pub frame: u32,
    /// What happened.
    pub kind: EventKind,
    /// Id of the body that it happened to.
    pub a: u16,
    /// Id of the other body (collision: what it met; occlusion: what hides it), 0 if there is none.
    pub b: u16,
    /// See [`EventKind`].
    pub value: f32,
}

/// What a joint leaves free, about the x axis of its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JointKind {
    /// Nothing.
    Fixed,
    /// Turning about x.
    Hinge,
    /// Sliding along x.
    Slider,
    /// Turning about any axis.
    Ball,
    /// All but being farther apart than the upper limit: a rope or spring.
    Distance,
}

/// A joint between two bodies, as the world was built with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joint {
    /// [`Instance::id`](crate::Instance::id) of the first body, 0 for the world.
    pub a: u16,
    /// Id of the second body.
    pub b: u16,
    /// What it leaves free.
    pub kind: JointKind,
    /// The joint's frame in the first body's frame (in the world's, if `a` is 0).
    pub frame_a: Pose,
    /// The joint's frame in the second body's frame; the two coincide when the joint is at 0.
    pub frame_b: Pose,
    /// Least and greatest position: radians for a hinge, metres for a slider or a distance.
    pub limits: Option<[f32; 2]>,
    /// Whether a motor or spring drives it.
    pub motor: bool,
}
