//! The runs of a sweep by what they have of its axes.

use crate::error::{Error, Result};
use crate::formats::condition::Condition;
use crate::formats::sweep_results::{Row, Status, SweepResults};
use crate::named::suggest;
use crate::stats::{
    bootstrap_interval, mean, mean_interval, median, median_interval, t_test, wilson,
};
use serde_json::Value;
use std::collections::HashMap;

/// Which figure of the runs is looked at, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The axes by which runs are grouped.
    pub by: Vec<String>,
    /// The figure.
    pub value: String,
    /// What a success is; none of runs that have not ended well is one.
    pub success: Option<Condition>,
    /// The group that others are compared with, by its values of `by`; the first unless given.
    pub against: Option<String>,
}

/// The runs that have the same of the axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What they have of each, in the order asked.
    pub of: Vec<Value>,
    /// How many runs have ended.
    pub runs: usize,
    /// Those that are a success.
    pub successes: usize,
    /// `[n]`, the figure of the runs that have ended well and have it.
    pub values: Vec<f64>,
    /// `[pairs]`, the figure less that of the run of the reference group with the same of all other
    /// axes, of which members of a zip are one; none of the reference group itself.
    pub differences: Option<Vec<f64>>,
}

impl Group {
    /// The mean of the figure.
    pub fn mean(&self) -> Option<f64> {
        mean(&self.values)
    }

    /// The 95 % interval of the mean, [`mean_interval`].
    pub fn mean_interval(&self) -> Option<[f64; 2]> {
        mean_interval(&self.values)
    }

    /// The same by resampling, [`bootstrap_interval`].
    pub fn bootstrap(&self) -> Option<[f64; 2]> {
        bootstrap_interval(&self.values)
    }

    /// The median of the figure.
    pub fn median(&self) -> Option<f64> {
        median(&self.values)
    }

    /// The 95 % interval of the median, [`median_interval`].
    pub fn median_interval(&self) -> Option<[f64; 2]> {
        median_interval(&self.values)
    }

    /// The share of runs that are a success.
    pub fn rate(&self) -> f64 {
        self.successes as f64 / self.runs.max(1) as f64
    }

    /// The 95 % interval of the rate, [`wilson`].
    pub fn rate_interval(&self) -> [f64; 2] {
        wilson(self.successes, self.runs).into()
    }

    /// The mean difference from the reference, its 95 % interval, and its p-value by Student's t.
    pub fn difference(&self) -> (Option<f64>, Option<[f64; 2]>, Option<f64>) {
        let all = self.differences.as_deref().unwrap_or_default();
        (mean(all), mean_interval(all), t_test(all))
    }
}

/// The groups of runs, in the order in which they come first.
///
/// # Errors
/// If an axis is named twice, no run has an axis, the figure or the reference, or a condition
/// cannot be decided.
pub fn groups(results: &SweepResults, question: &Question) -> Result<Vec<Group>> {
    let columns = results.columns();
    for name in question.by.iter().chain([&question.value]) {
        known(name, &columns)?;
    }
    let twice = (1..question.by.len()).find(|&i| question.by[..i].contains(&question.by[i]));
    if let Some(i) = twice {
        return Err(Error::input(
            "--by",
            format!("`{}` is given twice", question.by[i]),
            "name it once",
        ));
    }
    let mut groups: Vec<(Group, Vec<&Row>)> = vec![];
    for row in &results.rows {
        let of: Vec<Value> = question.by.iter().map(|axis| row.value(axis)).collect();
        let i = groups.iter().position(|(group, _)| group.of == of).unwrap_or_else(|| {
            let (values, differences) = (vec![], None);
            groups.push((Group { of, runs: 0, successes: 0, values, differences }, vec![]));
            groups.len() - 1
        });
        let (group, rows) = &mut groups[i];
        group.runs += 1;
        group.successes += usize::from(succeeds(row, question.success.as_ref(), &columns)?);
        group.values.extend(figure(row, &question.value));
        rows.push(row);
    }
    if groups.iter().all(|(group, _)| group.values.is_empty()) {
        let message = "no run has a number there";
        return Err(Error::input(&question.value, message, "choose another --value"));
    }
    let reference = reference(&groups, question.against.as_deref())?;
    let zipped = zipped(&results.head.plan, &question.by);
    let others = |row: &Row| {
        let asked = |axis: &String| question.by.contains(axis) || zipped.contains(&&axis[..]);
        let others = row.axes.iter().filter(|(axis, _)| !asked(axis));
        others.map(|(axis, value)| format!("{axis} = {value}")).collect::<Vec<_>>()
    };
    let with = |row: &&Row| Some((others(row), figure(row, &question.value)?));
    let before: HashMap<_, f64> = groups[reference].1.iter().filter_map(with).collect();
    let difference = |row: &Row| {
        let before = before.get(&others(row))?;
        Some(figure(row, &question.value)? - before)
    };
    for (i, (group, rows)) in groups.iter_mut().enumerate() {
        let all = || rows.iter().filter_map(|row| difference(row)).collect();
        group.differences = (i != reference).then(all);
    }
    Ok(groups.into_iter().map(|(group, _)| group).collect())
}

