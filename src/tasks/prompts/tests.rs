use super::*;
use crate::formats::pairs::Pairs;
use std::cell::RefCell;

/// Tokens of whole words with the space before them, in the order in which they are met; numbers
/// are cut into parts of so many digits.
struct Words {
    digits: usize,
    known: RefCell<Vec<String>>,
}

impl Words {
    fn new(digits: usize) -> Words {
        Words { digits, known: RefCell::new(vec!["<s>".into()]) }
    }

    fn id(&self, word: &str) -> u32 {
        let mut known = self.known.borrow_mut();
        let at = known.iter().position(|other| other == word).unwrap_or_else(|| {
            known.push(word.into());
            known.len() - 1
        });
        at as u32
    }
}

impl Encode for Words {
    fn encode(&self, text: &str, whole: bool) -> Result<Vec<u32>> {
        let mut ids = if whole { vec![0] } else { vec![] };
        let mut rest = text;
        while !rest.is_empty() {
            let space = rest.len() - rest.trim_start_matches(' ').len();
            let word = &rest[space..];
            let end = word.find(|c: char| !c.is_alphanumeric()).unwrap_or(word.len()).max(1);
            let number = word.starts_with(|c: char| c.is_ascii_digit());
            // A space before a number is a token, so are single characters of other kinds.
            let length = match number {
                true if space > 0 => space,
                true => end.min(self.digits),
                false => space + end.min(word.len()),
            };
            ids.push(self.id(&rest[..length]));
            rest = &rest[length..];
        }
        Ok(ids)
    }

    fn piece(&self, id: u32) -> String {
        self.known.borrow()[id as usize].clone()
    }
}

const BOUNDS: Bounds = Bounds { vocab: 100_000, vocab_out: 100_000, context: 64 };

/// Eight pairs of a kind as texts: clean, corrupted, answers, distractors.
fn drawn(kind: Kind, digits: usize) -> Vec<[String; 4]> {
    let words = Words::new(digits);
    let found = fitted(kind, 8, 1, &words, &BOUNDS).unwrap();
    assert_eq!(found.lines.len(), 8);
    let pieces = |value: &Value| {
        let ids = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        let piece = |id: &Value| words.piece(id.as_u64().expect("an id") as u32);
        ids.iter().map(piece).collect::<Vec<_>>().join("|")
    };
    let row = |line: &Value| {
        let text = |i: usize| line["text"][i].as_str().expect("a text").to_string();
        let ids = json!(words.encode(&text(0), true).unwrap());
        assert_eq!(line["clean"], ids);
        [text(0), text(1), pieces(&line["answer"]), pieces(&line["distractor"])]
    };
    found.lines.iter().map(row).collect()
}

#[test]
fn the_name_that_is_not_said_again_is_the_answer() {
    for [clean, corrupted, answer, distractor] in drawn(Kind::Ioi, 2) {
        // With the space before it, and whatever follows: no name is the start of another word.
        let times = |text: &str, name: &str| text.matches(name).count();
        assert_eq!([times(&clean, &answer), times(&clean, &distractor)], [1, 2], "{clean}");
        assert_eq!([times(&corrupted, &answer), times(&corrupted, &distractor)], [2, 1]);
    }
}

/// The tokens of the spans of a line, as text.
fn spelled(line: &Value, words: &Words) -> Vec<(String, String)> {
    let ids: Vec<u32> = serde_json::from_value(line["clean"].clone()).expect("ids");
    let piece = |at: &Value| words.piece(ids[at.as_u64().expect("a position") as usize]);
    let of = |at: &Value| match at {
        Value::Array(list) => list.iter().map(piece).collect(),
        one => piece(one),
    };
    line["spans"].as_object().into_iter().flatten().map(|(k, at)| (k.clone(), of(at))).collect()
}

