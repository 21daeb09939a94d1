"""Sounds on their way out: layouts and formats of what is written, samples that are no numbers."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from audio.containers import PCM, RATE
from audio.reading import CASES, COVER, DAY, assert_all_there, read

import vqcodec
from vqcodec.audio.files import Sound, array_source, open_sound, sound_source
from vqcodec.audio.save import save_sound
from vqcodec.audio.stream import SoundStream
from vqcodec.audio.tags import METADATA_BYTES, flac_picture
from vqcodec.errors import InputError, VqcWarning


class TestOut:
    @pytest.mark.parametrize("bits", [16, 24])
    def test_many_tags_do_not_hide_the_samples_of_a_wav(self, tmp_path, bits):
        """Behind 64 KiB of short ones the library finds no samples, so they go to the end."""
        path = tmp_path / "a.wav"
        samples = PCM[:999, None] / np.float32(32_768)
        Sound(samples, RATE, {"TITLE": ["========="] * 9_000, "ARTIST": ["me"]}, bits=bits).save(path)
        assert np.array_equal(soundfile.read(path, always_2d=True)[0], samples)
        content = path.read_bytes()
        assert int.from_bytes(content[4:8], "little") == len(content) - 8
        got, sound = read(path)
        assert np.array_equal(got, samples)
        assert sound.notes == ()
        assert sound.metadata["tags"].count(b"TITLE=") == 9_000
        assert sound.metadata["tags"].endswith(b"ARTIST=me\n")

    def stream(self, tags=None, picture: bytes | None = None) -> SoundStream:
        return SoundStream(RATE, 1, len(PCM), iter([PCM[:, None] / np.float32(32_768)]), tags or {}, picture)

    @pytest.mark.parametrize("picture", [b"", b"\0\0\0\3\xff\xff\xff\xff", COVER[:-3], flac_picture(3, "a", "b", b"")])
    def test_a_damaged_picture_is_not_written(self, tmp_path, picture):
        notes = save_sound(self.stream({"TITLE": ["x"]}, picture), tmp_path / "a.flac", force=False)
        assert notes == ["its cover picture is damaged: dropped"]
        assert soundfile.info(tmp_path / "a.flac").frames == len(PCM)
        assert_all_there((tmp_path / "a.flac").read_bytes())

    def test_what_follows_a_picture_is_not_written(self, tmp_path):
        assert save_sound(self.stream({}, COVER + b"more"), tmp_path / "a.flac", force=False) == []
        assert read(tmp_path / "a.flac")[1].metadata == {"picture": COVER}

    def test_more_tags_than_flac_holds(self, tmp_path):
        tags = {"A": ["x" * (METADATA_BYTES - 1_000), "y" * 2_000, "z"], "B": ["kept"]}
        notes = save_sound(self.stream(tags), tmp_path / "a.flac", force=False)
        assert notes == ["FLAC keeps no more than 16 MiB of tags: 1 dropped"]
        assert soundfile.info(tmp_path / "a.flac").frames == len(PCM)

    def test_the_lengths_of_tags_count(self, tmp_path, monkeypatch):
        monkeypatch.setattr("vqcodec.audio.save.METADATA_BYTES", 64 + 7 * 1_000)
        for count, lost in ((1_000, 0), (1_002, 2)):
            notes = save_sound(self.stream({"A": ["x"] * count}), tmp_path / "b.flac", force=True)
            assert [note.split(": ")[1] for note in notes] == [f"{lost} dropped"] * (lost > 0)
        assert soundfile.info(tmp_path / "b.flac").frames == len(PCM)

    @pytest.mark.filterwarnings("ignore:.*WAV keeps no")
    @pytest.mark.parametrize("suffix", [".wav", ".flac"])
    def test_several_values_stay_several(self, tmp_path, fake_codec, suffix):
        data = vqcodec.compress(CASES / "13-flac-two-artists.flac")
        sound = vqcodec.decompress(data)
        assert sound.tags["ARTIST"] == ["Alice", "Bob"]
        assert vqcodec.decompress(vqcodec.compress(sound)).tags == sound.tags
        sound.save(tmp_path / f"a{suffix}")
        back = vqcodec.decompress(vqcodec.compress(tmp_path / f"a{suffix}"))
        assert back.tags["ARTIST"] == ["Alice", "Bob"]

    def test_names_that_flac_cannot_hold(self, tmp_path):
        notes = save_sound(self.stream({"a=b": ["x"], "TITLE": ["y"]}), tmp_path / "a.flac", force=False)
        assert notes == ["FLAC keeps no tags named 'a=b': dropped; names are of ASCII without ="]
        assert read(tmp_path / "a.flac")[1].metadata["tags"] == b"TITLE=y\n"

    def test_own_names_of_an_info_list_come_back(self, tmp_path):
        assert save_sound(self.stream({"IXYZ": ["x"], "ENGINEER": ["e"]}), tmp_path / "a.wav", force=False) == []
        assert read(tmp_path / "a.wav")[1].metadata["tags"] == b"IXYZ=x\nENGINEER=e\n"
        notes = save_sound(self.stream({"ISRC": ["x"]}), tmp_path / "b.wav", force=False)
        assert notes == ["WAV keeps no ISRC: dropped; .flac keeps more"]


class TestRepair:
    def broken(self) -> np.ndarray:
        samples = (PCM[:, None] / np.float32(32_768)).repeat(2, 1)
        samples[400:403, 1] = np.nan
        samples[0, 0], samples[-1, 0] = np.inf, -np.inf
        return samples

    def expected(self) -> np.ndarray:
        out = self.broken()
        out[400:403, 1] = out[399, 1] + (out[403, 1] - out[399, 1]) * np.array([0.25, 0.5, 0.75])
        out[0, 0], out[-1, 0] = out[1, 0], out[-2, 0]
        return out

    def test_refused_with_the_time(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", self.broken()[1:], RATE, subtype="FLOAT")
        with pytest.raises(InputError, match=r"a\.wav: the sample at 0\.025 s is not a finite number; .*--repair"):
            read(tmp_path / "a.wav")

    def test_replaced(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", self.broken(), RATE, subtype="FLOAT")
        sources = [
            open_sound(tmp_path / "a.wav", max_seconds=DAY, repair=True),
            array_source(self.broken(), RATE, max_seconds=DAY, repair=True),
            sound_source(Sound(self.broken(), RATE), max_seconds=DAY, repair=True),
        ]
        for source in sources:
            opened = source.__enter__() if hasattr(source, "__enter__") else source
            with pytest.warns(VqcWarning, match=r": 5 samples that are no finite numbers were replaced, .* 0\.000 s"):
                first = np.concatenate(list(opened.blocks()))
            assert np.allclose(first, self.expected(), atol=1e-6)
            assert np.array_equal(np.concatenate(list(opened.blocks())), first)  # and is told once
            if opened is not source:
                source.__exit__(None, None, None)

    def test_a_channel_without_any_number_is_silence(self):
        source = array_source(np.full((10, 1), np.nan), RATE, max_seconds=DAY, repair=True)
        with pytest.warns(VqcWarning, match="10 samples"):
            assert not np.concatenate(list(source.blocks())).any()

    def test_too_loud_is_still_refused(self):
        source = array_source(np.array([np.nan, 12_000.0]), RATE, max_seconds=DAY, repair=True)
        with pytest.raises(InputError, match=r"at 0\.000 s is 12000; .* scale"):
            list(source.blocks())

    def test_by_the_public_function(self, fake_codec):
        with pytest.raises(InputError, match="repair=True"):
            vqcodec.compress(self.broken(), sample_rate=RATE)
        with pytest.warns(VqcWarning, match="the array: 5 samples"):
            data = vqcodec.compress(self.broken(), sample_rate=RATE, repair=True, target_kbps=200)
        assert np.isfinite(vqcodec.decompress(data).samples).all()
