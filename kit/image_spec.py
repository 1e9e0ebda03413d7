"""The tables `[images.NAME]` of `kit.toml`. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from kit.config import Within


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """Where the images of a column of kind "image" are, and how they are kept.

    `train` and `test` name files below `data/raw`, in zips too; `{}` stands for the value of
    `column` (empty: of the column itself). `pixels` ("pixel{}") makes one image of the columns of
    that name, `{}` being numbers; `top` is then the brightest value. `size` is pixels per side,
    `channels` 1 for gray and 3 for colours. `backbone` turns images into numbers for models of
    tables: see `kit.images.backbones`.
    """

    column: str = ""
    train: str = "{}"
    test: str = "{}"
    pixels: str = ""
    top: Annotated[int, Within(1)] = 255
    size: Annotated[int, Within(1, 1024)] = 224
    channels: Literal[1, 3] = 3
    backbone: str = "pixels"
