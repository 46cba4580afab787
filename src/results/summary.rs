//! How often an arm succeeds, and how sure that is.

use super::run::{Arm, Run};
use crate::stats::{mean, median, wilson};

/// The numbers of one arm. A run without a final evaluation or one that diverged counts as a seed
/// and as a failure; means and medians are over the runs that have the number.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmSummary {
    /// The arm.
    pub arm: String,
    /// Its runs.
    pub seeds: usize,
    /// Runs with a final test accuracy of at least [`SUCCESS`](super::SUCCESS).
    pub successes: usize,
    /// Runs that diverged.
    pub diverged: usize,
    /// Runs without a final test accuracy.
    pub unfinished: usize,
    /// 95 % interval of the success rate, [`wilson`].
    pub interval: (f64, f64),
    /// Mean final test accuracy.
    pub test_mean: Option<f64>,
    /// Median final test accuracy.
    pub test_median: Option<f64>,
    /// Mean final accuracy modulo 2 on the test set.
    pub mod2_mean: Option<f64>,
    /// Mean final accuracy on the training set.
    pub train_mean: Option<f64>,
    /// Median updates to [`SUCCESS`](super::SUCCESS) among the successes, from the last stage's
    /// start.
    pub steps_in_stage: Option<f64>,
    /// The same from the run's start.
    pub steps_overall: Option<f64>,
}

impl ArmSummary {
    /// Summarises an arm.
    pub fn of(arm: &Arm) -> Self {
        let finals = || arm.runs.iter().filter_map(Run::final_eval);
        let test: Vec<f64> = finals().filter_map(|eval| eval.test_accuracy).collect();
        let mod2: Vec<f64> = finals().filter_map(|eval| eval.test_accuracy_mod2).collect();
        let train: Vec<f64> = finals().filter_map(|eval| eval.train_accuracy).collect();
        let solved = || arm.runs.iter().filter(|run| run.succeeded());
        let (stage, overall): (Vec<f64>, Vec<f64>) = solved()
            .filter_map(Run::steps_to_success)
            .map(|(stage, overall)| (stage as f64, overall as f64))
            .unzip();
        let (seeds, successes) = (arm.runs.len(), solved().count());
        ArmSummary {
            arm: arm.name.clone(),
            seeds,
            successes,
            diverged: arm.runs.iter().filter(|run| run.diverged()).count(),
            unfinished: seeds - test.len(),
            interval: wilson(successes, seeds),
            test_mean: mean(&test),
            test_median: median(&test),
            mod2_mean: mean(&mod2),
            train_mean: mean(&train),
            steps_in_stage: median(&stage),
            steps_overall: median(&overall),
        }
    }

    /// Successes over seeds, none without seeds.
    pub fn rate(&self) -> Option<f64> {
        (self.seeds > 0).then(|| self.successes as f64 / self.seeds as f64)
    }
}

/// The result as one sentence.
pub fn headline(arms: &[ArmSummary]) -> String {
    let parts = arms.iter().enumerate().map(|(index, arm)| {
        let place = match arm.arm.as_str() {
            "scratch" => "from scratch".to_string(),
            "curriculum" => "with the curriculum".to_string(),
            other => format!("in arm \"{other}\""),
        };
        let what = match (index, arm.seeds) {
            (0, 1) => " seed generalises",
            (0, _) => " seeds generalise",
            _ => "",
        };
        format!("{place} {} of {}{what}", arm.successes, arm.seeds)
    });
    let mut sentence = parts.collect::<Vec<_>>().join("; ") + ".";
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    sentence
}

/// The cells of a table: the header (words to be set one below the other), then a row per arm.
/// The page and the terminal show the same cells.
pub(crate) const HEADER: [[&str; 2]; 9] = [
    ["arm", ""],
    ["seeds", ""],
    ["success", "(test >= .99)"],
    ["95 %", "interval"],
    ["test", "mean"],
    ["test", "median"],
    ["test", "mod 2"],
    ["train", "mean"],
    ["steps to .99", "in stage (in all)"],
];

pub(crate) fn cells(arm: &ArmSummary) -> [String; 9] {
    let share = |x: Option<f64>| x.map_or("-".into(), |x| format!("{x:.3}"));
    let rate = arm.rate().map_or(String::new(), |rate| format!(" ({:.0} %)", 100.0 * rate));
    [
        arm.arm.clone(),
        arm.seeds.to_string(),
        format!("{} of {}{rate}", arm.successes, arm.seeds),
        format!("[{:.2}, {:.2}]", arm.interval.0, arm.interval.1),
        share(arm.test_mean),
        share(arm.test_median),
        share(arm.mod2_mean),
        share(arm.train_mean),
        match (arm.steps_in_stage, arm.steps_overall) {
            (Some(stage), Some(overall)) => format!("{stage} ({overall})"),
            _ => "-".into(),
        },
    ]
}

