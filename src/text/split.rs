//! Cutting text into the pieces that are encoded on their own.

use crate::error::{Error, Result};
use crate::formats::byte_letters;
use fancy_regex::Regex;

/// What GPT-2 cuts its text by, as byte-level pre-tokenizers do unless told otherwise.
pub(super) const GPT2: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// What becomes of the matches of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matches {
    /// A piece each.
    Isolated,
    /// Left out.
    Removed,
    /// The end of the piece before.
    WithPrevious,
    /// The start of the piece after.
    WithNext,
    /// One piece for neighbours.
    Contiguous,
}

/// When text gets a mark in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    Always,
    /// Where the whole text begins, not after a special token.
    First,
    Never,
}

/// One step of cutting.
#[derive(Clone, Debug)]
pub(super) enum Splitter {
    /// By the matches of a pattern, or by what is between them.
    Pattern { regex: Box<Regex>, invert: bool, matches: Matches },
    /// A space in front of every piece that begins with none.
    Space,
    /// A letter for each byte.
    Letters,
    /// A mark for each space, and one in front; `split` before each.
    Metaspace { mark: char, prefix: Prefix, split: bool },
}

/// A piece of text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// Whether the whole text begins with it.
    pub(super) first: bool,
}

/// A pattern; `place` is where it stands.
pub(super) fn regex(place: &str, pattern: &str) -> Result<Box<Regex>> {
    Regex::new(pattern).map(Box::new).map_err(|e| {
        let help = "use another tokenizer, or give token ids";
        Error::input(place, format!("pattern {pattern:?}: {e}"), help)
    })
}

impl Splitter {
    /// Cuts at the matches of `pattern`, each of which is a piece.
    pub(super) fn isolated(place: &str, pattern: &str) -> Result<Splitter> {
        let regex = regex(place, pattern)?;
        Ok(Splitter::Pattern { regex, invert: false, matches: Matches::Isolated })
    }

    /// The pieces of `pieces`; none of them is empty.
    pub(super) fn split(&self, pieces: Vec<Piece>) -> Result<Vec<Piece>> {
        let mut out = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match self {
                Splitter::Pattern { regex, invert, matches } => {
                    for (from, to) in cut(regex, *invert, *matches, &piece.text)? {
                        let first = piece.first && from == 0;
                        out.push(Piece { text: piece.text[from..to].into(), first });
                    }
                }
                Splitter::Space => {
                    let text = match piece.text.starts_with(char::is_whitespace) {
                        true => piece.text,
                        false => format!(" {}", piece.text),
                    };
                    out.push(Piece { text, ..piece });
                }
                Splitter::Letters => {
                    let text = piece.text.bytes().map(byte_letters::letter).collect();
                    out.push(Piece { text, ..piece });
                }
                Splitter::Metaspace { mark, prefix, split } => {
                    metaspace(*mark, *prefix, *split, piece, &mut out);
                }
            }
        }
        out.retain(|piece| !piece.text.is_empty());
        Ok(out)
    }
}

fn metaspace(mark: char, prefix: Prefix, split: bool, piece: Piece, out: &mut Vec<Piece>) {
    let mut text = piece.text.replace(' ', &mark.to_string());
    let wanted = match prefix {
        Prefix::Always => true,
        Prefix::First => piece.first,
        Prefix::Never => false,
    };
    if wanted && !text.starts_with(mark) {
        text.insert(0, mark);
    }
    if !split {
        out.push(Piece { text, ..piece });
        return;
    }
    let starts = text.match_indices(mark).map(|(at, _)| at).filter(|&at| at > 0);
    let edges: Vec<usize> = [0].into_iter().chain(starts).chain([text.len()]).collect();
    for edge in edges.windows(2) {
        let first = piece.first && edge[0] == 0;
        out.push(Piece { text: text[edge[0]..edge[1]].into(), first });
    }
}

