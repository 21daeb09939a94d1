"""The codec on a device: the prior to the bit, the same files, pixels that differ by rounding; and what is refused."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from command_line import vqc
from conftest import EXAMPLES, scene
from image.random_network import with_networks
from PIL import Image

import vqcodec
from vqcodec import registry
from vqcodec.benchmarks.image import device as benchmark
from vqcodec.bitstream import Chunk, ImageHeader
from vqcodec.bitstream.arrays import F32, I32, Samples
from vqcodec.errors import DeviceError, SelfCheckError, UsageError
from vqcodec.image.bands import from_bands, to_bands
from vqcodec.image.codec import ImageCodec
from vqcodec.image.codes import CodeModel, walk
from vqcodec.image.config import IMAGE
from vqcodec.image.device import bands as device_bands
from vqcodec.image.device import context as device_context
from vqcodec.image.device import look
from vqcodec.image.device import network as device_network
from vqcodec.image.device.codec import DeviceCodec
from vqcodec.image.device.network import DeviceNetwork
from vqcodec.image.device.synthesis import DeviceFilter
from vqcodec.image.model import ImageModel
from vqcodec.image.synthesis import BLOCK, Filter
from vqcodec.prior import device as device_prior
from vqcodec.prior.device import DeviceSlice, aligned, joined, padded, to_device
from vqcodec.prior.integer import align, join_phases, predict_rows

Seen = dict[tuple[int, int], tuple[I32, F32 | None]]
"""(slice or -1, phase) -> rows and sign."""

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])])
def device(request: pytest.FixtureRequest) -> torch.device:
    """What torch computes on; its CPU stands in for a card."""
    return torch.device(str(request.param))


@pytest.fixture(scope="module")
def released(device: torch.device) -> tuple[ImageCodec, DeviceCodec]:
    codec = registry.load_image_codec()
    return codec, DeviceCodec(codec, device)


@pytest.fixture(scope="module")
def tiny(tiny_codec: ImageCodec, device: torch.device) -> tuple[ImageCodec, DeviceCodec]:
    return tiny_codec, DeviceCodec(tiny_codec, device)


@pytest.fixture(scope="module")
def networked(tiny_model: ImageModel) -> ImageCodec:
    """The tiny codec with networks beside its prior."""
    model, rng = tiny_model, np.random.default_rng(7)
    return ImageCodec(replace(model, codes=with_networks(model.codes, model.config, model.codebooks, rng)), 0)


@pytest.fixture(scope="module")
def networks(networked: ImageCodec, device: torch.device) -> tuple[ImageCodec, DeviceCodec]:
    return networked, DeviceCodec(networked, device)


def lake(height: int, width: int) -> Samples:
    with Image.open(EXAMPLES / "lake.png") as im:
        return np.ascontiguousarray(np.asarray(im.convert("RGB"))[-height:, :width])


def header_of(codec: ImageCodec, pixels: Samples, step: int, *, even: bool = False) -> ImageHeader:
    height, width, planes = pixels.shape
    deep = pixels.dtype == np.uint16
    return ImageHeader(
        width, height, step, planes == 1, False, codec.model_id, codec.model_hint, even=even, deep=deep
    )  # fmt: skip


def check_alike(pair: tuple[ImageCodec, DeviceCodec], pixels: Samples, step: int, effort: int = 5) -> None:
    """Both make files of one size, but for what ties of floats do, and both decode both."""
    made = [codec.encode(pixels, step, tune="psnr" if effort > 5 else "visual", effort=effort) for codec in pair]
    sizes = [sum(len(chunk.payload) for chunk in chunks) for chunks in made]
    assert abs(sizes[0] - sizes[1]) <= 8 + sizes[0] // 1000  # ties differ by processor, too
    header = header_of(pair[0], pixels, step, even=effort > 5)
    for chunks in made:
        check_decodes_alike(pair, header, chunks)


def check_decodes_alike(pair: tuple[ImageCodec, DeviceCodec], header: ImageHeader, chunks: list[Chunk]) -> None:
    codes = [codec.decode_codes(header, chunks) for codec in pair]
    assert all(np.array_equal(a, b) for a, b in zip(*codes, strict=True))
    for faithful in (False, True):
        ours, theirs = (codec.decode(header, chunks, faithful=faithful).astype(int) for codec in pair)
        assert np.abs(ours - theirs).max() <= 1
        assert (ours != theirs).mean() < (0.15 if header.deep else 0.01)


@pytest.mark.parametrize("size", [(1, 1), (40, 56), (65, 130), (200, 3)])
@pytest.mark.parametrize("step", [0, 110, 255])
@pytest.mark.parametrize("planes", [1, 3])
def test_files_are_alike(tiny: tuple[ImageCodec, DeviceCodec], size: tuple[int, int], step: int, planes: int) -> None:
    check_alike(tiny, np.ascontiguousarray(scene(*size)[..., :planes]), step)


@pytest.mark.parametrize(("step", "effort"), [(20, 5), (110, 5), (200, 5), (60, 7)])
def test_the_released_model_is_alike(released: tuple[ImageCodec, DeviceCodec], step: int, effort: int) -> None:
    check_alike(released, lake(150, 200), step, effort)


def test_sixteen_bits_are_alike(released: tuple[ImageCodec, DeviceCodec]) -> None:
    check_alike(released, lake(70, 90).astype(np.uint16) * 257, 30)


def test_tiles_and_damage(tiny: tuple[ImageCodec, DeviceCodec]) -> None:
    """Two tiles of which one is lost, the other cut."""
    pixels = scene(30, 1100)
    chunks: list[Chunk | None] = [*tiny[0].encode(pixels, 110)]
    header = header_of(tiny[0], pixels, 110)
    check_decodes_alike(tiny, header, [chunk for chunk in chunks if chunk is not None])
    chunks[1] = None
    ours, theirs = (codec.decode(header, chunks).astype(int) for codec in tiny)
    assert np.abs(ours - theirs).max() <= 1


def test_the_prior_is_exact(device: torch.device) -> None:
    """Rows and signs of the released prior on maps as large as maps can be, for every slice and phase."""
    rng = np.random.default_rng(3)
    slices = registry.load_image_codec().model.codes.slices
    for s in slices:
        there = DeviceSlice(s, device)
        for p in range(len(s.weight)):
            sign = s.sign_weight[p]
            stacks = [
                None if w is None or not w.size else rng.integers(-127, 128, (2, 7, 9, w.shape[1])).astype(np.float32)
                for w in (s.weight[p], sign)
            ]
            step = rng.integers(0, 256, 2)
            rows, signs = predict_rows(s, p, step, *stacks, (2, 5, 7))
            tensors = [None if x is None else to_device(x, device, torch.float64).movedim(3, 1) for x in stacks]
            found, found_signs = there.rows(p, step, *tensors, (2, 5, 7))
            assert np.array_equal(found, rows)
            assert (signs is None) == (found_signs is None)
            assert signs is None or np.array_equal(found_signs, signs)


def walked(codes: CodeModel, shape: tuple[int, int, int], *, gray: bool = False) -> tuple[Seen, list[I32]]:
    """Rows and signs of all phases, and codes, where every symbol is drawn by chance about the middle."""
    rng = np.random.default_rng(8)
    batch, height, width = shape
    seen: Seen = {}

    def choose(index: int, p: int, rows: I32, sign: F32 | None) -> I32:
        seen[index, p] = rows, sign
        size = codes.low_size if index < 0 else codes.slices[index].codewords
        middle = 0 if index >= 0 and codes.slices[index].d > 1 else size // 2
        drawn = np.rint(middle + rng.laplace(0, rng.choice([0.5, 3, 20], rows.shape)))
        return np.clip(drawn, 0, size - 1).astype(np.int32)

    return seen, walk(codes, rng.integers(0, 256, batch), height, width, choose, gray=gray)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 2), (2, 3, 5)])
def test_networks_are_exact(
    tiny_codec: ImageCodec, networks: tuple[ImageCodec, DeviceCodec], shape: tuple[int, int, int], gray: bool
) -> None:
    (ours, codes), (theirs, same) = (walked(codec.model.codes, shape, gray=gray) for codec in networks)
    assert all(np.array_equal(a, b) for a, b in zip(codes, same, strict=True))
    assert ours.keys() == theirs.keys()
    for at, (rows, sign) in ours.items():
        assert np.array_equal(rows, theirs[at][0])
        assert (sign is None) == (theirs[at][1] is None)
        assert sign is None or np.array_equal(sign, theirs[at][1])
    sight, phases = networks[0].model.codes.sight, range(4)
    assert sight is not None
    plain = walked(tiny_codec.model.codes, shape, gray=gray)[0]
    for at in ((index, p) for index in sight.networks for p in phases):  # each of them has a say
        sign = ours[at][1]
        assert sign is not None
        assert (plain[at][1] is None) == (at[1] == 0)
        assert np.any(ours[at][0] != plain[at][0])
        assert set(np.unique(sign)) == {-1, 1}


def test_a_network_is_exact_at_its_limits(networked: ImageCodec, device: torch.device) -> None:
    """On maps as large as maps can be; layers that give the same everywhere would show nothing."""
    rng = np.random.default_rng(9)
    sight = networked.model.codes.sight
    assert sight is not None

    def maps(count: int) -> F32:
        return rng.integers(-127, 128, (2, count, 5, 7)).astype(np.float32)

    def there_of(x: F32) -> torch.Tensor:
        return to_device(x, device, torch.float64)

    for running in sight.networks.values():
        network, step = running.network, rng.integers(0, 256, 2)
        there = DeviceNetwork(network, device)
        x = maps(network.trunk[0].weight.shape[1])
        features = running.features(x, step)
        assert np.array_equal(features, there.features(there_of(x), step).cpu().numpy())
        assert len(np.unique(features)) > 9
        for p, head in enumerate(network.heads):
            own = maps(head.own.shape[1]) if p else None
            wanted = running.added(p, own, features, step)
            found = there.added(p, None if own is None else padded(there_of(own)), there_of(features), step)
            assert np.array_equal(wanted, found.cpu().numpy())
            assert len(np.unique(wanted)) > 9


@pytest.mark.parametrize(("size", "step"), [((40, 56), 0), ((130, 200), 110), ((65, 3), 255)])
def test_files_of_networks_are_alike(
    networks: tuple[ImageCodec, DeviceCodec], size: tuple[int, int], step: int
) -> None:
    check_alike(networks, scene(*size), step)


@pytest.mark.parametrize("grid", [(4, 6), (8, 12), (16, 24), (2, 3)])
def test_maps_are_brought_to_grids_alike(device: torch.device, grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    parts = [rng.integers(-9, 9, (2, 4, 6, 3)).astype(np.float32) for _ in range(4)]
    whole = joined([to_device(part, device).movedim(3, 1) for part in parts])
    assert np.array_equal(whole.movedim(1, 3).cpu().numpy(), join_phases(parts))
    found = aligned(whole, *grid).movedim(1, 3).cpu().numpy()
    assert np.array_equal(found, align(join_phases(parts), *grid))


def test_the_wavelet_is_that_of_the_cpu(device: torch.device) -> None:
    x = np.random.default_rng(5).uniform(-200, 200, (3, 2, 64, 128)).astype(np.float32)
    there = device_bands.to_bands(to_device(x, device), IMAGE.levels)
    for ours, theirs in zip(to_bands(x, IMAGE.levels), there, strict=True):
        assert np.abs(ours - theirs.cpu().numpy()).max() < 1e-3
    assert np.abs(device_bands.from_bands(there).cpu().numpy() - from_bands(to_bands(x, IMAGE.levels))).max() < 1e-3


def test_the_filter_is_that_of_the_cpu(device: torch.device) -> None:
    rng = np.random.default_rng(6)
    planes: F32 = 15 * rng.standard_normal((3, 96, 80), np.float32)
    factor = rng.uniform(0.5, 2, (96 // BLOCK, 80 // BLOCK)).astype(np.float32)
    tensors, place = registry.load_image_codec().model.restore, (slice(32, 90), slice(0, 44))
    ours = Filter(tensors, 120).window(planes, factor, *place)
    work = DeviceFilter(tensors, 120, device, even=False)
    theirs = work.window(to_device(planes, device), to_device(factor, device), place).cpu().numpy()
    assert np.abs(ours - planes[:, *place]).max() > 0.1
    assert np.abs(ours - theirs).max() < 1e-3


def test_a_device_that_errs_is_found_out(tiny_codec: ImageCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    real = device_prior.convolve
    monkeypatch.setattr(device_prior, "convolve", lambda x, weight: real(x, weight.bfloat16().double() * 1.01))
    with pytest.raises(SelfCheckError, match="does not reproduce the prior exactly; use device 'cpu'"):
        DeviceCodec(tiny_codec, torch.device("cpu"))


def test_a_network_that_errs_is_found_out(networked: ImageCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_network, "convolve", lambda x, weight: device_prior.convolve(x, weight) * 1.01)
    with pytest.raises(SelfCheckError, match="does not reproduce the prior exactly; use device 'cpu'"):
        DeviceCodec(networked, torch.device("cpu"))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tiny_codec: ImageCodec) -> list[str]:
    """A machine whose card is torch's CPU and whose model is the tiny one; notes when a context is made there."""
    made: list[str] = []
    real = device_context.DevicePrior.context

    def context(self: device_context.DevicePrior, *args: object) -> object:
        made.append(self.device.type)
        return real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(device_context.DevicePrior, "context", context)
    monkeypatch.setattr(registry, "load_image_codec", lambda: tiny_codec)
    monkeypatch.setattr(registry, "image_codec_for", lambda header: tiny_codec)
    monkeypatch.setattr(registry, "_placed", {})
    monkeypatch.setattr(registry, "_missing", lambda: "")
    monkeypatch.setattr(registry, "_on_card", lambda codec: DeviceCodec(codec, torch.device("cpu")))
    return made


