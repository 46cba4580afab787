//! The least faithfulness of a circuit under any ablation of what it leaves out.
//!
//! ```text
//! worst(C) = min over m of f(m),   m_e = 1 inside C, 0 <= m_e <= 1 outside, one m for all pairs
//! ```
//!
//! Faithfulness removes all other edges at once, and edges that are removed together may cancel: a
//! circuit then answers rightly for reasons that are not in it. Here an adversary may restore any
//! part of each edge, as in parameter decomposition (SPD and its successor VPD), and one choice has
//! to serve all pairs: an adversary for each pair would break honest circuits by its noise.
//!
//! **Search.** From each start, descent with a step of its own for every mask: it grows by 1.2
//! while the sign of the derivative stays and is halved where it changes (Rprop), and masks are
//! clipped to [0, 1]. So masks that belong at an end get there in a few steps, and those between
//! settle. The first two starts are all other edges removed and all restored; then random corners
//! take turns with the best point so far, a part of whose masks is drawn anew. One start of sign
//! steps ends up to a few per cent above what many starts find. The result is the least that was
//! found: an upper bound of the minimum.

use crate::error::{Error, Result};
use crate::files::journal::kept;
use crate::formats::masks::Masks;
use crate::graph::Graph;
use crate::patching::Progress;
use crate::patching::behaviour::Behaviour;
use crate::patching::cost::BACKWARD;
use crate::patching::field::Field;
use crate::patching::span::Span;
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fmt::Display;

/// The first step of a mask, and the least and the largest.
const STEP: [f64; 3] = [0.1, 1e-4, 0.5];

/// What a step grows by while its sign stays, and shrinks by where it changes.
const GROW: f64 = 1.2;
const SHRINK: f64 = 0.5;

/// The share of masks that are drawn anew from the best point.
const REDRAWN: f64 = 0.2;

/// The search of an adversary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdversaryOptions {
    /// Starts.
    pub starts: usize,
    /// Steps of descent from each.
    pub steps: usize,
    /// The seed of the starts.
    pub seed: u64,
}

/// Steps from each start.
const STEPS: usize = 40;

/// The fewest and the most starts unless told otherwise, and the additions that are worth one:
/// with few edges and pairs, starts cost nothing.
const STARTS: [usize; 2] = [3, 24];
const WORK: f64 = 4e9;

impl AdversaryOptions {
    /// The forward passes over all pairs that it takes, a reverse pass counted as [`BACKWARD`] of
    /// them.
    pub fn passes(&self) -> f64 {
        (self.starts * (self.steps + 1)) as f64 * (1.0 + BACKWARD)
    }

    /// 40 steps from 3 to 24 starts, the more the smaller the graph and the fewer the pairs.
    pub fn usual<T: Element>(b: &Behaviour<'_, T>, seed: u64) -> AdversaryOptions {
        let tokens: usize = b.pairs.iter().map(|pair| pair.clean.len()).sum();
        let pass = (b.graph.edges() * b.graph.d_model * tokens) as f64;
        let starts = ((WORK / pass) as usize).clamp(STARTS[0], STARTS[1]);
        AdversaryOptions { starts, steps: STEPS, seed }
    }
}

/// The worst ablation that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    /// Its faithfulness.
    pub faithfulness: f64,
    /// `[E]`, 1 inside the circuit.
    pub masks: Vec<f64>,
    /// The least faithfulness from each start.
    pub ends: Vec<f64>,
}

kept!(Worst { faithfulness, masks, ends });

/// The masks of a [`Worst`] on other pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOut {
    /// How many pairs.
    pub pairs: usize,
    /// The faithfulness of the circuit.
    pub faithfulness: f64,
    /// That with the adversary's masks.
    pub worst: f64,
}

impl Worst {
    /// What the masks do to the circuit `kept [E]` on the pairs of `other`.
    ///
    /// # Errors
    /// If the metric does not change on them, or there is not enough memory.
    pub fn held_out<T: Element>(&self, other: &Behaviour<'_, T>, kept: &[bool]) -> Result<HeldOut> {
        let span = Span::new(other, &other.extremes()?)?;
        let of = |masks: &[f64]| masked(other, &span, masks).map(|(f, _)| f);
        let pairs = other.pairs.len();
        Ok(HeldOut { pairs, faithfulness: of(&masks_of(kept))?, worst: of(&self.masks)? })
    }

    /// Puts it into a file of results, with the masks of all edges outside of the circuit
    /// `kept [E]`.
    pub fn put(
        &self,
        graph: &Graph,
        kept: &[bool],
        options: &AdversaryOptions,
        held_out: Option<HeldOut>,
        report: &mut Map<String, Value>,
    ) {
        report.insert("worst".into(), self.faithfulness.into());
        let AdversaryOptions { starts, steps, .. } = options;
        let mut about = json!({ "starts": starts, "steps": steps, "ends": self.ends });
        if let Some(HeldOut { pairs, faithfulness, worst }) = held_out {
            about["held_out"] =
                json!({ "pairs": pairs, "faithfulness": faithfulness, "worst": worst });
        }
        report.insert("adversary".into(), about);
        let outside = (0..kept.len()).filter(|&e| !kept[e]);
        let mask = |e: usize| (graph.edge(e).to_string(), self.masks[e]);
        Masks(outside.map(mask).collect()).put(report);
    }
}

