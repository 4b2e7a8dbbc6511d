//! What a recorded clip means, worked out from its poses and contacts alone: who sees what, what happened, in words.

mod bodies;
mod caption;
mod events;
mod excursion;
pub mod ray_cast;
mod solids;
mod triangles;
mod visibility;

pub use bodies::Bodies;
pub(crate) use bodies::turn;
pub use caption::{Clause, Motion, clauses, color_name, tell};
pub use events::{EventRules, detect};
pub(crate) use excursion::excursions;
pub(crate) use ray_cast::vector;
pub use ray_cast::{Eye, Hit, NEAR, Ray, RayCaster};
pub use visibility::{Glimpse, glimpses};

use crate::clips::Trajectory;

/// Fills what a recording leaves open: visibility, events and caption. The same trajectory gets the same.
pub fn annotate(trajectory: &mut Trajectory) {
    let glimpses = glimpses(trajectory);
    trajectory.visibility = glimpses.iter().map(Glimpse::visibility).collect();
    trajectory.events = detect(trajectory, &glimpses, &EventRules::default());
    trajectory.caption = tell(trajectory, &clauses(trajectory));
}
