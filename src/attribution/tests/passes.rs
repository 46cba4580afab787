//! Recordings whose values share memory give the bits of those that keep everything.

use super::matryoshka::Setting;
use crate::formats::pairs::Pair;
use crate::graph::MaskShape;
use crate::patching::metric::Metric;
use crate::patching::probe::Probe;
use crate::rng::{Purpose, Rng};
use crate::tape::{Rules, Var};

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Several passes on each recording, as a reverse pass lends the memory of values to gradients.
#[test]
fn masked_passes() {
    let setting = Setting::fixture("gpt2-tiny", 4);
    for metric in [Metric::LogitDiff, Metric::Kl] {
        let b = setting.ask(metric);
        let pairs: Vec<_> = b.lengths()[0].clone();
        let found = |mut probe: Probe<f64>| {
            let (mut rng, mut found) = (Rng::new(5, Purpose::Mask, 0), vec![]);
            probe.ask(&b, &pairs);
            probe.set_baselines(&b, &pairs);
            for _ in 0..3 {
                let drawn: Vec<f64> = (0..b.graph.edges()).map(|_| rng.uniform()).collect();
                probe.set_masks_by(1, |_, e| drawn[e]);
                probe.program.forward();
                found.push(bits(&probe.results(pairs.len())));
                probe.backward();
                found.push(bits(&probe.mask_gradients()));
            }
            found
        };
        let masks = Some(MaskShape::default());
        let any = found(Probe::new(&b, pairs.len(), pairs[0], masks).expect("it fits"));
        assert_eq!(any.len(), 6);
        let masked = Probe::masked(&b, pairs.len(), pairs[0], MaskShape::default(), Rules::Plain)
            .expect("it fits");
        assert_eq!(found(masked), any, "{metric:?}");
    }
}

/// Passes from the masks of one group after another, some of which stay, and whole ones between
/// them.
#[test]
fn passes_from_groups() {
    let setting = Setting::fixture("gpt2-tiny", 4);
    for metric in [Metric::LogitDiff, Metric::Kl] {
        let b = setting.ask(metric);
        let pairs: Vec<_> = b.lengths()[0].clone();
        let found = |mut probe: Probe<f64>| {
            probe.ask(&b, &pairs);
            probe.set_baselines(&b, &pairs);
            let groups = b.graph.groups.len();
            let mut found = vec![bits(&probe.results(pairs.len()))];
            for (i, g) in (0..groups).rev().chain(0..groups).enumerate() {
                let plan = probe.plan_for(g).without(&probe.program, &probe.recorded.idle);
                let edge = b.graph.groups[g].edges().start;
                for mask in [0.0, if i % 3 == 0 { 0.0 } else { 1.0 }] {
                    (0..pairs.len()).step_by(2).for_each(|row| probe.set_mask(row, edge, mask));
                    probe.program.forward_from(&plan);
                    found.push(bits(&probe.results(pairs.len())));
                }
                if i % 5 == 0 {
                    probe.program.forward();
                    found.push(bits(&probe.results(pairs.len())));
                }
            }
            found
        };
        let shape = MaskShape { per_example: true };
        let any = found(Probe::new(&b, pairs.len(), pairs[0], Some(shape)).expect("it fits"));
        assert_ne!(any.first(), any.last());
        let steps = Probe::steps(&b, pairs.len(), pairs[0], shape).expect("it fits");
        assert_eq!(found(steps), any, "{metric:?}");
    }
}

