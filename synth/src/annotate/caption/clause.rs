use worldstep_env::record::{Event, EventKind};

use super::motion::{Motion, motion};
use crate::annotate::bodies::{Bodies, is_of_class};
use crate::annotate::excursion::excursions;
use crate::clips::Trajectory;

/// Most that is told of the thing that most happens to.
const MAIN_CLAUSES_MAX: usize = 4;
/// Most that is told of all others.
const OTHER_CLAUSES_MAX: usize = 2;
/// What moves less stays where it is, metres.
const STILL_M: f64 = 0.03;

/// One thing that a caption says.
#[derive(Clone, Debug, PartialEq)]
pub enum Clause {
    /// A body moves, before anything happens to it.
    Moves {
        /// Its id.
        id: u16,
        /// How.
        how: Motion,
    },
    /// An event of the log, which happens to `subject`, `count` times between the same two.
    Happens {
        /// [`Event::a`] or, of a collision, [`Event::b`].
        subject: u16,
        /// The first of them.
        event: Event,
        /// How often.
        count: usize,
    },
    /// The same happens to several bodies: they topple.
    Topple {
        /// Their ids.
        ids: Vec<u16>,
    },
    /// Nothing moves.
    Still,
    /// The task ended after so many rows, with success or without.
    Ended {
        /// Whether it was solved.
        success: bool,
        /// Rows until then.
        rows: usize,
    },
}

/// What there is to say about a clip whose events are known: about one body in the order of time, then about others.
pub fn clauses(trajectory: &Trajectory) -> Vec<Clause> {
    let excursions = excursions(trajectory);
    let bodies = Bodies::new(trajectory);
    let Some(main) = main_body(trajectory, &bodies, &excursions) else {
        let mut still = vec![Clause::Still];
        still.extend(ending(trajectory));
        return still;
    };
    let id = trajectory.scene.instances[main].id;
    let mut told = about(trajectory, id);
    let first = told.iter().filter_map(frame_of).min().map_or(trajectory.len, |frame| frame as usize);
    let how = motion(trajectory, &bodies, main, first);
    let room = MAIN_CLAUSES_MAX - usize::from(how.is_some());
    keep_weightiest(trajectory, &mut told, room);
    let mut out: Vec<Clause> = how.map(|how| Clause::Moves { id, how }).into_iter().chain(told).collect();
    out.extend(about_others(trajectory, id, &out));
    if out.is_empty() {
        // It moved, though nothing was noted and no word fits better.
        out.push(Clause::Moves { id, how: Motion::Moves });
    }
    out.extend(ending(trajectory));
    out
}

/// The body that does most; of those that do as much, the one that moves farthest. Bodies that physics
/// moves come before those that actions do.
fn main_body(trajectory: &Trajectory, bodies: &Bodies, excursions: &[f64]) -> Option<usize> {
    let instances = &trajectory.scene.instances;
    let weight = |index: usize| {
        let id = instances[index].id;
        trajectory.events.iter().filter(|event| event.a == id).count()
    };
    let candidate = |driven: bool| {
        let fits = |index: &usize| {
            instances[*index].moving && bodies.driven[*index] == driven && excursions[*index] > STILL_M
        };
        let order = |a: &usize, b: &usize| {
            weight(*a).cmp(&weight(*b)).then(excursions[*a].total_cmp(&excursions[*b]))
        };
        (0..instances.len()).filter(fits).rev().max_by(order)
    };
    candidate(false).or_else(|| candidate(true))
}

/// All that happens to a body, in order, collisions with the same other counted together.
fn about(trajectory: &Trajectory, id: u16) -> Vec<Clause> {
    let mut out: Vec<Clause> = Vec::new();
    for event in trajectory.events.iter().filter(|event| concerns(event, id)) {
        let known = out.iter_mut().find_map(|clause| match clause {
            Clause::Happens { event: first, count, .. } if is_same(first, event) => Some(count),
            _ => None,
        });
        match known {
            Some(count) => *count += 1,
            None => out.push(Clause::Happens { subject: id, event: *event, count: 1 }),
        }
    }
    out
}

fn concerns(event: &Event, id: u16) -> bool {
    match event.kind {
        // What is unseen has no name.
        EventKind::Collision => event.b != 0 && (event.a == id || event.b == id),
        _ => event.a == id,
    }
}

/// Whether two events differ in time alone; who hits whom is one and the same.
fn is_same(a: &Event, b: &Event) -> bool {
    a.kind == b.kind && ((a.a, a.b) == (b.a, b.b) || (a.a, a.b) == (b.b, b.a))
}

/// What is most worth telling, kept in order.
fn keep_weightiest(trajectory: &Trajectory, clauses: &mut Vec<Clause>, most: usize) {
    while clauses.len() > most {
        // Of the least weighty, the last goes.
        let least = (0..clauses.len()).rev().min_by_key(|index| weight(trajectory, &clauses[*index]));
        let Some(least) = least else { return };
        clauses.remove(least);
    }
}

fn weight(trajectory: &Trajectory, clause: &Clause) -> u32 {
    let Clause::Happens { subject, event, .. } = clause else { return 0 };
    let other = if event.a == *subject { event.b } else { event.a };
    let other = trajectory.scene.instances.iter().find(|instance| instance.id == other);
    match event.kind {
        EventKind::Topple => 6,
        EventKind::Collision if other.is_some_and(|other| other.moving) => 5,
        EventKind::OcclusionStart => 5,
        EventKind::OcclusionEnd => 4,
        EventKind::Collision if other.is_some_and(|other| !is_of_class(other, &["ground"])) => 4,
        EventKind::Rest => 3,
        EventKind::OutOfView => 3,
        EventKind::IntoView => 2,
        EventKind::Collision => 1,
    }
}

/// What happens to the rest and is not told yet.
fn about_others(trajectory: &Trajectory, main: u16, told: &[Clause]) -> Vec<Clause> {
    let is_told = |event: &Event| {
        told.iter()
            .any(|clause| matches!(clause, Clause::Happens { event: first, .. } if is_same(first, event)))
    };
    let others =
        trajectory.events.iter().filter(|event| event.a != main && event.b != main && !is_told(event));
    let mut toppled: Vec<u16> =
        others.clone().filter(|event| event.kind == EventKind::Topple).map(|event| event.a).collect();
    toppled.sort_unstable();
    toppled.dedup();
    let mut out = Vec::new();
    if toppled.len() > 1 {
        out.push(Clause::Topple { ids: toppled.clone() });
    }
    let mut singles: Vec<Clause> = Vec::new();
    for event in others.filter(|event| concerns(event, event.a)) {
        let grouped = event.kind == EventKind::Topple && toppled.len() > 1;
        let again = singles
            .iter()
            .any(|clause| matches!(clause, Clause::Happens { event: first, .. } if is_same(first, event)));
        if !grouped && !again {
            let count = trajectory.events.iter().filter(|other| is_same(other, event)).count();
            singles.push(Clause::Happens { subject: event.a, event: *event, count });
        }
    }
    keep_weightiest(trajectory, &mut singles, OTHER_CLAUSES_MAX - out.len());
    out.extend(singles);
    out
}

fn frame_of(clause: &Clause) -> Option<u32> {
    match clause {
        Clause::Happens { event, .. } => Some(event.frame),
        _ => None,
    }
}

/// How an episode of a task ended, if it did.
fn ending(trajectory: &Trajectory) -> Option<Clause> {
    let rows = trajectory.len;
    let ended = trajectory.terminated.last() == Some(&true);
    let success = trajectory.success.last() == Some(&true);
    (ended || success).then_some(Clause::Ended { success, rows })
}