@pytest.mark.parametrize("asked", ["cuda", "auto"])
def test_the_public_functions_use_it(stand_in: list[str], asked: str, rgb: Samples) -> None:
    noisy = np.clip(rgb + np.random.default_rng(0).normal(0, 9, rgb.shape), 0, 255).astype(np.uint8)
    data = vqcodec.compress(noisy, device="cpu", quality=50, threads=1)
    assert not stand_in
    assert vqcodec.compress(noisy, device=asked, quality=50, threads=1) == data  # type: ignore[arg-type]
    before = len(stand_in)
    assert before > 0
    here = np.asarray(vqcodec.decompress(data, kind="image")).astype(int)
    assert len(stand_in) == before
    there = np.asarray(vqcodec.decompress(data, kind="image", device=asked))  # type: ignore[call-overload]
    assert len(stand_in) == before + 1
    assert np.abs(here - there).max() <= 1
    vqcodec.register_pillow()
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "VQC", quality=50, device=asked)
    assert buffer.getvalue() == data
    aimed = vqcodec.compress(noisy, device=asked, target_psnr=33)  # type: ignore[arg-type]
    assert vqcodec.info(aimed)["bytes"] > 0


@pytest.fixture
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(registry, "_placed", {})


@pytest.mark.usefixtures("no_card")
def test_the_command_says_what_is_missing(photo: Path, tmp_path: Path) -> None:
    result = vqc("compress", photo, tmp_path / "photo.vqc", "--device", "cuda")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "photo.png: device 'cuda' is not there: torch finds no CUDA device" in result.stderr
    assert not (tmp_path / "photo.vqc").exists()
    assert vqc("compress", photo, tmp_path / "photo.vqc", "--device", "auto").exit_code == 0
    result = vqc("decompress", tmp_path / "photo.vqc", tmp_path / "back.png", "--device", "cuda")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert vqc("decompress", tmp_path / "photo.vqc", tmp_path / "back.png", "--device", "auto").exit_code == 0
    assert vqc("compress", photo, tmp_path / "o.vqc", "--device", "cuda", "--lossless").exit_code == 2
    assert vqc("compress", photo, tmp_path / "o.vqc", "--device", "tpu").exit_code == 2


