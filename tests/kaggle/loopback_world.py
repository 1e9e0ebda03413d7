"""What the loopback Kaggle knows: competitions, accounts, uploads, submissions, and its API.

The wire is that of kagglesdk 0.1.37 and 0.1.38: every call is a POST with a JSON object whose keys
are lowerCamelCase; enums go by name, moments as ISO 8601 with Z. A method of `World` whose name is
that of a call answers it: it returns a JSON object, a `Redirect`, or a `Zip`, or raises `Refusal`.
"""

from __future__ import annotations

import csv
import io
import itertools
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from loopback_answers import Redirect, Refusal, Upload, Zip

Body = dict[str, Any]
Scorer = Callable[[bytes], tuple[float | None, float | None]]
NOT_ALLOWED = "Submission not allowed:  "  # with two blanks, as seen


@dataclass
class Competition:
    """One competition; the defaults are an open one with accepted rules.

    `scorer` gets the file and returns public and private score, or raises `ValueError` with the
    reason. `polls`: how often one must look until it is scored. `facts` go into GetCompetition.
    """

    slug: str
    files: dict[str, bytes] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    board: list[tuple[str, float]] = field(default_factory=list)
    final: list[tuple[str, float]] = field(default_factory=list)  # the private board, if shown
    members: dict[str, str] = field(default_factory=dict)  # team -> account
    metric: str = "Area Under Receiver Operating Characteristic Curve"
    tags: tuple[str, ...] = ("tabular",)
    rules_accepted: bool = True
    entered: bool = True
    deadline: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(days=30))
    daily: int = 5
    notebooks_only: bool = False
    disabled: bool = False
    file_name: str = ""
    scorer: Scorer = lambda content: (0.5, 0.4)
    polls: int = 1
    packed: tuple[str, ...] = ()  # files that the server sends as NAME.zip
    archive: bytes | Path | None = None  # instead of a zip of `files`
    facts: Body = field(default_factory=dict)


@dataclass
class Handed:
    """One submission."""

    ref: int
    slug: str
    name: str
    content: bytes
    description: str
    team: str
    account: str
    date: datetime
    status: str = "PENDING"
    public: str = ""
    private: str = ""
    error: str = ""
    looks: int = 0


