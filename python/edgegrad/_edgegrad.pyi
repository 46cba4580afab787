"""What the package is made of: classes and functions over the engine.

Every error is an `Error` of two lines, `place: what` and `help: ..`. Long work runs on all cores
without the interpreter, shows a bar on `sys.stderr` unless `progress=False`, and stops on Ctrl-C.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, Union, final

import numpy as np
import numpy.typing as npt

__version__: str

_Path = Union[str, PathLike[str]]
_Float = Union[npt.NDArray[np.float32], npt.NDArray[np.float64]]
_Tokens = Union[str, Sequence[int], npt.NDArray[np.integer]]
_Edge = Union[str, int]
_Convention = Literal["ours", "eap-ig"]
_Metric = Literal["logit-diff", "nll", "prob-diff", "kl", "l2"]
_Baseline = Literal["resample", "zero", "mean", "mean-per-position", "constant", "optimal"]
_Method = Literal[
    "eap",
    "eap-ig",
    "clean-corrupted",
    "eap-ig-activations",
    "mask-ig",
    "exact",
    "shapley",
    "matryoshka",
    "ugs",
    "bottleneck",
    "node-pruning",
    "ifr",
    "random",
]
_Search = Literal[
    "topn", "greedy", "heaviest", "threshold", "acdc", "edge-pruning", "minimal"
]
_Operand = Union["Var", float]
_Goal = Literal["E1", "E2", "E3", "E4", "E5", "own"]
_Tuning = Literal[
    "circuit",
    "static",
    "random",
    "complement",
    "lisa",
    "full",
    "attention",
    "bias",
    "gradient",
    "fisher",
    "lora",
    "circuit-lora",
    "adalora",
]
_Select = Literal["edges", "nodes", "faithfulness", "threshold", "share"]
_Kind = Literal[
    "ioi",
    "greater-than",
    "agreement",
    "agreement-attractor",
    "pronouns",
    "capitals",
    "arithmetic",
]

class Error(Exception):
    """What a user can cause and mend."""

    place: str
    """The file, key or tensor at fault."""
    message: str
    """What is wrong there."""
    help: str
    """What to do about it."""

class InputError(Error, ValueError):
    """Bad input: a file, a key, an argument."""

class FailedError(Error, RuntimeError):
    """A failed run on good input."""

@final
class Model:
    """A model: its weights, its tokenizer, and the graph of its edges."""

    @staticmethod
    def load(model: _Path, dtype: Literal["f32", "f64"] = "f32") -> Model:
        """Reads a model folder (Hugging Face's, TransformerLens', a run's), a GGUF file, or a name in
        the Hugging Face cache."""

    @staticmethod
    def from_state_dict(
        state_dict: Mapping[str, npt.ArrayLike],
        config: Mapping[str, Any],
        dtype: Literal["f32", "f64"] = "f32",
    ) -> Model:
        """The model of a dict of arrays, and of the dict in the `config.json` that belongs to it, of
        Hugging Face or TransformerLens."""

    @property
    def vocab(self) -> int:
        """V, how many tokens it reads."""
    @property
    def context(self) -> int:
        """The longest sequence."""
    @property
    def dtype(self) -> Literal["f32", "f64"]:
        """What it is computed in."""
    @property
    def path(self) -> str | None:
        """The folder or file that it was read from; `None` for one of arrays."""

    def tokenize(self, text: str, bare: bool = False) -> list[int]:
        """`[T]`, the ids of a text, with those that stand around a whole one unless it is bare."""
    def pieces(self, ids: Sequence[int]) -> list[str]:
        """`[T]`, what each token is called."""
    def logits(
        self,
        tokens: Union[_Tokens, Sequence[_Tokens]],
        *,
        exact: bool = False,
        threads: int | None = None,
        progress: bool = True,
    ) -> Union[_Float, list[_Float]]:
        """The logits of one sequence `[T, V]` or of several `[N, T, V]`; of several lengths a list.
        A pooled model has `[V]` for a sequence. Arrays own the memory that was computed in; those
        of a list are views of one for each length. In `f64`, models of Hugging Face round norms and
        rotations where transformers does, unless `exact`."""
    def activations(
        self,
        tokens: Union[_Tokens, Sequence[_Tokens]],
        names: Union[str, Sequence[str]],
        *,
        exact: bool = False,
        threads: int | None = None,
        progress: bool = True,
    ) -> dict[str, _Float]:
        """The activations of N sequences of one length T at TransformerLens' hooks, in its shapes:
        `blocks.0.attn.hook_z` `[N, T, H, K]`, `blocks.0.attn.hook_pattern` `[N, H, T, T]`,
        `hook_embed` and `blocks.0.hook_resid_pre` `[N, T, D]`. One sequence is N = 1."""
    @property
    def hooks(self) -> list[str]:
        """The names that `activations` takes, in the order of the computation."""

@final
class Pairs:
    """Pairs of a clean and a corrupted sequence of one length, and what is asked about them."""

    @staticmethod
    def read(
        path: _Path, model: Model, *, limit: int | None = None, first_token: bool = False
    ) -> Pairs:
        """Reads a `.jsonl` file: on each line `{"clean": .., "corrupted": .., "answer": ..,
        "distractor": ..}`, each ids or text. `first_token` lets the first token stand for an answer
        of several."""

    @staticmethod
    def from_text(
        rows: Union[str, Iterable[Mapping[str, Any]]], model: Model, *, first_token: bool = False
    ) -> Pairs:
        """Pairs of dicts with these keys, or of the text of a file."""

    @staticmethod
    def generate(kind: _Kind, model: Model, n: int = 100, seed: int = 0) -> Pairs:
        """Pairs of texts that fit the model's tokenizer, as `edgegrad pairs` writes them."""

    def save(self, path: _Path) -> None:
        """Writes a `.jsonl` file of ids."""
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> dict[str, Any]: ...

@final
class Scores:
    """The scores of all E edges of a graph, in the order of `names`."""

    @staticmethod
    def read(
        path: _Path,
        model: Model,
        *,
        convention: _Convention | None = None,
        positions: int | None = None,
        neurons: bool = False,
        split_input: bool = False,
        joined_qkv: bool = False,
    ) -> Scores:
        """Reads a file of scores, as `save` writes it or EAP-IG's `Graph.to_json`. `convention` is the
        sign of a file that names none; the others say how finely it divides the model, `positions`
        by the length of its sequences."""

    @property
    def names(self) -> list[str]:
        """`[E]`, names such as `a0.h1->a2.h3<q>`."""
    @property
    def values(self) -> npt.NDArray[np.float64]:
        """`[E]`, read-only; NaN where an edge has no score."""
    @property
    def standard_errors(self) -> npt.NDArray[np.float64] | None:
        """`[E]`, of methods that sample."""
    @property
    def completeness(self) -> dict[str, float] | None:
        """`sum` of the scores, the `delta` of the metric that they share out, and the `residual`, of
        methods whose scores add up."""
    @property
    def convention(self) -> _Convention:
        """`ours` is positive where the metric falls without the edge, `eap-ig` where it rises."""
    @property
    def meta(self) -> dict[str, Any]:
        """Where the scores come from."""

    def top(self, n: int) -> list[str]:
        """The names of the `n` edges with the largest scores in size, the largest first."""
    def to_pandas(self) -> Any:
        """A `DataFrame` with columns `edge` and `score`, and what the method says beside: needs
        pandas."""
    def save(self, path: _Path) -> None:
        """Writes the file that `edgegrad attribute` writes, in EAP-IG's layout."""
    def __len__(self) -> int: ...
    def __getitem__(self, edge: _Edge) -> float: ...
    def __iter__(self) -> Iterator[float]: ...

@final
class Circuit:
    """Some of the E edges of a graph."""

    @staticmethod
    def read(
        path: _Path,
        model: Model,
        *,
        convention: _Convention | None = None,
        positions: int | None = None,
        neurons: bool = False,
        split_input: bool = False,
        joined_qkv: bool = False,
    ) -> Circuit:
        """Reads a file of a circuit, as `save` writes it or EAP-IG's `Graph.to_json`, or an
        attribution graph, as `export` writes it. The arguments are those of `Scores.read`, but that
        a file which names no convention is taken to be in `ours`."""

    @property
    def edges(self) -> list[str]:
        """The names of its edges."""
    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """`[E]`, which edges of the graph are its own."""
    @property
    def names(self) -> list[str]:
        """`[E]`, the names of all edges of the graph."""

    def run(
        self,
        model: Model,
        pairs: Pairs,
        *,
        metric: _Metric = "logit-diff",
        at: Literal["asked", "all"] = "asked",
        baseline: _Baseline = "resample",
        constants: _Path | None = None,
        convention: _Convention = "ours",
        positions: bool = False,
        spans: bool = False,
        neurons: bool = False,
        split_input: bool = False,
        joined_qkv: bool = False,
        rows: int = 512,
        threads: int | None = None,
        progress: bool = True,
    ) -> npt.NDArray[np.float64]:
        """`[N]`, the metric of every pair with the circuit's edges alone: all others carry their
        ablation values."""
    def save(self, path: _Path) -> None:
        """Writes the file that `edgegrad discover` writes, in EAP-IG's layout."""
    def export(
        self,
        path: _Path,
        format: Literal["attribution-graph", "dot", "mermaid"] = "attribution-graph",
        edges: int | None = None,
    ) -> None:
        """Writes it for other programs, as `edgegrad export` does: the JSON of circuit-tracer, a
        digraph of Graphviz, or a flowchart of Mermaid. `edges` takes those of the largest scores."""
    def __len__(self) -> int: ...
    def __contains__(self, edge: _Edge) -> bool: ...

@final
class Interactions:
    """Second derivatives of the metric by the masks of pairs of edges, and what ablating some pairs
    does."""

    @property
    def pairs(self) -> list[dict[str, Any]]:
        """The pairs that were ablated, the largest second derivative first: edges `i` and `j`, their
        `second_derivative` and `interaction`, the fall of the metric `without_i`, `without_j` and
        `without_both`, and the `relation`: `joint` if both are needed, `redundant` if either
        suffices, `opposed` or `additive`."""
    @property
    def rows(self) -> list[str]:
        """`[n]`, the edges whose rows were computed."""
    @property
    def names(self) -> list[str]:
        """`[E]`, the names of all edges."""
    @property
    def second_derivatives(self) -> npt.NDArray[np.float64]:
        """`[n, E]`, of the metric by the masks of a row's and a column's edge, at masks of 1;
        read-only."""

    def to_pandas(self) -> Any:
        """A `DataFrame` with a row for each pair: needs pandas."""
    def save(self, path: _Path) -> None:
        """Writes the file that `edgegrad interactions` writes."""

@final
class Report:
    """A page that was written; notebooks show it."""

    @property
    def path(self) -> str:
        """The page's file."""

@final
class Tape:
    """A recording of operations on doubles, which becomes a program when a value is asked for: it
    then runs again with other values of its leaves, without allocating, but records no more.

        tape = edgegrad.Tape()
        w, x = tape.leaf(np.ones((3, 2))), tape.leaf(np.eye(3))
        loss = ((x @ w).tanh() * 2.0).sum()
        loss.backward()
        loss.value, w.grad
    """

    def __init__(self) -> None: ...
    def leaf(self, values: npt.ArrayLike, name: str = "leaf") -> Var:
        """A leaf with the values of an array, which is copied, once."""

@final
class Var:
    """A tensor of a tape. Operators broadcast as in NumPy; both sides are of one tape, or one is a
    number."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of its axes."""
    @property
    def value(self) -> npt.NDArray[np.float64]:
        """Its elements, read-only; runs the program if a leaf has changed."""
    @property
    def grad(self) -> npt.NDArray[np.float64]:
        """Of a leaf: the gradient that the last `backward` computed, read-only."""

    def set(self, values: npt.ArrayLike) -> None:
        """Sets a leaf to the values of an array of its shape."""
    def backward(self, weights: npt.ArrayLike | None = None) -> None:
        """Computes the gradients at all leaves: of the one number that it is, or of its elements
        times `weights`, an array of its shape."""
    def __add__(self, other: _Operand) -> Var: ...
    def __radd__(self, other: _Operand) -> Var: ...
    def __sub__(self, other: _Operand) -> Var: ...
    def __rsub__(self, other: _Operand) -> Var: ...
    def __mul__(self, other: _Operand) -> Var: ...
    def __rmul__(self, other: _Operand) -> Var: ...
    def __matmul__(self, other: Var) -> Var: ...
    def __truediv__(self, number: float) -> Var: ...
    def __neg__(self) -> Var: ...
    def tanh(self) -> Var:
        """The hyperbolic tangent of each element."""
    def relu(self) -> Var:
        """Each element, or 0 where it is negative."""
    def gelu(self) -> Var:
        """`x Phi(x)` of each element."""
    def silu(self) -> Var:
        """`x / (1 + exp(-x))` of each element."""
    def softmax(self) -> Var:
        """The softmax along the last axis."""
    def sum(self, axis: int | None = None) -> Var:
        """The sum of all elements, or along one axis, which is removed."""
    def mean(self) -> Var:
        """The mean of all elements."""
    def reshape(self, shape: Sequence[int]) -> Var:
        """The same elements in row-major order under another shape."""
    def permute(self, order: Sequence[int]) -> Var:
        """The axes in another order."""
    def gather(self, ids: Sequence[int]) -> Var:
        """The rows of a table `[V, ..]` by their numbers: `[N, ..]`."""
    def cross_entropy(self, labels: Sequence[int]) -> Var:
        """The cross-entropy of each row of logits `[N, V]` with its label, in nats: `[N]`."""

def report(runs: Sequence[_Path], out: _Path, seed: int | None = None) -> Report:
    """Writes one self-contained page of run folders and of files of scores and circuits, as
    `edgegrad report` does. `seed` is the one whose weights through time are in the page."""

def evaluate(
    model: Model,
    pairs: Pairs,
    circuit: Union[Circuit, Scores],
    *,
    null: int = 0,
    minimality: bool = False,
    tests: bool = False,
    adversary: bool = False,
    starts: int | None = None,
    held_out: Pairs | None = None,
    masks: Mapping[str, float] | None = None,
    fractions: Sequence[float] | None = None,
    bootstrap: int | None = None,
    seed: int = 0,
    metric: _Metric = "logit-diff",
    at: Literal["asked", "all"] = "asked",
    baseline: _Baseline = "resample",
    constants: _Path | None = None,
    convention: _Convention = "ours",
    positions: bool = False,
    spans: bool = False,
    neurons: bool = False,
    split_input: bool = False,
    joined_qkv: bool = False,
    rows: int = 512,
    out: _Path | None = None,
    resume: bool = False,
    threads: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Judges a circuit, as `edgegrad evaluate --circuit` does: the entries of its file.

    `faithfulness` is the share of the model's metric that its edges keep, with a 95 %
    `faithfulness_interval` over pairs; `complement_faithfulness` is that of all other edges;
    `minimality` says by how much the metric falls without each edge, of circuits of up to 200 edges
    or if it is asked; `null` has the faithfulness of so many random circuits with as many edges of
    each type, and a p-value; `per_pair` has the metric of every pair; with `tests`, what hypothesis
    tests of the circuit find.

    With `adversary`: `worst`, the least faithfulness that an ablation of what the circuit leaves out
    was found to have, searched from `starts` points (3 to 24 unless given); the `masks` of the edges
    outside, from 0 (removed) to 1 (restored), that bring it about; in `adversary` the `ends` of all
    starts, and `held_out`, what the masks do on other pairs, if some are given. `masks` takes such
    masks: `masked` is the circuit's `faithfulness` and metric `per_pair` with them.

    Of scores, as `edgegrad evaluate --scores --curve`: the `curve` of the faithfulness of the first
    edges by score, at `fractions` of all, its `cmd` and `cpr`, and with `bootstrap` their
    `intervals` over so many resamples of the pairs.

    With `out` the file is written there, and work that is stopped goes on with the same call and
    `resume=True`.
    """

def interactions(
    model: Model,
    pairs: Pairs,
    *,
    rows_of: int | None = None,
    patches: int = 20,
    threshold: float = 0.1,
    metric: _Metric = "logit-diff",
    at: Literal["asked", "all"] = "asked",
    baseline: _Baseline = "resample",
    constants: _Path | None = None,
    convention: _Convention = "ours",
    positions: bool = False,
    spans: bool = False,
    neurons: bool = False,
    split_input: bool = False,
    joined_qkv: bool = False,
    rows: int = 512,
    out: _Path | None = None,
    resume: bool = False,
    threads: int | None = None,
    progress: bool = True,
) -> Interactions:
    """Finds pairs of edges that are redundant (either suffices) or joint (both are needed).

    The arguments are the options of `edgegrad interactions`. Second derivatives take doubles: load
    the model with `dtype="f64"`.
    """

def discover(
    model: Model,
    pairs: Pairs,
    *,
    method: _Search = "topn",
    scores: Scores | None = None,
    attribution: _Method | None = None,
    rank: Literal["abs", "signed"] = "abs",
    edges: int | None = None,
    tau: float | None = None,
    faithfulness: float | None = None,
    tol: float | None = None,
    candidates: int | None = None,
    time: float | None = None,
    steps: int = 1000,
    connected: bool = False,
    seed: int = 0,
    metric: _Metric = "logit-diff",
    at: Literal["asked", "all"] = "asked",
    baseline: _Baseline = "resample",
    constants: _Path | None = None,
    convention: _Convention = "ours",
    positions: bool = False,
    spans: bool = False,
    neurons: bool = False,
    split_input: bool = False,
    joined_qkv: bool = False,
    rows: int = 512,
    out: _Path | None = None,
    resume: bool = False,
    threads: int | None = None,
    progress: bool = True,
) -> Circuit:
    """Finds the circuit behind a behaviour.

    The arguments are the options of `edgegrad discover`, which `edgegrad discover --help` describes.
    Searches by scores take them from `scores`, or compute them by the method `attribution`. With
    `out` the circuit is written there, and a search that is stopped goes on with the same call and
    `resume=True`.
    """

def train(
    config: Union[_Path, Mapping[str, Any]],
    out: _Path,
    *,
    changes: Mapping[str, Any] | None = None,
    seed: int | None = None,
    seeds: int = 1,
    dtype: Literal["f32", "f64"] | None = None,
    resume: bool = False,
    force: bool = False,
    threads: int | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Trains as a configuration says, a file or a dict of the same keys, and writes the run folder
    `out`, or with several seeds one in `out/seed-NN` for each.

    The arguments are the options of `edgegrad train`; `changes` puts values over keys, such as
    `{"train.lr": 1e-3}`. A run that is stopped goes on with the same call and `resume=True`. Returns
    a dict for each seed: `folder`, `seed`, and `step`, losses and accuracies at the end, which are
    `None` of a run that was finished before.
    """

def tune(
    model: Model,
    out: _Path,
    *,
    task: _Goal | None = None,
    pairs: Union[Pairs, _Path] | None = None,
    dev: Union[Pairs, _Path] | None = None,
    keep: _Path | None = None,
    first_token: bool = False,
    method: _Tuning | None = None,
    edges: float | None = None,
    every: int | None = None,
    select: _Select | None = None,
    circuit: _Path | None = None,
    rank: int | None = None,
    lr: float | None = None,
    steps: int | None = None,
    config: _Path | None = None,
    changes: Mapping[str, Any] | None = None,
    seed: int = 0,
    seeds: int = 1,
    resume: bool = False,
    force: bool = False,
    threads: int | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Tunes a base model for a task, or to give the answers of `pairs`, and writes the folder
    `out` with the tuned model, or with several seeds one in `out/seed-NN` for each. `pairs` and
    `dev`, which it is judged by, are `Pairs` of this model or files of pairs.

    The arguments are the options of `edgegrad tune`, which `edgegrad tune --help` describes;
    `changes` puts values over other settings. The model is read from its folder, in `f32`. Returns
    the `report.json` of each seed as a dict, and its `folder`.
    """

def attribute(
    model: Model,
    pairs: Pairs,
    *,
    method: _Method = "eap",
    steps: int | None = None,
    rule: Literal["left", "right", "midpoint", "trapezoid"] | None = None,
    rules: Literal["plain", "ln", "relp", "relp-ah", "gim"] = "plain",
    tol: float = 1e-8,
    sizes: Literal["uniform", "log", "logit"] | None = None,
    objective: Literal["metric", "cmd", "kl", "worst"] | None = None,
    mode: Literal["sufficient", "necessary"] | None = None,
    rankings: int | None = None,
    penalty: float | None = None,
    held_out: int | None = None,
    init: Scores | None = None,
    bootstrap: int | None = None,
    edges: Sequence[_Edge] | None = None,
    seed: int = 0,
    metric: _Metric = "logit-diff",
    at: Literal["asked", "all"] = "asked",
    baseline: _Baseline = "resample",
    constants: _Path | None = None,
    convention: _Convention = "ours",
    positions: bool = False,
    spans: bool = False,
    neurons: bool = False,
    split_input: bool = False,
    joined_qkv: bool = False,
    rows: int = 512,
    out: _Path | None = None,
    resume: bool = False,
    threads: int | None = None,
    progress: bool = True,
) -> Scores:
    """Scores every edge of a model by its contribution to a behaviour.

    The arguments are the options of `edgegrad attribute`, which `edgegrad attribute --help` describes.
    `init` starts learned masks from other scores; `edges` are scored alone, by methods that score
    each by itself, as `exact`. With `out` the scores are written there, and work that is stopped
    goes on with the same call and `resume=True`.
    """
