"""``stook demo``: simulate a place, map it, hold the districts' hectares against the truth, draw the map."""

import json
import time
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from models.errors import InputError, TileError
from pipelines.configuration import MapConfiguration, load
from pipelines.demo.picture import draw
from pipelines.demo.place import YEAR, write_place
from pipelines.demo.truth import Comparison, compare
from pipelines.map import MapResult, run_map
from pipelines.progress import TerminalReporter
from transforms.export import export
from transforms.region import Region
from transforms.simulation.ground import Place
from transforms.statistics import places, statistics

TILE_PX = 200
GROWING_MONTHS = ("08", "09", "10")
MARKER = "simulated-by-stook.json"
TITLE = "SIMULATED landscape near 36° E, 9° N (dotted: the meridian between two UTM zones)"


def run_demo(folder: Path) -> dict[str, float]:
    """Run the demonstration in ``folder``; returns its figures by name.

    Raises:
        InputError: If the folder holds something else.
    """
    start = time.perf_counter()
    reporter = TerminalReporter()
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise InputError(f"--folder {folder}: is not empty and not a demonstration's; name another")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(json.dumps({"simulated": True}) + "\n")
    reporter.say("simulation_started", "simulating a landscape and a year of scenes (nothing here is real)")
    place = write_place(folder, Place(), TILE_PX)
    config = load(place.config, MapConfiguration)
    result = run_map(config, YEAR, reporter)
    if not result.published:
        raise TileError(f"the demonstration could not map its own scenes: {next(iter(result.failed.values()))}")
    comparison = compare(result.edition, place.truth)
    print_districts(result, comparison)
    maps = export(result.edition, folder / "exports")
    picture = draw(
        folder,
        scenes=clearest_scenes(folder / "archive"),
        truth=[files["cropland"] for files in place.truth.values()],
        exported=next(path for path in maps if path.name.endswith("cropland.vrt")),
        units=folder / "districts.geojson",
        title=TITLE,
    )
    figures = {"demo.auc": comparison.auc, "demo.seconds": time.perf_counter() - start}
    print(f"picture: {picture}\nmaps for a GIS: {folder / 'exports'}")
    print(f"again: stook statistics {place.config} --year {YEAR}")
    for name, value in figures.items():
        print(f"{name} {value:.4g}")
    return figures


def print_districts(result: MapResult, comparison: Comparison) -> None:
    """Print hectares on the map beside the true ones, per district."""
    table = statistics(result.edition, {"cropland": 50})
    region = Region.read(result.edition.units)
    shown = Table(title="Cropland of the SIMULATED districts, hectares", title_justify="left", box=None)
    for heading in ("district", "on the map (50 % or more)", "sum of probabilities", "truth", "not mapped", "in all"):
        shown.add_column(heading, justify="left" if heading == "district" else "right")
    members: dict[tuple[str, str], list[str]] = defaultdict(list)
    for unit in region.units:
        for place in places(unit):
            members[place].append(unit.id)
    for _, row in table[table["level"] != "region"].iterrows():
        truth = sum(comparison.truth_ha[unit] for unit in members[row["level"], row["id"]])
        not_mapped = row["total_ha"] - row["mapped_ha"]
        figures = (row["area_ha"], row["expected_ha"], truth, not_mapped, row["total_ha"])
        shown.add_row(row["name"], *(f"{value:,.1f}" for value in figures))
    Console(width=110).print(shown)


def clearest_scenes(archive: Path) -> list[Path]:
    """Folders of the scenes of the least cloudy day of the growing season, one per zone."""
    scenes: dict[str, list[tuple[float, Path]]] = {}
    for path in archive.glob("sentinel-2-l2a/*/*.json"):
        properties = json.loads(path.read_text())["properties"]
        day = properties["datetime"][:10]
        if day[5:7] in GROWING_MONTHS:
            scenes.setdefault(day, []).append((properties["eo:cloud_cover"], path.parent))
    clearest = min(scenes.values(), key=lambda found: sum(cover for cover, _ in found))
    return [folder for _, folder in clearest]
