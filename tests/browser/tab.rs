//! One page in a browser: what a reader does to it, and what it does.

use super::{LIMIT, pipe::Pipe};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Runs before the page's own scripts: when the page says that it is drawn, and its frame after
/// that has been shown.
const WATCH: &str = "
    new MutationObserver((_, observer) => {
      if (!document.documentElement?.dataset.ready) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(() => { window.shownAfter = performance.now(); }));
    }).observe(document, { subtree: true, attributes: true, attributeFilter: ['data-ready'] });";

/// A page, closed when dropped.
pub(crate) struct Tab<'a> {
    pipe: &'a mut Pipe,
    target: String,
    session: String,
    url: String,
    /// Console messages of level error, what was thrown and not caught, refusals of the policy.
    pub(crate) errors: Vec<String>,
    /// Whether one of them was thrown and not caught, so that what a test waits for may never come.
    broken: bool,
    /// Addresses that were asked for, but the page's own and `data:` and `blob:`.
    pub(crate) requests: Vec<String>,
    /// What dialogs said.
    pub(crate) dialogs: Vec<String>,
}

/// The address of a file.
pub(crate) fn file_url(path: &Path) -> String {
    let path = std::path::absolute(path).expect("a path");
    let mut url = String::from("file://");
    for byte in path.to_str().expect("UTF-8").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                url.push(byte.into())
            }
            _ => write!(url, "%{byte:02X}").expect("a string"),
        }
    }
    url
}

