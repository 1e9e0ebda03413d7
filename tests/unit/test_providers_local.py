"""The local provider: nothing leaves the destination or is half written; answers are graded."""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kit.errors import ConfigError, DiskFull, ProviderError
from kit.providers import unpacking as module
from kit.providers.local import LocalProvider
from kit.settings import ProviderSpec


def provider(tmp_path: Path, **spec: str) -> LocalProvider:
    root = tmp_path / "competition"
    root.mkdir(exist_ok=True)
    return LocalProvider("toy", ProviderSpec(name="local", **spec), root)


def quiet(name: str, done: int, total: int) -> None:
    pass


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def zipped(path: Path, members: dict[str, bytes], **flags: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = flags.get("mode", stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return path


def fetch_zip(tmp_path: Path, members: dict[str, bytes], **flags: int) -> dict[str, bytes]:
    source = zipped(tmp_path / "files.zip", members, **flags)
    provider(tmp_path, source=str(source)).fetch(tmp_path / "raw", quiet)
    return files(tmp_path / "raw")


def test_folder_is_copied_with_subfolders_and_without_hidden_files(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "images").mkdir(parents=True)
    (source / ".git").mkdir()
    content = {"train.csv": b"a,b\n1,2\n", "images/1.png": b"\x89PNG", "train.csv.zip": b"PK"}
    for name, data in {**content, ".DS_Store": b"x", ".git/config": b"x"}.items():
        (source / name).write_bytes(data)
    paths = provider(tmp_path, source="../source").fetch(tmp_path / "raw", quiet)
    assert files(tmp_path / "raw") == content
    assert sorted(paths) == sorted(tmp_path / "raw" / name for name in content)


def test_zip_is_unpacked_and_inner_zips_stay(tmp_path: Path) -> None:
    members = {"train.csv.zip": b"PK\x03\x04", "images/a.png": b"1", "test.csv": b"id\n1\n"}
    rubbish = {"__MACOSX/._test.csv": b"x", ".DS_Store": b"x"}
    assert fetch_zip(tmp_path, {**members, **rubbish}) == members


def test_folder_around_all_members_is_taken_off(tmp_path: Path) -> None:
    members = {"titanic/train.csv": b"1", "titanic/images/a.png": b"2", "__MACOSX/titanic/x": b"3"}
    assert fetch_zip(tmp_path, members) == {"train.csv": b"1", "images/a.png": b"2"}


def test_second_fetch_writes_only_what_differs(tmp_path: Path) -> None:
    source, raw = tmp_path / "source", tmp_path / "raw"
    source.mkdir()
    for name in ("same.csv", "changed.csv", "lost.csv"):
        (source / name).write_text(f"content of {name}")
    taker = provider(tmp_path, source=str(source))
    taker.fetch(raw, quiet)
    kept = (raw / "same.csv").stat().st_ino
    (raw / "changed.csv").write_text("CONTENT of changed.csv")  # same size
    (raw / "lost.csv").unlink()
    written: list[str] = []
    taker.fetch(raw, lambda name, done, total: written.append(name))
    assert set(written) == {"changed.csv", "lost.csv"}
    assert files(raw) == files(source)
    assert (raw / "same.csv").stat().st_ino == kept


def test_progress_reaches_the_size_of_every_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.csv").write_bytes(b"x" * 3_000_000)
    (source / "b.csv").write_bytes(b"y" * 10)
    calls: list[tuple[str, int, int]] = []
    provider(tmp_path, source=str(source)).fetch(tmp_path / "raw", lambda *call: calls.append(call))
    for name, size in (("a.csv", 3_000_000), ("b.csv", 10)):
        steps = [(done, total) for file, done, total in calls if file == name]
        assert [done for done, _ in steps] == sorted({done for done, _ in steps})
        assert steps[-1] == (size, size)
    assert len(calls) > 3


@pytest.mark.parametrize(
    "name",
    ["../evil.csv", "a/../../evil.csv", "/etc/evil.csv", "C:/evil.csv", "..\\evil.csv", "a\nb.csv"],
)
def test_member_that_would_leave_the_destination_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="nothing was unpacked"):
        fetch_zip(tmp_path, {"train.csv": b"1", name: b"2"})
    assert not (tmp_path / "raw").exists()
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(mode: int, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="link or a device"):
        fetch_zip(tmp_path, {"train.csv": b"/etc/passwd"}, mode=mode | 0o777)
    assert not (tmp_path / "raw").exists()


def test_bomb_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="claims to unpack to 20,971,520 bytes"):
        fetch_zip(tmp_path, {"a.csv": b"1", "bomb.csv": bytes(20 << 20)})
    assert not (tmp_path / "raw").exists()