def test_the_benchmark(stand_in: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "ROUNDS", 1)
    Image.fromarray(lake(64, 96)).save(tmp_path / "lake.png")
    facts = benchmark.run(tmp_path / "lake.png", tmp_path / "out", "cuda")
    assert facts == json.loads((tmp_path / "out" / "picture-cuda.json").read_text())
    assert stand_in
    assert facts["same file"]
    assert facts["largest difference"] <= 1
    assert facts["cpu"]["bytes"] == facts["cuda"]["bytes"]


@pytest.mark.usefixtures("no_card")
def test_no_card(photo: Path) -> None:
    wanted = r"photo.png: device 'cuda' is not there: torch finds no CUDA device.*; give 'auto' or 'cpu'"
    with pytest.raises(DeviceError, match=wanted):
        vqcodec.compress(photo, device="cuda")
    data = vqcodec.compress(photo, device="auto")
    assert data == vqcodec.compress(photo)
    with pytest.raises(DeviceError, match="torch finds no CUDA device"):
        vqcodec.decompress(data, device="cuda")
    assert vqcodec.decompress(data, device="auto") == vqcodec.decompress(data)


def test_no_torch(monkeypatch: pytest.MonkeyPatch, photo: Path) -> None:
    monkeypatch.setattr(registry, "_placed", {})
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(DeviceError, match=r"device 'cuda' is not there: torch cannot be imported"):
        vqcodec.compress(photo, device="cuda")
    assert vqcodec.compress(photo, device="auto") == vqcodec.compress(photo)


