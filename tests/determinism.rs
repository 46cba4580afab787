//! The same seed and configuration give the same bits, whatever the number of threads, and whether
//! a seed runs alone or beside others.

mod common;

use common::{Files, Place};
use std::path::Path;

/// Two stages, mini-batches that straddle passes, dropout, clipping, warm-up and a cosine.
const CONFIG: &str = "
    [task]
    p = 2
    seq_len = 6
    k = 3
    train = 100
    test = 20
    [model]
    d_model = 8
    d_mlp = 40
    dropout = 0.2
    [train]
    lr = 1e-2
    batch = 32
    clip = 0.5
    schedule = 'cosine'
    warmup = 5
    eval_every = 20
    checkpoint_every = 30
    [[stages]]
    steps = 50
    [[stages]]
    p = 3
    steps = 40
    optimizer_state = 'keep'
";

#[test]
fn thread_counts_do_not_matter() {
    let place = Place::new(CONFIG);
    for dtype in ["f32", "f64"] {
        let runs = [1, 2, 5].map(|threads| {
            let out = format!("{dtype}-{threads}");
            place.succeed(&format!("train c.toml --out {out} --dtype {dtype} --threads {threads}"));
            place.files(&out)
        });
        assert!(runs[0].contains_key(Path::new("checkpoints/final/model.safetensors")));
        // The schema, 90 steps, 4 and 3 evaluations, two stages that begin and an end.
        assert_eq!(place.metrics(&format!("{dtype}-1")).len(), 1 + 90 + 4 + 3 + 2 + 1);
        assert!(runs[0] == runs[1] && runs[0] == runs[2], "{dtype}");
    }
    // A product that is large enough to be split over threads, in full batches.
    let large = "--set batch='full' --set task.train=1000 --set d_model=64 --set d_mlp=256 \
                 --set stages.0.steps=3 --set stages.1.steps=3 --set warmup=1 --set test=0";
    for threads in [1, 3] {
        place.succeed(&format!("train c.toml --out large-{threads} --threads {threads} {large}"));
    }
    assert!(place.files("large-1") == place.files("large-3"));
}

#[test]
fn seeds_beside_each_other_are_the_seeds_alone() {
    let place = Place::new(CONFIG);
    place.succeed("train c.toml --out many --seed 3 --seeds 4 --threads 3");
    let many: Vec<Files> = (3..7).map(|s| place.files(&format!("many/seed-{s:02}"))).collect();
    for (i, files) in many.iter().enumerate() {
        let out = format!("alone-{i}");
        place.succeed(&format!("train c.toml --out {out} --seed {}", 3 + i));
        assert!(place.files(&out) == *files, "seed {}", 3 + i);
    }
    let model = Path::new("checkpoints/final/model.safetensors");
    for i in 1..many.len() {
        assert!(many[0][model] != many[i][model], "seeds 3 and {} are the same", 3 + i);
    }
}
