"""What `kit doctor` says of Kaggle: which credentials are used, and what is wrong with the others.

Asks the network only where there are credentials, and not for long. Shows no secret.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from importlib.util import find_spec

from kit.diagnosis import Fact
from kit.errors import AuthError, KitError
from kit.providers.kaggle.credentials import Credential, Search, search

_NAME = "kaggle credentials"


def credential_facts() -> Iterator[Fact]:
    """One line per credential that is there, in the order in which they are tried."""
    found = search()
    if not found.found:
        yield Fact(
            name=_NAME,
            value="none (not needed for sample and local competitions)",
            problem="; ".join(found.problems),
        )
        return
    verdicts = _verdicts(found)
    sources = list(verdicts)
    used = next((source for source, (state, _) in verdicts.items() if state == "accepted"), "")
    for source, (state, words) in verdicts.items():
        if state == "refused" and used and sources.index(source) < sources.index(used):
            words = (
                f"expired or revoked, and it comes before {used}: kit passes over it, the kaggle "
                "command stops there. Renew or remove it"
            )
        readers = {text for c in found.found if c.source == source for text in _readable(c)}
        yield Fact(
            name=_NAME,
            value=source + (", used" if source == used else ""),
            problem="; ".join(filter(None, (words, *readers))),
        )
    for problem in (*found.problems, *_variables()):
        yield Fact(name=_NAME, value="", problem=problem)


def _verdicts(found: Search) -> dict[str, tuple[str, str]]:
    """By source, in order; a file with an old token and the means to renew it counts once."""
    verdicts: dict[str, tuple[str, str]] = {}
    for credential in found.found:
        if verdicts.get(credential.source, ("refused", ""))[0] == "refused":
            verdicts[credential.source] = _verdict(credential)
    return verdicts


def _verdict(credential: Credential) -> tuple[str, str]:
    """Either accepted, refused or unknown, and the problem in words."""
    if find_spec("kagglesdk") is None:
        return "unknown", "not tried: kagglesdk is not installed"
    from kit.providers.kaggle.client import Client, Patience

    patience = Patience(connect=5, answer=5, attempts=1)
    client = Client(found=Search(found=(credential,)), patience=patience)
    try:
        if credential.kind == "token" and not credential.user:
            active = client.call("security/IntrospectToken", token=credential.secret)
            return ("accepted", "") if active.get("active") else ("refused", _EXPIRED)
        client.call("competitions/ListCompetitions", page_size=1, search="titanic")
    except AuthError:
        return "refused", _EXPIRED
    except KitError as error:
        return "unknown", f"not tried: {str(error).splitlines()[0]}"
    finally:
        client.close()
    return "accepted", ""


_EXPIRED = "Kaggle refuses it: expired or revoked. Renew or remove it"


def _readable(credential: Credential) -> Iterator[str]:
    """Whether others on this machine can read the file."""
    if credential.path is None or os.name != "posix":
        return
    mode = stat.S_IMODE(credential.path.stat().st_mode)
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        yield f"others can read the file: chmod 600 {credential.path}"


def _variables() -> Iterator[str]:
    if os.environ.get("KAGGLE_TOKEN"):
        yield "KAGGLE_TOKEN is set: the kaggle command uses it before all else, kit does not"
    if os.environ.get("KAGGLE_API_ENVIRONMENT", "PROD") != "PROD":
        yield "KAGGLE_API_ENVIRONMENT is set: kit talks to another server than kaggle.com"
