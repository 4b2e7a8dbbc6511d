use serde::{Deserialize, Serialize};
use worldstep_model::train::{
    Corruption, ObjectiveOptions, Optimizer, PhysicsOptions, SelfForcing, ShortStarts,
};

/// What the dynamics learns: all that a row can change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub objective: ObjectiveOptions,
    pub physics: PhysicsOptions,
    /// Of the dynamics.
    #[serde(default = "adamw")]
    pub optimizer: Optimizer,
}

/// What there was before there was a choice.
fn adamw() -> Optimizer {
    Optimizer::AdamW
}

/// One row of the table: the settings with something changed.
pub struct Variant {
    /// Name of its row and of its folder.
    pub name: &'static str,
    /// What is changed, for the reader of the table.
    pub change: &'static str,
    apply: fn(&mut Settings),
}

impl Variant {
    const fn new(name: &'static str, change: &'static str, apply: fn(&mut Settings)) -> Self {
        Self { name, change, apply }
    }

    /// Its settings, given those that all start from.
    pub fn settings(&self, base: &Settings) -> Settings {
        let mut settings = base.clone();
        (self.apply)(&mut settings);
        settings
    }
}

/// The rows, in order; the first is what the others are compared with. A new trick gets a line here.
pub const VARIANTS: [Variant; 15] = [
    Variant::new("all", "nothing", |_| ()),
    Variant::new("no-corruption", "context corruption off", |s| s.objective.corruption = Corruption::off()),
    Variant::new("no-changed-weight", "weight on changed codes off", |s| s.objective.changed_weight = 0.0),
    Variant::new("no-moving-weight", "weight on what moves off", |s| s.objective.moving_weight = 0.0),
    Variant::new("no-short-starts", "short-context starts off", |s| {
        s.objective.short_starts = ShortStarts::off();
    }),
    Variant::new("no-self-forcing", "self-forcing off", |s| s.objective.self_forcing = SelfForcing::off()),
    Variant::new("refiner", "masked refiner the other way", toggle_refiner),
    Variant::new("no-free-flight", "loss of free flight off", |s| s.physics.free_flight = 0.0),
    Variant::new("no-penetration", "loss of penetration off", |s| s.physics.penetration = 0.0),
    Variant::new("no-momentum", "loss of momentum off", |s| s.physics.momentum = 0.0),
    Variant::new("no-count", "loss of object count off", |s| s.physics.count = 0.0),
    Variant::new("no-hidden", "loss of hidden positions off", |s| s.physics.hidden = 0.0),
    Variant::new("no-physics", "all losses that know physics off", |s| s.physics = PhysicsOptions::OFF),
    Variant::new("plain", "all of it off", plain),
    Variant::new("adamw", "AdamW for all weights", |s| s.optimizer = Optimizer::AdamW),
];

/// Off where it is on, and on with its defaults where it is off.
fn toggle_refiner(settings: &mut Settings) {
    let refiner = &mut settings.objective.refiner;
    *refiner = if refiner.is_some() { None } else { Some(Default::default()) };
}

fn plain(settings: &mut Settings) {
    settings.physics = PhysicsOptions::OFF;
    settings.objective = ObjectiveOptions {
        corruption: Corruption::off(),
        changed_weight: 0.0,
        moving_weight: 0.0,
        short_starts: ShortStarts::off(),
        self_forcing: SelfForcing::off(),
        refiner: None,
        ..settings.objective.clone()
    };
}
