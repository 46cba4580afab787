//! Parts of the pooled model by name: what a stage keeps, draws anew or freezes, and what is
//! transplanted from one model into another.
//!
//! | name | parameters |
//! | --- | --- |
//! | `token_emb`, `pos_emb`, `query`, `value`, `mlp` | a group, as in `gradient_norm` of metrics |
//! | `embed`, `pos`, `a0.h0`, `m0` | a node of the graph: its group; the head is query and value |
//! | `pos@T` | row T of the position embeddings |
//! | `m0.nJ` | neuron J: its row of `W_1`, its bias, its column of `W_2` |

use crate::formats::edge_name::{Node, POSITIONS};
use crate::named::suggest;
use crate::nn::pooled::{Config, Group};
use crate::stats::order;
use std::ops::Range;

/// Elements of a pooled model's parameters: for each of [`Config::parameters`], ranges of its
/// row-major order, increasing and disjoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts(Vec<Vec<Range<usize>>>);

/// What is wrong with a name, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Why the model has no such part.
    pub message: String,
    /// A name that it has.
    pub help: String,
}

/// One name, understood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Groups(&'static [Group]),
    Position(usize),
    Neuron(usize),
}

impl Parts {
    /// The parts of these names in a model of this shape.
    ///
    /// # Errors
    /// If the model has no such part.
    pub fn of(names: &[String], config: &Config) -> Result<Parts, Unknown> {
        let parts = names.iter().map(|name| part(name, config)).collect::<Result<Vec<_>, _>>()?;
        let mut all: Vec<Vec<Range<usize>>> = vec![vec![]; config.parameters().len()];
        for part in parts {
            for (ranges, more) in all.iter_mut().zip(ranges(part, config)) {
                ranges.extend(more);
            }
        }
        Ok(Parts(all.into_iter().map(merged).collect()))
    }

    /// Everything else of a model of this shape.
    pub fn others(&self, config: &Config) -> Parts {
        let sizes = config.parameters();
        let rest = self.0.iter().zip(&sizes).map(|(ranges, p)| {
            let starts = [0].into_iter().chain(ranges.iter().map(|r| r.end));
            let ends = ranges.iter().map(|r| r.start).chain([p.shape.len()]);
            starts.zip(ends).filter(|(a, b)| a < b).map(|(a, b)| a..b).collect()
        });
        Parts(rest.collect())
    }

    /// How many elements they have.
    pub fn len(&self) -> usize {
        self.0.iter().flatten().map(Range::len).sum()
    }

    /// Whether an element is in both.
    pub fn meets(&self, other: &Parts) -> bool {
        let meets = |(a, b): (&Vec<Range<usize>>, &Vec<Range<usize>>)| {
            a.iter().any(|a| b.iter().any(|b| a.start.max(b.start) < a.end.min(b.end)))
        };
        self.0.iter().zip(&other.0).any(meets)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets these elements of `into` to those of `from`, both by parameter.
    ///
    /// # Panics
    /// If they are not of the shape that the parts were made for.
    #[track_caller]
    pub fn copy<T: Copy>(&self, from: &[impl AsRef<[T]>], into: &mut [impl AsMut<[T]>]) {
        assert!(from.len() == self.0.len() && into.len() == self.0.len(), "parameters");
        for ((ranges, from), into) in self.0.iter().zip(from).zip(into) {
            self::copy(ranges, from.as_ref(), into.as_mut());
        }
    }

    /// Sets these elements of parameter `i`, `into`, to those of `from`.
    ///
    /// # Panics
    /// If they are not of the shape that the parts were made for.
    #[track_caller]
    pub fn copy_one<T: Copy>(&self, i: usize, from: &[T], into: &mut [T]) {
        copy(&self.0[i], from, into);
    }

    /// Sets these elements to `value`.
    ///
    /// # Panics
    /// If `weights` are not of the shape that the parts were made for.
    #[track_caller]
    pub fn fill<T: Copy>(&self, weights: &mut [Vec<T>], value: T) {
        assert_eq!(weights.len(), self.0.len(), "parameters");
        for (ranges, weights) in self.0.iter().zip(weights) {
            ranges.iter().for_each(|r| weights[r.clone()].fill(value));
        }
    }
}

fn copy<T: Copy>(ranges: &[Range<usize>], from: &[T], into: &mut [T]) {
    ranges.iter().for_each(|r| into[r.clone()].copy_from_slice(&from[r.clone()]));
}

/// The ranges in order, those that meet as one.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    order::sort_by_key(&mut ranges, |r| (r.start, r.end));
    let mut list: Vec<Range<usize>> = vec![];
    for range in ranges {
        match list.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => list.push(range),
        }
    }
    list
}

