//! The fields of a `config.json`, each read with an error that names it.

use crate::error::{Error, Result};
use crate::files::json;
use crate::named::suggest;
use crate::nn::transformer::Config;
use serde_json::{Map, Value};
use std::fmt::Display;

/// A JSON object and the place it came from. `null` is treated as absent.
#[derive(Clone)]
pub(super) struct Fields {
    place: String,
    /// The keys around it, as a prefix of its own keys.
    outer: String,
    map: Map<String, Value>,
}

impl Fields {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// If it is not an object.
    pub(super) fn parse(place: impl Display, text: &[u8]) -> Result<Fields> {
        let help = "give the config.json of a trained model, as it was saved";
        // Python writes NaN where JSON has no such number.
        let text = json::strict(text);
        let map = serde_json::from_slice(&text).map_err(|e| Error::input(&place, e, help))?;
        Ok(Fields { place: place.to_string(), outer: String::new(), map })
    }

    /// Bad input at a key.
    pub(super) fn error(&self, key: &str, message: impl Display, help: impl Display) -> Error {
        Error::input(format_args!("{}: {}{key}", self.place, self.outer), message, help)
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether a key is there, if only as `null`.
    pub(super) fn given(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// Whether there are no keys.
    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The same with another size under a key.
    pub(super) fn with(&self, key: &str, size: usize) -> Fields {
        let mut fields = self.clone();
        fields.map.insert(key.into(), size.into());
        fields
    }

    /// The same with a size under a key that is absent.
    pub(super) fn with_usual(&self, key: &str, size: usize) -> Fields {
        if self.given(key) { self.clone() } else { self.with(key, size) }
    }

    /// The value of a key by `as_type`; `wanted` names that type in errors.
    fn typed<'a, V>(
        &'a self,
        key: &str,
        wanted: &str,
        as_type: impl Fn(&'a Value) -> Option<V>,
    ) -> Result<Option<V>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        as_type(value).map(Some).ok_or_else(|| {
            let mut got = value.to_string();
            if got.chars().count() > 40 {
                got = got.chars().take(40).chain("...".chars()).collect();
            }
            let help = format!("set \"{key}\" as the model was trained");
            self.error(key, format!("must be {wanted}, got {got}"), help)
        })
    }

    /// A whole number, or `None` if it is absent.
    pub(super) fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        let size = |v: &Value| v.as_u64().and_then(|n| usize::try_from(n).ok());
        self.typed(key, "a whole number", size)
    }

    /// A required whole number.
    pub(super) fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?.ok_or_else(|| self.missing(key))
    }

    /// A number, or `default` if it is absent.
    pub(super) fn number(&self, key: &str, default: f64) -> Result<f64> {
        Ok(self.typed(key, "a number", Value::as_f64)?.unwrap_or(default))
    }

    /// A number, or `None` if it is absent.
    pub(super) fn optional_number(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", Value::as_f64)
    }

    /// A required number.
    pub(super) fn needed(&self, key: &str) -> Result<f64> {
        self.optional_number(key)?.ok_or_else(|| self.missing(key))
    }

    /// A whole number, `usual` if it is absent, or `None` if it is `null`.
    pub(super) fn size_or(&self, key: &str, usual: usize) -> Result<Option<usize>> {
        match self.given(key) {
            true => self.optional_size(key),
            false => Ok(Some(usual)),
        }
    }

    /// A list of numbers, or `None` if it is absent.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.typed(key, "a list of numbers", |v| v.as_array()?.iter().map(Value::as_f64).collect())
    }

    /// A list of strings, or `None` if it is absent.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<String>>> {
        self.typed(key, "a list of texts", texts)
    }

    /// A list of `[strings, how often]`, written out to at most `most` strings and one repetition
    /// more, or `None` if it is absent.
    pub(super) fn repeated_texts(&self, key: &str, most: usize) -> Result<Option<Vec<String>>> {
        self.typed(key, "a list of [texts, how often]", |v| {
            let mut list = vec![];
            for part in v.as_array()? {
                let part = part.as_array()?;
                let (names, times) = (texts(part.first()?)?, part.get(1)?.as_u64()?);
                for _ in 0..times {
                    if list.len() > most || names.is_empty() {
                        break;
                    }
                    list.extend_from_slice(&names);
                }
            }
            Some(list)
        })
    }

    /// A boolean, or `default` if it is absent.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        Ok(self.typed(key, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    /// A string, or `None` if it is absent.
    pub(super) fn text(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a text", Value::as_str)
    }

    /// The object under a key, or `None` if it is absent.
    pub(super) fn object(&self, key: &str) -> Result<Option<Fields>> {
        let Some(map) = self.typed(key, "an object", Value::as_object)? else { return Ok(None) };
        let outer = format!("{}{key}.", self.outer);
        Ok(Some(Fields { place: self.place.clone(), outer, map: map.clone() }))
    }

    /// Whether a key is set: present and not `null`, false, 0, "" or empty.
    fn is_set(&self, key: &str) -> bool {
        match self.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            // TransformerLens writes -1 for "not set".
            Some(Value::Number(n)) => n.as_f64().is_none_or(|n| n > 0.0),
            Some(Value::String(s)) => !s.is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(map)) => !map.is_empty(),
        }
    }

    /// Refuses a model that sets any of `keys`: they change what is computed.
    pub(super) fn refuse(&self, keys: &[&str]) -> Result<()> {
        let Some(key) = keys.iter().find(|key| self.is_set(key)) else { return Ok(()) };
        let message = "a model that sets it cannot be computed here";
        Err(self.error(key, message, "choose a model without it"))
    }

    /// The error for a missing key.
    pub(super) fn missing(&self, key: &str) -> Error {
        let help = match suggest(key, self.map.keys().map(String::as_str)) {
            Some(near) => format!("did you mean it by \"{near}\"?"),
            None => format!("add \"{key}\" as the model was trained"),
        };
        self.error(key, "is missing", help)
    }

    /// The error for a value that is not one of those `known`.
    pub(super) fn unknown(&self, key: &str, value: &str, known: &[&str]) -> Error {
        let known_list = known.join(", ");
        let help = match suggest(value, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"? known are {known_list}"),
            None => format!("known are {known_list}"),
        };
        self.error(key, format!("unknown value {value:?}"), help)
    }

    /// `config`, if it passes its [check](Config::check); `keys` map its fields to those of the
    /// file.
    pub(super) fn checked(&self, config: Config, keys: &[(&str, &str)]) -> Result<Config> {
        match config.check() {
            Ok(()) => Ok(config),
            Err(Error::Input { place, message, help }) => {
                // Of the keys that a field can come from, the one that this file has.
                let of_field = || keys.iter().filter(|(field, _)| *field == place);
                let key = of_field().find(|(_, key)| self.has(key)).or(of_field().next());
                Err(self.error(key.map_or(&*place, |(_, key)| key), message, help))
            }
            Err(failed) => Err(failed),
        }
    }
}

/// The strings of a list of nothing else.
fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|v| v.as_str().map(str::to_string)).collect()
}