/// Whole forward passes with masks, and reverse passes to masks of each example.
#[test]
fn passes_of_copies() {
    let setting = Setting::fixture("gpt2-tiny", 4);
    for metric in [Metric::LogitDiff, Metric::Kl] {
        let b = setting.ask(metric);
        let pairs: Vec<_> = b.lengths()[0].clone();
        let shape = MaskShape { per_example: true };
        let found = |mut probe: Probe<f64>, reverse: bool| {
            probe.ask(&b, &pairs);
            probe.set_baselines(&b, &pairs);
            let mut found = vec![];
            for share in [0.25, 0.5] {
                probe.set_masks_by(pairs.len(), |i, e| if (i + e) % 3 == 0 { share } else { 1.0 });
                probe.program.forward();
                found.push(bits(&probe.results(pairs.len())));
                if reverse {
                    probe.backward();
                    found.push(bits(&probe.mask_gradients()));
                }
            }
            found
        };
        let any = || Probe::new(&b, pairs.len(), pairs[0], Some(shape)).expect("it fits");
        let forward = Probe::forward(&b, pairs.len(), pairs[0], Some(shape)).expect("it fits");
        assert_eq!(found(forward, false), found(any(), false), "{metric:?}");
        let masked = Probe::masked(&b, pairs.len(), pairs[0], shape, Rules::Plain);
        assert_eq!(found(masked.expect("it fits"), true), found(any(), true), "{metric:?}");
    }
}

/// The gradients of an example's masks have the bits of the example alone.
#[test]
fn gradients_of_examples() {
    let setting = Setting::fixture("gpt2-tiny", 12);
    let b = setting.ask(Metric::LogitDiff);
    let pairs: Vec<_> = b.lengths()[0].clone();
    assert!(pairs.len() > 4, "{} pairs of one length", pairs.len());
    let shape = MaskShape { per_example: true };
    let found = |pairs: &[&Pair]| {
        let probe = Probe::masked(&b, pairs.len(), pairs[0], shape, Rules::Plain);
        let mut probe = probe.expect("it fits");
        probe.ask(&b, pairs);
        probe.set_baselines(&b, pairs);
        probe.set_masks_by(pairs.len(), |_, e| if e % 3 == 0 { 0.25 } else { 1.0 });
        probe.program.forward();
        probe.backward();
        let gradients = |i| probe.mask_gradients_of(i).flat_map(|(_, row)| bits(row)).collect();
        (0..pairs.len()).map(gradients).collect::<Vec<Vec<u64>>>()
    };
    let together = found(&pairs);
    assert!(together[0].iter().any(|&x| f64::from_bits(x).abs() > 1e-3), "gradients");
    for (pair, together) in pairs.iter().zip(together) {
        assert_eq!(found(&[pair]), [together]);
    }
}

/// Passes from inputs that are led away from the clean ones.
#[test]
fn led_passes() {
    let setting = Setting::fixture("gpt2-tiny", 40);
    let b = setting.ask(Metric::LogitDiff);
    let pairs: Vec<_> = b.lengths()[0].clone();
    let time = pairs[0].clean.len();
    assert!(pairs.len() * time > 64, "few rows are recorded in another way");
    let inputs = b.graph.inputs();
    let found = |mut probe: Probe<f64>| {
        let mut found = vec![];
        probe.ask(&b, &pairs);
        for _ in 0..2 {
            let baselines = probe.run_clean_beside_baselines(&b, &pairs);
            let starts = baselines[..inputs].to_vec();
            let beyond = probe.beyond(baselines);
            let vars: Vec<Var> = probe.recorded.outputs[..inputs].iter().map(|o| o.var()).collect();
            let plan = probe.program.plan_forward(&vars);
            for alpha in [0.25, 0.75] {
                (0..inputs).for_each(|w| probe.lead(w, alpha, &starts, &beyond));
                probe.program.forward_from(&plan);
                probe.backward();
                let mut scores = vec![0.0; b.graph.edges()];
                probe.recorded.contract(&probe.program, &beyond, &mut scores);
                found.push(bits(&scores));
            }
        }
        found
    };
    let any = found(Probe::new(&b, pairs.len(), pairs[0], None).expect("it fits"));
    assert_ne!(any[0], any[1]);
    assert_eq!(any[..2], any[2..]);
    assert_eq!(found(Probe::whole(&b, pairs.len(), pairs[0]).expect("it fits")), any);
}
