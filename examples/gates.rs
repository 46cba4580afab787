//! Writes the models with weights set by hand, with their pairs and true circuits:
//!
//! ```text
//! cargo run --example gates -- tests/fixtures/gates
//! ```
//!
//! Folders that are there already have to be removed first.

use edgegrad::discovery::truth::gates::GateKind;
use edgegrad::named::Named;
use std::path::PathBuf;

fn main() {
    let into: PathBuf = std::env::args_os().nth(1).unwrap_or("gates".into()).into();
    let write = |(name, kind): &(&str, GateKind)| {
        std::fs::create_dir_all(&into).map_err(|e| e.to_string())?;
        kind.write(&into.join(name)).map_err(|e| format!("{e}\nhelp: {}", e.help()))
    };
    if let Err(e) = GateKind::ALL.iter().try_for_each(write) {
        eprintln!("error: {e}");
        std::process::exit(1);
    }
}
