//! `edgegrad watch`.

use clap::Args;
use edgegrad::error::{Error, Result};
use edgegrad::page::Watch as Page;
use std::io::Write;
use std::path::PathBuf;

/// Show the page of a running training in a browser, up to date, until Ctrl-C
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// A run folder, a folder of seeds, or one of arms with seeds
    run: PathBuf,
    /// The port; 0 is any that is free
    #[arg(long, value_name = "N", default_value_t = 8642)]
    port: u16,
    /// The address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    host: String,
    /// Listen on --host even if other machines can reach it and read the page
    #[arg(long)]
    expose: bool,
}

impl Watch {
    pub(super) fn run(&self) -> Result<()> {
        let page = Page::listen(&self.run, &self.host, self.port, self.expose)?;
        // Before anyone can know the port, so that scripts can read it from a pipe.
        let mut out = std::io::stdout();
        writeln!(out, "{}\nCtrl-C ends it", page.address())
            .and_then(|()| out.flush())
            .map_err(|e| Error::io("standard output", &e, "write"))?;
        page.serve()
    }
}
