"""The sealed holdout: nothing learns from it or is chosen by it; each run shows its score there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from kit.blend import blend
from kit.checks import check
from kit.competition import Competition
from kit.cv import cross_validate
from kit.errors import ConfigError, DataError
from kit.execution import task as tasks
from kit.execution.context import load_context
from kit.folds import SEALED, Folds
from kit.inner import InnerSplit
from kit.refit import final
from kit.refit.final import refit
from kit.report import report_competition, report_run
from kit.rerun import rerun
from kit.runs import Run
from kit.selection import best_run
from kit.session import open_session
from kit.settings import CVSpec
from kit.splitters import make_folds

Make = Callable[..., Competition]
MODELS = {
    "lightgbm": {"params": {"n_estimators": 20, "learning_rate": 0.1}},
    "linear": {"params": {"strengths": [1.0]}},
}
N, N_TEST = 300, 40


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    size = N + N_TEST
    frame = pd.DataFrame(
        {"id": range(size), "a": rng.normal(size=size), "b": rng.normal(size=size)}
    )
    frame["city"] = rng.choice(["u", "v", "w"], size)
    y = (frame["a"] + rng.normal(size=size) > 0).astype(int)
    return frame[:N].assign(y=y[:N]), frame[N:]


def sealed(make: Make, train: pd.DataFrame, test: pd.DataFrame, **tables: Any) -> Competition:
    cv = {"splitter": "kfold", "holdout": 0.2, **tables.pop("cv", {})}
    return make(train, test, cv=cv, models=MODELS, **tables)


def validated(competition: Competition, *models: str) -> list[Run]:
    with open_session(competition) as session:
        runs = [cross_validate(session, model) for model in models]
    return [run for run in runs if run is not None]


def folds_of(splitter: str, holdout: float = 0.2, **more: Any) -> tuple[Folds, dict[str, Any]]:
    rng = np.random.default_rng(1)
    facts = {
        "y": rng.integers(0, 2, N),
        "groups": rng.integers(0, 40, N),
        "time": pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.permutation(N), "h")),
    }
    spec = CVSpec(splitter=splitter, n_splits=3, block="10h", holdout=holdout, **more)
    return make_folds(ids=range(N), task="binary", spec=spec, **facts), facts


SPLITTERS = ("kfold", "stratified_kfold", "group_kfold", "stratified_group_kfold", "time_series")


@pytest.mark.parametrize("splitter", [*SPLITTERS, "time_blocks"])
def test_sealed_rows_are_in_no_fold(splitter: str) -> None:
    folds, facts = folds_of(splitter)
    rows = set(folds.sealed)
    assert 0.1 * N < len(rows) < 0.3 * N
    for k in range(folds.n_splits):
        assert rows.isdisjoint(folds.train(k))
        assert rows.isdisjoint(folds.valid(k))
    if "group" in splitter:
        inside = np.isin(np.arange(N), folds.sealed)
        assert set(facts["groups"][inside]).isdisjoint(facts["groups"][~inside])
    if splitter == "time_series":
        time = facts["time"]
        assert time[folds.sealed].min() > time[folds.fold != SEALED].max()


def panel(splitter: str, gap: str, n_splits: int = 2) -> tuple[Folds, Any, Any]:
    """Folds of 12 groups on 60 days, a fifth sealed; the rows' days and groups."""
    day, group = np.tile(np.arange(60), 12), np.repeat(np.arange(12), 60)
    spec = CVSpec(
        splitter=splitter, n_splits=n_splits, block="6", horizon="8", holdout=0.2, gap=gap
    )
    folds = make_folds(
        ids=range(720),
        y=(day + group) % 2,
        task="binary",
        spec=spec,
        groups=group,
        time=pd.Series(day),
    )
    return folds, day, group


