//! The registry of derivative checks: every operation of this folder must be in it.

use super::*;
use crate::simd::Element;
use crate::tape::gradcheck::{Check, Points, Record, run};
use crate::tape::{Ids, Tape, Var};
use crate::tensor::Dual;
use std::collections::BTreeSet;

/// One check: the shapes of the leaves, the ids with their shape and limit, and the recording.
/// Leaves are drawn from [-1, 1); the body is generic, so it serves doubles and dual numbers.
macro_rules! check {
    ($name:literal, [$([$($n:expr),*]),*], [$(([$($m:expr),*], $limit:expr)),*],
     |$tape:ident, $x:ident, $i:ident| $body:expr) => {{
        #[allow(unused_variables)]
        fn record<T: Element>($tape: &mut Tape<T>, $x: &[Var], $i: &[Ids]) -> Var {
            $body
        }
        let leaves: Vec<Vec<usize>> = vec![$(vec![$($n),*]),*];
        let ids: Vec<(Vec<usize>, usize)> = vec![$((vec![$($m),*], $limit)),*];
        make($name, leaves, ids, record::<f64>, record::<Dual<f64>>)
    }};
}

fn make(
    name: &'static str,
    leaves: Vec<Vec<usize>>,
    ids: Vec<(Vec<usize>, usize)>,
    double: Record<f64>,
    dual: Record<Dual<f64>>,
) -> Check {
    let mut points = Points::new(name.len() as u64 + 17);
    let leaves = leaves
        .into_iter()
        .map(|dims| {
            let numbers = points.list(dims.iter().product());
            (dims.into(), numbers)
        })
        .collect();
    let ids = ids
        .into_iter()
        .map(|(dims, limit)| {
            let numbers = points.list(dims.iter().product());
            let below = |u: &f64| ((u + 1.0) / 2.0 * limit as f64) as u32;
            (dims.into(), limit, numbers.iter().map(below).collect())
        })
        .collect();
    Check { name, leaves, ids, double, dual }
}

