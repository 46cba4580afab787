//! Comma-separated values, as RFC 4180 and pandas write them: cells may stand in double quotes,
//! within which there may be commas, line breaks, and quotes as two.

use crate::error::{Error, Result};
use std::iter::Peekable;
use std::str::Chars;

/// The cells of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// What stands in it, without quotes around it.
    pub cells: Vec<String>,
}

/// The records of a text; empty lines are passed over. `place` names the text in errors.
///
/// # Errors
/// If a quoted cell has no end, or something stands between its end and the next comma.
pub fn records(place: &str, text: &str) -> Result<Vec<Record>> {
    let mut reader = Reader { place, rest: text.chars().peekable(), line: 1 };
    let mut records = vec![];
    while reader.rest.peek().is_some() {
        let line = reader.line;
        let cells = reader.record()?;
        if cells != [""] {
            records.push(Record { line, cells });
        }
    }
    Ok(records)
}

struct Reader<'a> {
    place: &'a str,
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    /// The cells up to the end of a line, which is read too.
    fn record(&mut self) -> Result<Vec<String>> {
        let mut cells = vec![];
        loop {
            cells.push(match self.rest.next_if_eq(&'"') {
                Some(_) => self.quoted()?,
                None => self.plain(),
            });
            if self.rest.next_if_eq(&',').is_some() {
                continue;
            }
            self.rest.next_if_eq(&'\r');
            self.rest.next_if_eq(&'\n');
            self.line += 1;
            return Ok(cells);
        }
    }

    fn plain(&mut self) -> String {
        let mut cell = String::new();
        while let Some(c) = self.rest.next_if(|c| !matches!(c, ',' | '\n' | '\r')) {
            cell.push(c);
        }
        cell
    }

    /// What stands after an opening quote.
    fn quoted(&mut self) -> Result<String> {
        let (first, mut cell) = (self.line, String::new());
        let fail = |message: &str| {
            let place = format!("{}: line {first}", self.place);
            let help = "write a quote within a quoted cell as two, and one at its end";
            Err(Error::input(place, message, help))
        };
        loop {
            match self.rest.next() {
                None => return fail("a quoted cell has no end"),
                Some('"') if self.rest.next_if_eq(&'"').is_some() => cell.push('"'),
                Some('"') => break,
                Some(c) => {
                    self.line += usize::from(c == '\n');
                    cell.push(c);
                }
            }
        }
        match self.rest.peek() {
            None | Some(',' | '\n' | '\r') => Ok(cell),
            Some(_) => fail("something stands after the end of a quoted cell"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_may_be_quoted() {
        let text = "a,b,c\r\n\n1,\"x, \"\"y\"\"\nz\",\n\" w\",,3";
        let read = records("f.csv", text).unwrap();
        let cells: Vec<_> = read.iter().map(|r| (r.line, r.cells.join("|"))).collect();
        let want = [(1, "a|b|c"), (3, "1|x, \"y\"\nz|"), (5, " w||3")];
        assert_eq!(cells, want.map(|(line, cells)| (line, cells.to_string())));
        assert_eq!(records("f.csv", "").unwrap(), []);
    }

    #[test]
    fn quotes_that_do_not_end_are_named() {
        let said = |text: &str| records("f.csv", text).unwrap_err().to_string();
        assert_eq!(said("a\n\"b\nc"), "f.csv: line 2: a quoted cell has no end");
        let after = "f.csv: line 1: something stands after the end of a quoted cell";
        assert_eq!(said("\"a\" ,b"), after);
    }
}
