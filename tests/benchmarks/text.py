"""kit's models on texts against a plain script: scikit-learn's TF-IDF and logistic regression.

The texts are docstrings of installed packages (real, written by many hands, and on every machine);
the label is the subpackage one comes from, whose name is blotted out. Files are held back whole.
With --competitions also the train files below that folder that have a text column, a third of the
rows held back; nothing else of them is read.

    python tests/benchmarks/text.py --models words words-ratios lightgbm --rows 4000
    python tests/benchmarks/text.py --competitions data --models words sentences

Figures are accuracy and log loss on the rows held back, and seconds of the processor.
"""

from __future__ import annotations

import argparse
import ast
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, GroupShuffleSplit
from sklearn.pipeline import make_pipeline

from kit.blend import blend
from kit.competition import Competition
from kit.cv import cross_validate
from kit.providers.base import load_provider
from kit.runs import Run
from kit.scaffold.write import create
from kit.session import open_session
from kit.settings import ProviderSpec

_PACKAGES = ("sklearn", "scipy", "pandas", "numpy", "keras")
_CLASSES = 20
_LETTERS = 40  # shorter docstrings say nothing


@dataclass
class Task:
    name: str
    train: pd.DataFrame
    test: pd.DataFrame
    answers: pd.Series
    text: str


def docstrings(rows: int) -> Task:
    """Docstrings of the subpackages that have most."""
    found = pd.DataFrame(list(_found()), columns=["said", "file", "part"]).drop_duplicates("said")
    largest = found["part"].value_counts().head(_CLASSES).index
    found = found[found["part"].isin(largest)]
    found = found.sample(min(rows, len(found)), random_state=0).reset_index(drop=True)
    return held_back("docstrings", found[["said", "part"]], "said", "part", found["file"])


def _found() -> Iterator[tuple[str, str, str]]:
    for package in _PACKAGES:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).parts
            if len(parts) < 2 or "tests" in parts:
                continue
            try:
                tree = ast.parse(path.read_text(encoding="utf-8"))
            except (SyntaxError, UnicodeDecodeError):
                continue
            names = re.compile("|".join({package, parts[0].strip("_"), path.stem}), re.IGNORECASE)
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    said = " ".join((ast.get_docstring(node) or "").split())[:400]
                    if len(said) > _LETTERS:
                        yield names.sub(" ", said), str(path), f"{package}.{parts[0]}"


def competitions(folder: Path, rows: int) -> Iterator[Task]:
    """Train files below a folder with a column of sentences and a column `target`."""
    for path in sorted(folder.glob("*/public/train.csv")):
        frame = pd.read_csv(path).head(rows)
        texts = [
            name
            for name in frame.select_dtypes("str").columns
            if frame[name].str.split().str.len().mean() > 8
        ]
        if texts and "target" in frame:
            features = frame.drop(columns="id", errors="ignore")
            groups = pd.Series(range(len(frame)))
            yield held_back(path.parts[-3], features, texts[0], "target", groups)


def held_back(name: str, frame: pd.DataFrame, text: str, target: str, groups: pd.Series) -> Task:
    frame = frame.assign(id=range(len(frame)), y=frame[target].astype("str"))
    frame = frame.drop(columns=target)
    split = GroupShuffleSplit(1, test_size=1 / 3, random_state=0)
    train, test = next(split.split(frame, groups=groups))
    return Task(
        name, frame.iloc[train], frame.iloc[test].drop(columns="y"), frame["y"].iloc[test], text
    )


def plain(task: Task) -> np.ndarray:
    """What a good script does: pairs of words, sublinear weights, the penalty by a search."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, strip_accents="unicode"),
        LogisticRegression(max_iter=1000),
    )
    search = GridSearchCV(
        model, {"logisticregression__C": [1.0, 3.0, 10.0, 30.0]}, scoring="neg_log_loss", cv=3
    )
    search.fit(task.train[task.text].fillna(""), task.train["y"])
    return np.asarray(search.predict_proba(task.test[task.text].fillna("")))


def with_kit(
    task: Task, models: list[str], folder: Path
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Every model's mean over the folds, then the blend."""
    source = folder / "files"
    source.mkdir(parents=True)
    classes = sorted(task.train["y"].unique())
    sample = pd.DataFrame({"id": task.test["id"], **{f"class {c}": 0.5 for c in classes}})
    if len(classes) == 2:
        sample = pd.DataFrame({"id": task.test["id"], "y": 0.5})
    for name, frame in (("train", task.train), ("test", task.test), ("sample_submission", sample)):
        frame.to_csv(source / f"{name}.csv", index=False)
    spec = ProviderSpec(name="local", source=str(source))
    root, flags = folder / "kit", {"metric": "log_loss", "target": ["y"], "folds": 5}
    provider = load_provider("kit", spec, root)
    create(root, provider, spec, flags=flags, template=None, progress=lambda *_: None)
    competition = Competition.load(root, ["execution.threads=1"])
    runs: list[Run] = []
    with open_session(competition) as session:
        for model in models:
            started = time.process_time()
            run = cross_validate(session, model)
            assert run is not None
            runs.append(run)
            yield model, _proba(run), time.process_time() - started
    if len(runs) > 1:
        started = time.process_time()
        mixed = blend(competition, [run.id for run in runs])
        yield "blend", _proba(mixed), time.process_time() - started


def _proba(run: Run) -> np.ndarray:
    values = run.test().iloc[:, 1:].to_numpy()
    return np.column_stack([1 - values, values]) if values.shape[1] == 1 else values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["words", "words-ratios", "lightgbm"])
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--competitions", type=Path)
    chosen = parser.parse_args()
    tasks = [docstrings(chosen.rows)]
    if chosen.competitions is not None:
        tasks += competitions(chosen.competitions, chosen.rows)
    for task in tasks:
        classes = np.array(sorted(task.train["y"].unique()))
        known = task.answers.isin(classes).to_numpy()
        print(f"{task.name}: {len(task.train)} + {len(task.test)} rows, {len(classes)} classes")

        def show(name: str, proba: np.ndarray, seconds: float, task: Task = task) -> None:
            truth, found = task.answers[known], proba[known]  # noqa: B023
            right = accuracy_score(truth, classes[found.argmax(axis=1)])  # noqa: B023
            loss = log_loss(truth, found, labels=classes)  # noqa: B023
            print(f"  {name:<20} {right:.4f} {loss:.4f} {seconds:7.1f} s", flush=True)

        started = time.process_time()
        show("plain script", plain(task), time.process_time() - started)
        with tempfile.TemporaryDirectory() as folder:
            for name, proba, seconds in with_kit(task, chosen.models, Path(folder)):
                show(name, proba, seconds)


if __name__ == "__main__":
    main()
