"""Experiment ``kills``: runs killed at any moment, the same command again to the end, and readers who look on.

Simulated season of 41 tiles, on this machine's disk and in an emulator of Google Cloud Storage, each with the tiles in
threads and in processes. A run is a process that was forked from one that has loaded the libraries, and from then on it
is ``stook map``; it is killed with SIGKILL. An edition is killed several times before it is finished and compared with
one that nobody disturbed, byte by byte. Editions of two models and refreshes take turns, so that what a reader finds
tells which edition it belongs to; the reader follows ``current.json`` all the time, in a process of its own.

``python -c "from tests.evidence.kills import main; main(8)"`` does eight kills; the experiment does a hundred.
"""

import multiprocessing
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from stook.models.bundle import Conditions
from stook.pipelines.season import season_folder
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import process_exists
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.store.addresses import EMULATOR
from stook.transforms.store.swapping import LOCK
from tests.evidence.figure import Experiment, Figure
from tests.evidence.kill_points import be_stook, points_of
from tests.evidence.kill_readers import Expected, contents, differing_bytes, watch
from tests.pipelines.small_season import SmallSeason, write_random_bundle, write_small_season

KILLS = 100
KILLS_OF_AN_EDITION = 4
SEED = 20
TILE_PX = 16
MODELS = (5, 97)  # seeds of random weights
PATIENCE_S = 180.0
ORPHANS_END_S = 30.0
MARK = "STOOK_KILL"  # in the environment of a run and of all its workers