/// The masks `[E]` that ablate what is not `kept [E]`.
fn masks_of(kept: &[bool]) -> Vec<f64> {
    kept.iter().map(|&kept| f64::from(u8::from(kept))).collect()
}

/// The masks `[E]` of `file`, called `place` in errors; edges that it does not name are kept or
/// ablated as in `kept [E]`.
///
/// # Errors
/// If it names an edge that the graph does not have.
pub fn masks_in(
    file: &Masks,
    place: impl Display,
    graph: &Graph,
    kept: &[bool],
) -> Result<Vec<f64>> {
    let numbers = (0..graph.edges()).map(|e| (graph.edge(e).to_string(), e));
    let numbers: HashMap<String, usize> = numbers.collect();
    let mut masks = masks_of(kept);
    for (name, &mask) in &file.0 {
        let Some(&e) = numbers.get(name) else {
            let message = format!("has the edge `{name:.60}`, which the graph does not have");
            let help = "give the file that was made with this model and these options";
            return Err(Error::input(place, message, help));
        };
        masks[e] = mask;
    }
    Ok(masks)
}

/// Searches the ablation of what the circuit `kept [E]` leaves out that leaves least of the metric
/// between the ends of `span`.
///
/// # Errors
/// If there is not enough memory, or the process has been asked to stop.
///
/// # Panics
/// If `kept` is not `[E]`, or there are no starts or no steps.
pub fn search<T: Element>(
    b: &Behaviour<'_, T>,
    span: &Span,
    kept: &[bool],
    search: &AdversaryOptions,
    progress: &mut Progress<'_>,
) -> Result<Worst> {
    let &AdversaryOptions { starts, steps, seed } = search;
    assert!(starts > 0 && steps > 0, "a search without starts or steps");
    let mut field = Field::new(b, span)?;
    let mut rng = Rng::new(seed, Purpose::Mask, 0);
    let nothing = || Worst { faithfulness: f64::INFINITY, masks: vec![], ends: vec![] };
    let mut work = b.journal.units("adversary", nothing);
    for start in 0..starts {
        let mut from: Vec<f64> = match start {
            0 => vec![0.0; kept.len()],
            1 => vec![1.0; kept.len()],
            _ => {
                let again = if start % 2 == 0 { 1.0 } else { REDRAWN };
                let density = rng.uniform();
                let mut draw = |i: usize| match rng.uniform() < again {
                    true => f64::from(u8::from(rng.uniform() < density)),
                    false => work.state.masks[i],
                };
                (0..kept.len()).map(&mut draw).collect()
            }
        };
        inside(kept, &mut from);
        if work.is_done() {
            continue;
        }
        let mut shown = |step: usize| {
            progress((start * steps + step) as f64 / (starts * steps) as f64);
            b.journal.check()
        };
        let (least, masks) = field.descend(kept, from, steps, &mut shown)?;
        let best = &mut work.state;
        best.ends.push(least);
        if least < best.faithfulness {
            (best.faithfulness, best.masks) = (least, masks);
        }
        work.finish()?;
    }
    Ok(work.state)
}

/// The faithfulness of a behaviour with `masks [E]`, and the metric of every pair.
///
/// # Errors
/// If there is not enough memory.
pub fn masked<T: Element>(
    b: &Behaviour<'_, T>,
    span: &Span,
    masks: &[f64],
) -> Result<(f64, Vec<f64>)> {
    let mut field = Field::new(b, span)?;
    let mut values = vec![0.0; b.pairs.len()];
    field.run(masks, |_, pairs, results| {
        pairs.iter().zip(results).for_each(|(pair, x)| values[b.pairs.index(pair)] = x);
    });
    Ok((span.faithfulness(&values), values))
}

/// Sets the masks inside the circuit to 1.
fn inside(kept: &[bool], masks: &mut [f64]) {
    masks.iter_mut().zip(kept).filter(|(_, kept)| **kept).for_each(|(mask, _)| *mask = 1.0);
}

