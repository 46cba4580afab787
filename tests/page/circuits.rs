//! The circuit explorer, against the numbers that the run logged.

use crate::browser::{Browser, Tab, file_url};
use crate::experiment;
use crate::experiment::{lines, root};
use serde_json::{Value, json};

const READY: &str = "document.documentElement.dataset.ready === '1'";
const SEEN: &str = "window.edgegradCircuit()";
const SLIDER: &str = "#circuit-shown";

/// Names of the edges of a run's circuits.
fn names(run: &str) -> Vec<String> {
    let text = std::fs::read(root().join(run).join("circuits/summary.json")).expect("a summary");
    let summary: Value = serde_json::from_slice(&text).expect("JSON");
    serde_json::from_value(summary["edges"].clone()).expect("names")
}

fn scores(line: &Value) -> Vec<f64> {
    serde_json::from_value(line["scores"].clone()).expect("scores")
}

/// Edges by falling |score|, the earlier one first where two are the same.
fn order(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].abs().total_cmp(&scores[a].abs()));
    order
}

/// Chooses the circuits of an arm through training, and a seed.
fn choose<'a>(browser: &'a mut Browser, page: &str, hash: &str) -> Tab<'a> {
    let url = file_url(&experiment::page(root(), page));
    let mut tab = browser.open(&format!("{url}#{hash}"));
    tab.until(READY, "the drawn page");
    tab
}

fn texts(value: &Value) -> Vec<&str> {
    let list = value.as_array().unwrap_or_else(|| panic!("no list: {value}"));
    list.iter().map(|x| x.as_str().expect("a text")).collect()
}

/// The shown names are the first `n` of the log's, but for scores that 16 bits cannot tell apart.
#[track_caller]
fn the_first(shown: &Value, scores: &[f64], names: &[String]) {
    let shown = texts(shown);
    let order = order(scores);
    let n = shown.len();
    assert!(n > 0 && n <= order.len(), "{n} edges");
    let place = |name: &&str| names.iter().position(|known| known == name).expect("a known edge");
    let largest = scores[order[0]].abs();
    let limit = scores[order[n - 1]].abs() - 4e-5 * largest;
    let mut seen: Vec<usize> = shown.iter().map(place).collect();
    assert!(seen.iter().all(|&e| scores[e].abs() >= limit), "{shown:?}");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), n, "an edge is shown twice: {shown:?}");
}

#[test]
fn every_logged_circuit_is_shown_as_it_was_logged() {
    let Some(mut browser) = Browser::start() else { return };
    let mut tab = choose(&mut browser, "circuits", "key=seed+0");
    let mut judged = 0;
    for (a, arm) in ["scratch", "curriculum"].into_iter().enumerate() {
        let run = format!("{arm}/seed-00");
        let (names, lines) = (names(&run), lines(&run, "circuit"));
        for (i, line) in lines.iter().enumerate() {
            // At a switch of stages there are two lines; the page shows the second.
            if lines.get(i + 1).is_some_and(|next| next["step"] == line["step"]) {
                continue;
            }
            let step = &line["step"];
            tab.evaluate(&format!(
                "location.hash = 'key=seed+0&circuit=run{a}&step={step}&other=none'"
            ));
            tab.until(&format!("{SEEN}.step === {step} && {SEEN}.id === 'run{a}'"), "the circuit");
            let seen = tab.evaluate(SEEN);
            let Some(n) = line["edges"].as_u64() else { continue };
            assert_eq!(seen["n"], n, "{arm}, step {step}");
            the_first(&seen["shown"], &scores(line), &names);
            // The page runs the model itself to know what a circuit is worth.
            let curve = seen["faithfulness"].as_array().expect("a curve");
            let own = curve.iter().find(|point| point[0] == n).expect("its own size");
            let (own, logged) = (own[1].as_f64(), line["faithfulness"].as_f64());
            let (own, logged) = own.zip(logged).expect("numbers");
            assert!((own - logged).abs() < 0.02, "{arm}, step {step}: {own} and {logged}");
            judged += 1;
        }
    }
    assert!(judged >= 10, "only {judged} circuits");
    tab.clean();
    tab.place_of("#h-circuits");
    tab.screenshot("circuit", false);
}

