//! JSON files of strangers, read with Python's `NaN` as `null`.

use std::borrow::Cow;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::atomic;
use super::mark::GENERATOR;
use crate::error::{Error, Result, at_line};

/// The content of a file.
///
/// # Errors
/// When it is no file, cannot be read or is not JSON; `help` says what to do about it.
pub(crate) fn read(file: &Path, help: &str) -> Result<Value> {
    let fail = |error: std::io::Error| Error::unreadable(file, &error, help);
    // A device or a pipe may never end.
    if !std::fs::metadata(file).map_err(fail)?.is_file() {
        return Err(Error::input(file.display(), "is not a file", help));
    }
    let text = std::fs::read(file).map_err(fail)?;
    serde_json::from_slice(&strict(&text)).map_err(|error| {
        let problem = format!("is not JSON ({error})");
        Error::input(at_line(file, error.line()), problem, help)
    })
}

/// Writes an object with the mark of this crate.
///
/// # Errors
/// When the file cannot be written.
///
/// # Panics
/// When `value` is no object.
pub(crate) fn write_marked(file: &Path, value: &impl Serialize) -> Result<()> {
    let mut value = serde_json::to_value(value).expect("keys are strings");
    value["generator"] = GENERATOR.into();
    atomic::write_bytes(file, format!("{value}\n").as_bytes())
}

/// `text` with the words that Python writes for numbers that JSON has not, `NaN` and `Infinity`,
/// replaced outside of strings: by `null` and by a string.
pub(crate) fn strict(text: &[u8]) -> Cow<'_, [u8]> {
    let has = |word: &[u8]| text.windows(word.len()).any(|w| w == word);
    if !has(b"NaN") && !has(b"Infinity") {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    let mut quoted = false;
    while let [first, behind @ ..] = rest {
        let word = |word: &[u8]| !quoted && rest.starts_with(word);
        let (with, used): (&[u8], usize) = if word(b"NaN") {
            (b"null", 3)
        } else if word(b"Infinity") {
            (b"\"Infinity\"", 8)
        } else if word(b"-Infinity") {
            (b"\"-Infinity\"", 9)
        } else if quoted && *first == b'\\' && !behind.is_empty() {
            (&rest[..2], 2)
        } else {
            quoted ^= *first == b'"';
            (&rest[..1], 1)
        };
        out.extend_from_slice(with);
        rest = &rest[used..];
    }
    Cow::Owned(out)
}

/// The entry of the object `value[key]` that is no `T`: its key, and what is wrong with it.
pub(crate) fn at_fault<T: DeserializeOwned>(
    value: &Value,
    key: &str,
) -> Option<(String, serde_json::Error)> {
    value.get(key)?.as_object()?.iter().find_map(|(name, entry)| {
        T::deserialize(entry).err().map(|error| (format!("{key}.{name:.60}"), error))
    })
}

/// A value in an error: short, whatever the user wrote.
pub(crate) fn short(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".into(),
        Value::Array(_) => "a list".into(),
        Value::String(s) if s.chars().count() > 40 => "a long text".into(),
        Value::String(s) => format!("{s:?}"),
        other => other.to_string(),
    }
}

/// For fields of formats: NaN where JSON says `null`.
pub(crate) fn nan_for_null<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or(f64::NAN))
}

/// The same for each element of a list.
pub(crate) fn nans_for_nulls<'de, D, T>(d: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + From<f32>,
{
    let list = Vec::<Option<T>>::deserialize(d)?;
    Ok(list.into_iter().map(|x| x.unwrap_or(f32::NAN.into())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_are_none_are_replaced() {
        let text = br#"{"a\"NaN":[NaN,"NaN",-Infinity]}"#;
        assert_eq!(&*strict(text), br#"{"a\"NaN":[null,"NaN","-Infinity"]}"#);
        assert!(matches!(strict(b"[0.5]"), Cow::Borrowed(b"[0.5]")), "not copied");
    }
}
