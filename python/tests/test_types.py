"""The types that `_edgegrad.pyi` declares are those of what is there."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import edgegrad
from edgegrad import _edgegrad

STUB = ast.parse((Path(_edgegrad.__file__).parent / "_edgegrad.pyi").read_text())
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
LITERALS = {
    node.targets[0].id: node.value
    for node in STUB.body
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
}


def parameters(node):
    """The names of parameters with their defaults, as the stub has them."""
    arguments = node.args
    names = [one.arg for one in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
    plain = [None] * (len(arguments.args) - len(arguments.defaults)) + list(arguments.defaults)
    defaults = [one and ast.literal_eval(one) for one in plain + arguments.kw_defaults]
    return dict(zip(names, defaults))


def actual(function):
    empty = inspect.Parameter.empty
    found = inspect.signature(function).parameters.values()
    return {one.name: None if one.default is empty else one.default for one in found}


def test_everything_is_declared_and_exported():
    public = {name for name in vars(_edgegrad) if not name.startswith("_")}
    assert public == set(FUNCTIONS) | set(CLASSES)
    assert public == set(edgegrad.__all__) - {"__version__"}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_take_what_is_declared(name):
    function = getattr(edgegrad, name)
    assert actual(function) == parameters(FUNCTIONS[name])
    assert function.__doc__


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_classes_have_what_is_declared(name):
    cls = getattr(edgegrad, name)
    declared = [node for node in CLASSES[name].body if isinstance(node, ast.FunctionDef)]
    public = {one for one in vars(cls) if not one.startswith("_")}
    assert public == {node.name for node in declared if not node.name.startswith("_")}
    for node in declared:
        if node.name == "__iter__":
            continue  # By `__getitem__` and numbers.
        member = inspect.getattr_static(cls, node.name)
        if not any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list):
            if not node.name.startswith("__"):
                assert actual(getattr(cls, node.name)) == parameters(node), node.name
        assert member.__doc__, node.name


def literal(node):
    """The names of `Literal[..]`, also in `Literal[..] | None`."""
    if isinstance(node, ast.BinOp):
        node = node.left
    if isinstance(node, ast.Name):
        node = LITERALS.get(node.id)
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
        return {one.value for one in getattr(node.slice, "elts", [node.slice])}
    return None


def declared_names():
    for function, node in FUNCTIONS.items():
        for one in node.args.kwonlyargs:
            names = literal(one.annotation)
            if names:
                yield function, one.arg, names


@pytest.mark.parametrize(("function", "argument", "names"), list(declared_names()))
def test_names_are_those_that_are_known(model, pairs, function, argument, names):
    circuit = edgegrad.discover(model, pairs, edges=3)
    arguments = {"train": ["a.toml", "out"], "tune": [model, "out"]}
    arguments = arguments.get(function, [model, pairs, circuit])
    taken = len(FUNCTIONS[function].args.args)
    with pytest.raises(edgegrad.InputError) as raised:
        getattr(edgegrad, function)(*arguments[:taken], **{argument: "0"})
    assert raised.value.place == argument
    assert names == set(re.sub("^use one of ", "", raised.value.help).split(", "))