/// An aligned plain-text table, at most 100 columns wide for arm names of up to 14 letters.
///
/// Steps are medians over the successes, from the last stage's start and, in brackets, from the
/// run's. Intervals are [`wilson`]'s.
pub fn table(arms: &[ArmSummary]) -> String {
    const NAME: usize = 14;
    let rows: Vec<[String; 9]> = arms
        .iter()
        .map(|arm| {
            let mut row = cells(arm);
            row[0] = plain(&row[0], NAME);
            row
        })
        .collect();
    let width = |column: usize| {
        let header = HEADER[column].iter().map(|word| word.chars().count());
        header.chain(rows.iter().map(|row| row[column].chars().count())).max().unwrap_or(0)
    };
    let widths: [usize; 9] = std::array::from_fn(width);
    let line = |cell: &dyn Fn(usize) -> String| {
        let mut line = format!("{:<width$}", cell(0), width = widths[0]);
        for (column, width) in widths.iter().enumerate().skip(1) {
            line += &format!("  {:>width$}", cell(column));
        }
        line.trim_end().to_string() + "\n"
    };
    let mut text = line(&|column| HEADER[column][0].into()) + &line(&|c| HEADER[c][1].into());
    text += &(line(&|column| "-".repeat(widths[column])));
    for (row, arm) in rows.iter().zip(arms) {
        text += &line(&|column| row[column].clone());
        if arm.diverged + arm.unfinished > 0 {
            let (diverged, unfinished) = (arm.diverged, arm.unfinished);
            text +=
                &format!("  ({diverged} diverged, {unfinished} without a final test accuracy)\n");
        }
    }
    text
}

// A folder's name may hold anything, terminal escapes too.
fn plain(name: &str, limit: usize) -> String {
    let shown = |c: char| if c.is_control() { '?' } else { c };
    if name.chars().count() <= limit {
        return name.chars().map(shown).collect();
    }
    name.chars().take(limit - 1).map(shown).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::formats::metrics::{EvalLine, EventLine, Metrics};
    use crate::formats::run_config::RunConfig;

    fn run(final_test: Option<f64>, diverged: bool) -> Run {
        let eval = |step, test_accuracy| EvalLine {
            step,
            test_accuracy,
            train_accuracy: Some(1.0),
            ..EvalLine::default()
        };
        let event = EventLine { event: "diverged".into(), step: 20, ..EventLine::default() };
        Run {
            folder: PathBuf::new(),
            name: String::new(),
            seed: None,
            config: RunConfig::default(),
            metrics: Metrics {
                steps: vec![],
                circuits: vec![],
                measures: vec![],
                evals: final_test
                    .map(|test| {
                        vec![eval(0, Some(0.2)), eval(10, final_test), eval(20, Some(test))]
                    })
                    .unwrap_or_default(),
                events: if diverged { vec![event] } else { vec![] },
            },
            snapshots: vec![],
            notes: vec![],
        }
    }

    fn arm(runs: Vec<Run>) -> ArmSummary {
        ArmSummary::of(&Arm { name: "scratch".into(), runs })
    }

    #[test]
    fn missing_and_diverged_runs_are_failures() {
        let summary = arm(vec![
            run(Some(1.0), false),
            run(Some(1.0), true),
            run(None, false),
            run(Some(0.5), false),
        ]);
        assert_eq!((summary.seeds, summary.successes), (4, 1));
        assert_eq!((summary.diverged, summary.unfinished), (1, 1));
        assert_eq!(summary.rate(), Some(0.25));
        assert_eq!(summary.test_median, Some(1.0));
        assert_eq!(summary.train_mean, Some(1.0));
        assert_eq!(summary.mod2_mean, None);
        assert_eq!((summary.steps_in_stage, summary.steps_overall), (Some(10.0), Some(10.0)));
    }

    #[test]
    fn no_seeds_give_no_numbers() {
        let summary = arm(vec![]);
        assert_eq!(summary.rate(), None);
        assert_eq!(summary.test_mean, None);
        assert!(table(&[summary]).contains("0 of 0"));
    }

    #[test]
    fn the_table_is_aligned_and_fits() {
        let one = arm(vec![run(Some(1.0), false); 3]);
        let two = ArmSummary {
            arm: "a very long \u{1b}[31m name of an arm".into(),
            steps_in_stage: Some(12345.5),
            steps_overall: Some(12345.5),
            ..one.clone()
        };
        let text = table(&[one, two]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{text}");
        assert_eq!(lines[3].chars().count(), lines[4].chars().count(), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn the_headline_says_how_many() {
        let named = |name: &str, successes, seeds| ArmSummary {
            arm: name.into(),
            successes,
            seeds,
            ..arm(vec![])
        };
        assert_eq!(
            headline(&[named("scratch", 0, 12), named("curriculum", 9, 12)]),
            "From scratch 0 of 12 seeds generalise; with the curriculum 9 of 12."
        );
        assert_eq!(headline(&[named("x", 1, 1)]), "In arm \"x\" 1 of 1 seed generalises.");
    }
}
