"""An archive behind HTTP that fails as told: serves a folder with ranges, and can ask for tokens.

For whole runs it is a process of its own: where GDAL waits for an answer with Python's lock held, a server in the same
process could not give it.
"""

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import requests

if TYPE_CHECKING:
    import pystac

ROOT = Path(__file__).resolve().parents[3]
CONTROL = "/control/"
Kind = Literal["status", "reset", "broken off", "short", "slow", "drip", "page"]
Part = Literal["any", "header", "block"]
EVERYWHERE = [-180.0, -90.0, 180.0, 90.0]


@dataclass
class Fault:
    """What goes wrong with some requests.

    Attributes:
        kind: ``status`` answers one; ``reset`` breaks the connection amid the answer; ``broken off`` ends it early;
            ``short`` announces and sends half of it; ``slow`` waits first; ``drip`` waits before every byte;
            ``page`` answers 200 with a web page.
        where: A part of the address, without its query.
        times: How many requests it happens to; None for all.
        after: How many such requests are answered as they should be before.
        status: Of HTTP.
        headers: Of the answer with the status.
        part: Of a file: ``header`` is what is asked from its start, ``block`` the rest.
        seconds: To wait.
    """

    kind: Kind
    where: str = ""
    times: int | None = None
    after: int = 0
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    part: Part = "any"
    seconds: float = 1.0

    def strikes(self, path: str, start: int) -> bool:
        """Whether a request meets it; counts."""
        wanted = {"any": True, "header": start == 0, "block": start > 0}[self.part]
        if self.where not in path or not wanted:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0


class FaultyServer(ThreadingHTTPServer):
    """Serves ``folder``.

    Args:
        folder: What is served.
        faults: In this order; the first that strikes decides.
        guarded: Files that need a token have this in their address; none if empty.

    Attributes:
        requests: Addresses with their queries, as they were asked for.
        pages: Answers to addresses that are no files; a number is a status.
        valid: Tokens that are accepted.
        lifetime_s: What the token service says of a token.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path, faults: Iterable[Fault] = (), guarded: str = ""):
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.faults = list(faults)
        self.guarded = guarded
        self.requests: list[str] = []
        self.pages: dict[str, Callable[[str], Any]] = {}
        self.valid: set[str] = set()
        self.lifetime_s = 3600.0
        self.lock = threading.Lock()

    @property
    def host(self) -> str:
        """Address and port."""
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        """Where the folder is."""
        return f"http://{self.host}"

    def fault_of(self, path: str, start: int) -> Fault | None:
        """The fault that a request meets."""
        with self.lock:
            return next((fault for fault in self.faults if fault.strikes(path, start)), None)

    def asked(self, where: str) -> list[str]:
        """The requests whose address has ``where`` in it."""
        return [path for path in self.requests if where in path]

    def token(self) -> dict[str, str]:
        """A new token, as the service of the Planetary Computer answers it."""
        with self.lock:
            self.valid.add(f"SECRET{len(self.valid)}")
            expiry = datetime.now(UTC) + timedelta(seconds=self.lifetime_s)
            return {"msft:expiry": expiry.isoformat(), "token": f"se=2030&sp=r&sig=SECRET{len(self.valid) - 1}"}

    def expire_tokens(self) -> None:
        """Accept none of the tokens that were given out."""
        with self.lock:
            self.valid = {f"expired {token}" for token in self.valid}  # numbers are not given out again

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that give up are part of the game."""


