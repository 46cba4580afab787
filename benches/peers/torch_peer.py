#!/usr/bin/env python3
"""The works in PyTorch, eager: `torch_peer.py list`, `torch_peer.py WORK THREADS SECONDS`.

Inputs, shapes and checks are those of ../work/inputs.rs and crates/harness. Of the ways to write a
work down, the fastest is taken: `scaled_dot_product_attention` (some 5 % faster than explicit
attention for `decoder`, alike for GPT-2), the fused Adam, gradients that are made anew.
"""
import json
import math
import sys
import time

import torch
import torch.nn.functional as F

# The shapes of ../work/inputs.rs.
CHECKED, RATE = 5, 1e-3
ROWS, COLS = 2048, 768


def mix(seed, n):
    """n scattered whole numbers below 2^32."""
    low = 0xFFFFFFFF
    h = (torch.arange(n, dtype=torch.int64) * 2654435761 + seed * 40503) & low
    for _ in range(2):
        h = ((h ^ (h >> 16)) * 0x045D9F3B) & low
    return h ^ (h >> 16)


def numbers(seed, *shape):
    """Even in [-1, 1), multiples of 2^-23."""
    n = math.prod(shape)
    return ((mix(seed, n) >> 8).to(torch.float32) / 8388608 - 1).reshape(shape)


def ids(seed, n, limit):
    return (mix(seed, n) >> 8) % limit


def init(parameters):
    """Weights from a list of (name, shape): see `Parameter::init`."""
    weights = []
    for i, (name, shape) in enumerate(parameters):
        w = numbers(i + 100, *shape)
        if len(shape) == 1:
            w = w * 0.1 + (1 if name.endswith(".w") else 0)
        else:
            width = shape[1] if "emb" in name else shape[0]
            w = w * float(torch.tensor(math.sqrt(3 / width), dtype=torch.float32))
        weights.append(w.requires_grad_())
    return weights


def fingerprint(x):
    x = x.detach().to(torch.float64).reshape(-1)
    return [float(x.abs().sum()), float(x @ numbers(9, x.numel()).to(torch.float64))]


def products(name):
    _, sizes, layout = name.split("-")
    m, n, k = map(int, sizes.split("x"))
    a = numbers(1, k, m).T if layout[0] == "t" else numbers(1, m, k)
    b = numbers(2, n, k).T if layout[1] == "t" else numbers(2, k, n)
    c = torch.empty(m, n)

    def run():
        torch.mm(a, b, out=c)

    with torch.no_grad():
        run()
    return fingerprint(c), run, False


# GPT-2-small's weights: inputs and outputs of each.
WEIGHTS = [(768, 2304), (768, 768), (768, 3072), (3072, 768)] * 12 + [(768, 50272)]
FEW = (1, 4, 8, 15, 16, 24, 32, 33, 48, 64, 128)


def all_weights(name):
    """All products of GPT-2-small's weights, in order, each weight from memory."""
    _, m, way, order = name.split("-")
    m, products = int(m), []
    for i, (inputs, outputs) in enumerate(WEIGHTS):
        w = numbers(i + 2, inputs, outputs) if order == "kn" else numbers(i + 2, outputs, inputs).T
        b = w if way == "forward" else w.T
        products.append((numbers(1, m, b.shape[0]), b, torch.empty(m, b.shape[1])))

    def run():
        for a, b, c in products:
            torch.mm(a, b, out=c)

    with torch.no_grad():
        run()
    check = [fingerprint(c) for _, _, c in products]
    return [sum(x[0] for x in check), sum(x[1] for x in check)], run, False


def rows(name):
    gradient = name.endswith("-grad")
    x = (4 * numbers(1, ROWS, COLS)).requires_grad_(gradient)
    gain = (1 + 0.1 * numbers(3, COLS)).requires_grad_(gradient)
    bias = (0.1 * numbers(4, COLS)).requires_grad_(gradient)
    dy = numbers(2, ROWS, COLS)
    f = {
        "exp": lambda: torch.exp(x),
        "softmax": lambda: torch.softmax(x, -1),
        "layer-norm": lambda: F.layer_norm(x, (COLS,), gain, bias, 1e-5),
        "gelu": lambda: F.gelu(x, approximate="tanh"),
    }[name.removesuffix("-grad")]
    if not gradient:
        with torch.no_grad():
            return fingerprint(f()), f, False

    def run():
        x.grad = gain.grad = bias.grad = None
        f().backward(dy)

    run()
    return fingerprint(x.grad), run, True


def training(weights, loss, half):
    """Adam on a loss; the check is the mean loss of `half` steps and of as many after them."""
    adam = torch.optim.Adam(weights, lr=RATE, fused=True)

    def step():
        adam.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        adam.step()
        return value

    check = [sum(float(step().detach()) for _ in range(half)) / half for _ in range(2)]
    for group in adam.param_groups:
        group["lr"] = 0.0
    return check, step, True


