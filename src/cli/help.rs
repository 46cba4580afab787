//! The help: commands in groups, an example for each, shells' completions and man pages.

use clap::{Command, CommandFactory};

/// Columns that help is wrapped at.
const COLUMNS: usize = 100;

/// A command with its examples.
type Examples = (&'static str, &'static [&'static str]);

/// Groups of commands, each command with examples of its use.
const GROUPS: [(&str, &[Examples]); 6] = [
    (
        "Models",
        &[
            (
                "train",
                &[
                    "edgegrad train parity.toml --seeds 3",
                    "edgegrad train parity.toml --set train.lr=1e-3 --out runs/slow",
                ],
            ),
            (
                "transplant",
                &[
                    "edgegrad transplant runs/p4/checkpoints/final --from runs/p2/checkpoints/final \
                     --copy pos_emb,query --out mixed",
                    "edgegrad transplant runs/p4/checkpoints/final --ablate mlp --out no-mlp",
                ],
            ),
            ("pretrain", &["edgegrad pretrain --out runs/base"]),
            (
                "run",
                &[
                    "edgegrad run --model gpt2/ --text \"The keys to the cabinet\"",
                    "edgegrad run --model gpt2/ --tokens ids.jsonl --out logits.safetensors",
                ],
            ),
            ("tokens", &["edgegrad tokens --model smollm2.gguf \"The keys to the cabinet\""]),
            (
                "pairs",
                &[
                    "edgegrad pairs ioi --model gpt2 --n 100 --out ioi.jsonl",
                    "edgegrad pairs --from data/ioi/gpt2.csv --model gpt2 --out ioi.jsonl",
                ],
            ),
            ("convert", &["edgegrad convert model.gguf --out model/"]),
            ("info", &["edgegrad info gpt2/"]),
        ],
    ),
    (
        "Circuits",
        &[
            (
                "attribute",
                &[
                    "edgegrad attribute --model gpt2/ --pairs ioi.jsonl --out scores.json",
                    "edgegrad attribute --model gpt2/ --pairs ioi.jsonl --method mask-ig --dtype f64 \
                     --out scores.json",
                ],
            ),
            (
                "discover",
                &[
                    "edgegrad discover --model gpt2/ --pairs ioi.jsonl --scores scores.json \
                     --edges 200 --out circuit.json",
                    "edgegrad discover --model gpt2/ --pairs ioi.jsonl --scores scores.json \
                     --faithfulness 0.9 --connected --out circuit.json",
                ],
            ),
            (
                "evaluate",
                &[
                    "edgegrad evaluate --model gpt2/ --pairs held-out.jsonl --circuit circuit.json \
                     --null 100 --out judged.json",
                    "edgegrad evaluate --model gpt2/ --pairs held-out.jsonl --scores scores.json \
                     --curve --out curve.json",
                ],
            ),
            ("compare", &["edgegrad compare eap.json exact.json --top 20"]),
            ("ensemble", &["edgegrad ensemble eap.json eap-ig.json --out scores.json"]),
            (
                "interactions",
                &["edgegrad interactions --model gpt2/ --pairs ioi.jsonl --out interactions.json"],
            ),
            (
                "crossing",
                &["edgegrad crossing --model gpt2/ --pairs ioi.jsonl --spans --out crossing.json"],
            ),
            ("look", &["edgegrad look --model gpt2/ --pairs ioi.jsonl --out look.json"]),
            (
                "mib",
                &[
                    "edgegrad mib write scores.json --cell ioi_gpt2 --out submission",
                    "edgegrad mib check submission",
                ],
            ),
            ("truth", &["edgegrad truth compiled/ --methods eap,mask-ig,exact,random"]),
        ],
    ),
    (
        "Tuning",
        &[
            (
                "tune",
                &["edgegrad tune --model runs/base --task E1 --select share --out runs/tuned"],
            ),
            ("tune-compare", &["edgegrad tune-compare examples/tuning/e1.toml"]),
            (
                "tune-study",
                &[
                    "edgegrad tune-study examples/tuning/study.toml",
                    "edgegrad tune-study examples/tuning/study.toml --bases 3 --out runs/small",
                ],
            ),
        ],
    ),
    (
        "Many runs",
        &[
            (
                "sweep",
                &[
                    "edgegrad sweep examples/sweeps/batch.toml --dry-run",
                    "edgegrad sweep examples/sweeps/batch.toml --shard 1/4 --out runs/batch",
                    "edgegrad sweep examples/sweeps/batch.toml --emit slurm --shards 8 > array.sh",
                ],
            ),
            (
                "table",
                &[
                    "edgegrad table runs/batch --by train.batch --value test_accuracy",
                    "edgegrad table runs/batch --by train.batch --value steps_to_99 --markdown",
                ],
            ),
            (
                "filter",
                &[
                    "edgegrad filter runs/batch --where \"test_accuracy >= 0.95\" --out solved.jsonl",
                ],
            ),
            ("merge", &["edgegrad merge runs/batch"]),
        ],
    ),
    (
        "Results",
        &[
            ("predict", &["edgegrad predict runs/curriculum --solved"]),
            ("report", &["edgegrad report runs/parity scores.json --out report.html"]),
            ("watch", &["edgegrad watch runs/parity"]),
            ("plot", &["edgegrad plot runs/parity --figure curves --out curves.pdf"]),
            ("export", &["edgegrad export circuit.json --format dot --out circuit.dot"]),
        ],
    ),
    (
        "Shell",
        &[
            ("completions", &["edgegrad completions bash > /etc/bash_completion.d/edgegrad"]),
            ("man", &["edgegrad man --out /usr/local/share/man/man1", "edgegrad man | man -l -"]),
        ],
    ),
];

/// The command line with its examples and groups.
pub(crate) fn command() -> Command {
    let mut command = <super::Cli as CommandFactory>::command().max_term_width(COLUMNS);
    let groups = groups(&command);
    for (name, examples) in GROUPS.iter().flat_map(|(_, commands)| commands.iter()) {
        command = command.mut_subcommand(name, |sub| {
            let lines = examples.iter().map(|example| format!("\n  {}", folded(example)));
            let more = sub.get_after_help().map(|more| format!("\n\n{more}"));
            let examples = lines.collect::<String>();
            sub.after_help(format!("Examples:{examples}{}", more.unwrap_or_default()))
        });
    }
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}\n\n\
         `edgegrad COMMAND --help` says what each option and value means, with examples."
    ))
}

