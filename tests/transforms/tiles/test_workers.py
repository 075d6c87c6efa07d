"""Workers in processes of their own: one that dies takes one tile with it, and is replaced."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gcsfs.retry import HttpError

from stook.models.errors import InputError, UnreachableError
from stook.transforms.editions.lease import process_exists
from stook.transforms.ground.grid import Tile
from stook.transforms.memory import MOST_PREFERRED, PREFERRED_BY
from stook.transforms.tiles.summary import TileSummary
from stook.transforms.tiles.workers import Work, Workers, told_exit

ROOT = Path(__file__).resolve().parents[3]
GOOD, FATAL, FAULTY = (Tile.parse(f"32637_1_{number}") for number in range(3))


def run(tile: Tile) -> TileSummary:
    """Stands for the work on a tile; the reason tells the process."""
    if tile == FATAL:
        os.kill(os.getpid(), signal.SIGKILL)
    if tile == FAULTY:
        raise ZeroDivisionError("a fault of ours")
    return TileSummary(tile.name, "done", reason=str(os.getpid()))


def ready() -> Work:
    """What a process does once it has begun."""
    return run


def unable() -> Work:
    """A process that the kernel kills while it loads its models."""
    os.kill(os.getpid(), signal.SIGKILL)
    return run


def changed() -> Work:
    """A process that finds another model than the edition was opened with."""
    raise InputError("bundle: the model has changed")


def cut_off() -> Work:
    """A process that cannot read its edition."""
    raise HttpError({"code": 503, "message": "backend"})


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    made = Workers(ready, 1)
    yield made
    made.close()


def test_a_death_is_told_and_the_next_tile_gets_another_process(workers: Workers) -> None:
    first = workers.run(GOOD)
    assert workers.run(GOOD).reason == first.reason  # the same process, which has its models
    assert workers.run(FATAL) == TileSummary(FATAL.name, "died", reason="signal 9 (killed, possibly out of memory)")
    second = workers.run(GOOD)
    assert second.outcome == "done" and second.reason != first.reason
    os.kill(int(second.reason), signal.SIGKILL)  # while it has nothing to do: no tile's death
    while workers.started[-1].process.is_alive():  # its threads end one after the other
        time.sleep(0.01)
    assert workers.run(GOOD).outcome == "done"


def test_the_kernel_is_told_to_end_workers_before_the_run(workers: Workers) -> None:
    worker = Path(f"/proc/{workers.run(GOOD).reason}/oom_score_adj")
    if not worker.exists():
        pytest.skip("this kernel does not ask")
    run = int(Path("/proc/self/oom_score_adj").read_text())
    assert int(worker.read_text()) == min(run + PREFERRED_BY, MOST_PREFERRED)


def test_a_fault_of_ours_is_no_death_and_comes_with_its_trace(workers: Workers) -> None:
    with pytest.raises(RuntimeError, match=rf"tile {FAULTY.name}, in a worker process:\n(.|\n)*a fault of ours"):
        workers.run(FAULTY)


def test_a_process_that_cannot_begin_is_no_tiles_fault() -> None:
    with pytest.raises(UnreachableError, match="before it began a tile; is there enough memory for run.workers"):
        Workers(unable, 1).run(GOOD)


def test_workers_do_not_outlive_the_run() -> None:
    script = """
        import time
        from tests.transforms.tiles.test_workers import GOOD, Workers, ready

        if __name__ == "__main__":
            print(Workers(ready, 1).run(GOOD).reason, flush=True)
            time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert process_exists(worker)
        parent.kill()
    deadline = time.monotonic() + 60
    while process_exists(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_end_of_a_process_is_told_in_words() -> None:
    assert told_exit(-9) == "signal 9 (killed, possibly out of memory)"
    assert told_exit(-11) == "signal 11 (Segmentation fault)"
    assert told_exit(1) == "exit status 1"


def test_what_keeps_a_process_from_beginning_is_told_as_what_it_is() -> None:
    with pytest.raises(InputError, match="the model has changed"):
        Workers(changed, 1).run(GOOD)
    with pytest.raises(UnreachableError, match="output: cannot be read by a worker process: .*backend"):
        Workers(cut_off, 1).run(GOOD)
