"""A small tokens model: begun in closed form, with noise in what begins as zero, so that every part does something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import EXAMPLES
from PIL import Image

if TYPE_CHECKING:
    from vqcodec.image.tokens.codec import TokensCodec
    from vqcodec.image.tokens.model import TokensModel
    from vqcodec.image.tokens.train.network import TokensNetwork


@pytest.fixture(scope="session")
def corners() -> np.ndarray:
    """Corners of the example photographs, [N, 128, 128, 3]."""
    crops = []
    for path in sorted(EXAMPLES.glob("*.png")):
        with Image.open(path) as im:
            picture = np.asarray(im.convert("RGB"))
        crops += [picture[:128, :128], picture[-128:, -128:], picture[:128, -128:], picture[-128:, :128]]
    return np.stack(crops)


@pytest.fixture(scope="session")
def tiny_network(corners: np.ndarray) -> TokensNetwork:
    import torch

    from vqcodec.image.tokens.config import PRESETS
    from vqcodec.image.tokens.train.network import TokensNetwork
    from vqcodec.image.tokens.train.start import start_network, to_planes

    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        network = TokensNetwork(PRESETS["tokens-tiny"])
        start_network(network, to_planes(torch.from_numpy(corners), torch.eye(3)), torch.Generator().manual_seed(3))
        for p in network.parameters():
            p.add_(0.01 * torch.randn(p.shape))
    return network.requires_grad_(False)


@pytest.fixture(scope="session")
def tiny_tokens(tiny_network: TokensNetwork) -> TokensModel:
    import torch

    from vqcodec.image.tokens.model import TokensModel
    from vqcodec.image.tokens.train.prior import PriorNetwork, export_prior

    top, bottom, residual = (book.words.numpy() for book in tiny_network.books())
    words = (top, bottom, residual)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        prior = PriorNetwork(tiny_network.config, words)
    error = np.array([float(book.error) for book in (tiny_network.top, tiny_network.bottom)], np.float32)
    eye = np.eye(3, dtype=np.float32)
    return TokensModel(tiny_network.config, eye, words, error, tiny_network.arrays(), export_prior(prior))


@pytest.fixture(scope="session")
def tokens_codec(tiny_tokens: TokensModel) -> TokensCodec:
    from vqcodec.image.tokens.codec import TokensCodec

    return TokensCodec(tiny_tokens, 0, 1)


@pytest.fixture
def installed(tokens_codec: TokensCodec, monkeypatch: pytest.MonkeyPatch) -> TokensCodec:
    """The small model in the place of the shipped one."""
    from vqcodec import registry

    monkeypatch.setattr(registry, "load_tokens_codec", lambda: tokens_codec)
    monkeypatch.setattr(registry, "image_codec_for", lambda header: tokens_codec)
    return tokens_codec
