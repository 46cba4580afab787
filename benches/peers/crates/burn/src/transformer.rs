//! The decoder in training, and GPT-2-small shapes.

use crate::{Training, Weights, device, gelu, ids, numbers};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Int, Tensor, module};
use harness::Work;
use harness::inputs::{self, Decoder};

struct Model {
    shape: Decoder,
    tokens: Tensor<1, Int>,
    targets: Tensor<1, Int>,
    entropy: CrossEntropyLoss,
}

impl Model {
    fn new(shape: Decoder, device: &Device) -> Self {
        let len = shape.batch * shape.seq;
        let (tokens, targets) = shape.batch();
        let entropy = CrossEntropyLossConfig::new().init(device);
        let [tokens, targets] = [tokens, targets].map(|x| ids(x, [len], device));
        Model { shape, tokens, targets, entropy }
    }

    /// `[B T, 3 D] -> [B T, D]`
    fn attention(&self, qkv: Tensor<2>) -> Tensor<2> {
        let Decoder { batch, seq, d_model: d, heads, .. } = self.shape;
        let part = |i: usize| {
            let x = qkv.clone().narrow(1, i * d, d).reshape([batch, seq, heads, d / heads]);
            x.swap_dims(1, 2)
        };
        let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
        let z = module::attention(part(0), part(1), part(2), None, None, options);
        z.swap_dims(1, 2).reshape([batch * seq, d])
    }

    /// `[B T, V]`
    fn logits(&self, weights: &Weights) -> Tensor<2> {
        let Decoder { batch, seq, d_model: d, layers, tied, .. } = self.shape;
        let (mut matrices, mut vectors) = (weights.matrices(), weights.vectors());
        let mut matrix = || matrices.next().expect("a matrix");
        let mut vector = || vectors.next().expect("a vector");
        let (w_e, w_pos) = (matrix(), matrix());
        let x = w_e.clone().select(0, self.tokens.clone()).reshape([batch, seq, d]);
        let mut x = (x + w_pos.narrow(0, 0, seq).unsqueeze()).reshape([batch * seq, d]);
        for _ in 0..layers {
            let h = module::layer_norm(x.clone(), vector(), Some(vector()), 1e-5);
            let z = self.attention(module::linear(h, matrix(), Some(vector())));
            x = x + module::linear(z, matrix(), Some(vector()));
            let h = module::layer_norm(x.clone(), vector(), Some(vector()), 1e-5);
            let h = gelu(module::linear(h, matrix(), Some(vector())));
            x = x + module::linear(h, matrix(), Some(vector()));
        }
        let x = module::layer_norm(x, vector(), Some(vector()), 1e-5);
        x.matmul(if tied { w_e } else { matrix() }.transpose())
    }

    fn loss(&self, weights: &Weights) -> Tensor<1> {
        self.entropy.forward(self.logits(weights), self.targets.clone())
    }
}

pub fn training() -> Work {
    let device = device(true);
    let model = Model::new(inputs::DECODER, &device);
    let weights = Weights::new(&inputs::DECODER.parameters(), &device);
    let mut training = Training::new(weights, move |weights: &Weights| model.loss(weights));
    let check = training.check(inputs::CHECKED);
    (check, Box::new(move || _ = training.step()))
}

pub fn forward() -> Work {
    let (shape, device) = (inputs::gpt2(15), device(false));
    let model = Model::new(shape, &device);
    let weights = Weights::new(&shape.parameters(), &device);
    let all = numbers(&model.logits(&weights));
    let size = all.iter().map(|&x| f64::from(x.abs())).sum();
    let check = vec![size, f64::from(all[0]), f64::from(all[all.len() - 1])];
    (check, Box::new(move || _ = model.logits(&weights)))
}

pub fn step() -> Work {
    let (shape, device) = (inputs::gpt2(64), device(true));
    let model = Model::new(shape, &device);
    let weights = Weights::new(&shape.parameters(), &device);
    let loss = model.loss(&weights);
    let grads = loss.backward();
    // Those of the embedding and of the first layer's W_QKV.
    let size = |i: usize| -> f64 {
        let grad = weights.matrices[i].grad(&grads).expect("a gradient");
        numbers(&grad).iter().map(|&g| f64::from(g.abs())).sum()
    };
    let check = vec![loss.into_scalar::<f32>().into(), size(0), size(2)];
    (check, Box::new(move || _ = model.loss(&weights).backward()))
}