impl<T: Element> Field<'_, '_, T> {
    /// The least faithfulness on the way down from `masks [E]`, and where it is; the masks inside
    /// the circuit stay.
    fn descend(
        &mut self,
        kept: &[bool],
        mut masks: Vec<f64>,
        steps: usize,
        shown: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<(f64, Vec<f64>)> {
        let [first, least_step, largest_step] = STEP;
        let mut lengths = vec![first; masks.len()];
        let mut before = vec![0.0; masks.len()];
        let mut best = (f64::INFINITY, masks.clone());
        for step in 0..=steps {
            let (f, gradient) = self.at(&masks);
            if f < best.0 {
                best = (f, masks.clone());
            }
            for e in (0..masks.len()).filter(|&e| !kept[e]) {
                let turn = gradient[e] * before[e];
                before[e] = if turn < 0.0 { 0.0 } else { gradient[e] };
                let factor = if turn > 0.0 {
                    GROW
                } else if turn < 0.0 {
                    SHRINK
                } else {
                    1.0
                };
                lengths[e] = (lengths[e] * factor).clamp(least_step, largest_step);
                // Where the sign changed, one step is left out.
                let sign = if before[e] == 0.0 { 0.0 } else { before[e].signum() };
                masks[e] = (masks[e] - lengths[e] * sign).clamp(0.0, 1.0);
            }
            shown(step)?;
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use super::super::compiled::{Setting, difference};
    use super::*;
    use crate::patching::behaviour::Baseline;
    use crate::patching::metric::Metric;
    use crate::patching::subsets;

    fn span(b: &Behaviour<'_, f64>) -> Span {
        Span::new(b, &b.extremes().expect("a metric that differs")).expect("it fits")
    }

    /// Along a random direction, and over several batches.
    #[test]
    fn derivatives_are_slopes() {
        let setting = Setting::fixture("gpt2-tiny", 4);
        for (metric, rows) in [(Metric::LogitDiff, 512), (Metric::Nll, 9)] {
            let mut b = setting.ask(metric, Baseline::Resample);
            b.rows = rows;
            let span = span(&b);
            let mut field = Field::new(&b, &span).expect("it fits");
            let mut rng = Rng::new(3, Purpose::Sample, 0);
            let masks: Vec<f64> = (0..b.graph.edges()).map(|_| rng.uniform()).collect();
            let way: Vec<f64> = masks.iter().map(|_| rng.normal()).collect();
            let slope: f64 = field.at(&masks).1.iter().zip(&way).map(|(g, w)| g * w).sum();
            let (near, off) = difference(1e-4, |h| {
                let moved: Vec<f64> = masks.iter().zip(&way).map(|(m, w)| m + h * w).collect();
                field.at(&moved).0
            });
            assert!((slope - near).abs() <= off && off < 1e-5 * near.abs(), "{slope} {near} {off}");
        }
    }

    /// Six of the edges outside are free, so all corners are known; no point between may be above
    /// the least of them by more than rounding, as masks are moved to the ends.
    #[test]
    fn no_corner_is_worse() {
        let setting = Setting::fixture("gpt2-tiny", 4);
        let b = setting.ask(Metric::LogitDiff, Baseline::Resample);
        let span = span(&b);
        let kept: Vec<bool> = (0..b.graph.edges()).map(|e| e % 18 != 4).collect();
        let free: Vec<usize> = (0..kept.len()).filter(|&e| !kept[e]).collect();
        assert_eq!(free.len(), 6);
        let restored = |s: usize, e: usize| free.iter().position(|&f| f == e).map(|i| s >> i & 1);
        let member = |s: usize, e: usize| restored(s, e) != Some(0);
        let corners = subsets::per_pair(&b, 1 << free.len(), member, &mut |_| {}).expect("it fits");
        let least = corners.iter().map(|v| span.faithfulness(v)).fold(f64::INFINITY, f64::min);
        let options = AdversaryOptions { starts: 6, steps: 30, seed: 1 };
        let worst = search(&b, &span, &kept, &options, &mut |_| {}).expect("it fits");
        assert!(worst.faithfulness <= least + 1e-9, "{worst:?} {least}");
        assert!(kept.iter().zip(&worst.masks).all(|(&kept, &m)| !kept || m == 1.0));
        assert!(worst.masks.iter().all(|m| (0.0..=1.0).contains(m)));
        let (again, values) = masked(&b, &span, &worst.masks).expect("it fits");
        assert!((again - worst.faithfulness).abs() < 1e-12 && values.len() == 4);
        let full = vec![true; kept.len()];
        let none = search(&b, &span, &full, &options, &mut |_| {}).expect("it fits");
        assert!((none.faithfulness - 1.0).abs() < 1e-12, "nothing is left to ablate");
    }

    #[test]
    fn a_seed_gives_the_same_bits_with_any_number_of_threads() {
        let setting = Setting::fixture("gpt2-tiny", 4);
        let run = |threads: usize, seed: u64| {
            let mut b = setting.ask(Metric::LogitDiff, Baseline::Resample);
            b.rows = 2 * b.pairs[0].clean.len();
            let span = span(&b);
            let kept: Vec<bool> = (0..b.graph.edges()).map(|e| e % 3 == 0).collect();
            let options = AdversaryOptions { starts: 4, steps: 5, seed };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let search = || search(&b, &span, &kept, &options, &mut |_| {}).expect("it fits");
            let worst = pool.expect("a pool").install(search);
            worst.ends.iter().chain(&worst.masks).map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        let once = run(1, 3);
        assert_eq!(once, run(3, 3));
        assert_ne!(once, run(1, 4));
    }
}
