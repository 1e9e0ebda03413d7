"""A column of images in a DataFrame: positions in a store; rows are taken and copied for free.

pandas calls this an extension array. The pixels stay where they are until somebody asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take

from kit.images.backbones import AS_THEY_ARE, Backbone
from kit.images.store import Store


class ImageDtype(ExtensionDtype):
    """The type of a column of images."""

    name = "image"
    type: ClassVar[Any] = np.int64
    kind = "O"
    na_value = -1

    @classmethod
    def construct_array_type(cls) -> type[ImageArray]:
        """The array this is the type of."""
        return ImageArray


class ImageArray(ExtensionArray):
    """Images of one store, by position; -1 is none.

    Args:
        store: the images.
        positions: ``(n,)``.
        backbone: turns them into numbers where a model wants those.
    """

    def __init__(
        self, store: Store, positions: NDArray[np.int64], backbone: Backbone = AS_THEY_ARE
    ) -> None:
        self.store = store
        self.positions = np.asarray(positions, dtype=np.int64)
        self.backbone = backbone

    @property
    def dtype(self) -> ImageDtype:
        """Always the same."""
        return ImageDtype()

    @property
    def nbytes(self) -> int:
        """Of the positions."""
        return int(self.positions.nbytes)

    def pixels(self, rows: slice | NDArray[np.int64] = slice(None)) -> NDArray[np.uint8]:
        """``(n, size, size, channels)`` of some of the rows."""
        return self.store.take(self.positions[rows])

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, int | np.integer):
            return int(self.positions[item])
        return self._with(self.positions[pd.api.indexers.check_array_indexer(self, item)])

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("a column of images is not written to")

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, ImageArray):
            return np.zeros(len(self), dtype=bool)
        return (self.positions == other.positions) & (self.store.key == other.store.key)

    def isna(self) -> NDArray[np.bool_]:
        """Rows without an image."""
        return np.asarray(self.positions < 0)

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> Self:
        """Rows by number."""
        fill = -1 if allow_fill else None
        taken: Any = take(self.positions, indices, allow_fill=allow_fill, fill_value=fill)
        return self._with(taken)

    def copy(self) -> Self:
        """The same images."""
        return self._with(self.positions.copy())

    def _with(self, positions: NDArray[np.int64]) -> Self:
        return type(self)(self.store, positions, self.backbone)

    def _values_for_factorize(self) -> tuple[NDArray[np.int64], int]:
        return self.positions, -1

    def _formatter(self, boxed: bool = False) -> Any:
        return lambda position: f"image {position}"

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> Self:
        raise TypeError("a column of images is made from a store")

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Self]) -> Self:
        """Images of several stores; they are then in memory."""
        first = to_concat[0]
        if len({part.store.key for part in to_concat}) == 1:
            return first._with(np.concatenate([part.positions for part in to_concat]))
        store = Store.of(np.concatenate([part.pixels() for part in to_concat]))
        return cls(store, np.arange(store.n), first.backbone)


def image_column(frame: pd.DataFrame, name: str) -> ImageArray:
    """The images of a column.

    Raises:
        TypeError: the column holds something else.
    """
    values = frame[name].array
    if not isinstance(values, ImageArray):
        raise TypeError(f"column {name!r} holds no images")
    return values
