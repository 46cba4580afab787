"""Trains and studies transformers whose every edge carries a mask, on the CPU.

    import edgegrad

    model = edgegrad.Model.load("gpt2")
    pairs = edgegrad.Pairs.generate("ioi", model, n=100)
    scores = edgegrad.attribute(model, pairs, method="eap-ig")
    scores.to_pandas()
    circuit = edgegrad.discover(model, pairs, scores=scores, faithfulness=0.9)
    edgegrad.evaluate(model, pairs, circuit)

Functions and their arguments are those of the command `edgegrad`, and so are the numbers.
"""

from ._edgegrad import (
    Circuit,
    Error,
    FailedError,
    InputError,
    Interactions,
    Model,
    Pairs,
    Report,
    Scores,
    Tape,
    Var,
    __version__,
    attribute,
    discover,
    evaluate,
    interactions,
    report,
    train,
    tune,
)

__all__ = [
    "Circuit",
    "Error",
    "FailedError",
    "InputError",
    "Interactions",
    "Model",
    "Pairs",
    "Report",
    "Scores",
    "Tape",
    "Var",
    "__version__",
    "attribute",
    "discover",
    "evaluate",
    "interactions",
    "report",
    "train",
    "tune",
]
