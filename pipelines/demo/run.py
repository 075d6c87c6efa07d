"""``stook demo``: simulate a place, map it, hold the districts' hectares against the truth, draw the map."""

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from stook.models.errors import InputError, TileError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.demo.picture import draw
from stook.pipelines.demo.place import DEMO_PRODUCTS, YEAR, write_place
from stook.pipelines.demo.survey import cropland_in_all, survey
from stook.pipelines.demo.truth import (
    BuildingComparison,
    CroplandComparison,
    PileComparison,
    compare_buildings,
    compare_cropland,
    compare_piles,
)
from stook.pipelines.figures.report import run_report
from stook.pipelines.map import run_map
from stook.pipelines.progress import TerminalReporter
from stook.pipelines.sections import load
from stook.transforms.editions.edition import Edition
from stook.transforms.ground.region import Region
from stook.transforms.reporting.export import export
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.pictures import PICTURE_ASSET, PICTURE_COLLECTION
from stook.transforms.simulation.scenes import Revisit
from stook.transforms.statistics.sums import places
from stook.transforms.store import fetched, json_bytes

DEMO_PLACE, TILE_PX = Place(), 200
GROWING_MONTHS = ("08", "09", "10")
MARKER = "simulated-by-stook.json"
MAPS = ("cropland", "building_coverage", "harvest_piles")
TITLE = "SIMULATED landscape near 36° E, 9° N (dotted: the meridian between two UTM zones)"


def run_demo(folder: Path, place: Place = DEMO_PLACE, revisit: Revisit | None = None) -> dict[str, float]:
    """Run the demonstration in ``folder`` at a simulated place; returns its figures by name.

    Args:
        folder: Where everything is written.
        place: Which.
        revisit: How often each satellite looks.

    Raises:
        InputError: If the folder holds something else.
    """
    start = time.perf_counter()
    reporter = TerminalReporter()
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise InputError(f"--folder {folder}: is not empty and not a demonstration's; name another")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_bytes(json_bytes({"simulated": True}))
    reporter.say("simulation_started", "simulating a landscape and a year of scenes (nothing here is real)")
    written = write_place(folder, place, TILE_PX, DEMO_PRODUCTS, revisit)
    config = load(written.config, MapConfiguration)
    result = run_map(config, YEAR, reporter)
    if not result.published:
        raise TileError(f"the demonstration could not map its own scenes: {next(iter(result.failed.values()))}")
    edition = result.edition
    cropland = compare_cropland(edition, written.truth)
    buildings = compare_buildings(edition, written.truth, written.footprints)
    piles = compare_piles(edition, written.truth)
    print_districts(edition, cropland, buildings, piles)
    surveyed = cropland_in_all(survey(config, written.truth))
    print("The interpreters of the sample are SIMULATED: they answer from the truth, with slips.")
    report = run_report(config, YEAR, None)
    maps = export(edition, folder / "exports")
    picture = draw(
        folder,
        scenes=clearest_scenes(folder / "archive"),
        pictures=sorted((folder / "archive" / PICTURE_COLLECTION).glob(f"*/{PICTURE_ASSET}.tif")),
        truth=written.truth,
        exported={name: [fetched(path) for path in maps if fnmatch(path.name, f"*_{name}_?????.tif")] for name in MAPS},
        units=folder / "districts.geojson",
        title=TITLE,
    )
    figures = {
        "demo.auc": cropland.auc,
        "demo.buildings_r2": buildings.r2,
        "demo.buildings_interval_coverage": buildings.covered,
        "demo.piles_accuracy": piles.accuracy,
        "demo.piles_average_precision": piles.average_precision,
        "demo.cropland_estimate_ha": surveyed["value"],
        "demo.cropland_margin_ha": (surveyed["high"] - surveyed["low"]) / 2,
        "demo.cropland_truth_ha": sum(cropland.truth_ha.values()),
        "demo.seconds": time.perf_counter() - start,
    }
    print(f"picture: {picture}\nmaps for a GIS: {folder / 'exports'}\nfigures to publish: {report[0].parent}")
    print(f"again: stook statistics {written.config} --year {YEAR}")
    for name, value in figures.items():
        print(f"{name} {value:.4g}")
    return figures


def print_districts(
    edition: Edition, cropland: CroplandComparison, buildings: BuildingComparison, piles: PileComparison
) -> None:
    """Print what the maps say beside what is true, per district."""
    table = pd.read_parquet(fetched(edition.folder / "statistics.parquet"))
    table = table[table["level"] != "region"]
    members: dict[tuple[str, str], list[str]] = defaultdict(list)
    for unit in Region.read(edition.units).units:
        for place in places(unit):
            members[place].append(unit.id)

    def show(title: str, product: str, headings: dict[str, str], truth: Mapping[str, float], decimals: int = 1) -> None:
        shown = Table(title=title, title_justify="left", box=None)
        for heading in ("district", *headings.values(), "truth"):
            shown.add_column(heading, justify="left" if heading == "district" else "right")
        for _, row in table[table["product"] == product].iterrows():
            true = sum(truth.get(unit, 0) for unit in members[row["level"], row["id"]])
            figures = (*(row[name] for name in headings), true)
            shown.add_row(row["name"], *(f"{value:,.{decimals}f}" for value in figures))
        Console(width=110).print(shown)

    show(
        "Cropland of the SIMULATED districts, hectares",
        "cropland",
        {
            "total_ha": "in all",
            "mapped_ha": "mapped",
            "area_ha": "on the map (50 % or more)",
            "expected_ha": "sum of probabilities",
        },
        cropland.truth_ha,
    )
    show(
        "Ground under roofs in the SIMULATED districts, hectares",
        "building_coverage",
        {"total_ha": "in all", "mapped_ha": "mapped", "area_ha": "on the map", "low_ha": "from", "high_ha": "to"},
        buildings.truth_ha,
    )
    show(
        "Cells of 250 m with harvest piles in the SIMULATED districts",
        "harvest_piles",
        {"cells": "in all", "cells_mapped": "wholly pictured", "cells_of_class": "with piles on the map"},
        piles.truth_cells,
        decimals=0,
    )


def clearest_scenes(archive: Path) -> list[Path]:
    """Folders of the scenes of the least cloudy day of the growing season, one per zone."""
    scenes: dict[str, list[tuple[float, Path]]] = {}
    for path in archive.glob("sentinel-2-l2a/*/*.json"):
        properties = json.loads(path.read_bytes())["properties"]
        day = properties["datetime"][:10]
        if day[5:7] in GROWING_MONTHS:
            scenes.setdefault(day, []).append((properties["eo:cloud_cover"], path.parent))
    clearest = min(scenes.values(), key=lambda found: sum(cover for cover, _ in found))
    return [folder for _, folder in clearest]
