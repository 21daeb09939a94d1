"""What an audio model costs: stored numbers, and multiply-accumulates per sample of the parts that code or decode."""

from __future__ import annotations

from vqcodec.audio.mdct import HOP
from vqcodec.audio.model import AudioModel
from vqcodec.prior.integer import Cost

__all__ = ["audio_cost_of"]


def audio_cost_of(model: AudioModel) -> Cost:
    """Parameters and arithmetic of each part, per channel; tables are counted apart."""

    def network(name: str) -> tuple[int, float]:
        tensors = {k: t for k, t in model.transform.items() if k.startswith(name)}
        dense = sum(t.size for k, t in tensors.items() if k.endswith((".weight", ".taps")))
        return sum(t.size for t in tensors.values()), dense / HOP

    lines = model.codes.lines
    weights = [lines.weights(p) for p in range(4)]
    values = [sum(a.size for a in (e.first, e.second, e.last)) for e in (*model.codes.envelope, *model.codes.powers)]
    mdct = 1.0 * HOP  # as a product with the cosines
    analysis, synthesis = network("analysis"), network("synthesis")
    return {
        "analysis": (analysis[0], analysis[1] + mdct),
        "synthesis": (synthesis[0], synthesis[1] + mdct),
        "prior": (
            sum(weights) + sum(values) + sum(b.size for b in lines.bias),
            sum(weights) / 4 + sum(values) / HOP,
        ),
        "codebooks": (model.codebook.size, 0.0),
        "probability tables": (sum(a.size for k, a in model.stored.items() if k.endswith(".table")), 0.0),
    }
