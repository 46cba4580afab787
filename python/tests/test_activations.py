"""Activations: those of GPT-2 written with NumPy, in TransformerLens' names and shapes."""

import numpy as np
import pytest
from conftest import read_safetensors

import edgegrad

ROWS = np.array([[1, 2, 3, 4, 5], [9, 8, 7, 6, 5]])
HEADS = 4


def gpt2(weights, tokens):
    """The activations of GPT-2 by the names of hooks: its equations, in doubles."""
    weights = {k.removeprefix("transformer."): v.astype("f8") for k, v in weights.items()}
    of = {}

    def norm(x, place):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
        return x * weights[f"{place}.weight"] + weights[f"{place}.bias"]

    def linear(x, place):
        return x @ weights[f"{place}.weight"] + weights[f"{place}.bias"]

    batch, length = tokens.shape
    of["hook_embed"] = weights["wte.weight"][tokens]
    of["hook_pos_embed"] = np.broadcast_to(weights["wpe.weight"][:length], (batch, length, 32))
    x = of["hook_embed"] + of["hook_pos_embed"]
    for layer in range(2):
        ours, theirs = f"blocks.{layer}", f"h.{layer}"
        of[f"{ours}.hook_resid_pre"] = x
        of[f"{ours}.ln1.hook_normalized"] = norm(x, f"{theirs}.ln_1")
        qkv = linear(of[f"{ours}.ln1.hook_normalized"], f"{theirs}.attn.c_attn")
        q, k, v = (one.reshape(batch, length, HEADS, -1) for one in np.split(qkv, 3, axis=-1))
        for letter, value in zip("qkv", (q, k, v)):
            of[f"{ours}.attn.hook_{letter}"] = value
        scores = np.einsum("bqhk,bshk->bhqs", q, k) / np.sqrt(q.shape[-1])
        scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
        pattern = np.exp(scores - scores.max(-1, keepdims=True))
        pattern = of[f"{ours}.attn.hook_pattern"] = pattern / pattern.sum(-1, keepdims=True)
        z = of[f"{ours}.attn.hook_z"] = np.einsum("bhqs,bshk->bqhk", pattern, v)
        of[f"{ours}.hook_attn_out"] = linear(z.reshape(batch, length, -1), f"{theirs}.attn.c_proj")
        x = of[f"{ours}.hook_resid_mid"] = x + of[f"{ours}.hook_attn_out"]
        of[f"{ours}.ln2.hook_normalized"] = norm(x, f"{theirs}.ln_2")
        pre = of[f"{ours}.mlp.hook_pre"] = linear(of[f"{ours}.ln2.hook_normalized"], f"{theirs}.mlp.c_fc")
        post = 0.5 * pre * (1 + np.tanh(np.sqrt(2 / np.pi) * (pre + 0.044715 * pre**3)))
        of[f"{ours}.mlp.hook_post"] = post
        of[f"{ours}.hook_mlp_out"] = linear(post, f"{theirs}.mlp.c_proj")
        x = of[f"{ours}.hook_resid_post"] = x + of[f"{ours}.hook_mlp_out"]
    of["ln_final.hook_normalized"] = norm(x, "ln_f")
    return of


def test_activations_are_those_of_gpt2(folder):
    wanted = gpt2(read_safetensors(folder / "model.safetensors"), ROWS)
    model = edgegrad.Model.load(folder, dtype="f64")
    assert set(model.hooks) == set(wanted)
    found = model.activations(ROWS, model.hooks)
    assert list(found) == model.hooks
    for name, value in wanted.items():
        assert found[name].dtype == np.float64 and found[name].shape == value.shape, name
        # Sums of at most 64 products, twice over, of numbers below 100.
        assert np.abs(found[name] - value).max() < 1e-10, name
    one = model.activations(ROWS[1], "blocks.1.attn.hook_z")["blocks.1.attn.hook_z"]
    assert np.array_equal(one[0], found["blocks.1.attn.hook_z"][1])


def test_the_last_activations_give_the_logits(folder, model):
    weights = read_safetensors(folder / "model.safetensors")
    last = model.activations(ROWS, ["ln_final.hook_normalized"])["ln_final.hook_normalized"]
    assert last.dtype == np.float32
    logits = last @ weights["transformer.wte.weight"].T
    assert np.allclose(logits, model.logits(ROWS), rtol=0, atol=1e-4)


def test_hooks_that_are_not_there_are_refused(model):
    with pytest.raises(edgegrad.InputError) as raised:
        model.activations([1, 2], ["blocks.0.attn.hook_x"])
    assert raised.value.place == "blocks.0.attn.hook_x"
    assert raised.value.help.startswith("did you mean `blocks.0.attn.hook_")
    with pytest.raises(edgegrad.InputError, match=r"tokens\[1\]: has 1 tokens"):
        model.activations([[1, 2], [3]], "hook_embed")
    with pytest.raises(edgegrad.InputError, match=r"tokens\[0\]: id 50 is outside"):
        model.activations([50], "hook_embed")
