"""A Kaggle on loopback: HTTP, the storage, and faults on order.

It answers kit, and the unmodified `kaggle` command (as its HTTP proxy, see `environment`)::

    with Server() as server:
        server.add("toy", files={"train.csv": b"id,y\\n1,0\\n"})
        server.fault("CreateSubmission", "lost")
        ...
        server.requests        # everything that was asked
"""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from loopback_answers import Redirect, Refusal, Upload, Zip, summed
from loopback_workshop import Workshop
from loopback_world import Competition

GRPC = {
    400: "FAILED_PRECONDITION", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED",
    404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE",
}  # fmt: skip
MODIFIED = "Mon, 02 Mar 2026 02:17:12 GMT"
ANONYMOUS = {"IntrospectToken", "GenerateAccessToken", "ExchangeOAuthToken"}
_CHUNK = 1 << 20
NOWHERE = "http://127.0.0.1:9"  # the port "discard": nobody listens

Kind = Literal["status", "html", "drop", "lost", "hang", "cut", "corrupt", "do"]
"""status: an error answer. html: a web page. drop: no answer, nothing done. lost: done, no answer.
hang: silence for `seconds`, then nothing. cut: the connection ends after `after` bytes. corrupt:
other bytes of the same length. do: call `action`, then answer as usual."""


@dataclass
class Fault:
    """What goes wrong, with which call ("GET": storage, "PUT": upload), how often."""

    call: str
    kind: Kind
    times: int = 1
    status: int = 500
    message: str = "Injected"
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 5.0
    after: int = 0
    action: Callable[[], None] = lambda: None


@dataclass
class Request:
    """What was asked."""

    method: str
    path: str
    call: str
    headers: dict[str, str]
    body: Any