@pytest.mark.parametrize("gap", ["", "2"])
@pytest.mark.parametrize("splitter", ["time_series", "time_windows", "time_blocks", "group_time"])
def test_nothing_within_the_gap_of_sealed_rows_or_of_their_groups_is_learned_from(
    splitter: str, gap: str
) -> None:
    folds, day, group = panel(splitter, gap)
    kept = float(gap or 0)
    sealed, near = day[folds.sealed], folds.near_sealed
    assert (len(near) > 0) == (gap != "" or splitter == "group_time")
    for k in range(folds.n_splits + 1):
        for rows in (folds.train(k), folds.valid(k)):
            assert np.abs(day[rows][:, None] - sealed).min(initial=99) > kept
            assert set(near).isdisjoint(rows)
            if splitter == "group_time":
                assert not set(group[rows]) & set(group[folds.sealed])
    nearest = np.abs(day[folds.train(folds.n_splits)][:, None] - sealed).min()
    assert nearest == kept + 1  # no more is given away than that


def test_a_gap_that_leaves_nothing_beside_the_sealed_rows_is_refused() -> None:
    with pytest.raises(DataError, match=r"holdout = 0.2 leaves no row .* too near .*gap = '55'"):
        panel("time_blocks", gap="55")
    with pytest.raises(DataError, match=r"holdout = 0.2 leaves 500 of 720 rows .* there is room"):
        panel("group_time", gap="2", n_splits=9)


def test_rows_near_the_sealed_ones_survive_the_file(tmp_path: Any) -> None:
    folds, _, _ = panel("group_time", gap="2")
    folds.save(tmp_path / "folds.parquet")
    loaded = Folds.load(tmp_path / "folds.parquet")
    assert loaded.digest == folds.digest
    np.testing.assert_array_equal(loaded.near_sealed, folds.near_sealed)


def test_files_of_folds_without_such_rows_are_what_they_were() -> None:
    old = Folds(pd.Series(["a", "b", "c", "d"]), np.array([0, 1, -1, SEALED]))
    assert old.digest == "fc7477dfad936acb"  # of kit before there were rows near the sealed ones
    purged = np.array([[0, 1], [0, 0], [1, 0], [0, 0]], dtype=bool)
    assert Folds(old.ids, old.fold, forward=True, purged=purged).digest == "8aff5251644b20b6"


@pytest.mark.parametrize("n_splits", [1, 2])
def test_of_windows_a_share_of_the_rows_is_sealed_whatever_a_window_is_long(n_splits: int) -> None:
    days = pd.Series(pd.date_range("2024-01-01", periods=100).repeat(3))
    spec = CVSpec(splitter="time_windows", n_splits=n_splits, horizon="28D", holdout=0.1)
    made = make_folds(ids=range(300), y=np.arange(300) % 2, task="binary", spec=spec, time=days)
    assert list(made.sealed) == [*range(270, 300)]
    assert made.valid(n_splits - 1).max() == 269


def test_other_folds_leave_the_same_rows_sealed() -> None:
    first, _ = folds_of("kfold")
    other, _ = folds_of("kfold", seed=7)
    assert first.digest != other.digest
    np.testing.assert_array_equal(first.sealed, other.sealed)


def test_without_a_holdout_folds_are_what_they_were() -> None:
    folds, _ = folds_of("kfold", holdout=0.0)
    assert len(folds.sealed) == 0
    assert folds.fold.min() == 0


def test_a_share_the_data_do_not_allow_is_refused(make_competition: Make) -> None:
    with pytest.raises(ConfigError, match=r"cv\.holdout must be 0 \(none\) or between"):
        sealed(make_competition, *frames(), cv={"holdout": 0.001})
    with pytest.raises(DataError, match=r"cv\.holdout = 0.01 \(one of 100 folds\)"):
        folds_of("group_kfold", holdout=0.01)


def predictions(runs: list[Run]) -> list[NDArray[np.float64]]:
    kinds = ("oof", "test", "holdout")
    return [getattr(run, kind)()["pred"].to_numpy() for run in runs for kind in kinds]


