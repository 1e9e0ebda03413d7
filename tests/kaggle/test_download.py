"""Downloads: cut anywhere, changed on the way, damaged, too large; never half a file."""

from __future__ import annotations

import errno
import random
import re
import zipfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from loopback_server import Server, _Answers
from loopback_types import Naps, Patient
from loopback_world import zipped

from kit.atomic import sha256
from kit.errors import DiskFull, KitError, ProviderError, RefusedError
from kit.providers.kaggle import KaggleProvider, files
from kit.providers.kaggle import download as module
from kit.providers.kaggle.download import stored_of

FILES = {
    "train.csv": b"".join(b"%d,%d\n" % (n, n * n % 977) for n in range(20_000)),
    "test.csv": b"id\n1\n",
    "images/a.txt": b"a",
    "images/b/a.txt": b"another a",
}
Progress = list[tuple[str, int, int]]


@pytest.fixture
def raw(provider: KaggleProvider) -> Path:
    return provider.root / "data" / "raw"


def quiet(name: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def below(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def workplace(provider: KaggleProvider) -> Path:
    return provider.root.parent / ".toy.download"


def test_all_files_arrive_in_their_folders(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    server.add("toy", files=FILES)
    seen: Progress = []
    paths = provider.fetch(raw, lambda *step: seen.append(step))
    assert below(raw) == FILES
    assert {path.relative_to(raw).as_posix() for path in paths} == set(FILES)
    assert not workplace(provider).exists()
    whole = len(zipped(FILES))
    assert [step[1:] for step in seen if step[0] == "toy.zip"][-1] == (whole, whole)


def test_a_second_fetch_reads_no_byte_and_a_change_on_the_server_all(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    competition = server.add("toy", files=dict(FILES))
    provider.fetch(raw, quiet)
    steps: Progress = []
    provider.fetch(raw, lambda *step: steps.append(step))
    assert steps == []
    competition.files["test.csv"] = b"id\n2\n"
    provider.fetch(raw, quiet)
    assert below(raw) == competition.files
    (raw / "test.csv").unlink()
    provider.fetch(raw, quiet)
    assert below(raw) == competition.files


def test_a_storage_that_is_away_when_asked_whether_all_is_the_same_is_no_bug(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    server.add("toy", files=dict(FILES))
    provider.fetch(raw, quiet)
    asked = len(server.calls("GET"))
    server.fault("GET", "drop")
    server.fault("GET", "status", status=503)
    provider.fetch(raw, quiet)
    assert len(server.calls("GET")) == asked + 3, "asked again, and no byte was read"
    server.fault("GET", "drop", times=99)
    with pytest.raises(ProviderError, match=r"did not answer the download of toy\.zip"):
        provider.fetch(raw, quiet)
    assert below(raw) == FILES


SUMS = pytest.mark.parametrize("checksums", [("crc32c", "md5"), ("crc32c",)])


@pytest.mark.parametrize("checksums", [("crc32c", "md5"), ("crc32c",), ()])
def test_a_download_cut_at_twenty_places_is_whole_in_the_end(
    server: Server, provider: KaggleProvider, raw: Path, checksums: tuple[str, ...]
) -> None:
    server.checksums = checksums
    server.add("toy", files=FILES)
    size, draw = len(zipped(FILES)), random.Random(5)
    left = size
    for _ in range(20):
        after = draw.randrange(1, max(2, left // 8))
        server.fault("GET", "cut", after=after)
        left -= after
    provider.fetch(raw, quiet)
    assert below(raw) == FILES
    starts = [r.headers.get("Range") for r in server.calls("GET")]
    assert len(starts) == 21
    assert len(set(starts)) == 21, "every request goes on where the one before it ended"
    assert all("If-Range" in r.headers for r in server.calls("GET")[1:])


@pytest.mark.parametrize("seed", range(20))
def test_a_process_that_dies_leaves_a_part_for_the_next(
    server: Server, provider: KaggleProvider, raw: Path, with_patience: Patient, seed: int
) -> None:
    with_patience(attempts=1)
    server.add("toy", files=FILES)
    after = random.Random(seed).randrange(1, len(zipped(FILES)))
    server.fault("GET", "cut", after=after)
    with pytest.raises(ProviderError, match=f"{after:,} bytes are kept"):
        provider.fetch(raw, quiet)
    assert not raw.exists(), "no file under a final name"
    assert (workplace(provider) / "archive.zip.part").stat().st_size == after
    provider.fetch(raw, quiet)
    assert below(raw) == FILES
    assert server.calls("GET")[-1].headers["Range"] == f"bytes={after}-"


def test_a_link_that_gives_little_at_a_time_gets_there(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    """Progress resets the count of attempts, of which there are four."""
    server.add("toy", files=FILES)
    server.fault("GET", "cut", after=2_000, times=30)
    provider.fetch(raw, quiet)
    assert below(raw) == FILES


def test_a_link_that_gives_nothing_ends(
    server: Server, provider: KaggleProvider, raw: Path, naps: Naps
) -> None:
    server.add("toy", files=FILES)
    server.fault("GET", "cut", after=100)
    server.fault("GET", "cut", after=0, times=99)
    with pytest.raises(ProviderError, match="100 bytes are kept"):
        provider.fetch(raw, quiet)
    assert len(naps.seconds) == 3


@SUMS
def test_wrong_bytes_of_the_right_length_are_fetched_again(
    server: Server, provider: KaggleProvider, raw: Path, checksums: tuple[str, ...]
) -> None:
    server.checksums = checksums
    server.add("toy", files=FILES)
    server.fault("GET", "corrupt")
    provider.fetch(raw, quiet)
    assert below(raw) == FILES
    assert len(server.calls("GET")) == 2


@SUMS
def test_bytes_that_stay_wrong_leave_nothing(
    server: Server, provider: KaggleProvider, raw: Path, checksums: tuple[str, ...]
) -> None:
    server.checksums = checksums
    server.add("toy", files=FILES)
    server.fault("GET", "corrupt", times=9)
    said = "MD5" if "md5" in checksums else "CRC32C"
    with pytest.raises(ProviderError, match=f"arrived damaged 2 times: the {said} is"):
        provider.fetch(raw, quiet)
    assert not raw.exists()
    assert not (workplace(provider) / "archive.zip.part").exists()


def test_the_checksums_are_those_of_the_storage() -> None:
    """123456789 and its CRC32C are the check value of RFC 3720's polynomial."""
    said = {"x-goog-hash": "crc32c=4waSgw==, md5=JfnnlDI7RTiF9RgfG2JNCw=="}
    stored = stored_of(said)
    assert (stored.crc32c, stored.md5) == ("e3069283", "25f9e794323b453885f5181f1b624d0b")
    assert replace(stored, md5="").adding().digest() == b"\0\0\0\0"
    for known in (stored, replace(stored, md5="")):
        adding = known.adding()
        adding.update(b"12345")
        adding.update(b"6789")
        assert adding.digest().hex() == known.checksum
    assert stored_of({**said, "x-goog-stored-content-encoding": "gzip"}).checksum == ""


def test_without_checksums_the_crc_of_the_members_counts(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    server.checksums = ()
    server.add("toy", files=FILES)
    server.fault("GET", "corrupt")
    with pytest.raises(ProviderError, match=r"toy\.zip cannot be unpacked"):
        provider.fetch(raw, quiet)
    assert "train.csv" not in below(raw)
    provider.fetch(raw, quiet)
    assert below(raw) == FILES


def test_an_object_that_changes_between_two_parts_is_noticed(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    competition = server.add("toy", files=dict(FILES))
    name = "competitions/toy/bundle/archive.zip"

    def change() -> None:
        competition.files["test.csv"] = b"id\n7\n"
        server.storage[name] = zipped(competition.files)

    server.fault("GET", "cut", after=5_000)
    server.fault("GET", "do", action=change)
    provider.fetch(raw, quiet)
    assert below(raw) == competition.files
    assert len(server.calls("GET")) == 2, "the second answer is the whole new object"


@pytest.mark.parametrize("fault", ["offset", "object", "no range"])
def test_a_part_that_is_not_the_rest_is_not_appended(
    server: Server, provider: KaggleProvider, raw: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """206 from another place, or of another object of the same size; If-Range is not looked at."""
    server.checksums = ()  # only the answer itself tells
    competition = server.add("toy", files=dict(FILES))
    real_start, real_headers = _Answers._start, _Answers._object_headers
    asked: list[int] = []

    def start(self: Any, etag: str, size: int) -> tuple[int, int]:
        found = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        asked.append(int(found.group(1)) if found else 0)
        if len(asked) != 2:
            return real_start(self, etag, size)
        return asked[1] + (7 if fault == "offset" else 0), 206

    def headers(self: Any, content: Any) -> dict[str, str]:
        said = real_headers(self, content)
        if len(asked) == 1 and fault == "object":
            said["ETag"] = '"another"'
        return said

    monkeypatch.setattr(_Answers, "_start", start)
    monkeypatch.setattr(_Answers, "_object_headers", headers)
    if fault == "no range":
        real = _Answers.send_header
        monkeypatch.setattr(_Answers, "send_header", lambda self, name, value: (
            None if name == "Content-Range" else real(self, name, value)))  # fmt: skip
    server.fault("GET", "cut", after=5_000)
    provider.fetch(raw, quiet)
    assert below(raw) == competition.files
    assert asked == [0, 5_000, 0], "nothing of the foreign part was kept"


@pytest.mark.parametrize("shorter", [False, True])
def test_a_part_that_is_whole_is_used_if_the_object_is_still_as_long(
    server: Server, provider: KaggleProvider, raw: Path, monkeypatch: pytest.MonkeyPatch,
    shorter: bool,
) -> None:  # fmt: skip
    """The process died between the last byte and the unpacking: the server answers 416."""
    competition = server.add("toy", files=dict(FILES))

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files, "unpack", killed)
        with pytest.raises(KeyboardInterrupt):
            provider.fetch(raw, quiet)
    if shorter:
        competition.files["train.csv"] = b"id\n"
        monkeypatch.setattr(  # If-Range is not looked at
            _Answers, "_start",
            lambda self, etag, size: (0, 416 if "Range" in self.headers else 200),
        )  # fmt: skip
    provider.fetch(raw, quiet)
    assert below(raw) == competition.files
    sent = [request.headers.get("Range") for request in server.calls("GET")]
    assert sent[1] == f"bytes={len(zipped(FILES))}-"
    assert sent[2:] == ([None] if shorter else [])


def test_a_server_without_ranges_starts_again(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    server.ranges = False
    server.add("toy", files=FILES)
    server.fault("GET", "cut", after=5_000)
    provider.fetch(raw, quiet)
    assert below(raw) == FILES


@pytest.mark.parametrize("status", [403, 400, 404])
def test_an_address_that_expires_is_asked_for_again(
    server: Server, provider: KaggleProvider, raw: Path, status: int
) -> None:
    server.add("toy", files=FILES)
    server.fault("GET", "cut", after=5_000)
    server.fault("GET", "status", status=status)
    provider.fetch(raw, quiet)
    assert below(raw) == FILES
    assert len(server.calls("DownloadDataFiles")) == 2
    assert server.calls("GET")[-1].headers["Range"] == "bytes=5000-"


@pytest.mark.parametrize(("status", "kind"), [(503, "status"), (429, "status"), (200, "hang")])
def test_a_storage_that_fails_for_a_while_is_asked_again(
    server: Server, provider: KaggleProvider, raw: Path, with_patience: Patient, status: int,
    kind: Any,
) -> None:  # fmt: skip
    with_patience(transfer=0.2)
    server.add("toy", files=FILES)
    server.fault("GET", kind, status=status, seconds=0.5, headers={"Retry-After": "3"})
    provider.fetch(raw, quiet)
    assert below(raw) == FILES


def test_a_storage_that_keeps_refusing_is_no_data(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    """The error page must not become a part of the file."""
    server.add("toy", files=FILES)
    server.fault("GET", "cut", after=5_000)
    server.fault("GET", "status", status=403, message="Expired", times=9)
    with pytest.raises(RefusedError, match="5,000 bytes are kept"):
        provider.fetch(raw, quiet)
    part = workplace(provider) / "archive.zip.part"
    assert part.read_bytes() == zipped(FILES)[:5_000]
    server.faults.clear()
    provider.fetch(raw, quiet)
    assert below(raw) == FILES


def test_a_login_page_is_no_archive(server: Server, provider: KaggleProvider, raw: Path) -> None:
    server.add("toy", files=FILES)
    server.fault("GET", "html", status=200)
    with pytest.raises(ProviderError, match="a web page came instead of toy"):
        provider.fetch(raw, quiet)
    assert not raw.exists()
    provider.fetch(raw, quiet)
    assert below(raw) == FILES


def test_a_redirect_to_nowhere_is_told(server: Server, provider: KaggleProvider, raw: Path) -> None:
    server.add("toy", files=FILES)
    server.fault("DownloadDataFiles", "html", status=200)
    with pytest.raises(ProviderError, match="names no address"):
        provider.fetch(raw, quiet)


def test_an_answer_that_is_the_archive_itself_is_not_read(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    """Whatever comes instead of a redirect, gigabytes perhaps, is closed unread."""
    from loopback_world import Zip

    server.add("toy")
    server.DownloadDataFiles = lambda body, user: Zip("x", bytes(64 << 20))  # type: ignore
    with pytest.raises(ProviderError, match="names no address"):
        provider.fetch(raw, quiet)


def test_a_disk_without_room_is_refused_before_the_first_byte(
    server: Server, provider: KaggleProvider, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    server.add("toy", files=FILES)
    room = len(zipped(FILES)) + 1000  # the archive fits, what is in it does not
    monkeypatch.setattr("kit.providers.unpacking.shutil.disk_usage", lambda p: usage(0, 0, room))
    with pytest.raises(DiskFull, match="Nothing was written"):
        provider.fetch(raw, quiet)
    assert not raw.exists()
    part = workplace(provider) / "archive.zip.part"
    assert not part.exists() or part.stat().st_size == 0


def test_a_disk_that_fills_up_is_said_at_once_and_the_part_kept(
    server: Server, provider: KaggleProvider, raw: Path, monkeypatch: pytest.MonkeyPatch,
    naps: Naps,
) -> None:  # fmt: skip
    server.add("toy", files=FILES)
    pieces = module._pieces

    def full(response: Any) -> Any:
        for piece in pieces(response):
            yield piece[:3_000]
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_pieces", full)
    with pytest.raises(DiskFull):
        provider.fetch(raw, quiet)
    assert naps.seconds == [], "a full disk is no reason to wait"
    assert not raw.exists()
    monkeypatch.setattr(module, "_pieces", pieces)
    provider.fetch(raw, quiet)
    assert below(raw) == FILES


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "c:\\evil.txt"])
def test_an_archive_that_would_leave_the_folder_is_refused(
    server: Server, provider: KaggleProvider, raw: Path, name: str, tmp_path: Path
) -> None:
    server.add("toy", archive=zipped({"ok.csv": b"1", name: b"evil"}))
    with pytest.raises(ProviderError, match="nothing was unpacked"):
        provider.fetch(raw, quiet)
    assert not list(tmp_path.rglob("evil*"))
    assert not raw.exists()


def test_a_bomb_is_refused(server: Server, provider: KaggleProvider, raw: Path) -> None:
    server.add("toy", archive=zipped({"bomb.csv": bytes(64 << 20)}))
    with pytest.raises(ProviderError, match="claims to unpack"):
        provider.fetch(raw, quiet)


def test_names_that_become_one_file_are_refused(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    server.add("toy", archive=zipped({"A.csv": b"1", "a.csv": b"2"}))
    with pytest.raises(ProviderError, match="one file"):
        provider.fetch(raw, quiet)


def test_a_link_in_the_archive_is_refused(
    server: Server, provider: KaggleProvider, raw: Path, tmp_path: Path
) -> None:
    path = tmp_path / "links.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    server.add("toy", archive=path.read_bytes())
    with pytest.raises(ProviderError, match="is a link"):
        provider.fetch(raw, quiet)


def test_a_note_that_is_damaged_starts_again(
    server: Server, provider: KaggleProvider, raw: Path, with_patience: Patient
) -> None:
    with_patience(attempts=1)
    server.add("toy", files=FILES)
    server.fault("GET", "cut", after=5_000)
    with pytest.raises(ProviderError):
        provider.fetch(raw, quiet)
    (workplace(provider) / "archive.zip.part.json").write_text("[1]")
    provider.fetch(raw, quiet)
    assert below(raw) == FILES
    assert "Range" not in server.calls("GET")[-1].headers


@SUMS
def test_a_part_with_other_bytes_is_noticed_by_its_checksum(
    server: Server, provider: KaggleProvider, raw: Path, with_patience: Patient,
    checksums: tuple[str, ...],
) -> None:  # fmt: skip
    server.checksums = checksums
    with_patience(attempts=1)
    server.add("toy", files=FILES)
    server.fault("GET", "cut", after=5_000)
    with pytest.raises(ProviderError):
        provider.fetch(raw, quiet)
    (workplace(provider) / "archive.zip.part").write_bytes(bytes(5_000))
    provider.fetch(raw, quiet)
    assert below(raw) == FILES


def test_two_downloads_at_once_do_not_share_a_part(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    from filelock import FileLock

    server.add("toy", files=FILES)
    workplace(provider).mkdir(parents=True)
    with (
        FileLock(workplace(provider) / ".lock"),
        pytest.raises(ProviderError, match="another kit is downloading"),
    ):
        provider.fetch(raw, quiet)


# -- single files


def test_single_files_are_checked_and_unpacked_as_the_server_packs_them(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    server.add("toy", files=FILES, packed=("train.csv",))
    server.fault("GET", "cut", after=1_000)
    server.fault("GET", "corrupt")
    provider.fetch_some(["train.csv", "images"], raw, quiet)
    wanted = {name: content for name, content in FILES.items() if name != "test.csv"}
    assert below(raw) == wanted
    assert not workplace(provider).exists()


def test_a_listed_name_never_leaves_the_folder(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    server.add("toy", files={"..\\evil": b"1"})
    with pytest.raises(ProviderError, match="whose name has an absolute or a Windows path"):
        provider.fetch_some(["x"], raw, quiet)


def test_a_folder_that_is_closed_before_joining_says_how(
    server: Server, provider: KaggleProvider, raw: Path
) -> None:
    server.add("toy", files=FILES, entered=False)
    with pytest.raises(RefusedError, match="does not take part in toy"):
        provider.fetch_some(["images"], raw, quiet)


@pytest.mark.slow
def test_memory_stays_flat_for_a_large_file(
    server: Server, provider: KaggleProvider, tmp_path: Path
) -> None:
    import tracemalloc

    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        for number in range(256):
            file.write(bytes([number]) * (1 << 20))
    content = tmp_path / "large.zip"
    with zipfile.ZipFile(content, "w") as archive:
        archive.write(large, "large.bin")
    server.add("toy", archive=content)
    tracemalloc.start()
    try:
        provider.fetch(provider.root / "raw", quiet)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20, "of 256 MiB"
    assert sha256(provider.root / "raw" / "large.bin") == sha256(large)


def test_refusals_have_the_exit_code_of_the_provider() -> None:
    assert RefusedError("x").exit_code == ProviderError("x").exit_code == 3
    assert issubclass(RefusedError, KitError)
