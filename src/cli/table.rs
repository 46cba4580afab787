//! Tables: columns for people, JSON or CSV for programs.

use super::print::{self, Mode};
use serde_json::{Map, Value};

/// What stands in a row under a head: the value for programs, and its text for people.
pub(super) struct Cell {
    value: Value,
    text: String,
}

impl Cell {
    /// A name.
    pub(super) fn text(text: impl Into<String>) -> Cell {
        let text = text.into();
        Cell { value: text.clone().into(), text }
    }

    /// A token, in quotes for people; empty where there is none.
    pub(super) fn token(token: Option<&str>) -> Cell {
        match token {
            Some(token) => Cell::text(token).shown(format!("{token:?}")),
            None => Cell { value: Value::Null, text: String::new() },
        }
    }

    /// A whole number.
    pub(super) fn count(n: impl TryInto<u64>) -> Cell {
        let n = n.try_into().unwrap_or(u64::MAX);
        Cell { value: n.into(), text: n.to_string() }
    }

    /// A number with so many digits behind the point; one that is not finite is null for programs.
    pub(super) fn real(x: f64, digits: usize) -> Cell {
        Cell { value: x.into(), text: format!("{x:.digits$}") }
    }

    /// A number with so many digits behind the point and an exponent.
    pub(super) fn scientific(x: f64, digits: usize) -> Cell {
        Cell::real(x, 0).shown(format!("{x:.digits$e}"))
    }

    /// A number that may be missing.
    pub(super) fn maybe(x: Option<f64>, digits: usize) -> Cell {
        x.map_or(Cell { value: Value::Null, text: "-".into() }, |x| Cell::real(x, digits))
    }

    /// A value of a file: text without quotes, null as `-`.
    pub(super) fn of(value: Value) -> Cell {
        let text = match &value {
            Value::Null => "-".into(),
            Value::String(text) => text.clone(),
            Value::Number(x) if x.is_f64() => number(x.as_f64().unwrap_or(f64::NAN)),
            other => other.to_string(),
        };
        Cell { value, text }
    }

    /// A share from 0 to 1, in per cent for people.
    pub(super) fn percent(share: f64, digits: usize) -> Cell {
        Cell { value: share.into(), text: format!("{:.digits$} %", 100.0 * share) }
    }

    /// The same value with other text for people.
    pub(super) fn shown(self, text: impl Into<String>) -> Cell {
        Cell { text: text.into(), ..self }
    }

    fn csv(&self) -> String {
        match &self.value {
            Value::Null => String::new(),
            Value::String(text) if text.contains([',', '"', '\n', '\r']) => {
                format!("\"{}\"", text.replace('"', "\"\""))
            }
            Value::String(text) => text.clone(),
            number => number.to_string(),
        }
    }
}

/// A number as it is written at its shortest, or with four digits behind the point.
fn number(x: f64) -> String {
    let shortest = x.to_string();
    if shortest.len() <= 8 {
        return shortest;
    }
    if x == 0.0 || (1e-3..1e6).contains(&x.abs()) { format!("{x:.4}") } else { format!("{x:.2e}") }
}

/// A table under a name, which JSON has it by.
pub(super) struct Table {
    name: &'static str,
    /// The heads for people and the keys for programs.
    columns: Vec<(String, String)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Without rows; `columns` are heads for people and keys for programs.
    pub(super) fn new<const N: usize>(name: &'static str, columns: [(&str, &str); N]) -> Table {
        let columns = columns.iter().map(|(head, key)| (head.to_string(), key.to_string()));
        Table { name, columns: columns.collect(), rows: vec![] }
    }

