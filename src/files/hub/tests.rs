//! The hub is a server on loopback, which keeps what it is asked.

use super::*;
use crate::files::sha256;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

const COMMIT: &str = "0123abcd";

/// What a server has and does.
#[derive(Default)]
struct Has {
    /// Files of the model `org/m` by name.
    files: BTreeMap<&'static str, Vec<u8>>,
    /// Closes the connection after so many bytes of a file.
    cut: Option<usize>,
    /// Sends those who want a file to this server.
    elsewhere: Option<String>,
    /// Answers this to everything.
    status: Option<u16>,
    /// Announces this etag of every file.
    etag: Option<&'static str>,
    /// Knows no parts of files.
    whole: bool,
}

/// A request: its first line, and the headers that matter.
#[derive(Clone, Debug, PartialEq)]
struct Request {
    line: String,
    range: Option<String>,
    token: Option<String>,
}

#[derive(Clone)]
struct Server {
    url: String,
    has: Arc<Mutex<Has>>,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn new(has: Has) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server =
            Server { url, has: Arc::new(Mutex::new(has)), seen: Arc::new(Mutex::new(vec![])) };
        let own = server.clone();
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                own.answer(stream);
            }
        });
        server
    }

    fn hub(&self) -> Hub {
        Hub { endpoint: self.url.clone(), token: Some("hf_secret".into()), offline: false }
    }

    fn seen(&self) -> Vec<Request> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let Some(line) = lines.next() else { return };
        let mut request = Request { line, range: None, token: None };
        for header in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = header.split_once(": ").unwrap();
            match name.to_ascii_lowercase().as_str() {
                "range" => request.range = Some(value.into()),
                "authorization" => request.token = Some(value.into()),
                _ => {}
            }
        }
        self.seen.lock().unwrap().push(request.clone());
        let has = self.has.lock().unwrap();
        let (head, body) = has.reply(&request);
        let sent = has.cut.filter(|_| request.line.contains("/resolve/")).unwrap_or(body.len());
        let text = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).unwrap();
        if !request.line.starts_with("HEAD") {
            // The other side may have heard enough.
            let _ = stream.write_all(&body[..sent.min(body.len())]);
        }
    }
}

impl Has {
    fn reply(&self, request: &Request) -> (String, Vec<u8>) {
        let path = request.line.split(' ').nth(1).unwrap();
        if let Some(status) = self.status {
            return (format!("{status} no\r\ncontent-length: 0"), vec![]);
        }
        if path == "/api/models/org/m/revision/main" {
            let files: Vec<_> =
                self.files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
            let body = serde_json::json!({ "sha": COMMIT, "siblings": files }).to_string();
            return (format!("200 OK\r\ncontent-length: {}", body.len()), body.into());
        }
        let name = path.rsplit('/').next().unwrap();
        let bytes = &self.files[name];
        // Small files of the hub have another hash than large ones.
        let etag = match name {
            "config.json" => "W/\"abc-1\"".to_string(),
            _ => format!("\"{}\"", sha256(bytes)),
        };
        let etag = self.etag.map_or(etag, String::from);
        if let Some(url) = &self.elsewhere {
            let (length, to) = (bytes.len(), format!("{url}/cdn/{name}"));
            let head = format!("302 Found\r\nlocation: {to}\r\nx-linked-etag: {etag}");
            return (format!("{head}\r\nx-linked-size: {length}\r\ncontent-length: 0"), vec![]);
        }
        let start = request.range.as_ref().filter(|_| !self.whole).map(|range| {
            range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
        });
        let body = bytes[start.unwrap_or(0)..].to_vec();
        let status = if start.is_some() { "206 Partial Content" } else { "200 OK" };
        (format!("{status}\r\netag: {etag}\r\ncontent-length: {}", body.len()), body)
    }
}

