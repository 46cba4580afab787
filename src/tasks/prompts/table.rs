//! Pairs from the tables of others: the CSV files of EAP-IG and MIB.
//!
//! Every table has the columns `clean` and `corrupted`, or another one of corrupted texts. What is
//! asked depends on the others:
//!
//! | columns | answer, distractor |
//! | --- | --- |
//! | `correct_idx`, `incorrect_idx` | these token ids |
//! | `country_idx`, `corrupted_country_idx`; `capital_idx`, `corrupted_capital_idx` | these ids |
//! | `clean_answer_idx`, `corrupted_answer_idx` | these ids |
//! | `answers_idx`, `corrupted_answers_idx` | these lists of ids |
//! | `plural` | 1: " are", " were", not " is", " was"; 0: the other way around |
//! | `label`, `correct_idx` alone, or `year` | two digits: all that are larger, not the others |
//!
//! Ids are those of the tokenizer that a table was made for.

use super::{Answers, Fitted, TextPair, agreement, greater_than};
use crate::error::{Error, Result};
use crate::files::csv::{Record, records};
use crate::formats::pairs::{Bounds, Encode};
use crate::named::suggest;

/// Columns with the ids of answers, each beside that of its distractors.
const IDS: [(&str, &str); 5] = [
    ("correct_idx", "incorrect_idx"),
    ("country_idx", "corrupted_country_idx"),
    ("capital_idx", "corrupted_capital_idx"),
    ("clean_answer_idx", "corrupted_answer_idx"),
    ("answers_idx", "corrupted_answers_idx"),
];

/// Columns with the two digits that the clean text ends after; of `year` the last two count.
const YEARS: [&str; 3] = ["correct_idx", "label", "year"];

const HELP: &str = "a table needs the columns clean, corrupted, and correct_idx and incorrect_idx \
    or others of EAP-IG's";

/// What a table asks, by the columns that say it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asks {
    Ids(usize, usize),
    Plural(usize),
    Year(usize),
}

/// A table of pairs.
#[derive(Clone, Debug)]
pub struct Table {
    place: String,
    head: Record,
    rows: Vec<Record>,
    clean: usize,
    corrupted: usize,
    asks: Asks,
}

impl Table {
    /// The table in a text, whose corrupted texts are in the column of that name; `place` names it
    /// in errors.
    ///
    /// # Errors
    /// If it is no CSV, a column is missing, or there are no rows.
    pub fn parse(place: &str, text: &str, corrupted: &str) -> Result<Table> {
        let mut rows = records(place, text)?;
        if rows.len() < 2 {
            return Err(Error::input(place, "holds no pair", HELP));
        }
        let head = rows.remove(0);
        let at = |name: &str| head.cells.iter().position(|cell| cell.trim() == name);
        let column = |name: &str| {
            at(name).ok_or_else(|| {
                let near = suggest(name, head.cells.iter().map(String::as_str));
                let help = near.map_or(HELP.into(), |near| format!("it has `{near}`"));
                Error::input(place, format!("has no column `{name}`"), help)
            })
        };
        let (clean, corrupted) = (column("clean")?, column(corrupted)?);
        let ids = || IDS.iter().find_map(|(a, b)| Some(Asks::Ids(at(a)?, at(b)?)));
        let year = || YEARS.iter().find_map(|name| at(name).map(Asks::Year));
        let asks = ids().or_else(|| at("plural").map(Asks::Plural)).or_else(year);
        let asks = asks.ok_or_else(|| Error::input(place, "has no column with an answer", HELP))?;
        Ok(Table { place: place.into(), head, rows, clean, corrupted, asks })
    }

