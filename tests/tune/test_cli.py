"""`kit tune` as typed: tables, JSON, the report, `--apply`, wrong use."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from kit.competition import CONFIG_NAME, Competition
from kit.errors import KitError
from kit.runs import list_runs
from kit.settings import ModelSpec
from kit.tune import loop
from kit.tune.applying import apply, header

Small = Callable[..., Competition]


@pytest.fixture(autouse=True)
def inside(monkeypatch: pytest.MonkeyPatch, inside_workers: Any) -> None:
    monkeypatch.setattr(loop, "here", inside_workers)
    monkeypatch.setattr("kit.tune.rescoring.SEEDS", 1)


def test_a_search_from_the_command_line(small: Small, run_kit: Any) -> None:
    competition = small()
    done = run_kit("tune", "lightgbm", "--trials", "7", "-C", competition.root)
    assert done.code == 0, done.err
    assert "lightgbm-shallow" in done.out
    assert "(without a search)" in done.out
    assert "folds of the search  other folds" in done.out
    assert "importance, lightgbm: " in done.out
    assert "7 trials: 7 through all folds (each is a run)" in done.out
    assert "known configurations first, then bayes search until there are 7 trials" in done.err
    assert "trial 6" in done.err
    assert "kit tune lightgbm --apply" in done.out or "kit blend" in done.out
    report = competition.root / "reports"
    (page,) = report.glob("tune-*.html")
    text = page.read_text()
    pictures = [part.partition("</svg>")[0] for part in text.split("<svg")[1:]]
    assert "without a search" in text
    assert "roc_auc, higher is better" in text
    assert len(pictures) == 3  # parallel coordinates, and slices of six parameters at a time
    for picture in pictures:
        ElementTree.fromstring(f"<svg{picture}</svg>")
    assert "<script" not in text
    assert "src=" not in text


def test_the_memory_for_a_large_table_is_stated_before_it_starts(
    small: Small, run_kit: Any
) -> None:
    flags = ("--set", "execution.on_disk=always", "-C", small().root)
    done = run_kit("tune", "lightgbm", "--trials", "1", *flags)
    assert done.code == 0, done.err
    assert "memory planned at the peak: lightgbm 0." in done.err.partition("trial 0")[0]


FRAGILE = """
from sklearn.linear_model import LogisticRegression

def fragile(C: float = 1.0):
    return LogisticRegression(C=C)
"""


def test_a_named_point_that_fails_is_an_error_whatever_was_there(
    small: Small, run_kit: Any
) -> None:
    root = small(
        code={"model.py": FRAGILE},
        models={"fragile": {"use": "model:fragile", "recipe": "linear"}},
        tune={"fragile": {"C": {"low": 0.5, "high": 1.9}}},
    ).root
    manual = ("tune", "fragile", "--method", "manual", "-q", "-C", root, "--try")
    alone = run_kit(*manual, "C=-1.0")
    assert (alone.code, alone.out) == (1, "")
    assert "model 'fragile-t0', fold 1" in alone.err
    assert run_kit(*manual, "C=1.5").code == 0
    again = run_kit(*manual, "C=-1.0")
    assert again.code == 1, "it is tried again, and what is there is no excuse"
    assert "trial 2, fragile-t2, failed: " in again.err
    assert "fragile-t1 is the best" in again.out


@pytest.mark.slow
def test_json_is_one_document_and_apply_writes_the_winner(small: Small, run_kit: Any) -> None:
    competition = small()
    done = run_kit("tune", "knn", "lightgbm", "--trials", "5", "--json", "-C", competition.root)
    document = json.loads(done.out)
    assert [trial["number"] for trial in document["trials"]] == [0, 1, 2, 3, 4]
    assert document["seeds"] == [43]
    assert document["winner"]["other_folds"] is not None
    assert document["applied"] is None
    before = len(list_runs(competition.runs)[0])

    done = run_kit("tune", "knn", "lightgbm", "--apply", "--json", "-C", competition.root)
    assert done.code == 0, done.err
    applied = json.loads(done.out)
    assert len(list_runs(competition.runs)[0]) == before  # nothing more was searched
    assert applied["winner"] == document["winner"]
    name = document["winner"]["model"]
    again = run_kit("cv", name, "--json", "-C", competition.root)
    assert json.loads(again.out)["runs"][0]["id"] == document["winner"]["run"]
    assert len(list_runs(competition.runs)[0]) == before


def test_spaces_are_shown(small: Small, run_kit: Any, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    shown = run_kit("tune", "lightgbm", "mlp", "--show-space")
    assert shown.code == 0
    assert "learning_rate" in shown.out
    assert "0.02 to 0.1, log" in shown.out
    assert "with categories" in shown.out
    assert "0, or 1e-05 to 0.1, log" in shown.out
    assert "source: TabArena" in shown.out
    competition = small(tune={"knn": {"k": {"choices": [3, 5]}}})
    own = run_kit("tune", "knn", "--show-space", "--json", "-C", competition.root)
    assert json.loads(own.out)["knn"]["space"] == {"k": {"values": [3, 5]}}
    assert run_kit("tune", "lightgmb", "--show-space").code == 1
    mixed = run_kit("tune", "naive", "lightgbm", "--show-space")
    assert mixed.code == 1
    assert "learning_rate" in mixed.out, "the others are shown all the same"
    assert "naive" in mixed.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["lightgbm", "--trials", "0"], 2, "--trials"),
        (["lightgbm", "--method", "guess"], 2, "--method"),
        (["lightgbm", "--budget", "soon"], 1, "a duration looks like"),
        (["lightgmb"], 1, "unknown model 'lightgmb'"),
        (["lightgbm", "lightgbm"], 1, "named more than once"),
        (["lightgbm", "--set", "tune.lightgbm.num_leaves.low=900"], 1, "is empty: low 900"),
        (["lightgbm", "--apply"], 1, "Search first: kit tune lightgbm"),
        ([], 2, "MODEL"),
    ],
)
def test_wrong_use_is_one_message(
    arguments: list[str], code: int, message: str, small: Small, run_kit: Any
) -> None:
    competition = small()
    done = run_kit("tune", *arguments, "-C", competition.root)
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err


TOML = """\
schema = 1  # the only one

