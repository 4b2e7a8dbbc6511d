use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::Value;

use crate::clips::SynthError;
use crate::inspect::{Dataset, Rows};
use crate::lerobot::{Clip, Source};

/// Distributions of sampled parameters that are shown of one dataset.
pub const PARAMETERS_MAX: usize = 60;
/// First parts of parameters' names, in the order in which they are shown; what has none of them comes first.
const PARAMETER_GROUPS: [&str; 8] =
    ["physics", "family", "sensor", "camera", "light", "sky", "distractors", "look"];

/// What is counted and measured in one dataset.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// Rows of all clips.
    pub frames: usize,
    /// Rows of each clip.
    pub lengths: Vec<f64>,
    /// Clips by outcome, the family's order.
    pub outcomes: BTreeMap<String, usize>,
    /// Clips by split.
    pub splits: BTreeMap<String, usize>,
    /// Clips by behaviour.
    pub policies: BTreeMap<String, usize>,
    /// Clips by what they are linked with.
    pub links: BTreeMap<&'static str, usize>,
    /// Units, and attempts that were rejected by reason.
    pub units: usize,
    /// Rejected attempts by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Sound attempts that were passed over for balance.
    pub redrawn: u64,
    /// Values of every sampled parameter.
    pub parameters: BTreeMap<String, Vec<f64>>,
    /// Events by kind, over the clips read.
    pub events: BTreeMap<&'static str, usize>,
    /// Events by kind and outcome, over the clips read.
    pub event_outcomes: BTreeMap<&'static str, BTreeMap<String, usize>>,
    /// Clips whose trajectories were read.
    pub clips_read: usize,
    /// Distributions over the trajectories read: name, unit, values.
    pub trajectories: Vec<(&'static str, &'static str, Vec<f64>)>,
}

/// What one clip adds to the distributions.
#[derive(Default)]
struct Measured {
    speed: Vec<f64>,
    spin: Vec<f64>,
    height: Vec<f64>,
    way: Vec<f64>,
    visibility: Vec<f64>,
    impulse: Vec<f64>,
    penetration: Vec<f64>,
    force: Vec<f64>,
    reward: Vec<f64>,
    action: Vec<f64>,
    events: Vec<&'static str>,
    outcome: String,
}

impl Gathered {
    /// Counts `meta` in full and reads the numbers of up to `clips_read` clips.
    ///
    /// # Errors
    /// [`SynthError::Read`].
    pub fn of(dataset: &Dataset, clips_read: usize) -> Result<Self, SynthError> {
        let mut gathered = Self::default();
        gathered.count(dataset);
        let count = dataset.episodes.len();
        let stride = count.div_ceil(clips_read.max(1)).max(1);
        let chosen: Vec<usize> = (0..count).step_by(stride).collect();
        let measured: Result<Vec<Measured>, SynthError> = chosen
            .par_iter()
            .map(|index| {
                let clip = dataset.numbers(*index)?;
                Ok(measure(&dataset.number_rows(&clip)))
            })
            .collect();
        gathered.clips_read = chosen.len();
        gathered.merge(&measured?);
        Ok(gathered)
    }

    fn count(&mut self, dataset: &Dataset) {
        for outcome in &dataset.scenario().outcomes {
            self.outcomes.insert(outcome.clone(), 0);
        }
        let mut units = std::collections::BTreeSet::new();
        for entry in &dataset.episodes {
            let facts = &entry.facts;
            self.frames += entry.length;
            self.lengths.push(entry.length as f64);
            if !facts.outcome.is_empty() {
                *self.outcomes.entry(facts.outcome.clone()).or_default() += 1;
            }
            *self.splits.entry(facts.split.clone()).or_default() += 1;
            *self.policies.entry(facts.policy.clone()).or_default() += 1;
            let link = match &facts.links {
                links if links.branch_parent.is_some() => "branches",
                links if !links.violation.is_empty() => "impossible",
                links if links.pair.is_some() => "possible twins",
                _ => "single or parents",
            };
            *self.links.entry(link).or_default() += 1;
            units.insert(facts.unit);
            for (reason, count) in &facts.rejected {
                *self.rejected.entry(reason.clone()).or_default() += count;
            }
            self.redrawn += facts.redrawn;
            if let Ok(Value::Object(parameters)) = serde_json::from_str(&facts.parameters) {
                for (name, value) in parameters {
                    self.parameters.entry(name).or_default().extend(value.as_f64());
                }
            }
        }
        self.units = units.len();
    }