    /// The pairs of the first `n` rows, or of all, that `encode` cuts into as many tokens.
    ///
    /// # Errors
    /// If a row has another number of cells than the table has columns, a text is empty or cannot
    /// be encoded, or an answer is not what its column should hold.
    pub fn fitted(&self, n: Option<usize>, encode: &dyn Encode, bounds: &Bounds) -> Result<Fitted> {
        let mut found = Fitted::default();
        for record in self.rows.iter().take(n.unwrap_or(usize::MAX)) {
            let row = Row { table: self, record };
            let line = super::first_that_fits(&row.pairs(bounds)?, encode, bounds);
            match line.map_err(|e| e.within(row.place()))? {
                Ok(line) => found.lines.push(line),
                Err(why) => found.rejected.push(why),
            }
        }
        if found.lines.is_empty() {
            let message = format!("none of {} rows fits the tokenizer", found.rejected.len());
            let help = "clean and corrupted texts need as many tokens, answers one token each";
            return Err(Error::input(&self.place, message, help));
        }
        Ok(found)
    }
}

/// One row, while it is read.
struct Row<'a> {
    table: &'a Table,
    record: &'a Record,
}

impl Row<'_> {
    fn place(&self) -> String {
        format!("{}: line {}", self.table.place, self.record.line)
    }

    fn fail<T>(&self, message: String, help: &str) -> Result<T> {
        Err(Error::input(self.place(), message, help))
    }

    fn pairs(&self, bounds: &Bounds) -> Result<Vec<TextPair>> {
        let table = self.table;
        let (cells, columns) = (self.record.cells.len(), table.head.cells.len());
        if cells != columns {
            let message = format!("has {cells} cells, the first line has {columns}");
            return self.fail(message, "put texts with commas into double quotes");
        }
        let [clean, corrupted] = [table.clean, table.corrupted].map(|at| self.cell(at));
        for (at, text) in [(table.clean, clean), (table.corrupted, corrupted)] {
            if text.is_empty() {
                let message = format!("`{}` is empty", table.head.cells[at]);
                return self.fail(message, "give a text, or take the row out");
            }
        }
        let sides = match table.asks {
            Asks::Ids(a, b) => vec![[self.ids(a, bounds)?, self.ids(b, bounds)?]],
            Asks::Plural(at) => {
                let plural = self.number(at, 1)? == 1;
                vec![[agreement::verbs(plural), agreement::verbs(!plural)]]
            }
            Asks::Year(at) => greater_than::sides(self.year(at)?, 0),
        };
        let of = |[answer, distractor]: [Answers; 2]| TextPair {
            clean: clean.into(),
            corrupted: corrupted.into(),
            answer,
            distractor,
            spans: vec![],
        };
        Ok(sides.into_iter().map(of).collect())
    }

    fn cell(&self, at: usize) -> &str {
        &self.record.cells[at]
    }

    /// An id, or a list of them as Python writes it.
    fn ids(&self, at: usize, bounds: &Bounds) -> Result<Answers> {
        let (cell, bound) = (self.cell(at).trim(), bounds.vocab_out);
        let list = cell.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(cell);
        let each = list.split(',').map(|id| match id.trim().parse::<u32>() {
            Ok(id) if (id as usize) < bound => Ok(id),
            Ok(id) => {
                let name = &self.table.head.cells[at];
                let message = format!("`{name}`: id {id} is outside of the vocabulary of {bound}");
                self.fail(message, "the table was made for another tokenizer: use its model")
            }
            Err(_) => self.wrong(at, "a token id"),
        });
        Ok(Answers::Ids(each.collect::<Result<_>>()?))
    }

    /// A whole number up to `most`.
    fn number(&self, at: usize, most: u64) -> Result<u64> {
        match self.cell(at).trim().parse() {
            Ok(n) if n <= most => Ok(n),
            _ => self.wrong(at, &format!("a whole number from 0 to {most}")),
        }
    }

    /// The two digits after which a span of years may end; no end is later than 99.
    fn year(&self, at: usize) -> Result<u64> {
        match self.table.head.cells[at].trim() {
            "year" => Ok(self.number(at, 9999)? % 100),
            _ => self.number(at, 99),
        }
    }

    fn wrong<T>(&self, at: usize, wanted: &str) -> Result<T> {
        let shown: String = self.cell(at).chars().take(40).collect();
        let message = format!("`{}`: expected {wanted}, got {shown:?}", self.table.head.cells[at]);
        self.fail(message, "correct the cell, or take the row out")
    }
}
