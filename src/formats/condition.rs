//! Conditions on the values of a run, as a sweep's `skip` and `edgegrad filter` take them.
//!
//! ```text
//! train.lr > 1e-2 and (model.d_model > 32 or arm == "scratch") and not train.shuffle
//! ```
//!
//! A key stands for its value; numbers, texts in quotes, `true` and `false` for themselves. `not`
//! binds closer than `and`, `and` closer than `or`.

use crate::error::{Error, Result, one_line};
use crate::named::suggest;
use serde_json::Value;
use std::cmp::Ordering;

/// A condition that was read.
///
/// ```
/// use edgegrad::formats::condition::Condition;
/// let condition = Condition::parse("skip", "train.lr > 1e-2 and arm != 'scratch'")?;
/// let of = |lr: f64| move |key: &str| match key {
///     "train.lr" => Some(lr.into()),
///     "arm" => Some("curriculum".into()),
///     _ => None,
/// };
/// let held = [0.1, 0.001].map(|lr| condition.holds(&of(lr), &Vec::new));
/// assert_eq!(held, [Ok(true), Ok(false)]);
/// # Ok::<(), edgegrad::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    place: String,
    text: String,
    expression: Expression,
}

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Or(Vec<Expression>),
    And(Vec<Expression>),
    Not(Box<Expression>),
    /// Two operands, and which orders of them are meant.
    Compare(Operand, Relation, Operand),
    Is(Operand),
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Key(String),
    Constant(Value),
}

/// What stands between two operands.
type Relation = &'static str;

/// Relations, the longer ones before those that begin them.
const RELATIONS: [Relation; 6] = ["==", "!=", "<=", ">=", "<", ">"];

/// Parentheses and negations that may stand within each other.
const DEPTH: usize = 64;

const HELP: &str = "write for example `train.lr > 1e-2 and arm == 'scratch'`";

impl Condition {
    /// The condition in a text; `place` is what errors call it.
    ///
    /// # Errors
    /// If it is none, with the part that cannot be read.
    pub fn parse(place: &str, text: &str) -> Result<Condition> {
        let mut words = Words { rest: text, depth: 0 };
        let read = words.or().and_then(|found| match words.rest.trim_start() {
            "" => Ok(found),
            rest => Err(format!("expected `and`, `or` or its end at `{rest}`")),
        });
        let expression = read.map_err(|message| Error::input(place, message, HELP))?;
        Ok(Condition { place: place.into(), text: text.into(), expression })
    }

    /// The text that it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds of the values that `value` finds by key. A comparison with a value that is
    /// null does not hold.
    ///
    /// # Errors
    /// If a key has no value, with the one of `known` that was probably meant; or if values of two
    /// kinds are compared.
    pub fn holds(
        &self,
        value: &dyn Fn(&str) -> Option<Value>,
        known: &dyn Fn() -> Vec<String>,
    ) -> Result<bool> {
        let found = |operand: &Operand| match operand {
            Operand::Constant(value) => Ok(value.clone()),
            Operand::Key(key) => value(key).ok_or_else(|| {
                let known = known();
                let help = match suggest(key, known.iter().map(|known| &**known)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known are {}", known.join(", ")),
                };
                Error::input(&self.place, format!("`{key}` has no value"), help)
            }),
        };
        self.expression.holds(&found).map_err(|e| match e {
            Wrong::Key(e) => e,
            Wrong::Kinds(message) => Error::input(&self.place, message, HELP),
        })
    }
}

/// Why a condition cannot be decided.
enum Wrong {
    Key(Error),
    Kinds(String),
}

impl From<Error> for Wrong {
    fn from(e: Error) -> Wrong {
        Wrong::Key(e)
    }
}

impl Expression {
    fn holds(&self, value: &dyn Fn(&Operand) -> Result<Value>) -> Result<bool, Wrong> {
        match self {
            Expression::Or(list) => {
                list.iter().try_fold(false, |held, one| Ok(held || one.holds(value)?))
            }
            Expression::And(list) => {
                list.iter().try_fold(true, |held, one| Ok(held && one.holds(value)?))
            }
            Expression::Not(one) => Ok(!one.holds(value)?),
            Expression::Compare(a, relation, b) => related(&value(a)?, relation, &value(b)?),
            Expression::Is(operand) => match value(operand)? {
                Value::Bool(held) => Ok(held),
                Value::Null => Ok(false),
                other => Err(Wrong::Kinds(format!("{other} is neither true nor false"))),
            },
        }
    }
}