/// One range.
fn whole(range: Range<usize>) -> Vec<Range<usize>> {
    std::iter::once(range).collect()
}

/// The elements of one part, by parameter.
fn ranges(part: Part, config: &Config) -> Vec<Vec<Range<usize>>> {
    let &Config { d_model: d, d_mlp: f, .. } = config;
    let one = |p: &crate::nn::pooled::Parameter| match (part, p.name) {
        (Part::Groups(groups), _) if groups.contains(&p.group) => whole(0..p.shape.len()),
        (Part::Position(t), "pos_emb.weight") => whole(t * d..(t + 1) * d),
        (Part::Neuron(j), "mlp.fc1.weight") => whole(j * d..(j + 1) * d),
        (Part::Neuron(j), "mlp.fc1.bias") => whole(j..j + 1),
        (Part::Neuron(j), "mlp.fc2.weight") => (0..d).map(|i| i * f + j..i * f + j + 1).collect(),
        _ => vec![],
    };
    config.parameters().iter().map(one).collect()
}

/// The groups of parameters by their names in metrics and of their nodes in the graph.
const NAMES: [(&str, &[Group]); 9] = [
    ("token_emb", &[Group::TokenEmb]),
    ("pos_emb", &[Group::PosEmb]),
    ("query", &[Group::Query]),
    ("value", &[Group::Value]),
    ("mlp", &[Group::Mlp]),
    ("embed", &[Group::TokenEmb]),
    ("pos", &[Group::PosEmb]),
    ("a0.h0", &[Group::Query, Group::Value]),
    ("m0", &[Group::Mlp]),
];