/// The commands under the heads of their groups, each with what it does.
fn groups(command: &Command) -> String {
    let mut out = String::new();
    for (head, commands) in GROUPS {
        out += &format!("{head}:\n");
        for (name, _) in commands {
            let sub = command.find_subcommand(name).expect("a test finds all of them");
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            out += &format!("  {name:12}  {about}\n");
        }
        out.push('\n');
    }
    out
}

/// A command on lines that fit, those after the first continued as shells do; an option stays with
/// its value.
fn folded(example: &str) -> String {
    let mut options = example.split(" --");
    let mut lines = vec![options.next().unwrap_or_default().to_string()];
    for option in options {
        let last = lines.last_mut().expect("there is one");
        match last.len() + option.len() + 11 > COLUMNS {
            true => lines.push(format!("--{option}")),
            false => *last += &format!(" --{option}"),
        }
    }
    lines.join(" \\\n      ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    fn examples() -> impl Iterator<Item = (&'static str, &'static &'static str)> {
        let commands = GROUPS.iter().flat_map(|(_, commands)| commands.iter());
        commands.flat_map(|(name, examples)| examples.iter().map(|example| (*name, example)))
    }

    #[test]
    fn every_command_is_in_one_group_with_examples_that_parse() {
        let mut grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, commands)| commands.iter().map(|(name, _)| *name))
            .collect();
        let mut known: Vec<String> = <super::super::Cli as CommandFactory>::command()
            .get_subcommands()
            .map(|c| c.get_name().into())
            .collect();
        grouped.sort_unstable();
        known.sort_unstable();
        assert_eq!(grouped, known);
        for (name, example) in examples() {
            let typed = example.split(['>', '|']).next().expect("a command comes first");
            // Every other part is inside of quotes, and one word.
            let parts = typed.split('"').enumerate();
            let words: Vec<&str> = parts
                .flat_map(|(i, part)| match i % 2 {
                    0 => part.split_whitespace().collect(),
                    _ => vec![part],
                })
                .collect();
            assert_eq!(words[1], name, "{example}");
            let matches = command().try_get_matches_from(&words);
            let read = matches.and_then(|matches| super::super::Cli::from_arg_matches(&matches));
            assert!(read.is_ok(), "{example}: {}", read.unwrap_err());
            for word in words.iter().filter(|word| word.starts_with("examples/")) {
                assert!(std::path::Path::new(word).exists(), "{example}: {word}");
            }
        }
    }

    #[test]
    fn no_line_of_help_is_wider_than_a_page() {
        let mut all = command();
        all.build();
        let narrow = |text: String, name: &str| {
            for line in text.lines() {
                assert!(line.chars().count() <= COLUMNS, "{name}: {line}");
            }
        };
        narrow(all.render_help().to_string(), "edgegrad");
        for sub in all.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
            let name = sub.get_name().to_string();
            narrow(sub.render_help().to_string(), &name);
            narrow(sub.render_long_help().to_string(), &name);
            assert!(sub.render_help().to_string().contains("Examples:\n  edgegrad"), "{name}");
        }
    }
}
