use std::collections::{BTreeMap, BTreeSet};

use super::file::{FamilyFile, Parameter};
use crate::scenario::expression::{EvaluationError, Expression, Scope};
use crate::scenario::randomisation::Randomisation;
use crate::scenario::range::Draws;

/// Names that the randomisation gives to expressions.
pub(in crate::scenario) const RESERVED: [&str; 3] = ["size", "gravity", "motor_gain"];

/// Named values, and for repeated things which of them it is.
pub(in crate::scenario) struct ValueScope<'a> {
    pub values: &'a BTreeMap<String, f64>,
    /// Which one, of how many.
    pub repeated: Option<(usize, usize)>,
}

impl Scope for ValueScope<'_> {
    fn value(&self, name: &str) -> Option<f64> {
        match (name, self.repeated) {
            ("i", Some((i, _))) => Some(i as f64),
            ("n", Some((_, n))) => Some(n as f64),
            _ => self.values.get(name).copied(),
        }
    }
}

/// Draws the family's sampled parameters, works out the derived ones, and adds what the randomisation gives.
pub(in crate::scenario) fn draw(
    file: &FamilyFile,
    randomisation: &Randomisation,
    draws: &mut Draws,
) -> Result<BTreeMap<String, f64>, String> {
    let physics = &randomisation.physics;
    let mut values = BTreeMap::new();
    let size = draws.draw("physics.size", &physics.size, physics.enabled);
    let gain = draws.draw("physics.motor_gain", &physics.motor_gain, physics.enabled);
    let gravity = draws.draw("physics.gravity_z", &physics.gravity, physics.enabled);
    draws.note("physics.gravity_z", -gravity);
    values
        .extend([("size", size), ("gravity", gravity), ("motor_gain", gain)].map(|(k, v)| (k.to_owned(), v)));
    for (name, parameter) in &file.parameters {
        if let Parameter::Sampled(range) = parameter {
            let value = draws.draw(&format!("family.{name}"), range, true);
            values.insert(name.clone(), value);
        }
    }
    for name in file.parameters.keys() {
        derive(name, &file.parameters, &mut values, &mut BTreeSet::new())?;
    }
    for (name, parameter) in &file.parameters {
        if let Parameter::Derived(_) = parameter {
            draws.note(&format!("family.{name}"), values[name]);
        }
    }
    if !file.held_out.is_empty() {
        let high = |name: &String| match file.parameters.get(name) {
            Some(Parameter::Sampled(range)) => range.is_high(values[name]),
            _ => false,
        };
        draws.note("held_out", if file.held_out.iter().all(high) { 1.0 } else { 0.0 });
    }
    Ok(values)
}

/// Works out a derived parameter after those that it needs.
fn derive(
    name: &str,
    parameters: &BTreeMap<String, Parameter>,
    values: &mut BTreeMap<String, f64>,
    under_way: &mut BTreeSet<String>,
) -> Result<(), String> {
    let Some(Parameter::Derived(expression)) = parameters.get(name) else { return Ok(()) };
    if values.contains_key(name) {
        return Ok(());
    }
    if !under_way.insert(name.to_owned()) {
        return Err(format!(
            "parameters.{name} needs itself, expected an order in which all can be worked out"
        ));
    }
    let mut needed = Vec::new();
    expression.variables(&mut |variable| needed.push(variable.to_owned()));
    for variable in needed {
        derive(&variable, parameters, values, under_way)?;
    }
    let scope = ValueScope { values, repeated: None };
    let value = evaluate(expression, &scope, || format!("parameters.{name}"))?;
    values.insert(name.to_owned(), value);
    Ok(())
}

/// The value of an expression; the error names the key.
pub(in crate::scenario) fn evaluate(
    expression: &Expression,
    scope: &dyn Scope,
    key: impl FnOnce() -> String,
) -> Result<f64, String> {
    expression.evaluate(scope).map_err(|EvaluationError(message)| format!("{}: {message}", key()))
}
