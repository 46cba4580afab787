//! The page as a whole and the training explorer.

use crate::browser::{Browser, file_url};
use crate::experiment;
use crate::experiment::binary;
use edgegrad::files::safetensors::Tensors;
use serde_json::{Value, json};
use std::fs;

const READY: &str = "document.documentElement.dataset.ready === '1'";
const STEP: &str = "document.querySelector('#time-label').textContent";

#[test]
fn opens_from_disk_without_a_word() {
    let Some(mut browser) = Browser::start() else { return };
    let page = experiment::page(experiment::root(), "whole");
    let mut tab = browser.open(&file_url(&page));
    tab.until(READY, "the drawn page");
    tab.clean();
    // Nothing says that it could not be drawn, and every part that has data is there.
    let warnings = "[...document.querySelectorAll('.warning')].filter((n) => n.offsetParent).map((n) => n.textContent)";
    assert_eq!(tab.evaluate(warnings), json!([]));
    let shown = "[...document.querySelectorAll('#main section > h2')].filter((n) => n.offsetParent).map((n) => n.id)";
    let shown = tab.evaluate(shown);
    for part in ["h-curves", "h-time", "h-circuits"] {
        assert!(shown.as_array().is_some_and(|all| all.contains(&json!(part))), "{part}: {shown}");
    }
    // Wide things scroll in boxes of their own.
    assert_eq!(tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), true);
    tab.screenshot("light", true);

    tab.prefer("light", "print");
    tab.screenshot("print", true);
    tab.prefer("dark", "screen");
    tab.until("document.documentElement.dataset.theme === 'dark'", "dark colours");
    tab.screenshot("dark", true);
    tab.clean();
}

#[test]
fn keys_move_the_time() {
    let Some(mut browser) = Browser::start() else { return };
    let page = experiment::page(experiment::root(), "keys");
    let mut tab = browser.open(&file_url(&page));
    tab.until(READY, "the drawn page");
    assert_eq!(tab.text(STEP), "step 400", "it opens at the end");
    // By Tab alone, as without a mouse.
    let mut presses = 0;
    while tab.evaluate("document.activeElement.id") != "time" {
        tab.press("Tab");
        presses += 1;
        assert!(presses < 60, "Tab does not get to the slider");
    }
    for (key, step) in [
        ("ArrowLeft", 360),
        ("ArrowLeft", 320),
        ("ArrowRight", 360),
        ("Home", 0),
        (".", 40),
        (",", 0),
        ("End", 400),
    ] {
        tab.press(key);
        tab.until(&format!("{STEP} === 'step {step}'"), key);
        let drawn = tab.evaluate("window.edgegradProbe(0).step");
        assert_eq!(drawn, step, "what is drawn after {key}");
    }
    tab.focus("#play");
    tab.press("Enter");
    tab.until(&format!("{STEP} === 'step 80'"), "the film");
    tab.press("Enter");
    tab.clean();
}

#[test]
fn the_address_holds_what_is_chosen() {
    let Some(mut browser) = Browser::start() else { return };
    let url = file_url(&experiment::page(experiment::root(), "address"));
    let mut tab = browser.open(&url);
    tab.until(READY, "the drawn page");
    tab.focus("#time");
    tab.press("Home");
    tab.press("ArrowRight");
    tab.press("ArrowRight");
    tab.evaluate("document.querySelector('#seeds input[value=\"seed 1\"]').click()");
    tab.until(
        "/(^#|&)step=80(&|$)/.test(location.hash) && location.hash.includes('seed+1')",
        "the hash",
    );
    let hash = tab.text("location.hash");
    drop(tab);

    let mut tab = browser.open(&(url + &hash));
    tab.until(READY, "the drawn page");
    assert_eq!(tab.text(STEP), "step 80");
    assert_eq!(tab.text("document.querySelector('#seeds input:checked').value"), "seed 1");
    // And what was changed by hand is followed.
    tab.evaluate("location.hash = location.hash.replace('step=80', 'step=120')");
    tab.until(&format!("{STEP} === 'step 120'"), "the other step");
    tab.clean();
}

