"""What a tokens model costs: stored numbers, and multiply-accumulates per pixel."""

from __future__ import annotations

from vqcodec.image.tokens.config import BOTTOM, TOP, parts
from vqcodec.image.tokens.model import TokensModel
from vqcodec.image.tokens.prior import STEPS
from vqcodec.prior.integer import Cost

__all__ = ["tokens_cost_of"]

_ANALYSIS = {"encoder": BOTTOM, "top_encoder": TOP, "top_in": TOP, "bottom_in": BOTTOM, "expected": TOP}
_SYNTHESIS = {"top_out": TOP, "at8": 8, "at4": 4, "at2": 2, "linear": BOTTOM, "expected": TOP}


def tokens_cost_of(model: TokensModel) -> Cost:
    """Parameters and arithmetic of encoder, decoder (both need what the top tells of the bottom) and prior."""
    shapes = parts(model.config)

    def network(sides: dict[str, int]) -> tuple[int, float]:
        macs = {name: sum(c.inputs * c.outputs * c.side**2 for c in shapes[name]) for name in sides}
        numbers = sum(macs[name] + sum(c.outputs for c in shapes[name]) for name in sides)
        return numbers, sum(macs[name] / side**2 for name, side in sides.items())

    prior_macs, prior_numbers = 0.0, sum(t.size for t in model.codes.tables)
    for step, p in zip(STEPS, model.codes.steps, strict=True):
        weights = p.first.size + p.second.size + p.last.size
        prior_macs += weights / ((TOP if step.level == 0 else BOTTOM) * step.cell) ** 2
        prior_numbers += weights + p.first_bias.size + p.second_bias.size + p.last_bias.size
    return {
        "analysis": network(_ANALYSIS),
        "synthesis": network(_SYNTHESIS),
        "prior": (prior_numbers, prior_macs),
        "codebooks": (sum(w.size for w in model.words), 0.0),
    }
