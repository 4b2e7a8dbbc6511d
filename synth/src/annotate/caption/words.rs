use worldstep_env::record::EventKind;

use super::clause::Clause;
use super::motion::Motion;
use super::names::{Names, number};
use crate::clips::Trajectory;

/// The clauses in English; those of one subject share a sentence.
pub fn tell(trajectory: &Trajectory, clauses: &[Clause]) -> String {
    let names = Names::new(trajectory);
    let mut sentences: Vec<(String, Vec<String>)> = Vec::new();
    let mut timed = false;
    for clause in clauses {
        let subject = subject(clause, &names);
        let mut predicate = predicate(clause, &names);
        if let Clause::Happens { event, count: 1, .. } = clause
            && event.kind == EventKind::Collision
            && !timed
        {
            timed = true;
            predicate += &format!(" after {:.1} s", f64::from(event.frame) / f64::from(trajectory.fps));
        }
        if let Clause::Ended { rows, .. } = clause {
            predicate += &format!(" after {:.1} s", *rows as f64 / f64::from(trajectory.fps));
        }
        match sentences.last_mut() {
            Some((last, predicates)) if *last == subject => predicates.push(predicate),
            _ => sentences.push((subject, vec![predicate])),
        }
    }
    let sentences = sentences.into_iter().map(|(subject, predicates)| sentence(&subject, &predicates));
    sentences.collect::<Vec<_>>().join(" ")
}

fn sentence(subject: &str, predicates: &[String]) -> String {
    let listed = match predicates {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    };
    let mut letters = subject.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter();
    format!("{} {listed}.", first.chain(letters).collect::<String>())
}

fn subject(clause: &Clause, names: &Names) -> String {
    match clause {
        Clause::Moves { id, .. } | Clause::Happens { subject: id, .. } => names.of(*id),
        Clause::Topple { ids } => names.of_several(ids),
        Clause::Still => "nothing".to_owned(),
        Clause::Ended { .. } => "the task".to_owned(),
    }
}

fn predicate(clause: &Clause, names: &Names) -> String {
    match clause {
        Clause::Moves { how, .. } => moving(*how, names),
        Clause::Happens { subject, event, count } => {
            let other = if event.a == *subject { event.b } else { event.a };
            happening(event.kind, event.a == *subject, &names.of(other)) + &times(*count)
        }
        Clause::Topple { .. } => "topple".to_owned(),
        Clause::Still => "moves".to_owned(),
        Clause::Ended { success: true, .. } => "is solved".to_owned(),
        Clause::Ended { success: false, .. } => "ends unsolved".to_owned(),
    }
}

fn moving(how: Motion, names: &Names) -> String {
    match how {
        Motion::Falls => "falls".to_owned(),
        Motion::Flies => "flies".to_owned(),
        Motion::Rolls => "rolls".to_owned(),
        Motion::RollsDown(id) => format!("rolls down {}", names.of(id)),
        Motion::Slides => "slides".to_owned(),
        Motion::SlidesDown(id) => format!("slides down {}", names.of(id)),
        Motion::Swings => "swings".to_owned(),
        Motion::Moves => "moves".to_owned(),
    }
}

fn happening(kind: EventKind, acts: bool, other: &str) -> String {
    match kind {
        EventKind::Collision if acts => format!("hits {other}"),
        EventKind::Collision => format!("is hit by {other}"),
        EventKind::Rest => "comes to rest".to_owned(),
        EventKind::Topple => "topples".to_owned(),
        EventKind::OcclusionStart => format!("disappears behind {other}"),
        EventKind::OcclusionEnd => "is seen again".to_owned(),
        EventKind::OutOfView => "leaves the picture".to_owned(),
        EventKind::IntoView => "comes into the picture".to_owned(),
    }
}

fn times(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        2 => " twice".to_owned(),
        count => format!(" {} times", number(count)),
    }
}