def context() -> multiprocessing.context.ForkServerContext:
    """Processes that begin with the libraries loaded, as copies of one that has done nothing else."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["stook.pipelines.cli", "stook.pipelines.map", "tests.evidence.kills"])
    return forks


@dataclass(frozen=True)
class Kill:
    """How a run is to die.

    Attributes:
        point: Where, by name; None at a moment.
        share: The moment, as a share of an undisturbed run's duration.
    """

    point: str | None
    share: float = 0.0


@dataclass
class Came:
    """What came of the kills on one store, in one mode.

    Attributes:
        kills: Runs that died, by point; "at a random moment" for those.
        stages: How far the edition was, and how often.
        finished: Editions that were finished and compared.
        differing_bytes: Against undisturbed runs.
        torn_reads: What readers saw that should not be, in words.
        looks: How often readers looked.
        scraps: Files left behind that belong to nothing.
        orphans: Workers that lived on.
    """

    kills: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)
    finished: int = 0
    differing_bytes: int = 0
    torn_reads: list[str] = field(default_factory=list)
    looks: int = 0
    scraps: list[str] = field(default_factory=list)
    orphans: int = 0


class Arm:
    """Kills on one store, in one mode.

    Args:
        season: To be mapped; its output is empty.
        mode: Of its runs.
        environment: Of its runs.
    """

    def __init__(self, season: SmallSeason, mode: str, environment: dict[str, str]):
        self.season = season.configure(run__mode=mode)
        self.mark = f"{os.getpid()}-{season.folder.name}"
        self.environment = environment | {MARK: self.mark}
        self.mode = mode
        self.came = Came()
        self.forks = context()

    @property
    def folder(self) -> SeasonFolder:
        """The editions."""
        return season_folder(self.season.configuration, self.season.year)

    def start(self, point: str | None, refresh: bool) -> BaseProcess:
        """Start a run that dies at a point."""
        words = ["map", str(self.season.config), "--year", str(self.season.year), "--quiet"]
        words += ["--refresh"] if refresh else []
        process = self.forks.Process(target=be_stook, args=(words, point, self.environment, str(self.log)))
        process.start()
        return process

    @property
    def log(self) -> Path:
        """What the runs say."""
        return self.season.folder / "run.log"

    def run(self, kill: Kill | None = None, refresh: bool = False, duration_s: float = 0.0) -> int:
        """Run, killed or to the end; its exit status, negative for a signal."""
        process = self.start(kill.point if kill else None, refresh)
        if kill is not None and kill.point is None:
            process.join(kill.share * duration_s)
            process.kill()
        process.join(PATIENCE_S)
        if process.exitcode is None:
            process.kill()
            raise RuntimeError(f"a run did not end: {self.log.read_text()[-2000:]}")
        return process.exitcode

    def with_model(self, seed: int) -> None:
        """Put another bundle in the place of the one before."""
        write_random_bundle(self.season.folder / "bundle", Conditions(6, 2), seed=seed)

    def open_edition(self) -> Edition | None:
        """The edition that is to be continued, or None."""
        folder = self.folder
        return next((each for each in reversed(folder.editions()) if folder.status(each) == "open"), None)

    def disturb(self, kills: list[Kill], refresh: bool, duration_s: float) -> list[Kill]:
        """Kill runs of one edition, one after the other; gives back what did not happen since it was finished."""
        published = self.folder.current()
        for number, kill in enumerate(kills):
            status = self.run(kill, refresh and self.open_edition() is None, duration_s)
            if status not in (0, -signal.SIGKILL):
                raise RuntimeError(f"{kill}: ended with {status}: {self.log.read_text()[-2000:]}")
            if status == -signal.SIGKILL:
                self.came.kills[kill.point or "at a random moment"] += 1
                self.came.stages[self.stage(published)] += 1
            if self.folder.current() != published:
                return [kill] * (status == 0) + kills[number + 1 :]
        return []

    def stage(self, published: Edition | None) -> str:
        """How far the edition is."""
        if self.folder.current() != published:
            return "after publication"
        edition = self.open_edition()
        if edition is None:
            return "before an edition was open"
        whole = len(edition.ledger.marks()) == len(edition.manifest["tiles"])
        return "with every tile recorded" if whole else "among the tiles"

    def finish(self, refresh: bool, before: Edition | None, expected: dict[str, Expected]) -> None:
        """Run the same command to the end and compare."""
        if self.folder.current() == before:
            status = self.run(refresh=refresh and self.open_edition() is None)
            if status != 0:
                raise RuntimeError(f"the last run ended with {status}: {self.log.read_text()[-2000:]}")
        edition = self.folder.current()
        if edition is None or edition == before:
            raise RuntimeError(f"nothing new is published: {self.log.read_text()[-2000:]}")
        self.came.orphans += self.orphans()
        wanted = expected[edition.plan.products[0].model_hash]
        self.came.finished += 1
        self.came.differing_bytes += differing_bytes(wanted.files, contents(edition))
        self.came.scraps += scraps(self.folder)

    def orphans(self) -> int:
        """How many processes of dead runs still live when they have had the time to notice."""
        end = time.monotonic() + ORPHANS_END_S
        while (left := processes_marked(self.mark)) and time.monotonic() < end:
            time.sleep(0.1)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return len(left)


def processes_marked(mark: str) -> list[int]:
    """Processes of this machine that have ``mark`` in their environment from the start: workers of runs."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in path.read_bytes().split(b"\0") and process_exists(int(path.parent.name)):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def scraps(folder: SeasonFolder) -> list[str]:
    """Files and folders of the season that a killed writer left behind."""
    if isinstance(folder.folder, Path):
        paths = [path.relative_to(folder.folder) for path in folder.folder.rglob("*") if path.name != LOCK]
        left = [str(path) for path in paths if path.name.startswith(".") or path.suffix == ".partial"]
    else:
        left = []
    editions = {edition.id for edition in folder.editions()}
    return left + [edition.id for edition in map(Edition, folder._folders()) if edition.id not in editions]


