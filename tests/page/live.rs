//! The page that `edgegrad watch` serves: it follows the run and leaves the reader where he is.

use crate::browser::Browser;
use crate::experiment;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const READY: &str = "document.documentElement.dataset.ready === '1'";
const STEP: &str = "document.querySelector('#time-label').textContent";
const LIVE: &str = "document.querySelector('#live').textContent";

struct Served(Child);

impl Served {
    fn start(run: &Path) -> (Served, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgegrad"));
        command.arg("watch").arg(run).args(["--port", "0"]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let stdout = child.stdout.take().expect("piped");
        let served = Served(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("its first line");
        (served, line.trim().to_string())
    }

    fn end(&mut self) {
        // It may have ended meanwhile.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn the_page_follows_the_run() {
    let Some(mut browser) = Browser::start() else { return };
    let root = experiment::copy("live");
    let run = root.join("curriculum/seed-00");
    // The second half of the run is yet to come.
    let (late, metrics) = (run.join("late"), run.join("metrics.jsonl"));
    fs::create_dir(&late).expect("a folder");
    let snapshots = [320, 360, 400].map(|step| format!("step-{step:06}.safetensors"));
    for name in &snapshots {
        fs::rename(run.join("snapshots").join(name), late.join(name)).expect("a snapshot");
    }
    let whole = fs::read_to_string(&metrics).expect("metrics");
    let half = whole.find(r#""step":300,"#).expect("step 300");
    let half = whole[..half].rfind('\n').expect("a line") + 1;
    fs::write(&metrics, &whole[..half]).expect("writable");
    let (mut served, address) = Served::start(&run);
    let more = |part: &str| {
        let mut file = fs::File::options().append(true).open(&metrics).expect("a file");
        file.write_all(part.as_bytes()).expect("a line");
    };

    let mut tab = browser.open(&address);
    tab.until(READY, "the drawn page");
    tab.until(&format!("{LIVE} === 'live'"), "that it is live");
    let last = tab.text(STEP);
    tab.screenshot("live", false);
    tab.focus("#time");
    tab.evaluate("scrollTo({ top: 500, behavior: 'instant' }); window.notReloaded = true");
    let top = tab.number("scrollY");

    // Who is at the end stays at the end.
    for name in &snapshots {
        fs::rename(late.join(name), run.join("snapshots").join(name)).expect("a snapshot");
    }
    more(&whole[half..]);
    tab.until(&format!("!window.notReloaded && {READY} && {STEP} === 'step 400'"), "the new steps");
    assert_ne!(last, "step 400");
    tab.until(&format!("Math.abs(scrollY - {top}) < 2"), "the same place");
    assert_eq!(tab.text("document.activeElement.id"), "time");

    // Who looks at another step goes on looking at it.
    tab.focus("#time");
    tab.press("Home");
    tab.until(
        &format!("{STEP} === 'step 0' && location.hash.includes('step=0')"),
        "the first step",
    );
    tab.evaluate("window.notReloaded = true");
    more("{\"kind\":\"event\",\"event\":\"other\",\"step\":400}\n");
    tab.until(&format!("!window.notReloaded && {READY}"), "the page again");
    assert_eq!(tab.text(STEP), "step 0");

    // Nothing but the page itself and whether it is up to date was asked for.
    let version = format!("{address}version");
    tab.evaluate("0");
    assert!(tab.requests.iter().all(|url| *url == version), "{:?}", tab.requests);
    assert!(!tab.requests.is_empty());
    tab.requests.clear();
    tab.clean();

    served.end();
    tab.until(&format!("{LIVE}.includes('stopped answering')"), "that it is not live");
    assert_eq!(tab.text(STEP), "step 0", "the page is still there");
}
