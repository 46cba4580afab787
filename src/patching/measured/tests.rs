use super::super::metric::check;
use super::*;
use crate::formats::pairs::{Bounds, Pairs};
use crate::named::Named;
use crate::tape::gradcheck::Points;
use crate::tensor::Dual;

const TOKENS: &str = concat!(
    r#"{"clean": [0, 1, 2], "corrupted": [0, 3, 2], "answer": 2, "distractor": [0, 1]}"#,
    "\n",
    r#"{"clean": [3, 1], "corrupted": [0, 0], "answer": [3, 1], "distractor": 2, "position": 0}"#,
);

const LABELS: &str = concat!(
    r#"{"clean": [0, 1, 2], "corrupted": [0, 3, 2], "clean_output": [null, 2, 1], "corrupted_output": [null, 2, 0]}"#,
    "\n",
    r#"{"clean": [0, 1], "corrupted": [0, 3], "clean_output": [3, 2], "corrupted_output": [1, 0]}"#,
);

fn pairs(text: &str, vocab_out: usize) -> Pairs {
    let bounds = Bounds { vocab: 4, vocab_out, context: 3 };
    Pairs::parse("p.jsonl", text.as_bytes(), &bounds, None, None).expect("good pairs")
}

/// `last [2, 3, 2]`.
const LAST: [f64; 12] = [1.0, 2.0, -1.0, 0.5, 0.0, 1.0, 2.0, 0.0, 0.5, 0.5, 3.0, -2.0];
const W: [f64; 8] = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, -1.0];
const BIAS: [f64; 4] = [0.5, 0.0, 0.0, -1.0];

/// The logits at a row of `last`, by hand: `(a, b)` gives `(a + 0.5, b, a + b, 2 a - b - 1)`.
fn logits(row: usize) -> [f64; 4] {
    let (a, b) = (LAST[2 * row], LAST[2 * row + 1]);
    [a + 0.5, b, a + b, 2.0 * a - b - 1.0]
}

fn softmax(x: [f64; 4]) -> [f64; 4] {
    let e = x.map(f64::exp);
    e.map(|y| y / e.iter().sum::<f64>())
}

struct Recorded<T: Element> {
    program: Program<T>,
    measured: Measured,
    leaves: [Var; 3],
}

/// A metric of a batch whose last norm, unembedding and bias are leaves; outputs beyond
/// `vocab_out` are cut off.
fn record<T: Element>(question: Question, vocab_out: usize, batch: usize) -> Recorded<T> {
    let mut tape = Tape::new();
    let last = tape.leaf("last", [batch, 3, 2]);
    let w = tape.leaf("w", [vocab_out, 2]);
    let bias = tape.leaf("bias", [vocab_out]);
    let unembedding = Unembedding { w, bias: Some(bias), cap: None };
    let measured = Measured::record(&mut tape, question, last, unembedding);
    let mut program = tape.finish();
    let cast = |x: &[f64]| -> Vec<T> { x.iter().map(|&x| T::from_f64(x)).collect() };
    program.set(last, &cast(&LAST.repeat(batch.div_ceil(2))[..6 * batch]));
    program.set(w, &cast(&W[..2 * vocab_out]));
    program.set(bias, &cast(&BIAS[..vocab_out]));
    Recorded { program, measured, leaves: [last, w, bias] }
}

