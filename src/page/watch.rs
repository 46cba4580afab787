//! The page of a training that is still running, served to a browser on the same machine.
//!
//! Two things can be asked for: `/`, the page as `edgegrad report` would write it now, and
//! `/version`, a short hash of the run's files, by which the page notices that it is out of date
//! and loads itself again. No address leads to a file, so nothing but what the page shows leaves
//! the folder.
//!
//! HTTP is a request of a few lines and one answer for each connection, so the standard library
//! does; a crate for it would bring bodies, encodings and upgrades that all had to be turned off.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::fingerprint;
use super::html;
use super::request;
use super::request::{Asked, Hosts, Refusal, Request};
use crate::error::{Error, Result};
use crate::results::sources::Sources;

/// Connections at once. Browsers keep one or two open that they do not use; more wait.
const THREADS: usize = 8;
/// How long a request may take to arrive, and the reader of an answer to take some of it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer may take in all.
const LONGEST: Duration = Duration::from_secs(60);

/// Sent with each answer. No other page may show, read or remember it; what the page itself may do
/// is in its own policy.
const HEADERS: &str = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
                       X-Frame-Options: DENY\r\nCross-Origin-Resource-Policy: same-origin\r\n\
                       Referrer-Policy: no-referrer\r\nConnection: close\r\n";

/// A page that follows its run folders, on an address that is listened on already.
#[derive(Debug)]
pub struct Watch {
    root: PathBuf,
    listener: TcpListener,
    address: SocketAddr,
    hosts: Hosts,
    /// The page as it was last made, and what it was made from.
    page: Mutex<Option<(String, Arc<str>)>>,
}

/// What is sent back.
struct Answer {
    status: &'static str,
    kind: &'static str,
    body: Arc<str>,
}

impl Watch {
    /// Listens on `host` (an address, or a name of this machine) and `port` (0: any that is free)
    /// for readers of the page of `root`, which is read once to see that there is something to
    /// show.
    ///
    /// # Errors
    /// When `root` holds no run, when `host` can be reached by other machines and `expose` is not
    /// set, and when the port cannot be listened on.
    pub fn listen(root: &Path, host: &str, port: u16, expose: bool) -> Result<Watch> {
        let root = root.to_path_buf();
        Sources::read(std::slice::from_ref(&root))?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let place = format!("{host}:{port}");
        let mut all = (bare, port).to_socket_addrs().map_err(|e| {
            Error::input(&place, e, "give an address of this machine, such as --host 127.0.0.1")
        })?;
        let address = all.next().ok_or_else(|| {
            Error::input(&place, "the name has no address", "give an address instead of a name")
        })?;
        if !is_loopback(address.ip()) && !expose {
            return Err(Error::input(
                &place,
                "other machines can reach this address, and read the page without a password",
                "leave --host out, or say that you want it by --expose",
            ));
        }
        let listener = TcpListener::bind(address).map_err(|e| cannot_listen(&place, &e))?;
        let address = listener.local_addr().map_err(|e| cannot_listen(&place, &e))?;
        let hosts = Hosts { own: bare.into(), addresses: address.ip().is_unspecified() };
        Ok(Watch { root, listener, address, hosts, page: Mutex::new(None) })
    }

