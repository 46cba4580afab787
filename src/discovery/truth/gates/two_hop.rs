//! A lookup of two hops: given a -> b and b -> c, the answer to a is c.
//!
//! ```text
//! d>e  b>c  a>b  e>d  a?  ->  c
//! a0.h0: from `a?` to the fact about a, carries b
//! a1.h0: from there, with b, to the fact about b, carries c
//! ```
//!
//! Each fact is one token with channels for its subject and for its object; there are no positions.
//! Queries of the second head are computed from the output of the first one (Q-composition).
//! Attention is hard: derivatives see neither queries nor keys. The other head of each layer
//! averages the facts into channels that no part reads.

use super::{Gate, GatePair, HARD, PAIRS, Sizes, Weights, choose};
use crate::rng::Rng;

/// Subjects and objects of facts.
const THINGS: usize = 5;
/// Facts in a sequence.
const FACTS: usize = 4;

/// The token of the fact that maps `of` to `to`.
fn fact(of: usize, to: usize) -> usize {
    of * THINGS + to
}

/// The token that asks for `of`.
fn ask(of: usize) -> usize {
    THINGS * THINGS + of
}

/// Four facts about different things, one of which is asked for, and the result of two hops from
/// it.
fn sequence(rng: &mut Rng) -> (Vec<usize>, usize) {
    let mut things: Vec<usize> = (0..THINGS).collect();
    rng.shuffle(&mut things);
    let mut facts = vec![];
    for (i, &of) in things[..FACTS].iter().enumerate() {
        // The first leads to the second; the others lead to anything but themselves.
        let other = (of + choose(rng, 1..THINGS)) % THINGS;
        facts.push((of, if i == 0 { things[1] } else { other }));
    }
    let answer = facts[1].1;
    rng.shuffle(&mut facts);
    let mut tokens: Vec<usize> = facts.into_iter().map(|(of, to)| fact(of, to)).collect();
    tokens.push(ask(things[0]));
    (tokens, answer)
}

pub(super) fn gate(rng: &mut Rng) -> Gate {
    let [of, to, asked, hop, answer, idle] = std::array::from_fn(|i| i * THINGS..(i + 1) * THINGS);
    let vocab = THINGS * THINGS + THINGS;
    let mut w = Weights::zeros(Sizes {
        vocab: (vocab, THINGS),
        context: (FACTS + 1, false),
        layers: 2,
        heads: 2,
        d_model: idle.end,
        d_head: THINGS,
        d_mlp: 0,
    });
    for x in 0..THINGS {
        for y in 0..THINGS {
            w.w_e.set(fact(x, y), of.start + x, 1.0);
            w.w_e.set(fact(x, y), to.start + y, 1.0);
        }
        w.w_e.set(ask(x), asked.start + x, 1.0);
    }
    let all = 0..THINGS;
    for (layer, (from, into)) in w.attention.iter_mut().zip([(asked, hop.clone()), (hop, answer)]) {
        let head = &mut layer[0];
        head.q.join(from, all.clone(), HARD);
        head.k.join(of.clone(), all.clone(), 1.0);
        head.v.join(to.clone(), all.clone(), 1.0);
        head.o.join(all.clone(), into, 1.0);
        let average = &mut layer[1];
        average.v.join(to.clone(), all.clone(), 1.0);
        average.o.join(all.clone(), idle.clone(), 1.0);
    }
    w.w_u.join(4 * THINGS..5 * THINGS, all, 1.0);

    let mut pairs = vec![];
    while pairs.len() < PAIRS {
        let ((clean, answer), (corrupted, distractor)) = (sequence(rng), sequence(rng));
        if answer != distractor {
            pairs.push(GatePair { clean, corrupted, answer, distractor });
        }
    }
    let names: Vec<String> = ('a'..).take(THINGS).map(String::from).collect();
    let facts = names.iter().flat_map(|x| names.iter().map(move |y| format!("{x}>{y}")));
    Gate {
        weights: w,
        description: "Says where two hops lead from what is asked: a0.h0 finds the fact about it, \
                      a1.h0 the fact about what that one says. Every true edge is needed, so that \
                      removing it alone changes the answer; attention is hard, so that derivatives \
                      see neither queries nor keys. a0.h1 and a1.h1 write to channels that nobody \
                      reads.",
        vocab: facts.chain(names.iter().map(|x| format!("{x}?"))).collect(),
        labels: names.clone(),
        pairs,
        truth: &[
            "input->a0.h0<q>",
            "input->a0.h0<k>",
            "input->a0.h0<v>",
            "a0.h0->a1.h0<q>",
            "input->a1.h0<k>",
            "input->a1.h0<v>",
            "a1.h0->logits",
        ],
    }
}
