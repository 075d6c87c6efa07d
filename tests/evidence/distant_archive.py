"""Files served over HTTP, every answer late.

By a process of its own, so that it does not compete for the interpreter of the run that it serves:

    python -m tests.evidence.distant_archive FOLDER
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LATENCY_S = 0.05


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A URL under which a process of its own serves the files of ``folder``."""
    command = [sys.executable, "-m", __name__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            if not (url := server.stdout.readline().strip()):
                raise RuntimeError(f"the server of {folder} did not start")
            yield url
        finally:
            server.terminate()


class DistantArchive(BaseHTTPRequestHandler):
    """Answers every request late; the last part of a path names the file, what is before it only tells items apart."""

    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def __init__(self, *arguments: Any, files: dict[str, bytes]):
        self.files = files
        super().__init__(*arguments)

    def do_HEAD(self) -> None:
        """The size of a file."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """A file, or the range of it that is asked for."""
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        time.sleep(LATENCY_S)
        content = self.files.get(self.path.rsplit("/", 1)[-1])
        if content is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first, last = 0, len(content) - 1
        if asked := self.headers.get("Range"):
            start, end = asked.removeprefix("bytes=").split("-")
            first, last = int(start), min(int(end or last), last)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        if body:
            self.wfile.write(memoryview(content)[first : last + 1])

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


def serve(folder: Path) -> None:
    """Serve until terminated; the first line of the output is the address."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(DistantArchive, files=files)) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
