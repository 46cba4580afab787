//! `report.json` of a tuned model's folder: what the run was told, how the model did on the way,
//! and what it cost. A comparison holds one for each run.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run_record::RunRecord;
use crate::error::{Error, Result};
use crate::files::{atomic, input};
use crate::stats::wilson;

/// What a model has kept in a domain that it was not tuned for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Its score before tuning, from 0 to 1.
    pub before: f64,
    /// The same after it.
    pub after: f64,
    /// What was added to its negative log-likelihood per token, in nats.
    pub nll_change: f64,
    /// Held-out examples that both are measured on.
    pub items: usize,
    /// The score of guesses.
    pub chance: f64,
}

/// An end of the scale that a domain was at before tuning, as far as its items tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing to gain: the score can only fall.
    Ceiling,
    /// Nothing to lose: the score is that of guesses.
    Floor,
}

impl Kept {
    /// `after / before`; none if that was 0.
    pub fn ratio(&self) -> Option<f64> {
        (self.before > 0.0).then(|| self.after / self.before)
    }

    /// `^` where it was at its ceiling, `_` at its floor.
    pub fn mark(&self) -> &'static str {
        match self.end() {
            Some(End::Ceiling) => "^",
            Some(End::Floor) => "_",
            None => "",
        }
    }

    /// The end that it was at: scores that so many guesses, or so many right answers, have within
    /// their 95 % interval.
    ///
    /// ```
    /// use edgegrad::formats::tuning_report::{End, Kept};
    /// let of = |before| Kept { before, items: 200, chance: 0.5, ..Kept::default() }.end();
    /// assert_eq!([of(0.99), of(0.9), of(0.55)], [Some(End::Ceiling), None, Some(End::Floor)]);
    /// ```
    pub fn end(&self) -> Option<End> {
        let guessed = (self.chance * self.items as f64).round() as usize;
        if self.before >= wilson(self.items, self.items).0 {
            Some(End::Ceiling)
        } else if self.before <= wilson(guessed, self.items).1 {
            Some(End::Floor)
        } else {
            None
        }
    }
}

/// How a model does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What is asked for, from 0 to 1: the share of verbs that disagree (E1), one minus the
    /// prejudice risk (E2), the share of examples that are right (E3, E5), F1 over the labels (E4).
    pub target: f64,
    /// The mean logit of what is asked for minus its rival's (E1, E3 to E5); for E2 the mean of the
    /// same, which says which way it leans.
    pub gap: f64,
    /// [`target`](Self::target) with words, templates or depths that tuning never shows.
    pub transfer: f64,
    /// What is kept of the other domains: the mean of score after / score before.
    pub retention: f64,
    /// What the other domains' negative log-likelihood per token has risen by, in nats.
    pub nll_change: f64,
    /// The same of what was not asked for in the tuned domain: the tokens that are not asked.
    #[serde(default)]
    pub rest_change: f64,
    /// Of E2: the share of pronouns that are right where the gender is said.
    pub explicit: Option<f64>,
    /// What is kept by domain; empty where there are no domains.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub domains: BTreeMap<String, Kept>,
}

impl Judgement {
    /// By which learning rates are chosen: the product of what is reached and of what is kept, no
    /// more than all of it. Where nothing is reached it is 0, however much is kept.
    pub fn balance(&self) -> f64 {
        self.target * self.retention.clamp(0.0, 1.0)
    }