class World:
    """The state of the server, and its API."""

    def __init__(self) -> None:
        self.accounts = {"ann": "0" * 32}  # user -> key
        self.tokens = {"KGAT_good": "ann"}  # token -> user
        self.refresh = {"refresh_good": "ann"}
        self.teams: dict[str, str] = {}  # user -> team, where it is not the user's name
        self.competitions: dict[str, Competition] = {}
        self.uploads: dict[str, Upload] = {}
        self.submissions: list[Handed] = []
        self.storage: dict[str, bytes | Path] = {}
        self.unknown_status = 404
        self.hidden: set[int] = set()  # refs that lists do not show yet
        self.upload_address = ""  # set by the server
        self._numbers = itertools.count(101)

    # -- accounts

    def IntrospectToken(self, body: Body, user: str) -> Body:
        owner = self.tokens.get(body.get("token", ""))
        return {"active": True, "username": owner, "userId": 1} if owner else {"active": False}

    def GenerateAccessToken(self, body: Body, user: str) -> Body:
        owner = self.refresh.get(body.get("refreshToken", ""))
        if owner is None:
            raise Refusal(401, "Unauthenticated")
        token = f"KGAT_fresh{next(self._numbers)}"
        self.tokens[token] = owner
        return {"token": token, "expiresIn": 43200, "userName": owner, "userId": 1}

    # -- what there is

    def ListCompetitions(self, body: Body, user: str) -> Body:
        word = body.get("search", "").lower()
        found = [_facts(c) for c in self.competitions.values() if word in c.slug]
        return page("competitions", found, body)

    def GetCompetition(self, body: Body, user: str) -> Body:
        return _facts(self._competition(body))

    def ListCompetitionPages(self, body: Body, user: str) -> Body:
        pages = self._competition(body).pages
        return {
            "pages": [
                {"name": name, "content": content, "isPublished": True, "mimeType": "text/html"}
                for name, content in pages.items()
                if body.get("pageName", name) == name
            ]
        }

    def ListDataFiles(self, body: Body, user: str) -> Body:
        files = [
            {"ref": name, "name": name, "totalBytes": len(content), "creationDate": _moment()}
            for name, content in self._competition(body).files.items()
        ]
        return page("files", files, body)

    def ListDataTreeFiles(self, body: Body, user: str) -> Body:
        folder = body.get("path", "").strip("/")
        competition = self._competition(body, takes_part=bool(folder))
        prefix = f"{folder}/" if folder else ""
        folders: dict[str, int] = {}
        files = []
        for name, content in competition.files.items():
            if not name.startswith(prefix):
                continue
            first, slash, _ = name[len(prefix) :].partition("/")
            if slash:
                folders[first] = folders.get(first, 0) + 1
            else:
                files.append({"name": first, "relativeUrl": name, "totalBytes": len(content)})
        directories = [{"name": n, "relativeUrl": prefix + n} for n in folders]
        return {**page("files", files, body), "directories": directories}

    def GetCompetitionDataFilesSummary(self, body: Body, user: str) -> Body:
        files = self._competition(body).files
        total = sum(map(len, files.values()))
        kinds = [{"extension": ".csv", "fileCount": len(files), "totalSize": total}]
        return {"fileSummaryInfo": {"totalFileCount": len(files), "fileTypes": kinds}}

    def DownloadDataFiles(self, body: Body, user: str) -> Redirect:
        competition = self._competition(body, rules=True)
        name = f"competitions/{competition.slug}/bundle/archive.zip"
        self.storage[name] = competition.archive or zipped(competition.files)
        return Redirect(name)

    def DownloadDataFile(self, body: Body, user: str) -> Redirect:
        competition, file = self._competition(body, rules=True), body.get("fileName", "")
        if file not in competition.files:
            raise Refusal(404, "Not found")
        name, content = f"competitions/{competition.slug}/files/{file}", competition.files[file]
        if file in competition.packed:
            name, content = f"{name}.zip", zipped({file.rpartition("/")[2]: content})
        self.storage[name] = content
        return Redirect(name)

    def GetLeaderboard(self, body: Body, user: str) -> Body:
        competition = self._competition(body)
        public = body.get("overridePublic") or not competition.final
        board = competition.board if public else competition.final
        rows = [
            {"teamId": n, "teamName": team, "submissionDate": _moment(), "score": f"{score:.5f}"}
            for n, (team, score) in enumerate(board, 1)
        ]
        return page("submissions", rows, body)

    def DownloadLeaderboard(self, body: Body, user: str) -> Zip:
        competition = self._competition(body)
        out = io.StringIO()
        table = csv.writer(out)
        table.writerow(
            ["Rank", "TeamId", "TeamName", "LastSubmissionDate", "Score", "SubmissionCount",
             "TeamMemberUserNames"]
        )  # fmt: skip
        for rank, (team, score) in enumerate(competition.board, 1):
            member = competition.members.get(team, f"user{rank}")
            table.writerow([rank, rank, team, _moment(), f"{score:.5f}", 3, member])
        name = f"{competition.slug}-publicleaderboard.csv"
        return Zip(f"{competition.slug}.zip", zipped({name: out.getvalue().encode()}))

    # -- submissions

    def GetSubmissionLimits(self, body: Body, user: str) -> Body:
        competition = self._competition(body)
        today = len(self._today(competition, user))
        return {
            "numToday": today,
            "numTotal": len(self._of(competition.slug, user)),
            "numAllowedNow": max(0, competition.daily - today),
            "limitedByTotal": False,
        }

    def StartSubmissionUpload(self, body: Body, user: str) -> Body:
        self._competition(body, takes_part=True)  # all other checks come after the upload
        key = f"up{next(self._numbers)}"
        self.uploads[key] = Upload(body.get("fileName", ""), int(body.get("contentLength", 0)))
        return {"token": f"token-{key}", "createUrl": f"{self.upload_address}?upload_id={key}"}

    def CreateSubmission(self, body: Body, user: str) -> Body:
        competition = self._competition(body, takes_part=True)
        upload = self.uploads.get(body.get("blobFileTokens", "").removeprefix("token-"))
        if upload is None or not upload.whole:
            raise Refusal(400, "Invalid or incomplete blob token")
        reasons = self._against(competition, upload.name, user)
        if reasons:
            raise Refusal(400, NOT_ALLOWED + " ".join(reasons))
        description = body.get("submissionDescription", "")
        handed = self.hand_in(competition.slug, upload.name, upload.content, description, user)
        return {"message": f"Successfully submitted to {competition.slug}", "ref": handed.ref}

    def ListSubmissions(self, body: Body, user: str) -> Body:
        competition = self._competition(body, takes_part=True)
        mine = [h for h in reversed(self._of(competition.slug, user)) if h.ref not in self.hidden]
        for handed in mine:
            self._score(competition, handed)
        return page("submissions", [_entry(handed) for handed in mine], body)

    def GetSubmission(self, body: Body, user: str) -> Body:
        for handed in self.submissions:
            if handed.ref == body.get("ref"):
                self._score(self.competitions[handed.slug], handed)
                return _entry(handed)
        raise Refusal(404, "Not found")

    def hand_in(
        self, slug: str, name: str, content: bytes, description: str = "", user: str = "ann"
    ) -> Handed:
        """Make a submission; also for tests that need one made elsewhere."""
        ref = 50_000_000 + next(self._numbers)
        team = self.teams.get(user, user)
        now = datetime.now(UTC)
        handed = Handed(ref, slug, name, content, description, team, user, now)
        self.submissions.append(handed)
        return handed

    def _against(self, competition: Competition, name: str, user: str) -> list[str]:
        if competition.notebooks_only:
            return ["This competition only accepts Submissions from Notebooks."]
        reasons = []
        if competition.disabled:
            reasons.append("Submissions have been disabled for this competition.")
        if len(self._today(competition, user)) >= competition.daily:
            reasons.append(
                f"Your team has used its daily Submission allowance ({competition.daily}) today, "
                "please try again tomorrow UTC (12 hours from now)."
            )
        if competition.file_name and name != competition.file_name:
            reasons.append(
                f'Submission files must be named "{competition.file_name}" for this Competition.'
            )
        return reasons

    def _score(self, competition: Competition, handed: Handed) -> None:
        handed.looks += 1
        if handed.status != "PENDING" or handed.looks <= competition.polls:
            return
        try:
            public, private = competition.scorer(handed.content)
        except ValueError as error:
            handed.status, handed.error = "ERROR", str(error)
            return
        handed.status = "COMPLETE"
        handed.public = "" if public is None else f"{public:.5f}"
        if datetime.now(UTC) > competition.deadline and private is not None:
            handed.private = f"{private:.5f}"

    def _of(self, slug: str, user: str) -> list[Handed]:
        team = self.teams.get(user, user)
        return [h for h in self.submissions if h.slug == slug and h.team == team]

    def _today(self, competition: Competition, user: str) -> list[Handed]:
        today = datetime.now(UTC).date()
        mine = self._of(competition.slug, user)
        return [h for h in mine if h.date.date() == today and h.status != "ERROR"]

    def _competition(
        self, body: Body, *, rules: bool = False, takes_part: bool = False
    ) -> Competition:
        competition = self.competitions.get(body.get("competitionName", ""))
        if competition is None:
            denied = "Permission 'competitions.get' was denied"
            raise Refusal(
                self.unknown_status, denied if self.unknown_status == 403 else "Not found"
            )
        if rules and not competition.rules_accepted:
            raise Refusal(
                403,
                "You must accept this competition's rules before you'll be able to download files.",
                reason="RulesAcceptanceRequired",
            )
        if takes_part and not competition.entered:
            raise Refusal(403, "Permission 'competitions.participate' was denied")
        return competition


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip; the same files give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (2026, 3, 2, 2, 17, 12))
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, content)
    return out.getvalue()


