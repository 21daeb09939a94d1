"""What a model costs: stored numbers, and multiply-accumulates per pixel or sample of the parts that code or decode."""

from __future__ import annotations

from vqcodec.bitstream.codes import grid
from vqcodec.bitstream.prior import PriorSlice
from vqcodec.models.audio_store import AudioModel
from vqcodec.models.store import ImageModel
from vqcodec.transform.mdct import HOP
from vqcodec.transform.restore import BLOCK

__all__ = ["Cost", "audio_cost_of", "cost_of"]

Cost = dict[str, tuple[int, float]]
"""Part -> (stored numbers, multiply-accumulates per pixel, or per sample at 24 kHz)."""

# Four lifting steps of one multiplication per pair of samples and axis, and scaling; three planes; all levels: 4/3.
_WAVELET = 3 * 2 * (4 / 2 + 1) * 4 / 3
_COLOUR = 9.0
# Slopes at the level above (three products, three windows of nine) and their use, by luma position.
_CHROMA_PREDICTION = (3 * 3 + 3 * 9) / 16 + 2 * 3 / 4


def cost_of(model: ImageModel) -> Cost:
    """Parameters and arithmetic of analysis (without the search), synthesis and prior; tables are counted apart."""
    config = model.config
    cells = 2**config.levels
    prior_macs, prior_numbers = 0.0, 0
    for s in model.codes.slices:
        h, w = grid(s, config.levels, cells, cells)  # of a picture of cells x cells cells
        phases = len(s.weight)
        positions = h * w / phases / float(cells**2 * cells**2)
        for p in range(phases):
            numbers = _phase_weights(s, p)
            prior_macs += numbers * positions
            prior_numbers += numbers + s.bias[p].size
    filter_numbers = sum(t.numel() for tensors in (model.restore, model.faithful) for t in tensors.values())
    convolutions = sum(t.numel() for name, t in model.restore.items() if t.dim() == 4)
    codebooks = sum(c.numel() for c in model.codebooks)
    tables = sum(a.size for name, a in model.stored.items() if name.endswith(".table"))
    return {
        "analysis": (9, _WAVELET + _COLOUR),
        "synthesis": (9 + filter_numbers, _WAVELET + _COLOUR + _CHROMA_PREDICTION + convolutions / BLOCK**2),
        "prior": (prior_numbers, prior_macs),
        "codebooks": (codebooks, 0.0),
        "probability tables": (tables, 0.0),
    }


def audio_cost_of(model: AudioModel) -> Cost:
    """The same of an audio model, per channel."""

    def network(name: str) -> tuple[int, float]:
        tensors = {k: t for k, t in model.transform.items() if k.startswith(name)}
        dense = sum(t.numel() for k, t in tensors.items() if k.endswith((".weight", ".taps")))
        return sum(t.numel() for t in tensors.values()), dense / HOP

    lines = model.codes.lines
    weights = [_phase_weights(lines, p) for p in range(4)]
    envelope = [sum(a.size for a in (e.first, e.second, e.last)) for e in model.codes.envelope]
    mdct = 2.0 * HOP  # as a product with its basis
    analysis, synthesis = network("analysis"), network("synthesis")
    return {
        "analysis": (analysis[0], analysis[1] + mdct),
        "synthesis": (synthesis[0], synthesis[1] + mdct),
        "prior": (
            sum(weights) + sum(envelope) + sum(b.size for b in lines.bias),
            sum(weights) / 4 + sum(envelope) / HOP,
        ),
        "codebooks": (model.codebook.numel(), 0.0),
        "probability tables": (sum(a.size for k, a in model.stored.items() if k.endswith(".table")), 0.0),
    }


def _phase_weights(s: PriorSlice, p: int) -> int:
    """Weights of one phase of a slice: multiply-accumulates for each of its positions."""
    arrays = [s.weight[p], s.sign_weight[p]]
    hidden = s.hidden[p]
    if hidden is not None:
        arrays += [hidden.first, hidden.second, hidden.last]
    return sum(a.size for a in arrays if a is not None)
