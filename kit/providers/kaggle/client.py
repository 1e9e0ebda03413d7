"""Calls to Kaggle: kagglesdk's requests and addresses, with timeouts, repetitions and clear errors.

The SDK has no timeouts, repeats nothing and takes a token from the environment over the key it was
given. So the session is made here: it waits as long as `Patience` says, follows no redirect (a
download's address is wanted, not its body, and credentials go to Kaggle alone) and carries the
credential that `kit.providers.kaggle.credentials` found. Proxies and certificates are those of
`requests` (HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import requests
from kagglesdk import KaggleClient
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from kit import __version__
from kit.errors import AuthError, ProviderError
from kit.providers.kaggle.credentials import HOW, Credential, Search, search
from kit.providers.kaggle.refusals import Failure, asked_wait, explained, of_body, unowned
from kit.providers.kaggle.text import redacted

USER_AGENT = f"kit/{__version__}"
_SERVICES = {
    "competitions": ("competitions.CompetitionApiService", "competition_api_service", "Api"),
    "datasets": ("datasets.DatasetApiService", "dataset_api_service", "Api"),
    "kernels": ("kernels.KernelsApiService", "kernels_api_service", "Api"),
    "blobs": ("blobs.BlobApiService", "blob_api_service", "Api"),
    "security": ("security.OAuthService", "oauth_service", ""),
    "users": ("users.AccountService", "account_service", ""),
}
_WRITES = {
    "StartSubmissionUpload", "CreateSubmission", "CreateCodeSubmission", "StartBlobUpload",
    "CreateDataset", "CreateDatasetVersion", "SaveKernel",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long kit waits, in seconds.

    Attributes:
        connect: for a connection.
        answer: for the next byte of an answer to a call.
        transfer: for the next byte of a file, and for the storage to take one.
        attempts: tries of a call that may be repeated, and of a transfer that does not get on.
        first, longest: wait before the second try (doubled from try to try), and the longest wait;
            a server that asks for more is told of instead of waited for.
        sleep: how one waits.
    """

    connect: float = 10.0
    answer: float = 60.0
    transfer: float = 60.0
    attempts: int = 5
    first: float = 1.0
    longest: float = 90.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def pause(self, tries: int, asked: float | None) -> bool:
        """Wait before the next try; False where it is not worth it.

        Args:
            tries: how many there were.
            asked: seconds the server asks for, None where it does not.
        """
        if tries >= self.attempts or (asked or 0.0) > self.longest:
            return False
        grown = self.first * 2 ** (tries - 1) * random.uniform(0.75, 1.25)  # not all at once
        self.sleep(asked if asked is not None else min(grown, self.longest))
        return True


PATIENCE = Patience()


class Json:
    """Read an answer as JSON instead of as the SDK's types; see `kit.providers.kaggle`."""

    @staticmethod
    def prepare_from(response: requests.Response) -> Any:
        """The document; raises `ValueError` where the answer is none."""
        document = response.json() if response.content else {}
        if response.is_redirect or not isinstance(document, dict):
            raise ValueError("not a JSON object")
        return document


class Raw:
    """Hand an answer on as it is; whoever gets it closes it."""

    @staticmethod
    def prepare_from(response: requests.Response) -> requests.Response:
        """The response itself."""
        return response


