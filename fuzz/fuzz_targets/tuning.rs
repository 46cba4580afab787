//! Any text, as settings, a grid, a study and a run's figures; any bytes, as adapters: refused on
//! one line, or valid.
#![no_main]

use edgegrad::error::Error;
use edgegrad::experiments::Given;
use edgegrad::experiments::tune::grid::Grid;
use edgegrad::experiments::tune::study::Study;
use edgegrad::experiments::tune::{Report, Settings};
use edgegrad::tuning::lora::Saved;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fn refused(e: &Error) {
    assert!(!e.to_string().contains('\n') && !e.help().is_empty(), "{e}");
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (file, change) = text.rsplit_once('\n').unwrap_or((&text, ""));
    let change = Given::set(change);
    match change.and_then(|change| Settings::with_changes("s.toml", file, vec![change])) {
        Ok(settings) => settings.check().expect("settings that were read are valid"),
        Err(e) => refused(&e),
    }
    match Grid::parse("g.toml", &text) {
        Ok(grid) => assert!(!grid.arms.is_empty() && grid.arms.iter().all(|a| !a.rates.is_empty())),
        Err(e) => refused(&e),
    }
    let grid = |_: &Path| Grid::parse("g.toml", "model = \"base\"\n[[methods]]\nname = \"all\"");
    match Study::parse("t.toml", &text, &grid) {
        Ok(study) => assert!(study.cost(None).bases <= 1000),
        Err(e) => refused(&e),
    }
    match Report::parse("r.json", bytes) {
        Ok(report) => assert!(!report.path.is_empty()),
        Err(e) => refused(&e),
    }
    let middle = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let numbers = bytes.get(middle + 1..).unwrap_or(&[]).to_vec();
    match Saved::<f32>::from_bytes(&bytes[..middle], numbers) {
        Ok(saved) => assert!(saved.adapters.list().iter().all(|a| a.rank > 0)),
        Err(e) => refused(&e),
    }
});