fn registry() -> Vec<Check> {
    vec![
        check!("project", [[2, 3, 4], [4, 5], [5]], [], |t, x, i| project(
            t,
            x[0],
            x[1],
            Some(x[2])
        )),
        check!("add", [[3, 4], [3, 4]], [], |t, x, i| add(t, x[0], x[1])),
        check!(
            "add: a row, a column and a scalar",
            [[2, 3, 4], [3, 1], [1], [4]],
            [],
            |t, x, i| {
                let a = add(t, x[0], x[1]);
                let b = add(t, x[2], a);
                add(t, b, x[3])
            }
        ),
        check!("add: an outer sum", [[5, 1, 3], [4, 3]], [], |t, x, i| add(t, x[0], x[1])),
        check!("add: to itself", [[3, 4]], [], |t, x, i| add(t, x[0], x[0])),
        check!("sub", [[2, 5], [5]], [], |t, x, i| sub(t, x[0], x[1])),
        check!("sub: from a scalar", [[], [2, 5]], [], |t, x, i| sub(t, x[0], x[1])),
        check!("mul", [[3, 17], [3, 17]], [], |t, x, i| mul(t, x[0], x[1])),
        check!("mul: broadcast both ways", [[3, 1, 5], [4, 1]], [], |t, x, i| mul(t, x[0], x[1])),
        check!("gated", [[3, 17], [3, 17]], [], |t, x, i| gated(t, x[0], x[1])),
        check!("mul: by itself, twice", [[3, 4]], [], |t, x, i| {
            let square = mul(t, x[0], x[0]);
            mul(t, square, x[0])
        }),
        check!("scale", [[7]], [], |t, x, i| {
            let y = scale(t, x[0], -2.5);
            add(t, y, x[0])
        }),
        check!("matmul", [[3, 4], [4, 5]], [], |t, x, i| matmul(t, x[0], x[1], MatMul::default())),
        check!("matmul: transposed", [[4, 3], [5, 4]], [], |t, x, i| {
            let o = MatMul { transpose_a: true, transpose_b: true, scale: 0.5 };
            matmul(t, x[0], x[1], o)
        }),
        check!("matmul: batches", [[2, 3, 4, 5], [2, 3, 5, 2]], [], |t, x, i| {
            matmul(t, x[0], x[1], MatMul::default())
        }),
        check!("matmul: batches, transposed", [[6, 4, 5], [6, 3, 5]], [], |t, x, i| {
            let o = MatMul { transpose_b: true, scale: 0.7, ..Default::default() };
            matmul(t, x[0], x[1], o)
        }),
        check!("matmul: batches, a transposed", [[6, 5, 4], [6, 5, 3]], [], |t, x, i| {
            let o = MatMul { transpose_a: true, ..Default::default() };
            matmul(t, x[0], x[1], o)
        }),
        check!("matmul: one b for a batch", [[6, 4, 5], [5, 3]], [], |t, x, i| {
            matmul(t, x[0], x[1], MatMul::default())
        }),
        check!("matmul: one b for a transposed batch", [[6, 5, 4], [5, 3]], [], |t, x, i| {
            matmul(t, x[0], x[1], MatMul { transpose_a: true, ..Default::default() })
        }),
        check!("linear", [[2, 3, 4], [5, 4], [5]], [], |t, x, i| linear(t, x[0], x[1], Some(x[2]))),
        check!("linear: without bias", [[3, 4], [5, 4]], [], |t, x, i| linear(t, x[0], x[1], None)),
        check!("gather", [[5, 3]], [([2, 4], 5)], |t, x, i| gather(t, x[0], i[0])),
        check!("gather: scalars", [[5]], [([7], 5)], |t, x, i| gather(t, x[0], i[0])),
        check!("bag", [[5, 3], [4, 6]], [([4, 6], 5)], |t, x, i| bag(t, x[0], x[1], i[0])),
        check!("permute", [[2, 3, 4]], [], |t, x, i| permute(t, x[0], &[2, 0, 1])),
        check!("sum", [[3, 4]], [], |t, x, i| sum(t, x[0])),
        check!("sum: along an axis", [[3, 4, 5]], [], |t, x, i| sum_axis(t, x[0], 1)),
        check!("sum: along the last axis", [[3, 4]], [], |t, x, i| sum_axis(t, x[0], 1)),
        check!("mean", [[3, 4]], [], |t, x, i| mean(t, x[0])),
        check!("reshape", [[3, 4]], [], |t, x, i| {
            let y = t.reshape(x[0], [4, 3]);
            let square = mul(t, y, y);
            t.reshape(square, [12])
        }),
        check!("softmax", [[3, 5]], [], |t, x, i| softmax(t, x[0])),
        check!("softmax: long rows", [[2, 37]], [], |t, x, i| {
            let y = softmax(t, x[0]);
            add(t, y, x[0])
        }),
        check!("softmax: many narrow rows", [[19, 3]], [], |t, x, i| {
            let y = softmax(t, x[0]);
            add(t, y, x[0])
        }),
        check!("causal_softmax", [[2, 6, 6]], [], |t, x, i| causal_softmax(t, x[0])),
        check!("rms_norm: eps inside", [[3, 5], [5]], [], |t, x, i| {
            rms_norm(t, x[0], Some(x[1]), Eps::Inside(1e-2))
        }),
        check!("rms_norm: eps outside", [[3, 2]], [], |t, x, i| {
            rms_norm(t, x[0], None, Eps::Outside(1e-2))
        }),
        check!("rms_norm: long rows", [[2, 37], [37]], [], |t, x, i| {
            let y = rms_norm(t, x[0], Some(x[1]), Eps::Outside(1e-5));
            add(t, y, x[0])
        }),
        check!("layer_norm", [[3, 5], [5], [5]], [], |t, x, i| {
            layer_norm(t, x[0], Some((x[1], x[2])), 1e-2)
        }),
        check!("layer_norm: long rows, plain", [[2, 37]], [], |t, x, i| {
            let y = layer_norm(t, x[0], None, 1e-5);
            add(t, y, x[0])
        }),
        check!("attention", [[2, 5, 18]], [], |t, x, i| {
            let z = attention(t, x[0], Attention::plain([2, 2, 3], false, 1.3));
            let z = mul(t, z, z);
            let (a, b) = (columns(t, x[0], 2..8), sum_axis(t, x[0], 1));
            let z = add(t, z, a);
            let b = columns(t, b, 0..6);
            let b = t.reshape(b, [2, 1, 6]);
            mul(t, z, b)
        }),
        check!("attention: causal, several ask one", [[1, 6, 20]], [], |t, x, i| {
            attention(t, x[0], Attention::plain([6, 2, 2], true, 0.8))
        }),
        check!("attention: causal, longer than a block", [[1, 67, 3]], [], |t, x, i| {
            attention(t, x[0], Attention::plain([1, 1, 1], true, 2.0))
        }),
        check!(
            "attention: a window, capped scores, biases of keys",
            [[2, 7, 12]],
            [],
            |t, x, i| {
                let (heads, kv_heads, d_head) = (2, 1, 3);
                let key_bias = Some((0..14).map(|i| 0.1 * f64::from(i % 7)).collect());
                let (window, cap) = (Some(3), Some(0.7));
                let scale = 1.1;
                let options = Attention {
                    heads,
                    kv_heads,
                    d_head,
                    causal: true,
                    scale,
                    window,
                    cap,
                    key_bias,
                };
                attention(t, x[0], options)
            }
        ),
        check!("clip", [[37]], [], |t, x, i| {
            let y = clip(t, x[0], 0.5);
            mul(t, y, x[0])
        }),
        check!("head_norm: one gain", [[2, 3, 14], [3], [3]], [], |t, x, i| {
            let heads = HeadNorm { norm: Norm::Layer(1e-2), first: 2, width: 3, gains: None };
            head_norm(t, x[0], Some(x[1]), Some(x[2]), &heads, 3)
        }),
        check!("head_norm: a gain for each", [[2, 14], [9]], [], |t, x, i| {
            let (norm, gains) = (Norm::Rms(Eps::Inside(1e-2)), Some(vec![2, 0]));
            let y = head_norm(
                t,
                x[0],
                Some(x[1]),
                None,
                &HeadNorm { norm, first: 4, width: 3, gains },
                2,
            );
            mul(t, y, x[0])
        }),
        check!("shares", [[2, 3, 4], [2, 3, 5]], [], |t, x, i| {
            let y = shares(t, x[0], x[1], Eps::Inside(1e-2));
            mul(t, y, x[0])
        }),
        check!("rotary", [[2, 3, 14]], [], |t, x, i| {
            let y = rotary(t, x[0], 2, 5, &Rotary::new(4, 7.0));
            mul(t, y, x[0])
        }),
        check!("rotary: neighbours", [[4, 9]], [], |t, x, i| {
            let y = rotary(t, x[0], 2, 4, &Rotary { adjacent: true, ..Rotary::new(4, 7.0) });
            mul(t, y, y)
        }),
        check!("columns", [[3, 7]], [], |t, x, i| {
            let (a, b) = (columns(t, x[0], 1..5), columns(t, x[0], 3..7));
            mul(t, a, b)
        }),
        check!("gelu", [[37]], [], |t, x, i| gelu(t, x[0])),
        check!("gelu_tanh", [[37]], [], |t, x, i| gelu_tanh(t, x[0])),
        check!("relu", [[37]], [], |t, x, i| relu(t, x[0])),
        check!("silu", [[37]], [], |t, x, i| silu(t, x[0])),
        check!("tanh", [[37]], [], |t, x, i| tanh(t, x[0])),
        check!("cross_entropy", [[4, 7]], [([4], 7)], |t, x, i| cross_entropy(t, x[0], i[0])),
        check!("cross_entropy: long rows", [[3, 37]], [([3], 37)], |t, x, i| {
            let y = cross_entropy(t, x[0], i[0]);
            mean(t, y)
        }),
        check!("cross_entropy: many narrow rows", [[19, 3]], [([19], 3)], |t, x, i| {
            cross_entropy(t, x[0], i[0])
        }),
        check!("soft_cross_entropy", [[4, 7], [4, 7]], [], |t, x, i| {
            soft_cross_entropy(t, x[0], x[1])
        }),
        check!("soft_cross_entropy: long rows, of sums", [[3, 37], [3, 37]], [], |t, x, i| {
            let y = soft_cross_entropy(t, x[0], x[1]);
            // Both inputs already have a gradient when the operation adds its own.
            let both = mul(t, x[0], x[1]);
            let both = sum_axis(t, both, 1);
            add(t, y, both)
        }),
        check!("pick", [[3, 4], [5, 4], [5]], [([3, 2], 5)], |t, x, i| {
            pick(t, x[0], x[1], Some(x[2]), i[0])
        }),
        check!("pick: long rows, without bias", [[2, 37], [6, 37]], [([2, 4], 6)], |t, x, i| {
            let y = pick(t, x[0], x[1], None, i[0]);
            let first = gather(t, x[1], i[0]);
            let first = sum_axis(t, first, 2);
            let square = mul(t, y, y);
            add(t, square, first)
        }),
        check!("dropout", [[5, 4]], [], |t, x, i| {
            let y = dropout(t, x[0], 0.5);
            mul(t, y, x[0])
        }),
    ]
}

