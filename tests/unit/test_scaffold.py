"""A competition's folder is made whole or not at all; kit.toml is readable by kit and by people."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition
from kit.errors import ConfigError, DiskFull, ProviderError, UnknownName
from kit.providers.base import Description
from kit.scaffold.facts import Inference
from kit.scaffold.templates import template_path
from kit.scaffold.write import create, render
from kit.settings import ProviderSpec

SPEC = ProviderSpec(name="local", source="../files")


class Files:
    """A provider that writes three small tables."""

    error: BaseException | None = None
    title = 'The "small" one'

    def describe(self) -> Description:
        return Description(slug="small", title=self.title, url="https://example.org/small")

    def fetch(self, destination: Path, progress: Any) -> list[Path]:
        ids = np.arange(40)
        train = {"id": ids, "a.b ": ["u", "v"] * 20, "y": ids % 2}
        test = {"id": ids + 40, "a.b": "u"}
        sample = {"id": ids + 40, "y": 0}
        for name, table in (("train", train), ("test", test), ("sample_submission", sample)):
            pd.DataFrame(table).to_csv(destination / f"{name}.csv", index=False)
            progress(f"{name}.csv", 1, 1)
            if self.error is not None:
                raise self.error
        return []


def make(root: Path, provider: Files | None = None, **options: Any) -> Inference:
    options = {"flags": {}, "template": "tabular", "progress": lambda *_: None, **options}
    return create(root, provider or Files(), SPEC, **options)  # type: ignore[arg-type]


def test_create_makes_a_competition_that_kit_loads(tmp_path: Path) -> None:
    make(tmp_path / "competitions" / "small")
    competition = Competition.load(tmp_path / "competitions" / "small")
    settings = competition.settings
    assert settings.competition.title == Files.title
    assert settings.provider == SPEC
    assert settings.columns.kinds == {"a.b": "category"}
    assert settings.task.classes == ("0", "1")
    assert (competition.raw / "train.csv").is_file()


def test_create_copies_the_template_and_fills_in_the_texts(tmp_path: Path) -> None:
    make(tmp_path / "small")
    made = {path.name for path in (tmp_path / "small").iterdir()}
    assert made == {".gitignore", "NOTES.md", "README.md", "data", "features.py", "kit.toml"}
    readme = (tmp_path / "small" / "README.md").read_text()
    assert readme.startswith(f"# {Files.title}")
    assert "Predict **y** (binary, scored by accuracy)" in readme


def test_create_records_what_was_fetched(tmp_path: Path) -> None:
    make(tmp_path / "small")
    files = json.loads((tmp_path / "small" / "data" / "manifest.json").read_text())["files"]
    assert set(files) == {"train.csv", "test.csv", "sample_submission.csv"}
    train = tmp_path / "small" / "data" / "raw" / "train.csv"
    assert files["train.csv"]["bytes"] == train.stat().st_size


def test_progress_is_told_of_every_file(tmp_path: Path) -> None:
    told: list[str] = []
    make(tmp_path / "small", progress=lambda name, done, total: told.append(name))
    assert told == ["train.csv", "test.csv", "sample_submission.csv"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ProviderError("no"), ProviderError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(28, "No space left on device"), DiskFull),
    ],
)
def test_a_failure_leaves_nothing_behind(
    tmp_path: Path, error: BaseException, expected: type[BaseException]
) -> None:
    provider = Files()
    provider.error = error
    with pytest.raises(expected):
        make(tmp_path / "competitions" / "small", provider)
    assert list(tmp_path.iterdir()) == []


def test_files_that_leave_a_question_open_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--target") as caught:
        make(tmp_path / "small", flags={"target": "z"})
    assert list(tmp_path.iterdir()) == []
    assert ".small.new-" not in str(caught.value)


def test_messages_name_the_folder_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.csv.*/files\. Did") as caught:
        make(tmp_path / "small", flags={"train": "absent.csv"})
    assert ".small.new-" not in str(caught.value)


def test_a_folder_with_something_in_it_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"(?s)must be new or empty.*mine.txt"):
        make(tmp_path / "small")
    assert [path.name for path in (tmp_path / "small").iterdir()] == ["mine.txt"]


def test_an_existing_competition_is_pointed_to(tmp_path: Path) -> None:
    make(tmp_path / "small")
    with pytest.raises(ConfigError, match="kit check -C"):
        make(tmp_path / "small")


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    make(tmp_path / "small")
    assert (tmp_path / "small" / "kit.toml").is_file()


def test_a_folder_made_by_another_in_the_meantime_is_not_overwritten(tmp_path: Path) -> None:
    class Slow(Files):
        def fetch(self, destination: Path, progress: Any) -> list[Path]:
            (tmp_path / "small").mkdir()
            (tmp_path / "small" / "theirs.txt").write_text("theirs")
            return super().fetch(destination, progress)

    with pytest.raises(ConfigError, match=r"theirs\.txt"):
        make(tmp_path / "small", Slow())
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


def test_an_unknown_template_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"'tabluar'.*tabular"):
        make(tmp_path / "small", template="tabluar")
    assert list(tmp_path.iterdir()) == []


def test_the_template_features_change_nothing(tmp_path: Path) -> None:
    path = template_path("tabular") / "features.py"
    spec = importlib.util.spec_from_file_location("template_features", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    frame = pd.DataFrame({"a": [1, 2]})
    pd.testing.assert_frame_equal(module.features(frame.copy()), frame)


def test_every_value_says_where_it_came_from(tmp_path: Path) -> None:
    inference = make(tmp_path / "small")
    text = (tmp_path / "small" / "kit.toml").read_text()
    for item in inference.values:
        assert item.because in text
    assert "accuracy\"   # kit's default for binary and labels (?)" in text
    assert "--submission probability" in " ".join(text.replace("#", " ").split())


def test_strange_names_and_titles_survive_the_round_trip(tmp_path: Path) -> None:
    inference = Inference()
    name = 'a "b"\\ c\x7f\n# = [x]'
    inference.add("columns.target", name, "line one\nline two")
    inference.add(f"columns.kinds.{name}", "text", "with a # and a \x00")
    inference.add("task.type", "regression", "")
    inference.add("task.metric", "rmse", "x" * 300)
    inference.add("submission.wants", "value", "é ✓")
    inference.ask("what\nnow?")
    description = Description(slug="s", title="Zürich\n'quoted' \"twice\"")
    (tmp_path / "kit.toml").write_text(render(inference, description, SPEC), encoding="utf-8")
    settings = Competition.load(tmp_path).settings
    assert settings.columns.target == (name,)
    assert settings.columns.kinds == {name: "text"}
    assert settings.competition.title == description.title


def test_tables_of_set_are_written_as_tables(tmp_path: Path) -> None:
    overrides = {"columns.weight": "x", "columns.weights": {"a b": 2, "c": 0.5}}
    make(tmp_path / "small", overrides=overrides)
    columns = Competition.load(tmp_path / "small").settings.columns
    assert (columns.weight, columns.weights) == ("x", {"a b": 2.0, "c": 0.5})


def test_long_lists_are_broken_over_lines(tmp_path: Path) -> None:
    inference = Inference()
    names = [f"target number {i}" for i in range(60)]
    inference.add("columns.target", names, "the sample")
    inference.add("task.type", "multitarget", "")
    inference.add("task.metric", "rmse", "")
    inference.add("submission.wants", "value", "")
    text = render(inference, Description(slug="s", title=""), SPEC)
    (tmp_path / "kit.toml").write_text(text, encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 100
    assert Competition.load(tmp_path).settings.columns.target == tuple(names)
