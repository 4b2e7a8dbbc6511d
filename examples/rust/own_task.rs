//! A task of one's own: a block on the floor is pushed to a mark. `docs/write-a-task.md` goes through it.
//! Shows: a task, its registry row, and how it is checked.
#![allow(clippy::print_stdout)]

use serde::{Deserialize, Serialize};
use worldstep_env::check::check_env;
use worldstep_env::physics::{Look, World, decode, encode};
use worldstep_env::rapier3d::prelude::{ColliderBuilder, RigidBodyBuilder, RigidBodyHandle, Vector};
use worldstep_env::{
    Action, Buffer, Camera, Draw, EnvError, Outcome, RewardTerm, Shape, Space, Task, TaskEntry, make_truth,
    measure_returns, registry,
};

const FPS: u32 = 20;
const HALF: f32 = 0.1;
const FORCE_MAX: f32 = 20.0;
const NEAR: f32 = 0.05;

/// A block of 2 kg slides along x on a floor with friction; a force pushes it to a mark.
///
/// # Action space
/// `Box(1)`: force, −1..1 for ±20 N.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0 | position of the block along x | ±10 | m |
/// | 1 | its speed | ±50 | m/s |
/// | 2 | the mark | ±1 | m |
///
/// # Reward
/// `reward/closer` how much closer it came (m), `reward/there` 1 once it stands on the mark, which ends the episode.
#[derive(Serialize, Deserialize)]
struct SlideToMark {
    world: World,
    block: RigidBodyHandle,
    mark: f32,
}

static ENTRY: TaskEntry = TaskEntry {
    id: "SlideToMark-v0",
    scenario: "slide-to-mark",
    summary: "Push a block to a mark.",
    fps: FPS,
    max_episode_steps: 100,
    action_space: &|| Space::bounded(&[-1.0], &[1.0]),
    state_space: &|| Space::bounded(&[-10.0, -50.0, -1.0], &[10.0, 50.0, 1.0]),
    reward_terms: &[
        RewardTerm { name: "reward/closer", meaning: "how much closer the block came, metres" },
        RewardTerm { name: "reward/there", meaning: "1 once it stands on the mark" },
    ],
    make: &|| Box::new(SlideToMark::build(0.0, 0.5)),
};

impl SlideToMark {
    fn build(start: f32, mark: f32) -> Self {
        let mut world = World::new(FPS, 1, Camera::new([0.0, -3.0, 1.2], [0.0, 0.0, 0.1], 0.7));
        world.add_ground(0.4);
        let flag = Look::fixed("mark", Shape::Cuboid { half_extents: [NEAR, 0.4, 0.001] }, [0.7, 0.1, 0.1]);
        world.add_ghost(flag, RigidBodyBuilder::fixed().translation(Vector::new(mark, 0.0, 0.002)));
        let look = Look::actuated("block", Shape::Cuboid { half_extents: [HALF; 3] }, [0.1, 0.3, 0.7]);
        let body = RigidBodyBuilder::dynamic().translation(Vector::new(start, 0.0, HALF)).can_sleep(false);
        let (block, _) =
            world.add(look, body, ColliderBuilder::cuboid(HALF, HALF, HALF).mass(2.0).friction(0.4));
        Self { world, block, mark }
    }

    fn position(&self) -> f32 {
        self.world.body(self.block).translation().x
    }

    fn speed(&self) -> f32 {
        self.world.body(self.block).linvel().x
    }
}

impl Task for SlideToMark {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        *self = Self::build(draw.within(-1.0..1.0), draw.within(-0.8..0.8));
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let before = (self.position() - self.mark).abs();
        let at = self.world.body(self.block).translation().to_array();
        self.world.apply_force(self.block, [FORCE_MAX * action.scalar(), 0.0, 0.0], at);
        self.world.control_step();
        let now = (self.position() - self.mark).abs();
        let there = now < NEAR && self.speed().abs() < 0.05;
        Outcome { terms: [before - now, f32::from(there), 0.0, 0.0], terminated: there, success: there }
    }

    fn state(&self, out: &mut Vec<f32>) {
        out.extend([self.position().clamp(-10.0, 10.0), self.speed().clamp(-50.0, 50.0), self.mark]);
    }

    fn expert(&self, out: &mut Buffer) {
        let away = self.mark - self.position();
        // Two fifths of the largest force is what the floor holds.
        let push = 4.0 * away - 1.5 * self.speed() + 0.4 * away.signum();
        if let Buffer::F32(out) = out {
            out.push(push.clamp(-1.0, 1.0));
        }
    }

    fn world(&self) -> &World {
        &self.world
    }

    fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    fn save(&self) -> Result<Vec<u8>, EnvError> {
        encode(self)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), EnvError> {
        *self = decode(bytes)?;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let entry = registry::register(ENTRY)?;
    // Every promise of an environment, from seeds to saved states.
    check_env(&mut |num_envs, mode| Ok(Box::new(make_truth(entry.id, num_envs, mode)?)))?;
    let returns = measure_returns(entry, 50)?;
    println!(
        "{}: the expert succeeds in {:.0} % of episodes, random actions in {:.0} %",
        entry.id,
        100.0 * returns.expert_success,
        100.0 * returns.random_success
    );
    Ok(())
}