class _Session(requests.Session):
    """A session that gives up and stays where it is."""

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self.answer: requests.Response | None = None  # the last one
        self._timeout = (patience.connect, patience.answer)
        self.headers.update({"User-Agent": USER_AGENT, "Content-Type": "application/json"})

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout
        kwargs["allow_redirects"] = False
        kwargs["stream"] = True  # only what is looked at is read: an answer may be a whole archive
        self.answer = None
        self.answer = super().send(request, **kwargs)
        return self.answer


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Client:
    """Kaggle, as the account whose credentials are found first and accepted.

    Args:
        slug: the competition, for messages.
        found: credentials; None: look for them at the first call.
        patience: None: `PATIENCE`.

    Attributes:
        notes: what the user should know (a token was refused and passed over).
    """

    def __init__(
        self, slug: str = "", found: Search | None = None, patience: Patience | None = None
    ) -> None:
        self.slug, self.patience = slug, patience or PATIENCE
        self.notes: list[str] = []
        self._search = found
        self._refused: list[Credential] = []
        self._accounts: dict[Credential, str] = {}
        self._current: Credential | None = None
        self._sdk: Any = None

    def call(self, name: str, /, *, repeat: bool = True, reads: Any = Json, **fields: Any) -> Any:
        """Call ``service/Method`` and return the answer.

        Args:
            name: such as "competitions/GetCompetition".
            repeat: whether the call may be repeated when its answer is lost.
            reads: `Json` or `Raw`.
            fields: of the request, named as in the SDK.

        Raises:
            AuthError: no credential, or none that Kaggle accepts.
            RefusedError: the server said no.
            ProviderError: it failed, or it is not known what it did.
        """
        method = name.partition("/")[2]
        tries = 0
        while True:
            tries += 1
            if method in _WRITES:
                self.must_be_sure()
            try:
                return self._once(name, reads, fields)
            except Failure as failure:
                if failure.status == 401 and not unowned(failure, method):
                    self._next_credential(failure)
                    tries -= 1
                    continue
                again = failure.passing and (repeat or failure.how == "unreached")
                if again and self.patience.pause(tries, failure.retry_after):
                    continue
                raise explained(failure, method, self.slug) from failure

    def account(self) -> str:
        """The user name of the credential in use; one call where the credential does not say."""
        self._open()
        while self._current is not None and not self._current.user:
            asked = self._current
            if asked not in self._accounts:
                answer = self.call("security/IntrospectToken", token=asked.secret)
                if self._current is not asked:
                    continue  # it was refused: what counts is the next one
                self._accounts[asked] = str(answer.get("username") or "")
            return self._accounts[asked]
        return self._current.user if self._current else ""

    def doubt(self) -> str:
        """Where the credential came from that was refused, if the one in use may be another's.

        "": none was refused, or all those that were name the account that is in use.
        """
        ours = self._current.user if self._current else ""
        others = [each for each in self._refused if not each.user or each.user != ours]
        return others[0].source if others else ""

    def must_be_sure(self) -> None:
        """Refuse to go on as somebody else; asked before anything is changed on Kaggle.

        Raises:
            AuthError: a credential was refused, and the account in use may be another one.
        """
        refused = self.doubt()
        if refused:
            raise AuthError(
                f"Kaggle refuses the credentials of {refused} (expired or revoked?), and those of "
                f"{self.source} may be another account's: nothing is sent with them.\n"
                f"  Renew or remove {refused}, then run the same command again."
            )

    @property
    def source(self) -> str:
        """Where the credential in use was found."""
        return self._current.source if self._current else ""

    def close(self) -> None:
        """Close the connections."""
        if self._sdk is not None:
            self._sdk.__exit__(None, None, None)
            self._sdk = None

    def _once(self, name: str, reads: Any, fields: dict[str, Any]) -> Any:
        service, request = _request(name, fields)
        method = name.partition("/")[2]
        sdk = self._open()
        with failures(sdk):
            return sdk.http_client().call(service, method, request, reads)

    def _open(self) -> Any:
        if self._sdk is None:
            if self._search is None:
                self._search = search()
                self.notes += [f"{text}; it is passed over" for text in self._search.passed_over]
            self._search.first()
            rest = [c for c in self._search.found if c not in self._refused]
            if not rest:
                raise self._no_credential()
            self._current = rest[0]
            auth = self._auth(rest[0])
            self._sdk = _sdk(auth, self.patience)
        return self._sdk

    def _auth(self, credential: Credential) -> Any:
        if credential.kind == "key":
            return credential.user.encode(), credential.secret.encode()
        if credential.kind == "token":
            return _Bearer(credential.secret)
        service, request = _request(
            "users/GenerateAccessToken", {"refresh_token": credential.refresh}
        )
        sdk = _sdk(None, self.patience)
        try:
            with failures(sdk):
                answer = sdk.http_client().call(service, "GenerateAccessToken", request, Json)
        except Failure as failure:
            if 400 <= failure.status < 500 and failure.status != 429:
                failure.status = 401  # whatever it says: this login is of no use
            raise
        return _Bearer(str(answer.get("token") or ""))

    def _next_credential(self, failure: Failure) -> None:
        """Pass over the credential that was refused, and say so."""
        self.close()
        if self._current is None:
            raise explained(failure, "the login", self.slug)
        refused = self._current
        self._refused.append(refused)
        rest = [c for c in self._search.found if c not in self._refused] if self._search else []
        if not rest:
            raise self._no_credential()
        self._current = rest[0]
        self.notes.append(
            f"Kaggle refuses the credentials of {refused.source} (expired or revoked?); those of "
            f"{rest[0].source} are used to read. Renew or remove {refused.source}: the kaggle "
            "command stops there."
        )

    def _no_credential(self) -> ProviderError:
        tried = ", ".join(credential.source for credential in self._refused)
        return AuthError(f"Kaggle refuses the credentials of {tried}: expired or revoked?\n  {HOW}")


