//! Pairs of texts for circuit discovery in models of real language, fitted to their tokenizers.
//!
//! ```text
//! a kind draws texts -> those that the tokenizer cuts alike stay -> a pairs file
//! ```
//!
//! | kind | clean | corrupted | answer, distractor |
//! | --- | --- | --- | --- |
//! | [`ioi`] | When Mary and John went to the store, John gave a drink to | .. Mary gave .. | Mary, John |
//! | [`greater_than`] | The war lasted from the year 1732 to the year 17 | .. 1701 .. | 33 to 99, 02 to 32 |
//! | [`agreement`] | The keys to the cabinet | The key to the cabinet | are, is |
//! | [`pronouns`] | The nurse said that | The carpenter said that | she, he |
//! | [`capitals`] | The capital of France is | The capital of Italy is | Paris, Rome |
//! | [`arithmetic`] | The sum of 13 and 24 is | The sum of 13 and 31 is | 37, 44 |
//!
//! A line names the [spans](crate::formats::spans) of its kind, by which edges are scored with
//! `--spans`: the names of [`ioi`] are `IO`, `S1` and `S2`, the last token of all is [`END`].

pub mod agreement;
pub mod arithmetic;
pub mod capitals;
pub mod greater_than;
pub mod ioi;
pub mod pronouns;
pub mod table;

use crate::error::{Error, Result};
use crate::files::mark::GENERATOR;
use crate::formats::pairs::{Bounds, Encode};
use crate::formats::spans::touching;
use crate::named::{Named, named};
use crate::rng::{Purpose, Rng};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::ops::Range;

named! {
    /// What a pair asks about.
    Kind {
        /// The person who is given something: the name that was not repeated.
        #[default]
        Ioi = "ioi",
        /// The year in which something ended: it is later than the one in which it began.
        GreaterThan = "greater-than",
        /// The verb after a subject in the singular or the plural.
        Agreement = "agreement",
        /// The verb after a subject and a noun of the other number.
        Attractor = "agreement-attractor",
        /// The pronoun that an occupation's stereotype leads to.
        Pronouns = "pronouns",
        /// The capital of a country.
        Capitals = "capitals",
        /// The sum or the difference of two numbers.
        Arithmetic = "arithmetic",
    }
}

/// A pair of texts, with what may follow the clean one and what may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPair {
    /// The text.
    pub clean: String,
    /// The same with another answer.
    pub corrupted: String,
    /// What is right after the clean text.
    pub answer: Answers,
    /// What is wrong after it.
    pub distractor: Answers,
    /// Named parts of the clean text, as bytes.
    pub spans: Vec<(&'static str, Range<usize>)>,
}

/// What the last token is called, if it is in no other span.
pub const END: &str = "end";

/// What may follow a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Texts, each of which has to be one token there.
    Texts(Vec<String>),
    /// Tokens.
    Ids(Vec<u32>),
}

impl Answers {
    /// A single text.
    fn one(text: String) -> Answers {
        Answers::Texts(vec![text])
    }
}

impl Kind {
    /// A pair, in the forms that it may have: the first one that fits a tokenizer is meant.
    fn draw(self, rng: &mut Rng) -> Vec<TextPair> {
        match self {
            Kind::Ioi => vec![ioi::draw(rng)],
            Kind::GreaterThan => greater_than::draw(rng),
            Kind::Agreement => vec![agreement::draw(false, rng)],
            Kind::Attractor => vec![agreement::draw(true, rng)],
            Kind::Pronouns => vec![pronouns::draw(rng)],
            Kind::Capitals => vec![capitals::draw(rng)],
            Kind::Arithmetic => arithmetic::draw(rng),
        }
    }
}

/// Why a candidate is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// Its texts have different numbers of tokens, or more than the model reads.
    Length,
    /// An answer or a distractor is not one token after the text.
    Answer,
    /// A token is both an answer and a distractor.
    Same,
    /// It was drawn before.
    Again,
}

/// Pairs that fit a tokenizer, and how many did not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fitted {
    /// The lines of a pairs file.
    pub lines: Vec<Value>,
    /// Why candidates were rejected, in the order in which they were drawn.
    pub rejected: Vec<Rejected>,
}

impl Fitted {
    /// How many candidates were drawn.
    pub fn candidates(&self) -> usize {
        self.lines.len() + self.rejected.len()
    }

    /// How many were rejected for a reason.
    pub fn count(&self, why: Rejected) -> usize {
        self.rejected.iter().filter(|&&other| other == why).count()
    }

    /// Lets the answer and the distractor of each pair change places.
    pub fn turn_around(&mut self) {
        for line in &mut self.lines {
            let answer = line["answer"].take();
            line["answer"] = std::mem::replace(&mut line["distractor"], answer);
        }
    }