def test_what_has_no_way_there(photo: Path, rgb: Samples) -> None:
    with pytest.raises(UsageError, match="device 'tpu' is not known; give auto, cpu, cuda"):
        vqcodec.compress(photo, device="tpu")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="device 'tpu' is not known"):
        vqcodec.decompress(b"", device="tpu")  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="lossless is work for the CPU; leave out device 'cuda'"):
        vqcodec.compress(photo, lossless=True, device="cuda")
    exact = vqcodec.compress(photo, lossless=True, device="auto")
    assert np.array_equal(np.asarray(vqcodec.decompress(exact, device="auto")), rgb)
    with pytest.raises(UsageError, match="leave it out with model 'tokens'"):
        vqcodec.compress(photo, model="tokens", device="cuda")
    with pytest.raises(UsageError, match="these are tokens"):
        registry.placed(SimpleNamespace(), "cuda")  # type: ignore[arg-type]
    speech = EXAMPLES / "speech.flac"
    with pytest.raises(UsageError, match="device is for pictures, and this is sound; leave it out"):
        vqcodec.compress(speech, device="cuda")
    noise = np.random.default_rng(1).normal(0, 0.1, 9_600).astype(np.float32)
    sound = vqcodec.compress(noise, sample_rate=48_000, quality=10, device="auto")
    assert not vqcodec.info(sound)["lossless"]
    with pytest.raises(UsageError, match="device is for pictures"):
        vqcodec.decompress(sound, device="cuda")
    assert len(vqcodec.decompress(sound, kind="audio", device="auto").samples) == 9_600


