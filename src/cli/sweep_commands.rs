//! The runs of a sweep that are commands: their configurations are options, and they run in this
//! process as if they had been typed.

use crate::cli::{Cli, help, print};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, FromArgMatches};
use edgegrad::checkpoints;
use edgegrad::error::{Error, Result};
use edgegrad::experiments::Steps;
use edgegrad::experiments::sweep::{Command, Ended, Place, Plan, Resolved, Runner};
use edgegrad::experiments::tune::{Settings, files as tuned};
use edgegrad::files::journal::Journal;
use edgegrad::files::{self, atomic, input};
use edgegrad::formats::{EdgeFile, Entry};
use edgegrad::named::{Named, suggest};
use serde_json::{Map, Value};
use std::any::TypeId;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use toml::{Table, Value as Toml};

/// Runs commands.
pub(super) struct Commands {
    command: Command,
    /// Where relative paths start.
    folder: PathBuf,
    /// Whether what takes more than a day is run.
    yes: bool,
    /// The hashes of what is read, by path.
    hashes: Mutex<BTreeMap<PathBuf, String>>,
}

/// Options on which no result depends.
const APART: [&str; 8] = ["out", "force", "resume", "yes", "threads", "quiet", "json", "csv"];

impl Commands {
    pub(super) fn new(plan: &Plan, yes: bool) -> Commands {
        let folder = plan.source.parent().unwrap_or(Path::new("")).into();
        Commands { command: plan.command, folder, yes, hashes: Mutex::default() }
    }

    /// The command line of a configuration, without what this process adds.
    fn arguments(&self, config: &Table) -> Result<Vec<OsString>> {
        let all = help::command();
        let name = self.command.name();
        let options = all.find_subcommand(name).expect("it is a command");
        let known: Vec<&Arg> = options
            .get_arguments()
            .filter(|arg| arg.get_long().is_some_and(|long| !APART.contains(&long)))
            .collect();
        let mut line: Vec<OsString> = vec!["edgegrad".into(), name.into()];
        for (key, value) in config {
            let long = key.replace('_', "-");
            match known.iter().find(|arg| arg.get_long() == Some(&long)) {
                Some(arg) => self.option(&mut line, arg, &long, value)?,
                None if self.command == Command::Tune => {
                    line.extend(["--set".into(), format!("{key}={value}").into()]);
                }
                None => {
                    let names: Vec<&str> = known.iter().filter_map(|arg| arg.get_long()).collect();
                    let help = match suggest(&long, names.iter().copied()) {
                        Some(near) => format!("did you mean `{}`?", near.replace('-', "_")),
                        None => format!("`edgegrad {name} --help` lists the options"),
                    };
                    return Err(Error::input(key, "unknown key", help));
                }
            }
        }
        Ok(line)
    }

    /// Adds an option with its value to a command line.
    fn option(&self, line: &mut Vec<OsString>, arg: &Arg, long: &str, value: &Toml) -> Result<()> {
        let one = |value: &Toml| value.as_str().map_or_else(|| value.to_string(), String::from);
        if matches!(arg.get_action(), ArgAction::SetTrue) {
            let on = value.as_bool().ok_or_else(|| {
                let help = format!("write for example `{} = true`", long.replace('-', "_"));
                Error::input(long, format!("expected true or false, got {value}"), help)
            })?;
            line.extend(on.then(|| format!("--{long}").into()));
            return Ok(());
        }
        let text = match value {
            Toml::Array(list) => list.iter().map(one).collect::<Vec<_>>().join(","),
            Toml::Table(_) => {
                return Err(Error::input(long, "expected a value, got a table", "see --help"));
            }
            value => one(value),
        };
        let beside = self.folder.join(&text);
        let is_path = arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
        let value =
            if is_path || long == "model" && beside.exists() { beside } else { text.into() };
        let mut option = OsString::from(format!("--{long}="));
        option.push(value);
        line.push(option);
        Ok(())
    }

    /// What the text of the results depends on: every option but [`APART`], with its usual value
    /// where none is given, and the content of files.
    fn resolved(&self, matches: &ArgMatches) -> Result<String> {
        let mut text = String::new();
        let given = matches.ids().map(|id| id.as_str()).filter(|id| !APART.contains(id));
        // Groups of options are among them.
        let mut ids: Vec<&str> =
            given.filter(|id| matches.try_get_raw(id).is_ok_and(|found| found.is_some())).collect();
        ids.sort_unstable();
        for id in ids {
            if matches.value_source(id).is_none_or(|source| source == ValueSource::EnvVariable) {
                continue;
            }
            for raw in matches.get_raw(id).into_iter().flatten() {
                let path = Path::new(raw);
                let value = match path.exists() {
                    true => self.hash(path)?,
                    false => raw.to_string_lossy().into_owned(),
                };
                text += &format!("{id} = {value:?}\n");
            }
        }
        Ok(text)
    }

