//! Files that are damaged or nonsense: no panic, no hang, one error that says what is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rand::{RngExt as _, SeedableRng as _};
use worldstep_env::physics::World;
use worldstep_env::robot::RobotModel;
use worldstep_env::{Camera, EnvError, Rng};

const ROBOTS: [&str; 5] = [
    include_str!("../src/tasks/robots/arm.urdf"),
    include_str!("../src/tasks/robots/ant.xml"),
    include_str!("../src/tasks/robots/diff_drive.xml"),
    include_str!("../src/tasks/robots/half_cheetah.xml"),
    include_str!("../src/tasks/robots/reacher.xml"),
];
const NUMBERS: [&str; 8] = ["nan", "inf", "-1", "0", "1e30", "-1e-30", "", "seven"];
const FILES: u64 = 1_500;

/// One piece of damage.
fn damage(text: &mut String, rng: &mut Rng) {
    let lines: Vec<&str> = text.lines().collect();
    let at = rng.random_range(0..lines.len());
    let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    match rng.random_range(0..5) {
        0 => {
            lines.remove(at);
        }
        1 => lines.insert(at, lines[at].clone()),
        2 => {
            let other = rng.random_range(0..lines.len());
            lines.swap(at, other);
        }
        3 => {
            // Another value for one of the line's attributes.
            let parts: Vec<String> = lines[at].split('"').map(str::to_owned).collect();
            if parts.len() > 2 {
                let mut parts = parts;
                let value = 1 + 2 * rng.random_range(0..(parts.len() - 1) / 2);
                let mut words: Vec<&str> = parts[value].split(' ').collect();
                let word = rng.random_range(0..words.len());
                words[word] = NUMBERS[rng.random_range(0..NUMBERS.len())];
                parts[value] = words.join(" ");
                lines[at] = parts.join("\"");
            }
        }
        _ => {
            let cut = rng.random_range(0..=lines[at].len());
            let kept: String = lines[at].chars().take(cut).collect();
            lines[at] = kept;
        }
    }
    *text = lines.join("\n");
}

#[test]
fn damaged_files_are_refused_or_become_robots_and_never_panic() {
    std::panic::set_hook(Box::new(|_| {}));
    let (mut robots, mut refused, mut panicked) = (0, 0, Vec::new());
    for seed in 0..FILES {
        let mut rng = Rng::seed_from_u64(seed);
        let mut text = ROBOTS[rng.random_range(0..ROBOTS.len())].to_owned();
        (0..rng.random_range(1..=3)).for_each(|_| damage(&mut text, &mut rng));
        let made = catch_unwind(AssertUnwindSafe(|| -> Result<(), EnvError> {
            let model = RobotModel::from_text(&text, Path::new("."))?;
            let mut world = World::new(50, 1, Camera::new([0.0, -5.0, 1.0], [0.0; 3], 0.6));
            let mut robot = world.add_robot(&model)?;
            robot.command(&mut world, &vec![0.5; robot.actuators().len()]);
            // Physics of nonsense may give up; `TruthEnv` truncates such an episode.
            let _ = catch_unwind(AssertUnwindSafe(|| (0..5).for_each(|_| robot.control_step(&mut world))));
            Ok(())
        }));
        match made {
            Ok(Ok(())) => robots += 1,
            Ok(Err(EnvError::Robot { .. })) => refused += 1,
            Ok(Err(other)) => panicked.push(format!("{seed}: {other}")),
            Err(_) => panicked.push(format!("{seed}: panic")),
        }
    }
    let _ = std::panic::take_hook();
    println!("{robots} became robots, {refused} were refused");
    assert!(panicked.is_empty(), "{} of {FILES}: {panicked:?}", panicked.len());
    assert!(robots > 100 && refused > 100, "{robots} robots, {refused} refused");
}
