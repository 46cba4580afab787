"""What the tests share: the models of the crate's tests, and the command to compare with."""

import os
import subprocess
from pathlib import Path

import pytest

import edgegrad

ROOT = Path(__file__).resolve().parents[2]
COMMAND = os.environ.get("EDGEGRAD_COMMAND", str(ROOT / "target/debug/edgegrad"))


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
