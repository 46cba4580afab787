//! How long a run takes, from a few of its steps.

use super::circuits::History;
use super::config::{Config, DtypeKind, Stage};
use super::run::{data, fits, initial_weights};
use super::start;
use super::work::{Work, model_config};
use crate::error::{Error, Result};
use crate::simd::Element;
use crate::tasks::Split;
use std::time::Instant;

/// Steps up to which no run takes half a day: one would have to take a minute and a half.
const FEW: u64 = 500;

/// Operations a second that any processor does.
const SLOW: f64 = 1e9;

/// Half a day in seconds.
const HALF_DAY: f64 = 43_200.0;

/// Updates that are timed of each stage, after one that finds the memory.
const TIMED: u64 = 4;

/// Whether so many runs are done in half a day on any machine.
pub fn is_short(config: &Config, runs: u64) -> bool {
    let all: u64 = config.stages.iter().map(|stage| stage.train.steps).sum();
    let bounded = |Stage { train, task, .. }: &Stage| {
        train.circuit_every == 0 && train.measure.is_empty() && task.data.is_none()
    };
    let operations: f64 = config.stages.iter().map(operations).sum();
    all.saturating_mul(runs) <= FEW
        || config.stages.iter().all(bounded) && runs as f64 * operations / SLOW <= HALF_DAY
}

/// At most the operations of a stage: a product forward and two backward for each weight, row and
/// position.
fn operations(stage: &Stage) -> f64 {
    let (t, model) = (&stage.train, model_config(stage));
    let weights: usize = model.parameters().iter().map(|p| p.shape.len()).sum();
    let each = weights as f64 * model.seq_len as f64;
    let given = (stage.task.train + stage.task.test) as f64;
    let batch = t.batch.rows(stage.task.train + stage.task.test) as f64;
    6.0 * each * (batch * t.steps as f64 + given * often(t.eval_every, t.steps))
}

/// How often something is done that is due every so many of these steps, and at the end.
fn often(every: u64, steps: u64) -> f64 {
    1.0 + steps.checked_div(every).unwrap_or(0) as f64
}

/// About the seconds that a run takes in this pool of threads: of each stage a few updates, an
/// evaluation and what else it measures are timed now. Writing files is not among them.
///
/// # Errors
/// If the run cannot begin.
pub fn seconds(config: &Config) -> Result<f64> {
    config.validate()?;
    match config.dtype {
        DtypeKind::F32 => of_all::<f32>(config),
        DtypeKind::F64 => of_all::<f64>(config),
    }
}

fn of_all<T: Element>(config: &Config) -> Result<f64> {
    let stages = 0..config.stages.len();
    let data = stages.clone().map(|i| data(config, i)).collect::<Result<Vec<Split>>>()?;
    fits::<T>(config, &data)?;
    let mut weights = initial_weights(config)?;
    let mut sum = 0.0;
    for i in stages {
        start::begin(config, i, &data[i].train, &mut weights)?;
        sum += of_stage::<T>(config, i, &data[i], &weights)?;
    }
    Ok(sum)
}

fn of_stage<T: Element>(
    config: &Config,
    index: usize,
    data: &Split,
    weights: &[Vec<T>],
) -> Result<f64> {
    let t = &config.stages[index].train;
    let mut work = Work::new(config, index, data, weights, None, None);
    let updates = |work: &mut Work<'_, T>, n: u64| {
        let start = Instant::now();
        for step in 0..n {
            work.gradient()?;
            work.update(step);
        }
        Ok::<f64, Error>(start.elapsed().as_secs_f64())
    };
    updates(&mut work, 1)?;
    let mut sum = updates(&mut work, TIMED)? / TIMED as f64 * t.steps as f64;
    let start = Instant::now();
    work.evaluate(0, index);
    sum += start.elapsed().as_secs_f64() * often(t.eval_every, t.steps);
    let start = Instant::now();
    if !t.measure.is_empty() {
        work.measure(config.seed, 0);
        sum += start.elapsed().as_secs_f64() * often(t.measure_every, t.steps);
    }
    let start = Instant::now();
    if let Some(mut watch) = work.watch.take() {
        History::default().log(&mut watch, &work.values(), 0, index);
        sum += start.elapsed().as_secs_f64() * often(t.circuit_every, t.steps);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, "c.toml", &[]).expect(text)
    }

    /// Ten million times the steps take ten thousand times as long, however noisy the clock is.
    #[test]
    fn long_runs_are_timed_and_short_ones_are_not() {
        let text = "task.p = 3\ntask.train = 64\ntask.test = 32\nmodel.d_model = 8\n\
                    model.d_mlp = 8\ntrain.circuit_every = 50\n";
        let short = config(&format!("{text}train.steps = 100"));
        let long = config(&format!("{text}train.steps = 1000000000"));
        assert!(is_short(&short, 1) && is_short(&short, 5) && !is_short(&short, 6));
        assert!(!is_short(&long, 1));
        let (short, long) = (seconds(&short).expect("runs"), seconds(&long).expect("runs"));
        assert!(0.0 < short && 1e4 * short < long, "{short} {long}");
        let bounded = text.replace("train.circuit_every = 50\n", "");
        assert!(is_short(&config(&format!("{bounded}train.steps = 10000")), 10));
        assert!(!is_short(&config(&format!("{bounded}train.steps = 1000000000")), 10));
    }
}
