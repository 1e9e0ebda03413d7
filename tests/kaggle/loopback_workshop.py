"""Datasets and kernels of the loopback Kaggle, and the submission of what a kernel wrote.

`Workshop.runs` plays the machine a kernel runs on: it gets the session and returns the files that
were written, or raises `ValueError` with the reason of the failure.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from loopback_answers import Refusal, Upload
from loopback_world import NOT_ALLOWED, Body, World, page

Files = dict[str, bytes]
SIGNATURE = "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Signature=5ec2e7"


@dataclass
class Version:
    """One version of a dataset: what was uploaded, zips unpacked into folders of their name."""

    files: Files
    note: str = ""
    looks: int = 0
    status: str = "BLOBS_RECEIVED"


@dataclass
class Dataset:
    """A dataset; `facts` are those of CreateDataset."""

    owner: str
    facts: Body
    versions: list[Version] = field(default_factory=list)


@dataclass
class Session:
    """One version of a kernel and its run; `saved` is the SaveKernel request."""

    saved: Body
    status: str = "QUEUED"
    output: Files = field(default_factory=dict)
    failure: str = ""
    log: str = ""
    looks: int = 0


Runs = Callable[[Session], Files]


class Workshop(World):
    """The state of datasets and kernels, and its API.

    Attributes:
        dataset_looks, kernel_looks: how often one must look until a version is ready, a run over.
        dataset_end: what a version becomes then: "READY", "FAILED".
        refuses: SaveKernel answers with this as `error`.
        without: sources that SaveKernel leaves out, by key of the answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.datasets: dict[str, Dataset] = {}
        self.kernels: dict[str, list[Session]] = {}
        self.runs: Runs = lambda session: {}
        self.dataset_looks, self.kernel_looks = 1, 2
        self.dataset_end = "READY"
        self.refuses = ""
        self.without: dict[str, list[str]] = {}
        self.storage_url = ""  # set by the server

    # -- datasets

    def StartBlobUpload(self, body: Body, user: str) -> Body:
        if body.get("type") not in ("DATASET", "MODEL", "INBOX"):
            raise Refusal(400, "Unknown blob type")
        key = f"up{next(self._numbers)}"
        self.uploads[key] = Upload(body.get("name", ""), int(body.get("contentLength", 0)))
        return {"token": f"token-{key}", "createUrl": f"{self.upload_address}?upload_id={key}"}

    def GetDataset(self, body: Body, user: str) -> Body:
        """A version is counted when it is ready, and the first one at once."""
        found = self._dataset(body, user)
        ready = [n for n, each in enumerate(found.versions, 1) if each.status == "READY"]
        number = {"currentVersionNumber": ready[-1]} if ready else {}
        return {"ref": f"{found.owner}/{found.facts['slug']}", **number}

    def GetDatasetStatus(self, body: Body, user: str) -> Body:
        newest = self._dataset(body, user).versions[-1]
        newest.looks += 1
        if newest.status == "BLOBS_RECEIVED" and newest.looks > self.dataset_looks:
            newest.status = self.dataset_end
        return {"status": newest.status}

    def CreateDataset(self, body: Body, user: str) -> Body:
        ref = f"{body.get('ownerSlug')}/{body.get('slug')}"
        if body.get("ownerSlug") != user:
            raise Refusal(403, "Permission 'datasets.create' was denied")
        if ref in self.datasets:
            return {"status": "Error", "error": f"The requested slug {ref} is already in use"}
        for key in ("title", "licenseName"):
            if not body.get(key):
                return {"status": "Error", "error": f"{key} is required"}
        dataset = Dataset(user, body, [self._version(body.get("files", []), "")])
        self.datasets[ref] = dataset
        return _made(ref)

    def CreateDatasetVersion(self, body: Body, user: str) -> Body:
        found, inner = self._dataset(body, user), body.get("body", {})
        if found.versions[-1].status == "BLOBS_RECEIVED":
            raise Refusal(403, "Permission 'datasets.update' was denied")
        found.versions.append(self._version(inner.get("files", []), inner.get("versionNotes", "")))
        return _made(f"{found.owner}/{found.facts['slug']}")

    def _dataset(self, body: Body, user: str) -> Dataset:
        found = self.datasets.get(f"{body.get('ownerSlug')}/{body.get('datasetSlug')}")
        if found is None or found.owner != user:
            raise Refusal(403, "Permission 'datasets.get' was denied")
        return found

    def _version(self, files: list[Body], note: str) -> Version:
        found: Files = {}
        for file in files:
            upload = self.uploads.get(str(file.get("token", "")).removeprefix("token-"))
            if upload is None or not upload.whole:
                raise Refusal(400, "Invalid or incomplete blob token")
            if not upload.name.endswith(".zip"):
                found[upload.name] = upload.content
                continue
            with zipfile.ZipFile(io.BytesIO(upload.content)) as archive:
                folder = upload.name.removesuffix(".zip")
                found |= {f"{folder}/{name}": archive.read(name) for name in archive.namelist()}
        return Version(found, note)

    # -- kernels

    def SaveKernel(self, body: Body, user: str) -> Body:
        ref = str(body.get("slug", ""))
        if ref.partition("/")[0] != user:
            raise Refusal(403, "Permission 'kernels.create' was denied")
        answer: Body = {"ref": f"/code/{ref}", "error": self.refuses, "invalidTags": []}
        answer["url"] = f"https://www.kaggle.com/code/{ref}"
        if self.refuses:
            return answer
        gone = [s for s in body.get("datasetDataSources", []) if s not in self.datasets]
        sessions = self.kernels.setdefault(ref, [])
        sessions.append(Session(body))
        invalid = {"invalidDatasetSources": gone, "invalidCompetitionSources": []}
        return {**answer, "versionNumber": len(sessions), **invalid, **self.without}

    def GetKernel(self, body: Body, user: str) -> Body:
        ref, sessions = self._kernel(body, user)
        return {
            "metadata": {"ref": ref, "currentVersionNumber": len(sessions)},
            "blob": {"source": sessions[-1].saved.get("text", "")},
        }

    def GetKernelSessionStatus(self, body: Body, user: str) -> Body:
        session = self._session(body, user)
        session.looks += 1
        if session.status == "QUEUED":
            session.status = "RUNNING"
        elif session.status == "RUNNING" and session.looks > self.kernel_looks:
            try:
                session.output, session.status = self.runs(session), "COMPLETE"
            except ValueError as error:
                session.failure, session.status = str(error), "ERROR"
        return {"status": session.status, "failureMessage": session.failure}

    def ListKernelSessionOutput(self, body: Body, user: str) -> Body:
        ref, sessions = self._kernel(body, user)
        session = self._session(body, user)
        number = sessions.index(session) + 1
        rows = []
        for name, content in session.output.items():
            key = f"kaggle-script-outputs/{ref}/{number}/{name.replace('..', '_')}"
            self.storage[key] = content
            url = f"{self.storage_url}/{quote(key)}?{SIGNATURE}"
            rows.append({"fileName": name, "url": url})
        log = [{"stream_name": "stderr", "time": 1.0, "data": session.log}] if session.log else []
        return {**page("files", rows, body), "log": json.dumps(log)}

    def CreateCodeSubmission(self, body: Body, user: str) -> Body:
        competition = self._competition(body, takes_part=True)
        ref = f"{body.get('kernelOwner')}/{body.get('kernelSlug')}"
        sessions, number = self.kernels.get(ref, []), int(body.get("kernelVersion") or 0)
        if not 1 <= number <= len(sessions):
            raise Refusal(403, "Permission 'kernelSessions.get' was denied")
        session, name = sessions[number - 1], body.get("fileName", "")
        reasons = []
        if session.status != "COMPLETE" or name not in session.output:
            reasons.append("Notebook is still running. Did not find provided Notebook Output File.")
        if session.saved.get("enableInternet", True):
            reasons.append("Your Notebook cannot use internet access in this competition.")
        if competition.slug not in session.saved.get("competitionDataSources", []):
            reasons.append("Your Notebook must include this competition as a data source")
        if len(self._today(competition, user)) >= competition.daily:
            reasons.append("Your team has used its daily Submission allowance today.")
        if reasons:
            raise Refusal(400, NOT_ALLOWED + " ".join(reasons))
        description = body.get("submissionDescription", "")
        handed = self.hand_in(competition.slug, name, session.output[name], description, user)
        return {"message": f"Successfully submitted to {competition.slug}", "ref": handed.ref}

    def _kernel(self, body: Body, user: str) -> tuple[str, list[Session]]:
        ref = f"{body.get('userName')}/{body.get('kernelSlug')}"
        if ref not in self.kernels or body.get("userName") != user:
            raise Refusal(403, "Permission 'kernels.get' was denied")
        return ref, self.kernels[ref]

    def _session(self, body: Body, user: str) -> Session:
        """The version that the label names (``v3``), else the newest."""
        sessions = self._kernel(body, user)[1]
        label = body.get("versionLabel", f"v{len(sessions)}")
        found = re.fullmatch(r"v(\d+)", label)
        if not found or not 1 <= int(found.group(1)) <= len(sessions):
            raise Refusal(404, "Not found")
        return sessions[int(found.group(1)) - 1]


def _made(ref: str) -> Body:
    url = f"https://www.kaggle.com/datasets/{ref}"
    return {"ref": ref, "url": url, "status": "Ok", "error": "", "invalidTags": []}
