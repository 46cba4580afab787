//! The runs of a sweep: its combinations, each configuration once.

use super::plan::Plan;
use super::{Resolved, Runner};
use crate::error::{Error, Result};
use crate::files::sha256;
use crate::named::{Named, counted};
use std::collections::HashSet;

/// The most combinations that are run without being told to.
const MOST: u128 = 1_000_000;

/// Hexadecimal digits of an id: two of a million runs share one with a chance of 3e-8.
const DIGITS: usize = 16;

/// Whether a text can be the id of a run.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A run to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its combination in the plan.
    pub combination: u64,
    /// The name of its folder.
    pub id: String,
    /// Its steps.
    pub steps: u64,
}

/// The runs of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// In the order of the plan, each id once.
    pub runs: Vec<Planned>,
    /// Combinations that a condition skips.
    pub skipped: u64,
    /// Combinations with the configuration of an earlier one.
    pub repeated: u64,
}

impl Listed {
    /// The steps of all runs.
    pub fn steps(&self) -> u64 {
        self.runs.iter().map(|run| run.steps).sum()
    }

    /// How many runs there are, and what was left out.
    pub fn told(&self) -> String {
        let left = [(self.skipped, "skipped"), (self.repeated, "with the same configuration")];
        let left = left.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("; {n} {what}"));
        counted(self.runs.len(), "run") + &left.collect::<String>()
    }
}

/// The runs that a plan asks for; with `yes`, also if there are more than a million.
///
/// # Errors
/// If there are too many, a configuration cannot be, or an axis changes nothing.
pub fn list(plan: &Plan, runner: &dyn Runner, yes: bool) -> Result<Listed> {
    let all = plan.combinations();
    if all > MOST && !yes || all > u128::from(u32::MAX) {
        let help = "give fewer values, or add --yes for up to four thousand millions";
        return Err(Error::input(plan.place(), format!("asks for {all} runs"), help));
    }
    let (mut seen, mut ids) = (HashSet::new(), vec![]);
    let mut listed = Listed { runs: vec![], skipped: 0, repeated: 0 };
    for combination in 0..all as u64 {
        let Some(found) = plan.combination(combination)? else {
            listed.skipped += 1;
            ids.push(None);
            continue;
        };
        let Resolved { text, steps } = runner.resolve(&found.config).map_err(|e| {
            let told = found.told();
            let (before, after) = if told.is_empty() { ("", "") } else { (" (", ")") };
            e.within(format_args!("{}{before}{told}{after}", plan.place()))
        })?;
        let mut id = sha256(format!("{}\n{text}", plan.command.name()).as_bytes());
        id.truncate(DIGITS);
        ids.push(Some(id.clone()));
        match seen.insert(id.clone()) {
            true => listed.runs.push(Planned { combination, id, steps }),
            false => listed.repeated += 1,
        }
    }
    if listed.runs.is_empty() {
        let help = "let the conditions of `skip` leave some";
        return Err(Error::input(plan.place(), "asks for no run: all are skipped", help));
    }
    each_matters(plan, &ids)?;
    Ok(listed)
}

/// Refuses an axis none of whose choices changes any configuration; `ids` are those of all
/// combinations, none of skipped ones.
fn each_matters(plan: &Plan, ids: &[Option<String>]) -> Result<()> {
    let mut stride = ids.len();
    for axis in plan.axes() {
        let choices = axis.choices.len();
        stride /= choices;
        let next = |i: &usize| i / stride % choices + 1 < choices;
        let pairs = (0..ids.len()).filter(next).map(|i| (&ids[i], &ids[i + stride]));
        let mut both = pairs.filter(|(a, b)| a.is_some() && b.is_some()).peekable();
        if both.peek().is_some() && both.all(|(a, b)| a == b) {
            let message = "has no effect: its runs have the same configuration";
            let help = "every stage or arm says otherwise, or its values are the same";
            return Err(Error::input(&axis.name, message, help).within(plan.place()));
        }
    }
    Ok(())
}