    /// Where the page is, such as `http://127.0.0.1:8642/`.
    pub fn address(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Answers requests until the process ends.
    pub fn serve(&self) -> ! {
        std::thread::scope(|scope| {
            for _ in 1..THREADS {
                scope.spawn(|| self.accept());
            }
            self.accept()
        })
    }

    fn accept(&self) -> ! {
        loop {
            match self.listener.accept() {
                // A panic over a strange folder must not use up the threads one after the other.
                Ok((stream, _)) => drop(catch_unwind(AssertUnwindSafe(|| self.talk(stream)))),
                // Such as too many open files: it has to get better before it can go on.
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// One request and its answer. Whoever goes away in between is not missed.
    fn talk(&self, mut stream: TcpStream) {
        let timed = stream.set_read_timeout(Some(PATIENCE));
        if timed.and_then(|()| stream.set_write_timeout(Some(PATIENCE))).is_err() {
            return;
        }
        let bytes = match request::read(&mut stream, Instant::now() + PATIENCE) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => return,
            Err(refusal) => Err(refusal),
        };
        let request = bytes.and_then(|bytes| request::parse(&bytes, &self.hosts));
        let answer = match request {
            Ok(Request { asked, .. }) => self.answer(asked),
            Err(Refusal(status, why)) => Answer::text(status, format!("{why}\n")),
        };
        let head = request.is_ok_and(|request| request.head);
        if answer.send(&mut stream, head).is_ok() {
            linger(&mut stream);
        }
    }

    fn answer(&self, asked: Asked) -> Answer {
        match asked {
            Asked::Version => Answer::text("200 OK", fingerprint::of(&self.root)),
            Asked::Page => match self.page() {
                Ok(body) => Answer { status: "200 OK", kind: "text/html", body },
                Err(e) => {
                    let why = format!("{}\nhelp: {}\n", e.note(&self.root), e.help());
                    Answer::text("503 Service Unavailable", why)
                }
            },
        }
    }

    /// The page of the folder as it is, made anew only if something in it has changed.
    fn page(&self) -> Result<Arc<str>> {
        // Whoever asks meanwhile waits for the same page. The lock guards a cache, which a panic
        // leaves as it was.
        let mut kept = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before anything is read: what changes meanwhile then counts as not shown yet.
        let version = fingerprint::of(&self.root);
        if let Some((_, page)) = kept.as_ref().filter(|(made_from, _)| *made_from == version) {
            return Ok(Arc::clone(page));
        }
        let page: Arc<str> =
            html::render_live(&Sources::read(std::slice::from_ref(&self.root))?, &version).into();
        *kept = Some((version, Arc::clone(&page)));
        Ok(page)
    }
}

impl Answer {
    fn text(status: &'static str, text: String) -> Answer {
        Answer { status, kind: "text/plain", body: text.into() }
    }

    fn send(&self, stream: &mut TcpStream, head: bool) -> std::io::Result<()> {
        let Answer { status, kind, body } = self;
        let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\n\
             Content-Length: {length}\r\n{allow}{HEADERS}\r\n"
        )?;
        let deadline = Instant::now() + LONGEST;
        for part in body.as_bytes().chunks(1 << 16).take_while(|_| !head) {
            if Instant::now() >= deadline {
                return Err(ErrorKind::TimedOut.into());
            }
            stream.write_all(part)?;
        }
        stream.flush()
    }
}

/// Waits a moment for the other side to close: a socket that is closed before all of a refused
/// request was read takes the answer back.
fn linger(stream: &mut TcpStream) {
    let deadline = Instant::now() + Duration::from_millis(500);
    let mut part = [0; 4096];
    let quick = stream.set_read_timeout(Some(Duration::from_millis(100)));
    if quick.and_then(|()| stream.shutdown(Shutdown::Write)).is_ok() {
        while Instant::now() < deadline && stream.read(&mut part).is_ok_and(|n| n > 0) {}
    }
}

fn is_loopback(address: IpAddr) -> bool {
    // An IPv4 address can be written as one of IPv6.
    address.to_canonical().is_loopback()
}

fn cannot_listen(place: &str, e: &std::io::Error) -> Error {
    let (message, help) = match e.kind() {
        ErrorKind::AddrInUse => (
            "another program listens on this port".into(),
            "choose another --port; 0 is any free one",
        ),
        ErrorKind::PermissionDenied => {
            ("this port needs privileges".into(), "choose a --port from 1024 on; 0 is any free one")
        }
        ErrorKind::AddrNotAvailable => {
            ("this machine does not have this address".into(), "leave --host out")
        }
        _ => (format!("cannot listen on it: {e}"), "leave --host out, or choose another --port"),
    };
    Error::input(place, message, help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::synthetic::Synthetic;

    #[test]
    fn only_this_machine_unless_exposed() {
        let root = tempfile::tempdir().unwrap();
        Synthetic::small().write(root.path());
        let listen = |host, expose| Watch::listen(root.path(), host, 0, expose);
        for host in ["0.0.0.0", "::", "[::]", "::ffff:0.0.0.0", "192.0.2.1"] {
            let e = listen(host, false).unwrap_err();
            assert_eq!(e.exit_code(), 2, "{host}: {e}");
            assert!(e.help().contains("--expose"), "{host}: {e}");
        }
        let watch = listen("127.0.0.1", false).unwrap();
        assert!(watch.address().starts_with("http://127.0.0.1:"), "{}", watch.address());
        assert!(!watch.hosts.addresses);
        assert!(listen("0.0.0.0", true).unwrap().hosts.addresses);
        // An address of the documentation, which no machine has.
        let e = listen("192.0.2.1", true).unwrap_err();
        assert!(e.to_string().contains("does not have this address"), "{e}");
    }

    #[test]
    fn the_page_is_made_once_for_each_state() {
        let root = tempfile::tempdir().unwrap();
        Synthetic::small().write(root.path());
        let watch = Watch::listen(root.path(), "127.0.0.1", 0, false).unwrap();
        let first = watch.page().unwrap();
        assert!(Arc::ptr_eq(&first, &watch.page().unwrap()));
        let metrics = root.path().join("scratch/seed-01/metrics.jsonl");
        std::fs::remove_file(metrics).unwrap();
        let second = watch.page().unwrap();
        assert!(second.contains("<b>scratch, seed 1</b>: metrics.jsonl"));
        assert!(second.contains(&format!("data-version=\"{}\"", fingerprint::of(root.path()))));
        std::fs::remove_dir_all(root.path().join("scratch")).unwrap();
        std::fs::remove_dir_all(root.path().join("curriculum")).unwrap();
        let gone = watch.answer(Asked::Page);
        assert_eq!(gone.status, "503 Service Unavailable");
        assert!(!gone.body.contains(root.path().to_str().unwrap()), "{}", gone.body);
    }
}
