//! Tokens that are found in a text before it is cut: special ones, and those that were added.

use std::collections::{BTreeSet, HashMap};

/// A token that is found as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) id: u32,
    /// Whether it takes the white space before it.
    pub(super) left: bool,
    /// Whether it takes the white space after it.
    pub(super) right: bool,
    /// Whether it must not touch a letter, a digit or `_`.
    pub(super) word: bool,
}

/// Tokens that are found as they are written.
#[derive(Clone, Debug, Default)]
pub(super) struct Added {
    tokens: HashMap<String, Token>,
    /// The lengths that there are, in bytes.
    lengths: BTreeSet<usize>,
    /// The bytes that one of them begins with.
    starts: BTreeSet<u8>,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part<'a> {
    /// Text without such tokens, and whether the whole text begins with it.
    Text(&'a str, bool),
    /// A token.
    Token(u32),
}

impl Added {
    pub(super) fn insert(&mut self, content: String, token: Token) {
        let Some(&first) = content.as_bytes().first() else { return };
        self.starts.insert(first);
        self.lengths.insert(content.len());
        self.tokens.insert(content, token);
    }

    /// The parts of `text`: of the tokens that begin at a place the longest, from left to right.
    pub(super) fn split<'a>(&self, text: &'a str) -> Vec<Part<'a>> {
        let mut parts = vec![];
        let (mut start, mut at) = (0, 0);
        while at < text.len() {
            let found = self
                .at(text, at)
                .filter(|(length, token)| !token.word || stands_alone(text, at, at + length));
            let Some((length, token)) = found else {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
                continue;
            };
            let (mut from, mut to) = (at, at + length);
            if token.left {
                from = start + text[start..at].trim_end().len();
            }
            if token.right {
                to = text.len() - text[to..].trim_start().len();
            }
            if from > start {
                parts.push(Part::Text(&text[start..from], start == 0));
            }
            parts.push(Part::Token(token.id));
            (start, at) = (to, to);
        }
        if start < text.len() {
            parts.push(Part::Text(&text[start..], start == 0));
        }
        parts
    }

    /// The longest token that begins at byte `at`, with its length.
    fn at(&self, text: &str, at: usize) -> Option<(usize, &Token)> {
        if !self.starts.contains(&text.as_bytes()[at]) {
            return None;
        }
        let longest_first = self.lengths.iter().rev();
        longest_first
            .filter_map(|&n| Some((n, self.tokens.get(text.get(at..at.checked_add(n)?)?)?)))
            .next()
    }
}

/// Whether neither of the characters around a range is a part of a word.
fn stands_alone(text: &str, from: usize, to: usize) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    !text[..from].ends_with(is_word) && !text[to..].starts_with(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leftmost_and_longest_are_found() {
        let mut added = Added::default();
        let plain = Token { id: 1, left: false, right: false, word: false };
        added.insert("<a>".into(), plain.clone());
        added.insert("<a><b>".into(), Token { id: 2, ..plain });
        added.insert("<m>".into(), Token { id: 3, left: true, ..plain });
        added.insert("<r>".into(), Token { id: 4, right: true, ..plain });
        added.insert("yes".into(), Token { id: 5, word: true, ..plain });
        added.insert(String::new(), plain);
        let ids = |text: &str| {
            let parts = added.split(text).into_iter();
            parts
                .map(|part| match part {
                    Part::Text(text, first) => format!("{text}{}", if first { "^" } else { "" }),
                    Part::Token(id) => id.to_string(),
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("<a><a><b>x"), ["1", "2", "x"]);
        assert_eq!(ids("x <m> <r> y"), ["x^", "3", " ", "4", "y"]);
        assert_eq!(ids("yes, eyes yes"), ["5", ", eyes ", "5"]);
        assert_eq!(ids("\u{e9}<a"), ["\u{e9}<a^"]);
        assert_eq!(ids(""), [""; 0]);
    }
}
