//! Masks of edges, as `edgegrad evaluate --adversary` writes them among its figures: how much of
//! each edge is left, between its ablation value (0) and its writer's output (1).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result, at_key};
use crate::files::json;

const HELP: &str = "give what `edgegrad evaluate --adversary --out FILE.json` wrote";

/// Masks by the names of edges, each from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Masks(pub BTreeMap<String, f64>);

impl Masks {
    /// Puts them into the figures of a file, as `masks`.
    pub fn put(&self, figures: &mut Map<String, Value>) {
        let of = |(name, &mask): (&String, &f64)| (name.clone(), mask.into());
        figures.insert("masks".into(), Value::Object(self.0.iter().map(of).collect()));
    }

    /// Reads `masks` of a file.
    ///
    /// # Errors
    /// When it cannot be read, is not JSON, has no `masks`, or one is no number from 0 to 1.
    pub fn read(file: &Path) -> Result<Masks> {
        Masks::of(file, &json::read(file, HELP)?)
    }

    /// The masks in `text`, the content of `file`.
    ///
    /// # Errors
    /// When it is not JSON, has no `masks`, or one is no number from 0 to 1.
    pub fn parse(file: &Path, text: &[u8]) -> Result<Masks> {
        let fail = |error| Error::input(file.display(), format!("is not JSON ({error})"), HELP);
        Masks::of(file, &serde_json::from_slice(&json::strict(text)).map_err(fail)?)
    }

    /// The masks in `value`, the content of `file`.
    ///
    /// # Errors
    /// When it has no `masks`, or one is no number from 0 to 1.
    pub fn of(file: &Path, value: &Value) -> Result<Masks> {
        let Some(Value::Object(list)) = value.get("masks") else {
            return Err(Error::input(at_key(file, "masks"), "is no object of masks", HELP));
        };
        let mask = |(name, value): (&String, &Value)| {
            let mask = value.as_f64().filter(|mask| (0.0..=1.0).contains(mask));
            let mask = mask.ok_or_else(|| {
                let place = at_key(file, format!("masks.{name:.80}"));
                let got: String = value.to_string().chars().take(40).collect();
                Error::input(place, format!("must be from 0 to 1, got {got}"), HELP)
            })?;
            Ok((name.clone(), mask))
        };
        list.iter().map(mask).collect::<Result<_>>().map(Masks)
    }
}
