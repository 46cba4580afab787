"""Circuits: to the last bit those of the command, as objects, as files, as a page."""

import json

import numpy as np
import pytest

import edgegrad

# Arguments of the function, and of the command.
ASKED = [
    ({"edges": 20, "connected": True}, ["--edges", "20", "--connected"]),
    (
        {"method": "greedy", "faithfulness": 0.8, "attribution": "eap-ig"},
        ["--method", "greedy", "--faithfulness", "0.8", "--attribution", "eap-ig"],
    ),
    ({"method": "heaviest", "edges": 12, "rank": "signed"}, ["--method", "heaviest", "--edges", "12", "--rank", "signed"]),
    ({"method": "threshold", "tau": 0.01, "convention": "eap-ig"}, ["--method", "threshold", "--tau", "0.01", "--convention", "eap-ig"]),
    ({"method": "edge-pruning", "edges": 30, "steps": 5}, ["--method", "edge-pruning", "--edges", "30", "--steps", "5"]),
]


@pytest.mark.parametrize(("arguments", "options"), ASKED)
def test_files_are_those_of_the_command(folder, model, pairs, command, tmp_path, arguments, options):
    theirs, ours = tmp_path / "theirs.json", tmp_path / "ours.json"
    command("discover", "--model", folder, "--pairs", folder / "pairs.jsonl", *options, "--out", theirs)
    circuit = edgegrad.discover(model, pairs, **arguments)
    circuit.save(ours)
    assert ours.read_bytes() == theirs.read_bytes()
    edges = json.loads(theirs.read_text())["edges"]
    assert {name for name, edge in edges.items() if edge["in_graph"]} == set(circuit.edges)
    assert len(circuit) == len(circuit.edges) == circuit.mask.sum()


def test_a_known_circuit_is_found(fixtures, tmp_path):
    folder = fixtures / "tracr/sort"
    model = edgegrad.Model.load(folder)
    pairs = edgegrad.Pairs.read(folder / "pairs.jsonl", model)
    circuit = edgegrad.discover(model, pairs, method="acdc", metric="l2", tau=1e-6)
    truth = edgegrad.Circuit.read(folder / "circuit.json", model)
    assert set(circuit.edges) == set(truth.edges)
    assert circuit.edges[0] in circuit and len(circuit) < len(circuit.names)
    # Nothing is lost by it.
    assert np.abs(circuit.run(model, pairs, metric="l2")).max() < 1e-6
    path = tmp_path / "circuit.json"
    circuit.save(path)
    assert np.array_equal(edgegrad.Circuit.read(path, model).mask, circuit.mask)
    page = edgegrad.report([path], tmp_path / "page.html")
    assert (tmp_path / "page.html").exists() and page._repr_html_().startswith("<iframe")


def test_circuits_go_to_circuit_tracer_and_come_back(folder, model, pairs, command, tmp_path):
    circuit = edgegrad.discover(model, pairs, edges=30, positions=True, out=tmp_path / "circuit.json")
    circuit.export(tmp_path / "circuit.graph")
    command("export", tmp_path / "circuit.json", "--format", "attribution-graph", "--out", tmp_path / "theirs.json")
    ours = json.loads((tmp_path / "circuit.graph").read_text())
    assert ours == json.loads((tmp_path / "theirs.json").read_text())
    back = edgegrad.Circuit.read(tmp_path / "circuit.graph", model, positions=len(pairs[0]["clean"]))
    assert np.array_equal(back.mask, circuit.mask)
    circuit.export(tmp_path / "few.dot", "dot", edges=3)
    assert (tmp_path / "few.dot").read_text().count("->") == 3
    with pytest.raises(edgegrad.InputError, match="format: `gml` is unknown"):
        circuit.export(tmp_path / "a", "gml")


def test_figures_are_those_of_the_command(folder, model, pairs, command, tmp_path):
    circuit = edgegrad.discover(model, pairs, edges=12, out=tmp_path / "circuit.json")
    options = ["--circuit", tmp_path / "circuit.json", "--null", "5", "--seed", "2", "--out", tmp_path / "eval.json"]
    command("evaluate", "--model", folder, "--pairs", folder / "pairs.jsonl", *options)
    wanted = json.loads((tmp_path / "eval.json").read_text())
    found = edgegrad.evaluate(model, pairs, circuit, null=5, seed=2)
    assert found == {key: wanted[key] for key in found}
    assert {"faithfulness", "minimality", "null", "per_pair"} <= found.keys()
    assert np.array_equal(circuit.run(model, pairs), found["per_pair"]["circuit"])


