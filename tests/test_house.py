"""Rules of the house that can be read off the source: no function is longer than a screen or takes a long list."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("bitstream", "benchmarks", "cli", "tests", "vqcodec")
LONGEST, MOST = 60, 8  # lines without decorators, parameters without self

Function = ast.FunctionDef | ast.AsyncFunctionDef

# Compiled to GPU code: Triton takes pointers, strides and sizes one by one, and has no structures to put them in.
KERNELS = "vqcodec/kernels/triton_kernels.py"
# What is left to mend; a name comes off when it is, and none is added.
LEFT = {
    "vqcodec/image/search.py:search",
    "vqcodec/image/train/prior.py:train_prior",
    "vqcodec/image/train/synthesis.py:train_restore",
}


def functions(text: str, path: str) -> Iterator[tuple[str, int, int]]:
    """Name with its place, lines and parameters of every function, inner ones and methods too."""
    tree = ast.parse(text)
    methods = {item for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for item in node.body}
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.end_lineno is not None:
            given = node.args
            count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs)
            count += (given.vararg is not None) + (given.kwarg is not None)
            static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
            count -= node in methods and not static
            yield f"{path}:{node.name}", node.end_lineno - node.lineno + 1, count


def all_functions() -> list[tuple[str, int, int]]:
    paths = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return [each for path in paths for each in functions(path.read_text(), path.relative_to(ROOT).as_posix())]


def is_kernel(name: str) -> bool:
    return name.startswith(f"{KERNELS}:")


def test_functions_fit_on_a_screen_and_take_few_parameters() -> None:
    found = all_functions()
    assert len(found) > 500
    too_long = {name for name, lines, _ in found if lines > LONGEST}
    too_many = {name for name, _, count in found if count > MOST and not is_kernel(name)}
    assert (too_long | too_many) - LEFT == set()


def test_the_list_of_what_is_left_only_shrinks() -> None:
    """A name that has been mended, or is gone, must come off the list."""
    offenders = {name for name, lines, count in all_functions() if lines > LONGEST or count > MOST}
    assert LEFT - offenders == set()
    assert len(LEFT) <= 3


@pytest.mark.parametrize(
    ("text", "lines", "count"),
    [
        ("def f(): pass", 1, 0),
        ("def f(a, /, b, *c, d, **e):\n    pass", 2, 5),
        ("async def f(a):\n\n    pass", 3, 1),
        ("class A:\n    def f(self, a): pass", 1, 1),
        ("class A:\n    @staticmethod\n    def f(a): pass", 1, 1),
        ("@x\n@y\ndef f(a=1, *, b=2):\n    return a", 2, 2),
    ],
)
def test_the_counting(text: str, lines: int, count: int) -> None:
    assert list(functions(text, "x.py")) == [("x.py:f", lines, count)]
