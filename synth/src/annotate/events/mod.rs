//! The event log of a clip: what happened, from contacts, poses, velocities and visibility.

mod collisions;
mod latch;
mod motion;
mod sight;

use worldstep_env::record::Event;

use super::bodies::Bodies;
use super::visibility::Glimpse;
use crate::clips::Trajectory;

/// When something counts as an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventRules {
    /// Two bodies that touch again collide only if they were apart for so long, seconds. Default 0.1.
    pub apart_s: f64,
    /// An impact changes the lighter body's velocity by as much at least, m/s. Default 0.08.
    pub impact_speed: f64,
    /// and by so many times what bearing its weight for one row would, as far as the contact is level. Default 1.5.
    pub impact_weights: f64,
    /// No point of a body at rest is faster, m/s. Default 0.05.
    pub rest_speed: f64,
    /// It rests for so long at least, seconds. Default 0.3.
    pub rest_s: f64,
    /// A body has moved when a point of it was as fast for two rows, m/s. Default 0.15.
    pub moved_speed: f64,
    /// A body that stood upright has fallen over when it leans so far, radians. Default 50°.
    pub topple_angle: f64,
    /// It stands again below this, radians. Default 30°.
    pub stand_angle: f64,
    /// A body is hidden when no more of its part in the picture is seen. Default 0.05.
    pub hidden_share: f32,
    /// It is seen again from this share on. Default 0.15.
    pub seen_share: f32,
    /// A body is out of view when no more of its silhouette lies in the picture. Default 0.02.
    pub out_share: f32,
    /// It is in view again from this share on. Default 0.10.
    pub in_share: f32,
    /// Rows that a change of sight has to last. Default 2.
    pub sight_rows: usize,
}

impl Default for EventRules {
    fn default() -> Self {
        Self {
            apart_s: 0.1,
            impact_speed: 0.08,
            impact_weights: 1.5,
            rest_speed: 0.05,
            rest_s: 0.3,
            moved_speed: 0.15,
            topple_angle: 50_f64.to_radians(),
            stand_angle: 30_f64.to_radians(),
            hidden_share: 0.05,
            seen_share: 0.15,
            out_share: 0.02,
            in_share: 0.10,
            sight_rows: 2,
        }
    }
}

/// The events of `trajectory`, of whose instances the camera has `glimpses` (`len × K`), by frame, kind and ids.
pub fn detect(trajectory: &Trajectory, glimpses: &[Glimpse], rules: &EventRules) -> Vec<Event> {
    let bodies = Bodies::new(trajectory);
    let mut events = collisions::detect(trajectory, &bodies, rules);
    events.extend(motion::rests(trajectory, &bodies, rules));
    events.extend(motion::topples(trajectory, &bodies, rules));
    events.extend(sight::detect(trajectory, glimpses, rules));
    events.sort_by_key(|event| (event.frame, event.kind, event.a, event.b));
    events
}

/// Rows that `seconds` last, at least 1.
fn rows_of(seconds: f64, fps: u32) -> usize {
    ((seconds * f64::from(fps)).round() as usize).max(1)
}