#[test]
fn spans_are_what_they_are_called() {
    for &(name, kind) in Kind::ALL {
        for digits in [1, 2] {
            let words = Words::new(digits);
            let found = fitted(kind, 8, 1, &words, &BOUNDS).expect(name);
            let (mut lines, text) = (found.lines.iter(), found.jsonl());
            // Every line has the same, so that `--spans` takes the file.
            let pairs = Pairs::parse("p.jsonl", text.as_bytes(), &BOUNDS, None, None).expect(name);
            let mut known = pairs.spans().to_vec();
            known.sort();
            let mut wanted = match kind {
                Kind::Ioi => vec!["IO", "S1", "S2", "end", "rest"],
                Kind::GreaterThan => vec!["end", "noun", "rest", "year"],
                Kind::Agreement => vec!["rest", "subject"],
                Kind::Attractor => vec!["attractor", "rest", "subject"],
                Kind::Pronouns => vec!["end", "occupation", "rest"],
                Kind::Capitals => vec!["country", "end", "rest"],
                Kind::Arithmetic => vec!["a", "b", "end", "rest"],
            };
            wanted.sort_unstable();
            assert_eq!(known, wanted, "{name}");
            if kind == Kind::Ioi {
                let line = lines.next().expect("a line");
                let token = |key: &str| words.piece(line[key].as_u64().expect("an id") as u32);
                let (io, s) = (token("answer"), token("distractor"));
                let spans = spelled(line, &words);
                let span = |name: &str| &spans.iter().find(|span| span.0 == name).expect(name).1;
                assert_eq!([span("IO"), span("S1"), span("S2")], [&io, &s, &s]);
                assert_eq!(span("end"), " to");
                assert!(line["spans"]["S1"].as_u64() < line["spans"]["S2"].as_u64());
            }
            if kind == Kind::GreaterThan {
                let spans = spelled(&found.lines[0], &words);
                let year = &spans.iter().find(|span| span.0 == "year").expect("a year").1;
                assert!(year.len() == 4 && year.parse::<u32>().is_ok(), "{year:?}");
            }
        }
    }
}

#[test]
fn later_years_are_the_answer_in_two_digits_or_in_one() {
    for (digits, most) in [(2, 99), (1, 9)] {
        for [clean, corrupted, answer, distractor] in drawn(Kind::GreaterThan, digits) {
            let numbers = |list: &str| -> Vec<u64> {
                list.split('|').map(|n| n.parse().expect("a number")).collect()
            };
            let year = clean.split("year ").nth(1).expect("a year")[2..4].parse::<u64>().unwrap();
            let year = if digits == 1 { year / 10 } else { year };
            assert_eq!(numbers(&answer), (year + 1..=most).collect::<Vec<_>>(), "{clean}");
            assert!(numbers(&distractor).iter().all(|&n| n <= year), "{clean}: {distractor}");
            assert_eq!(&corrupted.split("year ").nth(1).expect("a year")[2..4], "01");
        }
    }
}

#[test]
fn verbs_agree_with_their_subjects() {
    for kind in [Kind::Agreement, Kind::Attractor] {
        for [clean, corrupted, answer, distractor] in drawn(kind, 2) {
            let plural = answer == " are| were";
            let is = if plural { " is| was" } else { " are| were" };
            assert_eq!(distractor, is);
            let differ = clean.split(' ').zip(corrupted.split(' ')).filter(|(a, b)| a != b);
            let differ: Vec<_> = differ.collect();
            let [(subject, other)] = differ[..] else { panic!("{clean} / {corrupted}") };
            assert_eq!(plural, subject.len() > other.len() || subject.ends_with("en"), "{clean}");
            // The attractor has the other number.
            let last = clean.rsplit(' ').next().expect("a word");
            assert!(
                kind == Kind::Agreement || (last.ends_with('s') || last.ends_with("en")) != plural
            );
        }
    }
}

