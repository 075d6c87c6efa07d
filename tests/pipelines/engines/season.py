"""A season with twelve tiles, two zones and products of every kind, and ``stook map`` in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from stook.pipelines.season import season_folder
from stook.transforms.editions.edition import Edition
from tests.pipelines.engines.processes import ROOT
from tests.pipelines.small_season import PILES, SmallSeason, write_pile_bundle

SMOOTHING = {"majority_px": 3, "minimum_mapping_unit_ha": 0.05}
TILES = 12


def every_product(season: SmallSeason) -> SmallSeason:
    """The small season with cropland, smoothed, harvest piles and farmed cells, of few months; returns it."""
    write_pile_bundle(season.hurried().folder / "piles")
    return season.configure(
        products__harvest_piles=PILES, products__cropland__smoothing=SMOOTHING, products__farmed_cells={}
    )


def started(season: SmallSeason, *words: str) -> "subprocess.Popen[str]":
    """``stook map`` as a process."""
    command = [sys.executable, "-m", "stook.pipelines.cli", "map", str(season.config), "--year", str(season.year)]
    return subprocess.Popen(
        [*command, "--quiet", *words],
        cwd=ROOT,
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]", timeout_s: float = 300) -> tuple[int, list[dict[str, Any]], str]:
    """Exit status, events and what was said on standard error."""
    output, errors = process.communicate(timeout=timeout_s)
    return process.returncode, [json.loads(line) for line in output.splitlines()], errors


def require_finished(season: SmallSeason, expected: dict[str, bytes]) -> list[dict[str, Any]]:
    """Run ``stook map`` to its end, which must come with the same bytes; returns its events."""
    status, events, errors = ended(started(season), 900)
    assert status == 0, errors
    assert differing_bytes(content(newest(season)), expected) == 0
    return events


def newest(season: SmallSeason) -> Edition:
    """The edition that was opened last."""
    return season_folder(season.configuration, season.year).editions()[-1]


def content(edition: Edition) -> dict[str, bytes]:
    """Name -> bytes of every shard and table of an edition on this machine's disk."""
    folder = Path(str(edition.folder))
    shards = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in (folder / "maps.zarr").rglob("*")
        if path.is_file() and "c" in path.relative_to(folder).parts
    }
    return shards | {path.name: path.read_bytes() for path in folder.glob("statistics.*")}


def differing_bytes(one: dict[str, bytes], other: dict[str, bytes]) -> int:
    """Bytes in which two editions differ, those of a file that only one has included."""
    return sum(
        sum(a != b for a, b in zip(one.get(name, b""), other.get(name, b""), strict=False))
        + abs(len(one.get(name, b"")) - len(other.get(name, b"")))
        for name in one.keys() | other.keys()
    )
