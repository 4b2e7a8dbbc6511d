//! Scenario families: worlds as plain data. `synth/scenarios/README.md` explains the files.
//!
//! File ([`file`]) + seed → drawn values ([`parameters`]) → world ([`build`]) → rows ([`play`]) → outcome.

mod appearance;
mod build;
mod check;
mod distractors;
mod file;
mod joints;
mod mesh_file;
mod motion;
mod outcome_file;
mod parameters;
mod play;
mod shapes;
mod soft;
mod violation;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use worldstep_env::Space;
use worldstep_env::dataset::InstanceLabel;
use worldstep_env::policy::{PolicyKind, PolicyMix};
use worldstep_env::record::EventKind;

use self::build::Materials;
use self::file::{FamilyFile, Motion as BodyMotion, ShapeFile};
use self::motion::Motion;
use self::parameters::evaluate;
use self::play::{Play, STATE_WIDTH};
use super::randomisation::DISTRACTORS_MAX;
use super::range::{Draws, family_seed};
use super::recording::{self, Simulation, Source};
use super::{ScenarioOptions, UnitKind, UnitRequest};
use crate::clips::{Sensor, SynthError, Trajectory};

macro_rules! family {
    ($name:literal) => {
        (concat!($name, ".toml"), include_str!(concat!("../../../scenarios/", $name, ".toml")))
    };
}

/// Files that come with this program: one row a family.
const BUILT_IN: &[(&str, &str)] = &[
    family!("toss"),
    family!("drop"),
    family!("roll-down-ramp"),
    family!("slide-with-friction"),
    family!("billiards"),
    family!("mass-ratio"),
    family!("restitution-sweep"),
    family!("tower"),
    family!("dominoes"),
    family!("support-edge"),
    family!("containment"),
    family!("pendulum"),
    family!("chain"),
    family!("hinge-door"),
    family!("roll-behind-screen"),
    family!("drop-behind-wall"),
    family!("cup-and-ball"),
    family!("soft-cube"),
    family!("cloth-over-obstacle"),
    family!("rope"),
    family!("arm-pushing"),
    family!("gripper-picking"),
    family!("mobile-base-pushing"),
];

/// Bound of every element of the state observation, SI.
const STATE_BOUND: f32 = 1e4;
/// Longest clip in rows.
const ROWS_MAX: usize = 10_000;

/// A family of worlds, read from a file.
#[derive(Debug)]
pub struct Family {
    file: FamilyFile,
    path: PathBuf,
    fingerprint: String,
    outcomes: Vec<String>,
    action_space: Space,
}

impl Family {
    /// Every family that comes with this program, in the order of the table.
    ///
    /// # Errors
    /// [`SynthError::Config`]; a test reads them all.
    pub fn built_in() -> Result<Vec<Arc<Self>>, SynthError> {
        BUILT_IN.iter().map(|(name, text)| Self::parse(Path::new(name), text)).collect()
    }

    /// The built-in family of this name, if there is one.
    pub(super) fn find(name: &str) -> Option<Result<Arc<Self>, SynthError>> {
        let row = BUILT_IN.iter().find(|(file, _)| file.strip_suffix(".toml") == Some(name));
        row.map(|(file, text)| Self::parse(Path::new(file), text))
    }