    /// Adds a column, before there are rows.
    pub(super) fn column(&mut self, head: &str, key: &str) {
        self.columns.push((head.into(), key.into()));
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If it has not a cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells: Vec<Cell> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.columns.len(), "{}: a cell for each column", self.name);
        self.rows.push(cells);
    }

    /// Prints it in the form that the user asked for.
    pub(super) fn print(&self) {
        match print::mode() {
            Mode::Text => self.print_for_people(),
            Mode::Csv => print::raw(&self.to_csv()),
            Mode::Json => print::note(self.name, self.to_json()),
            Mode::Quiet => {}
        }
    }

    /// Prints it for programs alone: people see its rows as they come.
    pub(super) fn print_for_programs(&self) {
        if print::mode() != Mode::Text {
            self.print();
        }
    }

    /// Prints it for people alone: programs get its rows in another.
    pub(super) fn print_for_people(&self) {
        print!("{}", self.to_text());
    }

    /// Prints it for people, in Markdown.
    pub(super) fn print_markdown(&self) {
        let row = |cells: Vec<&str>| {
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |", cells.join(" | "))
        };
        println!("{}", row(self.columns.iter().map(|(head, _)| &head[..]).collect()));
        println!("{}", row(vec!["---"; self.columns.len()]));
        for cells in &self.rows {
            println!("{}", row(cells.iter().map(|cell| &cell.text[..]).collect()));
        }
    }

    fn to_text(&self) -> String {
        let numbers = |i: usize| self.rows.iter().any(|row| row[i].value.is_number());
        let wide = |i: usize| {
            let texts = self.rows.iter().map(|row| &row[i].text).chain([&self.columns[i].0]);
            texts.map(|text| text.chars().count()).max().unwrap_or(0)
        };
        let layout: Vec<(usize, bool)> =
            (0..self.columns.len()).map(|i| (wide(i), numbers(i))).collect();
        let heads = self.columns.iter().map(|(head, _)| &head[..]).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(|cell| &cell.text[..]).collect());
        let mut out = String::new();
        for row in std::iter::once(heads).chain(rows) {
            let row: Vec<&str> = row;
            let mut line = String::new();
            for (i, (text, &(wide, right))) in row.iter().zip(&layout).enumerate() {
                let gap = if i == 0 { "" } else { "  " };
                line += &match right {
                    true => format!("{gap}{text:>wide$}"),
                    false => format!("{gap}{text:wide$}"),
                };
            }
            out += line.trim_end();
            out.push('\n');
        }
        out
    }

    fn to_csv(&self) -> String {
        let heads = self.columns.iter().map(|(_, key)| Cell::text(key).csv());
        let heads = heads.collect::<Vec<_>>().join(",");
        let row = |row: &Vec<Cell>| row.iter().map(Cell::csv).collect::<Vec<_>>().join(",");
        let rows = self.rows.iter().map(row);
        std::iter::once(heads).chain(rows).map(|line| line + "\n").collect()
    }

    fn to_json(&self) -> Value {
        let object = |row: &Vec<Cell>| {
            let entries = self.columns.iter().zip(row);
            Value::Object(
                entries
                    .map(|((_, key), cell)| (key.clone(), cell.value.clone()))
                    .collect::<Map<_, _>>(),
            )
        };
        self.rows.iter().map(object).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table() -> Table {
        let columns = [("edge", "edge"), ("score", "score"), ("share of all", "share")];
        let mut table = Table::new("edges", columns);
        table.row([Cell::text("input->logits"), Cell::real(-1.25, 3), Cell::percent(0.5, 1)]);
        table.row([Cell::text("a,\"b\""), Cell::maybe(None, 3), Cell::percent(0.25, 1)]);
        table
    }

    #[test]
    fn people_see_columns_with_numbers_to_the_right() {
        let lines = ["edge            score  share of all", "input->logits  -1.250        50.0 %"];
        let text = table().to_text();
        assert_eq!(text.lines().take(2).collect::<Vec<_>>(), lines);
        assert_eq!(text.lines().nth(2), Some("a,\"b\"               -        25.0 %"));
    }

    #[test]
    fn programs_get_whole_numbers_and_quoted_text() {
        let csv = "edge,score,share\ninput->logits,-1.25,0.5\n\"a,\"\"b\"\"\",,0.25\n";
        assert_eq!(table().to_csv(), csv);
        let json = json!([
            { "edge": "input->logits", "score": -1.25, "share": 0.5 },
            { "edge": "a,\"b\"", "score": null, "share": 0.25 },
        ]);
        assert_eq!(table().to_json(), json);
    }
}