fn part(name: &str, config: &Config) -> Result<Part, Unknown> {
    if let Some((_, groups)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(Part::Groups(groups));
    }
    let Config { seq_len, d_mlp, .. } = *config;
    let refuse = |message: String, help: String| Err(Unknown { message, help });
    if let Some(t) = name.strip_prefix("pos@").and_then(|t| t.parse::<usize>().ok()) {
        return match t < seq_len.min(POSITIONS) {
            true => Ok(Part::Position(t)),
            false => refuse(
                format!("there is no position {t}: a row has {seq_len} tokens"),
                format!("positions are counted from 0; the last is pos@{}", seq_len - 1),
            ),
        };
    }
    match Node::of(name) {
        Some(Node::Neuron { layer: 0, neuron }) if neuron < d_mlp => {
            return Ok(Part::Neuron(neuron));
        }
        Some(Node::Neuron { .. }) => {
            return refuse(
                format!("there is no neuron `{name}`: the one MLP has {d_mlp} neurons"),
                format!("neurons are counted from 0; the last is m0.n{}", d_mlp - 1),
            );
        }
        _ => {}
    }
    let help = match name {
        "logits" | "unembedding" => "the unembedding is the token embedding: name `token_emb`",
        "key" | "keys" => "the pooled model has no keys: name `query`, `pos_emb` or `token_emb`",
        _ if name.contains("->") => "an edge has no parameters of its own: name its two ends",
        _ => "",
    };
    let known = NAMES.iter().map(|(known, _)| *known).chain(["pos@0", "m0.n0"]);
    let help = match (help, suggest(name, known.clone())) {
        ("", Some(near)) => format!("did you mean `{near}`?"),
        ("", None) => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
        (help, _) => help.into(),
    };
    refuse(format!("the model has no part `{name:.60}`"), help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Activation;

    fn config() -> Config {
        Config {
            vocab: 3,
            seq_len: 4,
            d_model: 2,
            d_mlp: 3,
            activation: Activation::Relu,
            mlp_bias: true,
            dropout: 0.0,
        }
    }

    fn parts(names: &[&str]) -> Result<Parts, Unknown> {
        let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
        Parts::of(&names, &config())
    }

    #[test]
    fn names_stand_for_elements() {
        let of = |names: &[&str]| parts(names).expect("known names");
        assert_eq!(of(&["pos_emb"]), of(&["pos@0", "pos@3", "pos@1", "pos@2"]));
        assert_eq!(of(&["a0.h0"]), of(&["value", "query"]));
        assert_eq!(of(&["embed", "m0"]), of(&["token_emb", "mlp", "m0.n1"]));
        // Neuron 1 of three at width two: a row of two, a bias, and a column of two.
        let neuron =
            [vec![], vec![], vec![], vec![], whole(2..4), whole(1..2), vec![1..2, 4..5], vec![]];
        assert_eq!(of(&["m0.n1"]).0, neuron);
        // The second bias of the MLP belongs to no neuron.
        assert_eq!(of(&["mlp"]).len() - of(&["m0.n0", "m0.n1", "m0.n2"]).len(), 2);
        assert!(of(&[]).is_empty());
    }

    /// A part and the others are the whole model, once.
    #[test]
    fn others_complete_a_part() {
        let sizes = config().parameters();
        for names in [&["query", "pos@1", "m0.n1"][..], &[], &["mlp", "embed", "pos", "a0.h0"]] {
            let some = parts(names).expect("known names");
            let others = some.others(&config());
            assert_eq!(others.others(&config()), some);
            let mut counts: Vec<Vec<u8>> = sizes.iter().map(|p| vec![0; p.shape.len()]).collect();
            for parts in [&some, &others] {
                for (ranges, counts) in parts.0.iter().zip(&mut counts) {
                    ranges.iter().for_each(|r| counts[r.clone()].iter_mut().for_each(|c| *c += 1));
                }
            }
            assert!(counts.iter().flatten().all(|&c| c == 1), "{names:?}: {counts:?}");
        }
    }

    #[test]
    fn what_is_copied_changes_and_nothing_else() {
        let some = parts(&["query", "m0.n2"]).expect("known names");
        let zeros: Vec<Vec<u8>> =
            config().parameters().iter().map(|p| vec![0; p.shape.len()]).collect();
        let ones: Vec<Vec<u8>> = zeros.iter().map(|w| vec![1; w.len()]).collect();
        let mut mixed = zeros.clone();
        some.copy(&ones, &mut mixed);
        assert_eq!(mixed.iter().flatten().filter(|&&x| x == 1).count(), some.len());
        assert_eq!(mixed[2], [1, 1]);
        some.fill(&mut mixed, 0);
        assert_eq!(mixed, zeros);
    }

    #[test]
    fn unknown_parts_are_named_with_a_way_out() {
        for (name, message, help) in [
            ("querry", "the model has no part `querry`", "did you mean `query`?"),
            ("pos@4", "there is no position 4: a row has 4 tokens", "pos@3"),
            ("m0.n3", "there is no neuron `m0.n3`: the one MLP has 3 neurons", "m0.n2"),
            ("logits", "the model has no part `logits`", "name `token_emb`"),
            ("key", "the model has no part `key`", "no keys"),
            ("pos@0->a0.h0@0", "the model has no part", "its two ends"),
            ("weather", "the model has no part `weather`", "known are token_emb, "),
        ] {
            let found = parts(&[name]).expect_err(name);
            assert!(found.message.starts_with(message) && found.help.contains(help), "{found:?}");
        }
    }
}
