//! The pooled model against the paper authors' own PyTorch code (`fixtures/sma-d2`, in doubles):
//! first logits, attention and gradients, the losses of 200 Adam steps, and the final weights.

use edgegrad::files::safetensors::Tensors;
use edgegrad::named::Named;
use edgegrad::nn::pooled::{Config, Pooled};
use edgegrad::nn::{Activation, Optimizer, Rule};
use edgegrad::tape::Tape;
use edgegrad::tensor::Element;
use std::path::Path;

const BATCH: usize = 32;
const STEPS: usize = 200;

fn fixture() -> Tensors {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sma-d2");
    Tensors::read(folder.join("expected.safetensors")).expect("the fixture is whole")
}

/// The largest difference relative to the largest wanted number, which has to be large enough to
/// mean something.
#[track_caller]
fn difference<T: Element>(got: &[T], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len(), "lengths");
    let scale = want.iter().fold(0.0f64, |m, w| m.max(w.abs()));
    assert!(scale > 1e-4, "nothing to compare with: the largest number is {scale}");
    got.iter().zip(want).fold(0.0f64, |m, (g, w)| m.max((g.to_f64() - w).abs())) / scale
}

/// Largest differences of: the first step's numbers, the losses, the final weights.
fn replay<T: Element>() -> (f64, f64, f64) {
    let file = fixture();
    let numbers = |name: &str| file.get_f64(name).expect(name).1;
    let (_, tokens) = file.get_ids("tokens").expect("tokens");
    let (_, targets) = file.get_ids("targets").expect("targets");
    let tokens: Vec<u32> = tokens.iter().map(|&t| t as u32).collect();
    let config = Config {
        vocab: 3,
        seq_len: 12,
        d_model: 2,
        d_mlp: 32,
        activation: Activation::Gelu,
        mlp_bias: true,
        dropout: 0.0,
    };
    let mut tape = Tape::<T>::new();
    let model = Pooled::record(&mut tape, &config, BATCH);
    let mut program = tape.finish();
    let plan = program.plan_backward(model.loss, &model.parameters);
    let parameters = config.parameters();
    for (p, &x) in parameters.iter().zip(&model.parameters) {
        let init: Vec<T> =
            numbers(&format!("init.{}", p.name)).into_iter().map(T::from_f64).collect();
        program.set(x, &init);
    }
    let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 };
    let mut adam = Optimizer::<T>::new(rule, parameters.iter().map(|p| p.shape.len()));
    let (mut first, mut losses) = (0.0f64, vec![]);
    for step in 0..STEPS {
        let rows = (0..BATCH).map(|i| (step * BATCH + i) % targets.len());
        let batch = rows.map(|r| (&tokens[r * 12..(r + 1) * 12], targets[r] as u32));
        model.set_batch(&mut program, batch);
        program.forward();
        program.backward(&plan);
        if step == 0 {
            first = first.max(difference(program.value(model.logits), &numbers("step0.logits")));
            let attention = numbers("step0.attention");
            first = first.max(difference(program.value(model.attention), &attention));
            for (p, &x) in parameters.iter().zip(&model.parameters) {
                let want = numbers(&format!("step0.grad.{}", p.name));
                first = first.max(difference(program.grad(x), &want));
            }
        }
        losses.push(program.value(model.loss)[0]);
        adam.begin_step();
        for (i, &x) in model.parameters.iter().enumerate() {
            let (x, gradient) = program.value_and_grad_mut(x);
            adam.update(i, 3e-3, x, gradient);
        }
    }
    let mut last = 0.0f64;
    for (p, &x) in parameters.iter().zip(&model.parameters) {
        last = last.max(difference(program.value(x), &numbers(&format!("final.{}", p.name))));
    }
    (first, difference(&losses, &numbers("losses")), last)
}

#[test]
fn doubles_agree_with_the_authors() {
    let (first, losses, last) = replay::<f64>();
    assert!(first < 1e-9 && losses < 1e-9 && last < 1e-9, "{first:e} {losses:e} {last:e}");
}

#[test]
fn floats_agree_with_the_authors() {
    let (first, losses, last) = replay::<f32>();
    assert!(first < 1e-5 && losses < 1e-3 && last < 1e-3, "{first:e} {losses:e} {last:e}");
}

/// The values that `tests/page-js` holds the page's own forward pass to.
#[test]
fn the_forward_pass_gives_what_the_page_is_tested_with() {
    let text = include_str!("fixtures/pooled.json");
    let fixture: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let list = |value: &serde_json::Value| -> Vec<f64> {
        serde_json::from_value(value.clone()).expect("numbers")
    };
    let tokens: Vec<Vec<u32>> = serde_json::from_value(fixture["tokens"].clone()).expect("ids");
    let size = |name: &str| fixture["shape"][name].as_u64().expect("a size") as usize;
    let expected = fixture["expected"].as_object().expect("activations");
    assert_eq!(expected.len(), 5, "all activations");
    for (name, wanted) in expected {
        let config = Config {
            vocab: size("vocab"),
            seq_len: size("seq_len"),
            d_model: size("d_model"),
            d_mlp: size("d_mlp"),
            activation: Activation::from_name(name).expect("an activation"),
            mlp_bias: true,
            dropout: 0.0,
        };
        let mut tape = Tape::<f64>::new();
        let model = Pooled::record(&mut tape, &config, tokens.len());
        let mut program = tape.finish();
        let parameters: Vec<Vec<f64>> =
            config.parameters().iter().map(|p| list(&fixture["parameters"][p.name])).collect();
        model.set_parameters(&mut program, &parameters);
        model.set_batch(&mut program, tokens.iter().map(|row| (&row[..], 0)));
        program.forward();
        let places = [
            ("attention", model.attention),
            ("sequence", model.sequence),
            ("logits", model.logits),
        ];
        for (part, value) in places {
            let (got, want) = (program.value(value), list(&wanted[part]));
            assert_eq!(got.len(), want.len(), "{name}, {part}");
            for (got, want) in got.iter().zip(&want) {
                assert!((got - want).abs() <= 1e-12, "{name}, {part}: {got} for {want}");
            }
        }
    }
}
