"""Interactions of edges: to the last bit those of the command."""

import json

import numpy as np
import pytest

import edgegrad


@pytest.fixture(scope="module")
def few(fixtures):
    """The folder of a model of few edges."""
    return fixtures / "tracr/sort"


@pytest.fixture(scope="module")
def doubles(few):
    return edgegrad.Model.load(few, dtype="f64")


def test_files_are_those_of_the_command(few, doubles, command, tmp_path):
    theirs, ours = tmp_path / "theirs.json", tmp_path / "ours.json"
    pairs = edgegrad.Pairs.read(few / "pairs.jsonl", doubles, limit=2)
    options = ["--rows-of", "3", "--patches", "4", "--threshold", "0.2", "--limit", "2"]
    command("interactions", "--model", few, "--pairs", few / "pairs.jsonl", *options, "--metric", "l2", "--out", theirs)
    found = edgegrad.interactions(doubles, pairs, rows_of=3, patches=4, threshold=0.2, metric="l2", out=ours)
    assert ours.read_bytes() == theirs.read_bytes()
    wanted = json.loads(theirs.read_text())
    assert found.pairs == wanted["pairs"] and len(found.to_pandas()) == 4
    assert found.rows == wanted["rows"] and found.names == wanted["columns"]
    matrix = found.second_derivatives
    assert matrix.shape == (3, len(found.names)) and not matrix.flags.writeable
    assert np.array_equal(matrix, wanted["second_derivatives"])
    # Derivatives by two masks do not depend on their order.
    at = [found.names.index(name) for name in found.rows]
    assert np.allclose(matrix[:, at], matrix[:, at].T, rtol=1e-9, atol=1e-12)


def test_singles_and_thresholds_are_refused(few, doubles, model, pairs):
    with pytest.raises(edgegrad.InputError, match="model: is in f32"):
        edgegrad.interactions(model, pairs)
    with pytest.raises(edgegrad.InputError, match="threshold: must lie between"):
        edgegrad.interactions(doubles, edgegrad.Pairs.read(few / "pairs.jsonl", doubles), threshold=1.0)
