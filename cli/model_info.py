"""``vqcodec model-info``: what the models in the package are and cost."""

from __future__ import annotations

import json

import click

__all__ = ["model_info"]


@click.command("model-info")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def model_info(as_json: bool) -> None:
    """Print parameters and multiply-accumulates per pixel of every model."""
    from vqcodec.models import IMAGE_MODELS, load_image_codec
    from vqcodec.models.cost import cost_of

    codec = load_image_codec("cpu")
    facts = {
        "name": IMAGE_MODELS[codec.model_hint].removesuffix(".safetensors"),
        "model_id": codec.model_id.hex(),
        "preset": codec.model.config.name,
        "parts": {name: {"numbers": n, "mac_per_pixel": round(m, 1)} for name, (n, m) in cost_of(codec.model).items()},
    }
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    click.echo(f"{facts['name']} (preset {facts['preset']}, id {facts['model_id']})")
    click.echo(f"{'part':<20}{'numbers':>12}{'MAC per pixel':>16}")
    for name, (numbers, macs) in cost_of(codec.model).items():
        click.echo(f"{name:<20}{numbers:>12,}{macs:>16,.1f}")
