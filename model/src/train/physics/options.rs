use std::fmt;

use serde::{Deserialize, Serialize};

/// Weights of the losses that know physics. 0 switches one off.
///
/// Each is a mean of squares in units of its own (standard deviations of the readout, radii, objects), so a weight is
/// comparable to the 0.3 that the squared error of the readout itself has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PhysicsOptions {
    /// Residual of free flight between frames. Default 0.3.
    pub free_flight: f32,
    /// Overlap beyond truth's own. Default 0.1.
    pub penetration: f32,
    /// Change of momentum of bodies in touch. Default 0.1.
    pub momentum: f32,
    /// Which objects exist, how much of each is seen, and how many there are while one is hidden. Default 0.1; a model
    /// has the readout for it only if it was begun with a weight that is not 0.
    pub count: f32,
    /// Squared error of the positions of hidden objects, beside that of all. Default 0.1.
    pub hidden: f32,
}

impl Default for PhysicsOptions {
    fn default() -> Self {
        Self { free_flight: 0.3, penetration: 0.1, momentum: 0.1, count: 0.1, hidden: 0.1 }
    }
}

impl fmt::Display for PhysicsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.named().map(|(name, weight)| format!("{name} {weight}"));
        f.write_str(&parts.join(", "))
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
    fn what_is_not_said_has_its_default() {
        let read: PhysicsOptions = serde_json::from_str(r#"{"momentum": 0.0}"#).unwrap();
        assert_eq!(read, PhysicsOptions { momentum: 0.0, ..PhysicsOptions::default() });
        assert!(serde_json::from_str::<PhysicsOptions>(r#"{"momentun": 0.0}"#).is_err());
    }
}
