"""Distances between two sounds, float [T] or [T, C] of one shape and sample rate; stereo is compared as its downmix.

PESQ-WB is ITU-T P.862.2 (package ``pesq``), STOI and ESTOI are Taal et al. (2011) and Jensen and Taal (2016) in
``pystoi``, all at 16 kHz; ViSQOL v3 is Chinen et al. (2020) in ``visqol-python``: speech mode at 16 kHz with its
lattice model, audio mode at 48 kHz; Zimtohrli (Google, 2023; package ``zimtohrli``) is a distance in an auditory
spectrogram, at 48 kHz; DNSMOS P.835 (Reddy et al., 2022; the network in ``speechmos``) needs no reference. The mel
distance is ours, in the manner of what codecs are trained with.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.errors import UsageError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from visqol import VisqolApi

__all__ = ["dnsmos", "estoi", "mel_distance", "mono", "pesq_wb", "resample", "stoi", "visqol", "zimtohrli"]

Sound = NDArray[np.floating[Any]]

SPEECH_RATE = 16000  # Hz; what PESQ-WB is defined for, and STOI and ViSQOL's speech mode are used with
AUDIO_RATE = 48000  # Hz; ViSQOL's audio mode, Zimtohrli
DNSMOS_SAMPLES = 144_160  # that its network takes, 9.01 s
DNSMOS_OVERALL = (-0.06766283, 1.11546468, 0.04602535)  # from its output to opinion scores, as its authors fitted them
MEL_WINDOWS = (256, 512, 1024, 2048)  # samples at 24 kHz: 11 to 85 ms
MEL_BANDS = (24, 40, 64, 96)
MEL_FLOOR = 1e-4  # of a full-scale sine: what is 80 dB below it counts as silence


def mono(samples: Sound) -> Sound:
    """The mean of the channels of [T, C], or [T] as it is."""
    return samples.mean(axis=1) if samples.ndim == 2 else samples


def resample(samples: Sound, rate: int, wanted: int) -> Sound:
    """Samples [T] or [T, C] at another rate in Hz."""
    if rate == wanted:
        return samples
    import soxr

    changed: Sound = soxr.resample(samples, rate, wanted, quality="VHQ")
    return changed


def _pair(reference: Sound, degraded: Sound, rate: int, wanted: int) -> tuple[Sound, Sound]:
    if reference.shape != degraded.shape:
        raise ValueError(f"sounds differ in shape: {reference.shape} and {degraded.shape}")
    first, second = (resample(mono(sound).astype(np.float64), rate, wanted) for sound in (reference, degraded))
    return first, second


def pesq_wb(reference: Sound, degraded: Sound, rate: int) -> float | None:
    """PESQ-WB as MOS-LQO, 1.04 to 4.64; None where there is less than a quarter of a second, or silence alone."""
    from pesq import BufferTooShortError, NoUtterancesError, pesq

    first, second = _pair(reference, degraded, rate, SPEECH_RATE)
    if not first.any() or not second.any():
        return None
    try:
        return float(pesq(SPEECH_RATE, first, second, "wb"))
    except (BufferTooShortError, NoUtterancesError):
        return None


def _intelligibility(reference: Sound, degraded: Sound, rate: int, extended: bool) -> float | None:
    from pystoi import stoi as measure

    first, second = _pair(reference, degraded, rate, SPEECH_RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it warns, and returns 1e-5, where too little is left after removing silence
        try:
            return float(measure(first, second, SPEECH_RATE, extended=extended))
        except (RuntimeWarning, ValueError):
            return None


def stoi(reference: Sound, degraded: Sound, rate: int) -> float | None:
    """Short-time objective intelligibility, 0..1; None where there is too little speech."""
    return _intelligibility(reference, degraded, rate, extended=False)


def estoi(reference: Sound, degraded: Sound, rate: int) -> float | None:
    """Extended short-time objective intelligibility, 0..1; None where there is too little speech."""
    return _intelligibility(reference, degraded, rate, extended=True)


@cache
def _visqol(mode: str) -> VisqolApi:
    from visqol import VisqolApi

    api = VisqolApi()
    # Asked for by name: without the lattice model the figures would be 0.4 to 1.4 too high, with no error.
    api.create(mode=mode, use_lattice_model=True if mode == "speech" else None)
    return api


def visqol(reference: Sound, degraded: Sound, rate: int, *, speech: bool) -> float | None:
    """ViSQOL MOS-LQO, 1..5: speech mode at 16 kHz or audio mode at 48 kHz; None below 80 ms, or for silence alone."""
    wanted = SPEECH_RATE if speech else AUDIO_RATE
    first, second = _pair(reference, degraded, rate, wanted)
    if len(first) < 0.08 * wanted or not first.any() or not second.any():
        return None
    return float(_visqol("speech" if speech else "audio").measure_from_arrays(first, second, wanted).moslqo)


def zimtohrli(reference: Sound, degraded: Sound, rate: int) -> float | None:
    """Zimtohrli as a mean opinion score, 1..5; None below 80 ms, or for silence alone."""
    from zimtohrli import mos_from_signals

    first, second = _pair(reference, degraded, rate, AUDIO_RATE)
    if len(first) < 0.08 * AUDIO_RATE or not first.any():
        return None
    return float(mos_from_signals(first.astype(np.float32), second.astype(np.float32)))


@cache
def _dnsmos() -> InferenceSession:
    """The network of the package, whose own code would need librosa.

    Raises:
        UsageError: the package is not installed.
    """
    import onnxruntime

    found = find_spec("speechmos")
    if found is None or found.origin is None:
        raise UsageError("DNSMOS needs its network: pip install speechmos")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = Path(found.origin).parent / "dnsmos_models" / "sig_bak_ovr.onnx"
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def dnsmos(degraded: Sound, rate: int) -> float | None:
    """DNSMOS P.835, overall quality of speech, 1..5, without a reference; None for silence alone.

    The mean over windows of 9 s, a second apart; shorter sounds are repeated until they fill one.
    """
    sound = resample(mono(degraded).astype(np.float64), rate, SPEECH_RATE)
    if not sound.any():
        return None
    sound = np.clip(sound, -1, 1).astype(np.float32)
    sound = np.tile(sound, -(-DNSMOS_SAMPLES // len(sound)))
    scores = [
        np.polyval(DNSMOS_OVERALL, _dnsmos().run(None, {"input_1": sound[None, at : at + DNSMOS_SAMPLES]})[0][0][2])
        for at in range(0, len(sound) - DNSMOS_SAMPLES + 1, SPEECH_RATE)
    ]
    return float(np.mean(scores))


def _hertz_to_mel(hertz: Sound) -> Sound:
    return 2595 * np.log10(1 + hertz / 700)


@cache
def _filters(rate: int, length: int, bands: int) -> Sound:
    """Triangles on the mel scale from 0 Hz to half the rate, [length // 2 + 1, bands]; each sums to 1."""
    bins = _hertz_to_mel(np.fft.rfftfreq(length, 1 / rate))
    edges = np.linspace(0, bins[-1], bands + 2)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    triangles = np.clip(np.minimum(rising, falling), 0, None)
    # Low bands of short windows lie between two bins; they take the nearer one.
    empty = np.flatnonzero(triangles.sum(axis=0) == 0)
    triangles[np.abs(bins[:, None] - edges[1:-1][empty]).argmin(axis=0), empty] = 1
    weights: Sound = triangles / triangles.sum(axis=0)
    return weights


def _log_mel(samples: Sound, rate: int, length: int, bands: int) -> Sound:
    """Level in dB of each mel band over time, [frames, bands]."""
    padded = np.pad(samples, length // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[:: length // 4]
    window = np.hanning(length + 1)[:-1]
    power = np.abs(np.fft.rfft(frames * window, axis=1) * (2 / window.sum())) ** 2
    levels: Sound = 10 * np.log10(np.maximum(power @ _filters(rate, length, bands), MEL_FLOOR**2))
    return levels


def mel_distance(reference: Sound, degraded: Sound, rate: int) -> float:
    """Mean absolute difference of log-mel spectra in dB up to half the sample rate, over four windows; 0 is best.

    Windows of 11, 21, 43 and 85 ms with 24, 40, 64 and 96 bands, quarter hops. Levels stop at 80 dB below a full-scale
    sine, so that nobody is asked to code noise that is not heard.
    """
    first, second = _pair(reference, degraded, rate, rate)
    distances = []
    for window, bands in zip(MEL_WINDOWS, MEL_BANDS, strict=True):
        length = 2 * round(window * rate / 24000 / 2)
        length = max(8, length - length % 4)
        difference = _log_mel(first, rate, length, bands) - _log_mel(second, rate, length, bands)
        distances.append(np.abs(difference).mean())
    return float(np.mean(distances))
