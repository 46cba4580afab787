//! How long a reader waits.

use crate::browser::{Browser, file_url};
use crate::experiment;
use serde_json::Value;

/// From the start of opening the page to the first frame that shows all of it.
const OPENED_MS: f64 = 1000.0;
/// For a step of the slider.
const STEP_MS: f64 = 50.0;

const READY: &str = "document.documentElement.dataset.ready === '1'";

/// Moves the slider from one end to the other. For each step: the time its event took, until the
/// frame that shows it, and what the explorer says of itself.
const MOVES: &str = "(async () => {
  const slider = document.querySelector('#time'), moves = [];
  for (let i = Number(slider.max); i >= 0; i--) {
    slider.value = i;
    const start = performance.now();
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    await null;
    const handled = performance.now() - start;
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const own = Number(document.documentElement.dataset.stepMs);
    moves.push([handled, performance.now() - start, own]);
    await new Promise((done) => setTimeout(done, 300));
  }
  return moves;
})()";

#[test]
fn times() {
    let Some(mut browser) = Browser::start() else { return };
    let named = std::env::var_os("EDGEGRAD_PAGE").map(Into::into);
    let page = named.unwrap_or_else(|| experiment::page(experiment::root(), "times"));
    // A machine that does other things too would fail for no fault of the page: only when asked.
    let timed = std::env::var_os("EDGEGRAD_TIMED").is_some_and(|v| v == "1");
    // Whatever else this machine does makes it slower, never faster.
    let mut opened = f64::INFINITY;
    for _ in 0..3 {
        let mut tab = browser.open(&file_url(&page));
        tab.until(&format!("{READY} && window.shownAfter"), "the shown page");
        opened = opened.min(tab.number("window.shownAfter"));
    }
    println!("{}: shown after {opened:.0} ms", page.display());
    assert!(!timed || opened < OPENED_MS, "shown after {opened} ms");

    let mut tab = browser.open(&file_url(&page));
    tab.until(READY, "the drawn page");
    let moves = tab.evaluate(MOVES);
    let moves = moves.as_array().expect("moves");
    let mut limit = true;
    for (i, what) in ["until handled", "until shown", "of the explorer"].into_iter().enumerate() {
        let mut times: Vec<f64> = moves.iter().filter_map(|m: &Value| m[i].as_f64()).collect();
        times.sort_by(f64::total_cmp);
        let [median, most] = [times.len() / 2, times.len() - 1].map(|i| times[i]);
        println!("a step {what}: median {median:.1} ms, at most {most:.1} ms, of {}", times.len());
        limit &= i != 0 || (median < STEP_MS && times[times.len() * 9 / 10] < STEP_MS);
    }
    assert!(!timed || limit, "a step of the slider takes more than {STEP_MS} ms");
    tab.clean();
}
