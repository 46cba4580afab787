//! Weights in panels give the bits of weights row by row.

use super::matryoshka::Setting;
use crate::attribution::method::{Method, Options};
use crate::graph::Granularity;
use crate::patching::metric::Metric;
use crate::tape::Rules;

/// Each kind of pass on the heads, and all kinds of nodes by one pass. Nobody reads a matrix of a
/// layer as a slice, which would keep it twice.
#[test]
fn scores_have_the_same_bits() {
    let plain = Setting::fixture("gpt2-tiny", 2);
    let mut panels = Setting::fixture("gpt2-tiny", 2);
    panels.transformer().store_in_panels_from(0);
    let heads = Granularity::default();
    let methods =
        [Method::Eap, Method::EapIg, Method::EapIgActivations, Method::Exact, Method::Matryoshka];
    let of_heads = methods.map(|method| (method, heads)).into_iter();
    let nodes = [Granularity { neurons: true, ..heads }, Granularity { joined_qkv: true, ..heads }];
    let cases = of_heads.chain(nodes.map(|nodes| (Method::Eap, nodes)));
    for (method, granularity) in cases {
        let scores = |setting: &Setting, rules| {
            let mut b = setting.ask_of(Metric::LogitDiff, granularity);
            b.rules = rules;
            let options = Options { steps: 3, ..method.options() };
            let scores = method.scores(&b, &options, &mut |_| {}).expect("it runs");
            scores.values.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        for rules in [Rules::Plain, Rules::Relp] {
            if rules == Rules::Plain || method == Method::Eap {
                assert_eq!(scores(&panels, rules), scores(&plain, rules), "{method:?}");
            }
        }
    }
    let stored = panels.transformer();
    let mut in_panels = 0;
    for (w, p) in stored.weights.iter().zip(stored.config.parameters()) {
        assert_eq!(w.room(), w.len(), "{} is there twice", p.name);
        in_panels += usize::from(w.stands_in_panels());
    }
    assert_eq!(in_panels, 4 * stored.config.layers);
}