#[test]
fn numbers_are_the_results() {
    for digits in [1, 2] {
        for [clean, corrupted, answer, distractor] in drawn(Kind::Arithmetic, digits) {
            let result = |text: &str| {
                let numbers: Vec<i64> = text
                    .split(|c: char| !c.is_ascii_digit())
                    .filter_map(|n| n.parse().ok())
                    .collect();
                let minus = text.contains("minus") || text.contains("difference");
                (numbers[0] + if minus { -numbers[1] } else { numbers[1] }).to_string()
            };
            assert_eq!([result(&clean), result(&corrupted)], [answer, distractor], "{clean}");
        }
    }
}

#[test]
fn the_seed_decides_and_what_cannot_be_found_says_why() {
    for &(name, kind) in Kind::ALL {
        let of = |seed| fitted(kind, 5, seed, &Words::new(2), &BOUNDS).unwrap();
        assert_eq!(of(3), of(3), "{name}");
        assert_ne!(of(3).lines, of(4).lines, "{name}");
        assert_eq!(of(3).jsonl().lines().count(), 5);
    }
    let short = Bounds { context: 3, ..BOUNDS };
    let e = fitted(Kind::Ioi, 2, 0, &Words::new(2), &short).unwrap_err();
    let said = "ioi: 0 of 2 pairs after 400 candidates: 400 of unequal length";
    assert!(e.to_string().starts_with(said) && e.exit_code() == 2, "{e}");
    let few = Bounds { vocab_out: 1, ..BOUNDS };
    let e = fitted(Kind::Capitals, 1, 0, &Words::new(2), &few).unwrap_err();
    assert!(e.to_string().contains("200 with an answer of several tokens"), "{e}");
}

/// What a table of EAP-IG's gives: clean, answers and distractors of its first pair.
fn from_table(text: &str, corrupted: &str, words: &Words) -> Result<(Fitted, [String; 3])> {
    let found = table::Table::parse("t.csv", text, corrupted)?.fitted(None, words, &BOUNDS)?;
    let pieces = |value: &Value| {
        let ids = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        ids.iter().map(|id| words.piece(id.as_u64().unwrap() as u32)).collect::<String>()
    };
    let line = &found.lines[0];
    let shown = ["clean", "answer", "distractor"].map(|key| pieces(&line[key]));
    Ok((found, shown))
}

#[test]
fn tables_of_others_are_read() {
    let words = Words::new(2);
    let [mary, john, she, he] = [" Mary", " John", " she", " he"].map(|word| words.id(word));
    let ioi = format!(
        ",clean,corrupted,corrupted_hard,correct_idx,incorrect_idx\r\n\
         470,\"Mary, John. John gave to\",\"Mary, John. Anna gave to\",\"x, y. Mary gave to\",\
         {mary},{john}\r\n\
         3,Mary saw,Mary saw Tom,Mary saw,{mary},{john}\r\n\
         4,Mary saw,Tom saw,John saw,{mary},{mary}\r\n"
    );
    let (found, shown) = from_table(&ioi, "corrupted", &words).unwrap();
    assert_eq!(shown, ["<s>Mary, John. John gave to", " Mary", " John"]);
    assert_eq!(found.rejected, [Rejected::Length, Rejected::Same]);
    assert_eq!(found.lines[0]["text"][1], "Mary, John. Anna gave to");
    let (hard, _) = from_table(&ioi, "corrupted_hard", &words).unwrap();
    assert_eq!(hard.lines[0]["text"][1], "x, y. Mary gave to");

    let gender = format!(
        "clean,corrupted,clean_answer_idx,corrupted_answer_idx,label\n\
         The nurse ran,The man ran,{she},{he},0\n"
    );
    let (_, shown) = from_table(&gender, "corrupted", &words).unwrap();
    assert_eq!(shown, ["<s>The nurse ran", " she", " he"]);

    let lists = format!(
        "clean,h1,answers_idx,corrupted,corrupted_answers_idx\n\
         \", aunts and\",aunts,\"[{mary}, {she}]\",\", moths and\",[{he}]\n"
    );
    let (_, shown) = from_table(&lists, "corrupted", &words).unwrap();
    assert_eq!(shown, ["<s>, aunts and", " Mary she", " he"]);
    let verbs = "clean,corrupted,group,plural\nThe keys,The key,a,1\nThe key,The keys,b,0\n";
    let (found, shown) = from_table(verbs, "corrupted", &words).unwrap();
    assert_eq!(shown, ["<s>The keys", " are were", " is was"]);
    assert_eq!(found.lines[0]["answer"], found.lines[1]["distractor"]);
}

