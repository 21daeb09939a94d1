"""Who may import whom: the rooms of the house and the arrows between them, read from the source."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SISTERS = ("bitstream", "cli", "benchmarks")  # imported as vqcodec.bitstream and so on
MEDIA = ("image", "audio", "sound", "picture")

HALL = {
    *(
        "errors",
        "bitstream",
        "kernels",
        "prior",
        "quality",
        "kinds",
        "onnx",
        "options",
        "sources",
        "stlpips",
        "target",
        "threads",
        "train",
    ),
}
# room: what it may import (besides itself)
RULES = {
    "errors": set(),
    "bitstream": {"errors"},
    "kernels": set(),
    "prior": {"bitstream", "errors"},
    "kinds": {"errors"},
    "onnx": {"bitstream"},
    "stlpips": {"errors"},
    "sources": {"errors"},
    "quality": {"errors"},
    "target": {"errors", "quality"},
    "threads": set(),
    "workers": {"errors", "threads"},
    "options": {"bitstream", "errors", "quality", "target"},
    "train": {"bitstream", "errors", "kernels", "prior", "sources"},
    "image": HALL - {"stlpips", "train"},
    "audio": HALL - {"stlpips", "train"},
    "image.train": HALL | {"image", "workers"},
    "audio.train": HALL | {"audio"},
    "registry": {"bitstream", "errors", "image", "audio"},
    "facts": {"bitstream", "quality", "registry", "sources"},
    "plugin": {"image", "registry"},
    "api": {"bitstream", "errors", "facts", "kinds", "options", "registry", "sources", "image", "audio"},
    "token_api": {"bitstream", "errors", "image", "options", "quality", "registry", "sources"},
    "": {
        "errors",
        "api",
        "facts",
        "plugin",
        "image",
        "audio",
        "token_api",
    },  # vqcodec/__init__.py: the public names, lazily
    "__main__": {"cli"},
    # the command line and the benchmarks use the public functions and what the hall shares ...
    "cli": {
        "",
        "errors",
        "facts",
        "kinds",
        "options",
        "sources",
        "target",
        "registry",
        "threads",
        "workers",
        "benchmarks",
    }
    # ... the files of both wings, and training, which is loaded on use
    | {"image", "audio", "image.train", "audio.train", "train"},
    "benchmarks": {"", "bitstream", "errors", "options", "sources", "stlpips", "workers", "kernels"},
}


def modules() -> dict[str, Path]:
    found = {}
    for top in ("vqcodec", *SISTERS):
        for path in (ROOT / top).rglob("*.py"):
            parts = list(path.relative_to(ROOT).with_suffix("").parts)
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join(parts if parts[0] == "vqcodec" else ["vqcodec", *parts])] = path
    return found


MODULES = modules()


@cache
def imported(name: str) -> set[str]:
    """Modules of ours that a module imports, anywhere in it, for types or lazily."""
    out = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            out |= {alias.name for alias in node.names if alias.name.split(".")[0] == "vqcodec"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vqcodec":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                out.add(inner if inner in MODULES else str(node.module))
    return out


def room(name: str) -> str:
    parts = name.split(".")[1:]
    if not parts:
        return ""
    return f"{parts[0]}.train" if parts[0] in ("image", "audio") and "train" in parts else parts[0]


def foreign(name: str) -> set[str]:
    """Top-level packages that are not ours."""
    out = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        out |= {n.split(".")[0] for n in names}
    return out - {"vqcodec"}


def test_the_walk_sees_the_house() -> None:
    assert len(MODULES) > 100
    assert {room(name) for name in MODULES} == RULES.keys() | {"weights"}
    assert "vqcodec.errors" in imported("vqcodec.bitstream.container")
    assert "vqcodec.image.train.run" in imported("vqcodec.cli.train")  # an import inside a function


def test_every_arrow_is_allowed() -> None:
    bad = [
        f"{name} imports {other}"
        for name in MODULES
        for other in sorted(imported(name))
        if room(name) != room(other) and room(other) not in RULES.get(room(name), set())
    ]
    assert not bad, "\n".join(bad)


def test_the_wings_do_not_know_each_other() -> None:
    """Said by the rules above; said once more, because everything else rests on it."""
    for wing, other in (("image", "audio"), ("audio", "image")):
        assert not any(room(b).startswith(other) for a in MODULES if room(a).startswith(wing) for b in imported(a))


def test_no_modules_import_each_other() -> None:
    arrows: dict[str, set[str]] = {name: imported(name) & MODULES.keys() - {name} for name in MODULES}
    # lazily resolved names of the package itself lead everywhere; whoever imports them needs no part of a wing
    arrows["vqcodec"] = {"vqcodec.errors"}
    reach: dict[str, set[str]] = defaultdict(set)

    def walk(start: str, at: str) -> None:
        for other in arrows[at]:
            if other not in reach[start]:
                reach[start].add(other)
                walk(start, other)

    for name in MODULES:
        walk(name, name)
    assert not [name for name in MODULES if name in reach[name]]


def test_what_must_stay_light() -> None:
    for name in MODULES:
        if room(name) == "bitstream" or name in (
            "vqcodec.prior.integer",
            "vqcodec.prior.rate",
            "vqcodec.prior.storage",
        ):
            assert "torch" not in foreign(name), name
        if room(name) == "kernels":
            ours = imported(name)
            assert all(room(o) == "kernels" for o in ours)
            assert not foreign(name) & {"scipy", "PIL", "soundfile", "constriction"}


def test_no_module_outside_its_wing_names_a_medium() -> None:
    for name in MODULES:
        parts = name.split(".")
        for medium in MEDIA:
            inside = {"image": "image", "picture": "image", "audio": "audio", "sound": "audio"}[medium]
            for part in parts[1:]:
                assert medium not in part or part == inside, name
