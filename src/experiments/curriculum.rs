//! Modular addition learned from scratch, and by a curriculum of smaller moduli ("Easing
//! Optimization Paths", arXiv 2501.02362).

use super::Job;
use super::train::Existing;
use super::train::config::{Batch, Config, ModelConfig, Stage, TaskConfig, TrainConfig};
use crate::error::{Error, Result};
use crate::formats::circuit_summary::{CircuitSummary, Overlap, StageSummary};
use crate::stats::median;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Two arms with the same seeds, rows and number of steps: `scratch` learns the last modulus at
/// once, `curriculum` all of them in turn.
#[derive(Clone, Debug)]
pub struct Curriculum {
    /// The moduli, the goal last.
    pub moduli: Vec<usize>,
    /// Steps of each stage; `scratch` takes their sum.
    pub steps: Vec<u64>,
    /// Rows in the train set.
    pub rows: usize,
    /// Seeds in each arm.
    pub seeds: u64,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of the MLP's hidden layer.
    pub d_mlp: usize,
}

impl Curriculum {
    /// 1024 rows, 12 seeds, 2000 steps a stage, d = 32, F = 128.
    pub fn new(moduli: &[usize]) -> Curriculum {
        Curriculum {
            moduli: moduli.to_vec(),
            steps: vec![2000; moduli.len()],
            rows: 1024,
            seeds: 12,
            d_model: 32,
            d_mlp: 128,
        }
    }

    /// The size of the paper: 2048 rows, 20 seeds, 2500 steps of the first modulus and 3000 of each
    /// other.
    pub fn paper(moduli: &[usize]) -> Curriculum {
        let usual = Curriculum::new(moduli);
        Curriculum { steps: steps(moduli, 2500, 3000), rows: 2048, seeds: 20, ..usual }
    }

    /// The smallest model that shows the effect: d = 16, F = 64, 2048 rows, 2500 + 1500 steps.
    pub fn small(moduli: &[usize]) -> Curriculum {
        let usual = Curriculum::new(moduli);
        Curriculum { steps: steps(moduli, 2500, 1500), rows: 2048, d_model: 16, d_mlp: 64, ..usual }
    }

    /// The runs, arm after arm, in `out/ARM/seed-NN`. Removes an earlier comparison there, unless
    /// the runs are to go on.
    ///
    /// # Errors
    /// If there is not a number of steps for each modulus, a configuration is not valid, or `out`
    /// holds something that is no run.
    pub fn jobs(&self, out: &Path, existing: Existing) -> Result<Vec<Job>> {
        if self.steps.len() != self.moduli.len() {
            let (steps, moduli) = (self.steps.len(), self.moduli.len());
            let message = format!("{steps} numbers for {moduli} moduli");
            return Err(Error::input("--steps", message, "give one number of steps for each --p"));
        }
        let mut jobs = vec![];
        for (arm, stages) in self.arms() {
            for seed in 0..self.seeds {
                let config = Config { seed, stages: stages.clone(), ..Default::default() };
                config.validate()?;
                let folder = out.join(arm).join(format!("seed-{seed:02}"));
                jobs.push(Job { config, folder });
            }
            if existing != Existing::Resume {
                clear(&out.join(arm))?;
            }
        }
        Ok(jobs)
    }

