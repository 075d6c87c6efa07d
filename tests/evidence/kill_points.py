"""Named points at which a run of ``stook`` is killed: it replaces what it would call there by its own end."""

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from stook.transforms.editions import map_store
from stook.transforms.editions.edition import MANIFEST
from stook.transforms.editions.lease import LEASE
from stook.transforms.editions.ledger import Ledger
from stook.transforms.editions.season_folder import POINTER, SeasonFolder
from stook.transforms.store import Address, cloud, swapping

SHARD_OF_DEATH = 5  # two shards a tile: in the middle of a tile, after some others have their records
RECORD_OF_DEATH = 3


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
    """Leave what ``stook.transforms.store`` leaves when it dies while writing."""
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
    from stook.pipelines.cli import main as stook

    if point is not None:
        POINTS[point]()
    sys.argv = ["stook", *words]
    stook()
