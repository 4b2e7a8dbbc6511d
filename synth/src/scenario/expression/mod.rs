//! Arithmetic in family files: `"0.5 * ramp_length * cos(angle)"`.
//!
//! Operators, loosest first: `||`, `&&`, comparisons, `+ -`, `* /`, unary `-` and `!`, `^`. True is 1, false is 0. Sines and the like come from one portable library, so that a seed gives the same world on every machine.

mod function;
mod parser;

use std::fmt;

use serde::{Deserialize, Deserializer, de};

pub(super) use function::Function;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Number(f64),
    Variable(String),
    Not(Box<Self>),
    Negative(Box<Self>),
    Binary(Operator, Box<[Self; 2]>),
    Call(Function, Vec<Self>),
    /// An aggregate over time or over a group of bodies: `ever(ball.x > 1)`, `any(block, it.tilt > 0.5)`.
    Over(Over, Box<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

/// What an aggregate runs over, and how it joins.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Over {
    Ever,
    Always,
    Highest,
    Lowest,
    Any(String),
    All(String),
    Count(String),
}

/// Where an expression finds its variables.
pub(super) trait Scope {
    /// The value of a name.
    fn value(&self, name: &str) -> Option<f64>;

    /// Rows that `ever` and the like run over.
    fn rows(&self) -> usize {
        0
    }

    /// Members of a group of bodies, for `any` and the like.
    fn members(&self, _group: &str) -> Option<usize> {
        None
    }

    /// This scope in another row.
    fn in_row(&self, _row: usize) -> Option<Box<dyn Scope + '_>> {
        None
    }

    /// This scope with `it` standing for a member of a group.
    fn with_member(&self, _group: &str, _member: usize) -> Option<Box<dyn Scope + '_>> {
        None
    }
}

/// Why an expression has no value: a name without meaning, or no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EvaluationError(pub String);

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Expression {
    /// Parses `text`; the error says where and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        parser::parse(text)
    }

    /// The value in `scope`, a finite number.
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<f64, EvaluationError> {
        let value = self.value(scope)?;
        if value.is_finite() { Ok(value) } else { Err(EvaluationError(format!("gives {value}, no number"))) }
    }

    fn value(&self, scope: &dyn Scope) -> Result<f64, EvaluationError> {
        match self {
            Self::Number(value) => Ok(*value),
            Self::Variable(name) => {
                scope.value(name).ok_or_else(|| EvaluationError(format!("{name:?} means nothing here")))
            }
            Self::Not(inner) => Ok(truth(inner.value(scope)? == 0.0)),
            Self::Negative(inner) => Ok(-inner.value(scope)?),
            Self::Binary(operator, sides) => operator.apply(&sides[0], &sides[1], scope),
            Self::Call(Function::If, arguments) => {
                let branch = if arguments[0].value(scope)? == 0.0 { 2 } else { 1 };
                arguments[branch].value(scope)
            }
            Self::Call(function, arguments) => {
                let values: Result<Vec<_>, _> =
                    arguments.iter().map(|argument| argument.value(scope)).collect();
                Ok(function.apply(&values?))
            }
            Self::Over(over, inner) => over.join(inner, scope),
        }
    }

    /// Calls `visit` with every variable's name.
    pub fn variables(&self, visit: &mut dyn FnMut(&str)) {
        match self {
            Self::Number(_) => {}
            Self::Variable(name) => visit(name),
            Self::Not(inner) | Self::Negative(inner) => inner.variables(visit),
            Self::Over(_, inner) => inner.variables(visit),
            Self::Binary(_, sides) => sides.iter().for_each(|side| side.variables(visit)),
            Self::Call(_, arguments) => arguments.iter().for_each(|argument| argument.variables(visit)),
        }
    }
}

