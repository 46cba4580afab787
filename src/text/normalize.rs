//! Rewriting text before it is cut.

use crate::error::Result;
use fancy_regex::Regex;
use unicode_normalization::UnicodeNormalization;

/// One step of rewriting.
#[derive(Clone, Debug)]
pub(super) enum Normalizer {
    /// Composed characters.
    Nfc,
    /// Decomposed characters.
    Nfd,
    /// Composed characters, compatible ones made equal.
    Nfkc,
    /// Decomposed characters, compatible ones made equal.
    Nfkd,
    /// Lower case.
    Lowercase,
    /// Without white space at its start, at its end.
    Strip { left: bool, right: bool },
    /// With something in front, unless it is empty.
    Prepend(String),
    /// Something for every match.
    Replace { regex: Box<Regex>, with: String },
}

impl Normalizer {
    /// `text` after this step.
    pub(super) fn apply(&self, text: &str) -> Result<String> {
        Ok(match self {
            Normalizer::Nfc => text.nfc().collect(),
            Normalizer::Nfd => text.nfd().collect(),
            Normalizer::Nfkc => text.nfkc().collect(),
            Normalizer::Nfkd => text.nfkd().collect(),
            Normalizer::Lowercase => text.chars().flat_map(char::to_lowercase).collect(),
            Normalizer::Strip { left, right } => {
                let text = if *left { text.trim_start() } else { text };
                (if *right { text.trim_end() } else { text }).into()
            }
            Normalizer::Prepend(_) if text.is_empty() => String::new(),
            Normalizer::Prepend(front) => format!("{front}{text}"),
            Normalizer::Replace { regex, with } => {
                let mut out = String::new();
                let mut end = 0;
                for found in regex.find_iter(text) {
                    let found = found.map_err(super::split::gives_up)?;
                    out.push_str(&text[end..found.start()]);
                    out.push_str(with);
                    end = found.end();
                }
                out + &text[end..]
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::split::regex;

    #[test]
    fn text_is_rewritten() {
        let of = |step: Normalizer, text: &str| step.apply(text).unwrap();
        assert_eq!(of(Normalizer::Nfc, "e\u{301}"), "\u{e9}");
        assert_eq!(of(Normalizer::Nfd, "\u{e9}"), "e\u{301}");
        assert_eq!(of(Normalizer::Nfkc, "\u{fb01}"), "fi");
        assert_eq!(of(Normalizer::Lowercase, "\u{c9}A"), "\u{e9}a");
        assert_eq!(of(Normalizer::Strip { left: false, right: true }, " a "), " a");
        assert_eq!(of(Normalizer::Prepend("_".into()), ""), "");
        assert_eq!(of(Normalizer::Prepend("_".into()), "a"), "_a");
        let replace = |with: &str| Normalizer::Replace {
            regex: regex("t", "a+").unwrap(),
            with: with.into(),
        };
        // No group of the pattern is meant by `$0`.
        assert_eq!(of(replace("$0"), "aab a"), "$0b $0");
    }
}