def test_the_adversary_is_that_of_the_command(folder, model, pairs, command, tmp_path):
    circuit = edgegrad.discover(model, pairs, edges=20, out=tmp_path / "circuit.json")
    held_out = edgegrad.Pairs.read(folder / "pairs.jsonl", model, limit=2)
    held_out.save(tmp_path / "held-out.jsonl")
    shared = ["--model", folder, "--pairs", folder / "pairs.jsonl", "--circuit", tmp_path / "circuit.json"]
    options = ["--adversary", "--starts", "3", "--held-out", tmp_path / "held-out.jsonl", "--seed", "2"]
    command("evaluate", *shared, *options, "--out", tmp_path / "theirs.json")
    found = edgegrad.evaluate(
        model, pairs, circuit, adversary=True, starts=3, held_out=held_out, seed=2, out=tmp_path / "ours.json"
    )
    assert (tmp_path / "ours.json").read_bytes() == (tmp_path / "theirs.json").read_bytes()
    assert found == json.loads((tmp_path / "theirs.json").read_text())
    assert found["worst"] < found["faithfulness"] and found["worst"] == min(found["adversary"]["ends"])
    assert found["adversary"]["held_out"]["pairs"] == 2
    assert set(found["masks"]) == set(circuit.names) - set(circuit.edges)
    command("evaluate", *shared, "--masks", tmp_path / "theirs.json", "--out", tmp_path / "masked.json")
    again = edgegrad.evaluate(model, pairs, circuit, masks=found["masks"])
    assert again == json.loads((tmp_path / "masked.json").read_text())
    assert abs(again["masked"]["faithfulness"] - found["worst"]) < 1e-6
    scores = edgegrad.attribute(model, pairs)
    for judged, asked, text in [
        (circuit, {"starts": 3}, "starts: is of the adversary's search"),
        (circuit, {"masks": {"input->nowhere": 1.0}}, "masks: has the edge `input->nowhere`"),
        (circuit, {"masks": {circuit.names[0]: 1.5}}, "masks, key `masks.input"),
        (scores, {"adversary": True}, "scores: have curves and are no circuit"),
    ]:
        with pytest.raises(edgegrad.InputError) as raised:
            edgegrad.evaluate(model, pairs, judged, **asked)
        assert str(raised.value).startswith(text), str(raised.value)


def test_what_the_command_warns_of_is_a_warning(model, pairs, tmp_path):
    circuit = edgegrad.discover(model, pairs, edges=20, connected=True)
    circuit.save(tmp_path / "circuit.json")
    with pytest.warns(UserWarning, match="edges are on no path from the input to the logits"):
        loose = edgegrad.discover(model, pairs, edges=3)
    with pytest.warns(UserWarning, match="3 edges are on no path"):
        edgegrad.evaluate(model, pairs, loose)
    file = json.loads((tmp_path / "circuit.json").read_text())
    file["meta"]["model"] = "0" * 64
    (tmp_path / "other.json").write_text(json.dumps(file))
    with pytest.warns(UserWarning, match="other.json: is of another model than .*gpt2-tiny"):
        edgegrad.Circuit.read(tmp_path / "other.json", model)


def test_tests_and_curves_are_those_of_the_command(folder, model, pairs, command, tmp_path):
    circuit = edgegrad.discover(model, pairs, edges=5, out=tmp_path / "circuit.json")
    scores = edgegrad.attribute(model, pairs, out=tmp_path / "scores.json")
    shared = ["evaluate", "--model", folder, "--pairs", folder / "pairs.jsonl", "--seed", "2"]
    for judged, options, asked in [
        (circuit, ["--circuit", tmp_path / "circuit.json", "--tests", "--null", "4"], {"tests": True, "null": 4}),
        (
            scores,
            ["--scores", tmp_path / "scores.json", "--curve", "--fractions", "0.1,0.5", "--bootstrap", "50"],
            {"fractions": [0.1, 0.5], "bootstrap": 50},
        ),
    ]:
        out = tmp_path / "figures.json"
        command(*shared, *options, "--out", out)
        wanted = json.loads(out.read_text())
        found = edgegrad.evaluate(model, pairs, judged, seed=2, **asked)
        assert found == {key: wanted[key] for key in found}
        assert {"tests", "null"} <= found.keys() or {"curve", "cmd", "intervals"} <= found.keys()
    for judged, asked in [(circuit, {"bootstrap": 50}), (scores, {"tests": True}), (scores, {"fractions": [2.0]})]:
        with pytest.raises(edgegrad.InputError):
            edgegrad.evaluate(model, pairs, judged, **asked)


def test_scores_that_are_there_are_taken(model, pairs):
    scores = edgegrad.attribute(model, pairs)
    circuit = edgegrad.discover(model, pairs, scores=scores, edges=15)
    assert set(circuit.edges) == set(scores.top(15))
    assert np.array_equal(circuit.mask, edgegrad.discover(model, pairs, attribution="eap", edges=15).mask)


def test_sizes_are_checked(model, pairs):
    for arguments, text in [
        ({}, "--method topn: needs --edges"),
        ({"edges": 1, "tau": 0.5}, "--method topn: is given two sizes"),
        ({"edges": 10**6}, "--edges: 1000000 of "),
        ({"method": "acdc", "tau": 0.1, "attribution": "eap"}, "scores: are given and not used"),
    ]:
        with pytest.raises(edgegrad.InputError) as raised:
            edgegrad.discover(model, pairs, **arguments)
        assert str(raised.value).startswith(text)
    circuit = edgegrad.discover(model, pairs, edges=3)
    with pytest.raises(edgegrad.InputError, match="is of another graph"):
        circuit.run(model, pairs, split_input=True)