fn files() -> BTreeMap<&'static str, Vec<u8>> {
    let weights: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    let config = br#"{"model_type": "gpt2"}"#.to_vec();
    BTreeMap::from([
        ("README.md", b"not wanted".to_vec()),
        ("config.json", config),
        ("model.safetensors", weights),
        ("tokenizer.json", b"{}".to_vec()),
    ])
}

/// A cache in a folder of its own.
fn cache() -> (tempfile::TempDir, Cache) {
    let t = tempfile::tempdir().unwrap();
    let cache = Cache::at(t.path().join("hub"));
    (t, cache)
}

fn fetch(hub: &Hub, cache: &Cache) -> Result<()> {
    hub.fetch(cache, Path::new("org/m"), &mut |_, _, _| {})
}

fn find(cache: &Cache) -> Option<PathBuf> {
    cache.find(Path::new("org/m")).unwrap()
}

#[test]
fn a_model_comes_into_the_cache_as_the_libraries_lay_it_out() {
    let (_t, cache) = cache();
    let server = Server::new(Has { files: files(), ..Has::default() });
    let mut told = vec![];
    let mut tell = |file: &str, done: u64, of: u64| {
        if done == of {
            told.push((file.to_string(), of));
        }
    };
    server.hub().fetch(&cache, Path::new("org/m"), &mut tell).unwrap();
    let order = ["tokenizer.json", "model.safetensors", "config.json"];
    let want = order.map(|name| (name.to_string(), files()[name].len() as u64));
    assert_eq!(told, want);
    let snapshot = find(&cache).unwrap();
    assert!(snapshot.ends_with(format!("models--org--m/snapshots/{COMMIT}")));
    for name in order {
        assert_eq!(fs::read(snapshot.join(name)).unwrap(), files()[name], "{name}");
        #[cfg(unix)]
        assert!(fs::read_link(snapshot.join(name)).unwrap().starts_with("../../blobs"));
    }
    assert!(!snapshot.join("README.md").exists());
    let main = cache.folder().join("models--org--m/refs/main");
    assert_eq!(fs::read_to_string(main).unwrap(), COMMIT);
    let seen = server.seen();
    assert_eq!(seen.len(), 1 + 2 * order.len());
    assert!(seen.iter().all(|request| request.token.as_deref() == Some("Bearer hf_secret")));
    // What is there is not fetched again.
    fetch(&server.hub(), &cache).unwrap();
    let seen = server.seen();
    assert!(!seen.is_empty() && seen.iter().all(|request| !request.line.contains("GET /org")));
}

#[test]
fn what_broke_off_goes_on() {
    for whole in [false, true] {
        let (_t, cache) = cache();
        let server =
            Server::new(Has { files: files(), cut: Some(150_000), whole, ..Has::default() });
        let e = fetch(&server.hub(), &cache).unwrap_err();
        assert!(e.to_string().contains("of 200000"), "{e}");
        assert_eq!((e.exit_code(), find(&cache)), (1, None));
        server.seen();
        server.has.lock().unwrap().cut = None;
        fetch(&server.hub(), &cache).unwrap();
        let seen = server.seen();
        let ranges: Vec<_> = seen.iter().filter_map(|r| r.range.as_deref()).collect();
        assert_eq!(ranges.len(), 1);
        let from: usize = ranges[0]["bytes=".len()..ranges[0].len() - 1].parse().unwrap();
        assert!((1..=150_000).contains(&from), "{ranges:?}");
        let read = fs::read(find(&cache).unwrap().join("model.safetensors")).unwrap();
        assert_eq!(read, files()["model.safetensors"]);
    }
}