def test_labels_of_sealed_rows_reach_no_prediction_weight_or_threshold(
    make_competition: Make,
) -> None:
    task = {"task": {"metric": "f1"}}  # a threshold is chosen
    train, test = frames()
    before = sealed(make_competition, train, test, name="before", **task)
    rows = load_context(before).folds.sealed
    flipped = train.copy()
    flipped.loc[rows, "y"] = 1 - flipped.loc[rows, "y"]
    after = sealed(make_competition, flipped, test, name="after", **task)
    found = []
    for competition in (before, after):
        runs = validated(competition, "lightgbm", "linear")
        found.append([*runs, blend(competition, [run.id for run in runs])])
    for a, b in zip(*map(predictions, found), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(*found, strict=True):
        assert a.record["score"] == b.record["score"]
        assert a.record["decision"] == b.record["decision"]
        assert list((a.record["weights"] or {}).values()) == list(
            (b.record["weights"] or {}).values()
        )
        assert a.record["holdout"]["rows"] == len(rows)
        assert a.record["holdout"]["score"] > b.record["holdout"]["score"]


def shops(
    make: Make, name: str, shift: float = 0.0, *, first: int = 12, last: int = 5, gap: str = ""
) -> Competition:
    """Noise per shop and day; `shift` is added to the targets `first` to `last` days from the end.

    The last five days are test, the seven before them sealed.
    """
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=70)
    frame = pd.DataFrame([(d, s) for s in ("a", "b", "c", "d") for d in days])
    frame.columns = pd.Index(["day", "shop"])
    frame["y"] = rng.normal(size=len(frame))
    shifted = (frame["day"] >= days[-first]) & (frame["day"] < days[-last])
    frame.loc[shifted, "y"] += shift
    late = frame["day"] >= days[-5]
    frame.insert(0, "id", np.arange(len(frame)))
    frame["day"] = frame["day"].dt.strftime("%Y-%m-%d")
    return make(
        frame[~late],
        frame[late].drop(columns="y"),
        columns={"kinds": {"shop": "category", "day": "datetime"}, "time": "day"},
        task={"type": "regression", "metric": "rmse", "classes": []},
        submission={"wants": "value"},
        cv={"splitter": "time_windows", "horizon": "5D", "n_splits": 2, "holdout": 0.1, "gap": gap},
        series={"id": ["shop"], "step": "1D", "horizon": 5, "lags": [5, 7], "windows": [3],
                "seasons": [7]},
        models={"lightgbm": {"params": {"n_estimators": 20}}},
        name=name,
    )  # fmt: skip


def test_the_past_of_sealed_rows_of_a_series_holds_none_of_their_labels(
    make_competition: Make,
) -> None:
    before, after = (shops(make_competition, f"s{n}", shift) for n, shift in ((1, 0.0), (2, 9.0)))
    sealed_rows = load_context(before).folds.sealed
    assert len(sealed_rows) == 28  # four shops, a tenth of the days: those that are shifted
    models = ("naive", "seasonal_naive", "lightgbm")
    for a, b in zip(validated(before, *models), validated(after, *models), strict=True):
        assert a.score == b.score
        np.testing.assert_array_equal(a.holdout()["pred"], b.holdout()["pred"])
        assert b.record["holdout"]["score"] > a.record["holdout"]["score"] + 5  # an error


@pytest.fixture
def near_labels(make_competition: Make) -> Callable[[str], list[Any]]:
    """What a model predicts for the sealed rows, before and after other labels near to them."""

    def predicted(model: str) -> list[Any]:
        found = []
        for name, shift in (("near", 0.0), ("near-changed", 9.0)):
            made = shops(make_competition, name, shift, first=15, last=12, gap="3D")
            assert len(load_context(made).folds.near_sealed) == 4 * 3
            (run,) = validated(made, model)
            assert run.record["holdout"]["near"] == 4 * 3
            found.append(run.holdout()["pred"].to_numpy())
        return found

    return predicted


