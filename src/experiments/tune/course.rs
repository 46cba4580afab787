//! The figures of a run's circuits from the first to the last.

use crate::formats::tuning_report::{CircuitFigures, TuningReport};
use crate::stats;

/// A figure of the circuits of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// What it is called.
    pub name: &'static str,
    /// Of the first circuit, before tuning.
    pub first: Option<f64>,
    /// The mean over the looks between.
    pub during: Option<f64>,
    /// Of the last.
    pub last: Option<f64>,
}

/// Faithfulness, completeness and connectivity of the circuits of a run; none of a run without
/// circuits.
pub fn courses<S>(report: &TuningReport<S>) -> Option<[Course; 3]> {
    let all: Vec<CircuitFigures> = report.path.iter().filter_map(|p| p.circuit).collect();
    let [first, between @ .., last] = &all[..] else { return None };
    Some(std::array::from_fn(|i| {
        let of = |figures: &CircuitFigures| figures.entries()[i].1;
        let between: Vec<f64> = between.iter().filter_map(of).collect();
        let name = first.entries()[i].0;
        Course { name, first: of(first), during: stats::mean(&between), last: of(last) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::comparison::tests::comparison;
    use crate::formats::tuning_report::Point;

    #[test]
    fn courses_are_those_of_the_looks() {
        let report = comparison()["rows"][0]["reports"][0].clone();
        let report: TuningReport = serde_json::from_value(report).expect("a report");
        assert_eq!(courses(&report), None);
        let circuit = |f: Option<f64>| CircuitFigures { faithfulness: f, ..Default::default() };
        let look = |f| Point { circuit: Some(circuit(f)), ..report.path[0].clone() };
        let path = [Some(0.2), Some(0.25), None, Some(0.75), Some(0.8)].map(look).to_vec();
        let [faithfulness, completeness, _] =
            courses(&TuningReport { path, ..report }).expect("looks");
        let want =
            Course { name: "faithfulness", first: Some(0.2), during: Some(0.5), last: Some(0.8) };
        assert_eq!(faithfulness, want);
        assert_eq!(
            (completeness.first, completeness.during, completeness.last),
            (None, None, None)
        );
    }
}