#[test]
fn shards_are_fetched_by_their_index() {
    let (_t, cache) = cache();
    let index = br#"{"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}"#;
    let files = BTreeMap::from([
        ("config.json", b"{}".to_vec()),
        ("model.safetensors.index.json", index.to_vec()),
        ("m-1.safetensors", vec![1; 10]),
        ("m-2.safetensors", vec![2; 10]),
        ("m-3.safetensors", vec![3; 10]),
    ]);
    let server = Server::new(Has { files, ..Has::default() });
    fetch(&server.hub(), &cache).unwrap();
    let there = |name: &str| find(&cache).unwrap().join(name).exists();
    assert_eq!([1, 2, 3].map(|n| there(&format!("m-{n}.safetensors"))), [true, true, false]);
    server.has.lock().unwrap().files.remove("m-2.safetensors");
    let (_t, other) = super::tests::cache();
    let e = fetch(&server.hub(), &other).unwrap_err();
    assert!(e.to_string().contains("names \"m-2.safetensors\", which the model has not"), "{e}");
}

/// Files lie on other servers, which are not to see the token.
#[test]
fn the_token_stays_with_the_hub() {
    let (_t, cache) = cache();
    let far = Server::new(Has { files: files(), ..Has::default() });
    // By another name of the same machine: a host is told from another by its name.
    let elsewhere = Some(far.url.replace("127.0.0.1", "localhost"));
    let server = Server::new(Has { files: files(), elsewhere, ..Has::default() });
    fetch(&server.hub(), &cache).unwrap();
    let read = fs::read(find(&cache).unwrap().join("model.safetensors")).unwrap();
    assert_eq!(read, files()["model.safetensors"]);
    let seen = far.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|r| r.token.is_none() && r.line.contains("/cdn/")), "{seen:?}");
}

#[test]
fn what_is_refused_or_wrong_is_told() {
    let said = |has: Has| {
        let (_t, cache) = cache();
        let e = fetch(&Server::new(has).hub(), &cache).unwrap_err();
        assert_eq!(find(&cache), None);
        format!("{e} / {}", e.help())
    };
    let status = |status| said(Has { status: Some(status), ..Has::default() });
    assert!(status(401).starts_with("org/m: the hub refuses it (401) / check the name; if"));
    assert!(status(404).starts_with("org/m: the hub has no such model / check the name"));
    assert!(status(503).starts_with("org/m: the hub answers 503 / see whether http://127.0.0.1"));
    let wrong = Some("\"0000000000000000000000000000000000000000000000000000000000000000\"");
    let message = said(Has { files: files(), etag: wrong, ..Has::default() });
    assert!(message.contains("is not what was announced"), "{message}");
    let message = said(Has { files: files(), etag: Some("\"../../x\""), ..Has::default() });
    assert!(message.contains("has no etag or length"), "{message}");
    let message = said(Has { files: BTreeMap::from([("a.bin", vec![])]), ..Has::default() });
    assert!(message.contains("has no model.safetensors"), "{message}");

    let (_t, cache) = cache();
    let server = Server::new(Has { files: files(), ..Has::default() });
    let e = fetch(&Hub { offline: true, ..server.hub() }, &cache).unwrap_err();
    assert!(e.to_string().contains("HF_HUB_OFFLINE") && server.seen().is_empty(), "{e}");
    // Nobody listens where a server has been.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let e = fetch(&Hub { endpoint: format!("http://{closed}"), ..server.hub() }, &cache);
    assert!(e.unwrap_err().to_string().contains("cannot be fetched"));
}

#[test]
fn the_environment_names_the_hub() {
    let of = |given: &[(&str, &str)]| {
        let hub =
            Hub::of(|name| given.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()));
        (hub.endpoint, hub.token, hub.offline)
    };
    assert_eq!(of(&[]), ("https://huggingface.co".into(), None, false));
    let given = [("HF_ENDPOINT", "http://h/"), ("HF_TOKEN", "t\n"), ("HF_HUB_OFFLINE", "true")];
    assert_eq!(of(&given), ("http://h".into(), Some("t".into()), true));
    assert!(!of(&[("HF_HUB_OFFLINE", "0")]).2);
    for (name, may) in [("gpt2", true), ("org/m", true), ("m.gguf", false), ("a/b/c", false)] {
        assert_eq!(Hub::may_have(Path::new(name)), may, "{name}");
    }
}
