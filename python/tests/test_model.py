"""Models: tokens, logits, and weights without files."""

import json

import numpy as np
import pytest
from conftest import read_safetensors

import edgegrad


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_logits_are_those_of_the_command(folder, command, tmp_path, dtype):
    rows = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    (tmp_path / "rows.jsonl").write_text("".join(f"{row}\n" for row in rows))
    out = tmp_path / "out.safetensors"
    command("run", "--model", folder, "--tokens", tmp_path / "rows.jsonl", "--dtype", dtype, "--out", out)
    wanted = read_safetensors(out)["logits"]
    model = edgegrad.Model.load(folder, dtype=dtype)
    logits = model.logits(rows)
    assert logits.dtype == wanted.dtype and logits.shape == wanted.shape
    assert np.array_equal(logits, wanted)
    assert np.array_equal(model.logits(np.array(rows)), wanted)
    assert np.array_equal(model.logits(rows[1]), wanted[1])


def test_sequences_of_several_lengths_are_a_list(model):
    rows = [[1, 2, 3], [4], [5, 6, 7]]
    found = model.logits(rows)
    assert [one.shape[0] for one in found] == [3, 1, 3]
    for one, row in zip(found, rows):
        assert np.array_equal(one, model.logits(row))


def test_tokens_outside_of_the_vocabulary_are_refused(model):
    with pytest.raises(edgegrad.InputError, match=r"tokens\[1\]: id 1000000 is outside"):
        model.logits([[1], [1000000]])
    with pytest.raises(edgegrad.InputError, match=r"tokens\[0\]: is no sequence"):
        model.logits([["a", 2]])


@pytest.mark.parametrize("layout", ["C", "F"])
def test_a_state_dict_makes_the_same_model(folder, model, layout):
    weights = read_safetensors(folder / "model.safetensors")
    weights = {name: np.asarray(value, order=layout) for name, value in weights.items()}
    config = json.loads((folder / "config.json").read_text())
    made = edgegrad.Model.from_state_dict(weights, config)
    assert made.path is None and made.vocab == model.vocab
    assert np.array_equal(made.logits([1, 2, 3]), model.logits([1, 2, 3]))
    with pytest.raises(edgegrad.InputError, match="has no tokenizer"):
        made.tokenize("a text")
    name, value = weights.popitem()
    with pytest.raises(edgegrad.InputError, match=name):
        edgegrad.Model.from_state_dict(weights, config)


def test_tokens_are_those_of_the_command(fixtures, command, tmp_path):
    # Any model that has a tokenizer: its folder needs no weights for that.
    folder = fixtures / "tokens/gpt2-like"
    text = "When Mary and John went home"
    (tmp_path / "texts.jsonl").write_text(json.dumps(text) + "\n")
    command("tokens", "--model", folder, "--text-file", tmp_path / "texts.jsonl", "--out", tmp_path / "ids.jsonl")
    wanted = json.loads((tmp_path / "ids.jsonl").read_text())
    model = whole_model(fixtures, folder, tmp_path)
    assert model.tokenize(text) == wanted
    assert "".join(model.pieces(model.tokenize(text))) == text


def whole_model(fixtures, tokenizer, tmp_path):
    """A model with a tokenizer: the tiny GPT-2 beside one."""
    place = tmp_path / "model"
    place.mkdir()
    for file in ["config.json", "model.safetensors"]:
        (place / file).write_bytes((fixtures / "gpt2-tiny" / file).read_bytes())
    (place / "tokenizer.json").write_bytes((tokenizer / "tokenizer.json").read_bytes())
    return edgegrad.Model.load(place)


def memory_of(array):
    """What owns the memory of an array, and the first array over it."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base, array


def test_arrays_are_the_memory_that_was_computed_in(model):
    rows = [[1, 2, 3, 4], [5, 6, 7, 8]]
    hooks = ["blocks.0.hook_resid_post", "blocks.1.hook_resid_pre", "blocks.0.attn.hook_z"]
    activations = model.activations(rows, hooks)
    for array in [model.logits(rows), model.logits(rows[0]), activations[hooks[1]], activations[hooks[2]]]:
        owner, whole = memory_of(array)
        # Not NumPy's own: the engine's, whose elements begin at a cache line.
        assert type(owner).__name__ == "PySliceContainer" and not whole.flags.owndata
        assert whole.ctypes.data % 64 == 0 and array.ctypes.data == whole.ctypes.data
        assert array.flags.writeable and array.flags.c_contiguous
    # Two hooks of one place: the same elements, in memory of their own.
    assert np.array_equal(activations[hooks[0]], activations[hooks[1]])
    assert not np.shares_memory(activations[hooks[0]], activations[hooks[1]])
    first, _, third = model.logits([[1, 2, 3], [4], [5, 6, 7]])
    assert memory_of(first)[1] is memory_of(third)[1]
