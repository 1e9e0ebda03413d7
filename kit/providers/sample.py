"""Real data sets that scikit-learn ships, as competitions: works offline, without an account.

The hidden labels are written nowhere; grading makes them again from scikit-learn. State (earlier
submissions, the cached reference scores) lies in ``<root>/.sample``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kit.atomic import atomic_path, parse_json, write_json
from kit.errors import ProviderError, SubmissionError, nearest
from kit.providers.base import Contest, Description, Limits, Progress, Standing, Submitted
from kit.providers.record import Record, prepare
from kit.settings import ProviderSpec, SubmissionSpec, TaskSpec, Wants

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from kit.providers.grading import Rules

# Fixed for ever: other seeds would make other competitions. Three of them, because one stream used
# three times would tie rows, ids and the split to one another.
_SEED, _SPLIT_SEED, _PUBLIC_SEED = 20261127, 20261124, 20261125
_TEST_SHARE = 0.3
_ID = "id"
_FILES = ("train.csv", "test.csv", "sample_submission.csv")


class _Estimator(Protocol):
    """What is used of scikit-learn's estimators."""

    def fit(self, X: Any, y: Any) -> Any: ...
    def predict(self, X: Any) -> NDArray[Any]: ...
    def predict_proba(self, X: Any) -> NDArray[Any]: ...


