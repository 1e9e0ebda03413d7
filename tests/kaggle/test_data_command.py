"""`kit data` against the loopback server: what kit says, its exit code, what is on disk after."""

from __future__ import annotations

import errno
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from loopback_server import Server
from loopback_types import Patient

from kit.providers.kaggle import download

RunKit = Any
FILES = {
    "train.csv": b"id,x,y\n" + b"".join(b"%d,%d,%d\n" % (n, n % 7, n % 2) for n in range(2_000)),
    "test.csv": b"id,x\n" + b"".join(b"%d,%d\n" % (n, n % 7) for n in range(2_000, 2_100)),
    "sample_submission.csv": b"id,y\n" + b"".join(b"%d,0.5\n" % n for n in range(2_000, 2_100)),
}
RAW = Path("toy/data/raw")
WORKPLACE = Path(".toy.download")


@pytest.fixture
def toy(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_kit: RunKit) -> Server:
    """The competition "toy", entered and fetched, and no folder of data."""
    server.add("toy", files=dict(FILES))
    monkeypatch.chdir(tmp_path)
    done = run_kit("new", "toy")
    assert done.code == 0, done.err
    return server


def forget(*names: str) -> None:
    """Remove fetched files; all of them, and what is known of them, where none is named."""
    for name in names or FILES:
        (RAW / name).unlink()
    if not names:
        RAW.rmdir()
        Path("toy/data/manifest.json").unlink()
        Path("toy/data/kaggle.json").unlink()


def there() -> dict[str, bytes]:
    files = (path for path in RAW.rglob("*") if path.is_file())
    return {path.relative_to(RAW).as_posix(): path.read_bytes() for path in files}


def known() -> set[str]:
    return set(json.loads(Path("toy/data/manifest.json").read_text())["files"])


def refused(done: Any, told: str) -> None:
    assert (done.code, told in done.err) == (3, True), done.err
    assert "Traceback" not in done.err
    assert "bug in kit" not in done.err


# -- bytes that are not the file's


def test_a_web_page_is_no_single_file(toy: Server, run_kit: RunKit) -> None:
    forget("train.csv")
    toy.fault("GET", "html", status=200)
    refused(run_kit("data", "train.csv", "-C", "toy"), "a web page came instead of train.csv")
    assert "train.csv" not in there()
    assert not WORKPLACE.exists()
    assert run_kit("data", "train.csv", "-C", "toy").code == 0
    assert there() == FILES


def test_a_web_page_does_not_cost_the_part(toy: Server, run_kit: RunKit) -> None:
    forget("train.csv")
    toy.fault("GET", "cut", after=1_000)
    toy.fault("GET", "html", status=200)
    refused(run_kit("data", "train.csv", "-C", "toy"), "a web page came instead of train.csv")
    assert run_kit("data", "train.csv", "-C", "toy").code == 0
    assert toy.calls("GET")[-1].headers["Range"] == "bytes=1000-"
    assert there() == FILES


@pytest.mark.parametrize("content", [b"<html>no type</html>", FILES["train.csv"] + b"1,1,1\n"])
def test_a_size_that_is_not_listed_is_refused_without_a_checksum(
    toy: Server, run_kit: RunKit, content: bytes
) -> None:
    forget("train.csv")
    toy.checksums = ()
    name = "competitions/toy/files/train.csv"
    toy.fault("GET", "do", action=lambda: toy.storage.update({name: content}))
    refused(run_kit("data", "train.csv", "-C", "toy"), f"{len(FILES['train.csv']):,} are listed")
    assert "train.csv" not in there()
    assert not WORKPLACE.exists()


@pytest.mark.parametrize("checksums", [("crc32c", "md5"), ("crc32c",)])
def test_a_single_file_with_wrong_bytes_is_fetched_again(
    toy: Server, run_kit: RunKit, checksums: tuple[str, ...]
) -> None:
    forget("train.csv")
    toy.checksums = checksums
    toy.fault("GET", "corrupt")
    done = run_kit("data", "train.csv", "-C", "toy")
    assert (done.code, "only the size" in done.err) == (0, False), done.err
    assert there() == FILES
    forget("train.csv")
    toy.fault("GET", "corrupt", times=9)
    refused(run_kit("data", "train.csv", "-C", "toy"), "train.csv arrived damaged 2 times")
    assert "train.csv" not in there()
    assert not WORKPLACE.exists()


