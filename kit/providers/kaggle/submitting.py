"""Hand in a file: look, upload, create, read back. Never twice, whatever gets lost.

Every submission's description ends with a mark (`kit.providers.marks`). It answers two questions by
looking at the list of submissions: was this content handed in before (by whom of the team, on
whichever machine), and did this attempt arrive although its answer did not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from kit.atomic import sha256
from kit.errors import AuthError, NothingSent, ProviderError, RefusedError, Unreached
from kit.providers.base import Submitted
from kit.providers.kaggle.client import Client
from kit.providers.kaggle.reading import items, submitted
from kit.providers.kaggle.refusals import SITE, never_sent
from kit.providers.kaggle.text import line
from kit.providers.kaggle.uploads import upload
from kit.providers.marks import attempt_mark, content_mark, mark_in, unmarked

_PAGE = 200
_MOST_PAGES = 50
LONGEST = 400  # characters of a description; a server that cuts it must not cut off the mark
_LOOKS = 3  # at the list of submissions, until one that was just made is in it


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


def hand_in(client: Client, path: Path, message: str, name: str = "") -> Submitted:
    """Upload a file and create one submission of it.

    Args:
        client: who hands it in.
        path: the file.
        message: the description; it may end with the mark of this attempt, else one is made.
        name: what it is called there; "": as here.

    Raises:
        NothingSent: Ctrl-C during the upload.
        Unreached: the upload failed, or there was no connection; nothing was handed in.
        RefusedError: Kaggle said no; nothing was handed in.
        ProviderError: it failed before anything was handed in, or it is not known whether it
            arrived; the message says which.
    """
    digest = sha256(path)
    mark = f"[kit {mark_in(message)}]"
    if mark.startswith(content_mark(digest)):
        message = unmarked(message)
    else:
        mark = attempt_mark(digest)
    description = f"{line(message, LONGEST)} {mark}".strip()
    try:
        token = _upload(client, path, name or path.name)
    except KeyboardInterrupt as stop:  # an upload hands nothing in
        raise NothingSent from stop
    except AuthError:
        raise
    except RefusedError as error:
        raise Unreached(str(error)) from error
    try:
        answer = client.call(
            "competitions/CreateSubmission",
            repeat=False,
            competition_name=client.slug,
            blob_file_tokens=token,
            submission_description=description,
        )
    except ProviderError as error:
        if isinstance(error, RefusedError) and error.sure:
            raise
        if never_sent(error):
            raise Unreached(f"{error}\n  Nothing was handed in; the file stays.") from error
        return _resolved(client, mark, error)
    ref = str(answer.get("ref") or "")
    if ref in ("", "0"):
        said = line(answer.get("message")) or "no reason given"
        return _resolved(client, mark, ProviderError(f"Kaggle made no submission: {said}."))
    return read_back(client, ref, name or path.name, description)


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
        f"{what}\n  The submission is not in Kaggle's list: most likely it did not arrive, but the "
        f"list can be late. Look at {SITE}/competitions/{client.slug}/submissions.\n"
        "  `kit submit --again` looks once more, and sends it where it is still not listed."
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
            if found is not None:
                return found, True
            if client.doubt():  # the list of another account says nothing
                break
            looked = True
        if number < _LOOKS:
            client.patience.sleep(client.patience.first * 2**number)
    return None, looked


def read_back(client: Client, ref: str, file: str, message: str) -> Submitted:
    """The new submission as the list shows it; it is made, so a list that is late is no error."""
    made = Submitted(ref=ref, status="pending", created="", file_name=file, message=message)
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


def _upload(client: Client, path: Path, name: str) -> str:
    """Put the file into Kaggle's storage; returns its token. Nothing is handed in by that."""

    def start() -> Any:
        return client.call(
            "competitions/StartSubmissionUpload",
            competition_name=client.slug,
            content_length=path.stat().st_size,
            last_modified_epoch_seconds=int(path.stat().st_mtime),
            file_name=name,
        )

    return upload(
        client,
        path,
        start,
        "Nothing was handed in and nothing is counted; the file stays. Run the same command again.",
    )
