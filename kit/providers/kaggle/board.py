"""The leaderboard: one zip with a CSV of all teams; pages of it where there is no zip."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import requests

from kit.errors import ProviderError, RefusedError
from kit.providers.base import Standing
from kit.providers.kaggle.client import Client, Raw
from kit.providers.kaggle.reading import items, number
from kit.providers.kaggle.text import line
from kit.providers.unpacking import UNREADABLE

_MOST_BYTES = 256 << 20
_PAGE = 200
_MOST_PAGES = 500


def standings(client: Client, teams: set[str], *, over: bool) -> tuple[list[Standing], bool]:
    """The board, best first, as Kaggle sorts it, and whether it is the private one.

    Args:
        client: to ask.
        teams: names of teams that are ours.
        over: the competition is: the private board is wanted, if Kaggle gives it.

    Raises:
        ProviderError: refused, or unreadable.
    """
    if over and _private_shown(client):
        return list(_of_pages(client, teams)), True
    return _public(client, teams), False


def _private_shown(client: Client) -> bool:
    """Whether the pages are those of the private board.

    Kaggle gives it instead of the public one as soon as it may be seen, without saying which it is;
    the public one can still be asked for, so the two are compared.
    """
    try:
        first, public = (
            client.call(
                "competitions/GetLeaderboard",
                competition_name=client.slug,
                page_size=_PAGE,
                **({"override_public": True} if asked else {}),
            )
            for asked in (False, True)
        )
    except RefusedError:  # the table of all teams may still be had
        return False
    keys = ("teamName", "score")
    shown, known = (
        [tuple(str(entry.get(key)) for key in keys) for entry in items(page, "submissions")]
        for page in (first, public)
    )
    return bool(shown) and shown != known


def _public(client: Client, teams: set[str]) -> list[Standing]:
    """The public board: the table of all teams, else its pages."""
    account = client.account().casefold()
    answer = client.call(
        "competitions/DownloadLeaderboard", reads=Raw, competition_name=client.slug
    )
    rows = _rows_of_zip(answer)
    found = list(_of_csv(rows, account, teams)) if rows is not None else _of_pages(client, teams)
    ours = [place for place in found if place.mine]
    # a team is ours by its members; by its name only where the board does not list members
    return found if ours or rows is None else _by_name(found, teams)


def _rows_of_zip(answer: requests.Response) -> list[dict[str, str]] | None:
    try:
        body = answer.content
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            tables = [i for i in archive.infolist() if i.filename.lower().endswith(".csv")]
            if not tables or tables[0].file_size > _MOST_BYTES:
                return None
            text = archive.read(tables[0]).decode("utf-8-sig", "replace")
        return list(csv.DictReader(io.StringIO(text)))
    # RuntimeError: encrypted; csv.Error: a field that is longer than any that makes sense
    except (*UNREADABLE, RuntimeError, csv.Error, requests.RequestException):
        return None


def _of_csv(rows: list[dict[str, str]], account: str, teams: set[str]) -> Iterator[Standing]:
    for position, row in enumerate(rows, start=1):
        score = number(row.get("Score"))
        if score is None:
            continue
        members = (row.get("TeamMemberUserNames") or "").casefold().replace(";", ",").split(",")
        yield Standing(
            rank=int(number(row.get("Rank")) or position),
            team=line(row.get("TeamName")),
            score=score,
            mine=bool(account) and account in (name.strip() for name in members),
        )


def _by_name(found: list[Standing], teams: set[str]) -> list[Standing]:
    return [
        Standing(rank=p.rank, team=p.team, score=p.score, mine=bool(p.team) and p.team in teams)
        for p in found
    ]


def _of_pages(client: Client, teams: set[str]) -> list[Standing]:
    found: list[Standing] = []
    token = ""
    for _ in range(_MOST_PAGES):
        answer: dict[str, Any] = client.call(
            "competitions/GetLeaderboard",
            competition_name=client.slug,
            page_size=_PAGE,
            page_token=token,
        )
        for entry in items(answer, "submissions"):
            score, team = number(entry.get("score")), line(entry.get("teamName"))
            if score is not None:
                mine = bool(team) and team in teams
                found.append(Standing(rank=len(found) + 1, team=team, score=score, mine=mine))
        token = str(answer.get("nextPageToken") or "")
        if not token:
            return found
    raise ProviderError("the leaderboard does not end; look at it in a browser")