def test_what_only_the_size_tells_is_said(toy: Server, run_kit: RunKit) -> None:
    forget("train.csv")
    toy.checksums = ()
    done = run_kit("data", "train.csv", "-C", "toy")
    assert (done.code, "no checksum for train.csv: only the size" in done.err) == (0, True), (
        done.err
    )
    assert there() == FILES


@pytest.mark.parametrize("names", [(), ("train.csv",)])
def test_bytes_that_are_packed_once_more_are_refused(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    import loopback_server

    forget()
    whole = loopback_server._Answers._object_headers
    monkeypatch.setattr(
        loopback_server._Answers,
        "_object_headers",
        lambda self, content: {**whole(self, content), "Content-Encoding": "gzip"},
    )
    toy.competitions["toy"].archive = gzip.compress(b"whatever")
    refused(run_kit("data", *names, "-C", "toy"), "packed once more (Content-Encoding: gzip)")
    assert there() == {}
    assert not WORKPLACE.exists()


# -- what is yours, and what was fetched


def test_one_file_is_not_all_of_them(toy: Server, run_kit: RunKit) -> None:
    forget()
    assert run_kit("data", "train.csv", "-C", "toy").code == 0
    assert (set(there()), known()) == ({"train.csv"}, {"train.csv"})
    done = run_kit("data", "-C", "toy")
    assert (done.code, "as they were fetched" in done.out) == (0, False), done.err
    assert there() == FILES
    done = run_kit("data", "-C", "toy")
    assert "as they were fetched" in done.out


def test_an_edit_is_not_counted_as_fetched_by_the_fetch_of_another_file(
    toy: Server, run_kit: RunKit
) -> None:
    (RAW / "test.csv").write_text("mine")
    (RAW / "extra.csv").write_text("mine, too")
    forget("train.csv")
    assert run_kit("data", "train.csv", "-C", "toy").code == 0
    assert known() == set(FILES)
    done = run_kit("data", "-C", "toy")
    assert (done.code, "test.csv has changed" in done.err) == (1, True), done.err
    assert (RAW / "test.csv").read_text() == "mine"


@pytest.mark.parametrize("mine", [b"mine", FILES["train.csv"].replace(b"1,1,1", b"1,1,0")])
def test_a_changed_file_stays_until_it_is_given_up(
    toy: Server, run_kit: RunKit, mine: bytes
) -> None:
    (RAW / "train.csv").write_bytes(mine)
    done = run_kit("data", "train.csv", "-C", "toy")
    assert (done.code, "train.csv has changed" in done.err) == (1, True), done.err
    assert "`kit data train.csv --force` fetches again" in done.err
    assert there() == FILES | {"train.csv": mine}
    assert run_kit("data", "train.csv", "--force", "-C", "toy").code == 0
    assert there() == FILES


@pytest.mark.parametrize("names", [(), ("train.csv", "test.csv")])
@pytest.mark.parametrize("mine", [b"mine", FILES["train.csv"].replace(b"1,1,1", b"1,1,0")])
def test_a_file_of_which_nothing_is_known_is_not_overwritten(
    toy: Server, run_kit: RunKit, mine: bytes, names: tuple[str, ...]
) -> None:
    Path("toy/data/manifest.json").unlink()
    (RAW / "train.csv").write_bytes(mine)
    forget("test.csv")
    before = there()
    done = run_kit("data", *names, "-C", "toy")
    assert (done.code, "train.csv is there, and is not what" in done.err) == (1, True), done.err
    assert there() == before
    assert not Path("toy/data/manifest.json").exists()
    assert {path.name for path in Path("toy/data").iterdir()} <= {"raw", "kaggle.json"}
    assert run_kit("data", *names, "--force", "-C", "toy").code == 0
    assert there() == FILES


def test_a_manifest_that_is_lost_is_made_again(toy: Server, run_kit: RunKit) -> None:
    Path("toy/data/manifest.json").unlink()
    assert run_kit("data", "-C", "toy").code == 0
    assert (there(), known()) == (FILES, set(FILES))


def test_an_old_manifest_is_whole(toy: Server, run_kit: RunKit) -> None:
    path = Path("toy/data/manifest.json")
    document = json.loads(path.read_text())
    del document["whole"]
    path.write_text(json.dumps(document))
    asked = len(toy.requests)
    assert "as they were fetched" in run_kit("data", "-C", "toy").out
    assert len(toy.requests) == asked


# -- parts, and the folder where they wait


def test_a_part_outlives_the_download_of_another_file(toy: Server, run_kit: RunKit) -> None:
    forget()
    toy.fault("GET", "cut", after=1_000)
    toy.fault("GET", "cut", after=0, times=4)
    refused(run_kit("data", "train.csv", "-C", "toy"), "1,000 bytes are kept")
    assert run_kit("data", "test.csv", "-C", "toy").code == 0
    assert len(list(WORKPLACE.glob("*.part"))) == 1
    assert run_kit("data", "train.csv", "-C", "toy").code == 0
    assert toy.calls("GET")[-1].headers["Range"] == "bytes=1000-"
    assert not WORKPLACE.exists()


def test_a_refusal_leaves_no_folder_for_parts(toy: Server, run_kit: RunKit) -> None:
    forget()
    toy.competitions["toy"].rules_accepted = False
    refused(run_kit("data", "-C", "toy"), "competitions/toy/rules")
    refused(run_kit("data", "train.csv", "-C", "toy"), "competitions/toy/rules")
    assert [path.name for path in Path().iterdir()] == ["toy"]
    assert there() == {}


def test_a_lock_that_another_download_removes_is_taken_anew(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making the folder and holding its lock, the download before may end and tidy up."""
    import shutil

    import filelock

    held: list[bool] = []

    class Late(filelock.FileLock):
        def __enter__(self) -> Any:
            entered = super().__enter__()
            if not held:
                shutil.rmtree(WORKPLACE)
            held.append((WORKPLACE / ".lock").exists())
            return entered

    monkeypatch.setattr(filelock, "FileLock", Late)
    forget("train.csv")
    assert run_kit("data", "train.csv", "-C", "toy").code == 0
    assert held == [False, True]
    assert there() == FILES
    assert not WORKPLACE.exists()


# -- the other ways to fail


def test_a_hang_ends_and_goes_on(toy: Server, run_kit: RunKit, with_patience: Patient) -> None:
    forget()
    with_patience(attempts=2, transfer=0.3)
    toy.fault("GET", "cut", after=1_000)
    toy.fault("GET", "hang", seconds=1.0, times=9)
    refused(run_kit("data", "-C", "toy"), "timed out")
    assert there() == {}
    toy.faults.clear()
    assert run_kit("data", "-C", "toy").code == 0
    assert toy.calls("GET")[-1].headers["Range"] == "bytes=1000-"
    assert there() == FILES


def test_a_refusal_while_resuming_keeps_the_part(toy: Server, run_kit: RunKit) -> None:
    forget()
    toy.fault("GET", "cut", after=1_000)
    toy.fault("GET", "status", status=403, times=9)
    refused(run_kit("data", "-C", "toy"), "1,000 bytes are kept")
    assert (WORKPLACE / "archive.zip.part").stat().st_size == 1_000
    assert there() == {}


def test_a_file_that_changes_on_the_way_is_the_new_one(toy: Server, run_kit: RunKit) -> None:
    forget()
    new = FILES["train.csv"] + b"9999,1,1\n"
    name = "competitions/toy/files/train.csv"
    toy.fault("GET", "cut", after=1_000)
    toy.fault("GET", "do", action=lambda: toy.storage.update({name: new}))
    assert run_kit("data", "train.csv", "-C", "toy").code == 0
    assert there() == {"train.csv": new}


def test_a_full_disk_names_what_is_needed(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    from collections import namedtuple

    forget()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("kit.providers.unpacking.shutil.disk_usage", lambda p: usage(9, 9, 10))
    for names in ((), ("train.csv",)):
        done = run_kit("data", *names, "-C", "toy")
        assert (done.code, "only 10 are free" in done.err) == (1, True), done.err
    assert there() == {}
    assert [path.name for path in Path().iterdir()] == ["toy"]
    assert sorted(path.name for path in Path("toy/data").iterdir()) in (["raw"], [])


@pytest.mark.parametrize("names", [(), ("train.csv",)])
def test_a_disk_that_fills_up_keeps_the_part(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    forget()
    pieces = download._pieces

    def full(response: Any) -> Any:
        for piece in pieces(response):
            yield piece[:1_000]
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_pieces", full)
    done = run_kit("data", *names, "-C", "toy")
    assert (done.code, "the disk is full" in done.err) == (1, True), done.err
    assert "Traceback" not in done.err
    assert there() == {}
    assert [path.stat().st_size for path in WORKPLACE.glob("*.part")] == [1_000]
    monkeypatch.setattr(download, "_pieces", pieces)
    assert run_kit("data", *names, "-C", "toy").code == 0
    assert toy.calls("GET")[-1].headers["Range"] == "bytes=1000-"
    assert not WORKPLACE.exists()


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (None, "train.csv.zip is damaged"),
        ({"train.csv": b"1", "more.csv": b"2"}, "train.csv.zip holds 2 files instead of one"),
        ({"../../train.csv": b"1"}, "nothing was unpacked"),
    ],
)
def test_a_packed_file_that_is_no_good_is_not_kept(
    toy: Server, run_kit: RunKit, members: dict[str, bytes] | None, told: str
) -> None:
    from loopback_world import zipped

    forget("train.csv")
    toy.competitions["toy"].packed = ("train.csv",)
    content = zipped(members) if members else zipped(FILES)[:500]
    name = "competitions/toy/files/train.csv.zip"
    toy.fault("GET", "do", action=lambda: toy.storage.update({name: content}))
    refused(run_kit("data", "train.csv", "-C", "toy"), told)
    assert "train.csv" not in there()
    assert not WORKPLACE.exists()
    assert run_kit("data", "train.csv", "-C", "toy").code == 0
    assert there() == FILES


# -- the list of files


def test_a_file_costs_one_look_at_the_list(toy: Server, run_kit: RunKit) -> None:
    toy.competitions["toy"].files |= {f"d{n}/x.txt": b"x" for n in range(40)}
    asked = len(toy.calls("ListDataTreeFiles"))
    assert run_kit("data", "train.csv", "-C", "toy").code == 0
    assert len(toy.calls("ListDataTreeFiles")) == asked + 1
    refused(run_kit("data", "tarin.csv", "-C", "toy"), "Did you mean 'train.csv'?")
    assert len(toy.calls("ListDataTreeFiles")) == asked + 2


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"directories": [{"name": "d"}]}, "does not end"),
        ({"files": [], "directories": [{"name": "d"}, {"name": ""}]}, "names no file"),
        ({"files": [], "directories": [{"name": "d"}, {"name": "a//b"}]}, "has an empty part"),
        ({"directories": [{"name": "d"}], "nextPageToken": "same"}, "does not end"),
        ({"directories": [{"name": "d\x85\u202e"}]}, "characters"),
    ],
)
def test_a_list_without_end_ends(
    toy: Server, run_kit: RunKit, answer: dict[str, Any], told: str
) -> None:
    toy.ListDataTreeFiles = lambda body, user: answer  # type: ignore[method-assign]
    asked = len(toy.calls("ListDataTreeFiles"))
    refused(run_kit("data", "d", "-C", "toy"), told)
    assert len(toy.calls("ListDataTreeFiles")) - asked < 50


def test_too_many_files_are_said_to_be(
    toy: Server, run_kit: RunKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kit.providers.kaggle.files._MOST_FILES", 3)
    toy.competitions["toy"].files |= {f"d/{n}.txt": b"x" for n in range(5)}
    refused(run_kit("data", "d", "-C", "toy"), "in one archive")
    assert set(there()) == set(FILES)


@pytest.mark.parametrize("name", ["", "/", " "])
def test_a_name_that_is_empty_is_not_all_files(toy: Server, run_kit: RunKit, name: str) -> None:
    asked = len(toy.requests)
    done = run_kit("data", name, "-C", "toy")
    assert (done.code, "the name of a file" in done.err) == (1, True), done.err
    assert len(toy.requests) == asked
