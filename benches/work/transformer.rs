//! A small decoder in training, and GPT-2-small shapes forward and backward.

use super::Work;
use super::inputs::{self, Decoder};
use edgegrad::nn::stream::Sum;
use edgegrad::nn::transformer::{Config, Transformer};
use edgegrad::ops;
use edgegrad::tape::{Ids, Program, Tape, Var};
use edgegrad::tensor::Buffer;

/// A recorded decoder with its weights and its batch.
struct Recorded {
    program: Program<f32>,
    parameters: Vec<Var>,
    /// `[B, T, V]`.
    logits: Var,
    /// The mean cross-entropy of all positions, where it was asked for.
    loss: Option<Var>,
}

impl Recorded {
    fn new(shape: &Decoder, with_loss: bool) -> Self {
        let d_head = shape.d_model / shape.heads;
        let config = Config {
            vocab: shape.vocab,
            vocab_out: shape.vocab,
            context: shape.context,
            layers: shape.layers,
            d_model: shape.d_model,
            heads: shape.heads,
            kv_heads: shape.heads,
            d_head,
            d_mlp: shape.d_mlp,
            attn_scale: (d_head as f64).sqrt(),
            tied: shape.tied,
            ..Config::gpt2_small()
        };
        let mut tape = Tape::new();
        let (batch, seq) = (shape.batch, shape.seq);
        let model = Transformer::record(&mut tape, &config, batch, seq, &mut Sum::default());
        let logits = model.logits(&mut tape, model.last);
        let loss = with_loss.then(|| loss(&mut tape, logits, shape));
        let mut program = tape.finish();
        let list = shape.parameters();
        assert!(list.iter().map(|p| &p.name).eq(config.parameters().iter().map(|p| &p.name)));
        let init = list.iter().enumerate().map(|(i, p)| Buffer::from(&*p.init(i)));
        model.set_weights(&mut program, &init.collect::<Vec<_>>());
        let (tokens, targets) = shape.batch();
        model.set_tokens(&mut program, &tokens);
        if let Some((_, ids)) = loss {
            program.set_ids(ids, &targets);
        }
        let loss = loss.map(|(loss, _)| loss);
        Recorded { program, parameters: model.parameters, logits, loss }
    }
}

/// The mean cross-entropy of all positions, and where their targets are set.
fn loss(tape: &mut Tape<f32>, logits: Var, shape: &Decoder) -> (Var, Ids) {
    let rows = shape.batch * shape.seq;
    let logits = tape.reshape(logits, [rows, shape.vocab]);
    let targets = tape.ids([rows], shape.vocab);
    let losses = ops::cross_entropy(tape, logits, targets);
    (ops::mean(tape, losses), targets)
}

/// A training step of the small decoder: forward, backward, Adam.
pub fn training() -> Work {
    let shape = &inputs::DECODER;
    let Recorded { mut program, parameters, loss, .. } = Recorded::new(shape, true);
    let loss = loss.expect("asked for");
    let plan = program.plan_backward(loss, &parameters);
    let mut adam = super::adam(&program, &parameters);
    let mut step = move |rate| {
        program.forward();
        program.backward(&plan);
        adam.begin_step();
        for (i, &x) in parameters.iter().enumerate() {
            let (x, gradient) = program.value_and_grad_mut(x);
            adam.update(i, rate, x, gradient);
        }
        program.value(loss)[0]
    };
    let check = super::checked(&mut step, inputs::CHECKED);
    (check, Box::new(move || _ = step(0.0)))
}

/// The logits of all of 15 tokens.
pub fn forward() -> Work {
    let Recorded { mut program, logits, .. } = Recorded::new(&inputs::gpt2(15), false);
    program.forward();
    let all = program.value(logits);
    let size = all.iter().map(|&x| f64::from(x.abs())).sum();
    let check = vec![size, f64::from(all[0]), f64::from(all[all.len() - 1])];
    (check, Box::new(move || program.forward()))
}

/// The gradient of all weights for 64 tokens.
pub fn step() -> Work {
    let Recorded { mut program, parameters, loss, .. } = Recorded::new(&inputs::gpt2(64), true);
    let loss = loss.expect("asked for");
    let plan = program.plan_backward(loss, &parameters);
    program.forward();
    program.backward(&plan);
    let size = |x: Var| program.grad(x).iter().map(|&g| f64::from(g.abs())).sum();
    let check = vec![program.value(loss)[0].into(), size(parameters[0]), size(parameters[4])];
    let run = move || {
        program.forward();
        program.backward(&plan);
    };
    (check, Box::new(run))
}
