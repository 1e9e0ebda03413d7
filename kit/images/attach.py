"""Columns of images in the frames of a competition: paths, ids and pixel columns become images.

Owns: what `[columns.kinds]` and `[images]` of `kit.toml` mean, and what of the files belongs into
the digests of the data.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.competition import Competition
from kit.errors import ConfigError, DataError
from kit.images.backbones import Backbone, find_backbone, moved
from kit.images.column import ImageArray
from kit.images.files import ImageFolder
from kit.images.store import Store, described, store_cells, store_files, store_pixels
from kit.settings import ImageSpec

Part = Literal["train", "test"]


def image_specs(competition: Competition) -> dict[str, ImageSpec]:
    """The columns of images and where they come from."""
    settings = competition.settings
    names = [name for name, kind in settings.columns.kinds.items() if kind == "image"]
    return {name: settings.images.get(name, ImageSpec()) for name in names}


def with_sources(competition: Competition, frame: pd.DataFrame) -> pd.DataFrame:
    """A raw frame with a column for every image that another column names, as its id does."""
    columns = competition.settings.columns
    for name, spec in image_specs(competition).items():
        source = spec.column
        if not source or name in frame.columns:
            continue
        if source == columns.id and source not in frame.columns:
            source = columns.test_id or source
        if source not in frame.columns:
            raise ConfigError(f"images.{name}: column {source!r} is not in the file")
        frame = pd.concat([frame, frame[source].rename(name)], axis=1)  # assign warns of many
    return frame


@dataclass
class Images:
    """The images of one competition.

    Args:
        competition: the competition.
        mounted: a folder that stands for `data/raw` where images are predicted elsewhere; of its
            files only those are read that are asked for.
        weights: the backbones' weights there, by column.
        each: an image that several rows mean is decoded for each of them, to learn how long so
            many different ones would take.

    Attributes:
        notes: what was wrong with images that neutral ones stand for.
    """

    competition: Competition
    mounted: Path | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)
    each: bool = False
    notes: list[str] = field(default_factory=list)

    @cached_property
    def specs(self) -> dict[str, ImageSpec]:
        """By column."""
        return image_specs(self.competition)

    @property
    def cache(self) -> Path:
        """Where stores lie."""
        return self.competition.cache / "images"

    @cached_property
    def folder(self) -> ImageFolder:
        """The files below `data/raw`."""
        if self.mounted is not None:
            return ImageFolder(self.mounted)
        return ImageFolder(self.competition.raw, self.cache)

    @cached_property
    def digests(self) -> dict[str, str]:
        """Digest of every file's content."""
        return self.folder.digests()

    @cached_property
    def backbones(self) -> dict[str, Backbone]:
        """By column."""
        root = self.competition.root
        return {
            name: moved(spec.backbone, self.weights[name])
            if name in self.weights
            else find_backbone(spec.backbone, root, f"images.{name}.backbone")
            for name, spec in self.specs.items()
        }

    def data_digest(self) -> str:
        """Hash of all image files and of what decides which are taken; empty without images."""
        if not self.specs:
            return ""
        told = {name: {**asdict(spec), "backbone": ""} for name, spec in self.specs.items()}
        for spec in told.values():
            if not spec["bottom"]:  # digests are older than it
                del spec["bottom"]
        parts = [json.dumps(told, sort_keys=True)]
        if any(not spec.pixels for spec in self.specs.values()):
            parts += [f"{name} {digest}" for name, digest in sorted(self.digests.items())]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def features_digest(self, code: str) -> str:
        """The digest of the features' code, and of the weights that turn images into numbers."""
        if not self.specs:
            return code
        weights = {name: backbone.digest for name, backbone in self.backbones.items()}
        return hashlib.sha256(json.dumps([code, weights]).encode()).hexdigest()[:16]

    def attach(
        self, frame: pd.DataFrame, part: Part, beside: Path | None = None, *, told: bool = True
    ) -> pd.DataFrame:
        """A frame of features whose columns of images are images.

        Args:
            frame: with paths, ids or pixel columns as they are spelled.
            part: which pattern of `kit.toml` holds.
            beside: a folder that is looked into for files that `data/raw` lacks.
            told: whether faults become notes.

        Raises:
            DataError: too many images cannot be had, or pixel columns do not make a square.
            ConfigError: there are no pixel columns of that name.
        """
        for name, spec in self.specs.items():
            if spec.pixels:
                store, gone = self._pixels(frame, name, spec)
                frame, positions = frame.drop(columns=gone), np.arange(store.n)
            elif name in frame.columns:
                store, positions = self._files(frame[name], name, spec, part, beside)
            else:
                continue  # dropped, or features.py took it out
            if store.faults and told:
                self.notes.append(
                    f"images of {name!r} in {part}: {described(store)}; "
                    "neutral images stand for them"
                )
            images = ImageArray(store, positions, self.backbones[name])
            frame = frame.assign(**{name: pd.Series(images, index=frame.index)})
        return frame

    def identities(self, frame: pd.DataFrame, part: Part) -> pd.DataFrame:
        """The same frame with a digest of the content in place of every image: nothing is decoded.

        Equal images have equal ones, under whatever names.
        """
        for name, spec in self.specs.items():
            if spec.pixels:
                columns = self.pixel_names(frame)
                numbers = pd.util.hash_pandas_object(frame[columns], index=False)
                frame = frame.drop(columns=columns).assign(**{name: numbers.astype("str")})
            elif name in frame.columns:
                known = [self.digests.get(n) for n in self._names(frame[name], spec, part)]
                frame = frame.assign(**{name: pd.Series(known, index=frame.index, dtype="str")})
        return frame

    def pixel_names(self, frame: pd.DataFrame) -> list[str]:
        """The pixel columns of a frame."""
        names = list(map(str, frame.columns))
        patterns = [spec.pixels for spec in self.specs.values() if spec.pixels]
        return [name for pattern in patterns for name in pixel_columns(names, pattern)]

    @property
    def made(self) -> set[str]:
        """Columns that no file has."""
        return {
            name
            for name, spec in self.specs.items()
            if spec.column or (spec.pixels not in ("", name))
        }

    def _files(
        self, values: pd.Series, name: str, spec: ImageSpec, part: Part, beside: Path | None
    ) -> tuple[Store, NDArray[np.int64]]:
        """A store, and where in it the image of each row is."""
        names, folder = self._names(values, spec, part), self.folder
        digests = self.digests if self.mounted is None else folder.digests_of(names, {})
        if beside is not None and self.mounted is None:
            folder = ImageFolder(self.competition.raw, files=dict(folder.files)).with_files(
                beside, names
            )
            digests = folder.digests_of(names, digests)
        different, positions = (names, np.arange(len(names))) if self.each else _once(names, folder)
        store = store_files(
            self.cache, folder, different, digests,
            size=spec.size, channels=spec.channels, what=name, n_rows=len(names),
        )  # fmt: skip
        return store, positions

    def _names(self, values: pd.Series, spec: ImageSpec, part: Part) -> list[str]:
        pattern = spec.train if part == "train" else spec.test
        return self.folder.named(pattern, values.astype("str").where(values.notna(), ""))

    def _pixels(self, frame: pd.DataFrame, name: str, spec: ImageSpec) -> tuple[Store, list[str]]:
        columns = pixel_columns(list(map(str, frame.columns)), spec.pixels)
        size = spec.size
        form = {"size": size, "channels": spec.channels, "bottom": spec.bottom, "top": spec.top}
        if columns == [name]:
            return store_cells(self.cache, frame[name], **form), columns
        if len(columns) != size * size * spec.channels:
            raise DataError(
                f"images.{name}: {len(columns)} columns are called {spec.pixels!r}, however "
                f"{size} x {size} pixels in {spec.channels} channels are "
                f"{size * size * spec.channels}"
            )
        return store_pixels(self.cache, frame[columns].to_numpy(), **form), columns


def _once(names: list[str], folder: ImageFolder) -> tuple[list[str], NDArray[np.int64]]:
    """Each file once, and which of them every row means; rows without a file stay apart."""
    # those that are missing are counted by rows
    keys = [name if name in folder.files else row for row, name in enumerate(names)]
    positions, _ = pd.factorize(pd.Series(keys, dtype=object))
    first = np.unique(positions, return_index=True)[1]
    return [names[row] for row in first], positions


def pixel_columns(names: list[str], pattern: str) -> list[str]:
    """The columns of that name, by the numbers in their names.

    >>> pixel_columns(["p10", "p2", "label"], "p{}")
    ['p2', 'p10']
    """
    regex = re.compile(r"(\d+)".join(map(re.escape, pattern.split("{}"))))
    found = {name: match for name in names if (match := regex.fullmatch(name))}
    return sorted(found, key=lambda name: tuple(map(int, found[name].groups())))
