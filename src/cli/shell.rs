//! `edgegrad completions` and `edgegrad man`.

use super::{help, print};
use clap::Args;
use clap_complete::Shell;
use clap_mangen::Man;
use edgegrad::error::{Error, Result};
use std::path::PathBuf;

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
}

impl ManPages {
    pub(super) fn run(&self) -> Result<()> {
        let command = help::command();
        match &self.out {
            Some(folder) => {
                std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, &e, "make"))?;
                clap_mangen::generate_to(command, folder)
                    .map_err(|e| Error::io(folder, &e, "write into"))?;
                println!("man pages: {}", folder.display());
            }
            None => {
                let mut page = vec![];
                Man::new(command).render(&mut page).expect("memory takes what is written");
                print::raw(&String::from_utf8_lossy(&page));
            }
        }
        Ok(())
    }
}