def test_bomb_in_many_pieces_is_refused(tmp_path: Path) -> None:
    piece = bytes(8 << 20)  # each is below what a single file may be packed to
    with pytest.raises(ProviderError, match="claims to unpack to 67,108,864 bytes from"):
        fetch_zip(tmp_path, {f"{n}.csv": piece for n in range(8)})
    assert not (tmp_path / "raw").exists()


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.providers.unpacking._MOST_MEMBERS", 3)
    assert fetch_zip(tmp_path, {f"{n}.csv": b"" for n in range(3)})
    with pytest.raises(ProviderError, match="lists 4 files, 3 may be"):
        fetch_zip(tmp_path, {f"{n}.csv": b"" for n in range(4)})


@pytest.mark.parametrize(
    ("name", "told"),
    [("", "names no file"), (".", "names no file"), (f"a/{'é' * 128}", "more than 255 bytes")],
)
def test_member_without_a_usable_name_is_refused(name: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=told):
        fetch_zip(tmp_path, {"x.csv": b"0", name: b"1"})
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("name", [f"{'x' * 240}.csv", f"{'é' * 120}.csv"])
def test_member_with_a_long_name_arrives(name: str, tmp_path: Path) -> None:
    fetch_zip(tmp_path, {name: b"1", "x.csv": b"0"})
    assert (tmp_path / "raw" / name).read_bytes() == b"1"
    assert len(list((tmp_path / "raw").iterdir())) == 2


@pytest.mark.parametrize(
    "names", [("Train.csv", "train.csv"), ("é.csv", "e\u0301.csv"), ("a", "a/b.csv"), ("A", "a/b")]
)
def test_members_that_share_a_name_on_some_disks_are_refused(
    names: tuple[str, str], tmp_path: Path
) -> None:
    with pytest.raises(ProviderError, match=r"one file on some disks|is a file and the folder"):
        fetch_zip(tmp_path, {"x.csv": b"0", **dict.fromkeys(names, b"1")})
    assert not (tmp_path / "raw").exists()


def test_encrypted_member_is_refused(tmp_path: Path) -> None:
    source = zipped(tmp_path / "files.zip", {"train.csv": b"1"})
    content = bytearray(source.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    source.write_bytes(content)
    with pytest.raises(ProviderError, match="encrypted"):
        provider(tmp_path, source=str(source)).fetch(tmp_path / "raw", quiet)


def test_damaged_member_leaves_no_half_file(tmp_path: Path) -> None:
    import random

    noise = random.Random(0).randbytes(50_000)
    source = zipped(tmp_path / "files.zip", {"a.csv": b"fine", "b.csv": noise})
    content = bytearray(source.read_bytes())
    content[20_000] ^= 0xFF
    source.write_bytes(content)
    with pytest.raises(ProviderError, match="cannot be unpacked"):
        provider(tmp_path, source=str(source)).fetch(tmp_path / "raw", quiet)
    assert files(tmp_path / "raw") == {"a.csv": b"fine"}


def test_data_larger_than_the_disk_is_refused_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage(100, 96, 4))
    with pytest.raises(DiskFull, match="need 5 bytes, however only 4 are free"):
        fetch_zip(tmp_path, {"a.csv": b"12345"})
    assert not (tmp_path / "raw").exists()


def test_source_must_exist_and_hold_files_and_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".hidden").write_text("x")
    (tmp_path / "one.csv").write_text("id\n")
    (tmp_path / "competition" / "inside").mkdir(parents=True)
    zipped(tmp_path / "empty.zip", {})
    for source, message in (
        ("", "provider.source is empty"),
        ("../nowhere", "does not exist"),
        ("../empty", "has no files"),
        ("../empty.zip", "holds no files"),
        ("../one.csv", "must be a folder or a zip.*\n  Name the folder"),
        ("inside", "must lie apart"),
        (".", "must lie apart"),
        ("..", "must lie apart"),
    ):
        with pytest.raises(ProviderError, match=message):
            provider(tmp_path, source=source).fetch(tmp_path / "raw", quiet)


def test_answers_beside_the_data_are_not_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.csv").write_text("id,y\n")
    (source / "solution.csv").write_text("id,y\n")
    taker = provider(tmp_path, source="../source", solution="../source/solution.csv")
    taker.fetch(tmp_path / "raw", quiet)
    assert set(files(tmp_path / "raw")) == {"train.csv"}


