//! The page: one HTML file that needs nothing else.
//!
//! Everything read from disk is untrusted. In the markup it is escaped; in the data block it is
//! JSON without `<`, `>` and `&`; the script puts it on the page as text only. The content policy
//! lets exactly this page's own script and style run, by their hashes, and nothing be fetched.

use crate::files::mark::GENERATOR;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use super::data::PageData;
use super::digest::policy_source;
use super::pack::{Pack, deflated};
use super::script::script;
use crate::error::{Error, Result};
use crate::results::sources::Sources;
use crate::results::summary::{ArmSummary, HEADER, cells, headline};

const TEMPLATE: &str = include_str!("assets/page.html");
const STYLE: &str = concat!(
    include_str!("assets/vendor/uPlot.min.css"),
    "\n",
    include_str!("assets/page.css"),
    include_str!("assets/explorer/explorer.css"),
    include_str!("assets/circuits/circuits.css"),
    include_str!("assets/seeds/seeds.css"),
    include_str!("assets/tuning/tuning.css"),
    include_str!("assets/language/language.css"),
);
const LICENCES: &str = concat!(
    include_str!("assets/vendor/uPlot.LICENSE"),
    "\nd3-array, d3-color, d3-contour, d3-format, d3-interpolate, d3-path, d3-scale, d3-shape, d3-time, \
     d3-time-format:\n",
    include_str!("assets/vendor/d3.LICENSE"),
);

/// Only in a page that is served: the only one that may ask for anything.
const LIVE: &str = include_str!("assets/live.js");

/// Notes listed one by one; more are only counted.
const NOTES: usize = 60;

/// Writes the page beside `out` and renames it.
pub(super) fn write(sources: &Sources, seed: Option<u64>, out: &Path) -> Result<()> {
    let fail = |error: std::io::Error| {
        Error::input(
            out.display(),
            format!("cannot be written ({error})"),
            "give a file name in a folder that can be written to",
        )
    };
    let name = out.file_name().ok_or_else(|| fail(std::io::ErrorKind::InvalidInput.into()))?;
    let mut temporary = name.to_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = out.with_file_name(temporary);
    if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(fail)?;
    }
    let whole = fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(render(sources, seed).as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, out)
    });
    whole.map_err(|error| {
        // The first error is the one to tell; a leftover file is harmless.
        let _ = fs::remove_file(&temporary);
        fail(error)
    })
}

/// The page's text, with the weights of this seed.
pub(super) fn render(sources: &Sources, seed: Option<u64>) -> String {
    render_as(sources, seed, None)
}

/// The page as it is served: it may ask its own server whether it still is what the run folders
/// say, which were at `version`.
pub(super) fn render_live(sources: &Sources, version: &str) -> String {
    render_as(sources, None, Some(version))
}

fn render_as(sources: &Sources, seed: Option<u64>, live: Option<&str>) -> String {
    let summary: Vec<ArmSummary> = sources.arms.iter().map(ArmSummary::of).collect();
    let mut pack = Pack::default();
    let data = PageData::of(sources, seed, &mut pack);
    let parts = [
        ("policy", policy(live.is_some())),
        ("live", live.map_or(String::new(), live_head)),
        ("title", escape(&sources.name)),
        ("style", STYLE.into()),
        ("headline", escape(&said(sources, &summary))),
        ("setup", escape(&setup(sources))),
        ("table", table(&summary)),
        ("notes", notes(&data.notes)),
        ("licence", escape(LICENCES)),
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("data", deflated(&serde_json::to_vec(&data).unwrap_or_default())),
        ("numbers", pack.text()),
        ("script", script().into()),
        ("generator", GENERATOR.into()),
    ];
    fill(TEMPLATE, &parts)
}

/// The result, or what there is to see.
fn said(sources: &Sources, summary: &[ArmSummary]) -> String {
    if !summary.is_empty() {
        return headline(summary);
    }
    let sets: usize = sources.edges.groups.iter().map(|group| group.sets.len()).sum();
    let counts = [
        (sets, "file of scores or circuits", "files of scores and circuits"),
        (
            sources.tunings.len(),
            "comparison of methods of tuning",
            "comparisons of methods of tuning",
        ),
        (sources.looks.len(), "pair of sentences", "pairs of sentences"),
    ];
    let known = counts.iter().filter(|(n, ..)| *n > 0);
    let words = known.map(|(n, one, more)| format!("{n} {}", if *n == 1 { one } else { more }));
    words.collect::<Vec<_>>().join(", ")
}

