"""Datasets, kernels and their submission; the contract is `kit.providers.publishing.Publisher`.

A version of a kernel is asked for by its label (``v3``): without one Kaggle speaks of the newest
session, which right after a push may still be the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.atomic import parse_json
from kit.errors import ConfigError, ProviderError, RefusedError, Unreached
from kit.providers.base import Attempt, Limits, Submitted
from kit.providers.kaggle.archives import archived
from kit.providers.kaggle.client import Client
from kit.providers.kaggle.download import Order, download
from kit.providers.kaggle.reading import count, items
from kit.providers.kaggle.refusals import Failure, never_sent
from kit.providers.kaggle.submitting import read_back
from kit.providers.kaggle.text import line
from kit.providers.kaggle.uploads import upload
from kit.providers.publishing import LostAnswer, Pushed, State, Written
from kit.providers.unpacking import check_space

if TYPE_CHECKING:
    from kit.providers.kaggle.provider import KaggleProvider

DATASET_METADATA, KERNEL_METADATA = "dataset-metadata.json", "kernel-metadata.json"
_PAGE = 200
_MOST_PAGES = 100
_SOURCES = {
    "invalidDatasetSources": "dataset sources",
    "invalidCompetitionSources": "competition sources",
    "invalidKernelSources": "kernel sources",
    "invalidModelSources": "model sources",
}
_DATASET = {"READY": "done", "FAILED": "failed", "DELETED": "failed"}
_KERNEL = {"COMPLETE": "done", "ERROR": "failed", "CANCEL_ACKNOWLEDGED": "failed"}


class KagglePublisher:
    """Datasets and kernels of the account that `client` speaks for.

    Args:
        client: to ask; its slug is the competition that kernels are submitted to.
        provider: the rest of what is known of the competition.
    """

    def __init__(self, client: Client, provider: KaggleProvider) -> None:
        self.client, self.provider = client, provider

    def account(self) -> str:
        """The user name of the credentials.

        Raises:
            AuthError: a credential was refused, and what is left may be of another account.
        """
        account = self.client.account()
        self.client.must_be_sure()
        return account

    def dataset_version(self, dataset: str) -> int | None:
        """Number of the newest version; None: there is none, or it is somebody else's.

        Raises:
            ProviderError: Kaggle could not be asked.
        """
        owner, slug = _parts(dataset)
        found = self._known("datasets/GetDataset", owner_slug=owner, dataset_slug=slug)
        if found is None:
            return None
        known = [count(each.get("versionNumber")) or 0 for each in items(found, "versions")]
        return max(count(found.get("currentVersionNumber")) or 1, *known, 1)

    def put_dataset(self, folder: Path, dataset: str, message: str) -> int | None:
        """Upload a folder as a new dataset, or as a new version of it.

        Args:
            folder: with ``dataset-metadata.json`` (title, licence), which stays here. Files go as
                they are, each folder as one zip, which Kaggle unpacks.
            dataset: ``user/slug``.
            message: the version's note.

        Returns:
            None: Kaggle does not say the version.

        Raises:
            LostAnswer: all was uploaded, and it is not known whether a version was made of it.
            ProviderError: nothing was made.
        """
        owner, slug = _parts(dataset)
        known = self.dataset_version(dataset)
        facts = _metadata(folder / DATASET_METADATA)
        new_file = _type("datasets", "dataset_api_service", "ApiDatasetNewFile")
        files = []
        with archived(folder, without=(DATASET_METADATA,)) as paths:
            for path in paths:
                each = new_file()
                each.token = self._upload(path)
                files.append(each)
        if not files:
            raise ConfigError(f"{folder} holds nothing to upload")
        if known is None:
            answer = self._send(
                "datasets/CreateDataset",
                owner_slug=owner,
                slug=slug,
                title=facts["title"],
                license_name=facts["licenses"][0]["name"],
                is_private=bool(facts.get("isPrivate", True)),
                files=files,
            )
        else:
            body = _type("datasets", "dataset_api_service", "ApiCreateDatasetVersionRequestBody")()
            body.version_notes, body.files = message, files
            answer = self._send(
                "datasets/CreateDatasetVersion", owner_slug=owner, dataset_slug=slug, body=body
            )
        why, status = line(answer.get("error")), line(answer.get("status"))
        if why or status.lower() not in ("", "ok"):
            raise RefusedError(f"Kaggle refused the dataset {dataset}: {why or status}")
        return None

    def dataset_state(self, dataset: str) -> State:
        """Whether Kaggle has unpacked the newest version."""
        owner, slug = _parts(dataset)
        answer = self.client.call("datasets/GetDatasetStatus", owner_slug=owner, dataset_slug=slug)
        status = line(answer.get("status")).upper()
        return _state(status, _DATASET, f"Kaggle says {status}")

    def kernel_version(self, kernel: str) -> int | None:
        """Number of the newest version; None: there is none, or it is somebody else's.

        Raises:
            ProviderError: Kaggle could not be asked.
        """
        owner, slug = _parts(kernel)
        found = self._known("kernels/GetKernel", user_name=owner, kernel_slug=slug)
        if found is None:
            return None
        facts = found.get("metadata")
        return count(facts.get("currentVersionNumber")) if isinstance(facts, dict) else None

    def push_kernel(self, folder: Path) -> Pushed:
        """Save the script that ``kernel-metadata.json`` names as a new version, and run it.

        Raises:
            LostAnswer: it is not known whether a version was made.
            ProviderError: none was made.
        """
        facts = _metadata(folder / KERNEL_METADATA)
        shape = facts.get("machine_shape")
        answer = self._send(
            "kernels/SaveKernel",
            slug=facts["id"],
            new_title=facts["title"],
            text=(folder / Path(facts["code_file"]).name).read_text(encoding="utf-8"),
            language=facts["language"],
            kernel_type=facts["kernel_type"],
            is_private=bool(facts["is_private"]),
            enable_gpu=bool(facts["enable_gpu"]),
            enable_tpu=bool(facts["enable_tpu"]),
            enable_internet=bool(facts["enable_internet"]),
            category_ids=list(facts["keywords"]),
            dataset_data_sources=list(facts["dataset_sources"]),
            competition_data_sources=list(facts["competition_sources"]),
            kernel_data_sources=list(facts["kernel_sources"]),
            model_data_sources=list(facts["model_sources"]),
            **({"machine_shape": shape} if shape else {}),
        )
        invalid = {kind: _texts(answer.get(key)) for key, kind in _SOURCES.items()}
        return Pushed(
            version=count(answer.get("versionNumber")),
            error=line(answer.get("error")),
            invalid={kind: refs for kind, refs in invalid.items() if refs},
        )

    def kernel_state(self, kernel: str, version: int) -> State:
        """How the run of this version goes; of one that failed, what it said last."""
        answer = self.client.call("kernels/GetKernelSessionStatus", **_version(kernel, version))
        status, why = line(answer.get("status")).upper(), line(answer.get("failureMessage"))
        reason = "it was cancelled" if "CANCEL" in status else why
        state = _state(status, _KERNEL, reason)
        if state.status != "failed":
            return state
        said = self._last_words(kernel, version)
        reasons = [text for text in (state.reason, said) if text]
        return State(status="failed", reason="; ".join(dict.fromkeys(reasons)) or "no reason given")

    def kernel_output(self, kernel: str, version: int, file: str, folder: Path) -> Written:
        """Fetch one file; other files are named and left where they are.

        Raises:
            ProviderError: it could not be fetched whole.
            DiskFull: it does not fit.
        """
        names: list[str] = []
        found = False
        for entry in self._outputs(kernel, version):
            names.append(line(entry.get("fileName")))
            found = found or entry.get("fileName") == file
        if not found:
            return Written(path=None, names=tuple(names))
        part, _ = download(
            Order(
                address=lambda: self._address(kernel, version, file),
                part=folder / f"{file}.part",
                name=file,
                progress=lambda done, total: None,
                room=lambda more: check_space(more, folder),
                patience=self.client.patience,
            ),
            self.client.slug,
        )
        path = folder / file
        part.path.replace(path)
        part.drop()
        return Written(path=path, names=tuple(names))

    def limits(self) -> Limits:
        """What is left today; kernels are taken where files are not."""
        return self.provider.limits(kernel=True)

    def submissions(self) -> list[Submitted]:
        """All submissions of the team, newest first."""
        return self.provider.submissions()

    def same(self, content: str) -> list[Submitted]:
        """Submissions of this content, by their marks."""
        return self.provider.same(content)

    def attempt(self, content: str) -> Attempt:
        """A new attempt to submit this content; see `KaggleProvider.attempt`."""
        return self.provider.attempt(content)

    def submit_kernel(self, kernel: str, version: int, file: str, message: str) -> Submitted:
        """Submit the output of a version, once.

        Raises:
            RefusedError: Kaggle said no.
            LostAnswer: it is not known whether it arrived.
        """
        owner, slug = _parts(kernel)
        answer = self._send(
            "competitions/CreateCodeSubmission",
            competition_name=self.client.slug,
            kernel_owner=owner,
            kernel_slug=slug,
            kernel_version=version,
            file_name=file,
            submission_description=message,
        )
        ref = str(answer.get("ref") or "")
        if ref in ("", "0"):
            said = line(answer.get("message")) or "no reason given"
            raise LostAnswer(f"Kaggle names no submission: {said}")
        return read_back(self.client, ref, file, message)

    def _send(self, name: str, **fields: Any) -> dict[str, Any]:
        """A call that changes something, made once.

        Raises:
            LostAnswer: it is not known whether it was carried out.
            ProviderError: it was not.
        """
        try:
            answer: dict[str, Any] = self.client.call(name, repeat=False, **fields)
        except ProviderError as error:
            if isinstance(error, RefusedError) and error.sure:
                raise
            if never_sent(error):
                raise Unreached(str(error)) from error
            raise LostAnswer(str(error).splitlines()[0]) from error
        return answer

    def _known(self, name: str, **fields: Any) -> dict[str, Any] | None:
        """The answer; None where Kaggle knows nothing of that name, or does not show it."""
        try:
            answer: dict[str, Any] = self.client.call(name, **fields)
        except RefusedError as error:
            cause = error.__cause__
            if isinstance(cause, Failure) and cause.status in (403, 404):
                return None
            raise
        return answer

    def _upload(self, path: Path) -> str:
        kind = _type("blobs", "blob_api_service", "ApiBlobType").DATASET

        def start() -> Any:
            return self.client.call(
                "blobs/StartBlobUpload",
                type=kind,
                name=path.name,
                content_length=path.stat().st_size,
                last_modified_epoch_seconds=int(path.stat().st_mtime),
            )

        nothing = "No dataset was made of what is there. Run the same command again."
        return upload(self.client, path, start, nothing)

    def _outputs(self, kernel: str, version: int) -> Iterator[dict[str, Any]]:
        token = ""
        for _ in range(_MOST_PAGES):
            answer = self.client.call(
                "kernels/ListKernelSessionOutput",
                page_size=_PAGE,
                page_token=token,
                **_version(kernel, version),
            )
            yield from items(answer, "files")
            token = str(answer.get("nextPageToken") or "")
            if not token:
                return

    def _address(self, kernel: str, version: int, file: str) -> str:
        """A fresh signed address of an output file."""
        for entry in self._outputs(kernel, version):
            address = str(entry.get("url") or "")
            if entry.get("fileName") == file and address.startswith(("http://", "https://")):
                return address
        raise ProviderError(f"Kaggle names no address of {file}, which {kernel} wrote.")

    def _last_words(self, kernel: str, version: int) -> str:
        """The last line of a failed run's log; the script ends with a sentence. "": not known."""
        try:
            answer = self.client.call(
                "kernels/ListKernelSessionOutput",
                repeat=False,
                page_size=1,
                **_version(kernel, version),
            )
        except ProviderError:
            return ""
        said = _log(str(answer.get("log") or ""))
        ours = [text for text in said if text.startswith("kit export:")]
        return line((ours or said or [""])[-1])