/// Whether two values are in a relation.
fn related(a: &Value, relation: Relation, b: &Value) -> Result<bool, Wrong> {
    let order = match (a, b) {
        (Value::Null, _) | (_, Value::Null) => return Ok(false),
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64(), b.as_f64());
            a.zip(b).and_then(|(a, b)| a.partial_cmp(&b))
        }
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => return Err(Wrong::Kinds(one_line(format!("{a} and {b} are of two kinds")))),
    };
    Ok(match relation {
        "==" => order == Some(Ordering::Equal),
        "!=" => order != Some(Ordering::Equal),
        "<" => order == Some(Ordering::Less),
        ">" => order == Some(Ordering::Greater),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// What is left of a text, read word by word.
struct Words<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Words<'a> {
    fn or(&mut self) -> Result<Expression, String> {
        let mut list = vec![self.and()?];
        while self.word("or") {
            list.push(self.and()?);
        }
        Ok(if list.len() == 1 { list.remove(0) } else { Expression::Or(list) })
    }

    fn and(&mut self) -> Result<Expression, String> {
        let mut list = vec![self.not()?];
        while self.word("and") {
            list.push(self.not()?);
        }
        Ok(if list.len() == 1 { list.remove(0) } else { Expression::And(list) })
    }

    fn not(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("has more than {DEPTH} parentheses within each other"));
        }
        let found = if self.word("not") {
            Expression::Not(Box::new(self.not()?))
        } else if self.sign("(") {
            let inside = self.or()?;
            if !self.sign(")") {
                return Err(format!("expected `)` at `{}`", self.rest));
            }
            inside
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(found)
    }

    fn comparison(&mut self) -> Result<Expression, String> {
        let left = self.operand()?;
        match RELATIONS.into_iter().find(|relation| self.sign(relation)) {
            Some(relation) => Ok(Expression::Compare(left, relation, self.operand()?)),
            None => Ok(Expression::Is(left)),
        }
    }

    fn operand(&mut self) -> Result<Operand, String> {
        self.rest = self.rest.trim_start();
        let expected =
            || format!("expected a key, a number or a text in quotes at `{}`", self.rest);
        if let Some(quote) = self.rest.chars().next().filter(|c| ['"', '\''].contains(c)) {
            let (text, rest) = self.rest[1..].split_once(quote).ok_or_else(expected)?;
            self.rest = rest;
            return Ok(Operand::Constant(text.into()));
        }
        let inside = |c: char| c.is_alphanumeric() || "._-+".contains(c);
        let end = self.rest.find(|c| !inside(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let operand = match word {
            "true" | "false" => Operand::Constant((word == "true").into()),
            "" | "and" | "or" | "not" => return Err(expected()),
            word if word.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => {
                let number = word.parse::<f64>().ok().filter(|x| x.is_finite());
                Operand::Constant(number.ok_or_else(expected)?.into())
            }
            key => Operand::Key(key.into()),
        };
        self.rest = rest;
        Ok(operand)
    }

    /// Passes over `word` if it comes next.
    fn word(&mut self, word: &str) -> bool {
        let after = self.rest.trim_start().strip_prefix(word);
        let ends = |rest: &&'a str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        after.filter(ends).map(|rest| self.rest = rest).is_some()
    }

    /// Passes over `sign` if it comes next.
    fn sign(&mut self, sign: &str) -> bool {
        self.rest.trim_start().strip_prefix(sign).map(|rest| self.rest = rest).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(text: &str) -> Result<bool> {
        let values = json!({ "lr": 0.01, "d.model": 32, "arm": "a b", "on": true, "none": null });
        let known = || ["lr", "d.model", "arm", "on", "none"].map(String::from).to_vec();
        Condition::parse("skip", text)?.holds(&|key| values.get(key).cloned(), &known)
    }

    #[test]
    fn operators_bind_as_they_say() {
        for (text, expected) in [
            ("lr > 1e-3", true),
            ("lr>1e-3 and lr<1", true),
            ("d.model == 32 and lr > 1", false),
            ("lr > 1 or lr < 1 and on", true),
            ("(lr > 1 or lr < 1) and not on", false),
            ("not lr > 1", true),
            ("not (on and on)", false),
            ("arm == 'a b' and arm != \"b\"", true),
            ("-1 <= lr", true),
            ("d.model >= 32 and d.model <= 32.0", true),
            ("none > 1 or none <= 1 or none", false),
            ("true", true),
        ] {
            assert_eq!(holds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for (text, message, help) in [
            ("", "expected a key", "write for example"),
            ("lr >", "expected a key", "write"),
            ("lr > 1 lr", "expected `and`", "write"),
            ("(lr > 1", "expected `)`", "write"),
            ("lr > 'x", "expected a key", "write"),
            ("lr > 1.2.3", "expected a key", "write"),
            ("arm > 1", "are of two kinds", "write"),
            ("arm", "is neither true nor false", "write"),
            ("d.modell > 1", "`d.modell` has no value", "did you mean `d.model`?"),
            ("xyz > 1", "`xyz` has no value", "known are lr"),
            (&"(".repeat(100_000), "has more than 64", "write"),
        ] {
            let e = holds(text).expect_err(text);
            assert!(e.message().contains(message) && e.help().contains(help), "{text}: {e}");
        }
    }
}
