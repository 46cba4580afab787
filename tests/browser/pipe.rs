//! Messages of the DevTools protocol: JSON that ends with a zero byte, both ways.

use super::LIMIT;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

pub(super) struct Pipe {
    to: File,
    from: Receiver<Value>,
    last: u64,
    /// What came without being asked for and was not taken yet.
    pub(super) events: Vec<Value>,
}

impl Pipe {
    /// Opens both named pipes, which waits for the other side to do so.
    pub(super) fn open(commands: &Path, messages: &Path) -> Pipe {
        let (sender, from) = channel();
        let messages = messages.to_path_buf();
        // Ends with the browser, whose end of the pipe is the only other one.
        std::thread::spawn(move || {
            let Ok(file) = File::open(messages) else { return };
            for message in BufReader::new(file).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let to = File::options().write(true).open(commands).expect("the other end");
        Pipe { to, from, last: 0, events: vec![] }
    }

    /// Sends a command without waiting for what comes of it; its number.
    pub(super) fn send(&mut self, session: Option<&str>, method: &str, params: Value) -> u64 {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        // A browser that has gone is noticed by whoever waits for its answer.
        let _ = self.to.write_all(&bytes);
        self.last
    }

    /// Sends a command; its result.
    pub(super) fn call(
        &mut self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, String> {
        let id = self.send(session, method, params);
        let deadline = Instant::now() + LIMIT;
        loop {
            let mut message = self.next(deadline).map_err(|e| format!("{method}: {e}"))?;
            if message["id"] == id {
                return match message.get("error") {
                    Some(error) => Err(format!("{method}: {error}")),
                    None => Ok(message["result"].take()),
                };
            }
            self.keep(message);
        }
    }

    /// Takes in what has arrived.
    pub(super) fn poll(&mut self) {
        while let Ok(message) = self.from.try_recv() {
            self.keep(message);
        }
    }

    fn keep(&mut self, message: Value) {
        // Answers to `send` say nothing that is not an event, too.
        if message.get("method").is_none() {
            return;
        }
        // A dialog stops the page, and so whatever was asked of it.
        if message["method"] == "Page.javascriptDialogOpening" {
            let session = message["sessionId"].as_str().map(String::from);
            let no = json!({ "accept": false });
            self.send(session.as_deref(), "Page.handleJavaScriptDialog", no);
        }
        self.events.push(message);
    }

    fn next(&self, deadline: Instant) -> Result<Value, &'static str> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.from.recv_timeout(left).map_err(|e| match e {
            RecvTimeoutError::Timeout => "no answer in time",
            RecvTimeoutError::Disconnected => "the browser has ended",
        })
    }
}
