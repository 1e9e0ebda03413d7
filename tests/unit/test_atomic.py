"""Files that are the old one or the new one, never half of either."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path

import pytest

from kit.atomic import atomic_path, disk_errors, parse_json, sha256, write_json, write_text
from kit.errors import DiskFull


def break_off(path: Path, error: BaseException) -> None:
    """Write half a file and fail."""
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error


def test_a_block_that_succeeds_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "one")
    write_text(path, "zwei ü")
    assert path.read_text(encoding="utf-8") == "zwei ü"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ValueError, match="half way"):
        break_off(path, ValueError("half way"))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        break_off(tmp_path / "a.txt", KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named_with_the_file_and_the_way_out(tmp_path: Path, code: int) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(DiskFull, match=r"full.*a\.txt(.|\n)*Free some space") as caught:
        break_off(path, OSError(code, "no room"))
    assert "no room" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_recognised_without_an_error_number() -> None:
    with pytest.raises(DiskFull, match="No space left on device"), disk_errors(Path("x")):
        raise OSError("write failed: No space left on device")


def test_other_errors_of_the_disk_pass_through() -> None:
    with pytest.raises(PermissionError), disk_errors(Path("x")):
        raise PermissionError(errno.EACCES, "no")


def test_two_writers_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_path(path) as first, atomic_path(path) as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert path.read_text() in "12"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_written_as_people_read_it(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ü": [1, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"ü": [1, None]}
    assert "ü" in text


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", b"\xff"])
def test_whatever_is_wrong_with_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