// One pass over the template, so that a `{{name}}` inside a filled part is left alone.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let mut page = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page += before;
        let Some((name, after)) = after.split_once("}}") else { break };
        page += parts.iter().find(|part| part.0 == name).map_or("", |part| &part.1);
        rest = after;
    }
    page + rest
}

fn policy(live: bool) -> String {
    let more =
        if live { format!(" {}; connect-src 'self'", policy_source(LIVE)) } else { String::new() };
    format!(
        "default-src 'none'; script-src {}{more}; style-src {}; img-src data: blob:; base-uri 'none'; \
         form-action 'none'",
        policy_source(script()),
        policy_source(STYLE)
    )
}

fn live_head(version: &str) -> String {
    format!(
        "<meta name=\"edgegrad-live\" content=\"1\" data-version=\"{}\">\n<script>{LIVE}</script>",
        escape(version)
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c if c.is_control() && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// What the runs were asked to do, from the first configuration of the last arm (it has the most
/// stages, and its last stage is the task all arms end with).
fn setup(sources: &Sources) -> String {
    if sources.arms.is_empty() {
        return String::new();
    }
    let runs = sources.arms.iter().rev().flat_map(|arm| &arm.runs);
    let Some(config) = runs.map(|run| &run.config).find(|config| config.last_task().kind.is_some())
    else {
        return "The task is not known: no run has a readable config.toml.".into();
    };
    let task = config.last_task();
    let number = |x: Option<u64>| x.map_or("?".into(), |x| x.to_string());
    let size = |x: Option<usize>| x.map_or("?".into(), |x| x.to_string());
    format!(
        "Task: the sum of the first {} of {} tokens modulo {}; {} training and {} test sequences. \
         Model: d = {}, {} MLP neurons, {} token embeddings.",
        size(task.k),
        size(task.seq_len),
        number(task.p),
        number(task.train),
        number(task.test),
        size(config.model.d_model),
        size(config.model.d_mlp),
        size(config.model.vocab),
    )
}

fn table(summary: &[ArmSummary]) -> String {
    if summary.is_empty() {
        return String::new();
    }
    let mut html = String::from("<table><thead><tr>");
    for words in HEADER {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(&words.join(" ")));
    }
    html += "</tr></thead><tbody>";
    for (index, arm) in summary.iter().enumerate() {
        let cells = cells(arm);
        let _ = write!(
            html,
            "<tr><th scope=\"row\"><span class=\"swatch arm{}\"></span>{}</th>",
            index % 6,
            escape(&cells[0])
        );
        for cell in &cells[1..] {
            let _ = write!(html, "<td>{}</td>", escape(cell));
        }
        html += "</tr>";
    }
    html += "</tbody></table>";
    html += "<p class=\"quiet\">A seed generalises when its final test accuracy is at least .99; chance is \
             one over the modulus. 95 % intervals of the rate are Wilson's. Steps to .99 are medians over \
             the seeds that succeeded, from the start of the last stage and, in brackets, from the start \
             of the run.</p>";
    for arm in summary.iter().filter(|arm| arm.diverged + arm.unfinished > 0) {
        let _ = write!(
            html,
            "<p class=\"quiet\">{}: {} diverged and {} without a final test accuracy count as \
             failures.</p>",
            escape(&arm.arm),
            arm.diverged,
            arm.unfinished
        );
    }
    html
}

fn notes(notes: &[(String, String, String)]) -> String {
    if notes.is_empty() {
        return "<p>Nothing: every run folder is complete.</p>".into();
    }
    // What is true of several runs of an arm is said once.
    let mut told: Vec<(&(String, String, String), usize)> = vec![];
    for one in notes {
        match told.iter_mut().find(|(first, _)| (&first.0, &first.2) == (&one.0, &one.2)) {
            Some((_, others)) => *others += 1,
            None => told.push((one, 0)),
        }
    }
    let mut html = String::from("<ul>");
    for ((arm, run, note), others) in told.iter().take(NOTES) {
        let mut place = if run.is_empty() { arm.clone() } else { format!("{arm}, {run}") };
        if *others > 0 {
            place += &format!(" and {others} more");
        }
        let _ = write!(html, "<li><b>{}</b>: {}</li>", escape(&place), escape(note));
    }
    if told.len() > NOTES {
        let _ = write!(html, "<li>and {} more</li>", told.len() - NOTES);
    }
    html + "</ul>"
}

#[cfg(test)]
mod tests {
    use super::super::pack::inflated;
    use super::super::write_page;
    use super::*;
    use crate::results::synthetic::Synthetic;

    fn page(synthetic: &Synthetic) -> String {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().join("curriculum");
        synthetic.write(&root);
        render(&Sources::read(&[root]).unwrap(), None)
    }

    fn data(page: &str) -> serde_json::Value {
        let text = block(page, "<script id=\"data\" type=\"text/plain\">", "</script>");
        serde_json::from_slice(&inflated(text)).unwrap()
    }

    fn block<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
        page.split_once(start).unwrap().1.split_once(end).unwrap().0
    }

    #[test]
    fn needs_no_network() {
        let page = page(&Synthetic::small());
        let policy = block(&page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(!policy.contains("unsafe"));
        for (start, end) in [("<style>", "</style>"), ("<script>", "</script>")] {
            assert!(policy.contains(&policy_source(block(&page, start, end))), "{start}");
        }
        // The only addresses are the libraries' own banners and names of namespaces.
        let banner = |line: &&str| !line.starts_with("// https://d3js.org/");
        let stripped = page.lines().filter(banner).collect::<Vec<_>>().join("\n");
        let stripped = stripped
            .replace("/*! https://github.com/leeoniya/uPlot (v1.6.32) */", "")
            .replace("http://www.w3.org/2000/svg", "")
            .replace("\"url(#\" + clip", "");
        for address in ["http://", "https://", "//cdn", "src=", "@import", "url(", "<link"] {
            assert!(!stripped.contains(address), "{address}");
        }
        for call in ["fetch(", "XMLHttpRequest", "WebSocket", "innerHTML", "eval("] {
            assert!(!page.contains(call), "{call}");
        }
    }

    #[test]
    fn only_a_served_page_may_ask() {
        let root = tempfile::tempdir().unwrap();
        Synthetic::small().write(root.path());
        let sources = Sources::read(&[root.path().into()]).unwrap();
        let (file, live) = (render(&sources, None), render_live(&sources, "\"><script>"));
        let policy = block(&live, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
        assert!(policy.contains("; connect-src 'self';") && policy.contains(&policy_source(LIVE)));
        assert!(live.contains("data-version=\"&quot;&gt;&lt;script&gt;\""));
        assert!(!file.contains("connect-src") && !file.contains("edgegrad-live"));
        let rest = live
            .replace(&live_head("\"><script>"), "")
            .replace(&super::policy(true), &super::policy(false));
        assert!(rest == file, "the same but for that");
    }

    #[test]
    fn says_the_result() {
        let page = page(&Synthetic::small());
        assert!(page.contains("From scratch 0 of 3 seeds generalise; with the curriculum 2 of 3."));
        assert!(page.contains("sum of the first 5 of 12 tokens modulo 4"));
        assert!(page.contains("Copyright (c) 2022 Leon Sorokin"));
        assert!(page.contains("every run folder is complete"));
        assert!(!page.contains("{{"), "a part of the template was left open");
        let data = data(&page);
        assert_eq!(data["chosen"], "seed 0", "scratch fails, the curriculum does not");
        assert_eq!(data["arms"][1]["runs"][0]["key"], "seed 0");
        assert_eq!(data["arms"][1]["runs"][0]["stages"][1]["step"], 200);
        assert_eq!(data["arms"][0]["runs"][0]["gradient"]["groups"][0], "token_emb");
        let run = &data["arms"][0]["runs"][0];
        assert_eq!(
            run["weights"]["tensors"]["token_emb.weight"]["shape"],
            serde_json::json!([4, 8])
        );
        assert_eq!(run["weights"]["steps"], serde_json::json!([0, 100, 200, 300, 400]));
        assert_eq!(data["arms"][0]["runs"][1]["weights"], serde_json::Value::Null, "one seed only");
        assert_eq!(run["probe"][0]["pairs"][0]["answer"], 1);
        let circuits = &run["circuits"];
        let edges = data["names"][0].as_array().unwrap().len();
        assert_eq!(circuits["scores"]["len"], 5 * edges);
        assert_eq!(circuits["edges"][4], 7.0);
    }

    #[test]
    fn hostile_names_stay_text() {
        let evil = "<img src=x onerror=alert(1)>&\"'";
        let synthetic = Synthetic {
            arms: vec![(evil, false), ("{{data}}", true)],
            stage_name: "</script><script>alert(2)</script>",
            ..Synthetic::small()
        };
        let page = page(&synthetic);
        assert!(!page.contains("<img"));
        assert!(!page.contains("<script>alert"));
        assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#39;"));
        assert_eq!(page.matches("<script").count(), 3, "data, numbers and code");
        assert_eq!(data(&page)["arms"][0]["name"], evil);
    }

    #[test]
    fn a_note_on_several_runs_is_told_once() {
        let note =
            |arm: &str, seed: u64, text: &str| (arm.into(), format!("seed {seed}"), text.into());
        let all = [note("a", 0, "x"), note("a", 1, "x"), note("b", 0, "x"), note("a", 2, "y")];
        let html = notes(&all);
        assert_eq!(html.matches("<li>").count(), 3, "{html}");
        for one in ["<b>a, seed 0 and 1 more</b>: x", "<b>b, seed 0</b>: x", "<b>a, seed 2</b>: y"]
        {
            assert!(html.contains(one), "{html}");
        }
    }

    #[test]
    fn same_folders_give_the_same_bytes() {
        assert_eq!(page(&Synthetic::small()), page(&Synthetic::small()));
    }

    #[test]
    fn stays_small_at_full_size() {
        let page = page(&Synthetic::full());
        assert!(page.len() < 6_000_000, "{} bytes", page.len());
    }

    #[test]
    fn a_damaged_folder_still_gives_a_page_that_says_so() {
        let root = tempfile::tempdir().unwrap();
        Synthetic::small().write(root.path());
        let run = root.path().join("scratch/seed-01");
        fs::remove_file(run.join("config.toml")).unwrap();
        // The seed that is shown: the first one that ends differently in both arms.
        let shown = root.path().join("scratch/seed-02");
        fs::write(shown.join("snapshots/step-000100.safetensors"), b"torn").unwrap();
        let metrics = fs::read(run.join("metrics.jsonl")).unwrap();
        fs::write(run.join("metrics.jsonl"), &metrics[..metrics.len() / 2]).unwrap();
        let run = root.path().join("curriculum/seed-00");
        fs::remove_file(run.join("metrics.jsonl")).unwrap();
        fs::remove_dir_all(run.join("snapshots")).unwrap();
        fs::create_dir(root.path().join("curriculum/seed-09")).unwrap();

        let out = root.path().join("new folder/report.html");
        write_page(&[root.path().into()], None, &out).unwrap();
        let page = fs::read_to_string(&out).unwrap();
        for missing in [
            "<b>scratch, seed 1</b>: config.toml",
            "the last line is cut off",
            "step-000100.safetensors",
            "<b>curriculum, seed 0 and 1 more</b>: metrics.jsonl",
            "<b>curriculum, seed 9</b>: config.toml",
            "with the curriculum 1 of 4.",
        ] {
            assert!(page.contains(missing), "{missing}");
        }
        assert!(!page.contains(root.path().to_str().unwrap()), "no paths of this machine");
        assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 1, "no leftovers");
    }

    #[test]
    fn an_unwritable_place_is_an_error_with_help() {
        let root = tempfile::tempdir().unwrap();
        Synthetic::small().write(root.path());
        let error =
            write_page(&[root.path().into()], None, &root.path().join("scratch")).unwrap_err();
        assert!(error.to_string().contains("scratch"));
        assert!(!error.help().is_empty());
    }

    #[test]
    #[ignore = "writes pages to look at, to the folder named by EDGEGRAD_SYNTHETIC"]
    fn write_one_to_look_at() {
        let folder = std::env::var("EDGEGRAD_SYNTHETIC").unwrap();
        let look = |name: &str, synthetic: Synthetic, change: &dyn Fn(&Path)| {
            let root = Path::new(&folder).join(name);
            synthetic.write(&root);
            change(&root);
            let page = Path::new(&folder).join(format!("{name}.html"));
            write_page(&[root], None, &page).unwrap();
        };
        look("curriculum", Synthetic::full(), &|_| {});
        look("flat", Synthetic { d: 2, arms: vec![("only", true)], ..Synthetic::small() }, &|_| {});
        let evil = "<img src=x onerror=alert(1)>";
        let stage_name = "</script><script>alert(2)</script>";
        let arms = vec![(evil, false), ("curriculum", true), ("third", true)];
        look("hostile", Synthetic { arms, stage_name, ..Synthetic::small() }, &|_| {});
        look("damaged", Synthetic::small(), &|root| {
            for gone in ["scratch/seed-00/metrics.jsonl", "curriculum/seed-01/config.toml"] {
                fs::remove_file(root.join(gone)).unwrap();
            }
            fs::remove_dir_all(root.join("curriculum/seed-00/snapshots")).unwrap();
            fs::create_dir_all(root.join("scratch/seed-09")).unwrap();
            let torn = root.join("curriculum/seed-02/metrics.jsonl");
            let text = fs::read_to_string(&torn).unwrap();
            let diverged =
                "{\"kind\":\"event\",\"event\":\"diverged\",\"step\":150}\n{\"kind\":\"st";
            fs::write(torn, text[..text.len() / 2].to_string() + "\n" + diverged).unwrap();
        });
    }
}
