use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Text for no loss at all.
const OFF: &str = "off";

/// Weights of the losses that know physics. 0 switches one off.
///
/// Each is a mean of squares in units of its own (standard deviations of the readout, radii, objects) over what it
/// weighs alone: a contact that is one step in twenty counts twenty times. By default all of them together stay below
/// the squared error of the readout itself, which weighs 0.3: they share one bound on the gradient with the codes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PhysicsOptions {
    /// Residual of free flight between frames. Default 0.2.
    pub free_flight: f32,
    /// Overlap beyond truth's own. Default 0.05.
    pub penetration: f32,
    /// Change of momentum of bodies in touch. Default 0.02.
    pub momentum: f32,
    /// Which objects exist, how much of each is seen, and how many there are while one is hidden. Default 0.02; a
    /// model has the readout for it only if it was begun with a weight that is not 0.
    pub count: f32,
    /// Squared error of the positions of hidden objects, beside that of all. Default 0.05.
    pub hidden: f32,
}

impl Default for PhysicsOptions {
    fn default() -> Self {
        Self { free_flight: 0.2, penetration: 0.05, momentum: 0.02, count: 0.02, hidden: 0.05 }
    }
}

impl fmt::Display for PhysicsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.named().map(|(name, weight)| format!("{name}={weight}"));
        f.write_str(&parts.join(","))
    }
}

impl FromStr for PhysicsOptions {
    type Err = String;

    /// `off`, or changes to the default as `momentum=0,count=0.2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut options = if text == OFF { Self::OFF } else { Self::default() };
        for part in text.split(',').filter(|_| text != OFF) {
            let names = Self::OFF.named().map(|(name, _)| name).join(", ");
            let weight = part.split_once('=').and_then(|(name, weight)| Some((name, weight.parse().ok()?)));
            let found = weight.is_some_and(|(name, weight)| options.set(name, weight));
            if !found {
                return Err(format!("{part:?}: expected {OFF:?}, or NAME=WEIGHT with a name of {names}"));
            }
        }
        options.check().map(|()| options)
    }
}

impl PhysicsOptions {
    /// No loss knows physics.
    pub const OFF: Self = Self { free_flight: 0.0, penetration: 0.0, momentum: 0.0, count: 0.0, hidden: 0.0 };

    /// [`OFF`](Self::OFF), for records of models that were trained before there were such losses.
    pub fn off() -> Self {
        Self::OFF
    }

    /// Whether all of them are switched off.
    pub fn is_off(&self) -> bool {
        self.named().iter().all(|(_, weight)| *weight == 0.0)
    }

    /// Each loss with its weight.
    pub fn named(&self) -> [(&'static str, f32); 5] {
        [
            ("free_flight", self.free_flight),
            ("penetration", self.penetration),
            ("momentum", self.momentum),
            ("count", self.count),
            ("hidden", self.hidden),
        ]
    }

    /// Sets the weight of the loss called `name`; false if there is none.
    pub fn set(&mut self, name: &str, weight: f32) -> bool {
        let found = match name {
            "free_flight" => &mut self.free_flight,
            "penetration" => &mut self.penetration,
            "momentum" => &mut self.momentum,
            "count" => &mut self.count,
            "hidden" => &mut self.hidden,
            _ => return false,
        };
        *found = weight;
        true
    }

    /// Whether every weight can be one.
    ///
    /// # Errors
    /// A line that names the weight and what would be right.
    pub fn check(&self) -> Result<(), String> {
        match self.named().into_iter().find(|(_, weight)| !weight.is_finite() || *weight < 0.0) {
            Some((name, weight)) => {
                Err(format!("physics.{name} = {weight}: expected a number that is not negative, 0 for none"))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_is_switched_off_by_its_name() {
        let mut options = PhysicsOptions::default();
        for (name, weight) in PhysicsOptions::default().named() {
            assert!(weight > 0.0 && !options.is_off(), "{name}");
            assert!(options.set(name, 0.0));
        }
        assert!(options.is_off() && options == PhysicsOptions::OFF);
        assert!(!options.set("levitation", 1.0));
    }

    #[test]
    fn weights_that_are_none_are_named() {
        assert!(PhysicsOptions::default().check().is_ok());
        let wrong = PhysicsOptions { momentum: -1.0, ..PhysicsOptions::default() };
        assert!(wrong.check().unwrap_err().contains("physics.momentum = -1"));
        assert!(PhysicsOptions { count: f32::NAN, ..wrong }.check().is_err());
    }

    #[test]
    fn weights_are_read_from_text() {
        let read = |text: &str| text.parse::<PhysicsOptions>();
        assert_eq!(read("off"), Ok(PhysicsOptions::OFF));
        let changed = PhysicsOptions { momentum: 0.0, count: 0.2, ..PhysicsOptions::default() };
        assert_eq!(read("momentum=0,count=0.2"), Ok(changed));
        assert_eq!(read(&changed.to_string()), Ok(changed));
        for wrong in ["", "momentum", "momentum=a", "levitation=1", "off,count=1", "count=-1", "count=nan"] {
            let message = read(wrong).unwrap_err();
            assert!(message.contains("expected") && message.lines().count() == 1, "{message}");
        }
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let read: PhysicsOptions = serde_json::from_str(r#"{"momentum": 0.0}"#).unwrap();
        assert_eq!(read, PhysicsOptions { momentum: 0.0, ..PhysicsOptions::default() });
        assert!(serde_json::from_str::<PhysicsOptions>(r#"{"momentun": 0.0}"#).is_err());
    }
}
