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
    verdicts = {c.source: _verdict(c) for c in found.found}
    used = next((c for c in found.found if verdicts[c.source][0] == "accepted"), None)
    for credential in _once_per_source(found.found):
        state, words = verdicts[credential.source]
        shadowing = state == "refused" and used is not None and _before(found, credential, used)
        problem = words
        if shadowing and used is not None:
            problem = (
                f"expired or revoked, and it comes before {used.source}: kit passes over it, the "
                f"kaggle command stops there. Renew or remove it"
            )
        value = credential.source + (", used" if credential is used else "")
        yield Fact(
            name=_NAME, value=value, problem="; ".join(filter(None, (problem, *_open(credential))))
        )
    for problem in (*found.problems, *_variables()):
        yield Fact(name=_NAME, value="", problem=problem)


def _once_per_source(found: tuple[Credential, ...]) -> list[Credential]:
    return list({credential.source: credential for credential in reversed(found)}.values())[::-1]


def _before(found: Search, one: Credential, other: Credential) -> bool:
    return found.found.index(one) < found.found.index(other)


def _verdict(credential: Credential) -> tuple[str, str]:
    """ "accepted", "refused" or "unknown", and the problem in words."""
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


def _open(credential: Credential) -> Iterator[str]:
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
