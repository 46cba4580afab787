//! JSON files of strangers, read with Python's `NaN` as `null`.

use std::path::Path;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

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

/// JSON with `null` for Python's `NaN`, which JSON has not.
pub(crate) fn strict(text: &[u8]) -> Vec<u8> {
    let (mut out, mut quoted, mut i) = (Vec::with_capacity(text.len()), false, 0);
    while i < text.len() {
        if quoted && text[i] == b'\\' && i + 1 < text.len() {
            out.extend(&text[i..i + 2]);
            i += 2;
        } else if !quoted && text[i..].starts_with(b"NaN") {
            out.extend(b"null");
            i += 3;
        } else {
            quoted ^= text[i] == b'"';
            out.push(text[i]);
            i += 1;
        }
    }
    out
}

/// For fields of formats: NaN where JSON says `null`.
pub(crate) fn nan_for_null<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or(f64::NAN))
}

/// The same for each element of a list.
pub(crate) fn nans_for_nulls<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<f32>, D::Error> {
    let list = Vec::<Option<f32>>::deserialize(d)?;
    Ok(list.into_iter().map(|x| x.unwrap_or(f32::NAN)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_are_none_are_replaced() {
        let text = br#"{"a\"NaN":[NaN,"NaN"]}"#;
        assert_eq!(strict(text), br#"{"a\"NaN":[null,"NaN"]}"#);
    }
}
