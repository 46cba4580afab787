//! From two arms of runs to the table and the page, as the curriculum example does it.

use edgegrad::experiments::train::Existing;
use edgegrad::experiments::train::config::{
    Batch, Config, ModelConfig, Stage, TaskConfig, TrainConfig,
};
use edgegrad::experiments::{Job, run_all};
use edgegrad::{page, results};

fn stage(p: usize, steps: u64) -> Stage {
    Stage {
        name: format!("p={p}"),
        task: TaskConfig { p, seq_len: 6, k: 2, train: 64, test: 64, ..Default::default() },
        model: ModelConfig { vocab: 4, d_model: 8, d_mlp: 16, ..Default::default() },
        train: TrainConfig {
            lr: 1e-2,
            batch: Batch::Full,
            steps,
            eval_every: 10,
            snapshot_every: 20,
            ..Default::default()
        },
    }
}

#[test]
fn two_arms_become_a_table_and_a_page() {
    let root = tempfile::tempdir().expect("a folder");
    let mut jobs = vec![];
    for (arm, stages) in
        [("scratch", vec![stage(4, 60)]), ("curriculum", vec![stage(2, 30), stage(4, 30)])]
    {
        for seed in 0..2 {
            let config = Config { seed, stages: stages.clone(), ..Default::default() };
            jobs.push(Job {
                config,
                folder: root.path().join(arm).join(format!("seed-{seed:02}")),
            });
        }
    }
    for result in run_all(&jobs, Existing::Refuse, 2, &|_| ()) {
        let last = result.expect("it trains").last.expect("it was not finished before");
        assert_eq!(last.step, 60);
    }
    let arms = results::summary(root.path()).expect("readable");
    let seeds: Vec<(&str, usize)> = arms.iter().map(|a| (&a.arm[..], a.seeds)).collect();
    assert_eq!(seeds, [("scratch", 2), ("curriculum", 2)]);

    let page = root.path().join("report.html");
    page::write_page(&[root.path().into()], None, &page).expect("writable");
    let html = std::fs::read_to_string(&page).expect("it is there");
    for part in [
        "the sum of the first 2 of 6 tokens modulo 4; 64 training and 64 test sequences",
        "d = 8, 16 MLP neurons, 4 token embeddings",
        "every run folder is complete",
        "curriculum",
    ] {
        assert!(html.contains(part), "the page lacks {part:?}");
    }
}
