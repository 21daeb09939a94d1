"""The kernel benchmark as a table and as a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["draw", "markdown"]

AXES = {"N": ("count", "vectors N"), "K": ("size", "codewords K"), "d": ("dimension", "dimension d")}


def markdown(results: dict[str, Any]) -> str:
    """One line per case and rival."""
    env, roof = results["environment"], results["roof"]
    lines = [
        "# Nearest-codeword search",
        "",
        f"{env['name']} ({env['device']}, {env['threads']} threads), torch {env['torch']}, Python {env['python']}. "
        f"Measured roof: {roof['bytes_per_second'] / 1e9:.1f} GB/s copied, "
        f"{roof['flop_per_second'] / 1e9:.0f} GFLOP/s in a float32 matrix product.",
        "",
        "Medians; *times ours* is the median over rounds of time / ours, taken in turns. *Wrong* counts vectors whose "
        "index is not a best one in float64; *peak* is memory beyond the inputs.",
        "",
        "| G x N | K | d | bias | mean | by | ms | CPU ms | times ours | Gpairs/s | of roof | wrong | peak MiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in results["cases"]:
        lines += [_line(entry["case"], name, result) for name, result in entry["rivals"].items()]
    return "\n".join(lines) + "\n"


def _line(case: dict[str, Any], name: str, result: dict[str, Any]) -> str:
    bias = f"table of {case['table_rows']}" if case["table_rows"] else "none"
    peak = "" if result["peak_mib"] is None else f"{result['peak_mib']:.1f}"
    cells: list[object] = [
        f"{case['groups']} x {case['count']}", case["size"], f"{case['dimension']}{' half' if case['half'] else ''}",
        bias, f"{case['mean']:g}", name, f"{1e3 * result['seconds']:.3g}", f"{1e3 * result['cpu_seconds']:.3g}",
        f"{result['times_ours']:.2f}", f"{result['pairs_per_second'] / 1e9:.2f}", f"{result['roof_share']:.1%}",
        f"{result['wrong_share']:.4%}", peak,
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def draw(results: dict[str, Any], path: Path) -> None:
    """Seconds against N, K and d, one line per rival, on logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    names = sorted({name for entry in results["cases"] for name in entry["rivals"]})
    for place, (sweep, (field, title)) in enumerate(AXES.items(), 1):
        axes = figure.add_subplot(1, 3, place)
        entries = [entry for entry in results["cases"] if entry["case"]["sweep"] == sweep]
        for number, name in enumerate(names):
            points = [(e["case"][field], 1e3 * e["rivals"][name]["seconds"]) for e in entries if name in e["rivals"]]
            if points:
                axes.plot(*zip(*points, strict=True), "o-", color=f"C{number}", label=name)
        axes.set(xscale="log", yscale="log", xlabel=title, ylabel="ms")
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    figure.suptitle(f"Nearest codeword on {results['environment']['name']}")
    figure.savefig(path, dpi=100)
