//! Requests to the hub, and files that go on where a transfer broke off.

use crate::error::{Error, Result};
use crate::files::{atomic, hash};
use crate::system;
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

/// The longest answer that is no file, in bytes.
const LONGEST: u64 = 1 << 26;

/// How long the hub may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// The bytes that are read at a time.
const CHUNK: usize = 1 << 16;

/// What the etag of a large file has: SHA-256 in hexadecimal.
const DIGEST: usize = 64;

/// A connection to the hub, about one model.
pub(super) struct Transfer<'a> {
    agent: Agent,
    endpoint: &'a str,
    token: Option<&'a str>,
    name: &'a Path,
}

/// What the hub says of a file.
struct Announced {
    etag: String,
    length: u64,
}

impl<'a> Transfer<'a> {
    pub(super) fn new(endpoint: &'a str, token: Option<&'a str>, name: &'a Path) -> Transfer<'a> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects_will_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .user_agent(concat!("edgegrad/", env!("CARGO_PKG_VERSION")))
            .build();
        Transfer { agent: config.into(), endpoint, token, name }
    }

    /// What is no fault of the user.
    pub(super) fn failed(&self, message: impl std::fmt::Display) -> Error {
        let help = format!(
            "see whether {} can be reached, and run the command again: it goes on where it was",
            self.endpoint
        );
        Error::failed(self.name.display(), message, help)
    }