    /// The least ratio of score after / score before of a domain that had something to lose, with
    /// its name; none without such domains.
    pub fn worst(&self) -> Option<(&str, f64)> {
        let lost = self.domains.iter().filter(|(_, kept)| kept.end() != Some(End::Floor));
        let ratios = lost.filter_map(|(name, kept)| Some((&**name, kept.ratio()?)));
        ratios.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The mean of `list`, not empty, each on items of its own; of domains, those of the first.
    pub fn mean(list: &[Judgement]) -> Judgement {
        let n = list.len() as f64;
        let of = |figure: fn(&Judgement) -> f64| list.iter().map(figure).sum::<f64>() / n;
        let domain = |name: &String| {
            let all = || list.iter().filter_map(|j| j.domains.get(name));
            let of = |figure: fn(&Kept) -> f64| all().map(figure).sum::<f64>() / n;
            let items = all().map(|kept| kept.items).sum();
            let (before, after) = (of(|kept| kept.before), of(|kept| kept.after));
            Kept {
                before,
                after,
                nll_change: of(|k| k.nll_change),
                items,
                chance: of(|k| k.chance),
            }
        };
        let names = list.first().into_iter().flat_map(|first| first.domains.keys());
        let explicit = || list.iter().map(|j| j.explicit).sum::<Option<f64>>();
        Judgement {
            target: of(|j| j.target),
            gap: of(|j| j.gap),
            transfer: of(|j| j.transfer),
            retention: of(|j| j.retention),
            nll_change: of(|j| j.nll_change),
            rest_change: of(|j| j.rest_change),
            explicit: explicit().map(|sum| sum / n),
            domains: names.map(|name| (name.clone(), domain(name))).collect(),
        }
    }

    /// Its numbers with their names, in the order of the table.
    pub fn entries(&self) -> [(&'static str, f64); 6] {
        [
            ("target", self.target),
            ("gap", self.gap),
            ("transfer", self.transfer),
            ("retention", self.retention),
            ("nll change", self.nll_change),
            ("rest change", self.rest_change),
        ]
    }
}

/// What a run has come to; `S` is what it was told, which only the program that ran it understands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuningReport<S = Value> {
    /// What it was told.
    #[serde(default)]
    pub settings: S,
    /// What it began with; none in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<RunRecord>,
    /// What decides its batches, its pairs and everything that is random.
    pub seed: u64,
    /// Updates done.
    #[serde(default)]
    pub steps: usize,
    /// The update before which the loss was no longer a sensible number: then the model is as it
    /// was at the last look.
    pub diverged: Option<usize>,
    /// Numbers in the blocks of the model: matrices, biases and norms, without embeddings.
    pub block_numbers: usize,
    /// Numbers trained, on average over updates.
    #[serde(default)]
    pub trained: f64,
    /// Numbers that were ever trained.
    pub ever_trained: usize,
    /// Ends of edges trained, on average over looks behind the first; 0 without a circuit.
    #[serde(default)]
    pub ends: f64,
    /// Milliseconds of an update, discoveries included.
    #[serde(default)]
    pub step_ms: f64,
    /// Bytes of gradients and optimizer state of what was trained, at most.
    #[serde(default)]
    pub bytes: usize,
    /// Before tuning, every so many updates, and at the end.
    pub path: Vec<Point>,
    /// What is left if only the change of the circuit's parameters is kept.
    #[serde(default)]
    pub graft: Graft,
    /// What is left if only the largest changes are kept, from all of them to few, each a half of
    /// the one before; empty unless asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub graft_curve: Vec<Graft>,
}

/// The base model with the change of one circuit's parameters alone: of the last circuit that was
/// trained or, of methods without one, of that which the settings find in the base model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Graft {
    /// Numbers that are taken over.
    pub numbers: usize,
    /// Their share of the squared change of all; none if nothing has changed.
    pub share: Option<f64>,
    /// How the grafted model does.
    pub judgement: Judgement,
}

/// A look at a model on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Updates done.
    pub step: usize,
    /// The loss of the last batch before its update; none before the first.
    pub loss: Option<f64>,
    /// Numbers trained now.
    #[serde(default)]
    pub trained: usize,
    /// Edges of the circuit now.
    pub edges: Option<usize>,
    /// How the model does.
    pub judgement: Judgement,
    /// How good that circuit is in this model; before tuning, the first circuit. None without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<CircuitFigures>,
}

/// How good a circuit is, on pairs that no update has seen. A figure is none where it is a share of
/// nothing: of the metric, if model and nothing are alike, or of no edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CircuitFigures {
    /// The share of the behaviour that the circuit keeps.
    pub faithfulness: Option<f64>,
    /// The share that its complement does not keep.
    pub completeness: Option<f64>,
    /// The share of its edges that lie on paths from the input to the logits within it.
    pub connectivity: Option<f64>,
}

impl CircuitFigures {
    /// Its figures with their names, in the order of tables.
    pub fn entries(&self) -> [(&'static str, Option<f64>); 3] {
        [
            ("faithfulness", self.faithfulness),
            ("completeness", self.completeness),
            ("connectivity", self.connectivity),
        ]
    }
}

impl<S> TuningReport<S> {
    /// Before tuning.
    pub fn before(&self) -> &Judgement {
        &self.path[0].judgement
    }

