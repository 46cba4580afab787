"""Trains and studies transformers whose every edge carries a mask, on the CPU.

    import edgegrad

    model = edgegrad.Model.load("gpt2")
    pairs = edgegrad.Pairs.generate("ioi", model, n=100)
    scores = edgegrad.attribute(model, pairs, method="eap-ig")
    scores.to_pandas()

Functions and their arguments are those of the command `edgegrad`, and so are the numbers.
"""

from ._edgegrad import (
    Error,
    FailedError,
    InputError,
    Model,
    Pairs,
    Scores,
    __version__,
    attribute,
)

__all__ = [
    "Error",
    "FailedError",
    "InputError",
    "Model",
    "Pairs",
    "Scores",
    "__version__",
    "attribute",
]
