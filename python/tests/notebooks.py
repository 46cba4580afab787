"""Runs notebooks without Jupyter: cells in one namespace, what they print, and what they end with.

    python python/tests/notebooks.py examples/notebooks/circuit.ipynb

writes the outputs into the notebook; the tests compare them. The scalar kernels compute, whose
bits are the same on every processor.
"""

import ast
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("EDGEGRAD_SIMD", "scalar")


def lines(text):
    """A text as notebooks have it."""
    return text.splitlines(keepends=True)


def run(source, names, count):
    """The outputs of a cell."""
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    outputs = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": lines(printed.getvalue())})
    if value is not None:
        data = {"text/plain": lines(repr(value))}
        outputs.append(
            {"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"}
        )
    return outputs


def executed(path):
    """The notebook with outputs, run in an empty folder with the repository's root in `ROOT`."""
    notebook = json.loads(path.read_text())
    names, count = {}, 0
    os.environ["EDGEGRAD_ROOT"] = str(Path(__file__).resolve().parents[2])
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            for cell in notebook["cells"]:
                if cell["cell_type"] == "code":
                    count += 1
                    cell["execution_count"] = count
                    cell["outputs"] = run("".join(cell["source"]), names, count)
        finally:
            os.chdir(before)
    return notebook


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(json.dumps(executed(path), indent=1, ensure_ascii=False) + "\n")
