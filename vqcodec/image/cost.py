"""What a model costs: stored numbers, and multiply-accumulates per pixel or sample of the parts that code or decode."""

from __future__ import annotations

from vqcodec.image.context import grid
from vqcodec.image.model import ImageModel
from vqcodec.image.synthesis import CELL
from vqcodec.prior.integer import Cost

__all__ = ["cost_of"]


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
    networks = {} if model.codes.sight is None else model.codes.sight.networks
    for i, s in enumerate(model.codes.slices):
        h, w = grid(s, config.levels, cells, cells)  # of a picture of cells x cells cells
        phases = len(s.weight)
        positions = h * w / phases / float(cells**2 * cells**2)
        for p in range(phases):
            numbers = s.weights(p)
            prior_macs += numbers * positions
            prior_numbers += numbers + s.bias[p].size
        if i in networks:
            network = networks[i].network
            prior_macs += network.weights() * positions
            prior_numbers += network.weights() + sum(layer.bias.size for _, layer in network.layers())
    filter_numbers = sum(t.size for tensors in (model.restore, model.faithful) for t in tensors.values())
    convolutions = sum(t.size for name, t in model.restore.items() if t.ndim == 4)
    codebooks = sum(c.size for c in model.codebooks)
    tables = sum(a.size for name, a in model.stored.items() if name.endswith(".table"))
    return {
        "analysis": (9, _WAVELET + _COLOUR),
        "synthesis": (9 + filter_numbers, _WAVELET + _COLOUR + _CHROMA_PREDICTION + convolutions / CELL**2),
        "prior": (prior_numbers, prior_macs),
        "codebooks": (codebooks, 0.0),
        "probability tables": (tables, 0.0),
    }