/// The members of the zips of a plan of which one is asked for: they are one axis.
fn zipped<'a>(plan: &'a Value, by: &[String]) -> Vec<&'a str> {
    let axes = plan["axes"].as_array().into_iter().flatten();
    let names = axes.map(|axis| -> Vec<&str> {
        let pairs = axis[0]["is"].as_array().into_iter().flatten();
        pairs.filter_map(|pair| pair[0].as_str()).collect()
    });
    let asked = |names: &Vec<&str>| names.iter().any(|name| by.iter().any(|asked| asked == name));
    names.filter(asked).flatten().collect()
}

/// Whether a condition holds of the values of a run; `columns` are those of all runs.
///
/// # Errors
/// If it cannot be decided.
pub fn holds(condition: &Condition, row: &Row, columns: &[&str]) -> Result<bool> {
    let value = |key: &str| columns.contains(&key).then(|| row.value(key));
    condition.holds(&value, &|| columns.iter().map(|name| name.to_string()).collect())
}

/// Whether a run is a success: what the condition says, or its own `success`, or that it has ended.
///
/// # Errors
/// If the condition cannot be decided.
pub fn succeeds(row: &Row, success: Option<&Condition>, columns: &[&str]) -> Result<bool> {
    let held = match success {
        Some(condition) => holds(condition, row, columns)?,
        None => row.value("success").as_bool().unwrap_or(true),
    };
    Ok(held && row.status == Status::Done)
}

/// The figure of a run that has ended well, if it has it.
fn figure(row: &Row, name: &str) -> Option<f64> {
    let value = row.value(name);
    let number = value.as_f64().or(value.as_bool().map(|held| if held { 1.0 } else { 0.0 }));
    number.filter(|_| row.status == Status::Done)
}

/// The group that others are compared with.
fn reference(groups: &[(Group, Vec<&Row>)], against: Option<&str>) -> Result<usize> {
    let Some(against) = against else { return Ok(0) };
    let names: Vec<String> = groups.iter().map(|(group, _)| name(&group.of)).collect();
    names.iter().position(|name| name == against).ok_or_else(|| {
        let message = format!("`{against}` is no group");
        Error::input("--against", message, format!("there are {}", names.join("; ")))
    })
}

/// What a group is called: its values, text without quotes.
pub fn name(of: &[Value]) -> String {
    let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), String::from);
    of.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Refuses a column that there is not.
