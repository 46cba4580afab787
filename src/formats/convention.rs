//! The sign of the scores in a file of edges: read from its `meta`, told by the caller, or assumed.

use super::EdgeFile;
use crate::error::{Error, Result};
use crate::named::{Named, named};

named! {
    /// The sign of scores, and the nodes that the stream starts with.
    Convention {
        /// Positive if ablating the edge lowers the metric; `input` is the whole start of the
        /// stream.
        #[default]
        Ours = "ours",
        /// Positive if it raises the metric; `input` is the token embedding alone.
        EapIg = "eap-ig",
    }
}

impl Convention {
    /// Converts a score of this convention to ours, or one of ours to this convention.
    pub fn and_ours(self, score: f64) -> f64 {
        match self {
            Convention::Ours => score,
            Convention::EapIg => -score,
        }
    }

    /// What a positive score says.
    fn meaning(self) -> &'static str {
        match self {
            Convention::Ours => "positive where the metric falls without the edge",
            Convention::EapIg => "positive where the metric rises without the edge",
        }
    }
}

impl EdgeFile {
    /// The convention that `meta` names.
    ///
    /// # Errors
    /// When it names one that is unknown.
    pub fn named_convention(&self) -> Result<Option<Convention>> {
        let Some(name) = self.meta_text("convention") else { return Ok(None) };
        let found = Convention::from_name(name).ok_or_else(|| {
            let place = format!("{}: meta.convention", self.place());
            Error::input(place, format!("`{name:.40}` is unknown"), "write `ours` or `eap-ig`")
        })?;
        Ok(Some(found))
    }

    /// The convention of its scores: the one that it names, else the one that is `told`. Else it is
    /// assumed, with a warning: EAP-IG's, whose files have no `meta`, or ours in a file with one.
    ///
    /// # Errors
    /// As [`named_convention`](Self::named_convention).
    pub fn convention(&self, told: Option<Convention>) -> Result<Convention> {
        if let Some(known) = self.named_convention()?.or(told) {
            return Ok(known);
        }
        let assumed = if self.meta.is_empty() { Convention::EapIg } else { Convention::Ours };
        if self.edges.iter().any(|(_, edge)| edge.score.is_some()) {
            tracing::warn!(
                "{}: names no convention: its scores are taken as `{}`, {}",
                self.place(),
                assumed.name(),
                assumed.meaning()
            );
        }
        Ok(assumed)
    }

    /// The same in [our convention](Convention::Ours): scores and completeness of
    /// [the other](Self::convention) are turned.
    ///
    /// # Errors
    /// As [`named_convention`](Self::named_convention).
    pub fn ours(mut self, told: Option<Convention>) -> Result<EdgeFile> {
        if self.convention(told)? == Convention::EapIg {
            for (_, edge) in &mut self.edges {
                edge.score = edge.score.map(|score| -score);
            }
            let completeness = self.meta.get_mut("completeness").and_then(|c| c.as_object_mut());
            for value in completeness.into_iter().flat_map(|c| c.values_mut()) {
                if let Some(number) = value.as_f64() {
                    *value = (-number).into();
                }
            }
        }
        self.meta.insert("convention".into(), Convention::Ours.name().into());
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(meta: &str) -> EdgeFile {
        let text = format!(r#"{{"edges": {{"input->m0": {{"score": 2}}}}{meta}}}"#);
        EdgeFile::parse("f.json", text.as_bytes()).expect("a file")
    }

    #[test]
    fn a_convention_is_named_told_or_assumed() {
        use Convention::{EapIg, Ours};
        let named = r#", "meta": {"convention": "eap-ig"}"#;
        for (meta, told, want) in [
            (named, None, EapIg),
            (named, Some(Ours), EapIg),
            ("", Some(Ours), Ours),
            ("", None, EapIg),
            (r#", "meta": {"method": "eap"}"#, None, Ours),
        ] {
            assert_eq!(file(meta).convention(told), Ok(want), "{meta} {told:?}");
            let score = file(meta).ours(told).expect("known").edges[0].1.score;
            assert_eq!(score, Some(want.and_ours(2.0)), "{meta} {told:?}");
        }
        let error = file(r#", "meta": {"convention": "his"}"#).convention(None).unwrap_err();
        assert!(error.to_string().contains("f.json: meta.convention: `his` is unknown"), "{error}");
    }

    #[test]
    fn completeness_is_turned_with_the_scores() {
        let meta = r#", "meta": {"convention": "eap-ig",
            "completeness": {"sum": -1.5, "delta": -1, "residual": -0.5}}"#;
        let ours = file(meta).ours(None).expect("known");
        assert_eq!(ours.meta["completeness"]["sum"], 1.5);
        assert_eq!(ours.meta["completeness"]["residual"], 0.5);
        assert_eq!(ours.clone().ours(None), Ok(ours), "turned once");
    }
}
