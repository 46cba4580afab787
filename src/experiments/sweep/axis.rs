//! What a key takes in turn: lists, ranges, and values between two ends.

use crate::error::{Error, Result};
use crate::experiments::settings::Given;
use toml::{Table, Value};

/// The most values of all keys.
pub(super) const MOST: u64 = 1_000_000;

/// How values can be given beside a list, with an example of each.
const SPACES: [(&str, &str); 3] =
    [("range", "[0, 8]"), ("linspace", "[0, 0.5, 6]"), ("logspace", "[1e-4, 1e-1, 4]")];

/// What an axis looks like, for errors.
const EXAMPLE: &str = "[1e-3, 1e-2]";

/// Whether a table stands for values, and is no table of keys.
pub(super) fn is_space(table: &Table) -> bool {
    table.keys().any(|key| SPACES.iter().any(|(name, _)| name == key))
}

/// The values of the key that is given, at least one.
///
/// # Errors
/// If there is none, or they are given in another way.
pub(super) fn values(given: &Given) -> Result<Vec<Value>> {
    let list = match &given.value {
        Value::Array(list) => list.clone(),
        Value::Table(table) if table.len() == 1 && is_space(table) => {
            let (name, ends) = table.iter().next().expect("one entry");
            let (name, example) = *SPACES.iter().find(|(known, _)| known == name).expect("is one");
            let refuse = |message: &str| {
                let help = format!("write for example `{} = {{ {name} = {example} }}`", given.key);
                Error::input(format_args!("{}.{name}", given.place), message, help)
            };
            between(name, ends).map_err(|message| refuse(&message))?
        }
        _ => {
            return Err(given.wrong("a list, or a table with range, linspace or logspace", EXAMPLE));
        }
    };
    match list.len() {
        0 => Err(Error::input(
            &given.place,
            "holds no value",
            format!("write for example `{} = {EXAMPLE}`, or leave it out", given.key),
        )),
        n if n as u64 > MOST => Err(too_many(&given.place)),
        _ => Ok(list),
    }
}

/// The error that the axis at `place` has more values than are left.
pub(super) fn too_many(place: &str) -> Error {
    let message = format!("all axes together hold more than {MOST} values");
    Error::input(place, message, "sweep over fewer of them")
}

/// The values that `range`, `linspace` or `logspace` stands for, or what is wrong with it.
fn between(name: &str, ends: &Value) -> Result<Vec<Value>, String> {
    let list = ends.as_array().map_or(&[][..], |list| list);
    let numbers: Option<Vec<f64>> = list.iter().map(number).collect();
    let whole: Option<Vec<i64>> = list.iter().map(Value::as_integer).collect();
    match (name, whole.as_deref(), numbers.as_deref()) {
        ("range", Some(&[from, to]), _) => range(from, to, 1),
        ("range", Some(&[from, to, step]), _) => range(from, to, step),
        ("range", ..) => Err("expected two whole numbers, and perhaps a step".into()),
        (_, _, Some(&[a, b, n])) if (1.0..=MOST as f64).contains(&n) && n.fract() == 0.0 => {
            let log = name == "logspace";
            if log && !(a > 0.0 && b > 0.0) {
                return Err("expected ends above 0".into());
            }
            let both_whole = list.iter().take(2).all(Value::is_integer);
            Ok(spaced(a, b, n as u64, log, both_whole))
        }
        _ => Err(format!("expected two numbers, and how many values there are, 1 to {MOST}")),
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or(value.as_integer().map(|n| n as f64)).filter(|x| x.is_finite())
}

/// `from`, `from + step`, .. before `to`.
fn range(from: i64, to: i64, step: i64) -> Result<Vec<Value>, String> {
    if step < 1 {
        return Err("expected a step of 1 or more".into());
    }
    let count = (i128::from(to) - i128::from(from) + i128::from(step) - 1) / i128::from(step);
    if count > i128::from(MOST) {
        return Err(format!("expected at most {MOST} values, got {count}"));
    }
    Ok((0..count.max(0) as i64).map(|i| Value::Integer(from + i * step)).collect())
}

/// `n` values from `a` to `b`, equally far apart or, with `log`, in equal ratios; to 12 digits, so
/// that a thousandth is 0.001. They are whole numbers if the ends and all of them are.
fn spaced(a: f64, b: f64, n: u64, log: bool, both_whole: bool) -> Vec<Value> {
    let at = |i: u64| {
        let t = i as f64 / (n - 1).max(1) as f64;
        let x = if log { a * libm::pow(b / a, t) } else { a + (b - a) * t };
        format!("{x:.11e}").parse::<f64>().expect("a number that was written")
    };
    let list: Vec<f64> = (0..n).map(at).collect();
    let is_whole = |x: &f64| x.fract() == 0.0 && x.abs() < 1e15;
    let whole = both_whole && list.iter().all(is_whole);
    let value = |x: f64| if whole { Value::Integer(x as i64) } else { Value::Float(x) };
    list.into_iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Value>> {
        let table: Table = format!("x = {text}").parse().expect("TOML");
        values(&Given::new("axes", "x", table["x"].clone()))
    }

    fn shown(text: &str) -> String {
        Value::Array(read(text).expect(text)).to_string()
    }

    #[test]
    fn values_are_those_that_a_person_would_write() {
        for (text, expected) in [
            ("[1, 'a', true]", "[1, \"a\", true]"),
            ("{ range = [0, 3] }", "[0, 1, 2]"),
            ("{ range = [-1, 8, 3] }", "[-1, 2, 5]"),
            ("{ linspace = [0, 0.3, 4] }", "[0.0, 0.1, 0.2, 0.3]"),
            ("{ linspace = [2, 8, 3] }", "[2, 5, 8]"),
            ("{ linspace = [2.0, 8, 3] }", "[2.0, 5.0, 8.0]"),
            ("{ linspace = [0, 1, 1] }", "[0]"),
            ("{ logspace = [1e-4, 1e-1, 4] }", "[0.0001, 0.001, 0.01, 0.1]"),
            ("{ logspace = [8, 64, 4] }", "[8, 16, 32, 64]"),
            ("{ logspace = [8, 16, 3] }", "[8.0, 11.3137084990, 16.0]"),
        ] {
            assert_eq!(shown(text).replace("11.313708499,", "11.3137084990,"), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_axis_is_refused() {
        for (text, message) in [
            ("3", "axes.x: expected a list"),
            ("[]", "axes.x: holds no value"),
            ("{ range = [3, 3] }", "axes.x: holds no value"),
            ("{ range = [0, 1000001] }", "axes.x.range: expected at most 1000000 values"),
            ("{ range = [0.5, 1] }", "axes.x.range: expected two whole numbers"),
            ("{ range = [0, 1, 0] }", "axes.x.range: expected a step"),
            ("{ linspace = [0, 1] }", "axes.x.linspace: expected two numbers"),
            ("{ linspace = [0, inf, 2] }", "axes.x.linspace: expected two numbers"),
            ("{ linspace = [0, 1, 2.5] }", "axes.x.linspace: expected two numbers"),
            ("{ logspace = [0, 1, 2] }", "axes.x.logspace: expected ends above 0"),
            ("{ range = [0, 1], linspace = [0, 1, 2] }", "axes.x: expected a list"),
        ] {
            let e = read(text).expect_err(text);
            assert!(e.to_string().starts_with(message), "{text}: {e}");
            assert!(e.help().contains("write"), "{text}: {}", e.help());
        }
    }
}
