"""``vqcodec model-info``: what the models in the package are and cost."""

from __future__ import annotations

import json

import click

__all__ = ["model_info"]


@click.command("model-info")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def model_info(as_json: bool) -> None:
    """Print parameters and multiply-accumulates of the models that new files are made with."""
    from vqcodec.audio.cost import audio_cost_of
    from vqcodec.image.cost import cost_of
    from vqcodec.image.tokens.cost import tokens_cost_of
    from vqcodec.registry import (
        AUDIO_MODELS,
        IMAGE_MODELS,
        TOKENS_MODELS,
        load_audio_codec,
        load_image_codec,
        load_tokens_codec,
    )

    image, audio, tokens = load_image_codec(), load_audio_codec(), load_tokens_codec()
    models = [
        (IMAGE_MODELS[-1], image.model.config.name, "pixel", cost_of(image.model)),
        (TOKENS_MODELS[-1], tokens.model.config.name, "pixel", tokens_cost_of(tokens.model)),
        (AUDIO_MODELS[-1], audio.model.config.name, "sample", audio_cost_of(audio.model)),
    ]
    if as_json:
        facts = [
            {
                "name": release.name,
                "model_id": release.identity.hex(),
                "preset": preset,
                "parts": {name: {"numbers": n, f"mac_per_{unit}": round(m, 1)} for name, (n, m) in cost.items()},
            }
            for release, preset, unit, cost in models
        ]
        click.echo(json.dumps(facts, indent=1))
        return
    for release, preset, unit, cost in models:
        click.echo(f"{release.name} (preset {preset}, id {release.identity.hex()})")
        click.echo(f"{'part':<20}{'numbers':>12}{'MAC per ' + unit:>16}")
        for name, (numbers, macs) in cost.items():
            click.echo(f"{name:<20}{numbers:>12,}{macs:>16,.1f}")