class _Handler(SimpleHTTPRequestHandler):
    server: FaultyServer

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path, _, query = self.path.partition("?")
        if "://" in path:  # asked for as a proxy: the server is every server
            path = "/" + path.split("/", 3)[3]
        if path.startswith(CONTROL):
            self.control(path.removeprefix(CONTROL))
            return
        self.server.requests.append(self.path)
        start, end = self.wanted()
        fault = self.server.fault_of(path, start)
        if fault and fault.kind == "slow":
            time.sleep(fault.seconds)
        if fault and fault.kind == "status":
            self.send(fault.status, b"", fault.headers, body)
            return
        if fault and fault.kind == "page":
            self.send(200, b"<html>Please accept our terms</html>", {"Content-Type": "text/html"}, body)
            return
        content = self.content(path, query)
        if isinstance(content, int):
            self.send(content, b"", {}, body)
            return
        part = content[start:end]
        headers = {"Accept-Ranges": "bytes"}
        if "Range" in self.headers:
            headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        status = 206 if "Range" in self.headers else 200
        if fault and fault.kind == "short":
            part = part[: len(part) // 2]
        if fault and fault.kind == "drip":
            self.send(status, part, headers, body=False)
            for byte in part:
                self.wfile.write(bytes([byte]))
                time.sleep(fault.seconds)
            return
        self.send(status, part, headers, body, fault.kind if fault else None)

    def control(self, what: str) -> None:
        if what == "mend":
            self.server.faults.clear()
        self.send(200, json.dumps(self.server.requests).encode(), {}, body=True)

    def wanted(self) -> tuple[int, int | None]:
        text = self.headers.get("Range")
        if not text:
            return 0, None
        first, last = text.removeprefix("bytes=").split("-")
        return int(first), int(last) + 1 if last else None

    def content(self, path: str, query: str) -> bytes | int:
        if path.startswith("/token/"):
            return json.dumps(self.server.token()).encode()
        page = self.server.pages.get(path)
        if page is not None:
            made = page(query)
            return made if isinstance(made, bytes | int) else json.dumps(made).encode()
        file = Path(self.translate_path(path))
        if not file.is_file():
            return 404
        if self.server.guarded and self.server.guarded in path:
            token = query.rpartition("sig=")[2]
            if token not in self.server.valid:
                return 403
        return file.read_bytes()

    def send(
        self, status: int, content: bytes, headers: Mapping[str, str], body: bool, kind: Kind | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if not body:
            return
        if kind in ("reset", "broken off"):
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            if kind == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_WR) if kind == "broken off" else self.connection.close()
            return
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def faulty(folder: Path, *faults: Fault, guarded: str = "") -> Iterator[FaultyServer]:
    """A server of ``folder`` that runs until the block ends."""
    with FaultyServer(folder, faults, guarded) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@dataclass(frozen=True)
class ServerApart:
    """A server in a process of its own.

    Attributes:
        url: Where the folder is.
    """

    url: str

    def asked(self, where: str) -> list[str]:
        """The requests whose address has ``where`` in it."""
        return [path for path in self._tell("requests") if where in path]

    def mend(self) -> None:
        """Let nothing fail any more."""
        self._tell("mend")

    def _tell(self, what: str) -> list[str]:
        with requests.Session() as session:
            session.trust_env = False  # it may be the proxy itself
            return list(session.get(f"{self.url}{CONTROL}{what}", timeout=60).json())


@contextmanager
def faulty_apart(folder: Path, *faults: Fault, guarded: str = "") -> Iterator[ServerApart]:
    """The same as ``faulty``, in a process of its own."""
    told = {"folder": str(folder), "faults": [asdict(fault) for fault in faults], "guarded": guarded}
    words = [sys.executable, "-m", "tests.transforms.imagery.faulty_server", json.dumps(told)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield ServerApart(process.stdout.readline().strip())
        finally:
            process.kill()


def in_seconds(seconds: float) -> str:
    """A date as Retry-After has it."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def serve_api(server: FaultyServer, collection: str, items: "list[pystac.Item]", page_items: int = 1) -> str:
    """Make a server a STAC API over some items, too; returns its address."""
    root, stac = f"{server.url}/api", {"stac_version": "1.0.0", "description": ""}
    search = {"rel": "search", "href": f"{root}/search", "type": "application/geo+json", "method": "GET"}
    links = [search, {"rel": "self", "href": root}, {"rel": "data", "href": f"{root}/collections"}]
    extent = {"spatial": {"bbox": [EVERYWHERE]}, "temporal": {"interval": [[None, None]]}}
    described = {"type": "Collection", "id": collection, **stac, "license": "x", "links": [], "extent": extent}
    features = [item.to_dict(transform_hrefs=False) for item in items]
    server.pages["/api"] = lambda query: {"type": "Catalog", "id": "api", **stac, "conformsTo": [], "links": links}
    server.pages["/api/collections"] = lambda query: {"collections": [described], "links": []}

    def page(number: int, query: str) -> dict[str, Any]:
        shown = features[number * page_items : (number + 1) * page_items]
        following = [{"rel": "next", "href": f"{root}/page/{number + 1}"}]
        more = (number + 1) * page_items < len(features)
        return {"type": "FeatureCollection", "features": shown, "links": following if more else []}

    server.pages["/api/search"] = partial(page, 0)
    for number in range(1, -(-len(features) // page_items)):
        server.pages[f"/api/page/{number}"] = partial(page, number)
    return root


def main() -> None:
    """Serve until killed; the first line of the output says where."""
    told = json.loads(sys.argv[1])
    with faulty(Path(told["folder"]), *(Fault(**fault) for fault in told["faults"]), guarded=told["guarded"]) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