    /// The text of a pairs file.
    pub fn jsonl(&self) -> String {
        let mut lines = self.lines.clone();
        // The first says what wrote the file, which readers of pairs pass over.
        if let Some(first) = lines.first_mut() {
            first["generator"] = GENERATOR.into();
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// How many candidates are drawn for each pair before giving up.
const TRIES: usize = 200;

/// `n` different pairs of a kind that `encode` cuts into as many tokens, each answer a single one;
/// `bounds` are the model's. The same seed gives the same pairs.
///
/// # Errors
/// If there are not enough, or a text cannot be encoded.
pub fn fitted(
    kind: Kind,
    n: usize,
    seed: u64,
    encode: &dyn Encode,
    bounds: &Bounds,
) -> Result<Fitted> {
    let mut rng = Rng::new(seed, Purpose::Data, 0);
    let (mut found, mut seen) = (Fitted::default(), BTreeSet::new());
    while found.lines.len() < n {
        if found.candidates() >= TRIES.saturating_mul(n) {
            let message = format!(
                "{} of {n} pairs after {} candidates: {} of unequal length, {} with an answer of \
                 several tokens, {} drawn before",
                found.lines.len(),
                found.candidates(),
                found.count(Rejected::Length),
                found.count(Rejected::Answer),
                found.count(Rejected::Again),
            );
            let help = "ask for fewer with --n, or choose another kind";
            return Err(Error::input(kind.name(), message, help));
        }
        let line = first_that_fits(&kind.draw(&mut rng), encode, bounds)?;
        match line {
            Ok(line) if seen.insert(line.to_string()) => found.lines.push(line),
            Ok(_) => found.rejected.push(Rejected::Again),
            Err(why) => found.rejected.push(why),
        }
    }
    Ok(found)
}

/// The line of the first form of a pair that fits, or why the last one does not.
fn first_that_fits(
    forms: &[TextPair],
    encode: &dyn Encode,
    bounds: &Bounds,
) -> Result<Result<Value, Rejected>> {
    let mut why = Rejected::Again;
    for pair in forms {
        match line(pair, encode, bounds)? {
            Ok(line) => return Ok(Ok(line)),
            Err(rejected) => why = rejected,
        }
    }
    Ok(Err(why))
}

/// The line of a pairs file.
fn line(pair: &TextPair, encode: &dyn Encode, bounds: &Bounds) -> Result<Result<Value, Rejected>> {
    let [clean, corrupted] = [&pair.clean, &pair.corrupted].map(|text| encode.encode(text, true));
    let (clean, corrupted) = (clean?, corrupted?);
    if clean.len() != corrupted.len() || clean.len() > bounds.context || clean == corrupted {
        return Ok(Err(Rejected::Length));
    }
    let ids = |answers| ids(answers, &pair.clean, &clean, encode);
    let [answer, distractor] = match [ids(&pair.answer)?, ids(&pair.distractor)?] {
        [Some(answer), Some(distractor)] => [answer, distractor],
        _ => return Ok(Err(Rejected::Answer)),
    };
    let fits = |&id: &u32| (id as usize) < bounds.vocab_out;
    let some = !answer.is_empty() && !distractor.is_empty();
    if !some || !answer.iter().chain(&distractor).all(fits) {
        return Ok(Err(Rejected::Answer));
    }
    if answer.iter().any(|id| distractor.contains(id)) {
        return Ok(Err(Rejected::Same));
    }
    let one = |ids: &[u32]| match ids {
        [id] => json!(id),
        ids => json!(ids),
    };
    let mut line = json!({
        "clean": clean,
        "corrupted": corrupted,
        "answer": one(&answer),
        "distractor": one(&distractor),
        "text": [pair.clean, pair.corrupted],
    });
    let spans = spans(pair, &clean, encode);
    if !spans.is_empty() {
        line["spans"] = Value::Object(spans);
    }
    Ok(Ok(line))
}

/// The positions of each span of a pair that has tokens of its own; none of a tokenizer whose
/// tokens do not spell the text.
fn spans(pair: &TextPair, tokens: &[u32], encode: &dyn Encode) -> Map<String, Value> {
    let mut found = Map::new();
    let pieces: Vec<String> = tokens.iter().map(|&id| encode.piece(id)).collect();
    let Some(start) = pieces.concat().find(&pair.clean).filter(|_| !pair.spans.is_empty()) else {
        return found;
    };
    let length = pair.clean.len();
    let mut taken = vec![];
    for (name, bytes) in pair.spans.iter().cloned().chain([(END, length - 1..length)]) {
        let at = touching(&pieces, start + bytes.start..start + bytes.end);
        if !at.iter().any(|t| taken.contains(t)) {
            found.insert(name.into(), if let [t] = at[..] { json!(t) } else { json!(at) });
            taken.extend(at);
        }
    }
    found
}

/// The tokens that answers are after `text`, whose tokens are `tokens`, if each is one.
fn ids(
    answers: &Answers,
    text: &str,
    tokens: &[u32],
    encode: &dyn Encode,
) -> Result<Option<Vec<u32>>> {
    match answers {
        Answers::Ids(ids) => Ok(Some(ids.clone())),
        Answers::Texts(texts) => {
            texts.iter().map(|more| next(text, tokens, more, encode)).collect()
        }
    }
}

/// The one token that `more` is after `text`, whose tokens are `ids`; what stands at the end of a
/// whole text is passed over.
fn next(text: &str, ids: &[u32], more: &str, encode: &dyn Encode) -> Result<Option<u32>> {
    let longer = encode.encode(&format!("{text}{more}"), true)?;
    let same = ids.iter().zip(&longer).take_while(|(a, b)| a == b).count();
    let one = longer.len() == ids.len() + 1 && ids[same..] == longer[same + 1..];
    Ok(one.then(|| longer[same]))
}

/// Where a text has a word first.
fn first(text: &str, word: &str) -> Range<usize> {
    at(text.find(word), word)
}

/// Where a text has a word last.
fn last(text: &str, word: &str) -> Range<usize> {
    at(text.rfind(word), word)
}

fn at(found: Option<usize>, word: &str) -> Range<usize> {
    let start = found.expect("a text has what it was made of");
    start..start + word.len()
}

/// A uniform choice.
fn choose<T: Copy>(items: &[T], rng: &mut Rng) -> T {
    items[rng.below(items.len() as u64) as usize]
}

/// A uniform choice among the others than those in `not`.
fn choose_other<T: Copy + PartialEq>(items: &[T], not: &[T], rng: &mut Rng) -> T {
    let others: Vec<T> = items.iter().copied().filter(|item| !not.contains(item)).collect();
    choose(&others, rng)
}

#[cfg(test)]
mod tests;