def schedule(number: int, named: list[str], chance: np.random.Generator) -> list[Kill]:
    """So many kills: at the named points first, then at random moments, in random order."""
    kills: list[Kill] = [Kill(point) for point in named][: (number + 1) // 2]
    kills += [Kill(None, float(chance.uniform())) for _ in range(number - len(kills))]
    return [kills[index] for index in chance.permutation(len(kills))]


def shares(kills: int) -> list[tuple[bool, str, int]]:
    """Whether in the bucket, mode, kills: three fifths with threads, whose runs take half as long."""
    threads = -(-3 * kills // 5)
    parts = {"threads": threads, "processes": kills - threads}
    return [
        (bucket, mode, share)
        for bucket in (False, True)
        for mode, part in parts.items()
        if (share := part // 2 if bucket else part - part // 2)
    ]


def undisturbed(arm: Arm) -> tuple[dict[str, Expected], float]:
    """What editions of each model must hold, and how long a run takes."""
    expected = {}
    for seed in MODELS:
        arm.with_model(seed)
        start = time.monotonic()
        if (status := arm.run()) != 0:
            raise RuntimeError(f"ended with {status}: {arm.log.read_text()[-2000:]}")
        duration_s = time.monotonic() - start
        edition = arm.folder.current()
        assert edition is not None
        model = edition.plan.products[0].model_hash
        expected[model] = Expected(contents(edition), len(edition.manifest["tiles"]))
    return expected, duration_s


def killed(arm: Arm, kills: list[Kill], expected: dict[str, Expected], duration_s: float) -> Came:
    """Kill, finish, compare, until every kill has happened, with a reader looking on."""
    ended, told = arm.forks.Event(), arm.forks.Queue()
    reader = arm.forks.Process(target=watch, args=(str(arm.folder.folder), expected, arm.environment, ended, told))
    reader.start()
    try:
        for number in count():
            if not kills:
                break
            refresh = number % 3 == 2  # of the model that is published: everything is taken over
            if not refresh:
                arm.with_model(MODELS[number % 3])
            before = arm.folder.current()
            now, kills = kills[:KILLS_OF_AN_EDITION], kills[KILLS_OF_AN_EDITION:]
            left = arm.disturb(now, refresh, duration_s)
            arm.finish(refresh, before, expected)
            kills = [*(Kill(each.point, each.share / 2) for each in left), *kills]
    finally:
        ended.set()
        if reader.is_alive():
            arm.came.looks, arm.came.torn_reads = told.get(timeout=60)
        reader.join(60)
    return arm.came


def experiment(scratch: Path, kills: int = KILLS, tile_px: int = TILE_PX) -> Iterator[Figure]:
    """Kill at every named point and at random moments on both stores, finish, compare."""
    from tests.transforms.store.emulator import BUCKET, emulator

    pristine = write_small_season(scratch / "pristine").hurried().configure(grid__tile_px=tile_px)
    chance = np.random.default_rng(SEED)
    came: dict[str, Came] = {}
    expected: dict[str, Expected] = {}
    for bucket, mode, share in shares(kills):
        with emulator() if bucket else nullcontext():
            environment = {EMULATOR: os.environ[EMULATOR]} if bucket else {}
            name = f"{'bucket' if bucket else 'disk'}-{mode}"
            season = pristine.copy(scratch / name)
            if bucket:
                season.configure(output=f"gs://{BUCKET}/{name}")
            arm = Arm(season, mode, environment)
            found, duration_s = undisturbed(arm)
            expected = expected or found
            came[name] = killed(arm, schedule(share, points_of(bucket, mode), chance), expected, duration_s)
            print(f"# {name}: {came[name]}", flush=True)
    yield from figures(came, next(iter(expected.values())).tiles)


def figures(came: dict[str, Came], tiles: int) -> Iterator[Figure]:
    """What it came to."""
    every = list(came.values())
    kinds = sum((each.kills for each in every), Counter[str]())
    stages = sum((each.stages for each in every), Counter[str]())
    finished = sum(each.finished for each in every)
    where = ", ".join(f"{each.kills.total()} on {name}" for name, each in came.items())
    moments = kinds["at a random moment"]
    how = f"{kinds.total() - moments} at {len(kinds) - bool(moments)} named points, {moments} at random moments"
    when = ", ".join(f"{number} {stage}" for stage, number in stages.most_common())
    yield Figure("kills.runs", kinds.total(), f"{where}; {how}; {when}; {tiles} simulated tiles")
    note = f"of {finished} editions, each killed up to {KILLS_OF_AN_EDITION} times, against undisturbed ones"
    yield Figure("kills.differing_bytes", sum(each.differing_bytes for each in every), f"{note}; target 0")
    looks, torn_reads = sum(each.looks for each in every), [found for each in every for found in each.torn_reads]
    seen = f"of {looks} looks by readers who followed current.json; target 0"
    yield Figure("kills.torn_reads", len(torn_reads), f"{seen}{'; ' if torn_reads else ''}{'; '.join(torn_reads[:3])}")
    left = sum(len(each.scraps) for each in every)
    yield Figure("kills.scraps", left, "half-written files and editions still there after the last run; target 0")
    orphans = sum(each.orphans for each in every)
    yield Figure("kills.orphans", orphans, f"workers that lived for {ORPHANS_END_S:.0f} s after their run; target 0")


EXPERIMENT = Experiment("kills", experiment, small={"kills": 2, "tile_px": 50})


def main(kills: int = KILLS) -> None:
    """Do as many kills as asked for, and print what came of them."""
    with tempfile.TemporaryDirectory(prefix="stook-kills-") as scratch:
        for figure in experiment(Path(scratch), kills):
            print(f"{figure.name} {figure.value:.6g}  # {figure.note}", flush=True)
