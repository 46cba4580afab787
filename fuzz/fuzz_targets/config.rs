//! Any text, as a configuration and as a `--set`: refused on one line, or valid and stable.
#![no_main]

use edgegrad::experiments::train::config::Config;
use libfuzzer_sys::fuzz_target;

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
            Err(e) => assert!(!e.to_string().contains('\n') && !e.help().is_empty()),
        }
    }
});