def _parts(reference: str) -> tuple[str, str]:
    owner, _, slug = reference.partition("/")
    return owner, slug


def _version(kernel: str, version: int) -> dict[str, Any]:
    owner, slug = _parts(kernel)
    return {"user_name": owner, "kernel_slug": slug, "version_label": f"v{version}"}


def _type(service: str, module: str, name: str) -> Any:
    return getattr(import_module(f"kagglesdk.{service}.types.{module}"), name)


def _metadata(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    return facts


def _state(status: str, known: Mapping[str, str], reason: str) -> State:
    """A status that is not listed, or that kit does not know, means waiting."""
    told = next(
        (kit for name, kit in known.items() if re.search(rf"(^|[._]){name}$", status)), "waiting"
    )
    if told == "failed":
        return State(status="failed", reason=reason)
    return State(status="done" if told == "done" else "waiting")


def _texts(found: Any) -> tuple[str, ...]:
    return tuple(line(each) for each in found) if isinstance(found, list) else ()


def _log(text: str) -> list[str]:
    """Lines of a kernel's log: a JSON list of pieces, or plain text."""
    try:
        pieces = parse_json(text)
        text = "".join(str(piece.get("data") or "") for piece in pieces)
    except (ValueError, TypeError, AttributeError):
        pass
    return [line(each) for each in text.splitlines() if each.strip()]
