"""Sound in and out: formats, arrays and tensors, what is refused, what a file keeps."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from vqcodec.audio.files import Sound, array_source, open_sound
from vqcodec.audio.save import save_sound, write_sound
from vqcodec.audio.stream import SoundStream
from vqcodec.audio.tags import flac_picture
from vqcodec.errors import InputError, LimitError, OutputError, UsageError, VqcWarning
from vqcodec.kinds import is_sound

RATE = 16_000
TAGS = {"TITLE": ["Tüte"], "ARTIST": ["two\nlines"], "ALBUMARTIST": ["x"]}
COVER = flac_picture(3, "image/png", "", b"\x89PNG picture")
DAY = 86_400


def tone(samples: int = 8_000, channels: int = 2) -> np.ndarray:
    t = np.arange(samples)[:, None] / RATE
    return (0.4 * np.sin(2 * np.pi * 300 * (1 + np.arange(channels)) * t)).astype(np.float32)


def read(source, **options) -> np.ndarray:
    with open_sound(source, max_seconds=DAY, **options) as sound:
        return np.concatenate(list(sound.blocks()))


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.wav", {}, 1e-4),
        ("a.wav", {"subtype": "FLOAT"}, 1e-7),
        ("a.wav", {"format": "RF64"}, 1e-4),
        ("a.flac", {"subtype": "PCM_24"}, 1e-6),
        ("a.aiff", {}, 1e-4),
        ("a.ogg", {}, 0.05),
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}, 1.0),
        ("a.mp3", {}, 0.1),
    ],
)
def test_formats(tmp_path, name, options, tolerance):
    samples, path = tone(), tmp_path / name
    soundfile.write(path, samples, RATE, **options)
    data = path.read_bytes()
    assert is_sound(data[:16])
    assert is_sound(b"", str(path))
    for source in (path, str(path), data, io.BytesIO(data)):
        with open_sound(source, max_seconds=DAY) as sound:
            assert (sound.sample_rate, sound.channels) == (RATE, 2)
            first, second = (np.concatenate(list(sound.blocks())) for _ in range(2))
        assert first.shape == samples.shape
        assert np.array_equal(first, second)
        assert np.abs(first - samples).max() < tolerance


def test_what_was_read_of_an_open_file_is_put_back(tmp_path):
    class Pipe(io.RawIOBase):
        """Neither seekable nor of known length."""

        def __init__(self, data: bytes) -> None:
            self.data = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer) -> int:
            return self.data.readinto(buffer)

    soundfile.write(tmp_path / "a.wav", tone(), RATE)
    pipe = Pipe((tmp_path / "a.wav").read_bytes())
    head = pipe.read(16)
    assert read(pipe, head=head).shape == (8_000, 2)


@pytest.mark.parametrize(
    ("head", "name", "expected"),
    [
        (b"RIFF\0\0\0\0WAVE", "", True),
        (b"RIFF\0\0\0\0WEBP", "a.webp", False),
        (b"\xff\xfb\x90\x00", "", True),
        (b"\xff\xd8\xff\xe0", "a.jpg", False),
        (b"\xff\x0a", "a.jxl", False),
        (b"\0\0\0\0", "a.MP3", True),
        (b"\x89VQC\r\n", "a.wav", False),
        (b"\x89PNG\r\n", "a.png", False),
        (b"", "", False),
    ],
)
def test_kinds(head, name, expected):
    assert is_sound(head, name) is expected


@pytest.mark.parametrize("samples", [1, 2, 65_536, 65_537])
def test_lengths(tmp_path, samples):
    soundfile.write(tmp_path / "a.flac", tone(samples, 1), RATE)
    assert read(tmp_path / "a.flac").shape == (samples, 1)


class TestRefused:
    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match=r"gone\.wav: no such file"):
            read(tmp_path / "gone.wav")

    def test_folder(self, tmp_path):
        with pytest.raises(InputError, match="is a folder"):
            read(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"no sound at all", b"RIFF\0\0\0\0WAVEfmt "])
    @pytest.mark.parametrize("name", ["a.wav", "a.raw"])
    def test_no_sound(self, tmp_path, content, name):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)
        with pytest.raises(InputError, match="the input: cannot be read as sound"):
            read(content)

    def test_cut_flac(self, tmp_path):
        soundfile.write(tmp_path / "a.flac", np.random.default_rng(1).uniform(-1, 1, (90_000, 2)), RATE)
        (tmp_path / "a.flac").write_bytes((tmp_path / "a.flac").read_bytes()[:-90_000])
        with pytest.raises(InputError, match=r"a\.flac: .*whole"):
            read(tmp_path / "a.flac")

    def test_no_samples(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", tone(0), RATE)
        with pytest.raises(InputError, match=r"a\.wav: holds no samples"):
            read(tmp_path / "a.wav")

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 12_000.0])
    def test_samples_that_are_none(self, tmp_path, bad):
        samples = tone(70_000)
        samples[69_000, 1] = bad
        soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
        with pytest.raises(InputError, match=r"a\.wav: the sample at 4\.312 s is"):
            read(tmp_path / "a.wav")

    def test_too_long(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", tone(2 * RATE + 1), RATE)
        with pytest.raises(LimitError, match=r"a\.wav: .*--max-seconds"), open_sound(tmp_path / "a.wav", max_seconds=2):
            pass

    def test_layout_of_a_file(self, tmp_path):
        soundfile.write(tmp_path / "many.wav", tone(100, 9), RATE)
        with pytest.raises(LimitError, match="9 channels"):
            read(tmp_path / "many.wav")
        soundfile.write(tmp_path / "slow.wav", tone(100, 1), 500)
        with pytest.raises(InputError, match="500 Hz"):
            read(tmp_path / "slow.wav")


class TestArrays:
    def test_layouts_and_types(self):
        import torch

        samples = tone(100)
        for given in (
            samples,
            samples.astype(np.float64),
            np.rint(samples * 2**15).astype(np.int16),
            np.rint(samples.astype(np.float64) * 2**31).astype(np.int32),
            torch.from_numpy(samples.T.copy()),
        ):
            source = array_source(given, RATE, max_seconds=DAY)
            assert source.channels == 2
            np.testing.assert_allclose(np.concatenate(list(source.blocks())), samples, atol=2e-5)
        for mono in (samples[:, 0], torch.from_numpy(samples[:, 0].copy())):
            assert array_source(mono, RATE, max_seconds=DAY).channels == 1

    @pytest.mark.parametrize(
        ("array", "error"),
        [
            (np.zeros((2, 3, 4), np.float32), UsageError),
            (np.zeros(5, np.uint8), UsageError),
            (np.zeros(5, complex), UsageError),
            (np.zeros((2, 1_000), np.float32), LimitError),
            (np.zeros((5, 0), np.float32), LimitError),
            (np.zeros(RATE * 3, np.float32), LimitError),
        ],
    )
    def test_refused(self, array, error):
        with pytest.raises(error):
            array_source(array, RATE, max_seconds=2)

    @pytest.mark.parametrize("rate", [0, -5, 999, 2**20])
    def test_rate(self, rate):
        with pytest.raises(UsageError, match="sample rate"):
            array_source(tone(5), rate, max_seconds=2)

    @pytest.mark.parametrize("bad", [np.nan, 1e300, -1e300])
    def test_samples_that_are_none(self, bad):
        source = array_source(np.array([0, bad]), RATE, max_seconds=2)
        with pytest.raises(InputError, match="not a finite number"):
            list(source.blocks())


def stream(samples: np.ndarray, tags=None, picture: bytes | None = None) -> SoundStream:
    blocks = iter(np.array_split(samples, 3))
    return SoundStream(RATE, samples.shape[1], len(samples), blocks, tags or {}, picture)


class TestOut:
    @pytest.mark.parametrize("suffix", [".wav", ".flac", ".WAV"])
    @pytest.mark.parametrize("channels", [1, 2, 6])
    def test_samples(self, tmp_path, suffix, channels):
        samples = tone(channels=channels)
        samples[:4] = [[2], [-2], [1], [-1]]
        path = tmp_path / f"a{suffix}"
        assert save_sound(stream(samples), path, force=False) == []
        back, rate = soundfile.read(path, dtype="int16", always_2d=True)
        assert rate == RATE
        assert soundfile.info(path).subtype == "PCM_16"
        assert np.array_equal(back, np.clip(np.rint(samples * 32_768), -32_768, 32_767))

    def test_flac_keeps_everything(self, tmp_path):
        path = tmp_path / "a.flac"
        assert save_sound(stream(tone(), TAGS, COVER), path, force=False) == []
        with open_sound(path, max_seconds=DAY) as sound:
            assert sound.metadata == {
                "tags": b"TITLE=T\xc3\xbcte\nARTIST=two\\nlines\nALBUMARTIST=x\n",
                "picture": COVER,
            }
            assert sum(map(len, sound.blocks())) == 8_000
        assert soundfile.info(path).frames == 8_000

    def test_wav_keeps_most_and_says_so(self, tmp_path):
        path = tmp_path / "a.wav"
        notes = save_sound(stream(tone(), TAGS, COVER), path, force=False)
        assert len(notes) == 2
        assert "ALBUMARTIST" in notes[0]
        assert "cover" in notes[1]
        with open_sound(path, max_seconds=DAY) as sound:
            assert sound.metadata == {"tags": b"TITLE=T\xc3\xbcte\nARTIST=two\\nlines\n"}
            assert sum(map(len, sound.blocks())) == 8_000

    def test_two_pictures(self, tmp_path):
        save_sound(stream(tone(), {}, COVER), tmp_path / "a.flac", force=False)
        data = (tmp_path / "a.flac").read_bytes()
        block = b"\x06" + len(COVER).to_bytes(3, "big") + COVER
        (tmp_path / "a.flac").write_bytes(data[:42] + block + data[42:])
        with open_sound(tmp_path / "a.flac", max_seconds=DAY) as sound:
            assert sound.metadata["picture"] == COVER
            assert sound.notes == ("only one of its 2 pictures is kept",)

    def test_a_picture_that_is_too_large(self, tmp_path, monkeypatch):
        save_sound(stream(tone(), {"TITLE": "x" * 20}, COVER), tmp_path / "a.flac", force=False)
        monkeypatch.setattr("vqcodec.audio.files.METADATA_BYTES", 30)
        with open_sound(tmp_path / "a.flac", max_seconds=DAY) as sound:
            assert list(sound.metadata) == ["tags"]
            assert ["picture" in note for note in sound.notes] == [True]
        monkeypatch.setattr("vqcodec.audio.files.METADATA_BYTES", 20)
        with open_sound(tmp_path / "a.flac", max_seconds=DAY) as sound:
            assert sound.metadata == {}
            assert len(sound.notes) == 2
        monkeypatch.setattr("vqcodec.audio.save.METADATA_BYTES", 20)
        notes = save_sound(stream(tone(), {}, COVER), tmp_path / "b.flac", force=False)
        assert notes == ["FLAC keeps no picture of more than 16 MiB: dropped"]
        assert soundfile.info(tmp_path / "b.flac").frames == 8_000

    def test_more_than_riff_can_count(self, monkeypatch):
        monkeypatch.setattr("vqcodec.audio.save._RIFF_LIMIT", 1_000)
        file = io.BytesIO()
        write_sound(stream(tone(), {"TITLE": "x"}), file)
        assert file.getvalue()[:4] == b"RF64"
        samples, _ = soundfile.read(io.BytesIO(file.getvalue()))
        assert samples.shape == (8_000, 2)
        assert struct.unpack_from("<Q", file.getvalue(), 20)[0] == len(file.getvalue()) - 8

    def test_riff_sizes(self):
        file = io.BytesIO()
        write_sound(stream(tone(7, 1), {"TITLE": "abc"}), file)
        assert struct.unpack_from("<I", file.getvalue(), 4)[0] == len(file.getvalue()) - 8

    def test_suffix(self, tmp_path):
        for name in ("a.mp3", "a", "a.png"):
            with pytest.raises(UsageError, match=r"\.flac \.wav"):
                save_sound(stream(tone()), tmp_path / name, force=False)

    def test_what_flac_cannot_hold(self, tmp_path):
        sound = SoundStream(1_000_000, 1, 10, iter([tone(10, 1)]))
        with pytest.raises(OutputError, match=r"a\.flac: .*\.wav"):
            save_sound(sound, tmp_path / "a.flac", force=False)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("suffix", [".wav", ".flac"])
    def test_nothing_is_left_of_a_sound_that_fails(self, tmp_path, suffix):
        def blocks():
            yield tone(10)
            raise InputError("damaged")

        with pytest.raises(InputError):
            save_sound(SoundStream(RATE, 2, 20, blocks()), tmp_path / f"a{suffix}", force=False)
        assert list(tmp_path.iterdir()) == []


class TestSound:
    def test_save(self, tmp_path):
        sound = Sound(tone(), RATE, TAGS, COVER)
        assert sound.duration == 0.5
        assert sound.cover == b"\x89PNG picture"
        sound.save(tmp_path / "a.flac")  # a warning would be an error here
        with pytest.raises(OutputError, match="exists"):
            sound.save(tmp_path / "a.flac")
        with pytest.warns(VqcWarning, match=r"a\.wav: WAV keeps no") as caught:
            sound.save(tmp_path / "a.wav", force=True)
        assert len(caught) == 2
        assert "cover" in str(caught[1].message)
        with pytest.raises(OutputError, match="zero byte"):
            sound.save(f"{tmp_path}/a\0.wav")
        assert Sound(tone(), RATE).cover is None

    def test_tensor(self):
        import torch

        tensor = Sound(tone(), RATE).tensor()
        assert tensor.dtype == torch.float32
        assert tensor.shape == (2, 8_000)
        assert np.array_equal(tensor.numpy().T, tone())
