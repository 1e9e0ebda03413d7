"""One file -> Kaggle's storage, streamed; after a break the rest of it.

Nothing is handed in or published by an upload: it gives a token, which another call then names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import requests

from kit.errors import ProviderError, RefusedError
from kit.providers.kaggle.client import (
    MISSHAPEN,
    USER_AGENT,
    Client,
    Patience,
    failure_in,
    failure_of,
    misshapen,
)
from kit.providers.kaggle.refusals import Failure, explained

_SESSIONS = 2  # uploads from the start before kit gives up


def upload(client: Client, path: Path, start: Callable[[], dict[str, Any]], nothing: str) -> str:
    """Put a file into Kaggle's storage and return its token.

    Args:
        client: for patience and messages.
        path: the file.
        start: asks Kaggle for a place; the answer has `token` and `createUrl`.
        nothing: the second line of a failure: what did not happen, and what to do.

    Raises:
        RefusedError: it did not get there.
    """
    size = path.stat().st_size
    failure = Failure(how="lost", message="the upload broke off")
    for _ in range(_SESSIONS):
        token, address = _place(start, nothing)
        try:
            _put(client.patience, address, path, size)
        except Failure as caught:
            failure = caught
            if failure.how == "setup":
                break
        else:
            return token
    error = explained(failure, f"the upload of {path.name}", client.slug)
    raise _refused(error, nothing, failure) from failure


def _place(start: Callable[[], dict[str, Any]], nothing: str) -> tuple[str, str]:
    """A token for the file, and the address to put it to."""
    try:
        answer = start()
    except RefusedError:
        raise
    except ProviderError as error:
        raise _refused(error, nothing, error.__cause__) from error
    token, address = str(answer.get("token") or ""), str(answer.get("createUrl") or "")
    if not token or not address.startswith(("http://", "https://")):
        raise _refused(ProviderError("Kaggle's answer names no place to upload to."), nothing, None)
    return token, address


def _refused(error: ProviderError, nothing: str, cause: BaseException | None) -> RefusedError:
    what, *ways = str(error).splitlines()
    setup = isinstance(cause, Failure) and cause.how == "setup"  # the same again does not help
    return RefusedError("\n".join([what, *(ways if setup else ()), f"  {nothing}"]))


def _put(patience: Patience, address: str, path: Path, size: int) -> None:
    """Send the bytes.

    Raises:
        Failure: the storage refused, forgot the upload, or nothing gets on.
    """
    tries = 0
    with closing(requests.Session()) as session:
        session.headers["User-Agent"] = USER_AGENT
        while True:
            try:
                start = _arrived(session, address, size, patience) if tries else 0
                if (tries and start == size) or _send(
                    session, address, path, start, size, patience
                ):
                    return
                failure = Failure(how="lost", message="the storage has not all of it")
            except Failure as error:
                failure = error
            tries += 1
            if not failure.passing or not patience.pause(tries, failure.retry_after):
                raise failure


def _send(
    session: requests.Session, address: str, path: Path, start: int, size: int, patience: Patience
) -> bool:
    """Send the bytes from `start` on; whether the storage has all of them now."""
    headers = {"Content-Range": f"bytes {start}-{size - 1}/{size}"} if start else {}
    with path.open("rb") as file:
        file.seek(start)
        body = file if size else b""  # an empty file would be sent in chunks, without a length
        response = _request(session, address, body, headers, patience)
    if response.status_code in (200, 201):
        return True
    if response.status_code == 308:
        return False
    raise failure_in(response)


def _arrived(session: requests.Session, address: str, size: int, patience: Patience) -> int:
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
    session: requests.Session, address: str, body: Any, headers: dict[str, str], patience: Patience
) -> requests.Response:
    try:
        return session.put(
            address,
            data=body,
            headers=headers,
            timeout=(patience.connect, patience.transfer),
            allow_redirects=False,
        )
    except (
        OSError
    ) as error:  # those of requests, and a plain one for certificates that are not there
        if not isinstance(error, requests.RequestException) and error.errno is not None:
            raise  # the file cannot be read
        raise failure_of(error) from error
    except MISSHAPEN as error:
        raise misshapen() from error