    /// At the end.
    pub fn after(&self) -> &Judgement {
        &self.path[self.path.len() - 1].judgement
    }

    /// Numbers trained on average, as a share of those in the blocks.
    pub fn share(&self) -> f64 {
        self.trained / self.blocks()
    }

    /// Numbers that were ever trained, as a share of those in the blocks.
    pub fn ever_share(&self) -> f64 {
        self.ever_trained as f64 / self.blocks()
    }
    fn blocks(&self) -> f64 {
        self.block_numbers.max(1) as f64
    }
}

const HELP: &str = "remove the file to have the run again";

impl<S: Serialize + DeserializeOwned + Default> TuningReport<S> {
    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("plain structs are valid JSON");
        atomic::write_bytes(file, format!("{text}\n").as_bytes())
    }

    /// Reads a file; none if there is none.
    ///
    /// # Errors
    /// If the file cannot be read, or is damaged.
    pub fn read(file: &Path) -> Result<Option<Self>> {
        if !file.exists() {
            return Ok(None);
        }
        let text = input::regular(file, input::DATA)?;
        TuningReport::parse(&file.display().to_string(), &text).map(Some)
    }

    /// The report in a text; `place` is what errors call it.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn parse(place: &str, text: &[u8]) -> Result<Self> {
        let report: Self =
            serde_json::from_slice(text).map_err(|e| Error::input(place, e, HELP))?;
        if report.path.is_empty() {
            return Err(Error::input(place, "path: holds no look at the model", HELP));
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn domains() -> BTreeMap<String, Kept> {
        let of = |before, after| Kept { before, after, items: 200, ..Kept::default() };
        let all = [("filler", of(1.0, 0.9)), ("logic", of(0.5, 0.4)), ("lookup", of(0.01, 0.0))];
        all.map(|(name, kept)| (name.to_string(), kept)).into()
    }

    /// A mean of .9 and .8 hides the domain that has lost most; one that was at its floor had
    /// nothing to lose.
    #[test]
    fn the_worst_domain_is_one_that_had_something_to_lose() {
        let judgement = Judgement { domains: domains(), ..Judgement::default() };
        assert_eq!(judgement.worst(), Some(("logic", 0.8)));
        assert_eq!(Judgement::default().worst(), None);
        let reached = |target, retention| Judgement { target, retention, ..Judgement::default() };
        assert!(reached(0.03, 1.04).balance() > reached(0.0, 1.3).balance());
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.json");
        assert_eq!(TuningReport::<Value>::read(&file).unwrap(), None);
        let judgement =
            Judgement { target: 0.5, gap: -1.25, explicit: Some(1.0), ..Judgement::default() };
        let judgement = Judgement { domains: domains(), ..judgement };
        let circuit = Some(CircuitFigures { faithfulness: Some(0.5), ..CircuitFigures::default() });
        let (loss, edges) = (Some(0.1), Some(3));
        let point =
            Point { step: 8, loss, trained: 20, edges, judgement: judgement.clone(), circuit };
        let report = TuningReport {
            settings: serde_json::json!({ "lr": 0.001 }),
            began: None,
            seed: 3,
            steps: 8,
            diverged: None,
            block_numbers: 100,
            trained: 12.5,
            ever_trained: 25,
            ends: 2.5,
            step_ms: 1.5,
            bytes: 1 << 20,
            path: vec![Point { step: 0, loss: None, ..point.clone() }, point],
            graft: Graft { numbers: 7, share: Some(0.75), judgement: judgement.clone() },
            graft_curve: vec![Graft { numbers: 50, share: Some(1.0), judgement }],
        };
        report.write(&file).unwrap();
        assert_eq!(TuningReport::read(&file).unwrap(), Some(report.clone()));
        assert_eq!((report.share(), report.ever_share()), (0.125, 0.25));
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("{\n  \"settings\": {\n    \"lr\": 0.001\n  },\n  \"seed\": 3,"));
        let empty = TuningReport { path: vec![], ..report };
        empty.write(&file).unwrap();
        let error = TuningReport::<Value>::read(&file).unwrap_err().to_string();
        assert!(error.ends_with("report.json: path: holds no look at the model"), "{error}");
    }
}