    /// Names of the built-in families.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().filter_map(|(file, _)| file.strip_suffix(".toml"))
    }

    /// The family in the file at `path`.
    ///
    /// # Errors
    /// [`SynthError::Config`] names the file, the key, and what would be right.
    pub fn load(path: &Path) -> Result<Arc<Self>, SynthError> {
        let wrong = |message: String| SynthError::Config { path: path.to_owned(), message };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        Self::parse(path, &text)
    }

    /// The family that `text` describes; errors call it by `path`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(path: &Path, text: &str) -> Result<Arc<Self>, SynthError> {
        let wrong = |message: String| SynthError::Config { path: path.to_owned(), message };
        let mut file: FamilyFile =
            toml::from_str(text).map_err(|error| SynthError::config(path, text, &error))?;
        check::check(&file).map_err(wrong)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(text.as_bytes());
        for body in &mut file.bodies {
            let ShapeFile::Mesh(mesh) = &mut body.shape else { continue };
            let hash = mesh.load(path.parent().unwrap_or(Path::new("")), body.motion);
            let hash = hash.map_err(|message| wrong(format!("bodies.{}.shape: {message}", body.name)))?;
            hasher.update(hash.as_bytes());
        }
        let width = file.actions.len();
        let family = Arc::new(Self {
            path: path.to_owned(),
            fingerprint: hasher.finalize().to_hex().to_string(),
            outcomes: file.outcomes.iter().map(|outcome| outcome.name.clone()).collect(),
            action_space: Space::bounded(&vec![-1.0; width], &vec![1.0; width]),
            file,
        });
        // A trial finds what only a world can tell: lengths, indices, names in rules.
        let options = ScenarioOptions::default();
        let request = UnitRequest { seed: 0, kind: UnitKind::Single, options: &options };
        FamilySource { family: family.clone(), request }.play()?;
        Ok(family)
    }

    pub(super) fn error(&self, message: String) -> SynthError {
        SynthError::Config { path: self.path.clone(), message }
    }

    /// Name, kebab-case.
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// One line on what happens.
    pub fn summary(&self) -> &str {
        &self.file.summary
    }

    /// BLAKE3 of the file, and of the mesh files that it names, hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// How clips can end.
    pub fn outcomes(&self) -> &[String] {
        &self.outcomes
    }

    /// See [`Scenario::events_looked_for`](super::Scenario::events_looked_for).
    pub(super) fn events_looked_for(&self, outcome: usize) -> &[EventKind] {
        self.file.outcomes.get(outcome).map_or(&[], |outcome| &outcome.events)
    }

    /// Kinds of impossible twins that it has.
    pub fn violations(&self) -> impl Iterator<Item = &'static str> {
        self.file.violations.iter().map(|violation| violation.kind.name())
    }

    pub(super) fn fps(&self) -> u32 {
        self.file.fps
    }

    pub(super) fn rows(&self, horizon: f32) -> usize {
        (self.file.seconds * self.file.fps as f32 * horizon).round() as usize
    }

    pub(super) fn action_space(&self) -> Space {
        self.action_space.clone()
    }

    pub(super) fn state_space(&self) -> Space {
        let bodies = self.file.bodies.iter().filter(|body| body.motion != BodyMotion::Fixed);
        let bodies = bodies.map(|body| body.repeat_max()).sum::<usize>();
        let width = STATE_WIDTH * (bodies + self.file.soft.len());
        Space::bounded(&vec![-STATE_BOUND; width], &vec![STATE_BOUND; width])
    }

    pub(super) fn slots(&self) -> Vec<InstanceLabel> {
        let bodies = &self.file.bodies;
        let mut slots = Vec::new();
        let mut push = |name: String, moving: bool, actuated: bool| {
            slots.push(InstanceLabel { id: slots.len() as u16 + 1, name, moving, actuated });
        };
        let label =
            |body: &file::BodyFile| (body.motion != BodyMotion::Fixed, self.file.actuates(&body.name));
        for body in bodies.iter().filter(|body| body.repeat.is_none()) {
            let (moving, actuated) = label(body);
            push(body.name.clone(), moving, actuated);
        }
        for soft in &self.file.soft {
            push(soft.name.clone(), true, self.file.actuates(&soft.name));
        }
        for body in bodies.iter().filter(|body| body.repeat.is_some()) {
            let (moving, actuated) = label(body);
            (0..body.repeat_max()).for_each(|i| push(format!("{}_{i}", body.name), moving, actuated));
        }
        if self.file.distractors {
            (0..DISTRACTORS_MAX).for_each(|i| push(format!("distractor_{i}"), false, false));
        }
        slots
    }

    pub(super) fn camera_names(&self) -> Vec<String> {
        std::iter::once(String::new()).chain(self.file.cameras.iter().map(|rig| rig.name.clone())).collect()
    }

    /// Whether it has units of this kind and length.
    pub(super) fn check(&self, kind: UnitKind, horizon: f32) -> Result<(), SynthError> {
        let rows = self.rows(horizon);
        if !(1..=ROWS_MAX).contains(&rows) {
            let message = format!(
                "horizon {horizon} gives {} clips of {rows} rows, expected 1 to {ROWS_MAX}",
                self.name()
            );
            return Err(SynthError::Options { message });
        }
        if kind == UnitKind::Pair { violation::check(self) } else { Ok(()) }
    }

    /// Runs a unit.
    pub(super) fn simulate(
        self: &Arc<Self>,
        request: &UnitRequest<'_>,
    ) -> Result<Vec<Trajectory>, SynthError> {
        let source = FamilySource { family: self.clone(), request: *request };
        if request.kind == UnitKind::Pair {
            return violation::pair(&source);
        }
        let mut clips = recording::unit(&source, request)?;
        for clip in &mut clips {
            source.conclude(clip)?;
        }
        Ok(clips)
    }
}

