//! Spans of a pair: named parts of its sequences, such as the subject and the verb.
//!
//! ```text
//! "spans": {"subject": [3, 4], "verb": "walks", "end": -1}
//! ```
//!
//! A span is a position, a list of them (from 0, or back from the end if negative), or a piece of
//! the clean text that occurs in it once: then all tokens that it touches. The positions are those
//! of both sequences. Every pair of a file has the same spans, each with a token at least, and no
//! token is in two of them; those in none are the span [`REST`].

use crate::files::json::short;
use crate::stats::order;
use serde_json::Value;
use std::ops::Range;

/// What the tokens that are in no span are called.
pub const REST: &str = "rest";

const SYNTAX: &str =
    r#"write {"subject": [3, 4], "verb": "walks"}: positions, or a piece of the clean text"#;

/// What is wrong, and what to do about it.
type Fault = (String, String);

fn fault<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Fault> {
    Err((message.into(), help.into()))
}

/// One of `length` positions, written from 0 or back from the end.
///
/// # Errors
/// If it is none of them.
pub(super) fn position(value: &Value, length: usize) -> Result<usize, Fault> {
    let place = value.as_i64().and_then(|p| match p {
        0.. => usize::try_from(p).ok(),
        _ => length.checked_sub(usize::try_from(p.unsigned_abs()).ok()?),
    });
    match place.filter(|&p| p < length) {
        Some(position) => Ok(position),
        None => fault(
            format!("{} is none of {length}", short(value)),
            format!("count from 0 to {}, or from the end by -1", length - 1),
        ),
    }
}

/// A span, and its positions.
pub(super) struct Span {
    pub(super) name: String,
    at: Vec<usize>,
}

/// The spans of a pair of `length` tokens, in the order of their first tokens. `pieces [T]` are the
/// tokens of the clean sequence as text, if there is a tokenizer.
///
/// # Errors
/// If it is no object of spans.
pub(super) fn read(
    value: &Value,
    length: usize,
    pieces: Option<&[String]>,
) -> Result<Vec<Span>, Fault> {
    let Value::Object(named) = value else {
        return fault(format!("expected an object, got {}", short(value)), SYNTAX);
    };
    let mut spans = vec![];
    for (name, value) in named {
        let of = |(message, help): Fault| (format!("`{name}`: {message}"), help);
        if name == REST {
            let message = format!("`{REST}` is what tokens in no span are called");
            return fault(message, "choose another name");
        }
        if !is_name(name) {
            let help = format!("call it by 1 to {LONGEST} letters, none of {APART}");
            return fault(format!("`{}` can be no part of an edge's name", printed(name)), help);
        }
        let mut at = match (value, pieces) {
            (Value::String(text), Some(pieces)) => touched(text, pieces).map_err(of)?,
            (Value::String(_), None) => {
                let message =
                    format!("`{name}` is text, but there is no tokenizer to read it with");
                return fault(message, "give positions, as in [3, 4]");
            }
            (Value::Array(list), _) => {
                let each = list.iter().map(|value| position(value, length));
                each.collect::<Result<_, _>>().map_err(of)?
            }
            _ => vec![position(value, length).map_err(of)?],
        };
        at.sort_unstable();
        at.dedup();
        if at.is_empty() {
            return fault(format!("`{name}` has no tokens"), SYNTAX);
        }
        spans.push(Span { name: name.clone(), at });
    }
    order::sort_by_key(&mut spans, |span| span.at[0]);
    Ok(spans)
}

/// The most letters of a span's name.
const LONGEST: usize = 60;

/// What stands between the parts of edges' names.
const APART: &str = "@ < > \" ,";

/// Whether a name can be a part of the names of edges, and be read back.
fn is_name(name: &str) -> bool {
    let good = |c: char| !c.is_control() && (c == ' ' || !APART.contains(c));
    (1..=LONGEST).contains(&name.chars().count()) && name.chars().all(good)
}

/// The start of a name, without what a terminal would obey.
fn printed(name: &str) -> String {
    name.escape_debug().take(LONGEST).collect()
}

/// The tokens that the only occurrence of `text` touches.
fn touched(text: &str, pieces: &[String]) -> Result<Vec<usize>, Fault> {
    let whole = pieces.concat();
    let mut found = whole.match_indices(text).filter(|_| !text.is_empty());
    let (Some((from, _)), None) = (found.next(), found.next()) else {
        let times = if whole.contains(text) { "more than once" } else { "not" };
        let message = format!("{text:?} occurs {times} in the clean sequence");
        return fault(message, "give positions, as in [3, 4]");
    };
    Ok(touching(pieces, from..from + text.len()))
}

/// The tokens that some bytes of their joined `pieces [T]` touch.
pub(crate) fn touching(pieces: &[String], bytes: Range<usize>) -> Vec<usize> {
    let mut end = 0;
    let touches = |piece: &String| {
        let start = end;
        end += piece.len();
        start < bytes.end && bytes.start < end
    };
    pieces.iter().map(touches).enumerate().filter(|(_, touches)| *touches).map(|(t, _)| t).collect()
}