@dataclass(frozen=True, kw_only=True)
class _Set:
    """One competition: where the data comes from and what is asked."""

    loader: str
    title: str
    task: TaskSpec
    target: tuple[str, ...]
    wants: Wants
    about: str

    @property
    def classified(self) -> bool:
        return bool(self.task.classes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The submission's columns after the id."""
        many = self.task.type == "multiclass" and self.wants == "probability"
        return self.task.classes if many else self.target

    @property
    def rules(self) -> Rules:
        from kit.providers.grading import Rules

        classes = self.columns if len(self.columns) > 1 else ()
        submission = SubmissionSpec(wants=self.wants, id=_ID, columns=self.columns, classes=classes)
        return Rules(task=self.task, submission=submission, target=self.target)


_SETS = {
    "breast-cancer": _Set(
        loader="load_breast_cancer",
        title="Breast cancer: malignant or benign",
        task=TaskSpec(type="binary", metric="roc_auc", classes=("0", "1")),
        target=("malignant",),
        wants="probability",
        about="30 measurements of cell nuclei in 569 digitised fine-needle aspirates; predict the "
        "probability that the mass is malignant (1). Wisconsin Diagnostic Breast Cancer, Wolberg, "
        "Street and Mangasarian, 1995, UCI repository, as shipped with scikit-learn.",
    ),
    "digits": _Set(
        loader="load_digits",
        title="Handwritten digits, 8 x 8 pixels",
        task=TaskSpec(type="multiclass", metric="accuracy", classes=tuple("0123456789")),
        target=("digit",),
        wants="label",
        about="1,797 handwritten digits as 64 pixel columns (pixel_ROW_COLUMN, 0 to 16); predict "
        "the digit. Test part of Optical Recognition of Handwritten Digits, Alpaydin and Kaynak, "
        "1998, UCI repository, as shipped with scikit-learn.",
    ),
    "wine": _Set(
        loader="load_wine",
        title="Wine: which of three cultivars",
        task=TaskSpec(
            type="multiclass", metric="log_loss", classes=("class_0", "class_1", "class_2")
        ),
        target=("cultivar",),
        wants="probability",
        about="13 chemical measurements of 178 Italian wines; predict the probability of each of "
        "three cultivars. Small, so scores vary. Wine, Forina and others, 1991, UCI repository, as "
        "shipped with scikit-learn.",
    ),
    "diabetes": _Set(
        loader="load_diabetes",
        title="Diabetes progression after one year",
        task=TaskSpec(type="regression", metric="rmse"),
        target=("progression",),
        wants="value",
        about="Age, sex, body mass index, blood pressure and six blood serum measurements (raw "
        "units) of 442 patients; predict disease progression a year later. Efron, Hastie, "
        "Johnstone and Tibshirani, Least Angle Regression, 2004, as shipped with scikit-learn.",
    ),
    "iris": _Set(
        loader="load_iris",
        title="Iris: which of three species",
        task=TaskSpec(
            type="multiclass", metric="accuracy", classes=("setosa", "versicolor", "virginica")
        ),
        target=("species",),
        wants="label",
        about="Length and width of sepals and petals of 150 flowers; predict the species by name. "
        "Small and easy: good for a first look, not for comparing models. Fisher, 1936, as "
        "shipped with scikit-learn.",
    ),
    "linnerud": _Set(
        loader="load_linnerud",
        title="Linnerud: three body measurements from three exercises",
        task=TaskSpec(type="multitarget", metric="rmse"),
        target=("Weight", "Waist", "Pulse"),
        wants="value",
        about="Chins, sit-ups and jumps of 20 men; predict weight, waist and pulse. Only 20 rows "
        "in all (14 train, 6 test): it shows how several targets are handled, its scores mean "
        "nothing. Tenenhaus, 1998, as shipped with scikit-learn.",
    ),
}


class SampleProvider:
    """Plays the server with data that is installed anyway.

    Args:
        slug: the competition's short name; `spec.source` beats it as the name of the data set.
        spec: `source` names the data set.
        root: the competition's folder.
    """

    def __init__(self, slug: str, spec: ProviderSpec, root: Path) -> None:
        self.slug = spec.source or slug
        self.state = root / ".sample"
        self.record = Record(self.state)

    def describe(self) -> Description:
        """Title, origin of the data, and all that `kit new` needs to know."""
        data = self._set()
        hints = {
            "id": _ID,
            "target": list(data.target),
            "metric": data.task.metric,
            "task": data.task.type,
            "submission": data.wants,
        }
        url = f"https://scikit-learn.org/stable/modules/generated/sklearn.datasets.{data.loader}"
        return Description(
            slug=self.slug, title=data.title, url=f"{url}.html", about=data.about, hints=hints
        )

    def fetch(self, destination: Path, progress: Progress) -> list[Path]:
        """Write train.csv, test.csv and sample_submission.csv; the same bytes every time."""
        data = self._set()
        frame = _shuffled(data)
        train, test = _split(data, frame)
        hidden = test.drop(columns=list(data.target))
        tables = zip(_FILES, (train, hidden, _baseline(data, train, test)), strict=True)
        paths = []
        for name, table in tables:
            with atomic_path(destination / name) as temporary:
                table.to_csv(temporary, index=False, lineterminator="\n")
            size = (destination / name).stat().st_size
            progress(name, size, size)
            paths.append(destination / name)
        return paths

    def submit(self, path: Path, message: str) -> Submitted:
        """Grade a file: public on one half of the test rows, private on the other."""
        from kit.providers.grading import Grade, grade, read_cells

        data = self._set()
        _, test = _split(data, _shuffled(data))
        try:
            result, error = grade(read_cells(path), _solution(data, test), data.rules), ""
        except SubmissionError as problem:
            result, error = Grade(public=None), str(problem)
        return self.record.add(
            status="error" if error else "complete",
            file_name=path.name,
            message=message,
            public=result.public,
            private=result.private,
            error=error,
        )

    def submissions(self) -> list[Submitted]:
        """Everything handed in so far, newest first."""
        return self.record.read()

    def limits(self) -> Limits:
        """There are none."""
        return Limits()

    def contest(self) -> Contest:
        """A board of one's own, played here, with half of the test rows public; nothing ends."""
        return Contest(category="local", public_share=0.5)

    def leaderboard(self) -> list[Standing]:
        """My best public score among reference solutions, which are fitted here, once."""
        from kit.metrics.base import load_metric

        data = self._set()
        metric = load_metric(data.task.metric, data.task.type)
        board = [(score, team, False) for team, score in self._references().items()]
        mine = [entry.public for entry in self.submissions() if entry.public is not None]
        if mine:
            best = max(mine) if metric.greater_is_better else min(mine)
            board.append((best, "you", True))
        board.sort(key=lambda line: line[0], reverse=metric.greater_is_better)
        return [
            Standing(rank=rank, team=team, score=score, mine=own)
            for rank, (score, team, own) in enumerate(board, start=1)
        ]

    def _references(self) -> dict[str, float]:
        """Public scores of the reference teams, from the cache or fitted now."""
        import sklearn

        path = self.state / f"{self.slug}-references.json"
        stamp = f"scikit-learn {sklearn.__version__}, seed {_SEED}"
        try:
            cached = parse_json(path.read_text(encoding="utf-8"))
            if cached["stamp"] == stamp:
                return {str(team): float(score) for team, score in cached["scores"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # a cache: whatever is wrong with it, it is made again
        scores = _reference_scores(self._set())
        prepare(self.state)
        write_json(path, {"stamp": stamp, "scores": scores})
        return scores

    def _set(self) -> _Set:
        if self.slug not in _SETS:
            raise ProviderError(
                f"no sample competition is called {self.slug!r}. {nearest(self.slug, _SETS)}"
            )
        return _SETS[self.slug]


def names() -> list[str]:
    """The sample competitions."""
    return list(_SETS)


def _shuffled(data: _Set) -> pd.DataFrame:
    """The whole data set: ids, features, targets. Neither ids nor order say anything."""
    import numpy as np
    import pandas as pd

    features, targets = _load(data)
    rng = np.random.RandomState(_SEED)  # its stream is frozen by NumPy's compatibility policy
    order, ids = rng.permutation(len(features)), rng.permutation(len(features)) + 1
    frame = pd.concat([features, targets], axis=1).iloc[order].reset_index(drop=True)
    frame.insert(0, _ID, ids)
    return frame


def _load(data: _Set) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd
    from sklearn import datasets

    raw = data.loader == "load_diabetes"  # the default is standardised over all rows
    bunch = getattr(datasets, data.loader)(as_frame=True, **({"scaled": False} if raw else {}))
    features: pd.DataFrame = bunch.data
    features.columns = [
        str(name).replace(" ", "_").replace("(cm)", "cm") for name in features.columns
    ]
    if data.loader == "load_linnerud":
        return features, bunch.target
    values = bunch.target.to_numpy()
    if data.loader == "load_breast_cancer":
        values = 1 - values  # scikit-learn: 0 is malignant
    elif data.task.classes and data.loader != "load_digits":
        values = [data.task.classes[code] for code in values]
    return features, pd.DataFrame({data.target[0]: values})


def _split(data: _Set, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    from sklearn.model_selection import train_test_split

    labels = frame[data.target[0]] if data.classified else None
    train, test = train_test_split(
        frame, test_size=_TEST_SHARE, random_state=_SPLIT_SEED, stratify=labels
    )
    return train.reset_index(drop=True), test.reset_index(drop=True)


def _solution(data: _Set, test: pd.DataFrame) -> pd.DataFrame:
    """Hidden answers as text, with a fixed random half of the rows public."""
    import numpy as np

    solution = test[[_ID, *data.target]].astype("str")
    public = np.random.RandomState(_PUBLIC_SEED).permutation(len(test)) < (len(test) + 1) // 2
    solution["Usage"] = np.where(public, "Public", "Private")
    return solution


def _baseline(data: _Set, train: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """The sample submission: what the training labels alone say, the same for every row."""
    import pandas as pd

    columns: dict[str, Any] = {_ID: test[_ID]}
    for name in data.columns:
        if data.wants == "label":
            columns[name] = train[name].mode()[0]
        elif len(data.columns) > 1 and data.classified:
            columns[name] = round(float((train[data.target[0]] == name).mean()), 4)
        else:
            columns[name] = round(float(train[name].mean()), 4)
    return pd.DataFrame(columns)


def _reference_scores(data: _Set) -> dict[str, float]:
    """Fit the reference teams on the training rows and grade them on the public ones."""
    from kit.providers.grading import grade

    train, test = _split(data, _shuffled(data))
    solution = _solution(data, test)
    entries = {"sample submission": _baseline(data, train, test)}
    features = [name for name in train.columns if name not in (_ID, *data.target)]
    targets = train[list(data.target)] if len(data.target) > 1 else train[data.target[0]]
    for team, estimator in _estimators(data).items():
        estimator.fit(train[features], targets)
        entries[team] = _entry(data, test[_ID], _predict(data, estimator, test[features]))
    scores = {team: grade(e.astype("str"), solution, data.rules) for team, e in entries.items()}
    return {team: result.public for team, result in scores.items() if result.public is not None}


def _estimators(data: _Set) -> dict[str, _Estimator]:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if data.classified:
        return {
            "one-level decision tree": DecisionTreeClassifier(max_depth=1, random_state=0),
            "logistic regression": make_pipeline(
                StandardScaler(), LogisticRegression(max_iter=5000)
            ),
            "random forest": RandomForestClassifier(n_estimators=300, random_state=0),
        }
    return {
        "one-level decision tree": DecisionTreeRegressor(max_depth=1, random_state=0),
        "ridge regression": make_pipeline(StandardScaler(), Ridge()),
        "random forest": RandomForestRegressor(n_estimators=300, random_state=0),
    }


def _predict(data: _Set, estimator: _Estimator, X: pd.DataFrame) -> NDArray[Any]:
    """In the form the submission wants: (n,) labels or (n, columns) numbers."""
    if data.wants != "probability":
        return estimator.predict(X)
    return estimator.predict_proba(X)[:, -len(data.columns) :]  # one column: the positive class


def _entry(data: _Set, ids: pd.Series, prediction: NDArray[Any]) -> pd.DataFrame:
    import pandas as pd

    values = prediction.reshape(len(ids), -1)  # (n, columns)
    frame = pd.DataFrame(values, columns=list(data.columns))
    frame.insert(0, _ID, ids.to_numpy())
    return frame
