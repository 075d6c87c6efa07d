"""Whatever is wrong, the user gets one line that says so, the right exit status, and nothing half-written."""

import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from _pytest.mark import ParameterSet
from gcsfs.retry import HttpError
from google.api_core.exceptions import ServiceUnavailable

from stook.pipelines import cli
from stook.pipelines.journal import outcome_of
from stook.pipelines.sections import RunSection
from stook.transforms.editions.season_folder import SeasonFolder
from tests.evidence.archive_faults import ONLY_TILES, served, signed_archive
from tests.evidence.case import PUBLISHED, SECRET, Case, UnavailableError, look, observe
from tests.evidence.failures import CASES, full_disk
from tests.evidence.memory_faults import MEMORY_CASES, too_little_memory
from tests.pipelines.small_season import SmallSeason
from tests.transforms.archive import HASTY
from tests.transforms.imagery.faulty_server import Fault

# Like a faster case in all but what the archive answers.
LIKE_OTHERS = (
    "archive-passing",
    "misplaced-pictures",
    "virtual-file",
    "file-410",
    "file-checksum",
    "file-size",
    "files-page",
    "files-reset",
    "tokens-expire",
    "tokens-refused",
)


class Terminal:
    """Runs ``stook`` in this process, which has loaded its libraries already, with archives asked hastily."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def run(self, words: list[str]) -> tuple[int, str]:
        self.monkeypatch.setattr(sys, "argv", ["stook", *words])
        self.monkeypatch.setattr(RunSection, "backoff", lambda run: replace(HASTY, timeout_s=run.timeout_s))
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), self.capsys.readouterr().err


def param(case: Case) -> ParameterSet:
    """The case under its name; what the kernel must end takes half a minute, the other slow ones a few seconds."""
    slow = case in MEMORY_CASES or case.name.endswith("-slow") or case.name in LIKE_OTHERS
    return pytest.param(case, id=case.name, marks=[pytest.mark.slow] if slow else [])


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys)


@pytest.mark.parametrize("case", map(param, CASES))
def test_a_failure_is_told_in_one_line_with_its_exit_status_and_leaves_nothing_half_written(
    case: Case, season: SmallSeason, terminal: Terminal
) -> None:
    season.hurried()
    if case.spoil not in (full_disk, too_little_memory):  # which need the whole season
        season.narrowed().configure(grid__tile_px=50)
    try:
        seen = observe(case, season, terminal.run)
    except UnavailableError as reason:
        pytest.skip(str(reason))
    assert case.complaints(seen) == [], "\n".join(seen.lines)


@pytest.mark.slow
def test_a_run_stopped_by_a_full_disk_is_finished_once_there_is_room(season: SmallSeason, terminal: Terminal) -> None:
    words = ["map", str(season.hurried().config), "--year", str(season.year)]
    with ExitStack() as stack:
        try:
            full_disk(season, stack)
        except UnavailableError as reason:
            pytest.skip(str(reason))
        status, _ = terminal.run(words)
        assert status == 4
        subprocess.run(["mount", "-o", "remount,size=8m", season.folder / "out"], check=True)
        status, text = terminal.run(words)
        assert status == 0, text
        assert "continuing edition" in text
        assert look(season, status, text, 0).left == PUBLISHED


@pytest.mark.slow
def test_a_run_that_an_archive_stopped_is_finished_once_it_answers(season: SmallSeason, terminal: Terminal) -> None:
    words = ["map", str(season.config), "--year", str(season.year)]
    with ExitStack() as stack:
        server = served(season, stack, Fault("status", ONLY_TILES, status=503))
        status, text = terminal.run(words)
        assert status == 4 and "progress is saved" in text
        server.mend()
        status, text = terminal.run(words)
    assert status == 0, text
    assert "continuing edition" in text
    assert look(season, status, text, 0).left == PUBLISHED


@pytest.mark.parametrize(
    "fault", [Fault("short", ONLY_TILES), pytest.param(Fault("status", ONLY_TILES, status=403), marks=pytest.mark.slow)]
)
def test_nothing_that_a_failed_run_leaves_or_says_has_a_token(
    season: SmallSeason, terminal: Terminal, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    with ExitStack() as stack:
        server = signed_archive(season, stack, fault)
        status, text = terminal.run(["map", str(season.config), "--year", str(season.year), "--quiet"])
        assert any(SECRET in path for path in server.asked(ONLY_TILES))
    assert status in (3, 4), text
    kept = [path for path in season.output.rglob("*") if path.is_file() and "maps.zarr" not in path.parts]
    tables = [str(pq.read_table(path).to_pylist()) for path in kept if path.suffix == ".parquet"]
    texts = [path.read_bytes().decode(errors="replace") for path in kept]
    assert tables and any(ONLY_TILES in told for told in (*tables, *texts))
    for told in (text, caplog.text, *tables, *texts):
        assert SECRET not in told and "sig=" not in told


def test_a_fault_of_ours_is_told_as_one(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, season: SmallSeason
) -> None:
    def faulty(*_: object) -> None:
        raise ZeroDivisionError("in our own code")

    monkeypatch.setattr("stook.pipelines.sections.load", faulty)
    status, text = terminal.run(["map", str(Path(season.config)), "--year", "2023"])
    assert status == 1
    assert text.splitlines()[-1].startswith("stook: internal error: ZeroDivisionError('in our own code')")


@pytest.mark.parametrize(
    "failure",
    [
        ServiceUnavailable("503 backend, token=hidden"),  # type: ignore[no-untyped-call]
        HttpError({"code": 503, "message": "backend, token=hidden"}),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_bucket_that_does_not_answer_is_told_in_a_line_wherever_it_is_asked(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, season: SmallSeason, failure: Exception
) -> None:
    def down(*_: object) -> None:
        raise failure

    monkeypatch.setattr(SeasonFolder, "find", down)
    status, text = terminal.run(["map", str(season.config), "--year", str(season.year)])
    assert status == 4 and outcome_of(failure) == "unreachable"
    [line] = text.splitlines()
    assert line.startswith("stook: Cloud Storage does not answer: ") and "backend" in line and "hidden" not in line


def test_a_file_of_this_machine_that_is_absent_stays_a_fault_of_ours(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, season: SmallSeason
) -> None:
    def faulty(*_: object) -> None:
        raise FileNotFoundError(2, "No such file", "ours")

    monkeypatch.setattr("stook.pipelines.sections.load", faulty)
    status, text = terminal.run(["map", str(season.config), "--year", "2023"])
    assert status == 1 and "internal error: FileNotFoundError" in text