    /// The answer to a request, if it is one that was hoped for.
    fn answered(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>> {
        let answer = answer.map_err(|e| self.failed(format!("cannot be fetched: {e}")))?;
        let refused =
            |message: String, help: &str| Err(Error::input(self.name.display(), message, help));
        match answer.status().as_u16() {
            200..=399 => Ok(answer),
            status @ (401 | 403) => {
                let message = format!("the hub refuses it ({status})");
                let help = "check the name; if the model asks for rights, set HF_TOKEN";
                refused(message, help)
            }
            404 => refused("the hub has no such model".into(), "check the name: org/name"),
            status => Err(self.failed(format!("the hub answers {status}"))),
        }
    }

    fn authorization(&self) -> Option<String> {
        self.token.map(|token| format!("Bearer {token}"))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T> {
        let mut request = self.agent.get(url);
        if let Some(token) = self.authorization() {
            request = request.header("authorization", token);
        }
        let mut answer = self.answered(request.call())?;
        let mut text = vec![];
        let read = answer.body_mut().as_reader().take(LONGEST).read_to_end(&mut text);
        read.map_err(|e| self.failed(format!("cannot be fetched: {e}")))?;
        serde_json::from_slice(&text).map_err(|e| self.failed(format!("is told of wrongly: {e}")))
    }

    /// What the hub says of a file: before it sends elsewhere, where its etag may be another.
    fn announced(&self, url: &str) -> Result<Announced> {
        let mut url = url.to_string();
        // Models that were renamed; more than a few lead nowhere.
        for _ in 0..5 {
            let mut request = self.agent.head(&url).config().max_redirects(0).build();
            if let Some(token) = self.authorization() {
                request = request.header("authorization", token);
            }
            let answer = self.answered(request.call())?;
            let headers = answer.headers();
            let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            match text("location").filter(|to| to.starts_with('/') && !to.starts_with("//")) {
                Some(to) if answer.status().is_redirection() => {
                    url = format!("{}{to}", self.endpoint);
                }
                _ => return announced(headers).ok_or_else(|| self.failed("has no etag or length")),
            }
        }
        Err(self.failed("the hub sends from place to place"))
    }

    /// Fetches a file into `blobs` of a model's folder in the cache; where it is there. `told`
    /// hears of the bytes that are there, and of all.
    pub(super) fn file(
        &self,
        url: &str,
        folder: &Path,
        told: &mut dyn FnMut(u64, u64),
    ) -> Result<PathBuf> {
        let Announced { etag, length } = self.announced(url)?;
        let blob = folder.join("blobs").join(&etag);
        if !blob.exists() {
            let partial = blob.with_file_name(format!("{etag}.incomplete"));
            self.fill(url, &partial, length, told)?;
            if etag.len() == DIGEST && hash(&partial)? != etag {
                fs::remove_file(&partial).map_err(|e| Error::io(&partial, &e, "remove"))?;
                return Err(self.failed("what has come is not what was announced (SHA-256)"));
            }
            fs::rename(&partial, &blob).map_err(|e| Error::io(&blob, &e, "write"))?;
        }
        Ok(blob)
    }

    /// Writes what is missing of a file of `length` bytes.
    fn fill(
        &self,
        url: &str,
        partial: &Path,
        length: u64,
        told: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        let broken = |e: &io::Error| Error::io(partial, e, "write");
        make_parent(partial)?;
        let open = OpenOptions::new().append(true).create(true).open(partial);
        let mut file = open.map_err(|e| broken(&e))?;
        let mut done = file.metadata().map_err(|e| broken(&e))?.len();
        if done < length {
            let mut request = self.agent.get(url);
            if let Some(token) = self.authorization() {
                request = request.header("authorization", token);
            }
            if done > 0 {
                request = request.header("range", format!("bytes={done}-"));
            }
            let mut answer = self.answered(request.call())?;
            // It may not know parts.
            if done > 0 && answer.status().as_u16() != 206 {
                file.set_len(0).map_err(|e| broken(&e))?;
                done = 0;
            }
            let from = answer.body_mut().as_reader();
            done = self.copy(from, (&mut file, partial), (done, length), told)?;
        }
        file.sync_all().map_err(|e| broken(&e))?;
        if done == length {
            return Ok(());
        }
        if done > length {
            // Nothing of it can be trusted.
            file.set_len(0).map_err(|e| broken(&e))?;
        }
        Err(self.failed(format!("has {done} of {length} bytes")))
    }

    /// Appends what comes to a file that has `done` of `length` bytes; how many it has then.
    fn copy(
        &self,
        mut from: impl Read,
        (file, path): (&mut File, &Path),
        (mut done, length): (u64, u64),
        told: &mut dyn FnMut(u64, u64),
    ) -> Result<u64> {
        let mut chunk = vec![0; CHUNK];
        loop {
            told(done, length);
            let count = match from.read(&mut chunk) {
                Ok(0) => return Ok(done),
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    return Err(self.failed(format!("broke off at byte {done} of {length}: {e}")));
                }
            };
            file.write_all(&chunk[..count]).map_err(|e| Error::io(path, &e, "write"))?;
            done += count as u64;
            if done > length {
                return Ok(done);
            }
        }
    }
}

/// What headers say of a file; `None` without a name that a file can have, or a length.
fn announced(headers: &HeaderMap) -> Option<Announced> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let etag = text("x-linked-etag").or_else(|| text("etag"))?;
    let etag = etag.trim_start_matches("W/").trim_matches('"');
    let plain = !etag.is_empty() && etag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let length = text("x-linked-size").or_else(|| text("content-length"))?.parse().ok()?;
    plain.then(|| Announced { etag: etag.into(), length })
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().expect("a file in a folder");
    fs::create_dir_all(parent).map_err(|e| Error::io(parent, &e, "make"))
}

/// Puts a blob where a snapshot has it: as a link, or itself where there are none.
pub(super) fn place(blob: &Path, link: &Path) -> Result<()> {
    make_parent(link)?;
    let name = blob.file_name().expect("a blob has a name");
    let to: PathBuf = Path::new("../../blobs").join(name);
    let linked = match system::link(&to, link) {
        Err(e) if e.kind() == io::ErrorKind::Unsupported => fs::rename(blob, link),
        linked => linked,
    };
    match linked {
        // What another program has put there in the meantime is the same.
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(Error::io(link, &e, "write")),
        _ => {
            atomic::sync_folder(link.parent().expect("a file in a folder"));
            Ok(())
        }
    }
}
