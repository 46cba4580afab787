//! A partial replay gives the bits of a full one, over random programs.

use edgegrad::ops;
use edgegrad::ops::MatMul;
use edgegrad::tape::gradcheck::Points;
use edgegrad::tape::{Program, Tape, Var};
use proptest::prelude::*;

/// Rows and columns of every matrix of a random program: small, and no multiple of a vector.
const N: usize = 3;

/// An operation on earlier variables, which are picked by number.
#[derive(Clone, Debug)]
struct Step {
    kind: usize,
    picks: [usize; 3],
    factor: f64,
}

fn step() -> impl Strategy<Value = Step> {
    (0..KINDS, prop::array::uniform3(0usize..1000), -1.5..1.5f64)
        .prop_map(|(kind, picks, factor)| Step { kind, picks, factor })
}

const KINDS: usize = 11;

/// A program of `[N, N]` matrices: leaves first, then one variable a step; the last one is summed.
struct Random {
    program: Program<f64>,
    leaves: Vec<Var>,
    vars: Vec<Var>,
    output: Var,
}

impl Random {
    fn record(leaves: usize, steps: &[Step], seed: u64) -> Random {
        let mut points = Points::new(seed);
        let mut tape = Tape::<f64>::new();
        let leaves: Vec<Var> = (0..leaves).map(|_| tape.leaf("x", [N, N])).collect();
        let ids = tape.ids([N], N);
        let mut vars = leaves.clone();
        for Step { kind, picks, factor } in steps {
            let [a, b, c] = picks.map(|i| vars[i % vars.len()]);
            let t = &mut tape;
            let y = match kind {
                0 => ops::add(t, a, b),
                1 => ops::sub(t, a, b),
                2 => ops::mul(t, a, b),
                3 => ops::scale(t, a, *factor),
                4 => ops::tanh(t, a),
                5 => ops::softmax(t, a),
                6 => {
                    let bias = ops::sum_axis(t, c, 0);
                    ops::linear(t, a, b, Some(bias))
                }
                7 => ops::matmul(t, a, b, MatMul { transpose_a: true, ..Default::default() }),
                8 => ops::gather(t, a, ids),
                9 => ops::permute(t, a, &[1, 0]),
                _ => ops::layer_norm(t, a, None, 1e-5),
            };
            vars.push(y);
        }
        let output = ops::sum(&mut tape, vars[vars.len() - 1]);
        vars.push(output);
        let mut program = tape.finish();
        for &x in &leaves {
            program.set(x, &points.list(N * N));
        }
        program.set_ids(ids, &[2, 0, 2]);
        Random { program, leaves, vars, output }
    }

    /// The leaves whose bit in `mask` is set.
    fn chosen(&self, mask: usize) -> Vec<Var> {
        self.leaves
            .iter()
            .enumerate()
            .filter(|(i, _)| mask >> i & 1 == 1)
            .map(|(_, &x)| x)
            .collect()
    }

    fn values(&self) -> Vec<Vec<u64>> {
        self.vars.iter().map(|&x| bits(self.program.value(x))).collect()
    }
}

fn bits(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_forward_pass_from_what_changed_is_a_forward_pass(
        leaves in 1usize..5, steps in prop::collection::vec(step(), 1..12), seed: u64, mask: usize,
    ) {
        let mut r = Random::record(leaves, &steps, seed);
        r.program.forward();
        let changed = r.chosen(mask);
        let plan = r.program.plan_forward(&changed);
        let mut points = Points::new(!seed);
        for &x in &changed {
            r.program.set(x, &points.list(N * N));
        }
        r.program.forward_from(&plan);
        let partial = r.values();
        r.program.forward();
        prop_assert_eq!(partial, r.values());
        // It runs no operation that a change cannot reach.
        prop_assert!(!changed.is_empty() || plan.is_empty());
        let all = r.program.operations().count();
        prop_assert!(plan.len() <= all);
    }

    #[test]
    fn the_gradients_of_some_leaves_are_those_of_all(
        leaves in 1usize..5, steps in prop::collection::vec(step(), 1..12), seed: u64, mask: usize,
    ) {
        let mut r = Random::record(leaves, &steps, seed);
        r.program.forward();
        let all = r.program.plan_backward(r.output, &r.leaves.clone());
        r.program.backward(&all);
        let wanted = r.chosen(mask);
        let gradients = |r: &Random, wanted: &[Var]| -> Vec<Vec<u64>> {
            wanted.iter().map(|&x| bits(r.program.grad(x))).collect()
        };
        let whole = gradients(&r, &wanted);
        // On a program of its own, and on one that holds the gradients of another walk.
        let mut alone = Random::record(leaves, &steps, seed);
        alone.program.forward();
        let own = alone.chosen(mask);
        let some = alone.program.plan_backward(alone.output, &own);
        alone.program.backward(&some);
        prop_assert_eq!(&gradients(&alone, &own), &whole);
        let again = r.program.plan_backward(r.output, &wanted);
        r.program.backward(&again);
        prop_assert_eq!(&gradients(&r, &wanted), &whole);
        prop_assert!(some.len() <= all.len() && (!wanted.is_empty() || some.is_empty()));
    }
}
