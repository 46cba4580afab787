"""The notebooks run, and say what they have stored."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

NOTEBOOKS = ROOT / "examples/notebooks"
RUN = "import json, sys, pathlib, notebooks; print(json.dumps(notebooks.executed(pathlib.Path(sys.argv[1]))))"


@pytest.mark.parametrize("name", sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
def test_notebooks_say_what_is_stored(name):
    if name == "circuit.ipynb" and not (ROOT.parent / "shared/models/glassllm-en").exists():
        pytest.skip("its model is not beside the checkout")
    # In a process of its own: which kernels compute is decided once.
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", RUN, str(NOTEBOOKS / name)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wanted = json.loads((NOTEBOOKS / name).read_text())
    for found, stored in zip(json.loads(done.stdout)["cells"], wanted["cells"]):
        assert found == stored
