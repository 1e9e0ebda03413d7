"""A recording as an image: how loud it is at every time (from left) and pitch (from below).

Read are WAV of any width of samples, and AIFF as it is without compression.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BANDS = 128
"""Pitches of a picture, in equal steps of the mel scale: as far apart as ears tell them."""

_WINDOW = 0.032  # seconds that one column of the picture looks at ...
_SHORTEST, _LONGEST = 256, 2048  # ... within these bounds, in samples
_COLUMNS = 256  # of the picture; long recordings have more
_MOST_SAMPLES = 100_000_000  # more are refused: half an hour and more
_RANGE = 80.0  # dB below the loudest place that are black


class NoSound(Exception):
    """A recording that cannot be read."""


def is_sound(content: bytes) -> bool:
    """Whether a file begins as WAV or AIFF does.

    >>> is_sound(b"RIFF....WAVEfmt "), is_sound(b"RIFF....WEBPVP8 ")
    (True, False)
    """
    kind = content[:4] + content[8:12]
    return kind in (b"RIFFWAVE", b"RIFXWAVE", b"RF64WAVE", b"FORMAIFF", b"FORMAIFC")


def picture(content: bytes) -> NDArray[np.uint8]:
    """Shades ``(128, columns)`` of 0 to 255, high pitches at the top.

    Args:
        content: a WAV or AIFF file; of several channels the mean is taken.

    Raises:
        NoSound: it is damaged, packed in a way that is not read, or has no sample.
    """
    try:
        rate, samples = _aiff(content) if content[:4] == b"FORM" else _wav(content)
    except NoSound:
        raise
    except Exception as error:  # SciPy raises what it likes: ValueError, struct.error, IndexError
        raise NoSound(str(error)) from error
    if samples.size > _MOST_SAMPLES:
        raise NoSound("too long")
    if samples.ndim > 1:
        samples = samples.mean(axis=1)
    if not samples.size or rate <= 0:
        raise NoSound("no sample")
    return _shades(_bands(np.nan_to_num(samples), rate))


def _bands(samples: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Power ``(BANDS, columns)``, low pitches first."""
    from scipy.signal import spectrogram

    width = 2 ** round(np.log2(np.clip(_WINDOW * rate, _SHORTEST, _LONGEST)))
    samples = np.pad(samples, (0, max(0, width - len(samples))))
    step = int(np.clip((len(samples) - width) // _COLUMNS, 1, width // 2))
    frequencies, _, power = spectrogram(
        samples, rate, nperseg=width, noverlap=width - step, detrend=False, mode="psd"
    )
    centres = 700 * np.expm1(np.linspace(0, np.log1p(rate / 2 / 700), BANDS + 2))
    # a band is never narrower than what the window tells apart
    reach = np.maximum(np.diff(centres), frequencies[1])
    away = frequencies - centres[1:-1, None]
    slopes = np.where(away < 0, 1 + away / reach[:-1, None], 1 - away / reach[1:, None])
    weights = np.maximum(slopes, 0)
    mixed: NDArray[np.float64] = weights @ power / weights.sum(axis=1, keepdims=True)
    return mixed


def _shades(power: NDArray[np.float64]) -> NDArray[np.uint8]:
    """From 80 dB below the loudest place to it as 0 to 255; silence is black."""
    loudest = power.max()
    if not loudest > 0:
        return np.zeros(power.shape, dtype=np.uint8)
    decibel = 10 * np.log10(np.maximum(power / loudest, 10 ** (-_RANGE / 10)))
    shades: NDArray[np.uint8] = np.round((1 + decibel[::-1] / _RANGE) * 255).astype(np.uint8)
    return shades


def _wav(content: bytes) -> tuple[float, NDArray[np.float64]]:
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on chunks of other programs
        rate, samples = wavfile.read(io.BytesIO(content))
    centre = 128.0 if samples.dtype == np.uint8 else 0.0  # eight bits have no sign
    return float(rate), samples.astype(np.float64) - centre


def _aiff(content: bytes) -> tuple[float, NDArray[np.float64]]:
    parts = dict(_chunks(content))
    head, sound = parts[b"COMM"], parts[b"SSND"]
    channels, _, bits, exponent, mantissa = struct.unpack(">hIhHQ", head[:18])
    packing = head[18:22] if content[8:12] == b"AIFC" else b"NONE"
    if packing not in (b"NONE", b"twos", b"sowt") or channels < 1 or bits not in range(1, 33):
        raise NoSound(f"packed as {packing!r}")
    width = (bits + 7) // 8
    data = sound[8 + struct.unpack(">I", sound[:4])[0] :]
    raw = np.frombuffer(data[: len(data) // (width * channels) * width * channels], dtype=np.uint8)
    raw = raw.reshape(-1, width)[:, :: -1 if packing == b"sowt" else 1]
    whole = np.zeros((len(raw), 4), dtype=np.uint8)
    whole[:, :width] = raw  # the upper bytes of 32 bits
    samples = whole.reshape(-1).view(">i4").astype(np.float64)
    rate = mantissa * 2.0 ** (exponent - 16383 - 63)
    return rate, samples.reshape(-1, channels)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place + 8 <= len(content):
        size = struct.unpack(">I", content[place + 4 : place + 8])[0]
        yield content[place : place + 4], content[place + 8 : place + 8 + size]
        place += 8 + size + size % 2
