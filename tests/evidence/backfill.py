"""Experiment ``backfill``: two real seasons of Flanders and eight simulated ones, and whether they can be compared.

``docs/backfill-comparability.md`` is written from the tables of both.
"""

import json
import subprocess
import sys
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stook.models.bundle import Conditions
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.operations.backfill import Backfill, Options, run_backfill, years_of
from stook.pipelines.progress import JsonReporter
from stook.pipelines.sections import load
from stook.pipelines.train import run_training
from stook.pipelines.training_configuration import TrainConfiguration
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.scenes import OPTICAL_COLLECTION, write_archive
from stook.transforms.statistics.sums import WHOLE_REGION
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure, kept
from tests.evidence.sites import EXAMPLES, SHORT, WHOLE, Change, relocated
from tests.pipelines.small_season import RARELY, SMALL_PLACE, write_random_bundle, write_small_season

ROOT = Path(__file__).resolve().parents[2]
REAL, SIMULATED = "2018:2019", "2016:2023"
FIRST_MONTH, MONTHS = 1, 6
LAST_OLD_YEAR, OLD_BASELINE = 2021, "03.01"
THIN_YEAR, THIN_MONTHS = 2019, ("02", "03", "04")


@dataclass(frozen=True)
class Measured:
    """A backfill made twice.

    Attributes:
        first: What the first came to.
        second: What the second came to, over everything published.
        first_s: Seconds of the first, in this process.
        second_s: The same of the second.
        command_s: Seconds of a third, as a command of its own, with the start of Python.
    """

    first: Backfill
    second: Backfill
    first_s: float
    second_s: float
    command_s: float

    @property
    def published(self) -> int:
        """Seasons that the first published."""
        return [outcome.state for outcome in self.first.outcomes].count("published")

    @property
    def skipped(self) -> int:
        """Seasons that the second skipped."""
        return [outcome.state for outcome in self.second.outcomes].count("skipped")

    @property
    def table(self) -> pd.DataFrame:
        """The table of comparability."""
        return pd.read_csv(str(self.second.table), keep_default_na=False)


def run(
    scratch: Path, simulated_years: str = SIMULATED, real_years: str = REAL, season: Change = WHOLE
) -> Iterator[Figure]:
    """Both backfills; writes the page."""
    simulated = measured(several_years(scratch / "simulated", years_of(simulated_years)), simulated_years)
    yield from figures("simulated", simulated, "simulated scenes, random weights")
    parts = [HEADING, page("Eight simulated seasons", SIMULATED_WORDS, simulated)]
    if SHARED.is_dir():
        real = measured(flanders(scratch / "flanders", season), real_years)
        yield from figures("flanders", real, "real scenes, real encoder")
        parts.insert(1, page("Two real seasons in Flanders", REAL_WORDS, real))
        kept(scratch, "docs/backfill-comparability.md").write_text("\n".join(parts))


def figures(name: str, made: Measured, what: str) -> Iterator[Figure]:
    """What is claimed of a backfill."""
    seasons, second = len(made.first.outcomes), made.second_s
    yield Figure(f"backfill.{name}.published", made.published, f"of {seasons} seasons; {what}")
    yield Figure(f"backfill.{name}.skipped", made.skipped, f"of {seasons} by the same command again; target {seasons}")
    note = f"seconds of the same command again; in this process {second:.2f}, the first took {made.first_s:.0f}"
    yield Figure(f"backfill.{name}.again_s", made.command_s, note)
    comparable = sum(not pair.why_not for pair in made.second.pairs)
    note = f"of {len(made.second.pairs)} pairs of neighbouring seasons; the others: docs/backfill-comparability.md"
    yield Figure(f"backfill.{name}.comparable_pairs", comparable, note)


def measured(config: Path, years: str) -> Measured:
    """Make a backfill, and again over what it published."""
    loaded, made, seconds = load(config, MapConfiguration), [], []
    for _ in range(2):
        start = time.perf_counter()
        made.append(run_backfill(loaded, years_of(years), Options(), quiet=True))
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    words = [sys.executable, "-m", "stook.pipelines.cli", "backfill", str(config), "--years", years, "--quiet"]
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True, cwd=ROOT)
    return Measured(*made, *seconds, time.perf_counter() - start)


def flanders(folder: Path, season: Change) -> Path:
    """The configuration of both sites, for a head that was trained on the west one's labels of 2018."""
    training = relocated(EXAMPLES / "train-west.yaml", folder, {"bundle": "bundle", "held_out": []} | season)
    run_training(load(training, TrainConfiguration), JsonReporter())
    return relocated(EXAMPLES / "map-east.yaml", folder, product={"bundle": str(folder / "bundle")} | season)


