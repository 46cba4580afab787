//! Hypothesis tests of a circuit as a table with a verdict on each line.

use crate::cli::table::{Cell, Table};
use edgegrad::discovery::hypotheses::{Finding, Tested};

/// Prints a line for each test.
pub(super) fn print(tests: &[Tested]) {
    let columns = [
        ("test", "test"),
        ("of", "of"),
        ("", "statistic"),
        ("p", "p"),
        ("passed", "passed"),
        ("verdict", "verdict"),
    ];
    let mut table = Table::new("tests", columns);
    for Tested { name, of, finding, verdicts: [holds, fails] } in tests {
        let Finding { statistic, p, passed } = *finding;
        table.row([
            Cell::text(*name),
            Cell::text(*of),
            Cell::real(statistic, 4),
            Cell::scientific(p, 1),
            Cell::text(if passed { "yes" } else { "no" }),
            Cell::text(if passed { *holds } else { *fails }),
        ]);
    }
    println!();
    table.print();
}
