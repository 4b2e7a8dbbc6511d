use worldstep_env::dataset::ScenarioInfo;

use super::Body;
use super::tables::Contact;

/// Who touches whom in one clip.
pub struct Touches<'a> {
    /// Id of each tracked object.
    ids: Vec<u16>,
    /// Whether forces can change its velocity.
    dynamic: Vec<bool>,
    /// By row.
    contacts: &'a [Contact],
}

impl<'a> Touches<'a> {
    pub fn new(scenario: &ScenarioInfo, bodies: &[Body], contacts: &'a [Contact]) -> Self {
        let tracked = scenario.instances.iter().filter(|label| label.moving);
        Self {
            ids: tracked.map(|label| label.id).collect(),
            dynamic: bodies.iter().map(Body::is_dynamic).collect(),
            contacts,
        }
    }

    pub fn id(&self, slot: usize) -> u16 {
        self.ids[slot]
    }

    /// Whether anything touches the object of `slot` from row `t` to the next.
    pub fn is_touched(&self, t: usize, slot: usize) -> bool {
        let id = self.ids[slot];
        self.at(t).any(|contact| contact.a == id || contact.b == id)
    }

    /// [`PhysicsFacts::touch_group`](super::PhysicsFacts::touch_group) of row `t`.
    pub fn groups(&self, t: usize) -> Vec<u16> {
        let mut groups: Vec<u16> = (0..self.ids.len())
            .map(|slot| if self.dynamic[slot] && self.is_touched(t, slot) { slot as u16 + 1 } else { 0 })
            .collect();
        for contact in self.at(t) {
            let slot = |id: u16| self.ids.iter().position(|other| *other == id);
            let (Some(a), Some(b)) = (slot(contact.a), slot(contact.b)) else { continue };
            let (a, b) = (groups[a], groups[b]);
            // What cannot be moved takes any momentum: it joins nothing.
            if a != 0 && b != 0 {
                groups.iter_mut().filter(|group| **group == a.max(b)).for_each(|group| *group = a.min(b));
            }
        }
        groups
    }

    fn at(&self, t: usize) -> impl Iterator<Item = &Contact> {
        let first = self.contacts.partition_point(|contact| contact.frame < t);
        self.contacts[first..].iter().take_while(move |contact| contact.frame == t)
    }
}

#[cfg(test)]
mod tests {
    use worldstep_env::Space;
    use worldstep_env::dataset::InstanceLabel;

    use super::*;

    #[test]
    fn what_touches_through_others_is_one_group_and_what_cannot_move_joins_none() {
        let label = |id: u16, moving| InstanceLabel { id, name: id.to_string(), moving, actuated: false };
        let scenario = ScenarioInfo {
            id: "Toy-v0".to_owned(),
            action_space: Space::Discrete { n: 2, start: 0 },
            state_space: Space::bounded(&[0.0], &[1.0]),
            max_episode_steps: 9,
            instances: vec![label(1, false), label(2, true), label(3, true), label(4, true), label(5, true)],
            outcomes: Vec::new(),
        };
        let body = |mass_kg| Body { exists: true, mass_kg, ..Body::default() };
        let bodies = [body(1.0), body(f32::INFINITY), body(2.0), body(3.0)];
        let touch = |frame, a, b| Contact { frame, a, b };
        let contacts = [touch(0, 2, 5), touch(0, 4, 5), touch(1, 2, 3), touch(1, 3, 4), touch(2, 1, 4)];
        let touches = Touches::new(&scenario, &bodies, &contacts);
        assert_eq!(touches.groups(0), [1, 0, 1, 1]);
        assert_eq!(touches.groups(1), [1, 0, 3, 0]);
        assert_eq!(touches.groups(2), [0, 0, 3, 0]);
        assert_eq!(touches.groups(3), [0; 4]);
        assert!(touches.is_touched(1, 1) && !touches.is_touched(0, 1));
    }
}
