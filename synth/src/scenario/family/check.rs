//! What can be wrong with a family's file apart from its grammar.

use std::collections::BTreeSet;

use super::build::REPEAT_MAX;
use super::file::{FamilyFile, Motion, Parameter};
use super::motion::QUANTITIES;
use super::parameters::RESERVED;
use crate::scenario::expression::Expression;

/// Names that mean something else in expressions.
const TAKEN: [&str; 5] = ["t", "i", "n", "it", "pi"];

/// Says what is wrong, if something is.
pub(super) fn check(file: &FamilyFile) -> Result<(), String> {
    name(&file.name)?;
    if !(file.seconds > 0.0 && file.seconds <= 120.0) {
        return Err(format!("seconds = {}, expected more than 0 and at most 120", file.seconds));
    }
    if !(1..=240).contains(&file.fps) || !(1..=100).contains(&file.substeps) {
        return Err(format!(
            "fps = {}, substeps = {}: expected 1 to 240 and 1 to 100",
            file.fps, file.substeps
        ));
    }
    parameters(file)?;
    bodies(file)?;
    signals(file)?;
    outcomes(file)?;
    if file.actions.is_empty() {
        return Err("actions: there are none, expected at least one".to_owned());
    }
    let mix = &file.policies;
    let weights = [mix.random, mix.scripted, mix.noisy_expert, mix.noop];
    if weights.iter().any(|weight| !(0.0..=1e6).contains(weight)) || weights.iter().sum::<f64>() <= 0.0 {
        return Err(format!("policies: weights {weights:?}, expected none below 0 and one above"));
    }
    violations(file)
}

fn name(name: &str) -> Result<(), String> {
    let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.is_empty() && name.chars().all(kebab) {
        return Ok(());
    }
    Err(format!("name = {name:?}, expected lower-case letters, digits and hyphens"))
}

/// A name that expressions can hold.
fn identifier(key: &str, name: &str) -> Result<(), String> {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_lowercase());
    if first && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return Ok(());
    }
    Err(format!("{key} {name:?}: expected a lower-case letter, then letters, digits and underscores"))
}

fn parameters(file: &FamilyFile) -> Result<(), String> {
    let known = |variable: &str| file.parameters.contains_key(variable) || RESERVED.contains(&variable);
    for (name, parameter) in &file.parameters {
        identifier("parameters:", name)?;
        if RESERVED.contains(&name.as_str()) || TAKEN.contains(&name.as_str()) {
            return Err(format!("parameters.{name}: the name is taken, expected another"));
        }
        if let Parameter::Derived(expression) = parameter {
            let names: Vec<_> = file.parameters.keys().map(String::as_str).chain(RESERVED).collect();
            known_variables(expression, &known, &format!("parameters.{name}"), &names)?;
        }
    }
    for name in &file.held_out {
        if !matches!(file.parameters.get(name), Some(Parameter::Sampled(_))) {
            return Err(format!("held_out: {name:?} is no sampled parameter"));
        }
    }
    Ok(())
}

fn known_variables(
    expression: &Expression,
    known: &dyn Fn(&str) -> bool,
    key: &str,
    names: &[&str],
) -> Result<(), String> {
    let mut wrong = None;
    expression.variables(&mut |variable| {
        if !known(variable) && wrong.is_none() {
            wrong = Some(format!("{key}: {variable:?} is unknown; there are {}", names.join(", ")));
        }
    });
    wrong.map_or(Ok(()), Err)
}

