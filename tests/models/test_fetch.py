"""A download survives cut connections, is checked before it gets its name, and says what to do without network."""

import hashlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stook.models.checkpoints import CHECKPOINTS, Checkpoint
from stook.models.errors import InputError, UnreachableError
from stook.models.fetch import Consent, Patience, fetch

CONTENT = bytes(range(256)) * 400
HASTY = Patience(attempts=4, first_wait_s=0.01, longest_wait_s=0.05, timeout_s=5)
ONCE = replace(HASTY, attempts=1)
YES = Consent(licence=True, unverified=True)


@dataclass
class Archive:
    """What the server has, and how it misbehaves.

    Attributes:
        content: The file.
        version: Its ETag; none if empty.
        cuts: After how many bytes of their body the next answers break off.
        refusals: Statuses of the next answers.
        heeds_if_range: Whether a range of another version is answered with the whole file.
        asked: Path, Range and If-Range of every request.
        pause_s: Before every answer.
    """

    content: bytes = CONTENT
    version: str = '"one"'
    cuts: list[int] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    heeds_if_range: bool = True
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    pause_s: float = 0.0
    url: str = ""

    def checkpoint(self, **changes: object) -> Checkpoint:
        entry = replace(CHECKPOINTS["presto"], sources=(f"{self.url}/w.pt",), file="w.pt", sha256=sha256(self.content))
        return replace(entry, **changes)  # type: ignore[arg-type]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def handler_of(archive: Archive) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802  the name is the library's
            wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
            archive.asked.append((self.path, wanted, condition))
            time.sleep(archive.pause_s)
            if archive.refusals:
                self.answer(archive.refusals.pop(0), b"", {"Retry-After": "1"})
                return
            if wanted is None or (archive.heeds_if_range and condition != archive.version):
                self.answer(200, archive.content, {})
                return
            start, total = int(wanted.removeprefix("bytes=").rstrip("-")), len(archive.content)
            if start >= total:
                self.answer(416, b"", {"Content-Range": f"bytes */{total}"})
                return
            self.answer(206, archive.content[start:], {"Content-Range": f"bytes {start}-{total - 1}/{total}"})

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            if archive.version:
                self.send_header("ETag", archive.version)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            cut = archive.cuts.pop(0) if body and archive.cuts else None
            self.wfile.write(body[:cut])
            if cut is not None:
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


@pytest.fixture
def archive() -> Iterator[Archive]:
    made = Archive()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_of(made)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield made
        finally:
            server.shutdown()


