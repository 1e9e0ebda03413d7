"""The bytes of one image file, or recording, as pixels of a fixed size, or the reason why not."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.images.sound import NoSound, is_sound, picture

MOST_PIXELS = 100_000_000
"""An image that claims more is refused before it is unpacked."""

_GRAY = 127


class Fault(Exception):
    """Why there are no pixels, in a few words that are the same for all images of its kind."""


def decode(
    content: bytes, size: int | None, channels: int, *, upright: bool = True
) -> NDArray[np.uint8]:
    """Pixels ``(size, size, channels)``, the sides stretched to the same length.

    Args:
        content: a file in any format that Pillow reads, or a recording (`kit.images.sound`).
        size: pixels per side; None: ``(height, width, channels)``, the sides as they are.
        channels: 1 for gray, 3 for colours; transparency is laid on black, or on white where
            nothing could be seen on black.
        upright: whether a camera's note on how it was held (EXIF) is followed; a mask belongs to
            the picture as it is stored.

    Raises:
        Fault: it is empty, no image, cut off, or claims an absurd size.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not content:
        raise Fault("empty file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own remarks on odd metadata, and on large images
        try:
            if is_sound(content):
                return _pixels(Image.fromarray(picture(content)), size, channels)
            opened = Image.open(io.BytesIO(content))
            if opened.width * opened.height > MOST_PIXELS:
                raise Fault("image bomb")
            if size is not None:  # JPEG: unpack it smaller
                opened.draft("RGB" if channels == 3 else "L", (size, size))
            image: Image.Image = opened
            if upright:
                with suppress(Exception):  # a note that cannot be read does not spoil the picture
                    image = ImageOps.exif_transpose(image)
            return _pixels(image, size, channels)
        except Fault:
            raise
        except NoSound as error:
            raise Fault("unreadable recording") from error
        except Image.DecompressionBombError as error:
            raise Fault("image bomb") from error
        except UnidentifiedImageError as error:
            raise Fault("not an image") from error
        except Exception as error:  # every codec raises its own: OSError, SyntaxError, struct.error
            raise Fault("corrupt image") from error


def _pixels(image: Any, size: int | None, channels: int) -> NDArray[np.uint8]:
    from PIL import Image

    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):  # 16 bits and more: by their range
        image = Image.fromarray(_eight_bits(np.asarray(image, dtype=np.float64), image.mode == "F"))
    if image.mode in ("P", "PA", "LA", "RGBA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = _laid_down(image)
    image = image.convert("RGB" if channels == 3 else "L")
    if size is not None and image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8).reshape(image.height, image.width, channels)


def _eight_bits(values: NDArray[np.float64], fractions: bool) -> NDArray[np.uint8]:
    """Shades of 0 to 255: as they are; `fractions` from 0 to 1 times 255; others by their range."""
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    if high > 255 or low < 0:
        values = (values - low) * (255 / max(high - low, 1e-9))
    elif fractions and high <= 1:
        values = values * 255
    return values.round().astype(np.uint8)


def _laid_down(image: Any) -> Any:
    """An image with transparency, on black; one drawn in black on white."""
    from PIL import Image

    def on(shade: int) -> Any:
        return Image.alpha_composite(Image.new("RGBA", image.size, (shade,) * 3 + (255,)), image)

    def empty(laid: Any) -> bool:
        return all(low == high for low, high in laid.getextrema())

    black = on(0)
    if empty(black) and not empty(white := on(255)):
        return white
    return black


def neutral(size: int, channels: int) -> NDArray[np.uint8]:
    """What stands for an image that cannot be had: gray all over."""
    return np.full((size, size, channels), _GRAY, dtype=np.uint8)