fn known(name: &str, columns: &[&str]) -> Result<()> {
    if columns.contains(&name) {
        return Ok(());
    }
    let help = match suggest(name, columns.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", columns.join(", ")),
    };
    Err(Error::input(name, "is no axis or figure of these runs", help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::sweep_results::Head;
    use serde_json::json;

    fn row(arm: &str, seed: u64, accuracy: f64, status: Status) -> Row {
        let of = |value: Value| value.as_object().cloned().unwrap_or_default();
        Row {
            id: format!("{arm}-{seed}"),
            status,
            axes: of(json!({ "arm": arm, "seed": seed })),
            figures: of(json!({ "accuracy": accuracy, "success": accuracy > 0.9 })),
            ..Row::default()
        }
    }

    fn results() -> SweepResults {
        let mut rows = vec![];
        for seed in 0..4 {
            rows.push(row("scratch", seed, 0.25 * seed as f64, Status::Done));
            rows.push(row("curriculum", seed, 0.25 * seed as f64 + 0.25, Status::Done));
        }
        rows.push(row("scratch", 4, 1.0, Status::Diverged));
        rows.push(row("curriculum", 4, 1.0, Status::Done));
        SweepResults { head: Head::new(json!({}), None), rows }
    }

    fn question() -> Question {
        let (by, value) = (vec!["arm".into()], "accuracy".into());
        Question { by, value, success: None, against: None }
    }

    #[test]
    fn groups_are_compared_seed_by_seed() {
        let found = groups(&results(), &question()).expect("groups");
        let [scratch, curriculum] = &found[..] else { panic!("{found:?}") };
        assert_eq!((scratch.runs, scratch.successes), (5, 0), "a run that diverged is none");
        assert_eq!((curriculum.runs, curriculum.successes), (5, 2));
        assert_eq!(scratch.values, [0.0, 0.25, 0.5, 0.75]);
        assert_eq!((scratch.mean(), scratch.median()), (Some(0.375), Some(0.375)));
        assert_eq!(scratch.differences, None);
        // The fifth seed has no partner.
        assert_eq!(curriculum.differences, Some(vec![0.25; 4]));
        assert_eq!(curriculum.difference(), (Some(0.25), Some([0.25; 2]), t_test(&[0.25; 4])));
        let against = Some("curriculum".into());
        let found = groups(&results(), &Question { against, ..question() }).expect("groups");
        assert_eq!(found[0].differences, Some(vec![-0.25; 4]));
        let success = Some(Condition::parse("--success", "accuracy >= 0.75").expect("one"));
        let found = groups(&results(), &Question { success, ..question() }).expect("groups");
        assert_eq!([found[0].successes, found[1].successes], [1, 3]);
    }

    /// Members of a zip are one axis: whoever asks for one asks for all.
    #[test]
    fn groups_of_a_zip_are_compared_seed_by_seed() {
        let one = |width: u64| json!({ "is": [["width", width], ["depth", 2 * width]] });
        let plan = json!({ "axes": [[{ "is": [["seed", 0]] }], [one(1), one(2)]] });
        let row = |seed: u64, width: u64, accuracy: f64| Row {
            axes: json!({ "seed": seed, "width": width, "depth": 2 * width })
                .as_object()
                .cloned()
                .unwrap_or_default(),
            ..row("", seed, accuracy, Status::Done)
        };
        let rows = vec![row(0, 1, 0.25), row(0, 2, 0.5), row(1, 1, 0.5), row(1, 2, 1.0)];
        let mut results = SweepResults { head: Head::new(plan, None), rows };
        let by = |name: &str| Question { by: vec![name.into()], ..question() };
        for name in ["width", "depth"] {
            let found = groups(&results, &by(name)).expect("groups");
            assert_eq!(found[1].differences, Some(vec![0.25, 0.5]), "by {name}");
        }
        // Of axes that are none, no run of another width has the same depth.
        results.head = Head::new(json!({}), None);
        let found = groups(&results, &by("width")).expect("groups");
        assert_eq!(found[1].differences, Some(vec![]));
    }

    #[test]
    fn what_the_runs_have_not_is_refused() {
        let ask = |by: &str, value: &str, against: Option<&str>| {
            let by = by.split(',').map(String::from).collect();
            let value = value.into();
            let against = against.map(String::from);
            groups(&results(), &Question { by, value, success: None, against })
        };
        for (found, message, help) in [
            (ask("arms", "accuracy", None), "arms: is no axis", "did you mean `arm`?"),
            (ask("arm,seed,arm", "accuracy", None), "--by: `arm` is given twice", "name it once"),
            (ask("arm", "xyz", None), "xyz: is no axis or figure", "there are id, status"),
            (ask("arm", "id", None), "id: no run has a number", "--value"),
            (ask("arm", "accuracy", Some("x")), "--against: `x` is no group", "scratch; curr"),
        ] {
            let e = found.expect_err(message);
            assert!(e.to_string().starts_with(message) && e.help().contains(help), "{e}");
        }
    }
}
