use super::*;
use crate::experiments::pretrain::Pretraining;
use crate::nn::transformer::Model;
use crate::tasks::language::{Labels, Mixture};

fn id(word: &str) -> u32 {
    Vocabulary::get().id(word).expect("a word")
}

/// An example in words; `asked` are positions, and the rivals of what stands there.
fn example(domain: Domain, text: &str, asked: &[(usize, &str)], labels: Labels) -> Example {
    let tokens = Vocabulary::get().encode(text).expect("words");
    let ask = |&(at, rival): &(usize, &str)| {
        let (answer, rival) = (tokens[at], id(rival));
        Asked { at, answer, rival, outcome: true, attractor: None }
    };
    let asked = asked.iter().map(ask).collect();
    Example { domain, tokens, asked, chain: 0..0, labels }
}

/// A model's reading with logits of 0 but for those of words at positions.
fn reading(example: &Example, logits: &[(usize, &str, f64)]) -> Reading {
    let (vocab, n) = (Vocabulary::get().size(), example.tokens.len() - 1);
    let mut z = vec![0.0; n * vocab];
    for &(at, word, logit) in logits {
        z[(at - 1) * vocab + id(word) as usize] = logit;
    }
    let nll = |t: usize| {
        let row = &z[t * vocab..(t + 1) * vocab];
        row.iter().map(|z| z.exp()).sum::<f64>().ln() - row[example.tokens[t + 1] as usize]
    };
    let nll: Vec<f64> = (0..n).map(nll).collect();
    Reading::of(example, &z, &nll)
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-12, "{a}, expected {b}");
}

#[test]
fn asked_tokens_are_counted_alone_and_all_together() {
    let labels = |template| Labels { template, ..Labels::default() };
    let mut list = [
        example(
            Domain::Agreement,
            "<bos> the dog sees the cat and likes .",
            &[(3, "see"), (7, "like")],
            labels("simple"),
        ),
        example(Domain::Agreement, "<bos> the dogs see the cat .", &[(3, "sees")], labels("x")),
    ];
    list[0].asked[0].attractor = Some("none");
    list[0].asked[1].attractor = Some("same");
    list[1].asked[0].attractor = Some("none");
    let readings = [
        // Right, then wrong though it is preferred to the rival.
        reading(&list[0], &[(3, "sees", 3.0), (7, "likes", 1.0), (7, "and", 2.0)]),
        reading(&list[1], &[(3, "see", 1.0), (3, "sees", -1.0)]),
    ];
    let scores = tally(&list, &readings);
    let v = Vocabulary::get().size() as f64;
    let nll = |z: f64, others: f64| (z.exp() + others).ln() - z;
    let asked =
        nll(3.0, v - 1.0) + nll(1.0, 2f64.exp() + v - 2.0) + nll(1.0, (-1f64).exp() + v - 2.0);
    // Of 8 and 6 tokens that are predicted, 3 are asked; the others have 0 everywhere.
    assert_eq!((scores.examples, scores.all.asked), (2, 3));
    close(scores.all.accuracy, 2.0 / 3.0);
    close(scores.all.preferred, 1.0);
    close(scores.all.gap, (3.0 + 1.0 + 2.0) / 3.0);
    close(scores.all.nll, asked / 3.0);
    close(scores.all.exact.expect("there are examples"), 0.5);
    close(scores.nll_rest.expect("there are others"), v.ln());
    close(scores.nll, (asked + 11.0 * v.ln()) / 14.0);
    let share = |name, value: &str| &scores.labels[name][value];
    assert_eq!(
        (share("template", "simple").asked, share("template", "simple").exact),
        (2, Some(0.0))
    );
    assert_eq!(share("template", "x").exact, Some(1.0));
    assert_eq!((share("attractor", "none").asked, share("attractor", "none").exact), (2, None));
    close(share("attractor", "none").accuracy, 1.0);
    close(share("attractor", "same").accuracy, 0.0);
    assert_eq!((scores.abstention, scores.macro_f1, scores.pronouns), (None, None, None));
    close(scores.score(Domain::Agreement), 1.0);
    close(scores.score(Domain::Arithmetic), 0.5);
}