/// The sides of EAP-IG's task by its definition: token `y` of two digits is right if it is later.
#[test]
fn years_of_tables_count_from_zero() {
    for (column, cell) in [("label", "97"), ("correct_idx", "97"), ("year", "1697")] {
        let text = format!("clean,corrupted,{column}\nto 16,to 15,{cell}\n");
        let (_, [_, right, wrong]) = from_table(&text, "corrupted", &Words::new(2)).unwrap();
        let early: String = (0..98).map(|y| format!("{y:02}")).collect();
        assert_eq!((right.as_str(), wrong), ("9899", early), "{column}");
    }
    let text = "clean,corrupted,label\nto 16,to 15,52\n";
    let (_, [_, right, wrong]) = from_table(text, "corrupted", &Words::new(1)).unwrap();
    assert_eq!((right.as_str(), wrong.as_str()), ("6789", "01234"));
}

#[test]
fn bad_tables_are_named() {
    let said = |text: &str| {
        let e = from_table(text, "corrupted", &Words::new(2)).expect_err("bad input");
        assert_eq!(e.exit_code(), 2);
        format!("{e} / {}", e.help())
    };
    let head = "clean,corrupted,correct_idx,incorrect_idx\n";
    let rows = |rows: &str| said(&format!("{head}a b,a c,1,0\n{rows}\n"));
    assert!(said("").starts_with("t.csv: holds no pair"));
    assert!(said(head).starts_with("t.csv: holds no pair"));
    assert!(said("clean,corupted,label\na,b,3").contains("no column `corrupted` / it has `corup"));
    assert!(said("clean,corrupted,x\na,b,3").contains("no column with an answer"));
    assert!(rows("a,b,1").starts_with("t.csv: line 3: has 3 cells, the first line has 4"));
    assert!(rows("a, b,b,1,2").contains("has 5 cells, the first line has 4 / put texts"));
    assert!(rows(",b,1,2").starts_with("t.csv: line 3: `clean` is empty"));
    assert!(rows("a,b,x,2").contains("`correct_idx`: expected a token id, got \"x\""));
    assert!(rows("a,b,1,[2").contains("`incorrect_idx`: expected a token id, got \"[2\""));
    assert!(rows("a,b,1,2.0").contains("`incorrect_idx`: expected a token id, got \"2.0\""));
    assert!(rows("a,b,100000,2").contains("id 100000 is outside of the vocabulary of 100000"));
    assert!(rows("\"a,b,1,2").starts_with("t.csv: line 3: a quoted cell has no end"));
    let year = |cell: &str| said(&format!("clean,corrupted,label\na,b,{cell}"));
    assert!(year("100").contains("`label`: expected a whole number from 0 to 99, got \"100\""));
    let plural = said("clean,corrupted,plural\na,b,2");
    assert!(plural.contains("`plural`: expected a whole number from 0 to 1, got \"2\""));
    assert!(year("52").starts_with("t.csv: none of 1 rows fits the tokenizer"));
}

/// Answers and distractors change places, and nothing else does.
#[test]
fn pairs_are_turned_around() {
    let found = fitted(Kind::Agreement, 8, 1, &Words::new(2), &BOUNDS).unwrap();
    let mut turned = found.clone();
    turned.turn_around();
    for (line, other) in found.lines.iter().zip(&turned.lines) {
        assert_ne!(line["answer"], line["distractor"]);
        assert_eq!(
            [&line["answer"], &line["distractor"]],
            [&other["distractor"], &other["answer"]]
        );
        assert_eq!([&line["clean"], &line["text"]], [&other["clean"], &other["text"]]);
    }
    turned.turn_around();
    assert_eq!(found, turned);
}
