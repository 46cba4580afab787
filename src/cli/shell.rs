//! `edgegrad completions` and `edgegrad man`.

use super::out::{Force, check_out};
use super::{help, print};
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use edgegrad::error::{Error, Result};
use edgegrad::files::atomic;
use edgegrad::files::mark::GENERATOR;
use std::path::{Path, PathBuf};

/// Print a shell's completions of commands, options and values
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<()> {
        let mut text = vec![];
        clap_complete::generate(self.shell, &mut help::command(), "edgegrad", &mut text);
        print::raw(&String::from_utf8_lossy(&text));
        Ok(())
    }
}

/// Print the man page, or write one for each command
#[derive(Debug, Args)]
pub(super) struct ManPages {
    /// The folder for edgegrad.1, edgegrad-train.1 and so on
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace pages in the folder even if edgegrad has not written them
    #[arg(long, requires = "out")]
    force: bool,
}

impl ManPages {
    pub(super) fn run(&self) -> Result<()> {
        let mut command = help::command().disable_help_subcommand(true);
        let Some(folder) = &self.out else {
            print::raw(&String::from_utf8_lossy(&text(&Man::new(command))));
            return Ok(());
        };
        command.build();
        let commands = command.get_subcommands().chain([&command]);
        let page = |of: &Command| {
            let page = Man::new(of.clone());
            (folder.join(page.get_filename()), text(&page))
        };
        let pages: Vec<(PathBuf, Vec<u8>)> = commands.map(page).collect();
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, &e, "make"))?;
        // All of them before the first is written.
        for (path, _) in &pages {
            check_out(path, Force { force: self.force }, [] as [&Path; 0])?;
        }
        pages.iter().try_for_each(|(path, text)| atomic::write_bytes(path, text))?;
        println!("man pages: {}", folder.display());
        Ok(())
    }
}

/// A page, marked as written by edgegrad in a comment.
fn text(page: &Man) -> Vec<u8> {
    let mut text = format!(".\\\" generator: {GENERATOR}\n").into_bytes();
    page.render(&mut text).expect("memory takes what is written");
    text
}