#[test]
fn gradients_agree_with_differences() {
    for check in registry() {
        let outcome = run(&check, 3);
        let Check { name, .. } = check;
        // The slope must be large enough for its relative error to be meaningful.
        assert!(outcome.differences.abs() > 1e-2, "{name}: slope {}", outcome.differences);
        assert!(outcome.error() < 1e-7, "{name}: {outcome:?}");
    }
}

#[test]
fn dual_numbers_agree_with_differences_of_gradients() {
    let mut curved = 0;
    for check in registry() {
        let outcome = run(&check, 5);
        assert!(outcome.second_order_error < 1e-6, "{}: {outcome:?}", check.name);
        curved += usize::from(outcome.second_order_size > 1e-2);
    }
    assert!(curved > 20, "only {curved} checks have a second derivative that is not zero");
}

/// Sums over empty axes are zero, and all that is not empty is written: the values and gradients
/// that an earlier pass left are NaN here.
#[test]
fn empty_tensors() {
    for check in [
        check!("add", [[0], [0]], [], |t, x, i| add(t, x[0], x[1])),
        check!("sub: a scalar", [[2, 0], [1]], [], |t, x, i| sub(t, x[0], x[1])),
        check!("mul: a column", [[3, 1], [3, 0]], [], |t, x, i| mul(t, x[0], x[1])),
        check!("mul: by itself", [[0, 3]], [], |t, x, i| mul(t, x[0], x[0])),
        check!("scale", [[0]], [], |t, x, i| scale(t, x[0], 2.0)),
        check!("matmul: K = 0", [[2, 3, 0], [0, 4]], [], |t, x, i| {
            matmul(t, x[0], x[1], MatMul::default())
        }),
        check!("matmul: M = N = 0", [[0, 3], [0, 3]], [], |t, x, i| {
            matmul(t, x[0], x[1], MatMul { transpose_b: true, ..Default::default() })
        }),
        check!("matmul: no batch, one b", [[0, 3, 2], [3, 4]], [], |t, x, i| {
            matmul(t, x[0], x[1], MatMul { transpose_a: true, ..Default::default() })
        }),
        check!("linear: N = 0", [[2, 3], [0, 3], [0]], [], |t, x, i| {
            linear(t, x[0], x[1], Some(x[2]))
        }),
        check!("linear: K = 0", [[2, 0], [3, 0]], [], |t, x, i| linear(t, x[0], x[1], None)),
        check!("linear: M = 0", [[0, 3], [2, 3], [2]], [], |t, x, i| {
            linear(t, x[0], x[1], Some(x[2]))
        }),
        check!("gather: no ids", [[5, 3]], [([0], 5)], |t, x, i| gather(t, x[0], i[0])),
        check!("gather: width 0", [[5, 0]], [([4], 5)], |t, x, i| gather(t, x[0], i[0])),
        check!("bag: no rows", [[5, 3], [4, 0]], [([4, 0], 5)], |t, x, i| {
            bag(t, x[0], x[1], i[0])
        }),
        check!("bag: no bags", [[5, 3], [0, 2]], [([0, 2], 5)], |t, x, i| {
            bag(t, x[0], x[1], i[0])
        }),
        check!("bag: width 0", [[5, 0], [4, 2]], [([4, 2], 5)], |t, x, i| {
            bag(t, x[0], x[1], i[0])
        }),
        check!("permute", [[2, 0, 3]], [], |t, x, i| permute(t, x[0], &[2, 0, 1])),
        check!("sum", [[2, 0]], [], |t, x, i| sum(t, x[0])),
        check!("sum: along nothing", [[2, 0, 3]], [], |t, x, i| sum_axis(t, x[0], 1)),
        check!("sum: of no columns", [[2, 3, 0]], [], |t, x, i| sum_axis(t, x[0], 1)),
        check!("softmax", [[2, 0]], [], |t, x, i| softmax(t, x[0])),
        check!("causal_softmax", [[2, 0, 0]], [], |t, x, i| causal_softmax(t, x[0])),
        check!("rms_norm", [[2, 0], [0]], [], |t, x, i| {
            rms_norm(t, x[0], Some(x[1]), Eps::Inside(0.1))
        }),
        check!("rms_norm: no rows", [[0, 2], [2]], [], |t, x, i| {
            rms_norm(t, x[0], Some(x[1]), Eps::Outside(0.1))
        }),
        check!("layer_norm", [[2, 0], [0], [0]], [], |t, x, i| {
            layer_norm(t, x[0], Some((x[1], x[2])), 0.1)
        }),
        check!("layer_norm: no rows", [[0, 2], [2], [2]], [], |t, x, i| {
            layer_norm(t, x[0], Some((x[1], x[2])), 0.1)
        }),
        check!("attention: T = 0", [[2, 0, 6]], [], |t, x, i| {
            attention(t, x[0], Attention::plain([1, 1, 2], true, 1.0))
        }),
        check!("attention: B = 0", [[0, 2, 6]], [], |t, x, i| {
            attention(t, x[0], Attention::plain([1, 1, 2], true, 1.0))
        }),
        check!("attention: K = 0", [[2, 2, 0]], [], |t, x, i| {
            attention(t, x[0], Attention::plain([2, 1, 0], false, 1.0))
        }),
        check!("rotary: T = 0", [[2, 0, 2]], [], |t, x, i| {
            rotary(t, x[0], 1, 2, &Rotary::new(2, 9.0))
        }),
        check!("rotary: no numbers", [[2, 2, 0]], [], |t, x, i| {
            rotary(t, x[0], 1, 0, &Rotary { adjacent: true, ..Rotary::new(0, 9.0) })
        }),
        check!("columns: none", [[2, 3]], [], |t, x, i| columns(t, x[0], 1..1)),
        check!("columns: of none", [[2, 0]], [], |t, x, i| columns(t, x[0], 0..0)),
        check!("gelu", [[0]], [], |t, x, i| gelu(t, x[0])),
        check!("cross_entropy", [[0, 3]], [([0], 3)], |t, x, i| cross_entropy(t, x[0], i[0])),
        check!("cross_entropy: V = 0", [[0, 0]], [([0], 0)], |t, x, i| {
            cross_entropy(t, x[0], i[0])
        }),
        check!("soft_cross_entropy: no rows", [[0, 3], [0, 3]], [], |t, x, i| {
            soft_cross_entropy(t, x[0], x[1])
        }),
        check!("soft_cross_entropy: V = 0", [[2, 0], [2, 0]], [], |t, x, i| {
            soft_cross_entropy(t, x[0], x[1])
        }),
        check!("pick: no rows", [[0, 3], [4, 3], [4]], [([0, 2], 4)], |t, x, i| {
            pick(t, x[0], x[1], Some(x[2]), i[0])
        }),
        check!("pick: D = 0", [[2, 0], [4, 0]], [([2, 2], 4)], |t, x, i| {
            pick(t, x[0], x[1], None, i[0])
        }),
        check!("pick: J = 0", [[2, 3], [4, 3]], [([2, 0], 4)], |t, x, i| {
            pick(t, x[0], x[1], None, i[0])
        }),
        check!("dropout", [[0]], [], |t, x, i| dropout(t, x[0], 0.5)),
    ] {
        let Check { name, leaves, ids, double, .. } = check;
        let mut tape = Tape::new();
        let x: Vec<Var> = leaves.iter().map(|(s, _)| tape.leaf("x", s.clone())).collect();
        let i: Vec<Ids> = ids.iter().map(|(s, n, _)| tape.ids(s.clone(), *n)).collect();
        let y = double(&mut tape, &x, &i);
        let mut program = tape.finish();
        let plan = program.plan_backward(y, &x);
        for (&x, (_, numbers)) in x.iter().zip(&leaves) {
            program.set(x, numbers);
            program.value_and_grad_mut(x).1.fill(f64::NAN);
        }
        program.value_mut(y).fill(f64::NAN);
        program.forward();
        assert!(program.value(y).iter().all(|&y| y == 0.0), "{name}: {:?}", program.value(y));
        let ones = vec![1.0; program.value(y).len()];
        program.backward_from(&plan, &ones);
        for &x in &x {
            assert!(program.grad(x).iter().all(|&g| g == 0.0), "{name}: {:?}", program.grad(x));
        }
    }
}

