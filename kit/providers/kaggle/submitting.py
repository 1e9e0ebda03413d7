"""Hand in a file: look, upload, create, read back. Never twice, whatever gets lost.

Every submission's description ends with a mark, ``[kit 3f9a2c41b07e-5d1c]``: the first digits of
the file's SHA-256, and some of this attempt. The mark answers two questions by looking at the list
of submissions: was this content handed in before (by whom of the team, on whichever machine), and
did this attempt arrive although its answer did not.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests

from kit.atomic import sha256
from kit.errors import AuthError, ProviderError, RefusedError
from kit.providers.base import Submitted
from kit.providers.kaggle.client import USER_AGENT, Client, failure_in, failure_of
from kit.providers.kaggle.reading import items, submitted
from kit.providers.kaggle.refusals import SITE, Failure, explained
from kit.providers.kaggle.text import line

_PAGE = 200
_MOST_PAGES = 50
_DIGITS = 12
_LONGEST = 400  # characters of a description; a server that cuts it must not cut off the mark
_LOOKS = 3  # at the list of submissions, until one that was just made is in it
_SESSIONS = 2  # uploads from the start before kit gives up


def mark_of(digest: str) -> str:
    """What every submission of a file with this SHA-256 carries in its description."""
    return f"[kit {digest[:_DIGITS]}"


def unmarked(message: str) -> str:
    """A description without the mark."""
    return re.sub(r"\s*\[kit [0-9a-f]{12}-[0-9a-f]{4}\]$", "", message)


def listed(client: Client) -> Iterator[Submitted]:
    """All submissions of the team, newest first."""
    token = ""
    for _ in range(_MOST_PAGES):
        answer = client.call(
            "competitions/ListSubmissions",
            competition_name=client.slug,
            page_size=_PAGE,
            page_token=token,
        )
        for entry in items(answer, "submissions"):
            yield submitted(entry)
        token = str(answer.get("nextPageToken") or "")
        if not token:
            return


def hand_in(client: Client, path: Path, message: str) -> Submitted:
    """Upload a file and create one submission of it.

    Raises:
        RefusedError: Kaggle said no; nothing was handed in.
        ProviderError: it failed before anything was handed in, or it is not known whether it
            arrived; the message says which.
    """
    mark = f"{mark_of(sha256(path))}-{secrets.token_hex(2)}]"
    description = f"{line(message, _LONGEST)} {mark}".strip()
    token = _upload(client, path)
    try:
        answer = client.call(
            "competitions/CreateSubmission",
            repeat=False,
            competition_name=client.slug,
            blob_file_tokens=token,
            submission_description=description,
        )
    except RefusedError:
        raise
    except ProviderError as error:
        return _resolved(client, mark, error)
    ref = str(answer.get("ref") or "")
    if ref in ("", "0"):
        said = line(answer.get("message")) or "no reason given"
        return _resolved(client, mark, ProviderError(f"Kaggle made no submission: {said}."))
    return _read_back(client, ref, path, description)


def _resolved(client: Client, mark: str, error: ProviderError) -> Submitted:
    """After a lost answer: look whether it arrived. Nothing is sent again."""
    what = str(error).splitlines()[0]
    found, looked = _look(client, mark)
    if found is not None:
        return found
    if not looked:
        raise ProviderError(
            f"{what}\n  Whether the submission arrived is not known: Kaggle cannot be asked now.\n"
            "  Run the same command again later: it looks first and sends nothing twice."
        ) from error
    raise ProviderError(
        f"{what}\n  The submission is not in Kaggle's list, so it did not arrive; look at "
        f"{SITE}/competitions/{client.slug}/submissions to be sure.\n"
        "  `kit submit --again` sends it once more."
    ) from error


def _look(client: Client, mark: str) -> tuple[Submitted | None, bool]:
    """The submission with this mark, and whether the list could be read."""
    looked = False
    for number in range(1, _LOOKS + 1):
        try:
            found = next((entry for entry in listed(client) if mark in entry.message), None)
        except AuthError:
            break
        except ProviderError:
            pass
        else:
            looked = True
            if found is not None:
                return found, True
        if number < _LOOKS:
            client.patience.sleep(client.patience.first * 2**number)
    return None, looked


def _read_back(client: Client, ref: str, path: Path, message: str) -> Submitted:
    """The new submission as the list shows it; it is made, so a list that is late is no error."""
    made = Submitted(ref=ref, status="pending", created="", file_name=path.name, message=message)
    for number in range(1, _LOOKS + 1):
        try:
            found = next((entry for entry in listed(client) if entry.ref == ref), None)
        except ProviderError:
            return made
        if found is not None:
            return found if found.created else replace(found, created=made.created)
        if number < _LOOKS:
            client.patience.sleep(client.patience.first * 2**number)
    return made


def _upload(client: Client, path: Path) -> str:
    """Put the file into Kaggle's storage; returns its token. Nothing is handed in by that."""
    size = path.stat().st_size
    failure = Failure(how="lost", message="the upload broke off")
    for _ in range(_SESSIONS):
        token, address = _place(client, path, size)
        try:
            _put(client, address, path, size)
        except Failure as caught:
            failure = caught
            if failure.how == "setup":
                break
        else:
            return token
    raise _nothing(explained(failure, f"the upload of {path.name}", client.slug)) from failure