fn bodies(file: &FamilyFile) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for body in &file.bodies {
        identifier("bodies: name", &body.name)?;
        let key = format!("bodies.{}", body.name);
        if !names.insert(body.name.as_str()) || TAKEN.contains(&body.name.as_str()) {
            return Err(format!("{key}: the name is taken, expected another"));
        }
        if body.moves.is_some() && (body.motion != Motion::Kinematic || body.repeat.is_some()) {
            return Err(format!("{key}.moves: expected only for a kinematic body that isn't repeated"));
        }
        let fixed_count = matches!(body.repeat, Some(Expression::Number(_)));
        if body.repeat.is_some() && !fixed_count && body.repeat_max.is_none() {
            return Err(format!(
                "{key}: `repeat` is an expression, so `repeat_max` must say the most it gives"
            ));
        }
        if body.repeat_max() > REPEAT_MAX {
            return Err(format!("{key}: {} members, expected at most {REPEAT_MAX}", body.repeat_max()));
        }
    }
    for soft in &file.soft {
        identifier("soft: name", &soft.name)?;
        if !names.insert(soft.name.as_str()) || TAKEN.contains(&soft.name.as_str()) {
            return Err(format!("soft.{}: the name is taken, expected another", soft.name));
        }
    }
    if file.soft.is_empty() && file.bodies.iter().all(|body| body.motion == Motion::Fixed) {
        return Err("bodies: none can move, expected one at least".to_owned());
    }
    Ok(())
}

fn signals(file: &FamilyFile) -> Result<(), String> {
    for (name, signal) in &file.signals {
        identifier("signals:", name)?;
        let taken = file.parameters.contains_key(name)
            || RESERVED.contains(&name.as_str())
            || TAKEN.contains(&name.as_str());
        if taken {
            return Err(format!("signals.{name}: the name is taken, expected another"));
        }
        quantities(signal, &format!("signals.{name}"))?;
        let mut reached = BTreeSet::new();
        let mut open = vec![name.as_str()];
        while let Some(next) = open.pop() {
            let mut needed = Vec::new();
            file.signals[next].variables(&mut |variable| {
                needed.extend(file.signals.get_key_value(variable).map(|(known, _)| known.as_str()));
            });
            if needed.contains(&name.as_str()) {
                return Err(format!(
                    "signals.{name} needs itself, expected an order in which all can be worked out"
                ));
            }
            open.extend(needed.into_iter().filter(|needed| reached.insert(*needed)));
        }
    }
    Ok(())
}

fn outcomes(file: &FamilyFile) -> Result<(), String> {
    let Some((last, others)) = file.outcomes.split_last() else {
        return Err("outcomes: there are none, expected two at least".to_owned());
    };
    if others.is_empty() {
        return Err("outcomes: there is one, expected two at least".to_owned());
    }
    if last.when.is_some() {
        return Err(format!(
            "outcomes.{}: expected no `when` for the last one, so that one always holds",
            last.name
        ));
    }
    for outcome in &file.outcomes {
        identifier("outcomes: name", &outcome.name)?;
    }
    if let Some(early) = others.iter().find(|outcome| outcome.when.is_none()) {
        return Err(format!("outcomes.{}: `when` is missing; only the last one has none", early.name));
    }
    let rules = file.outcomes.iter().filter_map(|outcome| Some((&outcome.name, outcome.when.as_ref()?)));
    for (name, rule) in rules {
        quantities(rule, &format!("outcomes.{name}.when"))?;
    }
    for action in &file.actions {
        quantities(&action.script, &format!("actions.{}.script", action.name))?;
    }
    file.goal.as_ref().map_or(Ok(()), |goal| quantities(goal, "goal"))
}

/// Whether what follows a body's dot exists.
fn quantities(expression: &Expression, key: &str) -> Result<(), String> {
    let of_a_body =
        |variable: &str| variable.split_once('.').is_none_or(|(_, quantity)| QUANTITIES.contains(&quantity));
    known_variables(expression, &of_a_body, key, &QUANTITIES)
}

fn violations(file: &FamilyFile) -> Result<(), String> {
    for violation in &file.violations {
        let kind = violation.kind.name();
        let names = std::iter::once(&violation.body).chain(&violation.with).chain(&violation.behind);
        for name in names {
            if !file.bodies.iter().any(|body| body.name == *name && body.repeat.is_none()) {
                return Err(format!("violations.{kind}: there is no single body {name:?}"));
            }
        }
        violation.check()?;
    }
    Ok(())
}
