use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arbitrary::Arbitrary;
use worldstep_env::physics::World;
use worldstep_env::robot::RobotModel;
use worldstep_env::{Camera, EnvError};

const ROBOTS: [&str; 5] = [
    include_str!("../../src/tasks/robots/arm.urdf"),
    include_str!("../../src/tasks/robots/ant.xml"),
    include_str!("../../src/tasks/robots/diff_drive.xml"),
    include_str!("../../src/tasks/robots/half_cheetah.xml"),
    include_str!("../../src/tasks/robots/reacher.xml"),
];
const VALUES: [&str; 10] = ["nan", "inf", "-1", "0", "1e30", "-1e-30", "", "seven", "1 2 3", "0 0 0"];

/// A robot's file.
#[derive(Arbitrary, Clone, Debug)]
pub enum File {
    /// One of this crate's, damaged.
    Damaged {
        /// Which.
        robot: u8,
        /// One after the other.
        damages: Vec<Damage>,
    },
    /// Any text.
    Text(String),
}

/// One piece of damage; lines and words are counted round and round.
#[derive(Arbitrary, Clone, Debug)]
pub enum Damage {
    /// A line is gone.
    Remove(u8),
    /// A line is there twice.
    Repeat(u8),
    /// Two lines have changed places.
    Swap(u8, u8),
    /// A line ends early.
    Cut(u8, u8),
    /// An attribute has another value, from a list or a number.
    Value(u8, u8, u8, Option<f32>),
    /// An attribute has another name.
    Name(u8, u8, u8),
    /// A line says this.
    Line(u8, String),
}

impl Damage {
    fn apply(&self, lines: &mut Vec<String>) {
        let count = lines.len();
        if count == 0 {
            return;
        }
        let at = |line: &u8| usize::from(*line) % count;
        match self {
            Self::Remove(line) => drop(lines.remove(at(line))),
            Self::Repeat(line) => lines.insert(at(line), lines[at(line)].clone()),
            Self::Swap(a, b) => lines.swap(at(a), at(b)),
            Self::Cut(line, end) => {
                let line = &mut lines[at(line)];
                *line = line.chars().take(usize::from(*end)).collect();
            }
            Self::Value(line, attribute, value, number) => {
                let line = &mut lines[at(line)];
                let mut parts: Vec<String> = line.split('"').map(str::to_owned).collect();
                let attributes = parts.len() / 2;
                if attributes > 0 {
                    let listed = || VALUES[usize::from(*value) % VALUES.len()].to_owned();
                    parts[1 + 2 * (usize::from(*attribute) % attributes)] =
                        number.map_or_else(listed, |number| number.to_string());
                }
                *line = parts.join("\"");
            }
            Self::Name(line, attribute, name) => {
                let names =
                    ["axis", "range", "size", "type", "joint", "class", "mass", "pos", "quat", "fromto"];
                let line = &mut lines[at(line)];
                let mut parts: Vec<String> = line.split('"').map(str::to_owned).collect();
                let attributes = parts.len() / 2;
                if attributes > 0 {
                    let part = &mut parts[2 * (usize::from(*attribute) % attributes)];
                    let kept = part.rfind(' ').map_or("", |space| &part[..=space]).to_owned();
                    *part = format!("{kept}{}=", names[usize::from(*name) % names.len()]);
                }
                *line = parts.join("\"");
            }
            Self::Line(line, text) => lines[at(line)].clone_from(text),
        }
    }
}

/// Reads the file, and if it is a robot, moves it a little.
///
/// # Panics
/// If it is refused with anything but [`EnvError::Robot`], or reading it panics.
pub fn build(file: &File) {
    let text = match file {
        File::Text(text) => text.clone(),
        File::Damaged { robot, damages } => {
            let text = ROBOTS[usize::from(*robot) % ROBOTS.len()];
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            damages.iter().take(12).for_each(|damage| damage.apply(&mut lines));
            lines.join("\n")
        }
    };
    let made = RobotModel::from_text(&text, Path::new(".")).and_then(|model| {
        let mut world = World::new(50, 1, Camera::new([0.0, -5.0, 1.0], [0.0; 3], 0.6));
        let robot = world.add_robot(&model)?;
        Ok((world, robot))
    });
    match made {
        Ok((mut world, mut robot)) => {
            robot.command(&mut world, &vec![0.5; robot.actuators().len()]);
            // Physics of nonsense may give up; `TruthEnv` truncates such an episode.
            let _ = catch_unwind(AssertUnwindSafe(|| (0..3).for_each(|_| robot.control_step(&mut world))));
        }
        Err(EnvError::Robot { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}