#[test]
fn risk_is_the_mean_over_occupations() {
    let of = |text: &str, rival, explicit| {
        let labels = Labels { explicit: Some(explicit), ..Labels::default() };
        example(Domain::Occupation, text, &[(5, rival)], labels)
    };
    let list = [
        of("<bos> the nurse slept because she left .", "he", false),
        of("<bos> the nurse slept because he left .", "she", false),
        of("<bos> the driver slept because he left .", "she", false),
        of("<bos> the king slept because he left .", "she", true),
        of("<bos> the queen slept because she left .", "he", true),
    ];
    let odds = 9f64.ln();
    let readings = [
        // 9 to 1 for her, whichever is right; nothing for the driver.
        reading(&list[0], &[(5, "she", 4.0), (5, "he", 4.0 - odds)]),
        reading(&list[1], &[(5, "she", 4.0), (5, "he", 4.0 - odds)]),
        reading(&list[2], &[(5, "she", 2.0), (5, "he", 2.0)]),
        reading(&list[3], &[(5, "he", 2.0)]),
        reading(&list[4], &[(5, "he", 2.0)]),
    ];
    let pronouns = tally(&list, &readings).pronouns.expect("there are some");
    // 2 * 0.9 - 1 for both sentences of the nurse, 0 for the one of the driver.
    close(pronouns.risk.expect("not all is said"), (0.8 + 0.0) / 2.0);
    assert_eq!((pronouns.occupations, pronouns.explicit), (2, Some(0.5)));
    let said = tally(&list[3..], &readings[3..]).pronouns.expect("there are some");
    assert_eq!((said.risk, said.occupations), (None, 0));
}

#[test]
fn abstention_and_f1_by_hand() {
    let look = |answer: &str| {
        let text = format!("<bos> red box holds keys . red box ? {answer} .");
        example(Domain::Lookup, &text, &[(9, "pens")], Labels::default())
    };
    let list = [look("[none]"), look("[none]"), look("[none]"), look("keys"), look("keys")];
    let said = ["[none]", "keys", "keys", "[none]", "keys"];
    let read = |(e, said): (&Example, &&str)| reading(e, &[(9, said, 1.0)]);
    let readings: Vec<Reading> = list.iter().zip(&said).map(read).collect();
    let abstention = tally(&list, &readings).abstention.expect("look-ups");
    assert_eq!(abstention, Abstention { precision: Some(0.5), recall: Some(1.0 / 3.0) });
    let answered = tally(&list[4..], &readings[4..]).abstention.expect("look-ups");
    assert_eq!(answered, Abstention { precision: None, recall: None });

    let prove = |answer: &str| {
        let text = format!("<bos> p true : p ? {answer} .");
        example(Domain::Logic, &text, &[(6, "implies")], Labels::default())
    };
    let list = [prove("true"), prove("true"), prove("false"), prove("unknown")];
    // `the` is no label: it counts against recall alone.
    let said = ["true", "false", "false", "the"];
    let read = |(e, said): (&Example, &&str)| reading(e, &[(6, said, 1.0)]);
    let readings: Vec<Reading> = list.iter().zip(&said).map(read).collect();
    let scores = tally(&list, &readings);
    close(scores.macro_f1.expect("logic"), (2.0 / 3.0 + 2.0 / 3.0 + 0.0) / 3.0);
    close(scores.score(Domain::Logic), 4.0 / 9.0);
}

fn tiny(seed: u64) -> Model<f64> {
    let settings = Pretraining { layers: 1, d_model: 8, d_mlp: 8, ..Pretraining::default() };
    Model::random(&settings.config().expect("a shape"), seed)
}

/// Without weights every token is equally likely, and the first of equals is `<pad>`.
#[test]
fn a_model_that_knows_nothing() {
    let Model { config, mut weights } = tiny(0);
    weights.iter_mut().for_each(|w| w.fill(0.0));
    let examples = Mixture::new(0).examples(0, 40);
    let scores = measure(&config, &weights, &examples);
    let nothing = (378f64).ln();
    let list = [scores.nll, scores.all.nll, scores.nll_rest.expect("others")];
    assert!(list.iter().all(|nll| (nll - nothing).abs() < 1e-9), "{list:?}");
    assert_eq!((scores.all.accuracy, scores.all.preferred, scores.all.gap), (0.0, 0.0, 0.0));
    assert_eq!(scores.pronouns.expect("occupations").risk, Some(0.0));
}

/// Batches, padding and threads change nothing: examples alone give the same.
#[test]
fn examples_are_measured_as_if_alone() {
    let Model { config, weights } = tiny(1);
    let examples = Mixture::new(3).examples(5, 70);
    let all = measure(&config, &weights, &examples);
    let alone: Vec<DomainScores> =
        examples.iter().map(|e| measure(&config, &weights, std::slice::from_ref(e))).collect();
    let tokens: Vec<f64> = examples.iter().map(|e| (e.tokens.len() - 1) as f64).collect();
    let nll: f64 = alone.iter().zip(&tokens).map(|(s, n)| s.nll * n).sum();
    assert!((all.nll - nll / tokens.iter().sum::<f64>()).abs() < 1e-12);
    let sum = |f: &dyn Fn(&Share) -> f64| -> f64 {
        alone.iter().map(|s| f(&s.all) * s.all.asked as f64).sum::<f64>() / all.all.asked as f64
    };
    assert!((all.all.gap - sum(&|s| s.gap)).abs() < 1e-12);
    assert!((all.all.preferred - sum(&|s| s.preferred)).abs() < 1e-12);
    assert!(all.all.preferred > 0.1 && all.all.preferred < 0.9, "{}", all.all.preferred);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
    assert_eq!(pool.install(|| measure(&config, &weights, &examples)), all);
}
