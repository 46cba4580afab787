"""Scores: to the last bit those of the command, as arrays, as frames, as files."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import edgegrad

# Arguments of the function, and of the command.
ASKED = [
    ({}, []),
    ({"method": "eap-ig", "steps": 3, "metric": "kl"}, ["--method", "eap-ig", "--steps", "3", "--metric", "kl"]),
    ({"method": "clean-corrupted", "baseline": "mean"}, ["--method", "clean-corrupted", "--baseline", "mean"]),
    (
        {"method": "eap", "convention": "eap-ig", "rules": "relp", "bootstrap": 50, "seed": 3},
        ["--convention", "eap-ig", "--rules", "relp", "--bootstrap", "50", "--seed", "3"],
    ),
    ({"method": "random", "seed": 7, "split_input": True}, ["--method", "random", "--seed", "7", "--split-input"]),
    ({"positions": True, "joined_qkv": True, "rows": 64}, ["--positions", "--joined-qkv", "--rows", "64"]),
]


@pytest.mark.parametrize(("arguments", "options"), ASKED)
def test_files_are_those_of_the_command(folder, model, pairs, command, tmp_path, arguments, options):
    theirs, ours = tmp_path / "theirs.json", tmp_path / "ours.json"
    command("attribute", "--model", folder, "--pairs", folder / "pairs.jsonl", *options, "--out", theirs)
    scores = edgegrad.attribute(model, pairs, **arguments)
    scores.save(ours)
    assert ours.read_bytes() == theirs.read_bytes()
    edges = json.loads(theirs.read_text())["edges"]
    assert len(scores) == len(edges) == len(scores.names)
    for name, value in zip(scores.names, scores.values):
        assert edges[name]["score"] == value == scores[name]


def test_scores_are_a_sequence(model, pairs):
    scores = edgegrad.attribute(model, pairs)
    assert list(scores) == scores.values.tolist()
    assert scores[-1] == scores[len(scores) - 1] == scores.values[-1]
    with pytest.raises(IndexError):
        scores[len(scores)]
    assert scores.names[int(np.argmax(np.abs(scores.values)))] == scores.top(1)[0]
    with pytest.raises(ValueError):
        scores.values[0] = 1.0
    assert scores.meta["method"] == "eap" and scores.convention == "ours"
    found = scores.completeness
    assert found["sum"] == pytest.approx(scores.values.sum(), rel=1e-12)
    assert found["residual"] == found["sum"] - found["delta"]


def test_scores_are_a_data_frame(model, pairs):
    pandas = pytest.importorskip("pandas")
    frame = edgegrad.attribute(model, pairs, bootstrap=20).to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame) == ["edge", "score", "from", "to", "same_sign"]
    assert (frame["from"] <= frame["score"]).all() and (frame["score"] <= frame["to"]).all()


def test_files_are_read_back(model, pairs, folder, tmp_path):
    scores = edgegrad.attribute(model, pairs, convention="eap-ig", out=tmp_path / "scores.json")
    again = edgegrad.Scores.read(tmp_path / "scores.json", model)
    assert np.array_equal(again.values, scores.values) and again.convention == "eap-ig"
    assert again.meta["pairs"] == len(pairs)
    # EAP-IG's own.
    theirs = edgegrad.Scores.read(folder / "EAP.json", model, convention="eap-ig")
    assert len(theirs) == len(scores)


def test_some_edges_are_scored_alone(model, pairs):
    every = edgegrad.attribute(model, pairs, method="exact")
    chosen = [every.names[4], 9]
    some = edgegrad.attribute(model, pairs, method="exact", edges=chosen)
    assert [some[e] for e in chosen] == [every[e] for e in chosen]
    assert np.isnan(some.values).sum() == len(every) - 2


def test_pairs_are_dicts(model, pairs, tmp_path):
    again = edgegrad.Pairs.from_text([pairs[i] for i in range(len(pairs))], model)
    assert [again[i] for i in range(len(again))] == [pairs[i] for i in range(len(pairs))]
    pairs.save(tmp_path / "pairs.jsonl")
    read = edgegrad.Pairs.read(tmp_path / "pairs.jsonl", model, limit=2)
    assert len(read) == 2 and read[1] == pairs[1]
    assert np.array_equal(edgegrad.attribute(model, again).values, edgegrad.attribute(model, pairs).values)


def test_spans_have_edges_of_their_own(model, pairs, folder, command, tmp_path):
    rows = [{**pairs[i], "spans": {"first": [0, 1], "end": -1}} for i in range(len(pairs))]
    named = edgegrad.Pairs.from_text(rows, model)
    assert named[0]["spans"] == {"first": [0, 1], "end": [len(rows[0]["clean"]) - 1]}
    named.save(tmp_path / "pairs.jsonl")
    theirs, ours = tmp_path / "theirs.json", tmp_path / "ours.json"
    command("attribute", "--model", folder, "--pairs", tmp_path / "pairs.jsonl", "--spans", "--out", theirs)
    edgegrad.attribute(model, named, spans=True, out=ours)
    assert ours.read_bytes() == theirs.read_bytes()


def test_other_threads_run_meanwhile(model, pairs):
    stop, count = threading.Event(), [0]

    def tick():
        while not stop.is_set():
            count[0] += 1
            time.sleep(0.001)

    ticking = threading.Thread(target=tick)
    ticking.start()
    edgegrad.attribute(model, pairs, method="exact")
    stop.set()
    ticking.join()
    assert count[0] > 3


LONG = """
import signal, sys, edgegrad
# Ignored where a shell has put the tests into the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
model = edgegrad.Model.load(sys.argv[1])
pairs = edgegrad.Pairs.read(sys.argv[1] + "/pairs.jsonl", model)
print("begun", flush=True)
try:
    edgegrad.attribute(model, pairs, method=sys.argv[3], steps=int(sys.argv[4]), out=sys.argv[2])
except KeyboardInterrupt as e:
    print("stopped", *getattr(e, "__notes__", []), flush=True)
    # What comes after is not asked to stop.
    edgegrad.attribute(model, pairs)
    print("after", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("method", "steps"), [("ugs", 10**6), ("shapley", 1000)])
def test_ctrl_c_stops_what_is_long_and_keeps_what_is_done(folder, tmp_path, method, steps):
    out = tmp_path / "scores.json"
    with subprocess.Popen(
        [sys.executable, "-c", LONG, str(folder), str(out), method, str(steps)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "begun\n"
        time.sleep(1.0)
        os.kill(process.pid, signal.SIGINT)
        try:
            told, shown = process.communicate(timeout=60)
        finally:
            process.kill()
    assert told.startswith("stopped") and told.endswith("after\n")
    assert not out.exists()
    # The bar.
    assert method in shown
