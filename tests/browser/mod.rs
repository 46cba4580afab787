//! A headless Chromium for tests, driven by its DevTools protocol over two pipes.
//!
//! Pipes rather than a websocket: no port, no handshake, nothing to depend on. Chromium reads
//! messages from descriptor 3 and writes to 4; a shell opens two named pipes there, which takes no
//! unsafe code.
//!
//! ```text
//! let Some(mut browser) = Browser::start() else { return };
//! let mut tab = browser.open(&file_url(path));
//! tab.until("document.title !== ''", "a title");
//! tab.clean();
//! ```
//!
//! Without a browser a test says so and passes, unless `EDGEGRAD_BROWSER_REQUIRED` is 1.
//! `EDGEGRAD_BROWSER` names the one to use.
#![allow(dead_code)] // Each test uses its part.

mod pipe;
mod tab;

pub(crate) use tab::{Tab, file_url};

use pipe::Pipe;
use serde_json::json;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take that a test waits for.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-gpu",
    // Containers often have a few MB of /dev/shm only.
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
];

/// One browser at a time: times are measured in pages.
static ALONE: Mutex<()> = Mutex::new(());

/// A browser with a profile of its own, killed when dropped.
pub(crate) struct Browser {
    pipe: Pipe,
    child: Child,
    /// Holds the profile and both pipes.
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts the browser of this machine; `None`, after a line that says so, if there is none.
    #[track_caller]
    pub(crate) fn start() -> Option<Browser> {
        let Some(program) = program() else {
            let wanted = std::env::var_os("EDGEGRAD_BROWSER_REQUIRED").is_some_and(|v| v == "1");
            assert!(!wanted, "no browser: install chromium, or name one by EDGEGRAD_BROWSER");
            // Past the capture of what tests print: that nothing was tested must not stay unseen.
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                let _ = writeln!(
                    std::io::stderr(),
                    "no browser: the page is not tested (install chromium, or set EDGEGRAD_BROWSER)"
                );
            });
            return None;
        };
        // A test that failed before leaves nothing behind that could harm the next.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [commands, messages] = ["commands", "messages"].map(|name| folder.path().join(name));
        let made = Command::new("mkfifo").args([&commands, &messages]).status();
        assert!(made.expect("mkfifo runs").success(), "no named pipes in {:?}", folder.path());
        let errors = fs::File::create(folder.path().join("errors")).expect("a file");
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" 3<\"$COMMANDS\" 4>\"$MESSAGES\""])
            .arg(&program)
            .args(ARGUMENTS)
            .arg({
                let mut profile = OsString::from("--user-data-dir=");
                profile.push(folder.path().join("profile"));
                profile
            })
            .args(is_root().then_some("--no-sandbox")) // It refuses to run as root with one.
            .envs([("COMMANDS", &commands), ("MESSAGES", &messages)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors);
        let child = command.spawn().expect("sh runs");
        let pipe = Pipe::open(&commands, &messages);
        let mut browser = Browser { pipe, child, folder, _alone: alone };
        if let Err(e) = browser.pipe.call(None, "Browser.getVersion", json!({})) {
            let errors = fs::read_to_string(browser.folder.path().join("errors"));
            panic!("{} does not answer: {e}\n{}", program.display(), errors.unwrap_or_default());
        }
        Some(browser)
    }

    /// Opens a page in a tab of its own, 1280 x 800, and goes on when it has been loaded; scripts
    /// may still be at work.
    #[track_caller]
    pub(crate) fn open(&mut self, url: &str) -> Tab<'_> {
        Tab::open(&mut self.pipe, url)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked first: then its other processes have ended, too, and the profile can be removed.
        self.pipe.send(None, "Browser.close", json!({}));
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // It may have ended just now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("EDGEGRAD_BROWSER").filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let folders = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    let all = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.into_iter().find(|path| path.is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