@pytest.mark.usefixtures("no_card")
def test_what_is_lossless_needs_no_device(tmp_path: Path, rgb: Samples) -> None:
    """Nobody need sort a folder by what became lossless by itself; what cannot be done there is still refused."""
    packed = tmp_path / "packed"
    packed.mkdir()
    noise = np.random.default_rng(1).integers(-9_000, 9_000, 480).astype(np.int16)
    files = {
        "asked": vqcodec.compress(rgb, lossless=True),
        "by-itself": vqcodec.compress(np.full((64, 64, 3), 200, np.uint8)),
        "sound": vqcodec.compress(noise, sample_rate=48_000, quality=90),
    }
    for name, data in files.items():
        assert vqcodec.info(data)["lossless"]
        (packed / f"{name}.vqc").write_bytes(data)
    assert np.array_equal(np.asarray(vqcodec.decompress(files["asked"], kind="image", device="cuda")), rgb)
    assert len(vqcodec.decompress(files["sound"], kind="audio", device="cuda").samples) == 480
    result = vqc("decompress", packed, "-o", tmp_path / "out", "--device", "cuda")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["asked.png", "by-itself.png", "sound.wav"]
    (packed / "codes.vqc").write_bytes(vqcodec.compress(scene(90, 120), quality=50))
    assert not vqcodec.info(packed / "codes.vqc")["lossless"]
    result = vqc("decompress", packed, "-o", tmp_path / "out", "--device", "cuda", "--force")
    assert result.exit_code == 1
    assert "codes.vqc: device 'cuda' is not there" in result.stderr
    assert "1 of 4 files failed" in result.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.skipif(torch.version.cuda is not None and sys.platform != "linux", reason="this torch is built for CUDA")
