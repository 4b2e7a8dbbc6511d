//! Which clips are fit to learn from, judged from their ground truth alone.
//!
//! A clip is rejected for one reason, the first that holds in the order of [`Code`]. Clips of the registry's tasks are
//! looked at for numbers that are none only: whatever an agent can bring about belongs into its data.

mod balance;
mod energy;
mod finite;
mod framing;
mod joints;
mod mass_properties;
mod penetration;
mod reason;
mod signature;

use serde::{Deserialize, Serialize};
use worldstep_env::registry;

pub use balance::{Fit, Turn};
pub use reason::{Code, Reason};
pub use signature::Signature;

use crate::clips::{Link, Trajectory};

/// Outcomes of which stillness is the point.
pub const STILL_OUTCOMES: [&str; 15] = [
    "stayed",
    "stood",
    "stands",
    "held",
    "shut",
    "stable",
    "still",
    "none_fell",
    "not_reached",
    "not_lifted",
    "left_alone",
    "stood_ajar",
    // What robots come to when nothing is done, which is one of their behaviours.
    "untouched",
    "stuck",
    "missed",
];

/// Thresholds of the rules; a section of a configuration file can override any of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Curation {
    /// Rules that are not applied. Default none.
    pub off: Vec<Code>,
    /// Two bodies overlap by no more than this share of the thinner one's least extent. Default 0.4.
    pub penetration_share: f64,
    /// A deeper overlap lasts so many rows before it counts. Default 3.
    pub penetration_rows: u32,
    /// Mechanical energy may rise by this share of what the clip turns over, without anything that drives it.
    /// Default 0.2.
    pub energy_share: f64,
    /// It may rise by as much as lifts all free bodies so high, metres. Default 0.005.
    pub energy_lift: f64,
    /// Joined bodies drift apart by no more, metres. Default 0.03.
    pub joint_drift: f64,
    /// Joined bodies turn against what their joint leaves free, or beyond its limits, by no more, radians. Default 0.2.
    pub joint_turn: f64,
    /// A joint that fails does so for so many rows before it counts. Default 3.
    pub joint_rows: u32,
    /// Something has to move by as much, metres. Default 0.03.
    pub static_distance: f64,
    /// Outcomes of which stillness is the point; clips that come to them may be static.
    /// Default: the outcomes of the built-in families that say so ([`STILL_OUTCOMES`]).
    pub still_outcomes: Vec<String>,
    /// For no more than this share of the clip is none of the things that move in the picture. Default 0.75.
    pub out_of_frame_share: f64,
    /// Two clips of a scenario differ by more, metres (see [`Signature::distance`]). Default 0.01.
    pub duplicate_distance: f64,
    /// Attempts at a unit that should come to the outcome and the event whose [`Turn`] it is; after them, the best one of
    /// those will do. 0: the first sound attempt will. Default 8.
    pub balance_attempts: u32,
    /// Whether clips with and without an event take turns within an outcome, where the family's file says which events
    /// to look for. Default true.
    pub balance_events: bool,
}

impl Default for Curation {
    fn default() -> Self {
        Self {
            off: Vec::new(),
            penetration_share: 0.4,
            penetration_rows: 3,
            energy_share: 0.2,
            energy_lift: 0.005,
            joint_drift: 0.03,
            joint_turn: 0.2,
            joint_rows: 3,
            static_distance: 0.03,
            still_outcomes: STILL_OUTCOMES.map(str::to_owned).to_vec(),
            out_of_frame_share: 0.75,
            duplicate_distance: 0.01,
            balance_attempts: 8,
            balance_events: true,
        }
    }
}

type Rule = fn(&Trajectory, &Curation) -> Option<Reason>;

/// The rules that judge a clip by itself, in order.
const RULES: [(Code, Rule); 6] = [
    (Code::NonFinite, finite::check),
    (Code::Penetration, penetration::check),
    (Code::Energy, energy::check),
    (Code::JointLimit, joints::check),
    (Code::Static, framing::check_static),
    (Code::OutOfFrame, framing::check_out_of_frame),
];

/// Whether an annotated clip is fit.
///
/// # Errors
/// The first [`Reason`] why it is not.
pub fn check(trajectory: &Trajectory, curation: &Curation) -> Result<(), Reason> {
    let is_task = registry::find(&trajectory.scenario).is_ok();
    let exempt = exempt(trajectory);
    for (code, rule) in RULES {
        let applies = code == Code::NonFinite || !(is_task || exempt.contains(&code));
        if !applies || curation.off.contains(&code) {
            continue;
        }
        if let Some(reason) = rule(trajectory, curation) {
            return Err(reason);
        }
    }
    Ok(())
}

/// The rules that an impossible clip is made to break.
fn exempt(trajectory: &Trajectory) -> &'static [Code] {
    let Link::Violation { kind: Some(kind), .. } = trajectory.link else { return &[] };
    match kind {
        "pass_through" => &[Code::Penetration, Code::Energy],
        _ => &[Code::Penetration, Code::Energy, Code::JointLimit, Code::OutOfFrame],
    }
}
