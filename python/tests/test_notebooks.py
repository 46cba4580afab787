"""The notebooks run, and say what they have stored."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

NOTEBOOKS = ROOT / "examples/notebooks"
MODEL = ROOT.parent / "shared/models/glassllm-en"
RUN = "import json, sys, pathlib, notebooks; print(json.dumps(notebooks.executed(pathlib.Path(sys.argv[1]))))"


def executed(name, **settings):
    """The cells of a notebook as they are stored, and as they are when it is run now."""
    # In a process of its own: which kernels compute is decided once.
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", RUN, str(NOTEBOOKS / name)]
    environment = {**os.environ, "PYTHONPATH": path, **settings}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    stored = json.loads((NOTEBOOKS / name).read_text())
    return stored["cells"], json.loads(done.stdout)["cells"]


@pytest.mark.skipif(not MODEL.exists(), reason="its model is not beside the checkout")
def test_the_circuit_is_the_one_that_is_stored():
    stored, found = executed("circuit.ipynb")
    for found, stored in zip(found, stored, strict=True):
        assert found == stored


def form(cell):
    """The kinds of a cell's outputs, and how many lines they have."""
    return [(output["output_type"], len(output.get("text", ""))) for output in cell.get("outputs", [])]


def test_the_curriculum_runs():
    """Two seeds and a few steps, as the wheel of the tests is not optimised; so its figures are others."""
    stored, found = executed("curriculum.ipynb", EDGEGRAD_FEW="1")
    assert [form(cell) for cell in found] == [form(cell) for cell in stored]
