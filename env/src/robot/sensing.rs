use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Robot;
use crate::physics::World;
use crate::randomisation::LATENCY_MAX;
use crate::sensor::{ContactForce, Imu, RangeFinder, RangeScan, Sensed, Sensor};
use crate::{EnvError, Rng, Space};

/// Most rays of one range scan.
const RAYS_MAX: usize = 1_024;
/// Largest standard deviation of a sensor's noise, in its own unit.
const NOISE_MAX: f32 = 1e3;
/// Furthest that a range scan may see, metres.
const RANGE_MAX: f32 = 1e3;

/// A sensor that a robot from a file has beside its joints' encoders; in text its kind alone (`"imu"`), or a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RobotSensor {
    /// What it tells.
    pub kind: SensorKind,
    /// The link it sits on: if none is named a free base, or else the first that moves. [`SensorKind::Contacts`] of one link tell of that alone.
    pub link: Option<String>,
    /// Where it sits, in the link's frame, metres; an inertial unit in the middle of its mass if this is left out.
    pub origin: Option<[f32; 3]>,
    /// Standard deviation of normal noise on each number, in that number's unit.
    pub noise: f32,
    /// Control steps by which readings come late.
    pub latency: usize,
    /// Of [`SensorKind::Range`]: rays.
    pub rays: usize,
    /// Of [`SensorKind::Range`]: the fan's angle, radians; 2π is a full turn.
    pub view: f32,
    /// Of [`SensorKind::Range`]: what lies further reads as this, metres.
    pub range_max: f32,
}

/// What a [`RobotSensor`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SensorKind {
    /// An [`Imu`]; the link must move.
    Imu,
    /// A [`ContactForce`] on every link, in the file's order.
    Contacts,
    /// A [`RangeScan`] that does not see the robot's moving links: what is fixed is its surroundings.
    Range,
}

impl From<SensorKind> for RobotSensor {
    /// One without noise or latency; a range scan has 16 rays all around, of 10 m.
    fn from(kind: SensorKind) -> Self {
        Self {
            kind,
            link: None,
            origin: None,
            noise: 0.0,
            latency: 0,
            rays: 16,
            view: std::f32::consts::TAU,
            range_max: 10.0,
        }
    }
}

impl<'de> Deserialize<'de> for RobotSensor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Spelling)
    }
}

/// Reads a [`RobotSensor`] as it is written: its kind, or a table.
struct Spelling;

/// The table; what is left out is as [`RobotSensor::from`] has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kind: SensorKind,
    link: Option<String>,
    origin: Option<[f32; 3]>,
    noise: Option<f32>,
    latency: Option<usize>,
    rays: Option<usize>,
    view: Option<f32>,
    range_max: Option<f32>,
}

impl<'de> Visitor<'de> for Spelling {
    type Value = RobotSensor;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"imu\", \"contacts\" or \"range\", or a table with that as its kind")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RobotSensor, E> {
        SensorKind::deserialize(serde::de::value::StrDeserializer::new(text)).map(RobotSensor::from)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RobotSensor, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        let plain = RobotSensor::from(table.kind);
        Ok(RobotSensor {
            kind: table.kind,
            link: table.link,
            origin: table.origin,
            noise: table.noise.unwrap_or(plain.noise),
            latency: table.latency.unwrap_or(plain.latency),
            rays: table.rays.unwrap_or(plain.rays),
            view: table.view.unwrap_or(plain.view),
            range_max: table.range_max.unwrap_or(plain.range_max),
        })
    }
}

impl RobotSensor {
    fn check(&self) -> Result<(), EnvError> {
        let wrong = |message: String| Err(EnvError::Robot { message });
        if !(0.0..=NOISE_MAX).contains(&self.noise) {
            return wrong(format!("noise of a sensor is {}, expected 0 to {NOISE_MAX}", self.noise));
        }
        if self.latency > LATENCY_MAX as usize {
            return wrong(format!(
                "latency of a sensor is {}, expected 0 to {LATENCY_MAX} steps",
                self.latency
            ));
        }
        if !(1..=RAYS_MAX).contains(&self.rays) {
            return wrong(format!("rays of a sensor are {}, expected 1 to {RAYS_MAX}", self.rays));
        }
        if !(self.view > 0.0 && self.view <= std::f32::consts::TAU + 1e-3) {
            return wrong(format!("view of a sensor is {}, expected more than 0 to 2 pi radians", self.view));
        }
        if !(self.range_max > 0.0 && self.range_max <= RANGE_MAX) {
            return wrong(format!(
                "range_max of a sensor is {}, expected more than 0 to {RANGE_MAX} m",
                self.range_max
            ));
        }
        Ok(())
    }

