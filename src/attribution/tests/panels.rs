//! Weights in panels give the bits of weights row by row.

use super::matryoshka::Setting;
use crate::attribution::method::{Method, Options};
use crate::graph::Granularity;
use crate::patching::metric::Metric;
use crate::simd::Half;
use crate::tape::Rules;
use crate::tensor::Buffer;

/// Each kind of pass on the heads, and all kinds of nodes by one pass. Nobody reads a matrix of a
/// layer as a slice, which would keep it twice.
#[test]
fn scores_have_the_same_bits() {
    let plain = Setting::fixture("gpt2-tiny", 2);
    let heads = Granularity::default();
    let methods =
        [Method::Eap, Method::EapIg, Method::EapIgActivations, Method::Exact, Method::Matryoshka];
    let of_heads = methods.map(|method| (method, heads, Rules::Plain)).into_iter();
    let relp = (Method::Eap, heads, Rules::Relp);
    let nodes = [Granularity { neurons: true, ..heads }, Granularity { joined_qkv: true, ..heads }];
    let of_nodes = nodes.map(|nodes| (Method::Eap, nodes, Rules::Plain));
    let stored = compare(plain, of_heads.chain([relp]).chain(of_nodes));
    assert!(stored.iter().all(|w| !w.is_narrow()));
    assert_eq!(stored.len() % 4, 0, "an embedding gains nothing");
}

/// The same where weights have 16 bits.
#[test]
fn scores_of_narrow_weights_have_the_same_bits() {
    for format in [Half::Bf16, Half::F16] {
        let mut plain = Setting::fixture("gpt2-tiny", 2);
        for w in &mut plain.transformer().weights {
            w.iter_mut().for_each(|x| *x = format.widen(format.of(*x)).into());
        }
        let heads = Granularity::default();
        let methods = [Method::Eap, Method::Exact];
        let stored = compare(plain, methods.map(|method| (method, heads, Rules::Plain)));
        assert!(stored.iter().all(|w| w.is_narrow()), "{format:?}");
        assert_eq!(stored.len() % 4, 1, "the embedding is the unembedding");
    }
}

/// Compares the scores of `plain` with those of the same model in panels; the weights in these.
fn compare(
    mut plain: Setting,
    cases: impl IntoIterator<Item = (Method, Granularity, Rules)>,
) -> Vec<Buffer<f64>> {
    let mut panels = Setting::fixture("gpt2-tiny", 2);
    panels.transformer().weights.clone_from(&plain.transformer().weights);
    panels.transformer().store_in_panels_from(0);
    for (method, granularity, rules) in cases {
        let scores = |setting: &Setting| {
            let mut b = setting.ask_of(Metric::LogitDiff, granularity);
            b.rules = rules;
            let options = Options { steps: 3, ..method.options() };
            let scores = method.scores(&b, &options, &mut |_| {}).expect("it runs");
            scores.values.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(scores(&panels), scores(&plain), "{method:?}");
    }
    let stored = panels.transformer();
    for (w, p) in stored.weights.iter().zip(stored.config.parameters()) {
        assert!(w.room() < 2 * w.len(), "{} is there twice", p.name);
    }
    let in_panels: Vec<Buffer<f64>> =
        stored.weights.iter().filter(|w| w.stands_in_panels()).cloned().collect();
    assert_eq!(in_panels.len() / 4, stored.config.layers);
    in_panels
}
