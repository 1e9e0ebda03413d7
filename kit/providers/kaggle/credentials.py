"""Where Kaggle credentials are found, in the order the official client looks.

Owns: reading the variables and files. Nothing is written, nothing is printed; `repr` shows no
secret. Order (kaggle 2.2, `KaggleApi.authenticate`): the token of a Kaggle notebook,
`KAGGLE_API_TOKEN` (the token, or a file with it), ``~/.kaggle/access_token``, the same with
``.txt``; then a user name and key from `KAGGLE_USERNAME` and `KAGGLE_KEY` or ``kaggle.json``; then
``~/.kaggle/credentials.json`` of ``kaggle auth login``. Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from kit.atomic import parse_json
from kit.errors import AuthError

HOW = (
    "Make a token at https://www.kaggle.com/settings (API) and save it as ~/.kaggle/access_token, "
    "or run `kaggle auth login`."
)
_NO_TOKEN = "does not hold one token (one word of plain letters, digits and signs)"
_MARGIN = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Credential:
    """One way to prove who one is.

    Attributes:
        kind: "token" (sent as Bearer), "key" (user name and key), or "login" (an expired access
            token that `refresh` renews).
        source: where it was found, as the user knows it.
        path: the file it was read from.
        user: the account, "" where the source does not say.
        secret, refresh: never shown.
    """

    kind: Literal["token", "key", "login"]
    source: str
    path: Path | None = None
    user: str = ""
    secret: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was found, first come first, and what is wrong with files that cannot be used.

    `passed_over` are those of the problems that are with tokens: what comes first of all.
    """

    found: tuple[Credential, ...]
    problems: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()

    def first(self) -> Credential:
        """The one that is tried first.

        Raises:
            AuthError: there is none.
        """
        if not self.found:
            why = "".join(f"\n  {problem}." for problem in self.problems)
            raise AuthError(
                f"there are no Kaggle credentials: neither a variable (KAGGLE_API_TOKEN, or "
                f"KAGGLE_USERNAME and KAGGLE_KEY) nor a file in ~/.kaggle.{why}\n  {HOW}\n"
                "  Without an account: `kit new NAME --from PATH` takes a folder or a zip, "
                "`kit new breast-cancer --from sample` what is here."
            )
        return self.found[0]


def search() -> Search:
    """Look at variables and files, in the official order; asks no network."""
    problems: list[str] = []
    found = list(_tokens(problems))
    passed_over = tuple(problems)
    found += [*_keys(problems), *_logins(problems)]
    return Search(found=tuple(found), problems=tuple(problems), passed_over=passed_over)


def _tokens(problems: list[str]) -> Iterator[Credential]:
    environment = os.environ
    notebook = "KAGGLE_KERNEL_RUN_TYPE" in environment and ("KAGGLE_DATA_PROXY_URL" in environment)
    places: list[tuple[str, Path]] = []
    if notebook and environment.get("KAGGLE_API_V1_TOKEN"):
        places.append(("KAGGLE_API_V1_TOKEN", Path(environment["KAGGLE_API_V1_TOKEN"])))
    value = environment.get("KAGGLE_API_TOKEN", "").strip()
    is_path = bool(value) and _exists(Path(value))
    if is_path:
        places.append(("KAGGLE_API_TOKEN", Path(value)))
    home = Path.home() / ".kaggle"
    files = [(f"~/.kaggle/{name}", home / name) for name in ("access_token", "access_token.txt")]
    for source, path in places:
        yield from _token_of(source, path, problems)
    if value and not is_path:
        if _sendable(value):
            yield Credential(kind="token", source="KAGGLE_API_TOKEN", secret=value)
        else:
            problems.append(f"KAGGLE_API_TOKEN {_NO_TOKEN}")
    for source, path in files:
        yield from _token_of(source, path, problems)


def _token_of(source: str, path: Path, problems: list[str]) -> Iterator[Credential]:
    text = _text(path, source, problems)
    if text is None:
        return
    if _sendable(text.strip()):
        yield Credential(kind="token", source=source, path=path, secret=text.strip())
    elif text.strip():
        problems.append(f"{source} {_NO_TOKEN}")
    else:
        problems.append(f"{source} is empty")


def _sendable(token: str) -> bool:
    """Whether it can be sent at all: one word of ASCII; the official client would crash."""
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


def _keys(problems: list[str]) -> Iterator[Credential]:
    user = os.environ.get("KAGGLE_USERNAME", "").strip()
    key = os.environ.get("KAGGLE_KEY", "").strip()
    if user and key:
        source = "KAGGLE_USERNAME and KAGGLE_KEY"
        yield Credential(kind="key", source=source, user=user, secret=key)
    elif user or key:
        there, missing = ("USERNAME", "KEY") if user else ("KEY", "USERNAME")
        problems.append(f"KAGGLE_{there} is set, KAGGLE_{missing} is not")
    for source, path in _key_files():
        document = _document(path, source, problems)
        if document is None:
            continue
        user, key = str(document.get("username") or ""), str(document.get("key") or "")
        if user and key:
            yield Credential(kind="key", source=source, path=path, user=user, secret=key)
            return
        problems.append(f'{source} lacks "username" or "key"')


def _key_files() -> list[tuple[str, Path]]:
    folder = os.environ.get("KAGGLE_CONFIG_DIR")
    if folder:
        return [("kaggle.json in KAGGLE_CONFIG_DIR", Path(folder) / "kaggle.json")]
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [
        ("~/.kaggle/kaggle.json", Path.home() / ".kaggle" / "kaggle.json"),
        ("~/.config/kaggle/kaggle.json", config / "kaggle" / "kaggle.json"),
    ]


def _logins(problems: list[str]) -> Iterator[Credential]:
    source = "~/.kaggle/credentials.json"
    path = Path.home() / ".kaggle" / "credentials.json"
    document = _document(path, source, problems)
    if document is None:
        return
    token, refresh = (str(document.get(k) or "") for k in ("access_token", "refresh_token"))
    user = str(document.get("username") or "")
    if token and not _sendable(token):
        problems.append(f"{source}: the access token {_NO_TOKEN}")
        token = ""
    if token and _valid_until(document.get("access_token_expiration")):
        yield Credential(kind="token", source=source, path=path, user=user, secret=token)
    if refresh:
        yield Credential(kind="login", source=source, path=path, user=user, refresh=refresh)
    elif not token:
        problems.append(f"{source} holds no token; run `kaggle auth login` again")


def _valid_until(moment: Any) -> bool:
    """Whether an access token lasts; the official client thinks so until 30 minutes too long."""
    try:
        until = datetime.fromisoformat(str(moment))
    except ValueError:
        return False
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return until - _MARGIN > datetime.now(UTC)


def _document(path: Path, source: str, problems: list[str]) -> dict[str, Any] | None:
    text = _text(path, source, problems)
    if text is None:
        return None
    try:
        document = parse_json(text)
    except ValueError:
        problems.append(f"{source} is not JSON")
        return None
    if not isinstance(document, dict):
        problems.append(f"{source} is not a JSON object")
        return None
    return document


def _text(path: Path, source: str, problems: list[str]) -> str | None:
    if not _exists(path):
        return None
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        problems.append(f"{source} cannot be read ({reason})")
        return None


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a token is no file name, and may be too long for one
        return False