def _facts(competition: Competition) -> Body:
    address = f"https://www.kaggle.com/competitions/{competition.slug}"
    return {
        "id": 1234,
        "ref": address,
        "url": address,
        "title": competition.slug.replace("-", " ").title(),
        "description": "Predict the target.",
        "category": "Playground",
        "reward": "Swag",
        "tags": [{"ref": tag, "name": tag} for tag in competition.tags],
        "deadline": _moment(competition.deadline),
        "mergerDeadline": _moment(competition.deadline - timedelta(days=7)),
        "teamCount": 345,
        "userHasEntered": competition.entered,
        "userRank": 17,
        "maxDailySubmissions": competition.daily,
        "maxTeamSize": 4,
        "evaluationMetric": competition.metric,
        "isKernelsSubmissionsOnly": competition.notebooks_only,
        "submissionsDisabled": competition.disabled,
        **competition.facts,
    }


def _entry(handed: Handed) -> Body:
    return {
        "ref": handed.ref,
        "date": _moment(handed.date),
        "fileName": handed.name,
        "totalBytes": len(handed.content),
        "description": handed.description,
        "status": handed.status,
        "publicScore": handed.public,
        "privateScore": handed.private,
        "errorDescription": handed.error,
        "submittedBy": handed.account,
        "teamName": handed.team,
        "url": f"https://www.kaggle.com/submissions/{handed.ref}",
    }


def page(key: str, rows: list[Body], body: Body) -> Body:
    size, token = int(body.get("pageSize") or 20), str(body.get("pageToken") or "")
    start = int(token) if token.isdigit() else size * (int(body.get("page") or 1) - 1)
    more = start + size < len(rows)
    return {key: rows[start : start + size], "nextPageToken": str(start + size) if more else ""}


def _moment(moment: datetime | None = None) -> str:
    moment = moment or datetime(2026, 3, 2, 2, 17, 12, tzinfo=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