@pytest.mark.parametrize("model", ["naive", "lightgbm"])
def test_labels_within_the_gap_reach_no_prediction_of_a_sealed_row(
    near_labels: Callable[[str], list[Any]], model: str
) -> None:
    np.testing.assert_array_equal(*near_labels(model))


@pytest.mark.parametrize("model", ["naive", "lightgbm"])
def test_a_training_row_within_the_gap_would_be_seen(
    near_labels: Callable[[str], list[Any]], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: what is near the sealed rows is learned from, and the same comparison notices."""
    honest = Folds.train

    def train(self: Folds, k: int) -> Any:
        return np.sort(np.concatenate([honest(self, k), self.near_sealed]))

    monkeypatch.setattr(Folds, "train", train)
    before, after = near_labels(model)
    assert not np.array_equal(before, after)


def test_a_training_row_that_is_sealed_would_be_seen(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: folds train on sealed rows as well, and the same comparison notices."""
    monkeypatch.setattr(Folds, "train", lambda self, k: np.flatnonzero(self.fold != k))
    train, test = frames()
    before = sealed(make_competition, train, test, name="before")
    rows = load_context(before).folds.sealed
    flipped = train.copy()
    flipped.loc[rows, "y"] = 1 - flipped.loc[rows, "y"]
    after = sealed(make_competition, flipped, test, name="after")
    a, b = (predictions(validated(each, "lightgbm")) for each in (before, after))
    assert not np.array_equal(a[0], b[0])


def test_runs_are_ranked_without_the_sealed_score(make_competition: Make) -> None:
    competition = sealed(make_competition, *frames())
    good, poor = sorted(validated(competition, "lightgbm", "linear"), key=lambda run: -run.score)
    poor.record["holdout"]["score"] = 1.0  # type: ignore[index]
    assert best_run([good, poor])[0].id == good.id


def test_every_run_shows_its_sealed_score(make_competition: Make, run_kit: Any) -> None:
    competition = sealed(make_competition, *frames())
    (run,) = validated(competition, "linear")
    shown = run_kit("show", "last", "-C", competition.root).out
    assert "sealed rows" in shown
    assert f"({len(load_context(competition).folds.sealed)} rows" in shown
    assert f"{run.record['holdout']['score']:.2f}" in shown


def test_rows_near_the_sealed_ones_are_counted_where_the_sealed_score_is_shown(
    make_competition: Make, run_kit: Any
) -> None:
    competition = shops(make_competition, "shown", gap="3D")
    (run,) = validated(competition, "naive")
    assert "(28 rows that nothing was chosen by; 12 too near them to be in a fold)" in " ".join(
        run_kit("show", "last", "-C", competition.root).out.split()
    )
    assert "|12 too near the sealed rows|" in page(competition, run)


def page(competition: Competition, run: Run | None = None) -> str:
    path = report_run(competition, run) if run else report_competition(competition)
    text = re.sub(r"<style>.*?</style>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"<[^>]+>", "|", text)


def test_a_report_shows_the_sealed_score_once_and_says_whether_the_promise_was_kept(
    make_competition: Make,
) -> None:
    competition = sealed(make_competition, *frames())
    (run,) = validated(competition, "linear")
    rows = len(load_context(competition).folds.sealed)
    text = page(competition, run)
    assert text.count("Sealed holdout") == 1
    assert text.count(f"|{run.record['holdout']['score']:.5f}|") == 1
    assert f"|{rows}|" in text
    assert "as promised" in text
    assert "Sealed holdout" not in page(competition)  # where runs are beside each other
    run.record["holdout"]["score"] = 0.05  # type: ignore[index]
    assert "worse than chance explains" in page(competition, run)
    run.record["holdout"]["score"] = None  # type: ignore[index]
    assert "verdict" not in page(competition, run)


def test_without_sealed_rows_no_report_speaks_of_them(make_competition: Make) -> None:
    competition = sealed(make_competition, *frames(), cv={"holdout": 0.0})
    (run,) = validated(competition, "linear")
    assert "Sealed holdout" not in page(competition, run)


def test_a_rerun_compares_the_sealed_rows_too(make_competition: Make) -> None:
    competition = sealed(make_competition, *frames())
    (run,) = validated(competition, "linear")
    same = rerun(competition, run)
    assert (same.equal, same.holdout, same.rows) == (True, 0.0, N + N_TEST)
    path = run.path / "holdout.parquet"
    frame = pd.read_parquet(path)
    frame.assign(pred=frame["pred"] + 1e-6).to_parquet(path)
    off = rerun(competition, run)
    assert not off.equal
    assert off.holdout == pytest.approx(1e-6)


def test_a_group_that_is_sealed_in_part_is_found(make_competition: Make) -> None:
    train, test = frames()
    train["house"], test["house"] = np.arange(N) // 5, 1000
    columns = {"columns": {"group": "house", "kinds": {"city": "category"}}}
    honest = sealed(make_competition, train, test, cv={"splitter": "group_kfold"}, **columns)
    assert "KIT302" not in {finding.code for finding in check(honest).findings}
    folds = load_context(honest).folds
    fold = folds.fold.copy()
    fold[folds.sealed[0]] = 0  # planted
    Folds(folds.ids, fold).save(honest.root / "folds.parquet")
    by_file = Competition.load(honest.root, ['cv.splitter="file"'])
    (found,) = [f for f in check(by_file).findings if f.code == "KIT302"]
    assert found.evidence.startswith("1 of 60 groups")


def test_rows_of_a_sealed_group_that_are_in_no_fold_do_not_cut_it(make_competition: Make) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(720), "a": rng.normal(size=720), "day": [*range(60)] * 12})
    frame["house"] = np.repeat(np.arange(12), 60)
    competition = make_competition(
        frame.assign(y=rng.integers(0, 2, 720)),
        frame.assign(day=frame["day"] + 60),
        columns={"group": "house", "time": "day"},
        cv={"splitter": "group_time", "horizon": "8", "n_splits": 2, "holdout": 0.2},
    )
    folds = load_context(competition).folds
    both = set(frame["house"][folds.sealed]) & set(frame["house"][folds.near_sealed])
    assert both
    assert "KIT302" not in {finding.code for finding in check(competition).findings}