# The model with one query.
POOLED = {"plane": (2, 3, 2, 32, 32), "seeds": (2, 3, 2, 32, 32), "full": (4, 4, 32, 128, 2048)}
LEN, SEEDS = 12, 100


def pooled(name):
    p, vocab, d, f, batch = POOLED[name]
    tokens = ids(1, ROWS * LEN, p).reshape(ROWS, LEN)
    targets = tokens[:, :5].sum(1) % p
    weights = init([
        ("token_emb.weight", (vocab, d)), ("pos_emb.weight", (LEN, d)),
        ("softmax.query.weight", (1, d)), ("softmax.value.weight", (d, d)),
        ("mlp.fc1.weight", (f, d)), ("mlp.fc1.bias", (f,)),
        ("mlp.fc2.weight", (d, f)), ("mlp.fc2.bias", (d,)),
    ])
    at = 0

    def batch_rows():
        nonlocal at
        rows = slice(at, at + batch)
        at = (at + batch) % ROWS
        return tokens[rows], targets[rows]

    def norm(x):
        return x / (x.square().mean(-1, keepdim=True).sqrt() + 1e-5)

    def loss():
        x, y = batch_rows()
        emb, pos, query, value, w1, b1, w2, b2 = weights
        z = norm(F.embedding(x, emb) + pos)
        attention = torch.softmax((z @ query.T).squeeze(-1) / math.sqrt(d), -1)
        # The values of the mean are the mean of the values.
        sequence = torch.bmm(attention.unsqueeze(1), z).squeeze(1) @ value.T
        h = F.gelu(F.linear(norm(sequence), w1, b1))
        out = sequence + F.linear(h, w2, b2)
        return F.cross_entropy(out @ emb.T, y)

    def table_loss():
        """The same from the V L sums of a token and a position, as edgegrad does it: twice as fast
        for `full`, slower for `plane`."""
        x, y = batch_rows()
        emb, pos, query, value, w1, b1, w2, b2 = weights
        at = x * LEN + torch.arange(LEN)
        z = norm(emb.unsqueeze(1) + pos).reshape(vocab * LEN, d)
        scores = F.embedding(at, z @ query.T).squeeze(-1) / math.sqrt(d)
        attention = torch.softmax(scores, -1)
        sequence = F.embedding_bag(at, z @ value.T, per_sample_weights=attention, mode="sum")
        h = F.gelu(F.linear(norm(sequence), w1, b1))
        out = sequence + F.linear(h, w2, b2)
        return F.cross_entropy(out @ emb.T, y)

    def seeds_loss():
        """Of all seeds, side by side in an axis of their own."""
        x, y = batch_rows()
        emb, pos, query, value, w1, b1, w2, b2 = weights
        z = norm(emb[:, x] + pos.unsqueeze(1))
        scores = z.flatten(1, 2) @ query.transpose(1, 2)
        attention = torch.softmax(scores.reshape(SEEDS, batch, LEN) / math.sqrt(d), -1)
        mixed = (attention.unsqueeze(2) @ z).squeeze(2)
        sequence = torch.bmm(mixed, value.transpose(1, 2))
        h = F.gelu(torch.baddbmm(b1.unsqueeze(1), norm(sequence), w1.transpose(1, 2)))
        out = sequence + torch.baddbmm(b2.unsqueeze(1), h, w2.transpose(1, 2))
        logits = torch.bmm(out, emb.transpose(1, 2))
        # The sum over seeds of the means over the batch: each has the gradient of its own loss.
        y = y.expand(SEEDS, batch).reshape(-1)
        return F.cross_entropy(logits.reshape(-1, vocab), y, reduction="sum") / batch

    half = max(CHECKED, ROWS // batch)
    if name == "seeds":
        weights = [w.detach().expand(SEEDS, *w.shape).clone().requires_grad_() for w in weights]
        check, run, gradient = training(weights, seeds_loss, half)
        return [c / SEEDS for c in check], run, gradient
    return training(weights, table_loss if name == "full" else loss, half)


DECODER = dict(vocab=256, context=64, layers=2, d=128, heads=4, f=512, tied=False, batch=16, seq=64)
GPT2 = dict(vocab=50257, context=1024, layers=12, d=768, heads=12, f=3072, tied=True, batch=1)


class Decoder:
    def __init__(self, vocab, context, layers, d, heads, f, tied, batch, seq):
        shapes = [("embed.W_E", (vocab, d)), ("pos_embed.W_pos", (context, d))]
        for _ in range(layers):
            shapes += [
                ("ln1.w", (d,)), ("ln1.b", (d,)), ("W_QKV", (d, 3 * d)), ("b_QKV", (3 * d,)),
                ("W_O", (d, d)), ("b_O", (d,)), ("ln2.w", (d,)), ("ln2.b", (d,)),
                ("W_in", (d, f)), ("b_in", (f,)), ("W_out", (f, d)), ("b_out", (d,)),
            ]
        shapes += [("ln_final.w", (d,)), ("ln_final.b", (d,))]
        shapes += [] if tied else [("unembed.W_U", (vocab, d))]
        self.weights = init(shapes)
        self.layers, self.d, self.heads, self.tied = layers, d, heads, tied
        self.batch, self.seq, self.vocab = batch, seq, vocab
        both = ids(1, batch * (seq + 1), vocab).reshape(batch, seq + 1)
        self.tokens, self.targets = both[:, :-1].contiguous(), both[:, 1:].reshape(-1)

    def attention(self, qkv):
        b, t, d, heads = self.batch, self.seq, self.d, self.heads
        q, k, v = (x.view(b, t, heads, d // heads).transpose(1, 2) for x in qkv.split(d, -1))
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return z.transpose(1, 2).reshape(b * t, d)

    def logits(self):
        """[B T, V]; products are `x W + b`."""
        b, t, d = self.batch, self.seq, self.d
        w = iter(self.weights)
        w_e, w_pos = next(w), next(w)
        x = (F.embedding(self.tokens, w_e) + w_pos[:t]).reshape(b * t, d)
        for _ in range(self.layers):
            h = F.layer_norm(x, (d,), next(w), next(w), 1e-5)
            w_qkv, b_qkv, w_o, b_o = next(w), next(w), next(w), next(w)
            z = self.attention(torch.addmm(b_qkv, h, w_qkv).view(b, t, 3 * d))
            x = x + torch.addmm(b_o, z, w_o)
            h = F.layer_norm(x, (d,), next(w), next(w), 1e-5)
            w_in, b_in, w_out, b_out = next(w), next(w), next(w), next(w)
            h = F.gelu(torch.addmm(b_in, h, w_in), approximate="tanh")
            x = x + torch.addmm(b_out, h, w_out)
        x = F.layer_norm(x, (d,), next(w), next(w), 1e-5)
        return F.linear(x, w_e if self.tied else next(w))

    def loss(self):
        return F.cross_entropy(self.logits(), self.targets)


def decoder(_):
    model = Decoder(**DECODER)
    return training(model.weights, model.loss, CHECKED)


def gpt2_forward(_):
    model = Decoder(**GPT2, seq=15)
    with torch.no_grad():
        all = model.logits().reshape(-1)
    return [float(all.double().abs().sum()), float(all[0]), float(all[-1])], model.logits, False


def gpt2_step(_):
    model = Decoder(**GPT2, seq=64)

    def run():
        for w in model.weights:
            w.grad = None
        value = model.loss()
        value.backward()
        return value

    value = run()
    sizes = [float(model.weights[i].grad.double().abs().sum()) for i in (0, 4)]
    return [float(value.detach()), *sizes], run, True


WORKS = {
    **{f"gemm-{sizes}": products for sizes in (
        "64x64x64-nn", "128x128x128-nn", "256x256x256-nn", "512x512x512-nn", "512x512x512-nt",
        "512x512x512-tn", "1024x1024x1024-nn", "2048x2048x2048-nn", "256x768x768-nn",
        "256x3072x768-nn", "256x768x3072-nn", "256x50257x768-nn", "256x50257x768-nt",
        "2048x512x128-nn", "12x12x2-nn", "32x32x2-nn", "1024x32x2-nn", "15x768x768-nn",
    )},
    **{f"rows-{m}-{way}-{order}": all_weights
       for m in FEW for way in ("forward", "reverse") for order in ("kn", "nk")},
    **dict.fromkeys(("exp", "softmax", "layer-norm", "gelu"), rows),
    **dict.fromkeys(("softmax-grad", "layer-norm-grad", "gelu-grad"), rows),
    "plane": pooled, "seeds": pooled, "full": pooled, "decoder": decoder,
    "gpt2-forward": gpt2_forward, "gpt2-step": gpt2_step,
}


def measure(run, seconds):
    """As crates/harness does it: the median seconds of one run, and how many were timed."""
    clock = time.perf_counter
    start, warm = clock(), 0
    while warm < 2 or clock() - start < seconds / 4:
        run()
        warm += 1
    batch = max(1, math.ceil(20e-6 / ((clock() - start) / warm)))
    times, start = [], clock()
    while len(times) < 3 or clock() - start < seconds:
        before = clock()
        for _ in range(batch):
            run()
        times.append((clock() - before) / batch)
    return sorted(times)[len(times) // 2], len(times) * batch


def main():
    match sys.argv[1:]:
        case ["list"]:
            print("\n".join(WORKS))
        case ["version"]:
            print(torch.__version__)
        case [work, threads, seconds] if work in WORKS:
            torch.set_num_threads(int(threads))
            check, run, gradient = WORKS[work](work)
            with torch.inference_mode(not gradient):
                median, runs = measure(run, float(seconds))
            print(json.dumps(dict(work=work, seconds_median=median, runs=runs, check=check)))
        case _:
            sys.exit("error: usage: torch_peer.py list | version | WORK THREADS SECONDS")


if __name__ == "__main__":
    main()
