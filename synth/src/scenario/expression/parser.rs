use super::{Expression, Function, Operator, Over};

/// Deepest nesting: what recursion is bounded by.
const DEPTH_MAX: usize = 64;

/// Binary operators by how tightly they bind, loosest first; longer signs before their beginnings.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[
        ("<=", Operator::LessEqual),
        (">=", Operator::GreaterEqual),
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide)],
];

/// Parses a whole expression.
pub(super) fn parse(text: &str) -> Result<Expression, String> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let expression = parser.binary(0)?;
    match parser.rest().chars().next() {
        None => Ok(expression),
        Some(found) => Err(parser.expected(&format!("an operator or the end, found {found:?}"))),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn wrong(&self, message: &str) -> String {
        let column = self.text[..self.at].chars().count() + 1;
        format!("{:?}, column {column}: {message}", self.text)
    }

    fn expected(&self, what: &str) -> String {
        self.wrong(&format!("expected {what}"))
    }

    fn binary(&mut self, level: usize) -> Result<Expression, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        self.depth += 1;
        if self.depth > DEPTH_MAX * LEVELS.len() {
            return Err(self.wrong("nested too deeply"));
        }
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new([left, right]));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        operators.iter().find(|(sign, _)| self.take(sign)).map(|(_, operator)| *operator)
    }

    fn unary(&mut self) -> Result<Expression, String> {
        if self.take("-") {
            return Ok(Expression::Negative(Box::new(self.nested(Self::unary)?)));
        }
        if self.take("!") {
            return Ok(Expression::Not(Box::new(self.nested(Self::unary)?)));
        }
        let base = self.atom()?;
        if self.take("^") {
            let exponent = self.nested(Self::unary)?;
            return Ok(Expression::Binary(Operator::Power, Box::new([base, exponent])));
        }
        Ok(base)
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Result<Expression, String>) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX * LEVELS.len() {
            return Err(self.wrong("nested too deeply"));
        }
        let inner = parse(self)?;
        self.depth -= 1;
        Ok(inner)
    }

    fn atom(&mut self) -> Result<Expression, String> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Err(self.expected("a number, a name or '(' but here is the end"));
        };
        if self.take("(") {
            let inner = self.binary(0)?;
            return if self.take(")") { Ok(inner) } else { Err(self.expected("')'")) };
        }
        if first.is_ascii_digit() || first == '.' {
            return self.number(rest);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return self.name(rest);
        }
        Err(self.expected(&format!("a number, a name or '(', found {first:?}")))
    }

    fn number(&mut self, rest: &str) -> Result<Expression, String> {
        let mut length = 0;
        let mut previous = ' ';
        for c in rest.chars() {
            let exponent_sign = (c == '+' || c == '-') && matches!(previous, 'e' | 'E');
            if !(c.is_ascii_digit() || c == '.' || c == 'e' || c == 'E' || exponent_sign) {
                break;
            }
            length += 1;
            previous = c;
        }
        match rest[..length].parse() {
            Ok(value) => {
                self.at += length;
                Ok(Expression::Number(value))
            }
            Err(_) => Err(self.wrong(&format!("{:?} is no number", &rest[..length]))),
        }
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'));
        &rest[..end.unwrap_or(rest.len())]
    }

    fn name(&mut self, rest: &'a str) -> Result<Expression, String> {
        let word = self.word();
        let call = rest[word.len()..].trim_start().starts_with('(');
        if !call {
            self.at += word.len();
            return Ok(match word {
                "pi" => Expression::Number(std::f64::consts::PI),
                _ => Expression::Variable(word.to_owned()),
            });
        }
        let start = self.at;
        self.at += word.len();
        self.take("(");
        if let Some(over) = self.over(word)? {
            let inner = self.binary(0)?;
            return if self.take(")") {
                Ok(Expression::Over(over, Box::new(inner)))
            } else {
                Err(self.expected("')'"))
            };
        }
        let mut arguments = vec![self.binary(0)?];
        while self.take(",") {
            arguments.push(self.binary(0)?);
        }
        if !self.take(")") {
            return Err(self.expected("',' or ')'"));
        }
        let end = std::mem::replace(&mut self.at, start);
        let function = Function::find(word).map_err(|message| self.wrong(&message))?;
        function.check(arguments.len()).map_err(|message| self.wrong(&message))?;
        self.at = end;
        Ok(Expression::Call(function, arguments))
    }

    fn over(&mut self, word: &str) -> Result<Option<Over>, String> {
        let over = match word {
            "ever" => Over::Ever,
            "always" => Over::Always,
            "highest" => Over::Highest,
            "lowest" => Over::Lowest,
            "any" => Over::Any(self.group()?),
            "all" => Over::All(self.group()?),
            "count" => Over::Count(self.group()?),
            _ => return Ok(None),
        };
        Ok(Some(over))
    }

    fn group(&mut self) -> Result<String, String> {
        let group = self.word().to_owned();
        self.at += group.len();
        if group.is_empty() || !self.take(",") {
            return Err(self.expected("the name of repeated bodies and ','"));
        }
        Ok(group)
    }
}