/// A family with the seed and options of a unit.
struct FamilySource<'a> {
    family: Arc<Family>,
    request: UnitRequest<'a>,
}

impl FamilySource<'_> {
    /// The world before its first row, and what was drawn for it.
    fn play(&self) -> Result<(Play, Draws), SynthError> {
        let family = &self.family;
        let randomisation = &self.request.options.randomisation;
        let wrong = |message| family.error(message);
        let mut draws = Draws::new(self.seed());
        let values = parameters::draw(&family.file, randomisation, &mut draws).map_err(wrong)?;
        let mut materials =
            Materials { file: &family.file, values: &values, randomisation, draws: &mut draws };
        let built = materials.build().map_err(wrong)?;
        let play = Play::new(family.clone(), values, built, self.rows_max()).map_err(wrong)?;
        Ok((play, draws))
    }

    /// As [`Source::start`], for those who need the family's own world.
    fn begin(&self, policy: PolicyKind) -> Result<(Play, Trajectory), SynthError> {
        let (play, mut draws) = self.play()?;
        let sensor = &self.request.options.randomisation.sensor;
        // Without randomisation a sensor is perfect, whatever the middle of its range.
        let mut draw = |name, range| if sensor.enabled { draws.draw(name, range, true) as f32 } else { 0.0 };
        let (noise, blur) = (draw("sensor.noise", &sensor.noise), draw("sensor.blur", &sensor.blur));
        let (name, fps) = (self.family.name(), self.family.fps());
        let mut trajectory = Trajectory::begin(name, &self.request, policy, fps, play.world());
        trajectory.sensor = Sensor { noise, blur };
        trajectory.parameters = draws.record;
        Ok((play, trajectory))
    }

    /// Says which outcome a finished clip is.
    fn conclude(&self, clip: &mut Trajectory) -> Result<(), SynthError> {
        let (play, _) = self.play()?;
        let k = clip.scene.instances.len();
        let motion = Motion {
            names: play.names(),
            values: play.values(),
            fps: clip.fps,
            start: &clip.poses[..k],
            poses: &clip.poses,
            velocities: &clip.velocities,
        };
        let scope = motion.at(clip.len, None);
        for outcome in &self.family.file.outcomes {
            let holds = match &outcome.when {
                None => true,
                Some(rule) => {
                    let key = || format!("outcomes.{}.when", outcome.name);
                    evaluate(rule, &scope, key).map_err(|message| self.family.error(message))? != 0.0
                }
            };
            if holds {
                clip.outcome = outcome.name.clone();
                break;
            }
        }
        Ok(())
    }
}

impl Source for FamilySource<'_> {
    fn start(&self, policy: PolicyKind) -> Result<(Box<dyn Simulation>, Trajectory), SynthError> {
        let (play, trajectory) = self.begin(policy)?;
        Ok((Box::new(play), trajectory))
    }

    fn seed(&self) -> u64 {
        family_seed(self.request.seed, self.family.name())
    }

    fn mix(&self) -> PolicyMix {
        self.request.options.mix.unwrap_or(self.family.file.policies)
    }

    fn rows_max(&self) -> usize {
        self.family.rows(self.request.options.horizon)
    }
}
