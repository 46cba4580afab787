"""Errors are exceptions with the two lines of the command."""

import subprocess

import pytest
from conftest import COMMAND

import edgegrad


def test_bad_input_has_the_lines_of_the_command(tmp_path):
    missing = tmp_path / "missing"
    with pytest.raises(edgegrad.InputError) as raised:
        edgegrad.Model.load(missing)
    error = raised.value
    told = subprocess.run([COMMAND, "run", "--model", missing, "--text", "a"], capture_output=True, text=True)
    assert told.stderr == f"error: {error}\n"
    first, second = str(error).split("\n")
    assert (first, second) == (f"{error.place}: {error.message}", f"help: {error.help}")
    assert isinstance(error, ValueError) and isinstance(error, edgegrad.Error)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"method": "eap-gi"}, "method: `eap-gi` is unknown\nhelp: did you mean `eap-ig`?"),
        ({"metod": "eap"}, "metod: is no argument of this function\nhelp: did you mean `method`?"),
        ({"steps": 0}, "steps: must be at least 1, got 0\nhelp: "),
        ({"positions": 3}, "positions: "),
        ({"sizes": "log"}, "--sizes: `eap` learns no ranking\nhelp: "),
        ({"edges": ["input->logits"]}, "edges: `eap` scores all edges at once\nhelp: "),
        ({"method": "exact", "edges": ["input->m9"]}, "input->m9: is no edge of this graph\nhelp: "),
        ({"resume": True}, "resume: needs `out`\nhelp: "),
    ],
)
def test_arguments_are_checked(model, pairs, arguments, text):
    with pytest.raises(edgegrad.InputError) as raised:
        edgegrad.attribute(model, pairs, **arguments)
    assert str(raised.value).startswith(text)


def test_pairs_of_another_model_are_refused(fixtures, pairs):
    other = edgegrad.Model.load(fixtures / "llama-tiny")
    with pytest.raises(edgegrad.InputError, match="another vocabulary"):
        edgegrad.attribute(other, pairs)