def test_without_a_solution_it_says_that_nothing_grades(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text("id,y\n1,2\n")
    taker = provider(tmp_path)
    result = taker.submit(file, "first")
    assert (result.status, result.public, result.private) == ("complete", None, None)
    assert "nothing grades here" in result.message
    assert taker.leaderboard() == []
    assert taker.limits().left_today is None


def configured(tmp_path: Path, task: str, solution: str, target: str = '["y"]') -> LocalProvider:
    taker = provider(tmp_path, solution="solution.csv")
    text = f'schema = 1\n[competition]\nslug = "toy"\n[columns]\nid = "id"\ntarget = {target}\n'
    (taker.root / "kit.toml").write_text(text + task)
    (taker.root / "solution.csv").write_text(solution)
    return taker


def graded(taker: LocalProvider, submission: str) -> Any:
    file = taker.root.parent / "submission.csv"
    file.write_text(submission)
    return taker.submit(file, "m")


LABELS = """
[task]
type = "binary"
metric = "accuracy"
classes = ["no", "yes"]
[submission]
wants = "label"
columns = ["y"]
labels = ["False", "True"]
"""


def test_rows_are_joined_by_id_and_split_by_usage(tmp_path: Path) -> None:
    solution = "id,y,Usage\n a1 ,yes,Public\na2,no,Public\na3,no,Private\na4,yes,Ignored\n"
    result = graded(
        configured(tmp_path, LABELS, solution), "id,y\na4,False\na3,False\na2,True\na1,True\n"
    )
    assert (result.status, result.public, result.private) == ("complete", 0.5, 1.0)


@pytest.mark.parametrize("spelling", [("no", "yes"), ("False", "True"), ("0", "1")])
def test_answers_may_be_spelled_as_train_submission_or_code(
    spelling: tuple[str, str], tmp_path: Path
) -> None:
    no, yes = spelling
    taker = configured(tmp_path, LABELS, f"id,y\n1,{yes}\n2,{no}\n3,{no}\n4,{no}\n")
    result = graded(taker, "id,y\n1,True\n2,False\n3,False\n4,True\n")
    assert (result.public, result.private) == (0.75, None)


def test_class_columns_are_matched_by_class_not_by_position(tmp_path: Path) -> None:
    task = """
[task]
type = "multiclass"
metric = "log_loss"
classes = ["a", "b", "c"]
[submission]
wants = "probability"
columns = ["p_c", "p_a", "p_b"]
classes = ["c", "a", "b"]
"""
    file = "id,p_c,p_a,p_b\n1,0,1,0\n2,0,0,1\n3,1,0,0\n"
    by_label = graded(configured(tmp_path, task, "id,y\n1,a\n2,b\n3,c\n"), file)
    by_column = graded(configured(tmp_path, task, file), file)
    wrong = graded(configured(tmp_path, task, "id,y\n1,b\n2,c\n3,a\n"), file)
    assert by_label.public == by_column.public == pytest.approx(0.0, abs=1e-9)
    assert wrong.public > 10


def test_one_column_of_the_negative_class_is_turned_round(tmp_path: Path) -> None:
    task = LABELS.replace("accuracy", "roc_auc").replace('"label"', '"probability"')
    task = task.replace('columns = ["y"]', 'columns = ["no"]\nclasses = ["no"]')
    taker = configured(tmp_path, task, "id,y\n1,yes\n2,no\n")
    assert graded(taker, "id,no\n1,0.1\n2,0.9\n").public == 1.0


def test_targets_are_matched_by_name_and_multilabel_truth_may_be_words(tmp_path: Path) -> None:
    task = """
[task]
type = "multilabel"
metric = "roc_auc"
[submission]
wants = "probability"
columns = ["b", "a"]
"""
    for words in ("id,a,b\n1,True,False\n2,False,True\n", "id,a,b\n1,Yes,No\n2,No,Yes\n"):
        taker = configured(tmp_path, task, words, '["a", "b"]')
        assert graded(taker, "id,b,a\n1,0.2,0.9\n2,0.7,0.4\n").public == 1.0
        assert graded(taker, "id,b,a\n1,0.9,0.2\n2,0.4,0.7\n").public == 0.0


@pytest.mark.parametrize(
    ("submission", "reason"),
    [
        ("id,z\n1,True\n2,True\n", "lacks the columns"),
        ("id,y\n1,True\n1,True\n2,True\n", "repeats 1 id,"),
        ("id,y\n1,True\n", "lacks 1 of 2 ids, first: '2'"),
        ("id,y\n1,True\n2,maybe\n", "labels that are not known"),
    ],
)
def test_unusable_submission_is_an_error_on_record(
    submission: str, reason: str, tmp_path: Path
) -> None:
    taker = configured(tmp_path, LABELS, "id,y\n1,yes\n2,no\n")
    result = graded(taker, submission)
    assert result.status == "error"
    assert reason in result.error
    assert taker.submissions() == [result]


@pytest.mark.parametrize(
    ("solution", "reason"),
    [
        ("id,z\n1,yes\n", "the solution must have the columns"),
        ("id,y\n1,yes\n1,no\n", "repeats ids"),
        ("id,y\n1,oui\n", "labels that are not known"),
    ],
)
def test_unusable_solution_is_the_providers_fault(
    solution: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ProviderError, match=reason):
        graded(configured(tmp_path, LABELS, solution), "id,y\n1,True\n")


def test_undefined_score_and_missing_solution_are_clear(tmp_path: Path) -> None:
    task = LABELS.replace("accuracy", "roc_auc").replace('"label"', '"probability"')
    taker = configured(tmp_path, task, "id,y\n1,yes\n2,yes\n")
    with pytest.raises(ProviderError, match="the public rows of the solution"):
        graded(taker, "id,y\n1,0.1\n2,0.9\n")
    (taker.root / "solution.csv").unlink()
    with pytest.raises(ProviderError, match=r"provider\.solution is not a file"):
        graded(taker, "id,y\n1,0.1\n2,0.9\n")


def test_columns_that_nothing_tells_apart_are_a_question_not_a_guess(tmp_path: Path) -> None:
    task = '[task]\ntype = "multitarget"\nmetric = "rmse"\n[submission]\nwants = "value"\n'
    task += 'columns = ["p1", "p2"]\n'
    taker = configured(tmp_path, task, "id,a,b\n1,1,2\n", '["a", "b"]')
    with pytest.raises(ConfigError, match=r"submission\.classes must name the target"):
        graded(taker, "id,p1,p2\n1,1,2\n")


def test_own_metric_of_the_competition_grades(tmp_path: Path) -> None:
    task = '[task]\ntype = "regression"\nmetric = "metric:worst"\n[submission]\nwants = "value"\n'
    taker = configured(tmp_path, task + 'columns = ["y"]\n', "id,y\n1,1\n2,2\n")
    (taker.root / "metric.py").write_text(
        "def worst(y_true, y_pred):\n    return float(abs(y_true - y_pred).max())\n"
        "worst.greater_is_better = False\n"
    )
    graded(taker, "id,y\n1,1\n2,5\n")
    graded(taker, "id,y\n1,1\n2,3\n")
    assert [line.score for line in taker.leaderboard()] == [1.0, 3.0]
    assert all(line.mine for line in taker.leaderboard())


def test_source_folder_may_vanish_after_the_fetch(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.csv").write_text("1")
    taker = provider(tmp_path, source="../source")
    taker.fetch(tmp_path / "raw", quiet)
    shutil.rmtree(source)
    assert "source" in taker.describe().about


@pytest.mark.parametrize(
    ("solution", "reason"),
    [("id,z\n", "must have the columns"), ("id,y\n", "no id of the sample submission")],
)
def test_a_solution_that_cannot_grade_is_refused_by_kit_new(
    solution: str, reason: str, tmp_path: Path, run_kit: Any
) -> None:
    source = tmp_path / "files"
    source.mkdir()
    frame = pd.DataFrame({"id": range(60), "x": range(60), "y": [0, 1] * 30})
    frame[:40].to_csv(source / "train.csv", index=False)
    frame[40:].drop(columns="y").to_csv(source / "test.csv", index=False)
    frame[40:][["id", "y"]].to_csv(source / "sample_submission.csv", index=False)
    answers = tmp_path / "answers.csv"
    new = ("new", "c", "--from", source, "--solution", answers, "-C", tmp_path)
    answers.write_text(solution + "900,1\n901,0\n")
    outcome = run_kit(*new)
    assert (outcome.code, reason in outcome.err) == (3, True)
    assert not (tmp_path / "c").exists()
    frame[45:][["id", "y"]].to_csv(answers, index=False)
    outcome = run_kit(*new)
    assert "the solution has 15 of 20 rows; 5 are not graded" in outcome.out


def test_lists_of_labels_are_graded_by_their_places(tmp_path: Path) -> None:
    task = """
[task]
type = "multiclass"
metric = "map_at_3"
classes = ["a", "b", "c", "d"]
[submission]
wants = "label"
columns = ["y"]
top = 3
"""
    taker = configured(tmp_path, task, "id,y\n1,a\n2,b\n3,c\n4,d\n")
    result = graded(taker, "id,y\n4,d\n3,a b c\n2,a b\n1,b c d\n")
    assert result.public == pytest.approx((1 + 1 / 3 + 1 / 2 + 0) / 4)
    wrong = graded(taker, "id,y\n4,d e\n3,a\n2,a\n1,b\n")
    assert wrong.status == "error"
    assert "labels that are not known: ['e']" in str(wrong)