#[test]
fn the_threshold_is_moved_by_keys_and_the_curve_stands_beside_it() {
    let Some(mut browser) = Browser::start() else { return };
    // Not at a switch of stages, where two circuits share a step, and with room for one edge more.
    let line = lines("curriculum/seed-00", "circuit")
        .into_iter()
        .find(|line| {
            let edges = line["edges"].as_u64().unwrap_or(u64::MAX);
            edges < scores(line).len() as u64 && line["step"] != 200
        })
        .expect("a circuit of some edges");
    let chosen = format!("key=seed+0&circuit=run1&step={}", line["step"]);
    let mut tab = choose(&mut browser, "threshold", &chosen);
    tab.focus(SLIDER);
    let before = tab.number(&format!("{SEEN}.n"));
    tab.press("ArrowRight");
    tab.until(&format!("{SEEN}.n > {before}"), "one edge more");
    tab.press("Home");
    tab.until(&format!("{SEEN}.n === 1"), "one edge");
    for n in 2..=5 {
        tab.press("ArrowRight");
        tab.until(&format!("{SEEN}.n === {n}"), "one edge more");
        let seen = tab.evaluate(SEEN);
        assert_eq!(texts(&seen["shown"]).len(), n);
        the_first(&seen["shown"], &scores(&line), &names("curriculum/seed-00"));
        tab.until(
            &format!("document.querySelectorAll('.circuit-picture .circuit-edges path:not(.lost)').length <= {n}"),
            "the drawing",
        );
    }
    tab.press("End");
    let all = names("curriculum/seed-00").len();
    tab.until(&format!("{SEEN}.n === {all}"), "all edges");
    // Everything is worth what the model is worth.
    let curve = tab.evaluate(&format!("{SEEN}.faithfulness"));
    let last = curve.as_array().and_then(|curve| curve.last()).expect("a curve");
    assert_eq!(last[0], all);
    assert!((last[1].as_f64().expect("a number") - 1.0).abs() < 1e-3, "{last}");
    tab.until("/(^#|&)shown=/.test(location.hash)", "the hash");
    tab.clean();
}

#[test]
fn an_edge_is_chosen_by_mouse_and_by_keys() {
    let Some(mut browser) = Browser::start() else { return };
    let mut tab =
        choose(&mut browser, "edge", "key=seed+0&circuit=run1&step=200&shown=6&other=none");
    let edges = ".circuit-picture .circuit-edges path";
    // A line may lie below another where it is clicked: whichever is hit is one that is shown.
    tab.click(edges);
    tab.until(&format!("{SEEN}.focus !== null"), "a chosen edge");
    let seen = tab.evaluate(SEEN);
    assert!(texts(&seen["shown"]).contains(&seen["focus"].as_str().expect("a name")), "{seen}");
    tab.until("/(^#|&)edge=/.test(location.hash)", "the hash");
    tab.clean();
    tab.screenshot("edge", false);

    // Tab gets to one of them, arrow keys to the next, Enter chooses.
    tab.evaluate(
        "document.querySelector('.circuit-picture .circuit-edges path[tabindex=\"0\"]').focus()",
    );
    tab.press("End");
    let name = tab.text("document.activeElement.dataset.edge");
    tab.press("Enter");
    tab.until(&format!("{SEEN}.focus === {}", json!(name)), "another edge");
    tab.clean();
}

#[test]
fn two_times_are_compared() {
    let Some(mut browser) = Browser::start() else { return };
    let hash = "key=seed+0&circuit=run1&step=400&other=stage";
    let mut tab = choose(&mut browser, "compared", hash);
    let lines = lines("curriculum/seed-00", "circuit");
    let diff = tab.evaluate(&format!("{SEEN}.diff"));
    let [gained, lost, kept] =
        ["gained", "lost", "kept"].map(|key| diff[key].as_u64().expect("a number"));
    let last = lines.last().expect("a line");
    let n = tab.number(&format!("{SEEN}.n")) as u64;
    assert_eq!(gained + kept, n, "{diff}");
    if let Some(edges) = last["edges"].as_u64() {
        assert_eq!(n, edges);
        // The end of the stage before.
        let before =
            lines.iter().rfind(|line| line["stage"] == 0).and_then(|l| l["edges"].as_u64());
        if let Some(before) = before {
            assert_eq!(lost + kept, before, "{diff}");
        }
    }
    tab.clean();
}
