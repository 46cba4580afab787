"""What the tests share: files of tensors, the models of the crate's tests, and the command to compare with."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import edgegrad

ROOT = Path(__file__).resolve().parents[2]
COMMAND = os.environ.get("EDGEGRAD_COMMAND", str(ROOT / "target/debug/edgegrad"))


def read_safetensors(path):
    """The tensors of a file: a length, a header, and bytes."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    kinds = {"F32": "<f4", "F64": "<f8"}

    def tensor(entry):
        start, end = (8 + length + n for n in entry["data_offsets"])
        return np.frombuffer(data[start:end], kinds[entry["dtype"]]).reshape(entry["shape"])

    return {name: tensor(entry) for name, entry in header.items() if name != "__metadata__"}


@pytest.fixture(scope="session")
def fixtures():
    return ROOT / "tests/fixtures"


@pytest.fixture(scope="session")
def folder(fixtures):
    return fixtures / "gpt2-tiny"


@pytest.fixture(scope="session")
def model(folder):
    return edgegrad.Model.load(folder)


@pytest.fixture(scope="session")
def pairs(folder, model):
    return edgegrad.Pairs.read(folder / "pairs.jsonl", model)


@pytest.fixture(scope="session")
def command():
    """Runs the command, and fails with what it says."""

    def run(*arguments):
        done = subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
