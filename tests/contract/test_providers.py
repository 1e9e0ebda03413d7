"""Every provider keeps the contract; the sample competitions are real and hide their answers."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from kit.errors import AuthError, DataError, KitError, ProviderError, UnknownName
from kit.metrics import load_metric
from kit.providers.base import Contest, Provider, contest, load_provider
from kit.providers.fetching import fetch_beside
from kit.providers.manifest import compare, manifest, write_manifest
from kit.providers.sample import names
from kit.settings import ProviderSpec

LOCAL_TOML = """
schema = 1
[competition]
slug = "toy"
[provider]
name = "local"
source = "../source"
solution = "../answers.csv"
[columns]
id = "id"
target = ["y"]
[task]
type = "regression"
metric = "mae"
[submission]
wants = "value"
columns = ["y"]
"""


def quiet(name: str, done: int, total: int) -> None:
    assert name
    assert 0 <= done <= total


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def sample(name: str, root: Path) -> Provider:
    return load_provider(name, ProviderSpec(name="sample", source=name), root)


def local(root: Path) -> Provider:
    source = root.parent / "source"
    source.mkdir()
    (source / "train.csv").write_text("id,x,y\n1,2,3\n2,3,4\n")
    (source / "test.csv").write_text("id,x\n3,2\n4,3\n")
    (source / "sample_submission.csv").write_text("id,y\n3,0\n4,0\n")
    (root.parent / "answers.csv").write_text("id,y,Usage\n4,2,Private\n3,5,Public\n")
    root.mkdir(exist_ok=True)
    (root / "kit.toml").write_text(LOCAL_TOML)
    spec = ProviderSpec(name="local", source="../source", solution="../answers.csv")
    return load_provider("toy", spec, root)


@pytest.fixture(params=["local", *names()])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Provider:
    root = tmp_path / "competition"
    return local(root) if request.param == "local" else sample(request.param, root)


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_fetch_gives_the_three_files_and_a_second_fetch_the_same_bytes(
    provider: Provider, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    paths = provider.fetch(raw, quiet)
    assert {p.name for p in paths} == {"train.csv", "test.csv", "sample_submission.csv"}
    before = digests(raw)
    provider.fetch(raw, quiet)
    assert digests(raw) == before


def test_sample_submission_is_accepted_scored_and_remembered(
    provider: Provider, tmp_path: Path
) -> None:
    provider.fetch(tmp_path / "raw", quiet)
    file = tmp_path / "raw" / "sample_submission.csv"
    first, second = provider.submit(file, "one"), provider.submit(file, "two")
    assert (first.status, first.error) == ("complete", "")
    assert first.public is not None
    assert first.private is not None
    assert [entry.message for entry in provider.submissions()] == ["two", "one"]
    assert provider.submissions()[0] == second
    assert first.ref != second.ref


def test_a_rejected_file_is_an_error_with_a_reason_and_no_score(
    provider: Provider, tmp_path: Path
) -> None:
    provider.fetch(tmp_path / "raw", quiet)
    lines = (tmp_path / "raw" / "sample_submission.csv").read_text().splitlines()
    short = tmp_path / "short.csv"
    short.write_text("\n".join(lines[:-1]) + "\n")
    result = provider.submit(short, "")
    assert result.status == "error"
    assert result.public is None
    assert "lacks 1 of" in result.error


def test_there_is_a_board_after_a_submission(provider: Provider, tmp_path: Path) -> None:
    provider.fetch(tmp_path / "raw", quiet)
    submitted = provider.submit(tmp_path / "raw" / "sample_submission.csv", "mine")
    board = provider.leaderboard()
    assert [line.rank for line in board] == list(range(1, len(board) + 1))
    assert [line.score for line in board if line.mine] == [submitted.public]


def test_event_is_known_as_one_that_is_played_here(provider: Provider) -> None:
    assert (contest(provider).category, contest(provider).over) == ("local", False)
    assert contest(provider).public_share in (None, 0.5)


def test_provider_that_knows_no_event_has_an_empty_one() -> None:
    class Bare:
        """Keeps the contract and no more."""

    assert contest(Bare()) == Contest()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", names())
def test_public_share_is_what_is_graded_as_public(name: str) -> None:
    from kit.providers import sample

    data = sample._SETS[name]
    usage = sample._solution(data, sample._split(data, sample._shuffled(data))[1])["Usage"]
    assert (usage == "Public").mean() == pytest.approx(0.5, abs=0.51 / len(usage))


@pytest.mark.parametrize("name", names())
def test_hidden_labels_are_written_nowhere(name: str, tmp_path: Path) -> None:
    provider = sample(name, tmp_path)
    raw = tmp_path / "data" / "raw"
    provider.fetch(raw, quiet)
    provider.submit(raw / "sample_submission.csv", "")
    provider.leaderboard()
    train, test = rows(raw / "train.csv"), rows(raw / "test.csv")
    hints = provider.describe().hints
    assert set(train[0]) - set(test[0]) == set(hints["target"])
    assert not {row[0] for row in train[1:]} & {row[0] for row in test[1:]}
    # every row of the sample submission holds the same answer, so it tells nothing of any row
    assert len({tuple(row[1:]) for row in rows(raw / "sample_submission.csv")[1:]}) == 1
    expected = {"train.csv", "test.csv", "sample_submission.csv", ".gitignore", ".lock"}
    expected |= {"submissions.json", f"{name}-references.json"}
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} <= expected


@pytest.mark.parametrize("name", names())
def test_sample_hints_fit_the_files(name: str, tmp_path: Path) -> None:
    provider = sample(name, tmp_path)
    provider.fetch(tmp_path, quiet)
    description = provider.describe()
    hints = description.hints
    header, submission = (rows(tmp_path / f)[0] for f in ("train.csv", "sample_submission.csv"))
    assert hints["id"] == header[0] == submission[0]
    assert set(hints["target"]) <= set(header)
    load_metric(hints["metric"], hints["task"])
    assert "scikit-learn" in description.about


def test_reference_teams_beat_the_sample_submission_and_are_cached(tmp_path: Path) -> None:
    provider = sample("breast-cancer", tmp_path)
    board = {line.team: line.score for line in provider.leaderboard()}
    assert board["sample submission"] == 0.5
    assert board["one-level decision tree"] > 0.8
    assert min(board["logistic regression"], board["random forest"]) > 0.97
    cache = tmp_path / ".sample" / "breast-cancer-references.json"
    document = json.loads(cache.read_text())
    document["scores"]["random forest"] = 0.123
    cache.write_text(json.dumps(document))
    assert any(line.score == 0.123 for line in provider.leaderboard())
    cache.write_text("{")
    assert {line.team: line.score for line in provider.leaderboard()} == board


def test_board_puts_less_first_for_an_error_metric(tmp_path: Path) -> None:
    scores = [line.score for line in sample("diabetes", tmp_path).leaderboard()]
    assert scores == sorted(scores)
    assert len(scores) == 4


@pytest.mark.parametrize("name", names())
def test_ids_and_row_order_say_nothing_of_the_label(name: str, tmp_path: Path) -> None:
    import numpy as np

    provider = sample(name, tmp_path)
    provider.fetch(tmp_path, quiet)
    header, *train = rows(tmp_path / "train.csv")
    labels = [row[header.index(provider.describe().hints["target"][0])] for row in train]
    _, codes = np.unique(labels, return_inverse=True)  # iris as shipped is sorted: r = 0.94
    for order in (np.array([int(row[0]) for row in train]), np.arange(len(train))):
        r = np.corrcoef(order, codes)[0, 1]
        assert abs(r) * len(train) ** 0.5 < 2.5  # standard errors


def test_malignant_is_the_class_with_the_larger_nuclei(tmp_path: Path) -> None:
    sample("breast-cancer", tmp_path).fetch(tmp_path, quiet)
    header, *train = rows(tmp_path / "train.csv")
    radius, label = header.index("mean_radius"), header.index("malignant")
    ill = [float(row[radius]) for row in train if row[label] == "1"]
    well = [float(row[radius]) for row in train if row[label] == "0"]
    assert sum(ill) / len(ill) > 1.3 * sum(well) / len(well)
    assert len(ill) < len(well)


def test_unknown_sample_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"Did you mean 'breast-cancer'\? .*wine"):
        sample("brest-cancer", tmp_path).describe()


def test_damaged_submission_record_is_named(tmp_path: Path) -> None:
    provider = sample("iris", tmp_path)
    (tmp_path / ".sample").mkdir()
    (tmp_path / ".sample" / "submissions.json").write_text('{"submissions": [{}]')
    with pytest.raises(ProviderError, match=r"submissions\.json is damaged"):
        provider.submissions()


def test_records_of_a_newer_kit_are_not_guessed_at(tmp_path: Path) -> None:
    provider = sample("iris", tmp_path)
    (tmp_path / ".sample").mkdir()
    record = tmp_path / ".sample" / "submissions.json"
    record.write_text('{"schema": 2, "submissions": []}')
    with pytest.raises(ProviderError, match="written by a newer kit; update kit"):
        provider.submissions()
    record.write_text("[]")
    with pytest.raises(ProviderError, match="is damaged"):
        provider.submissions()
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"schema": 2, "files": {}}')
    with pytest.raises(DataError, match="written by a newer kit; update kit"):
        compare(tmp_path, manifest)


def test_kaggle_without_credentials_says_how_to_get_them(tmp_path: Path) -> None:
    provider = load_provider("titanic", ProviderSpec(name="kaggle"), tmp_path / "titanic")
    steps = (
        provider.describe,
        lambda: provider.fetch(tmp_path / "raw", quiet),
        provider.limits,
        provider.submissions,
        provider.leaderboard,
    )
    for step in steps:
        with pytest.raises(AuthError, match="no Kaggle credentials") as caught:
            step()
        assert "kaggle.com/settings" in str(caught.value)
        assert "--from PATH" in str(caught.value)


def test_unknown_provider_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'sample'"):
        load_provider("x", ProviderSpec(name="smaple"), tmp_path)


def test_missing_and_changed_files_are_named_and_no_others(tmp_path: Path) -> None:
    raw, path = tmp_path / "raw", tmp_path / "manifest.json"
    (raw / "images").mkdir(parents=True)
    for name, text in (("a.csv", "1"), ("b.csv", "22"), ("c.csv", "3"), ("images/d.png", "4")):
        (raw / name).write_text(text)
    (raw / ".hidden").write_text("x")
    assert set(write_manifest(raw, path)) == {"a.csv", "b.csv", "c.csv", "images/d.png"}
    known = compare(raw, path)
    assert (known.missing, known.changed) == ({}, {})
    (raw / "a.csv").write_text("9")
    (raw / "b.csv").write_text("333")
    (raw / "images/d.png").unlink()
    (raw / "later.csv").write_text("new")
    found = compare(raw, path)
    assert found.changed == {
        "a.csv": "a.csv has changed: same size, other content",
        "b.csv": "b.csv has changed: 3 bytes, once 2",
    }
    assert found.missing == {"images/d.png": "images/d.png is missing"}
    assert found.good == ["c.csv"]


@pytest.mark.parametrize("links", [True, False])
def test_a_fetch_beside_takes_over_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Also where the provider does not name what it fetched, and on a disk without hard links."""
    if not links:
        monkeypatch.setattr("os.link", Mock(side_effect=OSError("no links here")))
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "good.csv").write_text("old")
    (raw / "mine.csv").write_text("mine")

    def fetch(aside: Path) -> list[Path]:
        assert [path.name for path in aside.iterdir()] == ["good.csv"]
        for name, text in (("good.csv", "new"), ("mine.csv", "theirs"), ("more.csv", "1")):
            (aside / "part").write_text(text)
            (aside / "part").replace(aside / name)
        return []

    with pytest.raises(DataError, match=r"mine\.csv is there, and is not what is fetched"):
        fetch_beside(fetch, raw, ["good.csv"])
    assert {path.name: path.read_text() for path in raw.iterdir()} == {
        "good.csv": "old",
        "mine.csv": "mine",
    }
    (raw / "mine.csv").unlink()
    fetch_beside(fetch, raw, ["good.csv"])
    assert {path.name: path.read_text() for path in raw.iterdir()} == {
        "good.csv": "new",
        "mine.csv": "theirs",
        "more.csv": "1",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize("content", [None, "", "[]", '{"files": {"a": 1}}'])
def test_unusable_manifest_is_one_clear_error(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(KitError, match=r"manifest\.json (is damaged|does not exist).*kit data"):
        compare(tmp_path, path)


def test_manifest_follows_links_and_does_not_go_round_for_ever(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (raw / "inner").mkdir(parents=True)
    (raw / "inner" / "a.csv").write_text("1")
    (raw / "inner" / "up").symlink_to(raw)
    assert set(manifest(raw)) == {"inner/a.csv"}