/// The metric of both pairs of `text`.
fn measure(metric: Metric, positions: Positions, text: &str, vocab_out: usize) -> [f64; 2] {
    let pairs = pairs(text, vocab_out);
    let question = Question::new(metric, positions, vocab_out, &pairs).expect("a question");
    let Recorded { mut program, measured, leaves: [last, ..] } =
        record::<f64>(question, vocab_out, 3);
    // One example more than there are pairs.
    let both: Vec<&Pair> = pairs.iter().collect();
    measured.set_pairs(&mut program, &both, &[0.5, 2.0]);
    if metric.needs_reference() {
        // The clean run: all elements of the last norm are half as large.
        let now = program.value(last).to_vec();
        let clean: Vec<f64> = now.iter().map(|x| x / 2.0).collect();
        program.set(last, &clean);
        program.forward();
        measured.capture_reference(&mut program);
        program.forward();
        let zero = program.value(measured.per_example);
        assert!(zero.iter().all(|x| x.abs() < 1e-15), "the clean run is off: {zero:?}");
        program.set(last, &now);
    }
    program.forward();
    let &[a, b, none] = program.value(measured.per_example) else { panic!("three examples") };
    assert_eq!(none, 0.0, "nobody asks there");
    assert_eq!(program.value(measured.total), &[0.5 * a + 2.0 * b]);
    assert!(a.abs() > 1e-2 && b.abs() > 1e-2, "{metric:?}: {a} {b} test nothing");
    [a, b]
}

#[track_caller]
fn close(got: [f64; 2], want: [f64; 2]) {
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() < 1e-13 * want.abs().max(1.0), "got {got}, want {want}");
    }
}

#[test]
fn logit_differences() {
    // Rows 2 and 3 hold (0, 1) and (2, 0): logits (0.5, 1, 1, -2) and (2.5, 0, 2, 3).
    let got = measure(Metric::LogitDiff, Positions::Asked, TOKENS, 4);
    close(got, [1.0 - 0.75, 1.5 - 2.0]);
    // Row 2, label 1 for 0; rows 3 and 4 with logits (2.5, 0, 2, 3) and (1, 0.5, 1, -0.5).
    let text = LABELS
        .replace("[3, 2], \"corrupted_output\": [1, 0]", "[3, 2], \"corrupted_output\": [1, 1]");
    let got = measure(Metric::LogitDiff, Positions::Asked, &text, 4);
    close(got, [1.0 - 0.5, 3.0 - 0.0 + (1.0 - 0.5)]);
}

#[test]
fn numbers_are_their_own_logits() {
    // Output 0 is a + 0.5; the outputs differ at row 2, then at rows 3 and 4.
    let text = LABELS.replace("[null, 2, 0]", "[null, 2, 0.25]");
    let got = measure(Metric::LogitDiff, Positions::Asked, &text, 1);
    close(got, [0.5, 2.5 + 1.0]);
}

#[test]
fn probability_differences() {
    let (p, q) = (softmax(logits(2)), softmax(logits(3)));
    let got = measure(Metric::ProbDiff, Positions::Asked, TOKENS, 4);
    close(got, [p[2] - (p[0] + p[1]) / 2.0, (q[3] + q[1]) / 2.0 - q[2]]);
    let r = softmax(logits(4));
    let got = measure(Metric::ProbDiff, Positions::Asked, LABELS, 4);
    close(got, [p[1] - p[0], q[3] - q[1] + r[2] - r[0]]);
}

#[test]
fn surprise() {
    let surprise = |row: usize, id: usize| -softmax(logits(row))[id].ln();
    let got = measure(Metric::Nll, Positions::Asked, TOKENS, 4);
    close(got, [surprise(2, 2), (surprise(3, 3) + surprise(3, 1)) / 2.0]);
    // The clean sequences: 0 1 2, then 3 1.
    let got = measure(Metric::Nll, Positions::All, TOKENS, 4);
    close(got, [(surprise(0, 1) + surprise(1, 2)) / 2.0, surprise(3, 1)]);
    for positions in [Positions::Asked, Positions::All] {
        let got = measure(Metric::Nll, positions, LABELS, 4);
        let first = (surprise(1, 2) + surprise(2, 1)) / 2.0;
        close(got, [first, (surprise(3, 3) + surprise(4, 2)) / 2.0]);
    }
}

/// `f(clean logits, logits)` at each row, its mean over `rows`.
fn distance(rows: &[usize], f: impl Fn([f64; 4], [f64; 4]) -> f64) -> f64 {
    let clean = |row: usize| {
        let (a, b) = (LAST[2 * row] / 2.0, LAST[2 * row + 1] / 2.0);
        [a + 0.5, b, a + b, 2.0 * a - b - 1.0]
    };
    rows.iter().map(|&row| f(clean(row), logits(row))).sum::<f64>() / rows.len() as f64
}