def several_years(folder: Path, years: list[int]) -> Path:
    """The configuration of a small simulated place with an archive of some years, of which two are spoiled."""
    season = write_small_season(folder)
    conditions = Conditions(FIRST_MONTH, MONTHS)
    write_random_bundle(folder / "bundle", conditions)
    window = {"start": {"month": FIRST_MONTH, "year": 0}, "months": MONTHS}
    season.configure(
        products__cropland__window=window,
        products__cropland__minimum_observations=0,
        imagery__sentinel2__catalog="catalog.json",
        imagery__sentinel1__catalog="catalog.json",
        imagery__rgb__catalog="catalog.json",
    )
    landscape = Landscape.simulate(SMALL_PLACE)
    archives = {year: f"archive-{year}" for year in years if year != season.year} | {season.year: "archive"}
    for year, name in archives.items():
        if year != season.year:
            write_archive(landscape, folder / name, year, RARELY)
        if year <= LAST_OLD_YEAR:
            rename_baseline(folder / name)
    if THIN_YEAR in years:
        thin_out(folder / archives[THIN_YEAR])
    links = [{"rel": "child", "href": f"./{name}/catalog.json"} for name in archives.values()]
    told = {"id": "years", "description": "Simulated scenes of eight years. Nothing here is real imagery."}
    catalogue = {"type": "Catalog", "stac_version": "1.0.0", **told, "links": links}
    (folder / "catalog.json").write_text(json.dumps(catalogue))
    return season.config


def rename_baseline(archive: Path) -> None:
    """Give the Sentinel-2 scenes of an archive the baseline of years ago; their pixels stay."""
    for path in (archive / OPTICAL_COLLECTION).glob("*/*.json"):
        item = json.loads(path.read_text())
        item["properties"]["s2:processing_baseline"] = OLD_BASELINE
        path.write_text(json.dumps(item))


def thin_out(archive: Path) -> None:
    """Take some months' Sentinel-2 scenes out of an archive."""
    collection = archive / OPTICAL_COLLECTION / "collection.json"
    content = json.loads(collection.read_text())
    gone = tuple(f"_{THIN_YEAR}{month}" for month in THIN_MONTHS)
    content["links"] = [link for link in content["links"] if not any(part in link["href"] for part in gone)]
    collection.write_text(json.dumps(content))


HEADING = """# Can these seasons be compared?

Two examples of what `stook backfill` writes, see [backfill.md](backfill.md) for the rules. Written by
`make evidence ONLY=backfill` from the tables themselves; ‘clear’ is the mean of clear observations of the ground, ‘p10’
that of the tenth of it that was seen least.
"""
REAL_WORDS = """**Real** imagery, `../shared/data/flanders`: of the western site scenes from August 2017 to November
2018, of the eastern from August 2018 to November 2019. Each site has one whole season of the two, so no unit can be
compared, although as much ground is mapped in both. Presto as published, a head trained on the western site."""
SIMULATED_WORDS = f"""**Simulated** scenes of a place of 0.9 km², one a month, {MONTHS} months a season; each year has
its own weather and clouds. Weights are random, so that the maps mean nothing. Scenes up to {LAST_OLD_YEAR} are given
baseline {OLD_BASELINE}, and the archive of {THIN_YEAR} lacks the optical scenes of three months: both must be found."""
HEAD = """| place | year | clear | p10 | scenes | baselines | mapped % | comparable with the season before |
|---|---|---|---|---|---|---|---|"""


def page(title: str, words: str, made: Measured) -> str:
    """A part of the page: what was mapped, each place and season, each pair."""
    table = made.table
    shown = table if table["year"].nunique() == 2 else table[table["level"] == WHOLE_REGION]
    rows = [_cells(row) for row in shown.to_dict("records")]
    pairs = [f"- {pair}." for pair in made.second.pairs]
    return "\n".join([f"## {title}", "", words, "", HEAD, *rows, "", *pairs, ""])


def _cells(row: dict[Hashable, Any]) -> str:
    seen = f"{float(row['observations_mean']):.1f} | {row['observations_p10']} | {row['scenes']}"
    comparable = {"True": "yes", "False": f"no: {row['why_not']}"}.get(str(row["comparable"]), "")
    mapped = f"{100 * row['mapped_share']:.0f}"
    return f"| {row['name']} | {row['year']} | {seen} | {row['baselines'] or 'not told'} | {mapped} | {comparable} |"


SMALL = {"simulated_years": "2022:2023", "real_years": "2019", "season": SHORT}
EXPERIMENT = Experiment("backfill", run, small=SMALL)
