//! Sequences of tokens: a list of ids on each line of a `.jsonl` file, or a text in quotes where
//! there is an [`Encode`]r. Blank lines are passed over.

use super::pairs::Encode;
use crate::error::{Error, Result};
use crate::files::input;
use std::ops::RangeInclusive;
use std::path::Path;

const SYNTAX: &str = "write a list of token ids on each line, such as [0, 3, 1]";

/// What a model takes, and how text becomes that.
#[derive(Clone)]
pub struct Taken<'a> {
    /// How long sequences may be.
    pub lengths: RangeInclusive<usize>,
    /// Ids are below.
    pub vocab: usize,
    /// Encodes text.
    pub encode: Option<&'a dyn Encode>,
}

impl Taken<'_> {
    /// Reads the sequences of a file; at least one.
    ///
    /// # Errors
    /// If the file cannot be read, holds no sequence, or one that is not taken.
    pub fn read(&self, path: &Path) -> Result<Vec<Vec<u32>>> {
        self.parse(&path.display().to_string(), &input::text(path, input::DATA)?)
    }

    /// The sequences in a text; `place` names its source in errors.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(&self, place: &str, text: &str) -> Result<Vec<Vec<u32>>> {
        let mut rows = vec![];
        for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let place = format!("{place}: line {}", i + 1);
            let fail = |e: serde_json::Error| {
                // Of the one line that it was given.
                let message = e.to_string().replace(" at line 1 column", " at column");
                Error::input(&place, message, SYNTAX)
            };
            let row = match self.encode.filter(|_| line.trim_start().starts_with('"')) {
                Some(encode) => {
                    let text: String = serde_json::from_str(line).map_err(fail)?;
                    encode.encode(&text, true).map_err(|e| e.within(&place))?
                }
                None => serde_json::from_str(line).map_err(fail)?,
            };
            self.check(&place, &row)?;
            rows.push(row);
        }
        if rows.is_empty() {
            let help = "write a list of token ids on each line";
            return Err(Error::input(place, "holds no sequence", help));
        }
        Ok(rows)
    }

    /// Whether a sequence has a length that the model takes, and ids of its vocabulary.
    ///
    /// # Errors
    /// If it has not.
    pub fn check(&self, place: &str, ids: &[u32]) -> Result<()> {
        if !self.lengths.contains(&ids.len()) {
            let (least, most) = (self.lengths.start(), self.lengths.end());
            let takes = if least == most { most.to_string() } else { format!("{least} to {most}") };
            let message = format!("has {} ids, the model takes {takes}", ids.len());
            return Err(Error::input(place, message, "give sequences of the model's length"));
        }
        match ids.iter().find(|&&id| id as usize >= self.vocab) {
            None => Ok(()),
            Some(id) => {
                let message = format!("id {id} is outside of the vocabulary");
                let help = format!("use ids from 0 to {}", self.vocab - 1);
                Err(Error::input(place, message, help))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token for each letter, from `a` on.
    struct Letters;

    impl Encode for Letters {
        fn encode(&self, text: &str, _whole: bool) -> Result<Vec<u32>> {
            Ok(text.bytes().map(|b| u32::from(b.wrapping_sub(b'a'))).collect())
        }

        fn piece(&self, id: u32) -> String {
            id.to_string()
        }
    }

    #[test]
    fn ids_and_text_are_read() {
        let taken = Taken { lengths: 2..=3, vocab: 4, encode: Some(&Letters) };
        let read = |text: &str| taken.parse("t", text);
        assert_eq!(read("[0, 3]\n\n\"bab\"\n").unwrap(), [vec![0, 3], vec![1, 0, 1]]);
        for (text, message) in [
            ("", "t: holds no sequence"),
            ("[1]", "t: line 1: has 1 ids, the model takes 2 to 3"),
            ("[1, 2]\n\"az\"", "t: line 2: id 25 is outside of the vocabulary"),
            ("[1, -2]", "t: line 1: invalid value: integer `-2`, expected u32 at column 6"),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), message);
        }
        let alone = Taken { encode: None, ..taken.clone() };
        let error = alone.parse("t", "\"ab\"").unwrap_err().to_string();
        assert!(error.starts_with("t: line 1: invalid type: string"), "{error}");
    }
}
