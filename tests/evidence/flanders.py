"""Real imagery and labels: train on one site, map the other, and the reverse."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from models.metrics import auc, bootstrap
from pipelines.configuration import MapConfiguration, TrainConfiguration, load
from pipelines.map import run_map
from pipelines.progress import JsonReporter
from pipelines.statistics import print_table, run_statistics
from pipelines.train import run_training
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure
from transforms.editions import Edition
from transforms.grid import Grid, Tile, TileRange
from transforms.labels import Classes, LabelledPixels, read_labels
from transforms.map_store import extents, open_layer
from transforms.products import NODATA

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "infra/examples/flanders"
LABELS = SHARED / "data/flanders/labels"
CLASSES = Classes((11,), (13, 60))
TRIAL = {"west_to_east": 0.906, "east_to_west": 0.855}
DIRECTIONS = {"west_to_east": ("west", "east", 2019), "east_to_west": ("east", "west", 2018)}


def run(scratch: Path) -> Iterator[Figure]:
    """Accuracy in both directions, with the fixed protocol and with what training chooses; the table of the units."""
    tables = []
    for direction, (trained, mapped, year) in DIRECTIONS.items():
        for suffix, name in (("", "auc"), ("-chosen", "auc_chosen")):
            folder = scratch / f"{direction}{suffix}"
            training = load(relocated(EXAMPLES / f"train-{trained}{suffix}.yaml", folder), TrainConfiguration)
            strength = run_training(training, JsonReporter()).strength
            config = load(
                relocated(EXAMPLES / f"map-{mapped}.yaml", folder, training.training.bundle), MapConfiguration
            )
            edition = run_map(config, year, JsonReporter()).edition
            labels = read_labels(LABELS / f"{mapped}_LC.tif", CLASSES, parcels=LABELS / f"{mapped}_CT.tif")
            percent = values_at(edition, labels)
            truth, parcels = labels.table["label"].to_numpy(), labels.table["parcel"].to_numpy()
            found = percent != NODATA
            estimate = bootstrap(auc, truth[found], percent[found], parcels[found])
            count = len(np.unique(parcels[found]))
            note = f"[{estimate.low:.3f}, {estimate.high:.3f}] over {count} parcels; C = {strength:g}"
            target = f"; quick trial {TRIAL[direction]}" if not suffix else "; C chosen on the training site alone"
            yield Figure(f"flanders.{name}.{direction}", estimate.value, note + target)
            if not suffix:
                tables.append(run_statistics(config, year, None, None))
                yield Figure(
                    f"flanders.mapped_share.{direction}", mapped_share(tables[-1], mapped), "of the mapped site"
                )
    for table in tables:
        print_table(table)


def relocated(example: Path, folder: Path, bundle: str | None = None) -> Path:
    """A copy of an example that writes into ``folder``; archives, labels and weights stay where they are."""
    settings = yaml.safe_load(example.read_text().replace("../../../../shared", str(SHARED)))
    if "training" in settings:
        settings["training"]["bundle"] = "bundle"
    else:
        settings["output"] = "out"
        settings["products"]["cropland"]["bundle"] = bundle
    folder.mkdir(parents=True, exist_ok=True)
    (folder / example.name).write_text(yaml.safe_dump(settings))
    return folder / example.name


def values_at(edition: Edition, labels: LabelledPixels) -> np.ndarray:
    """The map at labelled pixels, uint8 [pixel]."""
    tiles = [Tile.parse(name) for name in edition.manifest["tiles"]]
    spans: dict[str, TileRange] = {zone.name: span for zone, span in extents(tiles).items()}
    values = np.full(len(labels), NODATA, np.uint8)
    grid: Grid = edition.plan.grid
    for zone, part in labels.table.groupby("zone"):
        span = spans[str(zone)]
        top = span.iy1 * grid.tile_px - 1
        array = open_layer(edition.maps, str(zone), grid.resolution_m, "cropland")
        rows, columns = top - part["row"].to_numpy(), part["column"].to_numpy() - span.ix0 * grid.tile_px
        values[part.index] = array.get_coordinate_selection((rows, columns))
    return values


def mapped_share(table: pd.DataFrame, site: str) -> float:
    """Share of the area of a site's units that has a value."""
    part = table[(table["level"] == "unit") & table["id"].str.contains(f"-{site}-")]
    return float(part["mapped_dm2"].sum() / part["total_dm2"].sum())


EXPERIMENT = Experiment("flanders", run, needs_shared=True)