    /// The sensor itself, on `robot`.
    fn mount(&self, world: &World, robot: &Robot) -> Result<Reader, EnvError> {
        self.check()?;
        let wrong = |message: String| EnvError::Robot { message };
        let named = self.link.as_ref().map(|name| {
            robot.link(name).ok_or_else(|| {
                let known = robot.link_names().collect::<Vec<_>>().join(", ");
                wrong(format!("no link {name:?} for a sensor, expected one of {known}"))
            })
        });
        let named = named.transpose()?;
        let all = || robot.bodies().collect::<Vec<_>>();
        let body = || {
            let moving = || robot.bodies().find(|body| world.body(*body).is_dynamic());
            named
                .or_else(|| robot.base(world))
                .or_else(moving)
                .ok_or_else(|| wrong("no link moves that a sensor could sit on: name another".to_owned()))
        };
        Ok(match self.kind {
            SensorKind::Contacts => {
                Reader::Contacts(ContactForce { bodies: named.map_or_else(all, |body| vec![body]) })
            }
            SensorKind::Imu => {
                let body = body()?;
                if !world.body(body).is_dynamic() {
                    let message = "an imu sits on a link that moves, and this one is fixed: name another";
                    return Err(wrong(message.to_owned()));
                }
                let middle = world.body(body).local_center_of_mass().to_array();
                Reader::Imu(Imu::new(body, self.origin.unwrap_or(middle)))
            }
            SensorKind::Range => {
                let (rays, view, range_max) = (self.rays, self.view, self.range_max);
                let finder = RangeFinder { rays, view, range_max, origin: self.origin.unwrap_or_default() };
                let ignored = robot.bodies().filter(|body| world.body(*body).is_dynamic()).collect();
                Reader::Range(RangeScan { finder, body: body()?, ignored })
            }
        })
    }
}

/// Any of the sensors of a robot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Reader {
    Imu(Imu),
    Contacts(ContactForce),
    Range(RangeScan),
}

impl Reader {
    /// Whether both tell the same of the same place, whatever they have read.
    fn sits_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Imu(a), Self::Imu(b)) => (a.body, a.place) == (b.body, b.place),
            (Self::Contacts(a), Self::Contacts(b)) => a == b,
            (Self::Range(a), Self::Range(b)) => a == b,
            _ => false,
        }
    }
}

impl Sensor for Reader {
    fn space(&self) -> Space {
        match self {
            Self::Imu(imu) => imu.space(),
            Self::Contacts(contacts) => contacts.space(),
            Self::Range(scan) => scan.space(),
        }
    }

    fn read(&mut self, world: &World, out: &mut Vec<f32>) {
        match self {
            Self::Imu(imu) => imu.read(world, out),
            Self::Contacts(contacts) => contacts.read(world, out),
            Self::Range(scan) => scan.read(world, out),
        }
    }
}

/// The sensors of one robot in its world, and what they told last: they are read once a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sensing {
    sensors: Vec<Sensed<Reader>>,
    told: Vec<f32>,
}

impl Sensing {
    /// Sensors that have not read anything yet.
    ///
    /// # Errors
    /// [`EnvError::Robot`] if one cannot be, or not on this robot.
    pub fn new(sensors: &[RobotSensor], world: &World, robot: &Robot) -> Result<Self, EnvError> {
        let mount = |sensor: &RobotSensor| {
            let made = Sensed::new(sensor.mount(world, robot)?);
            Ok(made.with_noise(sensor.noise).with_latency(sensor.latency))
        };
        Ok(Self { sensors: sensors.iter().map(mount).collect::<Result<_, _>>()?, told: Vec::new() })
    }

    /// Reads all of them.
    pub fn read(&mut self, world: &World, rng: &mut Rng) {
        self.told.clear();
        self.sensors.iter_mut().for_each(|sensor| sensor.read(world, rng, &mut self.told));
    }

    /// What they told last, one after the other.
    pub fn told(&self) -> &[f32] {
        &self.told
    }

    /// Whether what they tell is drawn at random.
    pub fn is_noisy(&self) -> bool {
        self.sensors.iter().any(|sensor| sensor.noise.std > 0.0)
    }

    /// Whether a state of the one can be that of the other: the same sensors in the same places, as noisy and as late.
    pub fn is_like(&self, other: &Self) -> bool {
        let alike = |(a, b): (&Sensed<Reader>, &Sensed<Reader>)| {
            a.latency == b.latency && a.noise == b.noise && a.sensor.sits_as(&b.sensor) && a.is_whole()
        };
        self.told.len() == other.told.len()
            && self.sensors.len() == other.sensors.len()
            && self.sensors.iter().zip(&other.sensors).all(alike)
    }

    /// Lowest and highest of each number that they tell.
    pub fn bounds(&self) -> impl Iterator<Item = (f32, f32)> + '_ {
        let spaces = self.sensors.iter().map(Sensed::space);
        spaces.flat_map(|space| match space {
            Space::Box(space) => (0..space.low.len()).map(|i| space.bounds(i)).collect::<Vec<_>>(),
            _ => Vec::new(),
        })
    }
}