def test_fits_stop_on_rows_that_are_apart_from_those_they_learn_from(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[InnerSplit] = []

    def spied(original: Any, place: int) -> Any:
        def spy(*arguments: Any, **options: Any) -> Any:
            seen.append(arguments[place])
            return original(*arguments, **options)

        return spy

    monkeypatch.setattr(tasks, "fit_fold", spied(tasks.fit_fold, 2))
    monkeypatch.setattr(final, "fit_all", spied(final.fit_all, 4))
    competition = shops(make_competition, "apart", gap="3D")
    (run,) = validated(competition, "naive")
    refit(competition, run, seeds=1)
    context = load_context(competition)
    folds, time = context.folds, context.dataset.time
    assert time is not None
    assert len(seen) == folds.n_splits + 1
    for k, split in enumerate(seen):
        rows = folds.train(k) if k < folds.n_splits else np.arange(len(folds.fold))
        assert len(split.stops) == len(rows)
        apart = time[rows[split.stops]].min() - time[rows[split.learned]].max()
        assert apart > np.timedelta64(3, "D")
    np.testing.assert_array_equal(np.flatnonzero(seen[-1].stops), folds.sealed)


def test_new_writes_the_holdout(run_kit: Any, tmp_path: Any) -> None:
    done = run_kit("new", "wine", "--from", "sample", "--holdout", "0.2", "-C", tmp_path)
    assert done.code == 0
    assert Competition.load(tmp_path / "wine").settings.cv.holdout == 0.2
