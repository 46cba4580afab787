//! Which edges matter? Four answers on one small model, with what each leaves unexplained.
//!
//! A model of 15 edges learns to add the first two of six tokens modulo 3. Its edges are then
//! scored by a derivative, by an integral, by removing each for real, and by their Shapley values.
//! Writes the scores and a page of them to `runs/exact-attribution`.

use edgegrad::attribution::{eap, exact, mask_ig, shapley};
use edgegrad::nn::{Activation, Optimizer, Rule, pooled::Config, pooled::Pooled};
use edgegrad::rng::{Purpose, Rng};
use edgegrad::{page, prelude::*, tape::Tape, tasks::modular_addition::ModularAddition};

const BOUNDS: Bounds = Bounds { vocab: 3, vocab_out: 3, context: 6 };
const TASK: ModularAddition = ModularAddition { p: 3, seq_len: 6, k: 2 };
#[rustfmt::skip]
const SHAPE: Config = Config { vocab: 3, seq_len: 6, d_model: 8, d_mlp: 16,
                               activation: Activation::Gelu, mlp_bias: true, dropout: 0.0 };

/// 400 steps of Adam on 256 rows; returns the weights.
fn train() -> Result<Vec<Vec<f64>>> {
    let rows = TASK.generate(256, 0, true, &mut Rng::new(0, Purpose::Data, 0))?.train;
    let mut tape = Tape::<f64>::new();
    let model = Pooled::record(&mut tape, &SHAPE, rows.n);
    let mut program = tape.finish();
    let plan = program.plan_backward(model.loss, &model.parameters);
    model.set_parameters(&mut program, &SHAPE.init(0));
    model.set_batch(&mut program, (0..rows.n).map(|i| (rows.row(i), rows.targets[i])));
    let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 };
    let mut adam = Optimizer::new(rule, SHAPE.parameters().iter().map(|p| p.shape.len()));
    for _ in 0..400 {
        program.forward();
        program.backward(&plan);
        adam.begin_step();
        for (i, &parameter) in model.parameters.iter().enumerate() {
            let (x, gradient) = program.value_and_grad_mut(parameter);
            adam.update(i, 1e-2, x, gradient);
        }
    }
    println!("trained to a loss of {:.4}", program.value(model.loss)[0]);
    Ok(model.parameters.iter().map(|&x| program.value(x).to_vec()).collect())
}

fn main() -> Result<()> {
    let model = AnyModel::Pooled { config: SHAPE, weights: train()? };
    // The question: another first token gives another sum. What carries the difference?
    let text = br#"{"clean": [1, 2, 0, 1, 2, 0], "corrupted": [2, 2, 0, 1, 2, 0], "answer": 0, "distractor": 1}
        {"clean": [0, 1, 1, 2, 0, 2], "corrupted": [2, 1, 1, 2, 0, 2], "answer": 1, "distractor": 0}"#;
    let pairs = Pairs::parse("pairs", &text[..], &BOUNDS, None, None)?;
    let question = Question::new(Metric::LogitDiff, Positions::Asked, 3, &pairs)?;
    let graph = Graph::of_pooled(&SHAPE, Granularity::default());
    let b = Behaviour::new(&model, graph, &pairs, question, Baseline::Resample)?;
    // The derivative at the model, its integral on the way from the corrupted run, real patches,
    // and the mean over all orders in which edges can be put back.
    let found = [
        eap::scores(&b, &mut |_| {})?.values,
        mask_ig::scores(&b, 4, 1e-10, mask_ig::MOST_NODES, &mut |_| {})?.values,
        exact::scores(&b, &mut |_| {})?.values,
        shapley::scores(&b, 32, 0, &mut |_| {})?.values,
    ];
    let names = ["eap", "mask-ig", "exact", "shapley"];
    println!("{:16}{:>12}{:>12}{:>12}{:>12}", "edge", names[0], names[1], names[2], names[3]);
    let text = |x: [f64; 4]| x.map(|x| format!("{x:12.6}")).concat();
    for e in 0..b.graph.edges() {
        let name = b.graph.edge(e).to_string();
        println!("{name:16}{}", text(found.each_ref().map(|scores| scores[e])));
    }
    // An integral and Shapley values add up to what the metric falls by; the others need not.
    let (clean, corrupted) = b.extremes()?.means();
    let sums = found.each_ref().map(|scores| scores.iter().sum::<f64>());
    println!("sum             {}  (the metric falls by {:.6})", text(sums), clean - corrupted);
    println!("residual        {}", text(sums.map(|sum| sum - (clean - corrupted))));
    let folder = std::path::Path::new("runs/exact-attribution");
    for (name, scores) in names.into_iter().zip(&found) {
        let meta = Meta { method: Some(name.into()), ..Default::default() };
        b.graph.scores_file(scores, &meta).write_into(folder, name)?;
    }
    let page = folder.join("report.html");
    page::write_page(&[folder.into()], None, &page)?;
    println!("open {}", page.display());
    Ok(())
}
