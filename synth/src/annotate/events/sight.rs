use worldstep_env::record::{Event, EventKind};

use super::EventRules;
use super::latch::Latch;
use crate::annotate::bodies::is_of_class;
use crate::annotate::visibility::Glimpse;
use crate::clips::Trajectory;

/// What hides things that move, and when they leave the picture and come back.
pub fn detect(trajectory: &Trajectory, glimpses: &[Glimpse], rules: &EventRules) -> Vec<Event> {
    let instances = &trajectory.scene.instances;
    let mut events = Vec::new();
    for (index, instance) in instances.iter().enumerate() {
        if !instance.moving || is_of_class(instance, &["robot"]) {
            continue;
        }
        let Some(first) = glimpses.get(index) else { continue };
        let mut watch = Watch::new(instance.id, first, trajectory.fps, rules);
        for row in 0..trajectory.len {
            let glimpse = &glimpses[row * instances.len() + index];
            let blocker = glimpse.blocker.and_then(|index| instances.get(usize::from(index)));
            watch.blocker = blocker.map_or(watch.blocker, |instance| instance.id);
            watch.follow_picture(row, glimpse, rules, &mut events);
            watch.follow_hiding(row, glimpse, rules, &mut events);
        }
    }
    events
}

/// One instance from row to row.
struct Watch {
    id: u16,
    fps: u32,
    away: Latch,
    away_since: usize,
    hidden: Latch,
    hidden_since: usize,
    /// Id of what hid it last.
    blocker: u16,
}

impl Watch {
    fn new(id: u16, first: &Glimpse, fps: u32, rules: &EventRules) -> Self {
        let away = Latch::new(first.in_picture() <= rules.out_share, rules.sight_rows);
        let hidden = Latch::new(!away.is_on() && first.unhidden() <= rules.hidden_share, rules.sight_rows);
        Self { id, fps, away, away_since: 0, hidden, hidden_since: 0, blocker: 0 }
    }

    fn follow_picture(&mut self, row: usize, glimpse: &Glimpse, rules: &EventRules, out: &mut Vec<Event>) {
        let wanted = between(glimpse.in_picture(), rules.out_share, rules.in_share);
        let Some(since) = self.away.feed(row, wanted) else { return };
        if self.away.is_on() {
            self.away_since = since;
            // What it is hidden by out of the picture, nobody can tell.
            self.hidden = Latch::new(false, rules.sight_rows);
            out.push(self.event(since, EventKind::OutOfView, 0, 0));
        } else {
            out.push(self.event(since, EventKind::IntoView, 0, self.away_since));
        }
    }

    fn follow_hiding(&mut self, row: usize, glimpse: &Glimpse, rules: &EventRules, out: &mut Vec<Event>) {
        if self.away.is_on() || glimpse.in_picture() <= rules.out_share {
            return;
        }
        let wanted = between(glimpse.unhidden(), rules.hidden_share, rules.seen_share);
        let Some(since) = self.hidden.feed(row, wanted) else { return };
        if self.hidden.is_on() {
            self.hidden_since = since;
            out.push(self.event(since, EventKind::OcclusionStart, self.blocker, 0));
        } else {
            out.push(self.event(since, EventKind::OcclusionEnd, self.blocker, self.hidden_since));
        }
    }

    /// An event of row `frame` whose value is the time since row `from`.
    fn event(&self, frame: usize, kind: EventKind, b: u16, from: usize) -> Event {
        let value = (frame - from) as f32 / self.fps as f32;
        Event { frame: frame as u32, kind, a: self.id, b, value }
    }
}

/// Whether a share is at most `low` (yes), at least `high` (no), or neither.
fn between(share: f32, low: f32, high: f32) -> Option<bool> {
    if share <= low {
        Some(true)
    } else if share >= high {
        Some(false)
    } else {
        None
    }
}