def _sdk(auth: Any, patience: Patience) -> Any:
    """An SDK client on a session of ours, so that it looks for no credentials of its own."""
    try:
        sdk = KaggleClient(user_agent=USER_AGENT)
    except Exception as error:  # the SDK raises a bare Exception for an unknown environment
        raise ProviderError(f"{error}\n  Unset KAGGLE_API_ENVIRONMENT.") from error
    session = _Session(patience)
    session.auth = auth
    # the one private name of the SDK that is used: it keeps a session that is there
    sdk.http_client()._session = session
    return sdk


def _request(name: str, fields: dict[str, Any]) -> tuple[str, Any]:
    """The service's full name and the SDK's request object."""
    service, _, method = name.partition("/")
    full, module, prefix = _SERVICES[service]
    types = import_module(f"kagglesdk.{service}.types.{module}")
    request = getattr(types, f"{prefix}{method}Request")()
    for key, value in fields.items():
        setattr(request, key, value)
    return full, request


MISSHAPEN = (ValueError, KeyError, TypeError, AttributeError)
"""What `requests` and urllib3 raise for the address of a proxy without a usable host."""


def misshapen() -> Failure:
    """The failure for it; their words would show the address, and a password in it."""
    return Failure(how="setup", message="an address is none, that of the proxy most likely")


class failures:
    """Turn what `requests` and the SDK raise into `Failure`.

    The SDK stumbles over a body of another shape than it expects (``null``, a code that is a word);
    then the answer itself says what happened.
    """

    def __init__(self, sdk: Any) -> None:
        self._session = sdk.http_client()._session

    def __enter__(self) -> None:
        self._session.answer = None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        answer = self._session.answer
        if isinstance(error, MISSHAPEN) and (answer is not None and answer.status_code >= 400):
            raise failure_in(answer) from error
        if isinstance(error, MISSHAPEN) and not isinstance(error, OSError) and answer is None:
            raise misshapen() from error
        if isinstance(error, (OSError, ValueError, KeyError, TypeError, AttributeError)):
            raise failure_of(error) from error  # requests' own are a kind of OSError


def failure_of(error: Exception) -> Failure:
    """What an exception of `requests` or of the SDK means."""
    response = getattr(error, "response", None)
    if isinstance(error, requests.HTTPError) and response is not None:
        return failure_in(response)
    if isinstance(error, requests.JSONDecodeError) or not isinstance(error, OSError):
        return Failure(how="foreign", status=200, message=redacted(error))
    words = _words(error)
    if isinstance(error, requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return Failure(how="setup", message=words)
    if isinstance(error, requests.ConnectTimeout) or _never_sent(error):
        return Failure(how="unreached", message=words)
    broken = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    if isinstance(error, broken):
        return Failure(how="lost", message=words)
    return Failure(how="setup", message=words)


def failure_in(response: requests.Response) -> Failure:
    """What an answer with an error status means."""
    document: Any = None
    try:
        if response.content:
            document = response.json()
    except (ValueError, requests.RequestException):
        document = None
    return of_body(
        response.status_code, document, asked_wait(response.headers.get("Retry-After", ""))
    )


def _never_sent(error: Exception) -> bool:
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _words(error: Exception) -> str:
    """The innermost reason, without addresses of objects and signatures."""
    inner: Any = error.args[0] if error.args else error
    inner = getattr(inner, "reason", inner)
    while isinstance(inner, Exception) and isinstance(next(iter(inner.args), None), Exception):
        inner = inner.args[0]
    if isinstance(error, requests.Timeout):
        return "timed out"
    text = redacted(inner)
    return text.split(">: ")[-1].split("object at 0x")[0].strip(" .") or type(error).__name__
