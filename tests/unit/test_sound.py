"""Recordings as images: what is heard where, of which formats, and what `kit new` makes of them."""

from __future__ import annotations

import io
import struct
import wave
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from kit.competition import Competition
from kit.dataset import Dataset
from kit.images.decode import Fault, decode
from kit.images.sound import BANDS, picture
from kit.providers.local import LocalProvider
from kit.scaffold.images import make_tables
from kit.scaffold.write import create
from kit.settings import ProviderSpec

RATE = 8000


def tone(frequency: float, rate: int = RATE, seconds: float = 1.0) -> NDArray[np.float64]:
    """A sine of a third of the range."""
    return np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate) / 3


def wav(samples: NDArray[np.float64], width: int = 2, rate: int = RATE, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    whole = (samples * (2 ** (8 * width - 1) - 1)).astype("<i4")
    raw = whole.view(np.uint8).reshape(-1, 4)[:, :width].tobytes()
    if width == 1:
        raw = (whole + 128).astype(np.uint8).tobytes()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.repeat(np.frombuffer(raw, f"V{width}"), channels).tobytes())
    return buffer.getvalue()


def aiff(samples: NDArray[np.float64], width: int = 2, packing: str = "") -> bytes:
    whole = (samples * (2**31 - 1)).astype(">i4").view(np.uint8).reshape(-1, 4)[:, :width]
    whole = whole[:, ::-1] if packing == "sowt" else whole
    exponent = int(np.log2(RATE))
    head = struct.pack(">hIhHQ", 1, len(samples), 8 * width, 16383 + exponent,
                       RATE << (63 - exponent)) + packing.encode()  # fmt: skip
    sound = struct.pack(">II", 0, 0) + whole.tobytes()
    parts = b"".join(
        name + struct.pack(">I", len(part)) + part + b"\0" * (len(part) % 2)
        for name, part in ((b"NAME", b"odd"), (b"COMM", head), (b"SSND", sound))
    )
    kind = b"AIFC" if packing else b"AIFF"
    return b"FORM" + struct.pack(">I", len(parts) + 4) + kind + parts


def loudest(shades: NDArray[np.uint8]) -> float:
    """Hertz of the loudest row."""
    row = len(shades) - 1 - int(shades.mean(axis=1).argmax())
    top = np.log1p(RATE / 2 / 700)
    return float(700 * np.expm1(top * (row + 1) / (BANDS + 1)))


@pytest.mark.parametrize("frequency", [150, 900, 3000])
def test_a_tone_is_a_line_at_its_pitch(frequency: float) -> None:
    shades = picture(wav(tone(frequency)))
    assert shades.shape[0] == BANDS
    assert loudest(shades) == pytest.approx(frequency, rel=0.1)


def test_time_goes_from_left_to_right() -> None:
    silent = np.zeros(RATE)
    shades = picture(wav(np.concatenate([silent, tone(900)])))
    half = shades.shape[1] // 2
    assert shades[:, : half - 5].max() == 0
    assert shades[:, half + 5 :].max() == 255


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_formats_of_one_recording_look_alike(width: int) -> None:
    samples = tone(900) + np.random.default_rng(0).normal(0, 0.1, RATE)
    known = picture(wav(samples, 4)).astype(int)
    others = [wav(samples, width), wav(samples, width, channels=2), aiff(samples, width)]
    others += [aiff(samples, width, "NONE"), aiff(samples, width, "sowt")]
    for content in others:
        assert np.abs(picture(content).astype(int) - known).mean() < 3


def test_silence_and_a_single_sample_are_pictures() -> None:
    assert picture(wav(np.zeros(RATE))).max() == 0
    assert picture(wav(np.ones(1) / 2)).shape[0] == BANDS


@pytest.mark.parametrize(
    "content",
    [b"RIFF\0\0\0\0WAVE", b"FORM\0\0\0\0AIFF", wav(np.zeros(0)), aiff(tone(9), 1, "ima4")],
)
def test_what_cannot_be_heard_is_a_fault(content: bytes) -> None:
    with pytest.raises(Fault, match="unreadable recording"):
        decode(content, 32, 1)


def test_a_recording_is_decoded_to_the_size_asked_for() -> None:
    assert decode(wav(tone(900)), 32, 3).shape == (32, 32, 3)


def test_recordings_whose_names_end_with_their_class(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(source / "train2.zip", "w") as archive:
        for k in range(40):
            content = aiff(tone((150, 900)[k % 2], seconds=0.2) + rng.normal(0, 0.05, RATE // 5))
            archive.writestr(f"train2/20090328_{k:06d}_TRAIN{k}_{k % 2}.aif", content)
    names = [f"20090401_{k:06d}_Test{k}.aif" for k in range(12)]
    with zipfile.ZipFile(source / "test2.zip", "w") as archive:
        for name in names:
            archive.writestr(f"test2/{name}", aiff(tone(900, seconds=0.2)))
    sample = pd.DataFrame({"clip": names, "probability": 0})
    sample.to_csv(source / "sampleSubmission.csv", index=False)
    root, spec = tmp_path / "c", ProviderSpec(name="local", source=str(source))
    provider = LocalProvider("c", spec, root)
    create(root, provider, spec, flags={}, template=None, progress=lambda *_: None)
    competition = Competition.load(root)
    settings = competition.settings
    assert (settings.task.type, settings.task.metric) == ("binary", "roc_auc")
    assert settings.submission.id == "clip"
    assert settings.images["file"].channels == 1
    train = pd.read_csv(competition.raw / "train.csv")
    assert (train["probability"] == train["file"].str[-5].astype(int)).all()
    frame = Dataset.read(competition).X
    shades = np.asarray(frame["file"].array.pixels(np.arange(40)))
    assert shades.shape[0] == 40
    high = shades[1::2].mean(axis=(0, 2, 3)).argmax()
    assert high < shades[::2].mean(axis=(0, 2, 3)).argmax()  # the upper rows are high pitches


def test_what_names_of_test_end_with_as_well_is_no_class(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        for k in range(20):
            (tmp_path / part / f"{k}_{'ab'[k % 2]}.wav").write_bytes(wav(tone(900, seconds=0.1)))
    assert make_tables(tmp_path) == []
