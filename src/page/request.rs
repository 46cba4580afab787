//! One HTTP request of the live page, read with limits: `GET` or `HEAD` of `/` or `/version`.
//!
//! Whoever can connect may send anything: other users of this machine, and any web page that its
//! browsers show. So nothing is taken from a request but which of the two things is asked for. A
//! page elsewhere cannot read the answers (they allow no other origin), and if its name is pointed
//! to this machine afterwards (DNS rebinding) its requests still carry that name as `Host`, which
//! is refused.

use std::io::{ErrorKind, Read};
use std::time::Instant;

/// Bytes of a request's head; browsers send less than one KiB here.
const LARGEST: usize = 8 << 10;

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The page.
    Page,
    /// What it was made from, as a short hash.
    Version,
}

/// A request that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) asked: Asked,
    /// `HEAD`: the answer's head alone.
    pub(super) head: bool,
}

/// A status line and what it means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) &'static str, pub(super) &'static str);

const MALFORMED: Refusal = Refusal("400 Bad Request", "this is no request of HTTP/1.1");
const FOREIGN: Refusal =
    Refusal("403 Forbidden", "this page is served under the address that edgegrad watch printed");
const ABSENT: Refusal = Refusal("404 Not Found", "there is nothing here but the page, /");
const METHOD: Refusal = Refusal("405 Method Not Allowed", "the page can be read, by GET and HEAD");
const SLOW: Refusal = Refusal("408 Request Timeout", "the request did not come in time");
const LONG: Refusal = Refusal("431 Request Header Fields Too Large", "the request is too long");

/// Names under which the page may be asked for.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    /// The name or address that was asked for on the command line.
    pub(super) own: String,
    /// Whether any address will do: rebinding needs a name, and a socket that listens on all
    /// addresses does not know which of them it is reached by.
    pub(super) addresses: bool,
}

impl Hosts {
    /// Whether a `Host` header names this server. The port may be another one: tunnels change it.
    fn hold(&self, header: &str) -> bool {
        let (name, port) = match header.rfind(':') {
            Some(colon) if !header.ends_with(']') => (&header[..colon], &header[colon + 1..]),
            _ => (header, ""),
        };
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let address = match bare {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => name.parse::<std::net::Ipv4Addr>().is_ok(),
        };
        let known = ["127.0.0.1", "localhost", "[::1]", &self.own];
        port.bytes().all(|b| b.is_ascii_digit())
            && (known.iter().any(|known| known.eq_ignore_ascii_case(name))
                || bare.is_some_and(|bare| bare == self.own)
                || (self.addresses && address))
    }
}

/// Reads bytes up to the empty line that ends a request's head. `None` if nobody said anything:
/// browsers open connections that they may need later.
///
/// A read of `stream` has to give up by itself; by `deadline` this does.
pub(super) fn read(stream: &mut impl Read, deadline: Instant) -> Result<Option<Vec<u8>>, Refusal> {
    let (mut bytes, mut part) = (Vec::new(), [0; 1024]);
    loop {
        if bytes.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(Some(bytes));
        }
        if bytes.len() >= LARGEST {
            return Err(LONG);
        }
        let silent = bytes.is_empty();
        if Instant::now() >= deadline {
            return if silent { Ok(None) } else { Err(SLOW) };
        }
        match stream.read(&mut part) {
            Ok(0) if silent => return Ok(None),
            Ok(0) => return Err(MALFORMED),
            Ok(n) => bytes.extend_from_slice(&part[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) if silent => return Ok(None),
            Err(_) => return Err(SLOW),
        }
    }
}

