//! Any text, as a configuration and as a `--set`, as a sweep, its results and a condition: refused
//! on one line, or valid and stable.
#![no_main]

use edgegrad::error::Error;
use edgegrad::experiments::sweep::Plan;
use edgegrad::experiments::train::config::Config;
use edgegrad::formats::condition::Condition;
use edgegrad::formats::sweep_results::SweepResults;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fn refused(e: &Error) {
    assert!(!e.to_string().contains('\n') && !e.help().is_empty(), "{e}");
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    // The last line is put over the rest, as the command line would.
    let (file, set) = text.rsplit_once('\n').unwrap_or((&text, ""));
    for sets in [vec![], vec![set.to_string()]] {
        match Config::parse(file, "c.toml", &sets) {
            Ok(config) => {
                config.validate().expect("a configuration that was read is valid");
                let again = Config::parse(&config.to_toml(), "c.toml", &[]);
                assert_eq!(again, Ok(config));
            }
            Err(e) => refused(&e),
        }
    }
    match Plan::parse("s.toml", &text, &|_| Ok("task.p = 2\ntrain.steps = 1".into())) {
        Ok(plan) => {
            assert!(plan.combinations() > 0);
            if let Err(e) = plan.combination(0) {
                refused(&e);
            }
        }
        Err(e) => refused(&e),
    }
    match SweepResults::parse(Path::new("r.jsonl"), bytes) {
        Ok(results) => assert!(results.columns().len() >= 4),
        Err(e) => refused(&e),
    }
    match Condition::parse("skip", &text) {
        Ok(condition) => {
            let held = condition.holds(&|key| (key != "none").then(|| 1.into()), &Vec::new);
            held.map_or_else(|e| refused(&e), drop);
        }
        Err(e) => refused(&e),
    }
});