[competition]
slug = "x"   # as on Kaggle

[columns]
id = "id"
target = "y"

[task]
type = "regression"
metric = "rmse"

[submission]
wants = "value"

# my models
[models.lightgbm]      # the first one
use = "lightgbm"       # of course
pseudo_labels = 0.0
[models.lightgbm.params]
learning_rate = 0.03   # slow
num_leaves = 31        # many
max_bin = 63           # few

[models.other]
use = "knn"
params = { k = 5 }     # inline
"""


def test_apply_changes_one_table_and_keeps_comments(tmp_path: Any) -> None:
    path = tmp_path / CONFIG_NAME
    path.write_text(TOML)
    spec = ModelSpec(use="lightgbm", recipe="", params={"learning_rate": 0.05, "num_leaves": 31})
    apply(tmp_path, "lightgbm", spec)
    changed = path.read_text()
    lost = [line for line in TOML.splitlines() if line not in changed.splitlines()]
    assert lost == ["learning_rate = 0.03   # slow", "max_bin = 63           # few"]
    assert "learning_rate = 0.05   # slow" in changed
    assert Competition.load(tmp_path).settings.models["lightgbm"] == spec


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(use="realmlp", params={"layers": (256, 256), "dropout": 0.1}),
        ModelSpec(use="lightgbm", recipe="tree_generated", params={"extra_trees": True}),
        ModelSpec(use="model:mine", params={"strategy": 'a "b"'}),
    ],
)
@pytest.mark.parametrize("name", ["other", "new-one", "model:mine"])
def test_apply_makes_or_fills_any_table(spec: ModelSpec, name: str, tmp_path: Any) -> None:
    path = tmp_path / CONFIG_NAME
    path.write_text(TOML)
    apply(tmp_path, name, spec)
    written = Competition.load(tmp_path).settings.models[name]
    assert (written.use, written.recipe) == (spec.use, spec.recipe)
    assert json.dumps(written.params) == json.dumps(dict(spec.params))
    assert tomllib.loads(path.read_text())["models"]["lightgbm"]["params"]["max_bin"] == 63


@pytest.mark.parametrize("end", ["", "\n\n# the last word", "\n[tune.knn.k]\nlow = 3\n"])
def test_apply_writes_the_first_table_of_models(end: str, tmp_path: Any) -> None:
    path = tmp_path / CONFIG_NAME
    before = (TOML.partition("# my models")[0].rstrip("\n") + end).replace("\n", "\r\n")
    path.write_bytes(before.encode())
    spec = ModelSpec(use="knn", params={"k": 7})
    apply(tmp_path, "knn", spec)
    assert Competition.load(tmp_path).settings.models == {"knn": spec}
    after = path.read_bytes().decode()
    assert all(line in after for line in before.splitlines(keepends=True)[:-1])


def test_apply_leaves_a_file_that_it_cannot_change(tmp_path: Any) -> None:
    path = tmp_path / CONFIG_NAME
    odd = TOML.replace("[models.other]", "[broken")
    path.write_text(odd)
    with pytest.raises(KitError, match=r"Write it by hand:\n  \[models.other\]"):
        apply(tmp_path, "other", ModelSpec(use="knn", params={"k": 3}))
    assert path.read_text() == odd


@pytest.mark.parametrize("name", ["knn", "my knn", 'a "b"', "a.b"])
def test_the_header_of_a_models_table_is_what_toml_reads(name: str) -> None:
    assert tomllib.loads(header(name)) == {"models": {name: {}}}
