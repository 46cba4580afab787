//! Everything that examples claim is derived again from their words alone.

use super::vocabulary::*;
use super::*;
use crate::formats::pairs::{Asked as Question, Bounds, Pairs};
use crate::named::Named;
use crate::rng::Purpose;
use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, prop_assert_ne, proptest};
use std::collections::HashSet;

fn rng(seed: u64) -> Rng {
    Rng::new(seed, Purpose::Data, 0)
}

fn source(domain: Domain, variant: Variant, part: Part) -> Source {
    Source { domain, variant, part }
}

fn sources() -> impl Iterator<Item = Source> {
    let parts = |domain, variant| Part::ALL.iter().map(move |p| source(domain, variant, p.1));
    let variants = move |domain| Variant::ALL.iter().flat_map(move |v| parts(domain, v.1));
    Domain::ALL.iter().flat_map(move |d| variants(d.1))
}

/// All sources of one domain.
fn of(domain: Domain) -> impl Iterator<Item = Source> {
    sources().filter(move |source| source.domain == domain)
}

fn words(ids: &[u32]) -> Vec<&'static str> {
    ids.iter().map(|&id| Vocabulary::get().words()[id as usize]).collect()
}

fn word(id: u32) -> &'static str {
    Vocabulary::get().words()[id as usize]
}

/// The answers as words.
fn answers(example: &Example) -> Vec<&'static str> {
    example.asked.iter().map(|asked| word(asked.answer)).collect()
}

/// The tokens without the answers and the chains that lead to them.
fn frame(example: &Example) -> Vec<Option<u32>> {
    let weights = example.weights(Counted::Process);
    example.tokens.iter().zip(weights).map(|(&id, w)| (w == 0.0).then_some(id)).collect()
}

/// By Hoeffding's inequality a count of `n` independent trials deviates from its mean by this or
/// more with probability at most 2 exp(-2 t^2 / n), here 1e-9 over all `counts` of a test.
fn allowed(n: usize, counts: usize) -> f64 {
    (n as f64 * (2.0 * counts as f64 / 1e-9).ln() / 2.0).sqrt()
}

#[track_caller]
fn assert_share(hits: usize, n: usize, share: f64, counts: usize) {
    let mean = n as f64 * share;
    assert!((hits as f64 - mean).abs() < allowed(n, counts), "{hits} of {n}, expected {mean}");
}

// ---- what words mean, read without the generators ----

/// The positions of the verbs in a sentence of agreement, or in the start of one that breaks off
/// before a verb, each with whether its subject is plural.
fn verbs(words: &[&str]) -> Vec<(usize, bool)> {
    let mut i = 1;
    let mut found = vec![];
    let is = |i: usize, word: &str| words.get(i) == Some(&word);
    let preposition = |i: usize| words.get(i).is_some_and(|w| PREPOSITIONS.contains(w));
    let noun = |i: &mut usize| {
        let plural = NOUNS.iter().any(|n| n.1 == words[*i + 1]);
        assert!(plural || NOUNS.iter().any(|n| n.0 == words[*i + 1]), "{words:?}");
        assert!(is(*i, "the") || is(*i, if plural { "these" } else { "this" }), "{words:?}");
        *i += 2;
        plural
    };
    if preposition(i) {
        i += 1;
        noun(&mut i);
    }
    let subject = noun(&mut i);
    if preposition(i) {
        i += 1;
        noun(&mut i);
    } else if is(i, "that") {
        i += 1;
        if is(i, "the") {
            let inner = noun(&mut i);
            found.push((i, inner));
            i += 1;
        } else {
            found.push((i, subject));
            i += 1;
            if i < words.len() {
                noun(&mut i);
            }
        }
    }
    if words.get(i).is_some_and(|w| ADVERBS.contains(w)) {
        i += 1;
    }
    while i <= words.len() {
        found.push((i, subject));
        i += 1;
        if i > words.len() {
            break;
        } else if is(i - 1, "is") || is(i - 1, "are") {
            assert!(ADJECTIVES.contains(&words[i]), "{words:?}");
            i += 1;
        } else {
            noun(&mut i);
        }
        if !is(i, "and") {
            assert!(is(i, ".") && i + 1 == words.len(), "{words:?}");
            break;
        }
        i += 1;
    }
    found
}