/// `[T]`, for each of `length` positions the number of its span in `names`, or their count if it is
/// in none.
///
/// # Errors
/// If the spans are others than `names`, or a token is in two of them.
pub(super) fn layout(spans: &[Span], names: &[String], length: usize) -> Result<Vec<u32>, Fault> {
    const SAME: &str = "give every pair the same spans";
    let has = |name: &String| spans.iter().any(|span| span.name == *name);
    if let Some(missing) = names.iter().find(|name| !has(name)) {
        return fault(format!("has no `{missing}`, which the first pair has"), SAME);
    }
    let rest = names.len() as u32;
    let mut layout = vec![rest; length];
    for Span { name, at } in spans {
        let Some(number) = names.iter().position(|known| known == name) else {
            return fault(format!("has `{name}`, which the first pair has not"), SAME);
        };
        for &t in at {
            if layout[t] != rest {
                let other = &names[layout[t] as usize];
                let message = format!("token {t} is in `{other}` and in `{name}`");
                return fault(message, "give each token to one span");
            }
            layout[t] = number as u32;
        }
    }
    Ok(layout)
}

#[cfg(test)]
mod tests {
    use super::super::pairs::{Bounds, Encode, Pairs};
    use crate::error::Result;

    const BOUNDS: Bounds = Bounds { vocab: 10, vocab_out: 10, context: 8 };

    /// The token of a word is its length.
    struct Words;

    impl Encode for Words {
        fn encode(&self, text: &str, _: bool) -> Result<Vec<u32>> {
            Ok(text.split(' ').map(|word| word.len() as u32).collect())
        }

        fn piece(&self, id: u32) -> String {
            format!(" {}", "abcdefghi".get(..id as usize).expect("a short word"))
        }
    }

    fn read(lines: &[String], encode: Option<&dyn Encode>) -> Result<Pairs> {
        Pairs::parse("p.jsonl", lines.join("\n").as_bytes(), &BOUNDS, encode, None)
    }

    fn line(spans: &str) -> String {
        format!(r#"{{"clean": [1, 2, 3, 4], "corrupted": [1, 3, 3, 4], "spans": {spans}}}"#)
    }

    #[test]
    fn positions_lists_and_text_name_tokens() {
        let lines =
            [line(r#"{"verb": -1, "subject": [1, 2]}"#), line(r#"{"verb": 0, "subject": 2}"#)];
        let pairs = read(&lines, None).expect("pairs");
        // In the order of the first pair's tokens.
        assert_eq!(pairs.spans(), ["subject", "verb", "rest"]);
        assert_eq!((&*pairs[0].spans, &*pairs[1].spans), (&[2, 0, 0, 1][..], &[1, 2, 0, 2][..]));
        let all = read(&[line(r#"{"a": [0, 1], "b": [2, 3]}"#)], None).expect("pairs");
        assert_eq!(all.spans(), ["a", "b"]);
        assert_ne!(all.hash(), read(&[line(r#"{"a": [0, 1], "b": 3}"#)], None).unwrap().hash());
        assert_eq!(read(&[line("null")], None).expect("pairs").spans(), [""; 0]);

        let text =
            r#"{"clean": "a ab abc", "corrupted": "a abc abc", "spans": {"noun": "ab abc"}}"#;
        let pairs = read(&[text.into()], Some(&Words)).expect("pairs");
        assert_eq!(pairs[0].spans, [1, 0, 0]);
        for (piece, why) in [("ab", "more than once"), ("x", "occurs not"), ("", "occurs")] {
            let text = text.replace("ab abc\"}}", &format!("{piece}\"}}}}"));
            let e = read(&[text], Some(&Words)).expect_err(piece);
            assert!(e.to_string().contains(why) && e.help().contains("[3, 4]"), "{e}");
        }
    }

    #[test]
    fn spans_that_overlap_or_are_missing_are_refused() {
        let first = line(r#"{"a": 0, "b": [1, 2]}"#);
        for (spans, message) in [
            ("[1]", "`spans`: expected an object, got a list"),
            (r#"{"a": [0, 1], "b": [1, 2]}"#, "`spans`: token 1 is in `a` and in `b`"),
            (r#"{"a": 0}"#, "`spans`: has no `b`, which the first pair has"),
            (r#"{"a": 0, "b": 1, "c": 2}"#, "`spans`: has `c`, which the first pair has not"),
            (r#"{"a": 0, "b": 4}"#, "`spans`: `b`: 4 is none of 4"),
            (r#"{"a": 0, "b": []}"#, "`spans`: `b` has no tokens"),
            (r#"{"a": 0, "b": "ab"}"#, "`spans`: `b` is text, but there is no tokenizer"),
            (r#"{"a": 0, "rest": 1}"#, "`spans`: `rest` is what tokens in no span are called"),
        ] {
            let e = read(&[first.clone(), line(spans)], None).expect_err(spans);
            let said = e.to_string();
            assert!(said.starts_with("p.jsonl: line 2: ") && said.contains(message), "{said}");
            assert!(e.exit_code() == 2 && !e.help().is_empty(), "{said}");
        }
    }

    #[test]
    fn names_that_no_edge_can_carry_are_refused() {
        let long = "x".repeat(super::LONGEST + 1);
        for name in ["", "a->b<q>", "a@1", "a\"b", "\u{1b}[2J", &long] {
            let spans = serde_json::json!({ name: 0 });
            let (message, _) = super::read(&spans, 3, None).err().expect(name);
            assert!(message.ends_with("can be no part of an edge's name"), "{message}");
            assert!(!message.contains('\u{1b}'));
        }
        for name in ["subject", "S1+1", "le sujet", "主語"] {
            assert!(super::read(&serde_json::json!({ name: 0 }), 3, None).is_ok(), "{name}");
        }
    }
}