#[test]
fn a_hash_that_means_nothing_is_passed_over() {
    let Some(mut browser) = Browser::start() else { return };
    let url = file_url(&experiment::page(experiment::root(), "hash"));
    let wrong = [
        "#",
        "#step=-7&key=seed+99&shown=-1&edge=%3Cimg%20src=x%20onerror=alert(1)%3E&sample=1e9",
        "#step=x&shown=1e300&circuit=absent&other=absent&circuit_filter=x&circuit_colour=x",
        "#__proto__=1&constructor=2&toString=3&=4&step&%",
    ];
    for hash in wrong {
        let mut tab = browser.open(&format!("{url}{hash}"));
        tab.until(READY, "the drawn page");
        assert!(tab.text(STEP).starts_with("step "), "{hash}");
        let warnings =
            "[...document.querySelectorAll('.warning')].map((n) => n.textContent).join()";
        assert!(!tab.text(warnings).contains("could not be drawn"), "{hash}");
        tab.clean();
    }
}

#[test]
fn colours_are_chosen_by_a_button() {
    let Some(mut browser) = Browser::start() else { return };
    let mut tab = browser.open(&file_url(&experiment::page(experiment::root(), "colours")));
    tab.until(READY, "the drawn page");
    let theme = "document.documentElement.dataset.theme";
    let paper = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(tab.text(theme), "light");
    let light = tab.text(paper);
    tab.click("#theme");
    tab.until(&format!("{theme} === 'dark'"), "dark colours");
    assert_ne!(tab.text(paper), light);
    tab.focus("#theme");
    tab.press("Enter");
    tab.until(&format!("{theme} === 'light'"), "light colours");
    assert_eq!(tab.text(paper), light);
    tab.clean();
}

/// The forward pass that the pictures are made of, against the engine's.
#[test]
fn the_page_computes_what_the_engine_does() {
    let Some(mut browser) = Browser::start() else { return };
    let mut tab = browser.open(&file_url(&experiment::page(experiment::root(), "forward")));
    tab.until(READY, "the drawn page");
    // Fewer stages first.
    for (a, arm) in ["scratch", "curriculum"].into_iter().enumerate() {
        let probe = tab.evaluate(&format!("window.edgegradProbe({a})"));
        assert_eq!(probe["step"], 400, "{arm}");
        let folder = experiment::root().with_file_name(format!("forward-{arm}"));
        fs::create_dir_all(&folder).expect("a folder");
        let (tokens, out) = (folder.join("tokens.jsonl"), folder.join("logits.safetensors"));
        fs::write(&tokens, probe["tokens"].to_string()).expect("writable");
        let model = experiment::root().join(arm).join("seed-00/checkpoints/final");
        binary(&[
            "run".as_ref(),
            "--model".as_ref(),
            &model,
            "--tokens".as_ref(),
            &tokens,
            "--out".as_ref(),
            &out,
        ]);
        let (_, expected) =
            Tensors::read(&out).and_then(|all| all.get_f64("logits")).expect("logits");
        let numbers = |value: &Value| -> Vec<f64> {
            let list = value.as_array().expect("a list").iter();
            list.map(|x| x.as_f64().expect("a number")).collect()
        };
        let logits = numbers(&probe["logits"]);
        assert_eq!(logits.len(), expected.len());
        let largest = expected.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        for (seen, expected) in logits.iter().zip(&expected) {
            // The page's weights have 16 bits: 1.5e-5 of the largest of each matrix.
            assert!((seen - expected).abs() < 2e-3 * largest, "{arm}: {logits:?} {expected}");
        }
        let attention = numbers(&probe["attention"]);
        assert_eq!(attention.len(), 6);
        assert!((attention.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{attention:?}");
    }
    tab.clean();
}
