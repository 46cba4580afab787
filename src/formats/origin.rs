//! What scores and curves are of: a model, pairs, a metric, ablation values. Results are compared
//! where all of it is the same.

use serde_json::{Map, Value};

/// What a file says of where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// A hash of the model's weights.
    pub model: Option<String>,
    /// A [hash of the pairs](super::pairs::Pairs::hash).
    pub pairs: Option<String>,
    /// The metric.
    pub metric: Option<String>,
    /// What removed edges carry.
    pub baseline: Option<String>,
}

/// The keys of the fields in files, in their order.
const KEYS: [&str; 4] = ["model", "pairs_hash", "metric", "baseline"];

/// What the fields are called, in their order.
const NAMES: [&str; 4] = ["models", "pairs", "metrics", "baselines"];

impl Origin {
    /// What `object` (the `meta` of scores, or a report) says.
    pub fn of(object: &Map<String, Value>) -> Origin {
        let [model, pairs, metric, baseline] =
            KEYS.map(|key| object.get(key).and_then(Value::as_str).map(String::from));
        Origin { model, pairs, metric, baseline }
    }

    /// Puts what is known into `object`, by the same keys.
    pub fn put(&self, object: &mut Map<String, Value>) {
        for (key, value) in KEYS.iter().zip(self.fields()) {
            if let Some(value) = value {
                object.insert((*key).into(), value.as_str().into());
            }
        }
    }

    /// What is not the same as in `other`, such as "models, pairs"; `None` if nothing is known to
    /// differ.
    pub fn differs(&self, other: &Origin) -> Option<String> {
        let both = self.fields().into_iter().zip(other.fields());
        let apart = NAMES.iter().zip(both).filter_map(|(name, pair)| match pair {
            (Some(a), Some(b)) if a != b => Some(*name),
            _ => None,
        });
        let apart: Vec<&str> = apart.collect();
        (!apart.is_empty()).then(|| apart.join(", "))
    }

    fn fields(&self) -> [Option<&String>; 4] {
        [&self.model, &self.pairs, &self.metric, &self.baseline].map(Option::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_say_can_differ() {
        let mut object = Map::new();
        let some = |text: &str| Some(text.to_string());
        let one = Origin { model: some("a"), metric: some("kl"), ..Origin::default() };
        one.put(&mut object);
        assert_eq!(Origin::of(&object), one);
        assert_eq!(one.differs(&Origin::default()), None);
        let other = Origin { pairs: some("p"), metric: some("l2"), ..one.clone() };
        assert_eq!(one.differs(&other).as_deref(), Some("metrics"));
        let other = Origin { model: some("b"), ..other };
        assert_eq!(one.differs(&other).as_deref(), Some("models, metrics"));
    }
}