    fn merge(&mut self, measured: &[Measured]) {
        for clip in measured {
            for kind in &clip.events {
                *self.events.entry(kind).or_default() += 1;
                let by_outcome = self.event_outcomes.entry(kind).or_default();
                *by_outcome.entry(clip.outcome.clone()).or_default() += 1;
            }
        }
        let all =
            |of: fn(&Measured) -> &Vec<f64>| measured.iter().flat_map(of).copied().collect::<Vec<f64>>();
        self.trajectories = vec![
            ("speed of moving things", "m/s", all(|m| &m.speed)),
            ("spin of moving things", "rad/s", all(|m| &m.spin)),
            ("height of moving things", "m", all(|m| &m.height)),
            ("way of a moving thing in a clip", "m", all(|m| &m.way)),
            ("visible share of moving things", "", all(|m| &m.visibility)),
            ("contact impulse, log10", "N·s", all(|m| &m.impulse)),
            ("deepest overlap in contact", "mm", all(|m| &m.penetration)),
            ("applied force", "N", all(|m| &m.force)),
            ("reward of a row", "", all(|m| &m.reward)),
            ("action values", "", all(|m| &m.action)),
        ];
        self.trajectories.retain(|(_, _, values)| !values.is_empty());
    }

    /// The parameters whose distributions are shown: what moves things before what they look like, and of the looks of
    /// single bodies what there is room for.
    pub fn parameters_shown(&self) -> Vec<(&str, &[f64])> {
        let group = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let rank = |name: &str| {
            let group = group(name);
            PARAMETER_GROUPS.iter().position(|known| *known == group)
        };
        let mut shown: Vec<_> =
            self.parameters.iter().map(|(name, values)| (name.as_str(), values.as_slice())).collect();
        shown.sort_by_key(|(name, _)| (rank(name), *name));
        shown.truncate(PARAMETERS_MAX);
        shown
    }

    /// Attempts in all but those drawn again for balance, and the share of them that was accepted.
    pub fn attempts(&self) -> (u64, f64) {
        let attempts = self.units as u64 + self.rejected.values().sum::<u64>();
        (attempts, self.units as f64 / attempts.max(1) as f64)
    }
}

fn measure(rows: &Rows<'_>) -> Measured {
    let clip: &Clip = rows.clip;
    let mut measured = Measured { outcome: clip.facts.outcome.clone(), ..Measured::default() };
    for (slot, label) in rows.scenario.instances.iter().enumerate().filter(|(_, label)| label.moving) {
        if rows.ids(0).get(slot).is_none_or(|id| *id == 0) {
            continue;
        }
        let mut way = 0.0;
        for t in 0..clip.len {
            let (pose, velocity) = (rows.pose(t, slot), rows.velocity(t, slot));
            measured.speed.push(length(&velocity[..3]));
            measured.spin.push(length(&velocity[3..]));
            measured.height.push(f64::from(pose[2]));
            if !label.actuated {
                let seen = rows.row(Source::Visibility, t).get(slot).map(|share| f64::from(*share));
                measured.visibility.extend(seen);
            }
            if t > 0 {
                let before = rows.pose(t - 1, slot);
                way += length(&[pose[0] - before[0], pose[1] - before[1], pose[2] - before[2]]);
            }
        }
        measured.way.push(way);
    }
    for (_, contact) in &clip.contacts {
        let impulse = length(&contact.impulse);
        measured.impulse.extend((impulse > 0.0).then(|| impulse.log10()));
        measured.penetration.push(1000.0 * f64::from(contact.penetration));
    }
    measured.force.extend(clip.forces.iter().map(|(_, force)| length(&force.force)));
    measured.reward.extend(rows.floats(Source::Reward).iter().map(|value| f64::from(*value)));
    measured.action.extend(rows.floats(Source::Action).iter().map(|value| f64::from(*value)));
    measured.events.extend(clip.events.iter().map(|event| event.kind.name()));
    measured
}

fn length(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}
