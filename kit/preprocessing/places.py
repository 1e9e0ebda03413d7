"""Latitudes and longitudes -> how far apart the places of a row are, and in which direction.

Trees cut one column at a time: a distance between two points of the globe takes them four columns
and hundreds of cuts. Row by row; nothing is learnt but where the map is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

Place = tuple[str, str]
"""Columns of a latitude and of a longitude."""

_EARTH = 6371.0088  # km, mean radius (IUGG)
_MOST = 3  # places whose distances are taken: three pairs
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_LATITUDE, _LONGITUDE = {"lat", "latitude"}, {"lon", "lng", "long", "longitude"}


def places(columns: Iterable[str]) -> list[Place]:
    """Columns that are a latitude and a longitude of the same thing, by their names.

    `pickup_latitude` and `pickup_longitude`, `startLat` and `startLng`, `lat2` and `lon2`.
    """
    latitudes, longitudes = dict[tuple[str, ...], str](), dict[tuple[str, ...], str]()
    for name in columns:
        words = [word.lower() for word in _WORD.findall(name)]
        for known, found in ((_LATITUDE, latitudes), (_LONGITUDE, longitudes)):
            if sum(word in known for word in words) == 1:
                found.setdefault(tuple(word for word in words if word not in known), name)
    return [(latitudes[key], longitudes[key]) for key in latitudes if key in longitudes]


class Places(TransformerMixin, BaseEstimator):
    """Distances of places, and coordinates along the diagonals of the map.

    For each pair of the first three places: the great circle in km, the way north and the way east
    in km, and the direction in degrees. For each place: its position along both diagonals, in km
    from the middle of the training rows. What is no latitude or longitude is missing.

    Args:
        places: columns of latitude and longitude, degrees.

    Shape:
        Frame ``(n, 2 * places)`` in, float32 ``(n, 2 * places + 4 * pairs)`` out.
    """

    def __init__(self, places: tuple[Place, ...] = ()) -> None:
        self.places = places

    def fit(self, X: pd.DataFrame, y: object = None) -> Places:
        """Find the middle of each place."""
        at = [self._degrees(X, place) for place in self.places]
        self.middle_ = [(_median(latitude), _median(longitude)) for latitude, longitude in at]
        self.names_ = [str(name) for name in self._made(X)]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Measure."""
        made = {name: values.astype(np.float32) for name, values in self._made(X).items()}
        return pd.DataFrame(made, index=X.index)

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Names of the columns made."""
        return list(self.names_)

    def _made(self, X: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
        made = dict[str, NDArray[np.float64]]()
        at = [self._degrees(X, place) for place in self.places]
        for (name, _), here, middle in zip(self.places, at, self.middle_, strict=True):
            north, east = _offsets(*middle, *here)
            made[f"{name}_diagonal"] = (north + east) / np.sqrt(2)
            made[f"{name}_antidiagonal"] = (north - east) / np.sqrt(2)
        for one, two in combinations(range(len(at[:_MOST])), 2):
            name = f"{self.places[one][0]}_to_{self.places[two][0]}"
            north, east = _offsets(*at[one], *at[two])
            made[f"{name}_km"] = _great_circle(*at[one], *at[two])
            made[f"{name}_north"], made[f"{name}_east"] = north, east
            made[f"{name}_direction"] = np.degrees(np.arctan2(east, north))
        return made

    def _degrees(
        self, X: pd.DataFrame, place: Place
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Latitude and longitude; missing where either is none."""
        latitude, longitude = (X[name].to_numpy(dtype=np.float64) for name in place)
        with np.errstate(invalid="ignore"):
            wrong = ~((np.abs(latitude) <= 90) & (np.abs(longitude) <= 180))
        return np.where(wrong, np.nan, latitude), np.where(wrong, np.nan, longitude)


def _median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    there = values[~np.isnan(values)]
    return np.asarray(np.median(there) if len(there) else 0.0)


def _offsets(
    from_latitude: NDArray[np.float64],
    from_longitude: NDArray[np.float64],
    to_latitude: NDArray[np.float64],
    to_longitude: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kilometres to go north, and east along the parallel half way."""
    degree = np.pi / 180 * _EARTH
    around = (to_longitude - from_longitude + 180) % 360 - 180  # the shorter way round
    parallel = np.cos(np.radians((from_latitude + to_latitude) / 2))
    return degree * (to_latitude - from_latitude), degree * parallel * around


def _great_circle(
    from_latitude: NDArray[np.float64],
    from_longitude: NDArray[np.float64],
    to_latitude: NDArray[np.float64],
    to_longitude: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Kilometres over the globe, by haversines (Sinnott 1984): exact for short ways as well."""
    one, two = np.radians(from_latitude), np.radians(to_latitude)
    half = np.sin((two - one) / 2) ** 2
    turned = np.sin(np.radians(to_longitude - from_longitude) / 2) ** 2
    share = np.clip(half + np.cos(one) * np.cos(two) * turned, 0, 1)
    return np.asarray(2 * _EARTH * np.arcsin(np.sqrt(share)), dtype=np.float64)