impl<'a> Tab<'a> {
    #[track_caller]
    pub(super) fn open(pipe: &'a mut Pipe, url: &str) -> Tab<'a> {
        let made = pipe.call(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let target = text(&made.expect("a tab")["targetId"]);
        let attach = json!({ "targetId": target, "flatten": true });
        let session = pipe.call(None, "Target.attachToTarget", attach).expect("a session");
        let session = text(&session["sessionId"]);
        let (errors, requests, dialogs) = (vec![], vec![], vec![]);
        let (own, broken) = (String::new(), false);
        let mut tab = Tab { pipe, target, session, url: own, errors, broken, requests, dialogs };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        let size = json!({ "width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        tab.call("Emulation.setDeviceMetricsOverride", size);
        tab.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH }));
        tab.go(url);
        tab
    }

    /// Opens another address.
    #[track_caller]
    pub(crate) fn go(&mut self, url: &str) {
        self.url = without_hash(url).to_string();
        let done = self.call("Page.navigate", json!({ "url": url }));
        assert!(done.get("errorText").is_none(), "{url}: {done}");
        self.until("document.readyState === 'complete'", "the page");
    }

    /// Loads the page again.
    #[track_caller]
    pub(crate) fn reload(&mut self) {
        self.evaluate("window.left = true");
        self.call("Page.reload", json!({}));
        self.until("!window.left && document.readyState === 'complete'", "the page again");
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: Value) -> Value {
        let result = self.pipe.call(Some(&self.session), method, params);
        let result = result.unwrap_or_else(|e| panic!("{e}"));
        self.look();
        result
    }

    /// The value of an expression, after it has been awaited.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let mut done = self.call(
            "Runtime.evaluate",
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true }),
        );
        if let Some(thrown) = done.get("exceptionDetails") {
            panic!("{expression}: {}", description(thrown));
        }
        done["result"]["value"].take()
    }

    /// The same, for a number.
    #[track_caller]
    pub(crate) fn number(&mut self, expression: &str) -> f64 {
        let value = self.evaluate(expression);
        value.as_f64().unwrap_or_else(|| panic!("{expression} is {value}"))
    }

    /// The same, for a text.
    #[track_caller]
    pub(crate) fn text(&mut self, expression: &str) -> String {
        let value = self.evaluate(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression} is {value}")).to_string()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn until(&mut self, expression: &str, what: &str) {
        let start = Instant::now();
        // A page that is being left has no place to evaluate anything in.
        let params =
            json!({ "expression": format!("Boolean({expression})"), "returnByValue": true });
        loop {
            let done = self.pipe.call(Some(&self.session), "Runtime.evaluate", params.clone());
            self.look();
            if done.is_ok_and(|done| done["result"]["value"] == true) {
                return;
            }
            let limit = if self.broken { Duration::from_secs(5) } else { LIMIT };
            let (errors, late) = (&self.errors, start.elapsed() > limit);
            assert!(!late, "{what} did not come: {expression} is not true; errors: {errors:#?}");
            std::thread::sleep(Duration::from_millis(15));
        }
    }

    /// Presses and releases a key: a name such as `ArrowRight`, or a character.
    #[track_caller]
    pub(crate) fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, ""),
            "Enter" => ("Enter", 13, "\r"),
            "Escape" => ("Escape", 27, ""),
            " " => ("Space", 32, " "),
            "PageUp" => ("PageUp", 33, ""),
            "PageDown" => ("PageDown", 34, ""),
            "End" => ("End", 35, ""),
            "Home" => ("Home", 36, ""),
            "ArrowLeft" => ("ArrowLeft", 37, ""),
            "ArrowUp" => ("ArrowUp", 38, ""),
            "ArrowRight" => ("ArrowRight", 39, ""),
            "ArrowDown" => ("ArrowDown", 40, ""),
            "," => ("Comma", 188, ","),
            "." => ("Period", 190, "."),
            one if one.len() == 1 => ("", i32::from(one.to_ascii_uppercase().as_bytes()[0]), one),
            other => panic!("the key {other:?} is not known here"),
        };
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        let mut event = json!({
            "type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number, "text": text,
        });
        self.call("Input.dispatchKeyEvent", event.clone());
        event["type"] = "keyUp".into();
        event["text"] = "".into();
        self.call("Input.dispatchKeyEvent", event);
    }

    /// Gives an element the focus, as a reader's way there by Tab would.
    #[track_caller]
    pub(crate) fn focus(&mut self, selector: &str) {
        let selector = json!(selector);
        self.evaluate(&format!("document.querySelector({selector}).focus()"));
        let has = format!("document.activeElement === document.querySelector({selector})");
        assert_eq!(self.evaluate(&has), true, "{selector} takes no focus");
    }

    #[track_caller]
    fn mouse(&mut self, kind: &str, [x, y]: [f64; 2], button: &str) {
        let (count, held) =
            if button == "left" { (1, i32::from(kind == "mousePressed")) } else { (0, 0) };
        let event = json!({
            "type": kind, "x": x, "y": y, "button": button, "buttons": held, "clickCount": count,
        });
        self.call("Input.dispatchMouseEvent", event);
    }

    /// Moves the mouse to a point of the window.
    #[track_caller]
    pub(crate) fn point(&mut self, at: [f64; 2]) {
        self.mouse("mouseMoved", at, "none");
    }

    /// Clicks at a point of the window.
    #[track_caller]
    pub(crate) fn click_at(&mut self, at: [f64; 2]) {
        self.point(at);
        self.mouse("mousePressed", at, "left");
        self.mouse("mouseReleased", at, "left");
    }

    /// Scrolls the first element that a selector finds into the window; a point on it: half way
    /// along a line, else its middle.
    #[track_caller]
    pub(crate) fn place_of(&mut self, selector: &str) -> [f64; 2] {
        let value = self.evaluate(&format!(
            "(() => {{
              const node = document.querySelector({});
              if (!node) return null;
              node.scrollIntoView({{ block: 'center', inline: 'center', behavior: 'instant' }});
              if (node.getPointAtLength && node.getScreenCTM) {{
                const half = node.getPointAtLength(node.getTotalLength() / 2);
                const on = half.matrixTransform(node.getScreenCTM());
                return [on.x, on.y];
              }}
              const box = node.getBoundingClientRect();
              return [box.x + box.width / 2, box.y + box.height / 2];
            }})()",
            json!(selector)
        ));
        let at = [0, 1].map(|i| value[i].as_f64());
        let [Some(x), Some(y)] = at else { panic!("nothing is {selector}: {value}") };
        [x, y]
    }

    /// Clicks the first element that a selector finds.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let at = self.place_of(selector);
        self.click_at(at);
    }

    /// Sets what the system prefers: `light` or `dark`, on `screen` or as on `print`ed paper.
    #[track_caller]
    pub(crate) fn prefer(&mut self, scheme: &str, medium: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "media": medium, "features": features }));
    }

    /// Makes the window larger or smaller.
    #[track_caller]
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Saves what the window shows, or the whole page, as target/page/`name`.png, to be looked at.
    #[track_caller]
    pub(crate) fn screenshot(&mut self, name: &str, whole: bool) -> PathBuf {
        let mut wanted = json!({ "format": "png", "captureBeyondViewport": whole });
        if whole {
            let size = &self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"];
            wanted["clip"] = json!({
                "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1,
            });
        }
        let image = text(&self.call("Page.captureScreenshot", wanted)["data"]);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("page");
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(format!("{name}.png"));
        std::fs::write(&path, BASE64_STANDARD.decode(image).expect("base64")).expect("writable");
        path
    }

    /// Nothing went wrong, was asked for or popped up so far.
    #[track_caller]
    pub(crate) fn clean(&mut self) {
        // Console messages follow what caused them.
        self.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))");
        assert!(self.errors.is_empty(), "errors: {:#?}", self.errors);
        assert!(self.requests.is_empty(), "requests: {:#?}", self.requests);
        assert!(self.dialogs.is_empty(), "dialogs: {:#?}", self.dialogs);
    }

    /// Sorts what the browser has told of this page.
    #[track_caller]
    fn look(&mut self) {
        self.pipe.poll();
        for event in std::mem::take(&mut self.pipe.events) {
            if event["sessionId"] != *self.session {
                continue;
            }
            let params = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.consoleAPICalled"
                    if ["error", "assert"].iter().any(|t| params["type"] == *t) =>
                {
                    let words = params["args"].as_array().into_iter().flatten();
                    let word = |arg: &Value| match &arg["value"] {
                        Value::Null => arg["description"].as_str().unwrap_or("?").to_string(),
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    self.errors.push(words.map(word).collect::<Vec<_>>().join(" "));
                }
                "Runtime.exceptionThrown" => {
                    self.errors.push(description(&params["exceptionDetails"]));
                    self.broken = true;
                }
                "Log.entryAdded" if params["entry"]["level"] == "error" => {
                    let entry = &params["entry"];
                    self.errors.push(format!("{} {}", entry["text"], entry["url"]));
                }
                "Network.requestWillBeSent" => {
                    let url = params["request"]["url"].as_str().unwrap_or_default();
                    let own = without_hash(url) == self.url || url == "about:blank";
                    if !own && !url.starts_with("data:") && !url.starts_with("blob:") {
                        self.requests.push(url.to_string());
                    }
                }
                "Network.webSocketCreated" => self.requests.push(text(&params["url"])),
                "Page.javascriptDialogOpening" => self.dialogs.push(text(&params["message"])),
                "Inspector.targetCrashed" => panic!("{} has crashed", self.url),
                _ => {}
            }
        }
    }
}

impl Drop for Tab<'_> {
    fn drop(&mut self) {
        // The next one opens its own; nobody waits for the end of this one.
        self.pipe.send(None, "Target.closeTarget", json!({ "targetId": self.target }));
    }
}

fn without_hash(url: &str) -> &str {
    url.split('#').next().unwrap_or(url)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_string()
}

fn description(thrown: &Value) -> String {
    let whole = thrown["exception"]["description"].as_str().or(thrown["text"].as_str());
    whole.map_or_else(|| thrown.to_string(), String::from)
}