def files(folder: Path) -> set[str]:
    """What is in a folder of weights, but for locks."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_a_file_is_fetched_once(archive: Archive, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    first = fetch(
        archive.checkpoint(), tmp_path, progress=lambda done, total: seen.append((done, total)), patience=HASTY
    )
    second = fetch(archive.checkpoint(), tmp_path, patience=HASTY)
    assert first.path.read_bytes() == CONTENT
    assert (first.was_there, second.was_there) == (False, True)
    assert first.sha256 == second.sha256 == sha256(CONTENT)
    assert (seen[0], seen[-1]) == ((0, len(CONTENT)), (len(CONTENT), len(CONTENT)))
    assert len(archive.asked) == 1
    assert files(tmp_path) == {"presto/w.pt"}


def test_a_cut_connection_is_continued_where_it_broke(archive: Archive, tmp_path: Path) -> None:
    archive.cuts = [1000, 500]
    assert fetch(archive.checkpoint(), tmp_path, patience=HASTY).path.read_bytes() == CONTENT
    assert archive.asked == [
        ("/w.pt", None, None),
        ("/w.pt", "bytes=1000-", '"one"'),
        ("/w.pt", "bytes=1500-", '"one"'),
    ]
    assert files(tmp_path) == {"presto/w.pt"}


def test_the_next_call_continues_as_well(archive: Archive, tmp_path: Path) -> None:
    archive.cuts = [1000]
    with pytest.raises(UnreachableError, match="what has arrived is kept, the same command continues"):
        fetch(archive.checkpoint(), tmp_path, patience=ONCE)
    assert (tmp_path / "presto/w.pt.part").stat().st_size == 1000
    assert fetch(archive.checkpoint(), tmp_path, patience=ONCE).path.read_bytes() == CONTENT
    assert archive.asked[1] == ("/w.pt", "bytes=1000-", '"one"')


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_changed_meanwhile_is_fetched_anew(archive: Archive, tmp_path: Path, heeds_if_range: bool) -> None:
    archive.cuts, archive.heeds_if_range = [1000], heeds_if_range
    with pytest.raises(UnreachableError):
        fetch(archive.checkpoint(), tmp_path, patience=ONCE)
    archive.content, archive.version = CONTENT[::-1], '"two"'
    fetched = fetch(archive.checkpoint(sha256=None), tmp_path, YES, patience=HASTY)
    assert fetched.path.read_bytes() == CONTENT[::-1]


def test_without_a_version_nothing_is_continued(archive: Archive, tmp_path: Path) -> None:
    archive.version, archive.cuts = "", [1000]
    assert fetch(archive.checkpoint(), tmp_path, patience=HASTY).path.read_bytes() == CONTENT
    assert [wanted for _, wanted, _ in archive.asked] == [None, None]


def test_a_part_that_is_complete_only_gets_its_name(archive: Archive, tmp_path: Path) -> None:
    archive.cuts = [1000]
    with pytest.raises(UnreachableError):
        fetch(archive.checkpoint(), tmp_path, patience=ONCE)
    (tmp_path / "presto/w.pt.part").write_bytes(CONTENT)
    assert fetch(archive.checkpoint(), tmp_path, patience=ONCE).path.read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_thrown_away(archive: Archive, tmp_path: Path) -> None:
    archive.cuts = [1000]
    with pytest.raises(UnreachableError):
        fetch(archive.checkpoint(), tmp_path, patience=ONCE)
    (tmp_path / "presto/w.pt.part").write_bytes(CONTENT + b"more")
    assert fetch(archive.checkpoint(), tmp_path, patience=HASTY).path.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(archive: Archive, tmp_path: Path, status: int) -> None:
    archive.refusals = [status, status]
    assert fetch(archive.checkpoint(), tmp_path, patience=HASTY).path.read_bytes() == CONTENT
    assert len(archive.asked) == 3


def test_a_server_may_ask_for_a_longer_wait(archive: Archive, tmp_path: Path) -> None:
    archive.refusals = [503]
    start = time.monotonic()
    fetch(archive.checkpoint(), tmp_path, patience=replace(HASTY, longest_wait_s=0.3, first_wait_s=0.0))
    assert time.monotonic() - start >= 0.3


def test_a_source_that_is_gone_is_not_asked_again_but_the_next_one_is(archive: Archive, tmp_path: Path) -> None:
    archive.refusals = [404]
    two = archive.checkpoint(sources=(f"{archive.url}/gone.pt", f"{archive.url}/w.pt"))
    assert fetch(two, tmp_path, patience=HASTY).path.read_bytes() == CONTENT
    assert [path for path, _, _ in archive.asked] == ["/gone.pt", "/w.pt"]


def test_a_wrong_hash_leaves_nothing(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"sha256 of what arrived is {sha256(CONTENT)}, expected 0000.* not kept"):
        fetch(archive.checkpoint(sha256="0" * 64), tmp_path, patience=HASTY)
    assert files(tmp_path) == set()


def test_a_damaged_file_that_was_there_is_told_and_left(archive: Archive, tmp_path: Path) -> None:
    path = fetch(archive.checkpoint(), tmp_path, patience=HASTY).path
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"w\.pt: sha256 is \w+, expected \w+"):
        fetch(archive.checkpoint(), tmp_path, patience=HASTY)
    assert len(archive.asked) == 1


@pytest.mark.parametrize(
    ("changes", "consent", "told"),
    [
        ({"terms": "non-commercial", "licence": "CC-BY-NC-4.0"}, Consent(unverified=True), "--accept-licence"),
        ({"terms": "unknown", "licence": "none"}, Consent(unverified=True), "--accept-licence"),
        ({"sha256": None}, Consent(licence=True), "--allow-unverified"),
    ],
)
def test_without_consent_nothing_is_asked_for(
    archive: Archive, tmp_path: Path, changes: dict[str, object], consent: Consent, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        fetch(archive.checkpoint(**changes), tmp_path / "weights", consent, patience=HASTY)
    assert archive.asked == []
    assert not (tmp_path / "weights").exists()
    assert fetch(archive.checkpoint(**changes), tmp_path / "weights", YES, patience=HASTY).sha256 == sha256(CONTENT)


def test_a_mirror_is_a_weights_folder_or_its_address(archive: Archive, tmp_path: Path) -> None:
    here = archive.checkpoint(sources=("https://example.invalid/w.pt",))
    fetched = fetch(here, tmp_path / "one", mirror=f"{archive.url}/shelf/", patience=HASTY)
    assert archive.asked == [("/shelf/presto/w.pt", None, None)]
    again = fetch(here, tmp_path / "two", mirror=str(tmp_path / "one"), patience=HASTY)
    assert fetched.path.read_bytes() == again.path.read_bytes() == CONTENT
    assert len(archive.asked) == 1


def test_a_mirror_folder_that_lacks_the_file_is_named(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"mirror {tmp_path}/m: {tmp_path}/m/presto/w.pt does not exist"):
        fetch(archive.checkpoint(), tmp_path / "weights", mirror=str(tmp_path / "m"), patience=HASTY)


def test_without_network_one_is_told_what_to_carry_where(archive: Archive, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}/w.pt"
    with pytest.raises(UnreachableError) as refusal:
        fetch(archive.checkpoint(sources=(nobody,)), tmp_path, patience=HASTY)
    text = str(refusal.value)
    assert "Connection refused" in text
    assert f"on another machine download {nobody}, and put it here as {tmp_path}/presto/w.pt" in text
    assert "\n" not in text


def test_a_file_without_a_known_address_is_looked_for_on_its_page(tmp_path: Path) -> None:
    with pytest.raises(
        UnreachableError, match="address of the file is not known; .* the file from https://github.com/"
    ):
        fetch(CHECKPOINTS["presto-worldcereal"], tmp_path, patience=HASTY)


def test_an_address_that_is_none_is_not_tried_again(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="Invalid URL"):
        fetch(archive.checkpoint(sources=("http://",)), tmp_path, patience=replace(HASTY, first_wait_s=60, attempts=2))


def test_two_fetches_at_once_download_once(archive: Archive, tmp_path: Path) -> None:
    archive.pause_s = 0.2
    results: list[bool] = []
    run: Callable[[], None] = lambda: results.append(  # noqa: E731
        fetch(archive.checkpoint(), tmp_path, patience=HASTY).was_there
    )
    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, True]
    assert len(archive.asked) == 1
    assert files(tmp_path) == {"presto/w.pt"}


def test_a_folder_that_cannot_be_is_told(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a file")
    with pytest.raises(InputError, match="cannot be written"):
        fetch(archive.checkpoint(), tmp_path / "weights", patience=HASTY)


def test_a_full_disk_keeps_what_is_there(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    mirror = fetch(archive.checkpoint(), tmp_path / "mirror", patience=HASTY).path.parents[1]
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UnreachableError, match="No space left on device"):
        fetch(archive.checkpoint(), tmp_path / "weights", mirror=str(mirror), patience=HASTY)