/// Whether a present verb is in the plural.
fn for_many(verb: &str) -> bool {
    let forms = VERBS.iter().chain(&[("is", "are")]);
    let form = forms.clone().find(|f| f.0 == verb || f.1 == verb).expect("a verb");
    form.1 == verb
}

/// The results of the steps of a task, signs or words, up to the colon.
fn results(words: &[&str]) -> Vec<i64> {
    let task: Vec<_> = words.iter().skip(1).take_while(|w| **w != ":").collect();
    let task = if *task[0] == "start" { &task[1..] } else { &task[..] };
    let number = |w: &str| w.parse::<i64>().expect("a number");
    let mut x = number(task[0]);
    let steps = task[1..].chunks_exact(2);
    assert!(steps.remainder().is_empty());
    steps
        .map(|step| {
            let operand = number(step[1]);
            x = match *step[0] {
                "+" | "add" => x + operand,
                "-" | "take" => x - operand,
                "*" | "times" => x * operand,
                other => panic!("{other}"),
            };
            x.rem_euclid(31)
        })
        .collect()
}

/// The index of the letter that a word names.
fn letter(word: &str) -> usize {
    let known = |list: &[&str]| list.iter().position(|w| *w == word);
    known(LETTERS).or(known(WEATHER)).expect("a letter")
}

/// The value of the formula that begins at `i`, which is moved past it, and its depth.
fn evaluate(words: &[&str], i: &mut usize, values: &[bool; 5]) -> (bool, usize) {
    let left = operand(words, i, values);
    let connective = words[*i];
    if !["&", "|", "->", "and", "or", "implies"].contains(&connective) {
        return left;
    }
    *i += 1;
    let right = operand(words, i, values);
    let value = match connective {
        "&" | "and" => left.0 & right.0,
        "|" | "or" => left.0 | right.0,
        _ => left.0 <= right.0,
    };
    (value, 1 + left.1.max(right.1))
}

fn operand(words: &[&str], i: &mut usize, values: &[bool; 5]) -> (bool, usize) {
    let first = words[*i];
    *i += 1;
    match first {
        "~" | "not" => {
            let (value, depth) = operand(words, i, values);
            (!value, depth)
        }
        "(" => {
            let inner = evaluate(words, i, values);
            assert_eq!(words[*i], ")");
            *i += 1;
            inner
        }
        word => (values[letter(word)], 0),
    }
}

/// The label of a problem by its whole truth table, and the depth of its formula; no label if no
/// valuation agrees with its premises.
fn follows(words: &[&str]) -> (Option<&'static str>, usize) {
    let middle = words.iter().position(|w| *w == "given" || *w == ":").expect("a formula");
    let abduction = words[middle] == "given";
    let facts: Vec<_> = words[1..middle]
        .chunks_exact(2)
        .map(|fact| (letter(fact[0]), fact[1] == "true" || fact[1] == "came"))
        .collect();
    assert_eq!(2 * facts.len() + 1, middle);
    let (mut found, mut depth) = (HashSet::new(), 0);
    for row in 0..32 {
        let values: [bool; 5] = std::array::from_fn(|i| row / (1 << i) % 2 == 1);
        let mut i = middle + 1;
        let (formula, deep) = evaluate(words, &mut i, &values);
        depth = deep;
        let known = facts.iter().all(|&(i, value)| values[i] == value);
        if abduction && known && formula {
            assert_eq!((words[i], words[i + 2]), (":", "?"));
            found.insert(values[letter(words[i + 1])]);
        } else if !abduction && known {
            assert_eq!(words[i], "?");
            found.insert(formula);
        }
    }
    let label = match (found.contains(&true), found.contains(&false)) {
        (true, true) => Some("unknown"),
        (true, false) => Some("true"),
        (false, true) => Some("false"),
        (false, false) => None,
    };
    (label, depth)
}

