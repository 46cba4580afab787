use super::*;
use proptest::prelude::{
    Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use std::path::Path;

const BASE: &str = "[task]\np = 2\n[train]\nsteps = 10\n";

fn parse(text: &str, sets: &[&str]) -> Result<Config> {
    let sets: Vec<String> = sets.iter().map(|s| s.to_string()).collect();
    Config::parse(text, "dir/c.toml", &sets)
}

#[test]
fn defaults() {
    let mut expected = Config::default();
    expected.stages[0].train.steps = 10;
    assert_eq!(parse(BASE, &[]).unwrap(), expected);
    expected.validate().unwrap();
}

#[test]
fn stages_say_what_is_other() {
    let text = "
        seed = 7
        name = 'curriculum'
        [task]
        p = 2
        [model]
        d_model = 16
        [train]
        steps = 100
        batch = 'full'
        clip = 1
        [[stages]]
        name = 'parity'
        [[stages]]
        p = 4
        train = 512
        dropout = 0.5
        train.lr = 1e-2
    ";
    // TOML has one value for a key: `train` is either the rows or the section.
    assert!(parse(text, &[]).unwrap_err().to_string().starts_with("dir/c.toml:"));
    let c = parse(&text.replace("train.lr", "lr"), &[]).unwrap();
    let [a, b] = &c.stages[..] else { panic!("{c:?}") };
    assert_eq!((c.seed, c.name.as_deref()), (7, Some("curriculum")));
    assert_eq!((a.name.as_str(), b.name.as_str()), ("parity", "stage-2"));
    assert_eq!((a.task.p, b.task.p, a.task.train, b.task.train), (2, 4, 2048, 512));
    assert_eq!((a.model.vocab, b.model.vocab, a.model.d_mlp), (4, 4, 64));
    assert_eq!((a.model.dropout, b.model.dropout), (0.0, 0.5));
    assert_eq!((a.train.lr, b.train.lr, b.train.clip), (3e-3, 1e-2, Some(1.0)));
    assert_eq!(b.train.batch, Batch::Full);
    let tables = "[[stages]]\ntask.p = 3\n[[stages]]\ntrain.steps = 20";
    let c = parse(&format!("{BASE}{tables}"), &[]).unwrap();
    assert_eq!((c.stages[0].task.p, c.stages[1].train.steps), (3, 20));
}

#[test]
fn sets_go_over_the_file() {
    let two = format!("{BASE}[[stages]]\nsteps = 5\n[[stages]]\np = 4\n");
    let sets = [
        "train.lr=1e-2",
        "seed = 3",
        "activation=relu",
        "betas=[0.8, 0.9]",
        "stages.0.train.steps=6",
        "stages.1.p=5",
        "stages.1.p=6",
        "stages.1.name=7",
        "train=100",
        "steps=50",
    ];
    let c = parse(&two, &sets).unwrap();
    let [a, b] = &c.stages[..] else { panic!("{c:?}") };
    assert_eq!((c.seed, a.train.lr, a.train.betas), (3, 1e-2, [0.8, 0.9]));
    assert_eq!(b.model.activation, Activation::Relu);
    assert_eq!((a.train.steps, b.train.steps, a.task.train), (6, 50, 100));
    assert_eq!((a.task.p, b.task.p, b.name.as_str()), (2, 6, "7"));
    let c = parse(BASE, &["stages.0.lr=1"]).unwrap();
    assert_eq!(c.stages[0].train.lr, 1.0);
}

#[test]
fn paths_start_at_the_file() {
    let text = format!("{BASE}[model]\ninit = 'w.safetensors'\n");
    let c = parse(&text, &["data=d.safetensors"]).unwrap();
    let here = std::env::current_dir().unwrap();
    assert_eq!(c.stages[0].model.init, Some(here.join("dir/w.safetensors")));
    assert_eq!(c.stages[0].task.data, Some(here.join("d.safetensors")));
}

#[test]
fn a_probe_is_a_quarter_of_a_batch_unless_told() {
    for (line, probe) in [
        ("", 8),
        ("batch = 100", 25),
        ("batch = 1000", 64),
        ("batch = 'full'", 64),
        ("batch = 4", 8),
        ("batch = 1000\ncircuit_probe = 7", 7),
    ] {
        let c = parse(&format!("{BASE}{line}\n"), &[]).unwrap();
        assert_eq!(c.stages[0].train.circuit_probe, probe, "{line}");
        assert_eq!(c.stages[0].train.circuit_every, 0);
    }
    // Too large only where it is used.
    let wide = format!("{BASE}circuit_probe = 60000\n[model]\nd_mlp = 1000000\n");
    parse(&wide, &[]).unwrap();
    let e = parse(&wide, &["circuit_every=50"]).unwrap_err().to_string();
    assert!(e.contains("train.circuit_probe: circuit_probe (60000) * circuits (27)"), "{e}");
}

/// Below `[section]`, or at the top when that is empty, `line` is refused with the place, a part
/// of the message and a part of the help.
#[test]
fn errors_name_file_and_key() {
    let cases = [
        // unknown keys
        ("train", "lrr = 1", "train.lrr", "unknown key", "did you mean `lr`?"),
        ("model", "p = 2", "model.p", "unknown key", "`p` belongs below `[task]`"),
        ("", "sed = 1", "sed", "unknown key", "did you mean `seed`?"),
        ("", "lr = 1", "lr", "unknown key", "belongs below `[train]`"),
        ("[stages]", "stepz = 1", "stages.0.stepz", "unknown key", "did you mean `steps`?"),
        ("[stages]", "task.q = 1", "stages.0.task.q", "unknown key", "known are kind, p,"),
        ("[stages]", "kind = 'x'", "stages.0.kind", "more than one", "`task.kind` or `model.kind`"),
        ("[stages]", "seed = 1", "stages.0.seed", "unknown key", ""),
        // wrong types
        ("task", "seq_len = 'x'", "task.seq_len", "whole number from 0 on, got the string", "= 12"),
        ("task", "seq_len = 1.5", "task.seq_len", "got 1.5", ""),
        ("task", "seq_len = -1", "task.seq_len", "got -1", ""),
        ("task", "overlap = 1", "task.overlap", "expected true or false, got 1", ""),
        ("task", "data = 1", "task.data", "text in quotes", ""),
        ("task", "data = ''", "task.data", "path of a file", ""),
        ("train", "lr = 'x'", "train.lr", "expected a number", "lr = 0.003"),
        ("train", "lr = [1]", "train.lr", "got an array", ""),
        ("train", "betas = [1]", "train.betas", "expected two numbers", "[0.9, 0.999]"),
        ("train", "batch = 'half'", "train.batch", "or \"full\"", ""),
        ("", "seed = 'x'", "seed", "whole number", ""),
        ("", "model = 3", "model", "expected a section, got 3", "[model]"),
        ("", "stages = 3", "stages", "expected an array of tables", ""),
        ("", "stages = [3]", "stages.0", "expected a table", ""),
        ("", "stages = []", "stages", "expected an array of tables", ""),
        // names
        ("model", "activation = 'glu'", "model.activation", "one of gelu, gelu-tanh", "`gelu`"),
        ("model", "kind = 7", "model.kind", "one of pooled, got 7", ""),
        ("train", "optimizer = 'adamm'", "train.optimizer", "adam, adamw, sgd", "`adam"),
        ("train", "schedule = 'cos'", "train.schedule", "constant, linear", "`cosine`"),
        ("train", "optimizer_state = ''", "train.optimizer_state", "fresh, keep", ""),
        ("task", "kind = 'addition'", "task.kind", "sparse-modular-addition", ""),
        // ranges
        ("task", "seq_len = 0", "task.seq_len", "at least 1, got 0", ""),
        ("task", "k = 0", "task.k", "at least 1, got 0", ""),
        ("task", "k = 13", "task.k", "at most seq_len = 12, got 13", ""),
        ("task", "train = 0", "task.train", "at least 1", ""),
        ("task", "train = 1000000000", "task.train", "is more than", ""),
        ("task", "test = 9000000000000000000", "task.test", "is more than", ""),
        ("task", "seq_len = 9000000000000000000", "task.seq_len", "at most", ""),
        ("[stages]", "p = 1", "stages.0.p", "at least 2, got 1", "write `p = 2`"),
        ("[stages]", "p = 99999999999", "stages.0.p", "at most", ""),
        ("model", "vocab = 1", "model.vocab", "at least 2", ""),
        ("model", "d_model = 0", "model.d_model", "at least 1", ""),
        ("model", "d_model = 1000000000", "model.d_model", "at most 16777216", ""),
        ("model", "d_mlp = 0", "model.d_mlp", "at least 1", ""),
        ("model", "d_mlp = 1000000000", "model.d_mlp", "is more than", ""),
        ("model", "dropout = 1.0", "model.dropout", "in [0, 1), got 1", ""),
        ("model", "dropout = nan", "model.dropout", "in [0, 1), got nan", ""),
        ("train", "lr = 0", "train.lr", "above 0, got 0", ""),
        ("train", "lr = inf", "train.lr", "above 0, got inf", ""),
        ("train", "betas = [0.9, 1.0]", "train.betas", "in [0, 1)", ""),
        ("train", "eps = 0.0", "train.eps", "above 0", ""),
        ("train", "momentum = 1.0", "train.momentum", "in [0, 1)", ""),
        ("train", "momentum = 0.9", "train.momentum", "no effect", "sgd"),
        ("train", "weight_decay = -1", "train.weight_decay", "from 0 on", ""),
        ("train", "mlp_lr_discount = 0", "train.mlp_lr_discount", "above 0", ""),
        ("train", "batch = 0", "train.batch", "at least 1", ""),
        ("train", "batch = 2049", "train.batch", "at most task.train = 2048, got 2049", "full"),
        ("[stages]", "steps = 0", "stages.0.steps", "at least 1", ""),
        ("train", "warmup = 11", "train.warmup", "at most steps = 10", ""),
        ("train", "min_lr = 1.0", "train.min_lr", "at most lr = 0.003", ""),
        ("train", "clip = 0", "train.clip", "above 0", ""),
        ("train", "log_every = 0", "train.log_every", "at least 1", ""),
        ("train", "eval_every = 9223372036854775807", "train.eval_every", "at most", ""),
        ("train", "circuit_every = -1", "train.circuit_every", "whole number", ""),
        ("train", "circuit_every = 9223372036854775807", "train.circuit_every", "at most", ""),
        ("train", "circuit_probe = 0", "train.circuit_probe", "at least 1, got 0", ""),
        ("train", "circuit_probe = 99999", "train.circuit_probe", "at most 65536", ""),
        // stages
        ("[stages]", "d_model = 3", "stages.0.d_model", "cannot change the model", "[model]"),
        ("[stages]", "model.vocab = 3", "stages.0.model.vocab", "cannot change the model", ""),
        ("[stages]", "p = 2\ntask.p = 2", "stages.0.task.p", "is given twice", "remove"),
        ("[stages]", "name = 3", "stages.0.name", "text in quotes", ""),
    ];
    for (section, line, key, message, help) in cases {
        let text = match section {
            "" => format!("{line}\n{BASE}"),
            "task" => BASE.replace("p = 2", &format!("p = 2\n{line}")),
            "train" => format!("{BASE}{line}\n"),
            _ => format!("{BASE}[{section}]\n{line}\n"),
        };
        let e = parse(&text, &[]).expect_err(line);
        let (shown, place) = (e.to_string(), format!("dir/c.toml: {key}: "));
        assert!(shown.starts_with(&place), "{line}: {shown}");
        assert!(shown.contains(message), "{line}: {shown}");
        assert!(e.help().contains(help) && !e.help().is_empty(), "{line}: {}", e.help());
        assert!(!shown.contains('\n') && e.exit_code() == 2);
    }
}

#[test]
fn a_vocabulary_has_room_for_every_stage() {
    let text = format!("{BASE}[model]\nvocab = 3\n[[stages]]\n[[stages]]\np = 4\n");
    let e = parse(&text, &[]).unwrap_err().to_string();
    assert!(e.contains("c.toml: model.vocab: must be at least p = 4 of every stage, got 3"), "{e}");
}

#[test]
fn what_is_missing() {
    for (text, key) in [("[train]\nsteps = 1", "task.p"), ("[task]\np = 2", "train.steps")] {
        let e = parse(text, &[]).unwrap_err().to_string();
        assert_eq!(e, format!("dir/c.toml: {key}: is missing"));
    }
}

#[test]
fn sets_that_cannot_be() {
    let two = format!("{BASE}[[stages]]\nlr = 1\n[[stages]]\nlr = 2\n");
    for (set, key, message) in [
        ("lr", "--set lr", "has no `=`"),
        ("lrr=1", "--set lrr", "unknown key"),
        ("trian.lr=1", "--set trian.lr", "unknown key"),
        ("a.b.c=1", "--set a.b.c", "unknown key"),
        ("=1", "--set", "unknown key"),
        ("kind=pooled", "--set kind", "more than one section"),
        ("p=1", "--set p", "at least 2, got 1"),
        ("p=two", "--set p", "got the string \"two\""),
        ("stages.2.lr=1", "--set stages.2.lr", "no stage `2`"),
        ("stages=1", "--set stages", "unknown key"),
        ("stages.0=1", "--set stages.0", "unknown key"),
        ("stages.0.d_model=1", "--set stages.0.d_model", "cannot change the model"),
        ("lr=1", "--set lr", "has no effect"),
    ] {
        let e = parse(&two, &[set]).expect_err(set).to_string();
        assert!(e.starts_with(&format!("dir/c.toml: {key}")) && e.contains(message), "{set}: {e}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let e = parse("seed = 1\n[task\np = 2", &[]).unwrap_err().to_string();
    assert!(e.starts_with("dir/c.toml:2:6: ") && !e.contains('\n'), "{e}");
    let t = tempfile::tempdir().unwrap();
    let missing = t.path().join("missing.toml");
    let e = Config::read(&missing, &[]).unwrap_err();
    assert!(e.to_string().contains("missing.toml") && e.exit_code() == 2, "{e}");
    assert!(Config::read(t.path(), &[]).is_err());
    let binary = t.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    assert_eq!(Config::read(&binary, &[]).unwrap_err().exit_code(), 2);
    let good = t.path().join("good.toml");
    std::fs::write(&good, BASE).unwrap();
    assert_eq!(Config::read(&good, &[]).unwrap(), parse(BASE, &[]).unwrap());
}

#[test]
fn structs_are_checked_like_files() {
    let mut c = Config::default();
    c.stages[0].train.lr = -1.0;
    assert!(c.validate().unwrap_err().to_string().starts_with("train.lr: "));
    let mut c = Config::default();
    c.stages.push(Stage::default());
    c.stages[1].model.d_model = 3;
    let e = c.validate().unwrap_err().to_string();
    assert!(e.starts_with("stages.1.model.kind: a stage cannot change the model"), "{e}");
    let none = Config { stages: vec![], ..Config::default() };
    assert!(none.validate().unwrap_err().to_string().starts_with("stages: "));
    let seed = Config { seed: u64::MAX, ..Config::default() };
    assert!(seed.validate().unwrap_err().to_string().starts_with("seed: "));
    let _ = (none.to_toml(), seed.to_toml());
}

fn choice<T: Named + std::fmt::Debug>() -> impl Strategy<Value = T> {
    prop::sample::select(T::ALL).prop_map(|(_, value)| value)
}

fn file() -> impl Strategy<Value = Option<PathBuf>> {
    let path = |s: String| std::path::absolute(Path::new("folder").join(s)).ok();
    prop::option::of("[^/\\\\\0]{1,8}").prop_map(move |s| s.and_then(path))
}

fn task() -> impl Strategy<Value = TaskConfig> {
    let numbers = (2usize..100, 1usize..20, 1usize..20, 64usize..5000, 0usize..5000);
    (choice(), numbers, any::<bool>(), choice(), file()).prop_map(
        |(kind, (p, k, rest, train, test), overlap, labels, data)| TaskConfig {
            kind,
            p,
            seq_len: k + rest,
            k,
            train,
            test,
            overlap,
            labels: if data.is_none() { labels } else { Labels::First },
            data,
        },
    )
}

fn model() -> impl Strategy<Value = ModelConfig> {
    let numbers = (100usize..200, 1usize..50, 1usize..200, 0.0..1.0);
    (choice(), numbers, choice(), any::<bool>(), file(), ".*").prop_map(
        |(kind, (vocab, d_model, d_mlp, dropout), activation, mlp_bias, init, init_prefix)| {
            ModelConfig {
                kind,
                vocab,
                d_model,
                d_mlp,
                activation,
                mlp_bias,
                dropout,
                init,
                init_prefix,
            }
        },
    )
}

fn train() -> impl Strategy<Value = TrainConfig> {
    let floats = (1e-9..1e9, prop::array::uniform2(0.0..1.0), 1e-300..1.0, 0.0..1.0, 1e-9..1e9);
    let whole =
        (1..=MAX_STEPS, 0.0..1.0, 1..=MAX_STEPS, prop::array::uniform4(0..=MAX_STEPS), 1usize..100);
    let clip = prop::option::of(1e-6..1e6);
    let batch = prop_oneof![Just(Batch::Full), (1usize..=64).prop_map(Batch::Size)];
    let names = (choice(), choice(), choice());
    let parts = prop::sample::subsequence(vec!["query", "pos", "pos@0", "m0.n0", "a0.h0"], 0..3);
    let measures: Vec<Measure> =
        Measure::ALL.iter().map(|m| m.1).filter(|m| impossible(*m, 3).is_none()).collect();
    let measures = prop::sample::subsequence(measures, 0..3);
    let rows = prop::option::of(1..=MAX_ELEMENTS);
    let begin = (parts, prop::option::of(1e-9..0.999), measures, 0..=MAX_STEPS, rows);
    (floats, whole, clip, batch, names, any::<bool>(), begin).prop_map(
        |((lr, betas, eps, share, discount), whole, clip, batch, names, shuffle, begin)| {
            let (parts, attend, measure, measure_every, part) = begin;
            let freeze = parts.into_iter().map(String::from).collect();
            let (steps, rises, log_every, every, circuit_probe) = whole;
            let [eval_every, checkpoint_every, snapshot_every, circuit_every] = every;
            let (optimizer, schedule, optimizer_state) = names;
            TrainConfig {
                optimizer,
                lr,
                betas,
                eps,
                momentum: if optimizer == OptimizerKind::Sgd { share } else { 0.0 },
                weight_decay: share,
                mlp_lr_discount: discount,
                batch,
                part,
                steps,
                shuffle,
                schedule,
                warmup: (steps as f64 * rises) as u64,
                min_lr: lr * share,
                clip,
                log_every,
                eval_every,
                checkpoint_every,
                snapshot_every,
                circuit_every,
                circuit_probe,
                optimizer_state,
                measure,
                measure_every,
                nonzero: None,
                keep: vec![],
                reset: vec![],
                freeze,
                attend,
            }
        },
    )
}

fn config() -> impl Strategy<Value = Config> {
    let stage = (prop::option::of(".*"), task(), train(), 0.0..1.0);
    let stages = prop::collection::vec(stage, 1..4);
    let top = (0..=i64::MAX as u64, prop::option::of(".*"), any::<bool>());
    (top, model(), stages).prop_map(|((seed, name, double), model, stages)| {
        let dtype = if double { DtypeKind::F64 } else { DtypeKind::F32 };
        let stage = |(i, (name, task, train, dropout)): (usize, (Option<String>, _, _, _))| {
            let name = name.unwrap_or_else(|| stage_name(i));
            Stage { name, task, model: ModelConfig { dropout, ..model.clone() }, train }
        };
        let mut stages: Vec<Stage> = stages.into_iter().enumerate().map(stage).collect();
        for i in 1..stages.len() {
            // What stages have to agree on.
            let seq_len = stages[0].task.seq_len;
            let same = stages[i - 1].train.rule().moments() == stages[i].train.rule().moments();
            let Stage { task, train, .. } = &mut stages[i];
            (task.seq_len, task.k) = (seq_len, task.k.min(seq_len));
            if !same {
                train.optimizer_state = OptimizerState::Fresh;
            }
        }
        Config { seed, dtype, name, stages, source: None }
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_equal(config in config()) {
        config.validate().unwrap();
        let text = config.to_toml();
        let again = Config::parse(&text, "elsewhere/config.toml", &[]);
        prop_assert_eq!(again.as_ref(), Ok(&config), "{}", &text);
        prop_assert_eq!(again.unwrap().to_toml(), text);
    }

    #[test]
    fn arbitrary_text_never_panics(text in ".*", set in ".*") {
        let _ = Config::parse(&text, "c.toml", &[]);
        let _ = parse(BASE, &[&set]);
        let _ = parse(BASE, &[&format!("p={set}")]);
    }

    #[test]
    fn text_that_looks_like_a_configuration_never_panics(
        words in prop::collection::vec(prop::sample::select(vec![
            "\n", "\n", "=", "=", "[task]\n", "[model]\n", "[train]\n", "[[stages]]\n", "stages",
            "task", "model", "train", ".", "p", "k", "steps", "lr", "betas", "batch", "vocab",
            "kind", "dropout", "data", "init", "name", "seed", "0", "1", "2", "-1", "1e-3", "nan",
            "9223372036854775807", "\"full\"", "\"\"", "''", "[", "]", "{", "}", ",", "true",
            "1979-05-27", "#",
        ]), 0..60),
        set in "(stages\\.)?[0-9a-z._]{0,12}=?[0-9a-z\"\\[{]{0,6}",
    ) {
        let text = words.join("");
        for text in [text.clone(), format!("{BASE}{text}")] {
            for sets in [vec![], vec![set.clone()]] {
                match Config::parse(&text, "c.toml", &sets) {
                    Ok(c) => prop_assert!(c.validate().is_ok()),
                    Err(e) => prop_assert!(!e.to_string().contains('\n')),
                }
            }
        }
    }
}

/// What parts a stage can keep, draw anew and freeze.
#[test]
fn parts_that_are_not_there() {
    let text = "[task]\np = 2\n[train]\nsteps = 5\n[[stages]]\n[[stages]]\n";
    for (more, place, message, help) in [
        ("keep = ['querry']", "c.toml: stages.1.keep", "no part `querry`", "did you mean `query`?"),
        ("freeze = ['pos@12']", "c.toml: stages.1.freeze", "no position 12", "the last is pos@11"),
        ("reset = ['logits']", "c.toml: stages.1.reset", "no part `logits`", "name `token_emb`"),
        ("keep = 'query'", "c.toml: stages.1.keep", "expected a list of texts in quotes", "keep ="),
        (
            "keep = ['mlp']\nreset = ['mlp']",
            "c.toml: stages.1.reset",
            "beside `keep`",
            "remove one",
        ),
        (
            "measure = ['llv']",
            "c.toml: stages.1.measure",
            "some of norms, rank",
            "did you mean `llc`?",
        ),
        (
            "p = 3\nmeasure = ['gradients']",
            "c.toml: stages.1.measure",
            "no part of a sum modulo 3",
            "remove",
        ),
        (
            "nonzero = 0.01",
            "c.toml: stages.1.nonzero",
            "leaves nothing of token_emb",
            "larger share",
        ),
        ("attend = 1.5", "c.toml: stages.1.attend", "between 0 and 1, got 1.5", "leave it out"),
        (
            "labels = 'fist'",
            "c.toml: stages.1.labels",
            "one of first, last",
            "did you mean `first`?",
        ),
        ("labels = 'last'\ndata = 'x'", "c.toml: stages.1.labels", "beside `data`", "remove one"),
    ] {
        let e = Config::parse(&format!("{text}{more}\n"), "c.toml", &[]).expect_err(more);
        assert!(e.to_string().starts_with(place), "{e}");
        assert!(e.to_string().contains(message) && e.help().contains(help), "{e}: {}", e.help());
    }
    let first =
        Config::parse("p = 2\n[train]\nsteps = 5\nkeep = ['mlp']\n[task]\np = 2", "c.toml", &[]);
    assert!(first.is_err());
    let first = Config::parse("[train]\nsteps = 5\nkeep = ['mlp']\n[task]\np = 2", "c.toml", &[]);
    let e = first.expect_err("weights of the first stage are drawn");
    assert!(e.to_string().contains("train.keep: has no effect"), "{e}");
}