class Server(Workshop):
    """The loopback server; a context manager."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.shape: Literal["gateway", "flat", "bare"] = "gateway"
        self.checksums = ("crc32c", "md5")  # Google's composite objects have the first only
        self.ranges = True
        self.sums: dict[tuple[Path, int], tuple[bytes, bytes]] = {}  # of files, which are large
        self.newest_client = ""  # a version of the official one
        self.lock = threading.RLock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]
        port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{port}"
        # another host name than that of the API, as in life: credentials must not go there
        self.storage_url = f"http://localhost:{port}/storage"
        self.upload_address = f"http://localhost:{port}/upload/o"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def add(self, slug: str, **facts: Any) -> Competition:
        """Open a competition."""
        self.competitions[slug] = Competition(slug, **facts)
        return self.competitions[slug]

    def fault(self, call: str, kind: Kind, **facts: Any) -> Fault:
        """Let something go wrong."""
        fault = Fault(call, kind, **facts)
        self.faults.append(fault)
        return fault

    def calls(self, call: str) -> list[Request]:
        """What was asked by that name ("GET" and "PUT": storage and upload)."""
        return [request for request in self.requests if request.call == call]

    def take_fault(self, call: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.call == call and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def environment(self, home: Path) -> dict[str, str]:
        """For a child process that runs the unmodified `kaggle` command, or kit."""
        return {
            "HOME": str(home),
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",  # http://localhost/api/v1/..., through us
            "http_proxy": self.url,
            "HTTP_PROXY": self.url,
            # what is asked over TLS is not for us: it must fail, not leave the machine
            "https_proxy": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "",
            "no_proxy": "",
            "KAGGLE_USERNAME": "ann",
            "KAGGLE_KEY": self.accounts["ann"],
        }


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(_Answers):
        app = server

    return Handler


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else headers wait 40 ms for their body
    app: Server

    def log_message(self, *_: object) -> None:
        """Quiet."""

    # -- calls

    def do_POST(self) -> None:
        raw = self._body()
        found = re.fullmatch(r"(?:/api)?/v1/[\w.]+/(\w+)", urlsplit(self.path).path)
        call = found.group(1) if found else ""
        self._note(call, raw)
        fault = self.app.take_fault(call)
        if fault and self._instead(fault):
            return
        user = self._user()
        if not user and call not in ANONYMOUS:
            self._error(Refusal(401, "Unauthenticated"))
            return
        answer = getattr(self.app, call, None) if call[:1].isupper() else None
        if answer is None:
            self._error(Refusal(404, f"no such call: {call}"))
            return
        try:
            with self.app.lock:
                result = answer(json.loads(raw or b"{}"), user)
        except Refusal as refusal:
            self._error(refusal)
            return
        if fault and fault.kind == "lost":
            self._reset()
        elif isinstance(result, Redirect):
            query = "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Signature=5ec2e7"
            address = f"{self.app.storage_url}/{quote(result.name)}?{query}"
            self._send(302, b"", "text/html", {"Location": address})
        elif isinstance(result, Zip):
            self._send(200, result.content, "application/zip")
        else:
            self._json(200, result)

    def _user(self) -> str:
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer":
            return self.app.tokens.get(value, "")
        if scheme == "Basic":
            user, _, key = base64.b64decode(value).decode().partition(":")
            return user if key and self.app.accounts.get(user) == key else ""
        return ""

    # -- storage

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self._note("GET", b"")
        fault = self.app.take_fault("GET")
        if fault and self._instead(fault):
            return
        content = self.app.storage.get(unquote(path).removeprefix("/storage/"))
        if content is None:
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")
            return
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        headers = self._object_headers(content)
        start, status = self._start(headers["ETag"], size)
        if status == 416:
            self._send(416, b"", "application/xml", {"Content-Range": f"bytes */{size}"})
            return
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        self._stream(content, start, fault)

    def _object_headers(self, content: bytes | Path) -> dict[str, str]:
        headers = {
            "Content-Type": "application/octet-stream",
            "Last-Modified": MODIFIED,
            "Accept-Ranges": "bytes",
        }
        md5, crc32c = self._sums(content)
        headers["ETag"] = f'"{md5.hex()}"'
        sums = {"crc32c": crc32c, "md5": md5}
        said = [f"{n}={base64.b64encode(sums[n]).decode()}" for n in self.app.checksums]
        if said:
            headers["x-goog-hash"] = ",".join(said)
        return headers

    def _sums(self, content: bytes | Path) -> tuple[bytes, bytes]:
        if isinstance(content, bytes):
            return summed(io.BytesIO(content))
        key = (content, content.stat().st_mtime_ns)
        if key not in self.app.sums:
            with content.open("rb") as file:
                self.app.sums[key] = summed(file)
        return self.app.sums[key]

    def _start(self, etag: str, size: int) -> tuple[int, int]:
        found = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", etag) in (etag, MODIFIED)
        if not found or not same or not self.app.ranges:
            return 0, 200
        start = int(found.group(1))
        return (start, 206) if start < size else (0, 416)

    def _stream(self, content: bytes | Path, start: int, fault: Fault | None) -> None:
        if isinstance(content, Path):
            with content.open("rb") as file:
                file.seek(start)
                while piece := file.read(_CHUNK):
                    self.wfile.write(piece)
            return
        body = content[start:]
        if fault and fault.kind == "corrupt":
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]
        if fault and fault.kind == "cut":
            self.wfile.write(body[: fault.after])
            self.wfile.flush()
            self._end()
            return
        self.wfile.write(body)

    # -- uploads

    def do_PUT(self) -> None:
        asked = re.match(r"bytes \*/\d+", self.headers.get("Content-Range", ""))
        fault = None if asked else self.app.take_fault("PUT")
        if fault and fault.kind == "cut":
            got, upload = self.rfile.read(fault.after), self._upload()
            if upload:
                self._take(upload, got)
            self._note("PUT", b"")
            self._reset()
            return
        raw = self._body()
        self._note("QUERY" if asked else "PUT", b"")
        if fault and fault.kind != "lost" and self._instead(fault):
            return
        upload = self._upload()
        if upload is None:
            self._send(404, b"", "text/plain")
        elif asked:
            self._answer_query(upload)
        else:
            self._take(upload, raw)
            if fault and fault.kind == "lost":
                self._reset()
            else:
                self._json(200, {"name": upload.name})

    def _upload(self) -> Upload | None:
        query = parse_qs(urlsplit(self.path).query)
        return self.app.uploads.get(query.get("upload_id", [""])[0])

    def _take(self, upload: Upload, raw: bytes) -> None:
        found = re.match(r"bytes (\d+)-", self.headers.get("Content-Range", ""))
        upload.content = (upload.content[: int(found.group(1))] if found else b"") + raw
        upload.whole = len(upload.content) == upload.size

    def _answer_query(self, upload: Upload) -> None:
        if upload.whole:
            self._json(200, {"name": upload.name})
            return
        have = len(upload.content)
        headers = {"Range": f"bytes=0-{have - 1}"} if have else {}
        self._send(308, b"", "text/plain", headers)

    # -- plumbing

    def _instead(self, fault: Fault) -> bool:
        """Carry out a fault; whether that was all."""
        fault.action()
        if fault.kind == "hang":
            time.sleep(fault.seconds)
            self._reset()
        elif fault.kind == "drop":
            self._reset()
        elif fault.kind == "html":
            self._send(fault.status, b"<html>Please log in</html>", "text/html", fault.headers)
        elif fault.kind == "status":
            self._error(Refusal(fault.status, fault.message, headers=fault.headers))
        else:
            return False
        return True

    def _note(self, call: str, raw: bytes) -> None:
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        request = Request(self.command, self.path, call, dict(self.headers.items()), body)
        with self.app.lock:
            self.app.requests.append(request)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _error(self, refusal: Refusal) -> None:
        inner: dict[str, Any] = {"code": refusal.status, "message": refusal.message}
        if self.app.shape == "bare":
            self._send(refusal.status, b"", "text/plain", dict(refusal.headers))
            return
        if self.app.shape == "gateway":
            inner["status"] = GRPC.get(refusal.status, "UNKNOWN")
            if refusal.reason:
                inner["details"] = [{"reason": refusal.reason, "domain": "kaggle.com"}]
            inner = {"error": inner}
        self._json(refusal.status, inner, dict(refusal.headers))

    def _json(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self._send(status, body, "application/json; charset=utf-8", headers)

    def _send(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.app.newest_client:
            self.send_header("X-Kaggle-ApiVersion", self.app.newest_client)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        """End the connection with a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _end(self) -> None:
        """End the connection in good order, too early."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