    /// The stages of both arms.
    fn arms(&self) -> [(&'static str, Vec<Stage>); 2] {
        let goal = self.moduli.last().copied().unwrap_or(4);
        let stages = self.moduli.iter().zip(&self.steps);
        let curriculum = stages.map(|(&p, &steps)| self.stage(p, steps)).collect();
        let scratch = vec![self.stage(goal, self.steps.iter().sum())];
        [("scratch", scratch), ("curriculum", curriculum)]
    }

    fn stage(&self, p: usize, steps: u64) -> Stage {
        let vocab = self.moduli.iter().copied().max().unwrap_or(2);
        let (d_model, d_mlp) = (self.d_model, self.d_mlp);
        Stage {
            name: format!("p={p}"),
            task: TaskConfig { p, train: self.rows, test: 2048, ..Default::default() },
            model: ModelConfig { vocab, d_model, d_mlp, ..Default::default() },
            train: TrainConfig {
                lr: 1e-2,
                batch: Batch::Full,
                steps,
                snapshot_every: 100,
                circuit_every: 100,
                circuit_probe: Batch::Full.default_probe(),
                ..Default::default()
            },
        }
    }

    /// A line that says what is trained.
    pub fn describe(&self) -> String {
        let Stage { task, train, .. } = self.stage(2, 1);
        format!(
            "d = {}, F = {}, L = {}, k = {}, n = {}, full batch, learning rate {}",
            self.d_model, self.d_mlp, task.seq_len, task.k, self.rows, train.lr
        )
    }

    /// A table of the circuits in which the finished runs in `out` end: medians and ranges over the
    /// seeds of the first modulus, of the goal after it and of the goal from scratch. What a
    /// circuit keeps of the first is compared with chance, as a larger circuit keeps more of
    /// anything; runs that have `solved` the goal, asked by their folders, are told from the
    /// others. Empty if no seed has all three.
    pub fn circuits(&self, out: &Path, solved: &dyn Fn(&Path) -> bool) -> String {
        let folder = |arm: &str, seed: u64| out.join(arm).join(format!("seed-{seed:02}"));
        let ends = |seed: u64| {
            let folders = ["curriculum", "scratch"].map(|arm| folder(arm, seed));
            let [curriculum, scratch] = folders.each_ref().map(|f| CircuitSummary::read(f).ok());
            let (curriculum, scratch) = (curriculum?, scratch?);
            let [first, .., last] = &curriculum.stages[..] else { return None };
            let stages = [first.clone(), last.clone(), scratch.stages.last()?.clone()];
            Some(Ends { stages, solved: folders.map(|folder| solved(&folder)) })
        };
        let runs: Vec<Ends> = (0..self.seeds).filter_map(ends).collect();
        let ([p, .., goal], [first, ..]) = (&self.moduli[..], &runs[..]) else {
            return String::new();
        };
        let mut table = String::new();
        let mut line = |name: &str, cells: [String; 3]| {
            let [a, b, c] = cells;
            writeln!(table, "{name:<33}  {a:>18}  {b:>18}  {c:>18}").expect("a String");
        };
        let titles = [format!("p = {p}"), format!(".. then p = {goal}"), "from scratch".into()];
        line("circuits, 95 % faithful", titles);
        let mut row = |name: &str, digits, value: &dyn Fn(&StageSummary) -> Option<f64>| {
            let all = |i: usize| runs.iter().filter_map(|run| value(&run.stages[i])).collect();
            line(name, [0, 1, 2].map(|i| spread(all(i), digits)));
        };
        let size = |s: &StageSummary| s.circuit.as_ref().map(|c| c.len() as f64);
        row(&format!("edges, of {}", first.stages[0].scores.len()), 0, &size);
        row("nodes", 0, &|s| s.nodes.map(|n| n as f64));
        row("scores: share at useful positions", 2, &|s| Some(s.useful / (s.useful + s.spurious)));
        let mut row = |name: &str, which: Option<bool>, value: &dyn Fn(Overlap) -> Option<f64>| {
            let all = |i: usize| {
                let some = runs.iter().filter(|run| which.is_none_or(|w| run.solved[i - 1] == w));
                some.filter_map(|r| value(r.stages[0].overlap(&r.stages[i]))).collect()
            };
            line(name, ["-".into(), spread(all(1), 2), spread(all(2), 2)]);
        };
        let times_chance = |o: Overlap| Some(o.kept? / o.chance.filter(|c| *c > 0.0)?);
        row(&format!("keeps of the edges of p = {p}"), None, &|o| o.kept);
        row("the same, over its chance", None, &times_chance);
        row(&format!("  where p = {goal} is solved"), Some(true), &times_chance);
        row("  where it is not", Some(false), &times_chance);
        row("Jaccard overlap with these", None, &|o| o.jaccard);
        row("rank correlation of scores", None, &|o| o.rank_correlation);
        table + &format!("medians (and ranges) of {} seeds\n\n", runs.len())
    }
}

/// How a seed ended: the first modulus, the goal after it and the goal from scratch; and whether
/// the runs of both arms have solved the goal.
struct Ends {
    stages: [StageSummary; 3],
    solved: [bool; 2],
}

/// `first` steps of the first modulus, `others` of each other.
fn steps(moduli: &[usize], first: u64, others: u64) -> Vec<u64> {
    (0..moduli.len()).map(|i| if i == 0 { first } else { others }).collect()
}

/// `median (smallest to largest)`.
fn spread(list: Vec<f64>, digits: usize) -> String {
    let Some(median) = median(&list) else { return "-".into() };
    let least = list.iter().copied().fold(f64::INFINITY, f64::min);
    let most = list.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

/// Removes an earlier arm, if the folder is one: it holds nothing but runs.
fn clear(arm: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(arm) else { return Ok(()) };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with("seed-") {
            let help = "choose another --out";
            return Err(Error::input(entry.path().display(), "is not a run of a comparison", help));
        }
    }
    fs::remove_dir_all(arm).map_err(|e| Error::io(arm, &e, "replace"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_take_the_same_steps_of_the_same_rows() {
        let folder = tempfile::tempdir().expect("a folder");
        let comparison = Curriculum { seeds: 2, ..Curriculum::paper(&[2, 3, 4]) };
        let jobs = comparison.jobs(folder.path(), Existing::Refuse).expect("valid");
        assert_eq!(jobs.iter().map(Job::steps).collect::<Vec<_>>(), [8500; 4]);
        assert_eq!(jobs.iter().map(|job| job.config.seed).collect::<Vec<_>>(), [0, 1, 0, 1]);
        let stages = |job: &Job| job.config.stages.iter().map(|s| s.task.p).collect::<Vec<_>>();
        assert_eq!((stages(&jobs[0]), stages(&jobs[2])), (vec![4], vec![2, 3, 4]));
        assert_eq!(comparison.circuits(folder.path(), &|_| true), "", "no run has ended");
    }

    /// Only what is a run is removed.
    #[test]
    fn earlier_arms_are_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let comparison = Curriculum::small(&[2, 4]);
        fs::create_dir_all(folder.path().join("scratch/seed-00")).expect("a folder");
        comparison.jobs(folder.path(), Existing::Resume).expect("an earlier comparison");
        assert!(folder.path().join("scratch/seed-00").exists(), "it goes on");
        comparison.jobs(folder.path(), Existing::Refuse).expect("an earlier comparison");
        assert!(!folder.path().join("scratch").exists());
        fs::create_dir_all(folder.path().join("curriculum/thesis")).expect("a folder");
        let e = comparison.jobs(folder.path(), Existing::Refuse).expect_err("not a run");
        assert_eq!(e.help(), "choose another --out");
        let odd = Curriculum { steps: vec![1], ..comparison };
        assert!(
            odd.jobs(folder.path(), Existing::Refuse).is_err(),
            "one number of steps for two moduli"
        );
    }

    #[test]
    fn spreads_are_medians_and_ranges() {
        assert_eq!(spread(vec![], 1), "-");
        assert_eq!(spread(vec![4.0, 1.0, 2.0, 3.0], 1), "2.5 (1.0 to 4.0)");
    }
}