#[test]
fn distances_from_the_clean_run() {
    let kl = |clean: [f64; 4], x: [f64; 4]| {
        let (q, p) = (softmax(clean), softmax(x));
        (0..4).map(|v| q[v] * (q[v] / p[v]).ln()).sum::<f64>()
    };
    let l2 = |clean: [f64; 4], x: [f64; 4]| (0..4).map(|v| (x[v] - clean[v]).powi(2)).sum::<f64>();
    let (asked, all) = (Positions::Asked, Positions::All);
    for (positions, text, rows) in [
        (asked, TOKENS, [&[2][..], &[3]]),
        (all, TOKENS, [&[0, 1, 2], &[3, 4]]),
        (asked, LABELS, [&[1, 2], &[3, 4]]),
        (all, LABELS, [&[0, 1, 2], &[3, 4]]),
    ] {
        close(measure(Metric::Kl, positions, text, 4), rows.map(|r| distance(r, kl)));
        close(measure(Metric::L2, positions, text, 4), rows.map(|r| distance(r, l2)));
    }
}

/// Every metric's gradient against finite differences, and its dual numbers against both.
#[test]
fn derivatives() {
    for &(name, metric) in Metric::ALL {
        for (text, positions) in
            [(TOKENS, Positions::Asked), (LABELS, Positions::Asked), (LABELS, Positions::All)]
        {
            let pairs = pairs(text, 4);
            let question = Question::new(metric, positions, 4, &pairs).expect("a question");
            let both: Vec<&Pair> = pairs.iter().collect();
            let reference = Points::new(5).list(2 * 3 * 4);
            let mut points = Points::new(9);
            let direction: Vec<f64> = points.list(12 + 8 + 4);
            let rows = if positions == Positions::All { 3 } else { question.rows };
            let reference = &reference[..if metric.needs_reference() { 2 * rows * 4 } else { 0 }];

            let mut plain = record::<f64>(question, 4, 2);
            plain.measured.set_pairs(&mut plain.program, &both, &[0.5, 2.0]);
            plain.measured.set_reference(&mut plain.program, reference);
            let point: Vec<f64> =
                plain.leaves.iter().flat_map(|&x| plain.program.value(x).to_vec()).collect();
            let plan = plain.program.plan_backward(plain.measured.total, &plain.leaves);
            let mut at = |t: f64| -> (f64, Vec<f64>) {
                let moved: Vec<f64> =
                    point.iter().zip(&direction).map(|(x, v)| x + t * v).collect();
                let mut rest = &moved[..];
                for &leaf in &plain.leaves {
                    let (now, later) = rest.split_at(plain.program.value(leaf).len());
                    plain.program.set(leaf, now);
                    rest = later;
                }
                plain.program.forward();
                plain.program.backward(&plan);
                let gradient = plain.leaves.iter().flat_map(|&x| plain.program.grad(x).to_vec());
                (plain.program.value(plain.measured.total)[0], gradient.collect())
            };
            let h = 1e-4;
            let (low, low_gradient) = at(-h);
            let (high, high_gradient) = at(h);
            let (_, gradient) = at(0.0);
            let slope: f64 = gradient.iter().zip(&direction).map(|(g, v)| g * v).sum();
            let want = (high - low) / (2.0 * h);
            assert!(want.abs() > 1e-2, "{name}: slope {want}");
            assert!((slope - want).abs() < 1e-6 * want.abs(), "{name}: {slope} {want}");

            let mut dual = record::<Dual<f64>>(question, 4, 2);
            dual.measured.set_pairs(&mut dual.program, &both, &[0.5, 2.0]);
            let constant: Vec<Dual<f64>> = reference.iter().map(|&x| Dual::new(x, 3.0)).collect();
            dual.measured.set_reference(&mut dual.program, &constant);
            let mut tangents = direction.iter();
            for &leaf in &dual.leaves {
                for x in dual.program.value_mut(leaf) {
                    x.tangent = *tangents.next().expect("one for each");
                }
            }
            let plan = dual.program.plan_backward(dual.measured.total, &dual.leaves);
            dual.program.forward();
            dual.program.backward(&plan);
            let tangent = dual.program.value(dual.measured.total)[0].tangent;
            assert!((tangent - slope).abs() < 1e-12 * slope.abs(), "{name}: {tangent} {slope}");
            let second = dual.leaves.iter().flat_map(|&x| dual.program.grad(x).to_vec());
            let mut largest = 0f64;
            for (s, (low, high)) in second.zip(low_gradient.iter().zip(&high_gradient)) {
                let want = (high - low) / (2.0 * h);
                largest = largest.max(want.abs());
                assert!((s.tangent - want).abs() < 1e-5, "{name}: {} {want}", s.tangent);
            }
            assert!(largest > 0.1, "{name}: second derivatives of {largest}");
        }
    }
}

