use super::*;
use crate::experiments::sweep::Plan;
use crate::experiments::train::config::Config;
use crate::experiments::tune::{Settings, grid::Grid, study::Study};
use crate::nn::OptimizerKind;
use std::path::Path;

settings! {
    /// Keys of every kind.
    struct Example {
        /// Steps,
        /// of which there is one.
        steps: u64 = 3, whole(1, 9) => REQUIRED;
        /// A size.
        size: usize = 4, from(2);
        /// A rate `|x|`.
        rate: f64 = 0.5, BELOW_1;
        /// A limit.
        limit: Option<f64>, ABOVE_0;
        /// Two rates.
        rates: Option<[f64; 2]>, BELOW_1 => "off";
        /// Layers.
        layers: Option<[usize; 2]>;
        /// Many.
        many: Vec<f64>, FROM_0;
        /// A way.
        way: OptimizerKind;
        /// A switch.
        on: bool = true;
        /// A text.
        name: String;
        /// A file.
        file: Option<PathBuf>;
    }
}

fn read(text: &str, sets: &[&str]) -> Result<Example> {
    let sets = sets.iter().map(|set| Given::set(set)).collect::<Result<Vec<_>>>()?;
    let keys = by_key(inside("", parse("e.toml", text)?).chain(sets));
    let found = Example::default().with("", "", &keys)?;
    found.check("").map_err(|broken| broken.at(&broken.key))?;
    Ok(found)
}

#[test]
fn values_of_every_kind_are_read_and_written() {
    let text = "steps = 5\nsize = 2\nrate = 0.25\nlimit = 2.0\nrates = [0.0, 0.5]\nlayers = [1, 2]\n\
                many = [1.0, 2.5]\nway = \"sgd\"\non = false\nname = \"a\"\nfile = \"b\"\n";
    let example = read(text, &[]).unwrap();
    let mut written = String::new();
    write_section(&mut written, "", &example.entries());
    assert_eq!(written, text);
    let json = serialize(&example, serde_json::value::Serializer).unwrap();
    assert_eq!(deserialize::<Example, _>(json).expect("what was written"), example);
    // Whole numbers are numbers; on the command line, text needs no quotes.
    let sets = ["limit=1", "name=7", "way=adam", "file = c.bin"];
    let changed = read(text, &sets).unwrap();
    let expected = Example {
        limit: Some(1.0),
        name: "7".into(),
        way: OptimizerKind::Adam,
        file: Some("c.bin".into()),
        ..example
    };
    assert_eq!(changed, expected);
    assert_eq!(Given::option("d_model", 3).place, "--d-model");
}

#[test]
fn errors_name_the_key_and_what_it_may_be() {
    for (line, error, help) in [
        ("", "steps: is missing", "write for example `steps = 3`"),
        ("steps = 0", "steps: must be at least 1, got 0", "write `steps = 1` or more"),
        ("steps = 10", "steps: must be at most 9, got 10", "choose a smaller steps"),
        ("size = 1", "size: must be at least 2, got 1", "write `size = 2` or more"),
        (
            "size = -1",
            "size: expected a whole number from 0 on, got -1",
            "write for example `size = 4`",
        ),
        ("rate = 1", "rate: must be a number in [0, 1), got 1.0", "`rate = 0.5`"),
        ("rate = nan", "rate: must be a number in [0, 1), got nan", "`rate = 0.5`"),
        (
            "limit = 0",
            "limit: must be a number above 0, got 0.0",
            "choose a number above 0, or leave",
        ),
        ("limit = true", "limit: expected a number, got true", "`limit = 1.0`"),
        ("rates = [0, 1]", "rates: must be two numbers in [0, 1), got [0.0, 1.0]", "choose two"),
        ("rates = [0]", "rates: expected two numbers, got an array", "`rates = [0, 1]`"),
        ("layers = 1", "layers: expected two whole numbers from 0 on, got 1", "`layers = [0, 1]`"),
        ("many = [-1]", "many: must be a list of numbers from 0 on, got [-1.0]", "write"),
        (
            "way = 'sgdd'",
            "way: expected one of adam, adamw, sgd, got the string \"sgdd\"",
            "`sgd`?",
        ),
        ("way = 7", "way: expected one of adam, adamw, sgd, got 7", "known are adam, adamw"),
        ("on = 1", "on: expected true or false, got 1", "`on = true`"),
        ("name = 1", "name: expected text in quotes, got 1", "write"),
        ("file = ''", "file: expected the path of a file, text in quotes, got the string", "write"),
        ("stepz = 1", "stepz: unknown key", "did you mean `steps`?"),
        ("xyz = 1", "xyz: unknown key", "known are steps, size,"),
    ] {
        let steps = if line.starts_with("steps") || line.is_empty() { "" } else { "steps = 1\n" };
        let e = read(&format!("{steps}{line}"), &[]).expect_err(line);
        assert!(e.to_string().starts_with(error), "{line}: {e}");
        assert!(e.help().contains(help), "{line}: {}", e.help());
    }
    let e = read("steps = 1", &["size=x"]).unwrap_err();
    assert_eq!(
        e.to_string(),
        "--set size: expected a whole number from 0 on, got the string \"x\""
    );
    assert_eq!(read("steps = 1\nsize =", &[]).unwrap_err().to_string().find("e.toml:2:7"), Some(0));
}

#[test]
fn tables_say_all_that_is_known() {
    let expected = "\
| key | value | unless given | what it is |
| --- | --- | --- | --- |
| `steps` | whole number from 1 to 9 | required | Steps, of which there is one. |
| `size` | whole number from 2 on | `4` | A size. |
| `rate` | number in [0, 1) | `0.5` | A rate `\\|x\\|`. |
| `limit` | number above 0 | none | A limit. |
| `rates` | two numbers in [0, 1) | off | Two rates. |
| `layers` | two whole numbers from 0 on | none | Layers. |
| `many` | list of numbers from 0 on | `[]` | Many. |
| `way` | one of adam, adamw, sgd | `\"adam\"` | A way. |
| `on` | true or false | `true` | A switch. |
| `name` | text in quotes | `\"\"` | A text. |
| `file` | the path of a file, text in quotes | none | A file. |
";
    assert_eq!(Example::table(), expected);
}

/// GUIDE.md has the tables of today; with `EDGEGRAD_UPDATE=1` in the environment they are written.
#[test]
fn the_guide_lists_every_key() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("GUIDE.md");
    let before = std::fs::read_to_string(&file).expect("GUIDE.md");
    let mut guide = before.clone();
    for (command, tables) in [
        ("train", Config::key_tables()),
        ("tune", Settings::key_tables()),
        ("grid", Grid::key_tables()),
        ("study", Study::key_tables()),
        ("sweep", Plan::key_tables()),
    ] {
        let start = format!("<!-- keys: {command} -->\n");
        let (head, rest) = guide.split_once(&start).unwrap_or_else(|| panic!("no {start}"));
        let (_, tail) = rest.split_once("<!-- end -->").expect("an end");
        guide = format!("{head}{start}\n{tables}\n<!-- end -->{tail}");
    }
    if std::env::var_os("EDGEGRAD_UPDATE").is_some() {
        std::fs::write(&file, &guide).expect("GUIDE.md can be written");
    } else {
        assert!(before == guide, "GUIDE.md: run this test with EDGEGRAD_UPDATE=1");
    }
}
