//! Ensembles: the mean of several files of scores, so that what one method misses another may see.
//!
//! Scores of different methods have different sizes, so those of each file are first divided by the
//! sum of their absolute values: every method has the same say (arXiv 2510.06811).

use crate::error::{Error, Result};
use crate::formats::{Convention, EdgeFile, Entry, Meta, Origin};
use crate::named::Named;
use serde_json::Map;
use std::collections::HashMap;

/// The mean of scores in the convention [`Convention::Ours`], in the order of the first file's
/// edges; an edge that one of them has no score of has none.
///
/// # Errors
/// If they are of different models or edges, or one has no score that is not zero.
///
/// # Panics
/// If there are no files.
pub fn mean(files: &[EdgeFile]) -> Result<EdgeFile> {
    let (first, others) = files.split_first().expect("files");
    let mut meta = Meta {
        method: Some("ensemble".into()),
        convention: Some(Convention::Ours.name().into()),
        ..Meta::default()
    };
    for file in others {
        let models = (first.origin().model, file.origin().model);
        if matches!(&models, (Some(one), Some(other)) if one != other) {
            return fail(file, &format!("is of another model than {}", first.place()));
        }
        if first.tokens() != file.tokens() {
            return fail(file, &format!("has other positions than {}", first.place()));
        }
    }
    let lists: Vec<HashMap<&str, Option<f64>>> = files.iter().map(shares).collect::<Result<_>>()?;
    let mut edges = vec![];
    for (name, _) in &first.edges {
        let mut sum = Some(0.0);
        for (list, file) in lists.iter().zip(files) {
            let Some(share) = list.get(name.as_str()) else {
                return fail(file, &format!("lacks the edge `{name:.60}` of {}", first.place()));
            };
            sum = sum.zip(*share).map(|(sum, share)| sum + share);
        }
        let score = sum.map(|sum| sum / files.len() as f64);
        edges.push((name.clone(), Entry { score, in_graph: false, rest: Map::new() }));
    }
    if let Some(file) = files.iter().find(|file| file.edges.len() != first.edges.len()) {
        return fail(file, &format!("has edges that {} has not", first.place()));
    }
    let tokens = first.tokens();
    if !tokens.is_empty() {
        meta.tokens = Some(tokens.into_iter().map(String::from).collect());
    }
    let mut found = EdgeFile::new(first.cfg.clone(), vec![], edges, &meta);
    found.nodes = first.nodes.iter().map(|(name, _)| (name.clone(), Entry::default())).collect();
    common(files).put(&mut found.meta);
    let methods: Vec<&str> = files.iter().filter_map(|file| file.meta_text("method")).collect();
    found.meta.insert("of".into(), methods.into());
    Ok(found)
}

fn fail<T>(file: &EdgeFile, message: &str) -> Result<T> {
    Err(Error::input(file.place(), message, "give scores of one model, divided alike"))
}

/// Each edge's part in the sum of all `|score|`.
fn shares(file: &EdgeFile) -> Result<HashMap<&str, Option<f64>>> {
    let scores = file.edges.iter().filter_map(|(_, entry)| entry.score);
    let all: f64 = scores.map(f64::abs).sum();
    if all.is_finite() && all > 0.0 {
        let share = |entry: &Entry| entry.score.map(|score| score / all);
        return Ok(file.edges.iter().map(|(name, entry)| (&**name, share(entry))).collect());
    }
    fail(file, "has no scores that could be shares of their sum")
}

/// What all files say of their origin, and say alike.
fn common(files: &[EdgeFile]) -> Origin {
    let mut same = files[0].origin();
    for file in files {
        let Origin { model, pairs, metric, baseline } = file.origin();
        let keep = |ours: &mut Option<String>, theirs: Option<String>| {
            if *ours != theirs {
                *ours = None;
            }
        };
        keep(&mut same.model, model);
        keep(&mut same.pairs, pairs);
        keep(&mut same.metric, metric);
        keep(&mut same.baseline, baseline);
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(place: &str, scores: &str, model: &str) -> EdgeFile {
        let text = format!(
            r#"{{"cfg": {{}}, "nodes": {{}}, "edges": {scores}, "meta": {{"model": "{model}", "metric": "kl", "method": "{place}"}}}}"#
        );
        EdgeFile::parse(place, text.as_bytes()).expect("a file")
    }

    fn edge(name: &str, score: &str) -> String {
        format!(r#""{name}": {{"score": {score}, "in_graph": true}}"#)
    }

    #[test]
    fn each_file_has_the_same_say() {
        let one = format!("{{{}, {}}}", edge("input->m0", "3.0"), edge("m0->logits", "-1.0"));
        let two = format!("{{{}, {}}}", edge("m0->logits", "-10.0"), edge("input->m0", "30.0"));
        let files = [file("a", &one, "x"), file("b", &two, "x")];
        let found = mean(&files).expect("a mean");
        let scores: Vec<Option<f64>> = found.edges.iter().map(|(_, e)| e.score).collect();
        assert_eq!(scores, [Some(0.75), Some(-0.25)]);
        assert_eq!(
            (found.meta_text("method"), found.meta_text("metric")),
            (Some("ensemble"), Some("kl"))
        );
        assert_eq!(found.meta["of"], serde_json::json!(["a", "b"]));
        assert!(!found.has_circuit());

        let less = format!("{{{}}}", edge("input->m0", "1.0"));
        let none = format!("{{{}, {}}}", edge("input->m0", "0.0"), edge("m0->logits", "0"));
        for (other, message) in [
            (file("b", &two, "y"), "b: is of another model than a"),
            (file("b", &less, "x"), "b: lacks the edge `m0->logits` of a"),
            (file("b", &none, "x"), "b: has no scores"),
        ] {
            let e = mean(&[files[0].clone(), other]).expect_err(message);
            assert!(e.to_string().starts_with(message) && e.exit_code() == 2, "{e}");
        }
        let more = mean(&[file("b", &less, "x"), files[0].clone()]).expect_err("more edges");
        assert!(more.to_string().starts_with("a: has edges that b has not"), "{more}");
    }
}