/// What the head of a request asks for.
pub(super) fn parse(bytes: &[u8], hosts: &Hosts) -> Result<Request, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| MALFORMED)?;
    let (head, _) = text.split_once("\r\n\r\n").ok_or(MALFORMED)?;
    let mut lines = head.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.0" | "HTTP/1.1"] = words[..] else { return Err(MALFORMED) };
    let mut named = vec![];
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(MALFORMED)?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(MALFORMED);
        }
        if name.eq_ignore_ascii_case("host") {
            named.push(value.trim());
        }
    }
    let [host] = named[..] else { return Err(MALFORMED) };
    if !hosts.hold(host) {
        return Err(FOREIGN);
    }
    let head = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Err(METHOD),
    };
    // Compared as they are: what would have to be decoded is not one of the two.
    match target {
        "/" => Ok(Request { asked: Asked::Page, head }),
        "/version" => Ok(Request { asked: Asked::Version, head }),
        _ => Err(ABSENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn hosts() -> Hosts {
        Hosts { own: "127.0.0.1".into(), addresses: false }
    }

    fn asked(line: &str, headers: &str) -> Result<Request, Refusal> {
        parse(format!("{line} HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes(), &hosts())
    }

    #[test]
    fn two_things_can_be_asked_for() {
        let page = Request { asked: Asked::Page, head: false };
        assert_eq!(asked("GET /", "Host: localhost:80\r\nAccept: */*"), Ok(page));
        assert_eq!(asked("HEAD /", "host:127.0.0.1"), Ok(Request { head: true, ..page }));
        let version = Request { asked: Asked::Version, head: false };
        assert_eq!(asked("GET /version", "HOST: [::1]:8642"), Ok(version));
        for target in [
            "/../config.toml",
            "/%2e%2e/config.toml",
            "/config.toml",
            "//",
            "/.",
            "/version/",
            "/?x",
            "/VERSION",
            "*",
            "http://localhost/",
            "..",
        ] {
            assert_eq!(asked(&format!("GET {target}"), "Host: localhost"), Err(ABSENT), "{target}");
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "get"] {
            assert_eq!(asked(&format!("{method} /"), "Host: localhost"), Err(METHOD), "{method}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let host = "Host: localhost";
        for line in ["GET", "GET /  ", " GET /", "GET / /", ""] {
            assert_eq!(asked(line, host), Err(MALFORMED), "{line:?}");
        }
        for headers in ["Accept: */*", "Host: localhost\r\nHost: evil.example", "Host : localhost"]
        {
            assert_eq!(asked("GET /", headers), Err(MALFORMED), "{headers:?}");
        }
        let old = b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n";
        assert_eq!(parse(old, &hosts()), Err(MALFORMED));
        assert_eq!(parse(b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", &hosts()), Err(MALFORMED));
    }

    #[test]
    fn other_names_are_refused() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "",
            "10.0.0.7",
            "::1",
            "localhost:x",
        ] {
            assert_eq!(asked("GET /", &format!("Host: {host}")), Err(FOREIGN), "{host}");
        }
        let exposed = Hosts { own: "0.0.0.0".into(), addresses: true };
        for (host, good) in
            [("10.0.0.7:8642", true), ("[fe80::1]", true), ("box", false), ("evil.example", false)]
        {
            assert_eq!(exposed.hold(host), good, "{host}");
        }
        let named = Hosts { own: "Box.local".into(), addresses: false };
        assert!(named.hold("box.local:8642") && !named.hold("10.0.0.7"));
        assert!(Hosts { own: "fe80::1".into(), addresses: false }.hold("[fe80::1]:1"));
    }

    #[test]
    fn reading_ends() {
        let soon = Instant::now() + Duration::from_secs(60);
        let read = |mut bytes: &[u8]| read(&mut bytes, soon);
        assert_eq!(read(b""), Ok(None));
        assert_eq!(read(b"GET /"), Err(MALFORMED), "closed in the middle");
        assert_eq!(read(&[b'x'; 2 * LARGEST]), Err(LONG));
        let whole = [&b"GET / HTTP/1.1\r\nA: "[..], &[b'x'; 5000], b"\r\n\r\n"].concat();
        assert_eq!(read(&whole), Ok(Some(whole.clone())));
        let now = Instant::now();
        assert_eq!(super::read(&mut &b"GET /"[..], now), Ok(None));
        struct Slow;
        impl Read for Slow {
            fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
                std::thread::sleep(Duration::from_millis(5));
                bytes[0] = b'x';
                Ok(1)
            }
        }
        assert_eq!(super::read(&mut Slow, now + Duration::from_millis(30)), Err(SLOW));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(
            start in "(GET|HEAD|POST|) ?(/|/version|/\\.\\./x|) ?(HTTP/1.1|)(\r\n|)(Host:|)",
            rest in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let bytes = [start.as_bytes(), &rest, b"\r\n\r\n"].concat();
            let _ = parse(&bytes, &hosts());
        }
    }
}
