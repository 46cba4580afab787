"""Training and tuning: the folders of the command."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import edgegrad

CONFIG = {
    "seed": 3,
    "task": {"p": 3, "train": 60, "test": 30},
    "model": {"d_model": 8, "d_mlp": 10},
    "train": {"steps": 40, "eval_every": 20, "batch": 16},
}
TOML = """
seed = 3
[task]
p = 3
train = 60
test = 30
[model]
d_model = 8
d_mlp = 10
[train]
steps = 40
eval_every = 20
batch = 16
"""


def content(folder):
    """The files of a folder by their place in it."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("as_dict", [True, False])
def test_runs_are_those_of_the_command(command, tmp_path, as_dict):
    (tmp_path / "a.toml").write_text(TOML)
    sets = ["--set", "train.lr=0.02", "--set", "train.optimizer=sgd"]
    command("train", tmp_path / "a.toml", "--seeds", "2", *sets, "--out", tmp_path / "theirs")
    config = CONFIG if as_dict else tmp_path / "a.toml"
    changes = {"train.lr": 0.02, "train.optimizer": "sgd"}
    runs = edgegrad.train(config, tmp_path / "ours", changes=changes, seeds=2)
    theirs = content(tmp_path / "theirs")
    assert len(theirs) > 4 and content(tmp_path / "ours") == theirs
    assert [run["seed"] for run in runs] == [3, 4]
    assert [run["folder"].name for run in runs] == ["seed-03", "seed-04"]
    lines = (tmp_path / "ours/seed-04/metrics.jsonl").read_text().splitlines()
    last = [line for line in map(json.loads, lines) if line["kind"] == "eval"][-1]
    assert all(runs[1][key] == last[key] for key in ["step", "train_loss", "test_accuracy"])
    again = edgegrad.train(config, tmp_path / "ours", changes=changes, seeds=2, resume=True)
    assert [run["step"] for run in again] == [None, None]


def test_runs_are_checked(tmp_path):
    for config, changes, text in [
        ({"task": {"q": 3}}, {}, "config: task.q: unknown key"),
        (CONFIG, {"train.lr": "fast"}, "config: --set train.lr: "),
        ({"name": None}, {}, "config: "),
    ]:
        with pytest.raises(edgegrad.InputError) as raised:
            edgegrad.train(config, tmp_path / "run", changes=changes)
        assert str(raised.value).startswith(text)
    edgegrad.train(CONFIG, tmp_path / "run")
    with pytest.raises(edgegrad.InputError, match="holds a run already"):
        edgegrad.train(CONFIG, tmp_path / "run")


LONG = f"""
import signal, sys
import edgegrad
signal.signal(signal.SIGINT, signal.default_int_handler)
config = {CONFIG!r}
print("begun", flush=True)
try:
    edgegrad.train(config, sys.argv[1], changes={{"train.steps": 10**8}})
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_a_training_after_a_checkpoint(tmp_path):
    command = [sys.executable, "-c", LONG, tmp_path / "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        time.sleep(1.0)
        os.kill(process.pid, signal.SIGINT)
        try:
            told, shown = process.communicate(timeout=60)
        finally:
            process.kill()
    assert told == "stopped\n" and "train" in shown
    assert list((tmp_path / "run/checkpoints").iterdir())


@pytest.fixture(scope="module")
def files(folder, tmp_path_factory):
    """Pairs to learn from, and others to be judged by."""
    place = tmp_path_factory.mktemp("pairs")
    lines = (folder / "pairs.jsonl").read_text().splitlines(keepends=True)
    (place / "train.jsonl").write_text("".join(lines[:5]))
    (place / "dev.jsonl").write_text("".join(lines[5:]))
    return place / "train.jsonl", place / "dev.jsonl"


def test_tuned_models_are_those_of_the_command(folder, model, files, command, tmp_path):
    pairs, dev = files
    options = ["--method", "static", "--edges", "20", "--steps", "3", "--set", "batch=2", "--seed", "1"]
    theirs = tmp_path / "theirs"
    command("tune", "--model", folder, "--pairs", pairs, "--dev", dev, *options, "--out", theirs)
    asked = {"method": "static", "edges": 20, "steps": 3, "changes": {"batch": 2}, "seed": 1}
    [report] = edgegrad.tune(model, tmp_path / "ours", pairs=pairs, dev=dev, **asked)
    for name in ["model.safetensors", "circuit.json", "circuit-first.json", "changes.json"]:
        assert (tmp_path / "ours" / name).read_bytes() == (theirs / name).read_bytes(), name
    wanted = json.loads((theirs / "report.json").read_text())
    assert report["path"] == wanted["path"] and report["folder"] == tmp_path / "ours"
    # Pairs that are read say what was tuned on by a hash of their own.
    read = [edgegrad.Pairs.read(path, model) for path in files]
    [again] = edgegrad.tune(model, tmp_path / "read", pairs=read[0], dev=read[1], **asked)
    assert again["path"] == report["path"]
    weights = [tmp_path / folder / "model.safetensors" for folder in ["ours", "read"]]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    tuned = edgegrad.Model.load(report["folder"])
    assert not (tuned.logits([1, 2, 3]) == model.logits([1, 2, 3])).all()


def test_what_is_tuned_for_is_checked(fixtures, model, files, tmp_path):
    pairs, dev = files
    row = {"clean": [1, 2], "corrupted": [1, 3], "answer": 4, "distractor": 5}
    other = edgegrad.Pairs.from_text([row], edgegrad.Model.load(fixtures / "llama-tiny"))
    for arguments, text in [
        ({"pairs": pairs}, "dev: is missing beside `pairs`"),
        ({"task": "E1"}, f"{model.path}: 50 tokens and a context of"),
        ({"pairs": pairs, "dev": dev, "lr": -1.0}, "settings: --lr: "),
        ({"pairs": other, "dev": dev}, "pairs: were read for a model of another vocabulary"),
    ]:
        with pytest.raises(edgegrad.InputError) as raised:
            edgegrad.tune(model, tmp_path / "out", **arguments)
        assert str(raised.value).startswith(text), str(raised.value)


def test_warnings_are_those_of_python(model, files, tmp_path):
    """Of a dev pair with the tokens of a training pair in another order."""
    pairs, dev = files
    row = json.loads(pairs.read_text().splitlines()[0])
    row["clean"][0:2] = row["clean"][1::-1]
    near = tmp_path / "near.jsonl"
    near.write_text(dev.read_text() + json.dumps(row) + "\n")
    with pytest.warns(UserWarning, match="pairs have the tokens of a training pair in another order"):
        edgegrad.tune(model, tmp_path / "out", pairs=pairs, dev=near, method="full", steps=1)