def _place(client: Client, path: Path, size: int) -> tuple[str, str]:
    """A token for the file, and the address to put it to."""
    try:
        answer = client.call(
            "competitions/StartSubmissionUpload",
            competition_name=client.slug,
            content_length=size,
            last_modified_epoch_seconds=int(path.stat().st_mtime),
            file_name=path.name,
        )
    except RefusedError:
        raise
    except ProviderError as error:
        raise _nothing(error) from error
    token, address = str(answer.get("token") or ""), str(answer.get("createUrl") or "")
    if not token or not address.startswith(("http://", "https://")):
        raise _nothing(ProviderError("Kaggle's answer names no place to upload to."))
    return token, address


def _nothing(error: ProviderError) -> RefusedError:
    """A failure before the submission was made."""
    return RefusedError(
        f"{str(error).splitlines()[0]}\n  Nothing was handed in and nothing is counted; the file "
        "stays. Run the same command again."
    )


def _put(client: Client, address: str, path: Path, size: int) -> None:
    """Send the bytes; after a break the rest, from where the storage says it is.

    Raises:
        Failure: the storage refused, forgot the upload, or nothing gets on.
    """
    patience, tries = client.patience, 0
    with closing(requests.Session()) as session:
        session.headers["User-Agent"] = USER_AGENT
        while True:
            try:
                start = _arrived(session, address, size, patience) if tries else 0
                if start == size or _send(session, address, path, start, size, patience):
                    return
                failure = Failure(how="lost", message="the storage has not all of it")
            except Failure as error:
                failure = error
            tries += 1
            if not failure.passing or not patience.pause(tries, failure.retry_after):
                raise failure


def _send(
    session: requests.Session, address: str, path: Path, start: int, size: int, patience: Any
) -> bool:
    """Send the bytes from `start` on; whether the storage has all of them now."""
    headers = {"Content-Range": f"bytes {start}-{size - 1}/{size}"} if start else {}
    with path.open("rb") as file:
        file.seek(start)
        response = _request(session, address, file, headers, patience)
    if response.status_code in (200, 201):
        return True
    if response.status_code == 308:
        return False
    raise failure_in(response)


def _arrived(session: requests.Session, address: str, size: int, patience: Any) -> int:
    """How many bytes the storage has."""
    headers = {"Content-Range": f"bytes */{size}"}
    response = _request(session, address, b"", headers, patience)
    if response.status_code in (200, 201):
        return size
    if response.status_code != 308:
        raise failure_in(response)
    found = re.match(r"bytes=0-(\d+)", response.headers.get("Range", ""))
    return int(found.group(1)) + 1 if found else 0


def _request(
    session: requests.Session, address: str, body: Any, headers: dict[str, str], patience: Any
) -> requests.Response:
    try:
        return session.put(
            address,
            data=body,
            headers=headers,
            timeout=(patience.connect, patience.transfer),
            allow_redirects=False,
        )
    except requests.RequestException as error:
        raise failure_of(error) from error
