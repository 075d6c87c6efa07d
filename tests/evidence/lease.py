"""Experiment ``lease``: two runs of one season, started together, again and again.

A small simulated season on this machine's disk and in an emulator of Google Cloud Storage, with nothing opened yet and
with an edition that a killed run has left open. Both runs are processes that were forked from one that has loaded the
libraries; they wait for each other and go at once. One must work; the other must say who holds the season and end with
exit status 2, or, where it was so slow that all is over, find that there is nothing to do.

``python -c "from tests.evidence.lease import main; main(5)"`` starts five pairs; the experiment fifty.
"""

import json
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from stook.transforms.store.addresses import EMULATOR
from tests.evidence.figure import Experiment, Figure
from tests.evidence.kill_points import be_stook
from tests.evidence.kill_readers import contents, differing_bytes
from tests.evidence.kills import Arm, Kill
from tests.pipelines.small_season import SmallSeason, write_small_season

PAIRS = 50
TILE_PX = 50
PATIENCE_S = 120.0
HELD = "season locked by pid"


def run_together(words: list[str], environment: dict[str, str], log: str, together: Any) -> None:
    """Be ``stook`` as soon as the other one is ready too."""
    import stook.pipelines.map  # noqa: F401  what the command would load first

    together.wait()
    be_stook(words, None, environment, log)


def outcome(status: int | None, log: str) -> str:
    """What a run came to: worked, refused, late, or what else it said."""
    events = [json.loads(line)["event"] for line in log.splitlines() if line.startswith("{")]
    if status == 0 and "published" in events:
        return "worked"
    if status == 0 and "nothing_to_do" in events:
        return "late"
    if status == 2 and HELD in log and f"process {os.getpid()}" not in log:
        return "refused"
    return f"ended with {status}: {log[-300:]}"


def pair(arm: Arm) -> list[str]:
    """Start two runs together; gives what each came to, sorted."""
    words = ["map", str(arm.season.config), "--year", str(arm.season.year), "--quiet"]
    together = arm.forks.Barrier(2)
    logs = [arm.season.folder / f"{name}.log" for name in ("one", "other")]
    for log in logs:
        log.unlink(missing_ok=True)
    runs = [arm.forks.Process(target=run_together, args=(words, arm.environment, str(log), together)) for log in logs]
    for run in runs:
        run.start()
    for run in runs:
        run.join(PATIENCE_S)
        if run.exitcode is None:
            run.kill()
    return sorted(outcome(run.exitcode, log.read_text()) for run, log in zip(runs, logs, strict=True))


def experiment(scratch: Path, pairs: int = PAIRS) -> Iterator[Figure]:
    """Start the pairs, a third of them in the bucket, every other one on an edition that is open."""
    from tests.transforms.store.emulator import BUCKET, emulator

    pristine = write_small_season(scratch / "pristine").hurried().narrowed().configure(grid__tile_px=TILE_PX)
    calm = Arm(pristine.copy(scratch / "calm"), "threads", {})
    if calm.run() != 0:
        raise RuntimeError(calm.log.read_text()[-2000:])
    edition = calm.folder.current()
    assert edition is not None
    expected = contents(edition)
    came: Counter[str] = Counter()
    spoiled: list[str] = []
    for number in range(pairs):
        bucket, opened = number % 3 == 2, number % 2 == 1
        with emulator() if bucket else nullcontext():
            arm = arm_of(pristine.copy(scratch / f"pair-{number}"), bucket, f"gs://{BUCKET}/out")
            if opened and arm.run(Kill("between shard and record")) != -signal.SIGKILL:
                raise RuntimeError(arm.log.read_text()[-2000:])
            left = [each.id for each in arm.folder.editions()]
            found = pair(arm)
            came[" and ".join(found)] += 1
            spoiled += wrong(arm, found, left, expected)
    told = ", ".join(f"{count} {each}" for each, count in came.most_common())
    agreed = came["refused and worked"] + came["late and worked"]
    note = f"of {pairs} pairs started together, in which one worked and the other said so: {told}; simulated"
    yield Figure("lease.conflicts", agreed, f"{note}; target {pairs}")
    note = "pairs after which maps or tables differ from a lone run's, or anything else went wrong; target 0"
    yield Figure("lease.spoiled", len(spoiled), "; ".join([note, *spoiled[:3]]))


def arm_of(season: SmallSeason, bucket: bool, address: str) -> Arm:
    """Runs of a season on one of the stores."""
    if bucket:
        season.configure(output=address)
    return Arm(season, "threads", {EMULATOR: os.environ[EMULATOR]} if bucket else {})


def wrong(arm: Arm, found: list[str], left: list[str], expected: dict[str, bytes]) -> list[str]:
    """What is wrong after a pair, in words."""
    editions, current = arm.folder.editions(), arm.folder.current()
    if found not in (["refused", "worked"], ["late", "worked"]):
        return [f"{arm.season.folder.name}: {found}"]
    if current is None or len(editions) != 1 or (left and current.id not in left):
        return [f"{arm.season.folder.name}: editions {[each.id for each in editions]}, before {left}"]
    differing = differing_bytes(expected, contents(current))
    return [f"{arm.season.folder.name}: {differing} bytes differ"] if differing else []


EXPERIMENT = Experiment("lease", experiment, small={"pairs": 3})


def main(pairs: int = PAIRS) -> None:
    """Start as many pairs as asked for, and print what came of them."""
    with tempfile.TemporaryDirectory(prefix="stook-lease-") as scratch:
        for figure in experiment(Path(scratch), pairs):
            print(f"{figure.name} {figure.value:.6g}  # {figure.note}", flush=True)


if __name__ == "__main__":
    main()
