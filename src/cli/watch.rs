//! `edgegrad watch`.

use crate::cli::print;
use crate::cli::table::{Cell, Table};
use clap::Args;
use edgegrad::error::Result;
use edgegrad::page::Watch as Page;
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
        println!("{}\nCtrl-C ends it", page.address());
        let mut table = Table::new("watch", [("address", "address")]);
        table.row([Cell::text(page.address())]);
        table.print_for_programs();
        // Nothing is said after this, and scripts read the port from a pipe.
        print::json();
        print::finish()?;
        page.serve()
    }
}
