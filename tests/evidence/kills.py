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
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import zarr

from models.bundle import Conditions
from pipelines.season import season_folder
from tests.evidence.figure import Experiment, Figure
from tests.pipelines.small_season import SmallSeason, write_random_bundle, write_small_season
from transforms.editions import map_store
from transforms.editions.edition import MANIFEST, Edition
from transforms.editions.lease import LEASE, process_exists
from transforms.editions.ledger import Ledger
from transforms.editions.season_folder import POINTER, SeasonFolder
from transforms.store import Address, cloud, fetched, read_bytes, read_json, swapping, zarr_store
from transforms.store.addresses import EMULATOR
from transforms.store.swapping import LOCK

KILLS = 100
KILLS_OF_AN_EDITION = 4
SEED = 20
TILE_PX = 16
MODELS = (5, 97)  # seeds of random weights
SHARD_OF_DEATH = 5  # two shards a tile: in the middle of a tile, after some others have their records
RECORD_OF_DEATH = 3
PATIENCE_S = 180.0
ORPHANS_END_S = 30.0
SHARDS_A_LOOK = 3
MARK = "STOOK_KILL"  # in the environment of a run and of all its workers


def die() -> None:
    """Kill -9 this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(home: Any, name: str, fatal: Callable[..., bool], last_act: Callable[..., None] = lambda *_: None) -> None:
    """Make the call of ``home.name`` for which ``fatal`` is true end the process instead."""
    original = getattr(home, name)

    def replacement(*arguments: Any, **keywords: Any) -> Any:
        if fatal(*arguments):
            last_act(*arguments)
            die()
        return original(*arguments, **keywords)

    setattr(home, name, replacement)


def after(home: Any, name: str, fatal: Callable[..., bool] = lambda *_: True) -> None:
    """End the process as soon as a call of ``home.name`` for which ``fatal`` is true has returned."""
    original = getattr(home, name)

    def replacement(*arguments: Any, **keywords: Any) -> Any:
        returned = original(*arguments, **keywords)
        if fatal(*arguments):
            die()
        return returned

    setattr(home, name, replacement)


def nth(which: int, meant: Callable[..., bool] = lambda *_: True) -> Callable[..., bool]:
    """Whether a call is the nth of those that are meant."""
    number = count(1)
    return lambda *arguments: meant(*arguments) and next(number) == which


def of(*names: str) -> Callable[..., bool]:
    """Whether the first argument is a file with one of these names, or in a folder with one of them."""
    return lambda path, *_: path.name in names or path.parent.name in names


def of_shard(path: Address, *_: Any) -> bool:
    """Whether a file is a shard of the map."""
    return "/cropland/c/" in str(path)


def half_a_file(path: Path, content: bytes) -> None:
    """Leave what ``transforms.store`` leaves when it dies while writing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / f".{path.name}-{'0' * 32}.partial").write_bytes(content[: len(content) // 2])


def torn(path: Path, content: bytes) -> None:
    """Leave half a file under its own name, as a disk does that lost its power."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content[: len(content) // 2])


# What the run's own process does; with the tiles in processes that is all but the tiles.
ANYWHERE: dict[str, Callable[[], None]] = {
    "while the edition is opened": lambda: after(map_store, "create"),
    "between compact ledger and statistics": lambda: after(Ledger, "compact"),
    "between statistics and pointer": lambda: before(SeasonFolder, "publish", lambda *_: True),
    "after the pointer": lambda: after(SeasonFolder, "publish"),
}
TILES: dict[str, Callable[[], None]] = {
    "between shard and record": lambda: before(Ledger, "commit", nth(RECORD_OF_DEATH))
}
# A disk has scratch files that stay, and half a shard after a power cut.
ON_A_DISK: dict[str, Callable[[], None]] = {
    "in the middle of the lease": lambda: before(swapping, "write_bytes", nth(2, of(LEASE)), half_a_file),
    "in the middle of the pointer": lambda: before(swapping, "write_bytes", of(POINTER), half_a_file),
}
TILES_ON_A_DISK: dict[str, Callable[[], None]] = {
    "in the middle of a shard": lambda: before(map_store, "write_bytes", nth(SHARD_OF_DEATH, of_shard), half_a_file),
    "in the middle of a shard, torn": lambda: before(map_store, "write_bytes", nth(SHARD_OF_DEATH, of_shard), torn),
    "in the middle of a record": lambda: before(
        swapping, "write_bytes", nth(RECORD_OF_DEATH, of("ledger")), half_a_file
    ),
}
# Objects appear whole; what can be lost is the answer.
IN_A_BUCKET: dict[str, Callable[[], None]] = {
    "before the answer on the lease": lambda: after(cloud, "put", nth(2, of(LEASE))),
    "before the answer on the manifest": lambda: after(cloud, "put", of(MANIFEST)),
    "before the answer on the pointer": lambda: after(cloud, "put", of(POINTER)),
}
TILES_IN_A_BUCKET: dict[str, Callable[[], None]] = {
    "before the answer on a record": lambda: after(cloud, "put", nth(RECORD_OF_DEATH, of("ledger")))
}
POINTS = ANYWHERE | TILES | ON_A_DISK | TILES_ON_A_DISK | IN_A_BUCKET | TILES_IN_A_BUCKET


def points_of(bucket: bool, mode: str) -> list[str]:
    """The named points of a store and a mode."""
    own = (IN_A_BUCKET, TILES_IN_A_BUCKET) if bucket else (ON_A_DISK, TILES_ON_A_DISK)
    return [*ANYWHERE, *own[0], *([*TILES, *own[1]] if mode == "threads" else [])]


def be_stook(words: list[str], point: str | None, environment: dict[str, str], log: str) -> None:
    """Be ``stook``, until the point."""
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(environment)
    from pipelines.cli import main as stook

    if point is not None:
        POINTS[point]()
    sys.argv = ["stook", *words]
    stook()


def context() -> multiprocessing.context.ForkServerContext:
    """Processes that begin with the libraries loaded, as copies of one that has done nothing else."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["pipelines.cli", "pipelines.map", "tests.evidence.kills"])
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


@dataclass(frozen=True)
class Expected:
    """What an edition of one model must hold.

    Attributes:
        files: Shards and tables by their path in the edition.
        tiles: Number of tiles.
    """

    files: dict[str, bytes]
    tiles: int


def contents(edition: Edition) -> dict[str, bytes]:
    """Shards and tables of an edition, by path."""
    paths = [edition.folder / "statistics.csv", edition.folder / "statistics.parquet"]
    for _, array in arrays(edition):
        everything = map_store.TileOfLayer(edition.maps, array, tuple(slice(0, size) for size in array.shape[-2:]))  # type: ignore[arg-type]
        paths += everything.shards() if array.shards else []
    found = {str(path).removeprefix(f"{edition.folder}/"): read_bytes(path) for path in paths}
    return {name: content for name, content in found.items() if content is not None}


def arrays(edition: Edition) -> Iterator[tuple[str, zarr.Array]]:
    """Every array of the maps."""
    for path, member in sorted(zarr.open_group(zarr_store(edition.maps), mode="r").members(max_depth=None)):
        if isinstance(member, zarr.Array):
            yield path, member


def differing_bytes(one: dict[str, bytes], other: dict[str, bytes]) -> int:
    """Bytes that differ, and those that only one of both has."""
    return sum(difference(one.get(name, b""), other.get(name, b"")) for name in one.keys() | other.keys())


def difference(one: bytes, other: bytes) -> int:
    """Bytes that differ, and those that only one of both has."""
    common = min(len(one), len(other))
    a, b = (np.frombuffer(content[:common], np.uint8) for content in (one, other))
    return int(np.count_nonzero(a != b)) + abs(len(one) - len(other))


def look(folder: Address, expected: dict[str, Expected], chance: np.random.Generator) -> str | None:
    """What a reader who follows the pointer finds wrong; None for nothing."""
    pointer = read_json(folder / POINTER)
    if pointer is None:
        return None
    edition = Edition(folder / pointer["edition"])
    manifest = read_json(edition.folder / MANIFEST)
    if manifest is None or manifest["edition"] != edition.id:
        return f"{edition.id}: no {MANIFEST}, or another's"
    wanted = expected[manifest["plan"]["products"][0]["model_hash"]]
    names = ["statistics.csv", "statistics.parquet", *chance.choice(sorted(wanted.files), SHARDS_A_LOOK)]
    for name in names:
        if read_bytes(edition.folder / name) != wanted.files[name]:
            return f"{edition.id}: {name} is not that of its model"
    rows = pq.read_table(fetched(edition.folder / "ledger.parquet"), columns=["status"])["status"].to_pylist()
    return None if rows == ["done"] * wanted.tiles else f"{edition.id}: its ledger is not complete"


def watch(folder: str, expected: dict[str, Expected], environment: dict[str, str], ended: Any, told: Any) -> None:
    """Look until ``ended``; tells how often, and what was wrong."""
    os.environ.update(environment)
    from transforms.store import address_of

    looks, wrong, chance = 0, [], np.random.default_rng(SEED)
    while not ended.is_set():
        if (found := look(address_of(folder), expected, chance)) is not None:
            wrong.append(found)
        looks += 1
        time.sleep(0.02)
    told.put((looks, wrong))


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
        (bucket, mode, part // 2 if bucket else part - part // 2)
        for bucket in (False, True)
        for mode, part in parts.items()
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


def experiment(scratch: Path, kills: int = KILLS) -> Iterator[Figure]:
    """Kill at every named point and at random moments on both stores, finish, compare."""
    from tests.transforms.store.emulator import BUCKET, emulator

    pristine = write_small_season(scratch / "pristine").hurried().configure(grid__tile_px=TILE_PX)
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


EXPERIMENT = Experiment("kills", experiment)


def main(kills: int = KILLS) -> None:
    """Do as many kills as asked for, and print what came of them."""
    with tempfile.TemporaryDirectory(prefix="stook-kills-") as scratch:
        for figure in experiment(Path(scratch), kills):
            print(f"{figure.name} {figure.value:.6g}  # {figure.note}", flush=True)
