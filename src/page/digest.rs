//! SHA-256 for the page's content policy and for the checksums of vendored files.

use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};

/// `'sha256-...'`, as a content security policy names an inline script or style.
pub(super) fn policy_source(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_names_the_digest_of_the_standard() {
        // FIPS 180-4's "abc", ba7816bf...15ad, in base64.
        assert_eq!(policy_source("abc"), "'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='");
    }

    #[test]
    fn vendored_files_are_unchanged() {
        let sums = include_str!("assets/vendor/SHA256SUMS");
        macro_rules! files {
            ($($name:literal),+ $(,)?) => {
                [$(($name, include_str!(concat!("assets/vendor/", $name)))),+]
            };
        }
        let files = files![
            "d3-array.min.js",
            "d3-color.min.js",
            "d3-contour.min.js",
            "d3-format.min.js",
            "d3-interpolate.min.js",
            "d3-path.min.js",
            "d3-scale.min.js",
            "d3-shape.min.js",
            "d3-time.min.js",
            "d3-time-format.min.js",
            "d3.LICENSE",
            "uPlot.LICENSE",
            "uPlot.iife.min.js",
            "uPlot.min.css",
        ];
        assert_eq!(sums.lines().count(), files.len());
        for (name, text) in files {
            let digest = Sha256::digest(text);
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(sums.lines().any(|line| line == format!("{hex}  {name}")), "{name}");
        }
    }
}