/// An operation without a check fails the suite: some check must record every name in the sources.
#[test]
fn every_operation_has_a_check() {
    let mut checked = BTreeSet::new();
    for check in registry() {
        let mut tape = Tape::new();
        let leaves: Vec<Var> =
            check.leaves.iter().map(|(s, _)| tape.leaf("x", s.clone())).collect();
        let ids: Vec<Ids> = check.ids.iter().map(|(s, n, _)| tape.ids(s.clone(), *n)).collect();
        (check.double)(&mut tape, &leaves, &ids);
        checked.extend(tape.finish().operations());
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("an entry").path();
        let file = path.file_stem().and_then(|n| n.to_str()).expect("a name").to_string();
        // Both norms are in norm.rs.
        let without = ["mod", "checks", "tests", "layer_norm", "rms_norm", "single", "dropout"];
        if without.iter().chain(&["unary", "binary"]).any(|name| *name == file) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a readable source");
        let operations = text.matches("impl<T: Element> Op<T> for").count()
            + text.matches("impl Unary for").count()
            + text.matches("impl Binary for").count();
        assert!(operations > 0, "{file}.rs has no operation");
        for name in names(&text) {
            assert!(checked.contains(name), "{file}.rs: operation {name:?} has no check");
            found += 1;
        }
    }
    assert!(found >= checked.len() - 1, "{found} names in the sources, {checked:?} in the checks");
}

/// The names of operations in a source file: the strings of `const NAME` and of `fn name`.
fn names(text: &str) -> Vec<&str> {
    let quoted = |part: &'_ str| -> Vec<(usize, usize)> {
        let quotes: Vec<usize> = part.match_indices('"').map(|(i, _)| i).collect();
        quotes.chunks_exact(2).map(|q| (q[0] + 1, q[1])).collect()
    };
    let mut names = vec![];
    for (start, until) in [("const NAME: &", ';'), ("fn name(&self)", '\n')] {
        for (at, _) in text.match_indices(start) {
            let rest = &text[at + start.len()..];
            let end = match until {
                ';' => rest.find(';').unwrap_or(rest.len()),
                _ => rest.find("\n    }").unwrap_or(rest.len()),
            };
            names.extend(quoted(&rest[..end]).into_iter().map(|(a, b)| &rest[a..b]));
        }
    }
    names
}
