//! `edgegrad watch`: what it serves while a training goes on, and all that it refuses.

mod common;

use common::{Done, Place};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// Two seeds, which take longer than any test here.
const CONFIG: &str = "
    [task]
    p = 2
    seq_len = 5
    k = 2
    train = 30
    test = 12
    [model]
    d_model = 6
    d_mlp = 10
    [train]
    lr = 1e-2
    batch = 16
    eval_every = 20
    snapshot_every = 20
    steps = 10_000_000
";

/// A process that does not end by itself.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended meanwhile, which is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A page that is served, and where.
struct Served {
    /// Ends with it.
    process: Running,
    /// Such as `127.0.0.1:8642`.
    address: String,
}

impl Served {
    fn start(place: &Place, arguments: &str) -> Served {
        let mut command = place.command(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
        let stdout = child.stdout.take().expect("piped");
        let process = Running(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("its first line");
        let address = line.trim_end().strip_prefix("http://").and_then(|l| l.strip_suffix('/'));
        let address = address.unwrap_or_else(|| panic!("no address: {line:?}")).to_string();
        Served { process, address }
    }

    /// What comes back for these bytes; empty if the connection is closed without a word.
    fn send(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream.write_all(bytes).expect("sent");
        let mut answer = vec![];
        stream.read_to_end(&mut answer).expect("an answer");
        String::from_utf8(answer).expect("UTF-8")
    }

    fn ask(&self, line: &str, headers: &str) -> String {
        self.send(format!("{line} HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes())
    }

    /// The body of what is at `path`.
    #[track_caller]
    fn get(&self, path: &str) -> String {
        let answer = self.ask(&format!("GET {path}"), &format!("Host: {}", self.address));
        let (head, body) = answer.split_once("\r\n\r\n").expect("an empty line");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        body.to_string()
    }
}

/// What never asks whether it should stop is ended by the first signal, not the second.
#[cfg(unix)]
#[test]
fn a_signal_ends_the_page_at_once() {
    use std::os::unix::process::ExitStatusExt;
    let place = Place::new(CONFIG);
    let _training = training(&place);
    let mut served = Served::start(&place, "watch run --port 0");
    let child = &mut served.process.0;
    let id = child.id().to_string();
    // Not SIGINT, which shells have programs in the background ignore.
    std::process::Command::new("kill").args(["-TERM", &id]).status().expect("kill is there");
    let mut ended = None;
    until("its end", || {
        ended = child.try_wait().expect("a child");
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.signal()), Some(15));
}

#[test]
fn programs_read_the_address() {
    let place = Place::new(CONFIG);
    drop(training(&place));
    for (mode, start) in [("--json", "{"), ("--csv", "address\n")] {
        let mut command = place.command(&format!("watch run --port 0 {mode}"));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let process = Running(child);
        let mut text = String::new();
        while !text.contains("http://") {
            assert!(lines.read_line(&mut text).expect("a line") > 0, "{mode}: {text:?}");
        }
        assert!(text.starts_with(start), "{mode}: {text:?}");
        drop(process);
        lines.read_to_string(&mut text).expect("the rest");
        if mode == "--json" {
            let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert!(read["watch"][0]["address"].is_string(), "{text}");
        }
    }
}

/// A run that goes on.
fn training(place: &Place) -> Running {
    let child = place.command("train c.toml --out run --threads 1").stderr(Stdio::null()).spawn();
    let process = Running(child.expect("the binary runs"));
    until("a first evaluation", || {
        let metrics = std::fs::read_to_string(place.path("run/metrics.jsonl"));
        metrics.is_ok_and(|text| text.contains(r#""kind":"eval""#))
    });
    process
}

#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_page_follows_a_training() {
    let place = Place::new(CONFIG);
    let training = training(&place);
    let served = Served::start(&place, "watch run --port 0");
    assert!(served.address.starts_with("127.0.0.1:"), "{}", served.address);

    let version = |page: &str| -> String {
        let (_, rest) = page.split_once("data-version=\"").expect("a version");
        rest.split_once('"').expect("its end").0.to_string()
    };
    let page = served.get("/");
    assert!(page.ends_with("</html>\n") && page.contains("connect-src 'self'"));
    let first = served.get("/version");
    assert!(first.len() == 16 && first.bytes().all(|b| b.is_ascii_hexdigit()), "{first:?}");
    until("another version", || served.get("/version") != first);
    until("another page", || version(&served.get("/")) != version(&page));

    // A run that stands still is the same page, byte for byte, and `/version` names it.
    drop(training);
    let still = served.get("/");
    assert_eq!(version(&still), served.get("/version"));
    assert!(still == served.get("/"));
    let head = served.ask("HEAD /", "Host: localhost");
    assert!(head.contains(&format!("Content-Length: {}\r\n", still.len())), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn nothing_else_is_served() {
    let place = Place::new(CONFIG);
    drop(training(&place));
    let served = Served::start(&place, "watch run --port 0");
    let host = format!("Host: {}", served.address);
    #[track_caller]
    fn refused(answer: &str, status: &str) {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
        assert!(!answer.contains("seq_len"), "{answer}");
        assert!(!answer.contains("Access-Control"), "{answer}");
    }
    for path in [
        "/../config.toml",
        "/%2e%2e/",
        "/%2e%2e/config.toml",
        "/run/config.toml",
        "/config.toml",
        "//",
        "/etc/passwd",
        "/version/../config.toml",
        "file:///etc/passwd",
    ] {
        refused(&served.ask(&format!("GET {path}"), &host), "404");
    }
    for other in ["Host: evil.example", "Host: evil.example:80", "Host: 10.1.2.3", "Host:"] {
        for path in ["/", "/version"] {
            refused(&served.ask(&format!("GET {path}"), other), "403");
        }
    }
    let post = served.ask("POST /", &format!("{host}\r\nContent-Length: 3\r\n\r\nx=1"));
    refused(&post, "405");
    assert!(post.contains("\r\nAllow: GET, HEAD\r\n"), "{post}");
    refused(&served.ask("DELETE /", &host), "405");
    refused(&served.ask("GET /", "Accept: */*"), "400");
    refused(&served.send(b"\x16\x03\x01\x02\x00\x01\r\n\r\n"), "400");
    refused(&served.ask("GET /", &format!("{host}\r\nCookie: {}", "x".repeat(60_000))), "431");
    refused(&served.send(&[b'a'; 20_000]), "431");

    // Whoever says nothing, or never ends, keeps nobody else from the page.
    let silent: Vec<TcpStream> = (0..5)
        .map(|i| {
            let mut stream = TcpStream::connect(&served.address).expect("a connection");
            stream.write_all(&b"GET / HT"[..i]).expect("sent");
            stream
        })
        .collect();
    let start = Instant::now();
    served.get("/version");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    for (i, mut stream) in silent.into_iter().enumerate() {
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the end");
        assert!(if i == 0 { answer.is_empty() } else { answer.contains(" 408 ") }, "{i}: {answer}");
    }
    served.get("/");
}

#[test]
fn what_cannot_be_served_is_said() {
    let place = Place::new(CONFIG);
    drop(training(&place));
    let first = Served::start(&place, "watch run --port 0");
    let port = first.address.rsplit(':').next().expect("a port");
    let failed = |arguments: &str, parts: &[&str], help: &str| {
        let mut command = place.command(arguments);
        Done::from(command.output().expect("the binary runs")).failed(2, parts, help);
    };
    let taken = format!("127.0.0.1:{port}");
    failed(&format!("watch run --port {port}"), &[&taken, "another program"], "--port");
    failed("watch run --host 0.0.0.0", &["0.0.0.0:8642", "other machines"], "--expose");
    failed("watch absent", &["absent"], "folder");
    std::fs::create_dir(place.path("empty")).expect("a folder");
    failed("watch empty", &["holds no run"], "train first");
}
