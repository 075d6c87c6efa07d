"""The demonstration's report, read back by libraries that did not write it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyogrio

from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.demo.place import YEAR
from stook.pipelines.demo.run import DEMO_PLACE, run_demo
from stook.pipelines.figures.report import run_report
from stook.pipelines.season import published_edition, thresholds_of
from stook.pipelines.sections import load
from stook.transforms.reporting.observations import DIMENSIONS, observations
from stook.transforms.reporting.tables import areas_table, estimates_table, vintage_of
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.scenes import Revisit
from tests.evidence.figure import Experiment, Figure
from tests.evidence.gdal_parquet import NotBuilt, built_driver, differing_by_gdal
from tests.pipelines.small_season import SMALL_DEMO
from tests.transforms.reporting.reading import differing_in_layers, differing_in_sdmx


def run(
    scratch: Path, place: Place = DEMO_PLACE, revisit: Revisit | None = None, gdal: bool = True
) -> Iterator[Figure]:
    """Values that differ in SDMX and in the GeoPackage, with ``gdal`` in GeoParquet, and the time a report takes."""
    run_demo(scratch / "demo", place, revisit)
    config = load(scratch / "demo" / "demo.yaml", MapConfiguration)
    folder = scratch / "report"
    start = time.perf_counter()
    run_report(config, YEAR, folder)
    seconds = time.perf_counter() - start
    edition = published_edition(config, YEAR)
    vintage = vintage_of(edition, config.region.vintage)
    areas = areas_table(edition, thresholds_of(config), vintage)
    found = observations(edition, areas, estimates_table(edition, vintage)).table
    values = len(found) * (found.shape[1] - len(DIMENSIONS))
    note = f"of {values} values of {len(found)} observations, written by pysdmx, read by sdmx1; aim 0"
    yield Figure("report.sdmx_differing", differing_in_sdmx(folder / "sdmx", found), note)
    note = f"of {areas.size} values in {areas['product'].nunique()} layers, read by GDAL; aim 0"
    yield Figure("report.gpkg_differing", differing_in_layers(folder / "areas.gpkg", areas), note)
    if gdal:
        yield from by_gdal(scratch, folder)
    yield Figure("report.seconds", seconds, "all files of the demonstration's report, its sample's estimates included")


def by_gdal(scratch: Path, folder: Path) -> Iterator[Figure]:
    """Values of both GeoParquet files that differ when GDAL's own driver reads them, where it can be built."""
    try:
        plugin = built_driver(scratch)
    except NotBuilt as error:
        print(f"# report.geoparquet_differing left out: GDAL's Parquet driver cannot be built: {error}", flush=True)
        return
    tables = [folder / f"{name}.parquet" for name in ("areas", "estimates")]
    found = sum(differing_by_gdal(plugin, table.with_suffix(".geoparquet"), table) for table in tables)
    values = sum(pd.read_parquet(table).size for table in tables)
    note = f"of {values} values in 2 files, read by GDAL {'.'.join(map(str, pyogrio.__gdal_version__))}; aim 0"
    yield Figure("report.geoparquet_differing", found, note)


BY_GDAL = frozenset({"report.geoparquet_differing"})
EXPERIMENT = Experiment("report", run, small=SMALL_DEMO | {"gdal": False}, full_only=BY_GDAL)
