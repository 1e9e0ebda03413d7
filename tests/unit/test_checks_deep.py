"""Every finding of `kit check --deep` has a planted case; clean and merely odd data trip none."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.checks import Finding, Report, check
from kit.checks.catalogue import CATALOGUE
from kit.checks.deep import near
from kit.checks.deep import target as hidden
from kit.checks.deep.files import stats
from kit.checks.deep.learning import auc
from kit.competition import Competition
from kit.images.files import ImageFolder

Make = Callable[..., Competition]
N, N_TEST = 400, 200
DEEP = [entry.code for entry in CATALOGUE if entry.deep]


@dataclass
class Files:
    """A small competition before it is written; the planted cases change it."""

    train: pd.DataFrame
    test: pd.DataFrame
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    after: Callable[[Path], object] = lambda root: None

    def table(self, name: str, **values: Any) -> None:
        self.tables.setdefault(name, {}).update(values)

    def both(self, **columns: Any) -> None:
        for name, values in columns.items():
            self.train[name] = np.asarray(values)[: len(self.train)]
            self.test[name] = np.asarray(values)[len(self.train) :]

    @property
    def y(self) -> pd.Series:
        return self.train["y"]


def clean(noise: float = 1.0) -> Files:
    rng = np.random.default_rng(5)
    n = N + N_TEST
    frame = pd.DataFrame(
        {
            "id": rng.permutation(10 * n)[:n],
            "a": rng.normal(size=n),
            "b": rng.normal(size=n),
            "c": rng.lognormal(size=n),
            "city": rng.choice(["Oslo", "Rom", "Wien"], n),
        }
    )
    y = (frame["a"] + frame["b"] + noise * rng.normal(size=n) > 0).astype(int)
    return Files(frame[:N].assign(y=y[:N]), frame[N:].reset_index(drop=True))


def report(make: Make, files: Files, **options: Any) -> Report:
    competition = make(files.train, files.test, **files.tables)
    files.after(competition.root)
    return check(competition, deep=True, **options)


def copied(files: Files, *, flip: bool = False) -> None:
    rng = np.random.default_rng(0)
    more = files.train.head(30).copy()
    more[["a", "b", "c"]] += 0.002 * rng.normal(size=(30, 3))
    more["id"] += 100_000
    if flip:
        more["y"] = 1 - more["y"]
    files.train = pd.concat([files.train, more]).sample(frac=1, random_state=1, ignore_index=True)


def near_copies(files: Files) -> None:
    copied(files)


def flipped_copies(files: Files) -> None:
    copied(files, flip=True)


def copies_in_test(files: Files) -> None:
    rng = np.random.default_rng(0)
    names = ["a", "b", "c", "city"]
    files.test.loc[:29, names] = files.train.loc[:29, names].to_numpy()
    files.test[["a", "b", "c"]] = files.test[["a", "b", "c"]].astype(float)
    files.test.loc[:29, ["a", "b", "c"]] += 0.002 * rng.normal(size=(30, 3))


def flipped_labels(files: Files) -> None:
    files.train["y"] = (files.train["a"] > 0).astype(int)
    rows = np.random.default_rng(0).random(N) < 0.1
    files.train.loc[rows, "y"] = 1 - files.train.loc[rows, "y"]


def other_combination(files: Files) -> None:
    rng = np.random.default_rng(0)
    common, sign = rng.normal(size=N + N_TEST), np.repeat([1, -1], [N, N_TEST])
    files.both(u=common + 0.3 * rng.normal(size=N + N_TEST))
    files.both(v=sign * common + 0.3 * rng.normal(size=N + N_TEST))


def shifted(files: Files) -> None:
    files.test["c"] *= 2.5


def hint(files: Files) -> None:
    rng = np.random.default_rng(1)
    y = np.r_[files.y, rng.integers(0, 2, N_TEST)]
    files.both(hint=y * 3.5 + rng.normal(size=N + N_TEST))


def telling_gaps(files: Files) -> None:
    rng = np.random.default_rng(1)
    y = np.r_[files.y, rng.integers(0, 2, N_TEST)]
    kept = rng.random(N + N_TEST) < np.where(y == 1, 0.08, 0.92)
    files.both(paid=np.where(kept, rng.random(N + N_TEST), np.nan))


def sorted_rows(files: Files) -> None:
    files.train = files.train.sort_values("y", ignore_index=True)


def parity(files: Files) -> None:
    files.train["id"] = np.random.default_rng(0).permutation(N) * 2 + files.y
    files.test["id"] = np.arange(N_TEST) + 5000


def heavier_files(files: Files) -> None:
    rng = np.random.default_rng(0)
    files.both(scan=[f"s{n}.bin" for n in rng.permutation(N + N_TEST)])
    files.table("columns", kinds={"city": "category", "scan": "id"})
    names, labels = [*files.train["scan"], *files.test["scan"]], [*files.y, *[0] * N_TEST]

    def after(root: Path) -> None:
        (root / "data/raw/scans").mkdir()
        for name, label in zip(names, labels, strict=True):
            content = bytes(int(rng.integers(50, 100)) + 40 * label)
            (root / "data/raw/scans" / name).write_bytes(content)

    files.after = after


def rounded(files: Files) -> None:
    """Rows of one outcome come from a source that writes two decimals."""
    weight = np.random.default_rng(0).gamma(9.0, 8.0, N + N_TEST)
    short = np.r_[files.y == 1, np.zeros(N_TEST, dtype=bool)]
    files.both(weight=np.where(short, weight.round(2), weight.round(5)))


def other_houses(files: Files) -> None:
    rng = np.random.default_rng(0)
    number = rng.permutation(1000)[:120]
    files.both(house=number[np.r_[rng.integers(0, 80, N), rng.integers(80, 120, N_TEST)]])
    files.table("columns", drop=["house"])


def later_test(files: Files) -> None:
    days = pd.date_range("2024-01-01", periods=N + N_TEST).to_numpy(copy=True)
    days[:N] = np.random.default_rng(0).permutation(days[:N])
    days[0] = days[N + 5]  # else KIT305 says it: it asks for all of test
    files.both(day=pd.Series(days).dt.strftime("%Y-%m-%d"))
    files.table("columns", kinds={"city": "category", "day": "datetime"})


def shared_groups(files: Files) -> None:
    files.both(house=np.random.default_rng(0).integers(0, 60, N + N_TEST))
    files.table("columns", group="house")
    files.table("cv", splitter="group_kfold")


def uneven(files: Files) -> None:
    files.train["y"] = (np.arange(N) % 25 == 0).astype(int)
    files.train["y"] = np.random.default_rng(0).permutation(files.train["y"])
    files.table("cv", splitter="kfold", n_splits=4)


PLANTED: dict[str, tuple[Callable[[Files], None], str, str]] = {
    "KIT104": (near_copies, "warning", "of 430 rows nearly equal another one"),
    "KIT105": (flipped_copies, "warning", "60 of 60 near-copies have another label"),
    "KIT106": (copies_in_test, "warning", "30 of 200 rows of test nearly equal"),
    "KIT107": (flipped_labels, "warning", "labels are contradicted"),
    "KIT131": (other_combination, "warning", "what gives it away: 'u'"),
    "KIT132": (shifted, "warning", "'c': distributions"),
    "KIT203": (hint, "warning", "'hint' alone: ROC AUC 0.9"),
    "KIT204": (telling_gaps, "warning", "which values are missing, alone: ROC AUC 0.9"),
    "KIT205": (sorted_rows, "warning", "the place of a row in train.csv, alone: ROC AUC 0.99"),
    "KIT206": (parity, "warning", "last digit of the id 'id', alone: ROC AUC"),
    "KIT207": (heavier_files, "warning", "size of the files that 'scan' names"),
    "KIT208": (rounded, "warning", "decimals of 'weight', alone: ROC AUC"),
    "KIT331": (other_houses, "warning", "'house': 0% of the rows of test"),
    "KIT332": (later_test, "warning", "'day': 100% of the rows of test are later"),
    "KIT333": (shared_groups, "info", "100% of the rows of test belong to a 'house'"),
    "KIT334": (uneven, "info", "'1' makes"),
}


def test_every_deep_code_has_a_planted_case() -> None:
    assert list(PLANTED) == DEEP


@pytest.mark.parametrize("code", PLANTED)
def test_a_planted_mistake_is_found(make_competition: Make, code: str) -> None:
    plant, severity, words = PLANTED[code]
    files = clean()
    plant(files)
    findings = [f for f in report(make_competition, files).findings if f.code == code]
    assert len(findings) == 1
    assert findings[0].severity == severity
    assert words in findings[0].evidence
    assert findings[0].remedy
    assert "{" not in findings[0].remedy


def loud(found: Report) -> list[Finding]:
    return [finding for finding in found.findings if finding.severity != "info"]


def test_clean_data_have_no_deep_finding(make_competition: Make) -> None:
    found = report(make_competition, clean())
    assert found.findings == ()
    assert {code for code, _ in found.checked} >= set(DEEP)
    assert found.late == ()


def test_deep_checks_run_only_when_asked_for(make_competition: Make) -> None:
    files = clean()
    hint(files)
    competition = make_competition(files.train, files.test)
    assert check(competition).findings == ()


def heavy_tails(files: Files) -> None:
    files.both(x=np.random.default_rng(0).standard_cauchy(N + N_TEST))


def gaps_at_random(files: Files) -> None:
    rng = np.random.default_rng(0)
    for frame in (files.train, files.test):
        frame.loc[rng.random(len(frame)) < 0.4, ["a"]] = np.nan
        frame.loc[rng.random(len(frame)) < 0.7, ["c"]] = np.nan


def coarse(files: Files) -> None:
    for frame in (files.train, files.test):
        frame[["a", "b"]] = frame[["a", "b"]].round(1)


def overlapping_classes(files: Files) -> None:
    rng = np.random.default_rng(0)
    files.train["y"] = (files.train["a"] + 2 * rng.normal(size=N) > 0).astype(int)


def trend_with_time_named(files: Files) -> None:
    days = pd.Series(pd.date_range("2024-01-01", periods=N + N_TEST)).dt.strftime("%Y-%m-%d")
    files.both(day=days)
    rng = np.random.default_rng(0)
    files.train["y"] = (np.linspace(-2, 2, N) + rng.normal(size=N) > 0).astype(int)
    files.table("columns", time="day", kinds={"city": "category", "day": "datetime"})
    files.table("cv", splitter="time_series")


def new_houses_kept_apart(files: Files) -> None:
    other_houses(files)
    files.table("columns", drop=[], group="house")
    files.table("cv", splitter="group_kfold")


@pytest.mark.parametrize(
    "change",
    [
        heavy_tails,
        gaps_at_random,
        coarse,
        overlapping_classes,
        trend_with_time_named,
        new_houses_kept_apart,
    ],
)
def test_what_is_merely_odd_is_no_warning(
    make_competition: Make, change: Callable[[Files], None]
) -> None:
    files = clean()
    change(files)
    assert [f.code for f in loud(report(make_competition, files))] == []


def test_a_deep_finding_can_be_muted_for_a_column(make_competition: Make) -> None:
    files = clean()
    hint(files)
    files.table("check", mute=["KIT203:hint"])
    found = report(make_competition, files)
    assert found.findings == ()
    assert [finding.code for finding in found.muted] == ["KIT203"]


def test_checks_that_the_budget_is_too_short_for_are_told(make_competition: Make) -> None:
    found = report(make_competition, clean(), seconds=1e-9)
    assert [code for code, _ in found.late] == DEEP
    assert set(DEEP).isdisjoint(code for code, _ in found.checked)


@pytest.mark.parametrize("code", ["KIT104", "KIT105", "KIT106"])
def test_copies_are_found_in_the_cells_of_a_grid_as_well(
    make_competition: Make, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """The way for many rows, where not all pairs can be compared."""
    monkeypatch.setattr(near, "_WORK", 0)
    files = clean()
    PLANTED[code][0](files)
    assert code in {finding.code for finding in report(make_competition, files).findings}
    assert report(make_competition, clean()).findings == ()


def test_the_grid_finds_what_comparing_all_pairs_finds() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3000, 6)).astype(np.float32)
    copies = rows[:200] + 0.003 * rng.normal(size=(200, 6)).astype(np.float32)
    partner, distance = near._in_cells(np.concatenate([rows, copies]), 0)
    found = distance[3000:] < 0.02
    assert found.mean() > 0.9
    assert (partner[3000:][found] == np.arange(200)[found]).mean() > 0.95
    partner, distance = near._in_cells(np.concatenate([copies, rows]), 200)
    assert (partner[:200][distance[:200] < 0.02] >= 200).all()


def test_sampled_rows_are_told(make_competition: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden, "_ROWS", 150)
    found = report(make_competition, clean())
    assert "leaks of the target: 150 of 400 rows" in found.sampled
    assert found.sampled.count("leaks of the target") == 1


def test_files_that_are_only_older_are_found(make_competition: Make) -> None:
    files = clean()
    heavier_files(files)
    make_files = files.after
    labels = dict(zip(files.train["scan"], files.y, strict=True))

    def after(root: Path) -> None:
        make_files(root)
        for path in (root / "data/raw/scans").iterdir():
            path.write_bytes(b"same")
            moment = 1.7e9 + 1e6 * labels.get(path.name, 0)
            os.utime(path, (moment, moment))

    files.after = after
    (finding,) = [f for f in report(make_competition, files).findings if f.code == "KIT207"]
    assert finding.evidence.startswith("time of change of the files")


@pytest.mark.parametrize("trace", ["size", "width"])
def test_images_in_zips_and_deep_folders_are_looked_at(make_competition: Make, trace: str) -> None:
    """Portraits are positive, about as large as the others; or files that are longer."""
    rng = np.random.default_rng(0)
    files = clean()
    files.both(scan=[f"s{n}" for n in rng.permutation(N + N_TEST)])
    files.table("columns", kinds={"city": "category", "scan": "id"})
    labels = dict(zip(files.train["scan"], files.y, strict=True))

    def after(root: Path) -> None:
        folder = root / "data" / "raw"
        with zipfile.ZipFile(folder / "scans.zip", "w") as archive:
            for name in [*files.train["scan"], *files.test["scan"]]:
                positive = labels.get(name, 0)
                shape = (16, 9) if positive and trace == "width" else (9, 16)
                pixels = rng.integers(0, 256, shape, dtype=np.uint8)
                pixels[: rng.integers(0, 4)] = 0
                file = io.BytesIO()
                Image.fromarray(pixels).save(file, "PNG")
                longer = bytes(100 * positive if trace == "size" else 0)
                archive.writestr(f"deep/below/{name}.png", file.getvalue() + longer)

    files.after = after
    (finding,) = [f for f in report(make_competition, files).findings if f.code == "KIT207"]
    assert finding.evidence.startswith(f"{trace} of the files that 'scan' names")


@pytest.mark.parametrize("names", ["/etc/passwd", "../kit.toml", "x" * 5000, "a\0b"])
def test_values_that_lead_out_of_the_folder_name_no_file(tmp_path: Path, names: str) -> None:
    assert stats(tmp_path, pd.Series([names] * 30), ImageFolder(tmp_path)) is None


@pytest.mark.parametrize("task", ["multilabel", "multitarget"])
def test_what_tells_the_second_target_is_found(make_competition: Make, task: str) -> None:
    rng = np.random.default_rng(0)
    train = pd.DataFrame(rng.normal(size=(500, 3)), columns=["a", "b", "c"])
    train["first"], train["second"] = rng.normal(size=500), rng.normal(size=500)
    if task == "multilabel":
        train[["first", "second"]] = (train[["first", "second"]] > 0).astype(int)
    order = np.argsort(np.argsort(train["second"] + 0.01 * rng.normal(size=500)))
    train.insert(0, "id", order.astype(int) * 7 + 1000)
    test = pd.DataFrame(rng.normal(size=(100, 3)), columns=["a", "b", "c"])
    test.insert(0, "id", np.arange(100) * 7 + 10_003)
    competition = make_competition(
        train,
        test,
        sample=test[["id"]].assign(first=0.5, second=0.5),
        columns={"target": ["first", "second"]},
        task={"type": task, "metric": "rmse" if task == "multitarget" else "roc_auc",
              "classes": []},
        submission={"wants": "value" if task == "multitarget" else "probability",
                    "columns": ["first", "second"]},
        cv={"splitter": "kfold"},
    )  # fmt: skip
    (finding,) = [f for f in check(competition, deep=True).findings if f.code == "KIT206"]
    assert finding.evidence.startswith("number of the id 'id'")
    assert "for 'second'" in finding.evidence


def test_a_duration_called_time_is_not_when_a_row_happened(make_competition: Make) -> None:
    files = clean()
    rng = np.random.default_rng(0)
    files.both(time_spent=np.r_[rng.normal(10, 2, N), rng.normal(11.5, 2, N_TEST)])
    (finding,) = [f for f in report(make_competition, files).findings if f.code == "KIT132"]
    assert finding.columns == ("time_spent",)


def odd_columns(n: int) -> dict[str, Any]:
    """Whatever a file may hold, in `n` rows."""
    rng = np.random.default_rng(3)
    days = pd.Series(pd.date_range("2020-01-01", periods=n, freq="D")).dt.strftime("%Y-%m-%d")
    return {
        "empty": np.full(n, np.nan),
        "flag": rng.random(n) < 0.5,
        "huge": rng.integers(2**62, 2**63 - 1, n),
        "gone": pd.Series(rng.choice(["u", "v"], n)).where(rng.random(n) < 0.5),
        "nearly": np.where(np.arange(n) == 1, 1.0, 2.0),
        "endless": np.where(rng.random(n) < 0.1, np.inf, rng.normal(size=n)),
        "day": days.where(rng.random(n) < 0.8),
        "note": [" ".join(rng.choice(["so", "it", "goes"], 5)) for _ in range(n)],
        "code": [f"A/{k}/\u00e9" for k in rng.integers(0, 50, n)],
    }


ODD_KINDS = {"gone": "category", "day": "datetime", "note": "text", "code": "code"}
TASKS = {
    "binary": lambda rng, n: {"y": rng.integers(0, 2, n)},
    "multiclass": lambda rng, n: {"y": np.arange(n) % 3},
    "regression": lambda rng, n: {"y": rng.normal(size=n)},
    "multitarget": lambda rng, n: {"y": rng.normal(size=n), "z": rng.normal(size=n)},
    "multilabel": lambda rng, n: {"y": rng.integers(0, 2, n), "z": np.arange(n) % 2},
}


@pytest.mark.parametrize(("n", "n_test"), [(240, 120), (12, 1)])
@pytest.mark.parametrize("task", TASKS)
def test_odd_columns_break_no_deep_check(
    make_competition: Make, task: str, n: int, n_test: int
) -> None:
    frame = pd.DataFrame({"id": [f"k-{k}-1" for k in range(n + n_test)], **odd_columns(n + n_test)})
    targets = TASKS[task](np.random.default_rng(0), n)
    metric = {"regression": "rmse", "multitarget": "rmse"}.get(task, "log_loss")
    classes = {"binary": ["0", "1"], "multiclass": ["0", "1", "2"]}.get(task, [])
    competition = make_competition(
        frame[:n].assign(**targets),
        frame[n:].reset_index(drop=True),
        columns={"target": list(targets), "kinds": ODD_KINDS},
        task={"type": task, "metric": metric, "classes": classes},
        submission={"wants": "value" if metric == "rmse" else "probability"},
        cv={"splitter": "kfold"},
    )
    found = check(competition, deep=True)
    assert {code for code, _ in found.checked} >= {"KIT104", "KIT131", "KIT203"}


def test_auc_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    y, score = rng.random(300) < 0.3, rng.integers(0, 20, 300).astype(float)
    assert auc(y, score)[0] == pytest.approx(roc_auc_score(y, score))


def test_the_command_runs_deep_and_says_so_in_json(make_competition: Make, run_kit: Any) -> None:
    import json

    files = clean()
    hint(files)
    competition = make_competition(files.train, files.test)
    done = run_kit("check", "--deep", "--json", "-C", competition.root)
    document = json.loads(done.out)
    assert done.code == 0
    assert [finding["code"] for finding in document["findings"]] == ["KIT203"]
    assert document["late"] == []
    shown = run_kit("check", "--deep", "--budget", "1s", "--strict", "-C", competition.root)
    assert shown.code in (0, 1)
    assert run_kit("check", "--deep", "--strict", "-C", competition.root).code == 1


def test_seconds_of_a_moment_tell_and_zeros_do_not(make_competition: Make) -> None:
    """Zeros are written short; what they say is in the value itself."""
    rng, files = np.random.default_rng(0), clean()
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 9e6, N + N_TEST), "s")
    late = pd.Series(np.r_[files.y == 1, np.zeros(N_TEST, dtype=bool)])
    seen = pd.Series(when).where(~late, pd.Series(when).dt.floor("min"))
    files.both(seen=seen.dt.strftime("%Y-%m-%d %H:%M:%S"))
    often = rng.random(N + N_TEST) < np.where(late, 0.6, 0.3)
    files.both(paid=np.where(often, 0.0, rng.gamma(2.0, 3.0, N + N_TEST)))
    files.table("columns", kinds={"city": "category", "seen": "datetime"})
    (finding,) = [f for f in report(make_competition, files).findings if f.code == "KIT208"]
    assert "seconds of 'seen', alone" in finding.evidence
    assert "paid" not in finding.evidence