impl Operator {
    fn apply(self, left: &Expression, right: &Expression, scope: &dyn Scope) -> Result<f64, EvaluationError> {
        let a = left.value(scope)?;
        match self {
            Self::And if a == 0.0 => return Ok(0.0),
            Self::Or if a != 0.0 => return Ok(1.0),
            _ => {}
        }
        let b = right.value(scope)?;
        Ok(match self {
            Self::Or | Self::And => truth(b != 0.0),
            Self::Less => truth(a < b),
            Self::LessEqual => truth(a <= b),
            Self::Greater => truth(a > b),
            Self::GreaterEqual => truth(a >= b),
            Self::Equal => truth(a == b),
            Self::NotEqual => truth(a != b),
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Power => libm::pow(a, b),
        })
    }
}

impl Over {
    fn join(&self, inner: &Expression, scope: &dyn Scope) -> Result<f64, EvaluationError> {
        let values = match self {
            Self::Any(group) | Self::All(group) | Self::Count(group) => {
                let unknown = || EvaluationError(format!("there are no bodies {group:?} here"));
                let members = scope.members(group).ok_or_else(unknown)?;
                let value =
                    |member| inner.value(scope.with_member(group, member).ok_or_else(unknown)?.as_ref());
                (0..members).map(value).collect::<Result<Vec<_>, _>>()?
            }
            _ => {
                let past = || EvaluationError("there is no past to look at here".to_owned());
                if scope.rows() == 0 {
                    return Err(past());
                }
                let value = |row| inner.value(scope.in_row(row).ok_or_else(past)?.as_ref());
                (0..scope.rows()).map(value).collect::<Result<Vec<_>, _>>()?
            }
        };
        let mut values = values.into_iter();
        Ok(match self {
            Self::Ever | Self::Any(_) => truth(values.any(|value| value != 0.0)),
            Self::Always | Self::All(_) => truth(values.all(|value| value != 0.0)),
            Self::Highest => values.fold(f64::NEG_INFINITY, f64::max),
            Self::Lowest => values.fold(f64::INFINITY, f64::min),
            Self::Count(_) => values.filter(|value| *value != 0.0).count() as f64,
        })
    }
}

fn truth(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Expression;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or an expression in quotes")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Expression, E> {
                Ok(Expression::Number(value))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Expression, E> {
                Ok(Expression::Number(value as f64))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Expression, E> {
                Expression::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Names;

    impl Scope for Names {
        fn value(&self, name: &str) -> Option<f64> {
            match name {
                "a" => Some(3.0),
                "ball.x" => Some(0.5),
                _ => None,
            }
        }
    }

    fn value(text: &str) -> f64 {
        Expression::parse(text).unwrap().evaluate(&Names).unwrap()
    }

    #[test]
    fn operators_bind_as_in_mathematics() {
        for (text, expected) in [
            ("1 + 2*a", 7.0),
            ("-a^2", -9.0),
            ("2^3^2", 512.0),
            ("(1 + 2) / 4 - 1", -0.25),
            ("10 - 4 - 3", 3.0),
            ("1e-1 * 5", 0.5),
            ("a > 2 && ball.x <= 0.5 || 0", 1.0),
            ("!(a == 3)", 0.0),
            ("if(ball.x > 1, 10, max(a, 4, 2))", 4.0),
            ("clamp(5, 0, a) + min(2, 1)", 4.0),
            ("sqrt(a*a) + abs(-1) + floor(1.9) + deg(180)/pi", 6.0),
        ] {
            assert!((value(text) - expected).abs() < 1e-12, "{text} gives {}", value(text));
        }
    }

    #[test]
    fn a_wrong_expression_says_where_and_what_would_do() {
        for (text, parts) in [
            ("1 + ", ["column 5", "a number"]),
            ("sin(1", ["column 6", "')'"]),
            ("1 $ 2", ["column 3", "'$'"]),
            ("sine(1)", ["column 1", "sqrt"]),
            ("min(1)", ["min", "2 arguments or more"]),
            ("1 2", ["column 3", "the end"]),
        ] {
            let error = Expression::parse(text).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
        let error = |text| Expression::parse(text).unwrap().evaluate(&Names).unwrap_err().to_string();
        assert!(error("a + b").contains("\"b\" means nothing here"));
        assert!(error("1 / (a - 3)").contains("gives inf"));
        assert!(error("ever(a)").contains("no past"));
    }
}