/// The words with which a passage answers its question; `None` if it does not.
fn look_up(words: &[&'static str]) -> Option<Vec<&'static str>> {
    let question = words.iter().position(|w| *w == "?").expect("a question");
    let asked = &words[question - 2..question];
    let facts = words[1..question - 2].split(|w| *w == ".");
    let mut said = facts.filter(|fact| fact.starts_with(asked));
    let fact = said.next()?;
    assert_eq!((fact[2], said.next()), ("holds", None));
    Some(fact[3..].to_vec())
}

// ---- laws of every domain ----

proptest! {
    // Each case draws from all 48 sources several times.
    #![proptest_config(ProptestConfig::with_cases(5))]

    #[test]
    fn the_same_seed_gives_the_same(seed: u64) {
        for source in sources() {
            let draw = |seed| (source.examples(3, &mut rng(seed)), source.pairs(2, &mut rng(seed)));
            prop_assert_eq!(draw(seed), draw(seed));
            prop_assert_ne!(draw(seed), draw(seed ^ 1));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn examples_are_well_formed(seed: u64) {
        let vocabulary = Vocabulary::get();
        for source in sources() {
            let example = source.example(&mut rng(seed));
            let tokens = &example.tokens;
            let text = example.text();
            prop_assert!(tokens.len() <= LONGEST && text.ends_with(" ."), "{}", text);
            prop_assert_eq!(example.domain, source.domain);
            prop_assert_eq!(&vocabulary.encode(&text).unwrap(), tokens);
            prop_assert!(tokens[0] == BOS && !tokens[1..].contains(&BOS) && !tokens.contains(&PAD));
            prop_assert!(!example.asked.is_empty());
            prop_assert!(example.asked.is_sorted_by(|a, b| a.at < b.at));
            for asked in &example.asked {
                prop_assert_eq!(asked.answer, tokens[asked.at]);
                prop_assert!(asked.rival != asked.answer && asked.at >= 2, "{}", text);
            }
            let bucket = if source.part == Part::Transfer { Part::Test } else { source.part };
            prop_assert_eq!(example.bucket(), bucket);
            // An answer that may become another does not influence the split of an example.
            if matches!(source.domain, Domain::Agreement | Domain::Occupation | Domain::Filler) {
                let mut other = example.clone();
                for asked in &example.asked {
                    other.tokens[asked.at] = asked.rival;
                }
                prop_assert_eq!(other.bucket(), bucket);
            }

            let sum = |counted| example.weights(counted).iter().sum::<f32>() as usize;
            let answers = example.asked.iter().filter(|asked| asked.outcome).count();
            prop_assert_eq!(sum(Counted::All), tokens.len() - 1);
            prop_assert_eq!(sum(Counted::Outcome), answers);
            let steps = example.chain.len() + if example.chain.is_empty() { 0 } else { 1 };
            prop_assert_eq!(sum(Counted::Process), steps.max(answers));
            let entries = example.labels.entries();
            prop_assert_eq!(&entries[0], &("template", example.labels.template.to_string()));
            if source.part != Part::Transfer {
                prop_assert_eq!(example.labels.transfer, None);
            } else if source.domain != Domain::Filler {
                prop_assert!(example.labels.transfer.is_some());
            }
        }
    }

    #[test]
    fn pairs_differ_in_what_decides_and_nowhere_else(seed: u64) {
        for source in sources() {
            let pair = source.pair(&mut rng(seed));
            let (clean, corrupted) = (words(&pair.clean), words(&pair.corrupted));
            let (answer, distractor) = (word(pair.answer), word(pair.distractor));
            let shown = format!("{clean:?} {answer}\n{corrupted:?} {distractor}");
            prop_assert_eq!(clean.len(), corrupted.len());
            prop_assert_eq!(pair.position + 1, clean.len());
            let at: Vec<usize> = (0..clean.len()).filter(|&i| clean[i] != corrupted[i]).collect();
            let pretrain = source.variant == Variant::Pretrain;
            let changed = (clean[at[0]], corrupted[at[0]]);
            let either = |list: &[(&str, &str)]| {
                list.iter().any(|&(a, b)| changed == (a, b) || changed == (b, a))
            };
            let one = match source.domain {
                Domain::Agreement => {
                    for (words, verb) in [(&clean, answer), (&corrupted, distractor)] {
                        let next = *verbs(words).last().unwrap();
                        prop_assert_eq!(next.0, words.len());
                        prop_assert!(for_many(verb) == (next.1 == pretrain), "{}", shown);
                    }
                    either(NOUNS)
                }
                Domain::Occupation => {
                    let he = ["he", "his"].contains(&answer);
                    let she = ["she", "her"].contains(&distractor);
                    let (old, new) = changed;
                    let work = |a: &[&str], b: &[&str]| a.contains(&old) && b.contains(&new);
                    let man = GENDERED.iter().any(|g| g.0 == changed.0);
                    prop_assert_eq!(he, she);
                    prop_assert_eq!(he, man || MALE.contains(&changed.0));
                    either(GENDERED) || work(MALE, FEMALE) || work(FEMALE, MALE)
                }
                Domain::Arithmetic => {
                    prop_assert_eq!(at.len(), 2);
                    prop_assert_eq!((clean[at[1]], corrupted[at[1]]), changed);
                    // As many results precede the answer as there are `=` before it.
                    let k = clean.iter().filter(|w| **w == "=").count() - 1;
                    prop_assert_eq!(results(&clean)[k].to_string(), answer);
                    prop_assert_eq!(results(&corrupted)[k].to_string(), distractor);
                    continue;
                }
                Domain::Logic => {
                    prop_assert_eq!(follows(&clean).0, Some(answer));
                    prop_assert_eq!(follows(&corrupted).0, Some(distractor));
                    either(&[("true", "false"), ("came", "failed")])
                }
                Domain::Lookup => {
                    for (words, answer) in [(&clean, answer), (&corrupted, distractor)] {
                        prop_assert_eq!(look_up(words).map_or("[none]", |said| said[0]), answer);
                    }
                    true
                }
                Domain::Filler => {
                    let number = |word| NOUNS.iter().any(|n| n.1 == word);
                    prop_assert_eq!(number(answer), changed.0 == "these");
                    prop_assert_eq!(number(distractor), changed.1 == "these");
                    either(&[("this", "these")])
                }
            };
            prop_assert!(one && at.len() == 1, "{}", shown);
        }
    }
}

/// Neither a frame is, nor are all the words of an example in another order.
#[test]
fn no_test_occurs_in_train() {
    // One step has 31 x 22 tasks, each in two wordings: 4000 examples show many of them twice.
    const TRAIN: usize = 4000;
    let bag = |example: &Example| {
        let mut tokens = example.tokens.clone();
        tokens.sort_unstable();
        tokens
    };
    for (_, domain) in Domain::ALL {
        let (mut seen, mut bags) = (HashSet::new(), HashSet::new());
        for (_, variant) in Variant::ALL {
            let train = source(*domain, *variant, Part::Train).examples(TRAIN, &mut rng(1));
            seen.extend(train.iter().map(frame));
            bags.extend(train.iter().map(bag));
        }
        let mut dev = HashSet::new();
        for source in of(*domain).filter(|source| source.part != Part::Train) {
            for example in source.examples(100, &mut rng(1)) {
                assert!(!seen.contains(&frame(&example)), "{}", example.text());
                assert!(!bags.contains(&bag(&example)), "{}", example.text());
                match source.part {
                    Part::Dev => drop(dev.insert(frame(&example))),
                    _ => assert!(!dev.contains(&frame(&example)), "{}", example.text()),
                }
            }
        }
        if *domain == Domain::Arithmetic {
            assert!(seen.len() < 2 * TRAIN * 19 / 20, "too many different frames to show anything");
        }
    }
}

#[test]
fn a_tenth_of_all_frames_is_for_the_test() {
    // Splits of what any generator gives: rejection by class must not see them.
    const N: usize = 20_000;
    let mut counts = [0; 3];
    let mut draw = rng(5);
    for _ in 0..N {
        let mut example = Example::begin(Domain::Filler, Labels::default());
        for _ in 0..8 {
            example.tokens.push(index(Vocabulary::get().size(), &mut draw) as u32);
        }
        counts[example.bucket() as usize] += 1;
    }
    for (count, share) in counts.into_iter().zip([0.8, 0.1, 0.1]) {
        assert_share(count, N, share, 3);
    }
}

#[test]
fn pairs_are_read_from_their_file() {
    let size = Vocabulary::get().size();
    let bounds = Bounds { vocab: size, vocab_out: size, context: LONGEST };
    for source in sources() {
        let made = source.pairs(5, &mut rng(2));
        let text = jsonl(&made);
        let read = Pairs::parse("p.jsonl", text.as_bytes(), &bounds, None, None).unwrap();
        assert_eq!((read.len(), text.lines().count()), (5, 5));
        for (made, read) in made.iter().zip(read.iter()) {
            let MinimalPair { answer, distractor, position, .. } = *made;
            let asked =
                Question::Tokens { answer: vec![answer], distractor: vec![distractor], position };
            assert_eq!((&made.clean, &made.corrupted), (&read.clean, &read.corrupted));
            assert_eq!(read.asked, asked);
        }
    }
    let line =
        r#"{"clean": "the dog", "corrupted": "the dogs", "answer": "sees", "distractor": "see"}"#;
    let words = Vocabulary::get();
    let read = Pairs::parse("p.jsonl", line.as_bytes(), &bounds, Some(words), None).unwrap();
    assert_eq!(read[0].clean, words.encode("<bos> the dog").unwrap());
}

// ---- laws of each domain ----

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn verbs_have_the_number_that_they_should(seed: u64) {
        for source in of(Domain::Agreement) {
            let example = source.example(&mut rng(seed));
            let words = words(&example.tokens);
            let found = verbs(&words);
            let at: Vec<usize> = example.asked.iter().map(|asked| asked.at).collect();
            prop_assert_eq!(&found.iter().map(|verb| verb.0).collect::<Vec<_>>(), &at);
            for (asked, (at, plural)) in example.asked.iter().zip(found) {
                let agrees = for_many(words[at]) == plural;
                prop_assert_eq!(agrees, source.variant == Variant::Pretrain);
                prop_assert_eq!(for_many(word(asked.rival)), !for_many(words[at]));
                // The noun before the verb is the subject itself or the attractor.
                let nouns = |w: &&&str| NOUNS.iter().any(|n| n.0 == **w || n.1 == **w);
                let last = words[..at].iter().rev().find(nouns).unwrap();
                let last = NOUNS.iter().any(|n| n.1 == *last);
                match asked.attractor {
                    Some("opposite") => prop_assert_ne!(last, plural),
                    Some("none" | "same") => prop_assert_eq!(last, plural),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
    }

    #[test]
    fn chains_are_right(seed: u64) {
        for source in of(Domain::Arithmetic) {
            let example = source.example(&mut rng(seed));
            let words = words(&example.tokens);
            let mut expected = results(&words);
            let steps = expected.len();
            expected.push(expected[steps - 1]);
            let expected: Vec<_> = expected.iter().map(|x| x.to_string()).collect();
            prop_assert_eq!(answers(&example), expected);
            let allowed = if source.variant == Variant::Pretrain { 1..=2 } else { 3..=4 };
            prop_assert!(allowed.contains(&steps) && example.labels.depth == Some(steps));
            // The chain repeats the task in signs, with each result after its step.
            let sign = |w: &str| match w {
                "add" => "+",
                "take" => "-",
                "times" => "*",
                _ => "",
            };
            let start = usize::from(words[1] == "start") + 1;
            let colon = words.iter().position(|w| *w == ":").unwrap();
            let mut chain = words[start..=start].to_vec();
            for (step, &result) in words[start + 1..colon].chunks(2).zip(&answers(&example)) {
                let operator = if sign(step[0]).is_empty() { step[0] } else { sign(step[0]) };
                chain.extend([operator, step[1], "=", result]);
            }
            chain.push("#");
            prop_assert_eq!(&words[example.chain.clone()], &chain);
            let last = *answers(&example).last().unwrap();
            prop_assert_eq!(&words[example.chain.end..], &[last, "."]);
            let outcomes: Vec<bool> = example.asked.iter().map(|asked| asked.outcome).collect();
            prop_assert_eq!(outcomes, (0..=steps).map(|i| i == steps).collect::<Vec<_>>());
        }
    }

    #[test]
    fn labels_follow(seed: u64) {
        for source in of(Domain::Logic) {
            let example = source.example(&mut rng(seed));
            let (label, depth) = follows(&words(&example.tokens));
            prop_assert!(answers(&example) == [label.unwrap()], "{}", example.text());
            prop_assert_eq!(example.labels.depth, Some(depth));
            let depths = match (source.part, source.variant, example.labels.transfer) {
                (Part::Transfer, _, Some("depth")) => 4..=4,
                (Part::Transfer, ..) | (_, Variant::Target, _) => 3..=3,
                (_, Variant::Pretrain, _) => 1..=2,
            };
            prop_assert!(depths.contains(&depth));
            let used = words(&example.tokens);
            let used = used.split(|w| *w == "given" || *w == ":").nth(1).unwrap();
            let known = |w: &&&str| LETTERS.contains(w) || WEATHER.contains(w);
            let different: HashSet<_> = used.iter().filter(known).collect();
            prop_assert!(different.len() >= depth.max(2));
            let story = example.labels.wording == Some("story");
            let letters = words(&example.tokens).iter().any(|w| LETTERS.contains(w));
            prop_assert_eq!(story, !letters);
        }
    }

    #[test]
    fn passages_are_looked_up(seed: u64) {
        for source in of(Domain::Lookup) {
            let example = source.example(&mut rng(seed));
            let words = words(&example.tokens);
            let said = look_up(&words);
            let answerable = example.labels.answerable.unwrap();
            prop_assert_eq!(said.is_some(), answerable);
            prop_assert_eq!(answers(&example), said.unwrap_or(vec!["[none]"]));
            // Colour and container of the question occur in any case.
            let question = words.iter().position(|w| *w == "?").unwrap();
            let passage = &words[1..question - 2];
            prop_assert!(words[question - 2..question].iter().all(|w| passage.contains(w)));
            let length = if !answerable || source.variant == Variant::Pretrain { 1 } else { 2 };
            prop_assert_eq!(example.asked.len(), length);
        }
    }

    #[test]
    fn determiners_of_stories_agree(seed: u64) {
        for source in of(Domain::Filler) {
            let example = source.example(&mut rng(seed));
            let words = words(&example.tokens);
            let mut number = false;
            for (i, word) in words.iter().enumerate() {
                match *word {
                    "this" | "these" => number = *word == "these",
                    "itself" | "themselves" => prop_assert_eq!(number, *word == "themselves"),
                    _ if NOUNS.iter().any(|n| n.0 == *word) => prop_assert!(!number),
                    _ if NOUNS.iter().any(|n| n.1 == *word) => prop_assert!(number),
                    _ => prop_assert!(!example.asked.iter().any(|asked| asked.at == i)),
                }
            }
        }
    }
}

/// The gender of a sentence's subject by its words: the one that is stated and the occupation's.
fn genders(words: &[&str]) -> (Option<bool>, Option<bool>) {
    let said = words.iter().find_map(|w| {
        let pair = GENDERED.iter().find(|g| g.0 == *w || g.1 == *w)?;
        Some(pair.1 == *w)
    });
    let work = words.iter().find_map(|w| match (MALE.contains(w), FEMALE.contains(w)) {
        (false, false) => None,
        (_, female) => Some(female),
    });
    (said, work)
}

#[test]
fn pronouns_go_with_occupations_as_often_as_stated_and_always_with_a_gender() {
    const N: usize = 3000;
    for (variant, bias) in [(Variant::Pretrain, 0.9), (Variant::Target, 0.5)] {
        for part in [Part::Train, Part::Test, Part::Transfer] {
            let (mut explicit, mut expected) = (0, 0);
            for example in source(Domain::Occupation, variant, part).examples(N, &mut rng(3)) {
                let words = words(&example.tokens);
                let pronouns = words.iter().filter(|w| ["he", "she", "his", "her"].contains(w));
                assert_eq!((pronouns.count(), example.asked.len()), (1, 1), "{words:?}");
                let she = ["she", "her"].contains(&answers(&example)[0]);
                let (said, work) = genders(&words);
                assert_eq!(example.labels.explicit, Some(said.is_some()));
                match said {
                    Some(female) => {
                        explicit += 1;
                        assert_eq!(she, female, "{words:?}");
                    }
                    None => expected += usize::from(Some(she) == work),
                }
            }
            assert_share(explicit, N, 0.3, 12);
            assert_share(expected, N - explicit, bias, 12);
        }
    }
}

#[test]
fn labels_and_answers_are_as_balanced_as_stated() {
    const N: usize = 400;
    for source in of(Domain::Logic) {
        let examples = source.examples(N, &mut rng(4));
        for label in ["true", "false", "unknown"] {
            let hits = examples.iter().filter(|e| answers(e) == [label]).count();
            assert_share(hits, N, 1.0 / 3.0, 24);
        }
    }
    for source in of(Domain::Lookup) {
        let examples = source.examples(N, &mut rng(4));
        let hits = examples.iter().filter(|e| e.labels.answerable == Some(false)).count();
        let share = if source.variant == Variant::Pretrain { 0.0 } else { 1.0 / 3.0 };
        assert_share(hits, N, share, 8);
    }
}

#[test]
fn tuning_shows_nothing_that_is_held_out() {
    let tail = |n: usize, held: usize| n - held..n;
    let nouns: HashSet<_> =
        NOUNS[tail(NOUNS.len(), HELD_OUT_NOUNS)].iter().flat_map(|n| [n.0, n.1]).collect();
    let verbs: HashSet<_> =
        VERBS[tail(VERBS.len(), HELD_OUT_VERBS)].iter().flat_map(|v| [v.0, v.1]).collect();
    let held = tail(MALE.len(), HELD_OUT_OCCUPATIONS);
    let works: HashSet<_> = MALE[held.clone()].iter().chain(&FEMALE[held]).copied().collect();
    let things = |words: &[&'static str]| -> Vec<(usize, usize)> {
        let pairs = words.windows(2).filter_map(|w| {
            let colour = COLOURS.iter().position(|c| *c == w[0])?;
            Some((colour, CONTAINERS.iter().position(|c| *c == w[1])?))
        });
        pairs.collect()
    };
    let held_thing = |thing: &(usize, usize)| (thing.0 + 3 * thing.1).is_multiple_of(5);
    for source in sources() {
        for example in source.examples(150, &mut rng(6)) {
            let words = words(&example.tokens);
            let has = |set: &HashSet<&str>| words.iter().any(|w| set.contains(w));
            let labels = example.labels;
            let held = match source.domain {
                Domain::Agreement if labels.template == "fronted" => Some("template"),
                Domain::Agreement if has(&nouns) => Some("nouns"),
                Domain::Agreement if has(&verbs) => Some("verbs"),
                Domain::Occupation if ["before", "sold"].contains(&labels.template) => {
                    Some("template")
                }
                Domain::Occupation if has(&works) => Some("occupation"),
                Domain::Arithmetic if words[1] == "start" => Some("wording"),
                Domain::Logic if labels.depth == Some(4) => Some("depth"),
                Domain::Logic if words.iter().any(|w| LETTERS.contains(w)) => Some("wording"),
                Domain::Lookup if things(&words).iter().any(held_thing) => Some("thing"),
                _ => None,
            };
            match (source.part, source.variant) {
                // In pre-training they occur.
                (Part::Train | Part::Dev | Part::Test, Variant::Pretrain) => {}
                _ => assert_eq!(held, labels.transfer, "{source:?}: {words:?}"),
            }
            if labels.transfer == Some("thing") {
                assert!(held_thing(things(&words).last().unwrap()), "{words:?}");
            }
        }
    }
}

// ---- pre-training ----

#[test]
fn the_mixture_has_its_shares_and_shows_every_word() {
    const N: usize = 8000;
    // The rarest words, those that state a gender, are in 0.15 x 0.3 / 16 of the examples: one is
    // missing from all with a probability of e^-22.
    let mixture = Mixture::new(0);
    let examples = mixture.examples(0, N);
    for (domain, parts) in mixture.shares {
        let hits = examples.iter().filter(|e| e.domain == domain).count();
        assert_share(hits, N, f64::from(parts) / 100.0, 6);
    }
    assert!(examples.iter().all(|e| e.bucket() == Part::Train));
    let seen: HashSet<u32> = examples.iter().flat_map(|e| e.tokens.iter().copied()).collect();
    let missing: Vec<_> =
        (0..Vocabulary::get().size() as u32).filter(|i| !seen.contains(i)).collect();
    assert_eq!(missing, [PAD], "{:?}", words(&missing));
}

#[test]
fn a_batch_depends_on_seed_and_index_alone() {
    let batch = |seed, index, n| Mixture::new(seed).examples(index, n);
    assert_eq!(batch(3, 9, 20), batch(3, 9, 40)[..20]);
    assert_ne!(batch(3, 9, 20), batch(3, 10, 20));
    assert_ne!(batch(3, 9, 20), batch(4, 9, 20));
    let only = Mixture {
        seed: 0,
        shares: Domain::ALL
            .iter()
            .map(|d| (d.1, u32::from(d.1 == Domain::Logic)))
            .collect::<Vec<_>>()
            .try_into()
            .unwrap(),
    };
    assert!(only.examples(0, 20).iter().all(|e| e.domain == Domain::Logic));
}

#[test]
fn rows_predict_the_next_token_and_end_in_padding() {
    let examples = Mixture::new(1).examples(0, 30);
    for (_, counted) in Counted::ALL {
        let batch = Batch::new(&examples, *counted, LONGEST - 1);
        assert_eq!((batch.n, batch.length, batch.inputs.len()), (30, 31, 930));
        for (i, example) in examples.iter().enumerate() {
            let row = |list: &[u32]| list[i * 31..(i + 1) * 31].to_vec();
            let (inputs, targets) = (row(&batch.inputs), row(&batch.targets));
            let end = example.tokens.len() - 1;
            assert_eq!(
                (&inputs[..end], &targets[..end]),
                (&example.tokens[..end], &example.tokens[1..])
            );
            assert!(inputs[end..].iter().chain(&targets[end..]).all(|&id| id == PAD));
            let weights = &batch.weights[i * 31..(i + 1) * 31];
            assert_eq!(weights[..end], example.weights(*counted)[1..]);
            assert!(weights[end..].iter().all(|&w| w == 0.0));
        }
    }
}

#[test]
#[should_panic(expected = "rows of 3")]
fn rows_that_are_too_short_are_refused() {
    Batch::new(&Mixture::new(1).examples(0, 1), Counted::All, 3);
}

/// A line as documentation of at most 100 columns; what does not fit continues with an indent.
fn documented(line: &str) -> String {
    let (mut text, mut column) = ("//!".to_string(), 3);
    for word in line.split(' ') {
        if column + 1 + word.len() > 100 {
            text += "\n//!    ";
            column = 7;
        }
        text = text + " " + word;
        column += 1 + word.len();
    }
    text + "\n"
}

/// The blocks of text in the modules' documentation are what the generators give.
#[test]
fn documented_examples_are_real() {
    let documents = [
        include_str!("agreement.rs"),
        include_str!("occupation.rs"),
        include_str!("arithmetic.rs"),
        include_str!("logic.rs"),
        include_str!("lookup.rs"),
        include_str!("filler.rs"),
    ];
    let mut missing = String::new();
    for ((_, domain), document) in Domain::ALL.iter().zip(documents) {
        let mut lines = vec![];
        for (name, variant, part, n) in [
            ("pretrain", Variant::Pretrain, Part::Train, 2),
            ("target", Variant::Target, Part::Train, 2),
            ("transfer", Variant::Target, Part::Transfer, 1),
        ] {
            for example in source(*domain, variant, part).examples(n, &mut rng(0)) {
                lines.push(format!("{name}: {}", example.text().replace("<bos> ", "")));
            }
        }
        let pair = source(*domain, Variant::Pretrain, Part::Train).pair(&mut rng(0));
        for (name, ids, next) in
            [("clean", &pair.clean, pair.answer), ("corrupted", &pair.corrupted, pair.distractor)]
        {
            lines.push(format!("{name}: {} -> {}", words(&ids[1..]).join(" "), word(next)));
        }
        let block = lines.iter().fold("//! ```text\n".to_string(), |b, l| b + &documented(l));
        if !document.contains(&(block.clone() + "//! ```\n")) {
            missing += &(block + "\n");
        }
    }
    assert!(missing.is_empty(), "write into the documentation:\n{missing}");
}