#[test]
fn questions_that_make_no_sense() {
    let ask = |metric, positions, text: &str, vocab_out| {
        Question::new(metric, positions, vocab_out, &pairs(text, vocab_out))
            .map_err(|e| e.to_string())
    };
    let (asked, all) = (Positions::Asked, Positions::All);
    for metric in [Metric::Nll, Metric::ProbDiff, Metric::Kl] {
        let e = ask(metric, asked, LABELS, 1).expect_err("no probabilities");
        assert!(e.contains(metric.name()) && e.contains("probabilities"), "{e}");
    }
    for metric in [Metric::LogitDiff, Metric::ProbDiff] {
        let e = ask(metric, all, TOKENS, 4).expect_err("one position");
        assert!(e.contains("p.jsonl: ") && e.contains("at one position"), "{e}");
        let same = LABELS.replace("2, 0]", "2, 1]").replace("[1, 0]", "[3, 2]");
        let e = ask(metric, asked, &same, 4).expect_err("no difference");
        assert!(e.contains("differ in no pair"), "{e}");
    }
    let short = TOKENS.replace("[3, 1]", "[3]").replace("[0, 0]", "[0]");
    // The answer of the second pair was replaced too, which does not matter here.
    let e = ask(Metric::Nll, all, &short, 4).expect_err("one token");
    assert!(e.contains("p.jsonl: line 2: has no second token"), "{e}");
    let few = TOKENS
        .replace("\"answer\": [3, 1]", "\"answer\": 1")
        .replace("\"clean\": [0, 1, 2]", "\"clean\": [0, 1, 3]");
    let e = ask(Metric::Nll, all, &few, 3).expect_err("no such output");
    assert!(e.contains("p.jsonl: line 1: has a token"), "{e}");
}

#[test]
fn metrics_that_tell_nothing() {
    let pairs = pairs(TOKENS, 4);
    let said = |clean: [f64; 2], corrupted: [f64; 2]| {
        check(&pairs, Metric::LogitDiff, &clean, &corrupted)
            .map_err(|e| (e.to_string(), e.exit_code()))
    };
    assert_eq!(said([1.0, 2.0], [1.0, 1.0]), Ok(()));
    let (e, code) = said([1.0, f64::NAN], [0.0, 0.0]).expect_err("not a number");
    assert!(e.contains("p.jsonl: line 2") && e.contains("clean run is NaN") && code == 1, "{e}");
    let (e, _) = said([1.0, 2.0], [f64::INFINITY, 0.0]).expect_err("not a number");
    assert!(e.contains("line 1") && e.contains("corrupted run is inf"), "{e}");
    let (e, code) = said([1.0, 2.0], [1.0, 2.0]).expect_err("equal");
    assert!(e.contains("p.jsonl: line 1") && e.contains("undefined") && code == 2, "{e}");
    let (e, _) = said([1.0, 2.0], [2.0, 1.0]).expect_err("equal on average");
    assert!(e.contains("p.jsonl: the clean") && e.contains("on average (1.5"), "{e}");
}