/// A pattern that has taken too many steps.
#[expect(clippy::needless_pass_by_value, reason = "it is a function for `map_err`")]
pub(super) fn gives_up(e: fancy_regex::Error) -> Error {
    let message = format!("the tokenizer's pattern gives up on it: {e}");
    Error::input("text", message, "give a shorter text, or token ids")
}

/// The ranges that `text` is cut into.
fn cut(regex: &Regex, invert: bool, matches: Matches, text: &str) -> Result<Vec<(usize, usize)>> {
    let mut parts = vec![];
    let mut end = 0;
    for found in regex.find_iter(text) {
        let found = found.map_err(gives_up)?;
        if found.start() > end {
            parts.push((end, found.start(), invert));
        }
        parts.push((found.start(), found.end(), !invert));
        end = found.end();
    }
    if end < text.len() {
        parts.push((end, text.len(), invert));
    }
    Ok(grouped(parts, matches))
}

/// The parts of a text, each with whether it is a match, as pieces.
fn grouped(mut parts: Vec<(usize, usize, bool)>, matches: Matches) -> Vec<(usize, usize)> {
    let mut out: Vec<(usize, usize)> = vec![];
    let mut after_match = None;
    if matches == Matches::WithNext {
        parts.reverse();
    }
    for (from, to, is_match) in parts {
        let last = out.last_mut();
        match (matches, last) {
            (Matches::Removed, _) if is_match => {}
            (Matches::WithPrevious, Some(last)) if is_match && after_match == Some(false) => {
                last.1 = to;
            }
            (Matches::WithNext, Some(last)) if is_match && after_match == Some(false) => {
                last.0 = from;
            }
            (Matches::Contiguous, Some(last)) if after_match == Some(is_match) => last.1 = to,
            _ => out.push((from, to)),
        }
        after_match = Some(is_match);
    }
    if matches == Matches::WithNext {
        out.reverse();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(splitters: &[Splitter], text: &str) -> Vec<String> {
        let start = vec![Piece { text: text.into(), first: true }];
        let cut = splitters.iter().try_fold(start, |pieces, splitter| splitter.split(pieces));
        cut.unwrap().into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn matches_go_where_they_are_wanted() {
        let by = |matches, invert| {
            let regex = regex("t", "-").unwrap();
            pieces(&[Splitter::Pattern { regex, invert, matches }], "-a--b-")
        };
        assert_eq!(by(Matches::Isolated, false), ["-", "a", "-", "-", "b", "-"]);
        assert_eq!(by(Matches::Removed, false), ["a", "b"]);
        assert_eq!(by(Matches::Removed, true), ["-", "-", "-", "-"]);
        assert_eq!(by(Matches::WithPrevious, false), ["-", "a-", "-", "b-"]);
        assert_eq!(by(Matches::WithNext, false), ["-a", "-", "-b", "-"]);
        assert_eq!(by(Matches::Contiguous, false), ["-", "a", "--", "b", "-"]);
    }

    #[test]
    fn spaces_become_marks_and_bytes_letters() {
        let meta = |prefix, split| [Splitter::Metaspace { mark: '_', prefix, split }];
        assert_eq!(pieces(&meta(Prefix::Always, true), "a b  c"), ["_a", "_b", "_", "_c"]);
        assert_eq!(pieces(&meta(Prefix::Never, false), "a b"), ["a_b"]);
        assert_eq!(pieces(&meta(Prefix::First, false), " b"), ["_b"]);
        let gpt2 = Splitter::isolated("t", GPT2).unwrap();
        let splitters = [Splitter::Space, gpt2, Splitter::Letters];
        let got = pieces(&splitters, "it's  5\n\u{e9}");
        let want = ["\u{120}it", "'s", "\u{120}", "\u{120}5", "\u{10a}", "\u{c3}\u{a9}"];
        assert_eq!(got, want);
        assert!(regex("t", "(").unwrap_err().to_string().starts_with("t: pattern \"(\""));
    }
}
