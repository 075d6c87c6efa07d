"""Something in front of a store that passes requests on, but for those that meet a fault."""

import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Literal

import requests

from tests.transforms.store.emulator import emulator

Kind = Literal["refused", "reset", "slow", "lost", "cut"]
FOR_EVER = 10**9
SLOW_S = 0.4
NAMED_WITHIN = 2048  # bytes of a body: the name of an object stands at the beginning of what uploads it
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-encoding", "content-length", "date", "server"}


@dataclass
class Fault:
    """What some requests meet.

    Attributes:
        kind: ``refused`` by the service; connection ``reset`` before the request arrives; ``slow`` answer; answer
            ``lost`` after the request was carried out; answer ``cut`` off in the middle of its body.
        where: Regular expression of the request: method, address and the beginning of its body.
        times: How many requests meet it.
        status: Of a refusal.
        retry_after_s: What a refusal asks for; None for nothing.
        after: How many requests pass before.
        met: How many have met it.
    """

    kind: Kind
    where: str = "."
    times: int = 1
    status: int = 503
    retry_after_s: int | None = None
    after: int = 0
    met: int = 0

    def takes(self, request: str) -> bool:
        """Whether a request meets it; counts."""
        if self.met >= self.times or not re.search(self.where, request, re.DOTALL):
            return False
        if self.after:
            self.after -= 1
            return False
        self.met += 1
        return True


@dataclass
class Front:
    """The thing in front.

    Attributes:
        address: Where clients go.
        target: Where requests are passed on to.
        faults: What they meet; the first that takes a request decides.
        asked: The requests so far, method and address.
    """

    address: str = ""
    target: str = ""
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def fault_of(self, request: str) -> Fault | None:
        """What a request meets, or None."""
        with self._lock:
            self.asked.append(request.partition("\n")[0])
            return next((fault for fault in self.faults if fault.takes(request)), None)


@contextmanager
def faulty() -> Iterator[Front]:
    """An emulator of Google Cloud Storage with something in front; clients go there while the block runs."""
    front = Front()
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=32))

    class Passing(_Handler):
        passed_by, onward = front, session

    server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
    server.daemon_threads = True
    front.address = f"http://127.0.0.1:{server.server_address[1]}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        with emulator(front=front.address) as front.target:
            yield front
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    passed_by: Front
    onward: requests.Session

    def log_message(self, *_: object) -> None:
        pass

    def _pass(self) -> None:
        body = self._body()
        request = f"{self.command} {requests.utils.unquote(self.path)}\n{body[:NAMED_WITHIN].decode(errors='replace')}"
        fault = self.passed_by.fault_of(request)
        kind = None if fault is None else fault.kind
        if kind == "reset":
            self._reset()
            return
        if fault is not None and kind == "refused":
            self._answer(fault.status, {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)})
            return
        if kind == "slow":
            time.sleep(SLOW_S)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP | {"host"}}
        url = self.passed_by.target + self.path
        answer = self.onward.request(self.command, url, data=body, headers=headers, allow_redirects=False, timeout=60)
        if kind == "lost":
            self._reset()
            return
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        self._answer(answer.status_code, kept, answer.content, cut=kind == "cut")

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _pass  # noqa: N815  the names of the base class

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"", cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._reset()

    def _reset(self) -> None:
        """Close the connection so that the other side cannot take it for the end of an answer."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
        self.rfile.close()
