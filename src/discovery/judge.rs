//! A circuit beside what it is compared with: its complement, itself without each of its edges, and
//! random circuits matched by edge type.

use super::controls;
use super::hypotheses::{Compared, Drawn, DrawnRuns, Tested};
use crate::error::Result;
use crate::files::mark::GENERATOR;
use crate::formats::Origin;
use crate::patching::batches::Extremes;
use crate::patching::behaviour::Behaviour;
use crate::patching::span::Span;
use crate::patching::{Progress, running};
use crate::simd::Element;
use serde_json::{Map, Value, json};

/// Edges up to which each is ablated unasked.
pub const FEW: usize = 200;

/// Random circuits that hypothesis tests draw unless told otherwise: enough to tell the edges of a
/// circuit of a thousand.
const DRAWN: usize = 120;

/// What a circuit is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// How many random circuits matched by edge type.
    pub null: usize,
    /// Whether each edge is ablated even of a large circuit.
    pub minimality: bool,
    /// Whether it is put to [tests](super::hypotheses).
    pub tests: bool,
    /// The seed of what is drawn.
    pub seed: u64,
}

/// The circuits to run for a [`Request`].
pub struct Circuits {
    kept: Vec<bool>,
    one_less: bool,
    random: usize,
    tests: bool,
    /// All of them, `[E]` each.
    pub list: Vec<Vec<bool>>,
}

impl Request {
    /// The circuits to run to judge `kept [E]`.
    pub fn circuits<T: Element>(&self, b: &Behaviour<'_, T>, kept: &[bool]) -> Circuits {
        let members = kept.iter().filter(|&&kept| kept).count();
        let one_less = members <= FEW || self.minimality || self.tests;
        let count = if self.tests && self.null == 0 { DRAWN } else { self.null };
        let random = controls::random_circuits(&b.graph, kept, count, self.seed);
        let drawn = self.tests.then(|| Drawn::new(&b.graph, kept, &random, self.seed));
        let mut list = circuits(kept, one_less, &random);
        list.extend(drawn.into_iter().flat_map(DrawnRuns::circuits));
        let random = random.len();
        Circuits { kept: kept.to_vec(), one_less, random, tests: self.tests, list }
    }
}

impl Circuits {
    /// Runs them: the circuit and what it is compared with, and what the tests take, if any are
    /// asked for.
    ///
    /// # Errors
    /// Those of the runs.
    pub fn run<T: Element>(
        self,
        b: &Behaviour<'_, T>,
        progress: &mut Progress<'_>,
    ) -> Result<(Judged, Option<DrawnRuns>)> {
        let mut values = running::circuits(b, &self.list, progress)?.into_iter();
        let judged = Judged::read(&self.kept, self.one_less, self.random, &mut values);
        let tested = self.tests.then(|| DrawnRuns::read(&mut values, self.random));
        Ok((judged, tested))
    }
}

/// The metric of each pair under a circuit and those it is compared with, `[pairs]` each.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The edges of the circuit, rising.
    pub members: Vec<usize>,
    /// With these alone.
    pub circuit: Vec<f64>,
    /// With all other edges.
    pub complement: Vec<f64>,
    /// `[members]`, without each edge of the circuit; empty if these are not asked for.
    pub one_less: Vec<Vec<f64>>,
    /// Of random circuits matched by edge type.
    pub random: Vec<Vec<f64>>,
}

/// What a file of results holds: where they come from, and the `report` of them.
pub fn results<T: Element>(origin: &Origin, mut report: Map<String, Value>) -> Value {
    origin.put(&mut report);
    report.insert("dtype".into(), T::NAME.into());
    report.insert("generator".into(), GENERATOR.into());
    Value::Object(report)
}

/// The edges of a circuit `kept [E]`, rising.
fn members(kept: &[bool]) -> Vec<usize> {
    (0..kept.len()).filter(|&e| kept[e]).collect()
}

/// The circuits that are run to judge `kept [E]`: itself, its complement, with `one_less` itself
/// without each of its edges, and the `random` ones.
pub fn circuits(kept: &[bool], one_less: bool, random: &[Vec<bool>]) -> Vec<Vec<bool>> {
    let mut all = vec![kept.to_vec(), kept.iter().map(|kept| !kept).collect()];
    let without = |e: usize| {
        let mut less = kept.to_vec();
        less[e] = false;
        less
    };
    if one_less {
        all.extend(members(kept).into_iter().map(without));
    }
    all.extend_from_slice(random);
    all
}

impl Judged {
    /// From the `values` of [`circuits`] in their order, of which `random` are random; more values
    /// are left.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn read(
        kept: &[bool],
        one_less: bool,
        random: usize,
        values: &mut impl Iterator<Item = Vec<f64>>,
    ) -> Judged {
        let members = members(kept);
        let mut next = || values.next().expect("values of each circuit");
        Judged {
            circuit: next(),
            complement: next(),
            one_less: members.iter().filter(|_| one_less).map(|_| next()).collect(),
            random: (0..random).map(|_| next()).collect(),
            members,
        }
    }

    /// By how much the metric falls without each edge, in the order of the members; empty if that
    /// was not asked for.
    pub fn drops<T: Element>(&self, b: &Behaviour<'_, T>) -> Vec<f64> {
        let mean = |values: &[f64]| values.iter().sum::<f64>() * b.weight();
        let whole = mean(&self.circuit);
        self.one_less.iter().map(|values| whole - mean(values)).collect()
    }

    /// The faithfulness of the random circuits, and the p-value of the circuit among them; `None`
    /// without any.
    pub fn against_random(&self, span: &Span) -> Option<(Vec<f64>, f64)> {
        let random: Vec<f64> = self.random.iter().map(|r| span.faithfulness(r)).collect();
        let p = controls::p_value(span.faithfulness(&self.circuit), &random);
        Some((random, p)).filter(|(random, _)| !random.is_empty())
    }

    /// What tests find, whose circuits were run as `drawn`.
    pub fn tested(&self, drawn: &DrawnRuns, span: &Span, seed: u64) -> [Tested; 5] {
        let Judged { circuit, complement, one_less, random, .. } = self;
        drawn.judge(span, &Compared { circuit, complement, one_less, random }, seed)
    }

    /// What a file of results says of it.
    pub fn report<T: Element>(
        &self,
        b: &Behaviour<'_, T>,
        extremes: &Extremes,
        span: &Span,
    ) -> Map<String, Value> {
        let mut report = Map::new();
        let mut put = |key: &str, value: Value| report.insert(key.into(), value);
        put(
            "per_pair",
            json!({
                "clean": extremes.clean,
                "corrupted": extremes.corrupted,
                "circuit": self.circuit,
                "complement": self.complement,
                "nothing": span.nothing,
            }),
        );
        put("edges", self.members.len().into());
        put("faithfulness", span.faithfulness(&self.circuit).into());
        put("faithfulness_interval", json!(span.interval(&self.circuit)));
        put("complement_faithfulness", span.faithfulness(&self.complement).into());
        if !self.one_less.is_empty() {
            let names = self.members.iter().map(|&e| b.graph.edge(e).to_string());
            let drops: Map<String, Value> =
                names.zip(self.drops(b).into_iter().map(Value::from)).collect();
            put("minimality", Value::Object(drops));
        }
        if let Some((random, p)) = self.against_random(span) {
            put("null", json!({ "faithfulness": random, "p": p }));
        }
        report
    }
}