    fn hash(&self, path: &Path) -> Result<String> {
        let mut hashes = self.hashes.lock().expect("nobody panics with the lock");
        if let Some(hash) = hashes.get(path) {
            return Ok(hash.clone());
        }
        let hash = if path.is_dir() { checkpoints::hash(path) } else { files::hash(path) }?;
        hashes.insert(path.into(), hash.clone());
        Ok(hash)
    }

    /// What a result says.
    fn figures(&self, out: &Path) -> Result<Map<String, Value>> {
        let mut all = Map::new();
        let mut put = |name: &str, value: Value| all.insert(name.into(), value);
        match self.command {
            Command::Tune => {
                let report = tuned::read_report(out)?;
                if let Some(last) = report.path.last() {
                    for (name, x) in last.judgement.entries() {
                        put(&name.replace(' ', "_"), x.into());
                    }
                    put("balance", last.judgement.balance().into());
                }
                put("steps", report.steps.into());
                put("trained", report.trained.into());
                put("ever_trained", report.ever_trained.into());
                put("diverged", report.diverged.into());
            }
            Command::Attribute | Command::Discover => {
                let file = EdgeFile::read(out)?;
                let kept = |list: &[(String, Entry)]| list.iter().filter(|e| e.1.in_graph).count();
                if self.command == Command::Discover {
                    put("edges", kept(&file.edges).into());
                    put("nodes", kept(&file.nodes).into());
                }
                if let Some(of) = file.meta.get("completeness").and_then(Value::as_object) {
                    for (name, value) in of {
                        put(&format!("completeness_{name}"), value.clone());
                    }
                }
            }
            Command::Train | Command::Evaluate => {
                let text = input::text(out, input::DATA)?;
                let value = serde_json::from_str(&text).map_err(|e| {
                    Error::input(out.display(), e, "remove it, and go on with --resume")
                })?;
                scalars("", value, &mut all);
            }
        }
        Ok(all)
    }
}

/// The numbers in a value, by their keys with dots; those in arrays are left out.
fn scalars(above: &str, value: Value, all: &mut Map<String, Value>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let key = if above.is_empty() { key } else { format!("{above}.{key}") };
                scalars(&key, value, all);
            }
        }
        value @ (Value::Number(_) | Value::Bool(_)) => drop(all.insert(above.into(), value)),
        _ => {}
    }
}

/// Reads a command line.
fn parsed(line: &[OsString]) -> Result<(ArgMatches, Cli)> {
    let read = help::command().try_get_matches_from(line);
    let read = read.and_then(|matches| Ok((matches.clone(), Cli::from_arg_matches(&matches)?)));
    read.map_err(|e| {
        let text = e.to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default().trim_start_matches("error: ");
        let rest: Vec<&str> = lines
            .take_while(|line| !line.starts_with("Usage") && !line.starts_with("For more"))
            .collect();
        let help =
            if rest.is_empty() { "see `edgegrad COMMAND --help`".into() } else { rest.join("; ") };
        Error::input(line[1].display(), first, help)
    })
}

impl Runner for Commands {
    fn resolve(&self, config: &Table) -> Result<Resolved> {
        let mut line = self.arguments(config)?;
        line.push("--out=out".into());
        let (matches, cli) = parsed(&line)?;
        let (_, matches) = matches.subcommand().expect("it is a command");
        let mut text = self.resolved(matches)?;
        let mut steps = 1;
        if let super::Command::Tune(tune) = &cli.command {
            let settings: Settings = tune.settings()?;
            steps = settings.steps as u64;
            text += &format!("{settings:?}\n");
        }
        Ok(Resolved { text, steps })
    }

    fn run(&self, config: &Table, place: &Place<'_>, progress: &dyn Steps) -> Result<Ended> {
        let Place { folder, threads } = *place;
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, &e, "make"))?;
        let out = folder.join(self.command.result());
        let mut line = self.arguments(config)?;
        let told: Vec<_> = line.iter().map(|word| word.to_string_lossy()).collect();
        let text = format!("# {}\n{config}", told.join(" "));
        atomic::write_bytes(folder.join("config.toml"), text.as_bytes())?;
        // A result is there as a whole or not at all.
        if out.exists() {
            Journal::remove_left(&out);
        } else {
            let mut option = OsString::from("--out=");
            option.push(&out);
            line.extend([option, format!("--threads={threads}").into()]);
            if folder.join(format!(".{}.journal", self.command.result())).exists() {
                line.push("--resume".into());
            }
            if self.yes {
                line.push("--yes".into());
            }
            print::hushed(|| parsed(&line)?.1.command())?;
        }
        progress.add(self.resolve(config)?.steps);
        Ok(Ended { figures: self.figures(&out)?, diverged: None })
    }

    fn seconds(&self, _: &Table) -> Result<Option<f64>> {
        Ok(None)
    }

    fn figure(&self) -> Option<(&'static str, bool)> {
        match self.command {
            Command::Tune => Some(("balance", true)),
            Command::Discover => Some(("edges", false)),
            Command::Evaluate => Some(("faithfulness", true)),
            Command::Train | Command::Attribute => None,
        }
    }
}