def test_auto_loads_no_torch_where_it_would_find_nothing(photo: Path) -> None:
    script = (
        "import sys, vqcodec; data = vqcodec.compress(sys.argv[1], device='auto', threads=1);"
        "vqcodec.decompress(data, device='auto'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(photo)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


CPU, CUDA, ROCM = "cuda, hip = None, None", "cuda, hip = '12.8', None", "cuda, hip = None, '7.0'"


@pytest.mark.parametrize(
    ("version", "platform", "driver", "node", "wanted"),
    [
        (CPU, "linux", True, "nvidia0", False),
        (CPU, "darwin", False, "", False),
        (CPU, "win32", False, "", False),
        (CUDA, "linux", False, "", False),
        (CUDA, "linux", False, "nvme0", False),  # a disk
        (CUDA, "linux", True, "", True),
        *((CUDA, "linux", False, node, True) for node in ("nvidia0", "nvidiactl", "nvhost-ctrl", "nvmap", "dxg")),
        (CUDA, "win32", False, "", True),
        (ROCM, "linux", False, "", True),
        ("cuda = None", "linux", False, "", True),  # who knows what it is
        ("no python", "linux", False, "", True),
        (None, "linux", False, "", True),
    ],
)
def test_a_card_is_missed_by_torch_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str | None,
    platform: str,
    driver: bool,
    node: str,
    wanted: bool,
) -> None:
    """Where torch might find one it is asked; a torch that was built so, on such a machine, is made up here."""
    for folder in ("torch", "dev"):
        (tmp_path / folder).mkdir()
    for name in ("null", node):
        (tmp_path / "dev" / (name or "zero")).touch()
    (tmp_path / "torch" / "__init__.py").write_text("raise AssertionError('was imported')")
    if version is not None:
        (tmp_path / "torch" / "version.py").write_text(version)

    def load(name: str) -> None:
        assert name == "libcuda.so.1"
        if not driver:
            raise OSError(name)

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(look.ctypes, "CDLL", load)
    monkeypatch.setattr(look, "_DEVICES", tmp_path / "dev")
    found = look.may_be_there()
    monkeypatch.undo()  # before pytest looks at anything on such a machine
    assert found == wanted


def test_a_torch_that_is_loaded_or_absent_speaks_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "_built_for", lambda folder: (False, False))
    assert look.may_be_there()
    monkeypatch.delitem(sys.modules, "torch")
    assert not look.may_be_there()
    monkeypatch.setattr(look, "find_spec", lambda name: None)
    assert look.may_be_there()
