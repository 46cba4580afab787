use super::*;
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
