"""The tape: values and gradients of one's own programs."""

import tracemalloc

import numpy as np
import pytest

import edgegrad

RANDOM = np.random.default_rng(7)
X, W, B = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=(3, 4)), RANDOM.normal(size=4)
LABELS = [0, 3, 1, 1, 2]


def program(x=X):
    tape = edgegrad.Tape()
    leaves = tape.leaf(x, "x"), tape.leaf(W, "w"), tape.leaf(B, "b")
    x, w, b = leaves
    return leaves, ((x @ w + b).tanh() * 2.0 - 1.0).cross_entropy(LABELS).mean()


def by_hand(x=X):
    h = np.tanh(x @ W + B)
    logits = 2 * h - 1
    exps = np.exp(logits)
    p = exps / exps.sum(-1, keepdims=True)
    loss = -np.log(p[np.arange(5), LABELS]).mean()
    p[np.arange(5), LABELS] -= 1
    inner = p / 5 * 2 * (1 - h**2)
    return loss, [inner @ W.T, x.T @ inner, inner.sum(0)]


def test_gradients_are_those_by_hand():
    leaves, loss = program()
    assert loss.shape == () and leaves[0].shape == (5, 3)
    loss.backward()
    wanted, gradients = by_hand()
    # Sums of a few products of numbers near 1.
    assert abs(loss.value - wanted) < 1e-14
    for leaf, gradient in zip(leaves, gradients):
        assert np.abs(leaf.grad - gradient).max() < 1e-14
        assert not leaf.grad.flags.writeable


def test_a_program_runs_again_with_other_values():
    leaves, loss = program()
    first = loss.value
    leaves[0].set(X[::-1])
    loss.backward()
    wanted, gradients = by_hand(X[::-1])
    assert first != loss.value and abs(loss.value - wanted) < 1e-14
    assert np.abs(leaves[1].grad - gradients[1]).max() < 1e-14
    with pytest.raises(edgegrad.InputError, match="add: the tape has run and records no more"):
        leaves[0] + 1.0


def test_operations_are_numpys():
    tape = edgegrad.Tape()
    x, w = tape.leaf(X), tape.leaf(W)
    table = [
        (1.0 - x, 1.0 - X),
        (-x / 4.0, -X / 4.0),
        (x * x + x, X * X + X),
        (x.relu(), np.maximum(X, 0)),
        (x.silu(), X / (1 + np.exp(-X))),
        (x.softmax(), np.exp(X) / np.exp(X).sum(-1, keepdims=True)),
        (x.sum(axis=0), X.sum(0)),
        (x.mean(), X.mean()),
        (x.reshape([3, 5]).permute([1, 0]), X.reshape(3, 5).T),
        (w.gather([2, 0, 2]), W[[2, 0, 2]]),
        ((x @ w).gelu().sum(), None),
    ]
    for found, wanted in table:
        if wanted is not None:
            assert found.shape == wanted.shape
            assert np.abs(found.value - wanted).max() < 1e-14, found
    weights = RANDOM.normal(size=(5, 3))
    table[2][0].backward(weights)
    assert np.abs(x.grad - weights * (2 * X + 1)).max() < 1e-14


def test_what_does_not_fit_is_refused(capfd):
    tape, other = edgegrad.Tape(), edgegrad.Tape()
    x, w, foreign = tape.leaf(X, "x"), tape.leaf(W, "w"), other.leaf(X, "y")
    for wrong, text in [
        (lambda: x + foreign, "add: `x` and `y` are of two tapes"),
        (lambda: w @ x, "matmul: matmul of "),
        (lambda: x.reshape([4, 4]), "reshape: reshape "),
        (lambda: x.sum(axis=2), "sum: sum of "),
        (lambda: x.gather([5]), "gather: 5 of 5"),
        (lambda: tape.leaf(["a"], "z"), "z: "),
        (lambda: x.backward(), "backward: weights of shape"),
        (lambda: x.grad, "x: has no gradient"),
        (lambda: x.set(W), "x: is no leaf of shape"),
    ]:
        with pytest.raises(edgegrad.InputError) as raised:
            wrong()
        assert str(raised.value).startswith(text), str(raised.value)
    assert capfd.readouterr().err == ""


def test_contiguous_doubles_are_read_in_place():
    big = RANDOM.normal(size=(300, 500))
    tape = edgegrad.Tape()
    x = tape.leaf(big)
    y = x * 2.0
    y.value
    for given, copies in [(big, False), (big.T.copy().T, True), (big.astype("float32"), True)]:
        # NumPy tells it what it allocates, the engine does not.
        tracemalloc.start()
        x.set(given)
        y.backward(given)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (peak >= big.nbytes) == copies
        assert np.array_equal(y.value, 2 * given)
        assert np.array_equal(x.grad, 2 * given)
