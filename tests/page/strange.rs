//! Folders that are damaged, unfinished or hostile.

use crate::browser::{Browser, Tab, file_url};
use crate::experiment;
use std::fs;
use std::path::Path;

const READY: &str = "document.documentElement.dataset.ready === '1'";

fn open<'a>(browser: &'a mut Browser, of: &Path, name: &str) -> Tab<'a> {
    let page = experiment::page(of, name);
    let mut tab = browser.open(&file_url(&page));
    tab.until(READY, "the drawn page");
    tab
}

fn edit(file: &Path, change: impl Fn(String) -> String) {
    let text = fs::read_to_string(file).expect("a text");
    fs::write(file, change(text)).expect("writable");
}

#[test]
#[cfg(unix)] // Names that other systems do not allow.
fn names_are_text_whatever_they_hold() {
    let Some(mut browser) = Browser::start() else { return };
    let root = experiment::copy("hostile");
    let evil = "<img src=x onerror=alert(1)><script>alert(2)<svg onload=alert(3)>\"'&{{data}}";
    fs::rename(root.join("scratch"), root.join(evil)).expect("a name");
    let seed = root.join("curriculum/seed-00");
    let stage = "</script><script>alert(4)</script><img src=x onerror=alert(5)>";
    edit(&seed.join("config.toml"), |text| {
        assert!(text.contains("\"p=4\""), "{text}");
        text.replace("\"p=4\"", &format!("'{stage}'"))
    });
    for file in ["circuits/summary.json", "metrics.jsonl"] {
        edit(&seed.join(file), |text| {
            text.replace("input@0->a0.h0<k>@0", "<img src=x onerror=alert(6)>")
                .replace("\"p=4\"", "\"<b>x\"")
        });
    }
    edit(&seed.join("metrics.jsonl"), |text| {
        let event = r#"{"kind":"event","event":"<img src=x onerror=alert(7)>","step":3,"stage":0}"#;
        text + event + "\n" + r#"{"kind":"<script>alert(8)</script>"}"# + "\n"
    });
    let mut tab = open(&mut browser, &root, "hostile");
    // Everywhere names are shown, also where it takes a hover.
    let made = "document.querySelectorAll('img, script:not([type]) ~ script, svg[onload], [onerror]').length";
    assert_eq!(tab.number("document.scripts.length"), 3.0, "two blocks of data and the code");
    assert_eq!(tab.number(made), 0.0);
    assert!(
        tab.text("document.body.textContent").contains("onerror=alert(1)"),
        "the name is shown"
    );
    for part in
        ["#seeds label:last-of-type", "#seed-grid svg", "#loss canvas", ".circuit-picture svg"]
    {
        if tab.evaluate(&format!("Boolean(document.querySelector('{part}'))")) == true {
            let at = tab.place_of(part);
            tab.point(at);
            tab.click_at(at);
        }
    }
    tab.focus("#time");
    tab.press("Home");
    assert_eq!(tab.number(made), 0.0);
    assert_eq!(tab.number("document.scripts.length"), 3.0);
    tab.clean();
    tab.screenshot("hostile", true);
}

#[test]
fn damage_is_named_and_the_rest_is_shown() {
    let Some(mut browser) = Browser::start() else { return };
    let root = experiment::copy("damaged");
    let run = root.join("scratch/seed-00");
    fs::remove_file(run.join("config.toml")).expect("a file");
    fs::write(run.join("snapshots/step-000080.safetensors"), b"torn").expect("writable");
    edit(&run.join("metrics.jsonl"), |text| text[..text.len() / 2].to_string());
    let run = root.join("scratch/seed-01");
    fs::remove_file(run.join("metrics.jsonl")).expect("a file");
    let run = root.join("curriculum/seed-00");
    fs::remove_dir_all(run.join("snapshots")).expect("a folder");
    fs::remove_dir_all(run.join("circuits")).expect("a folder");
    let run = root.join("curriculum/seed-01");
    edit(&run.join("metrics.jsonl"), |text| text.replace("\"test_accuracy\"", "\"other\""));
    fs::create_dir(root.join("curriculum/seed-02")).expect("a folder");
    let mut tab = open(&mut browser, &root, "damaged");
    let missing = tab.text("document.querySelector('#h-missing').parentElement.innerText");
    for named in [
        "scratch, seed 0: config.toml",
        "scratch, seed 0: metrics.jsonl",
        "step-000080.safetensors",
        "scratch, seed 1: metrics.jsonl",
        "curriculum, seed 0 and 1 more: snapshots",
        "curriculum, seed 1: metrics.jsonl: the last evaluation has no test accuracy",
        "curriculum, seed 2: config.toml",
    ] {
        assert!(missing.contains(named), "{named} is not in: {missing}");
    }
    let root = root.to_str().expect("UTF-8");
    assert!(!tab.text("document.documentElement.outerHTML").contains(root), "where it was made");
    let warnings = "[...document.querySelectorAll('.warning')].map((n) => n.textContent).join()";
    for seed in 0..3 {
        let input =
            format!("document.querySelector('#seeds input[value=\"seed {seed}\"]').click()");
        tab.evaluate(&input);
        let warnings = tab.text(warnings);
        assert!(!warnings.contains("could not be drawn"), "seed {seed}: {warnings}");
        tab.clean();
    }
    tab.screenshot("damaged", true);
}

#[test]
fn a_run_that_has_just_begun_is_shown() {
    let Some(mut browser) = Browser::start() else { return };
    let root = experiment::copy("begun");
    let run = root.join("curriculum/seed-00");
    for gone in [
        "scratch",
        "curriculum/seed-01",
        "curriculum/seed-00/circuits",
        "curriculum/seed-00/checkpoints",
    ] {
        fs::remove_dir_all(root.join(gone)).expect("a folder");
    }
    for entry in fs::read_dir(run.join("snapshots")).expect("snapshots") {
        let path = entry.expect("listed").path();
        if !path.ends_with("step-000000.safetensors") {
            fs::remove_file(path).expect("a file");
        }
    }
    edit(&run.join("metrics.jsonl"), |text| {
        text.lines().take(3).map(|line| line.to_owned() + "\n").collect()
    });
    let mut tab = open(&mut browser, &run, "begun");
    tab.clean();
    fs::write(run.join("metrics.jsonl"), "").expect("writable");
    let page = experiment::page(&run, "empty");
    tab.go(&file_url(&page));
    tab.until(READY, "the drawn page");
    let missing = tab.text("document.querySelector('#h-missing').parentElement.innerText");
    assert!(missing.contains("metrics.jsonl"), "{missing}");
    tab.clean();
}
