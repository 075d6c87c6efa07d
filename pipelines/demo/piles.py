"""The demonstration's bundle of harvest piles, from simulated places of their own: ``pipelines/demo/bundle-piles``.

A pile is two or three pixels wide in a chip of 168. An encoder with random weights does not find it by the label of the
chip alone, so it first learns from close looks: cells of 50 m around heaps of every kind and around nothing. What it
then knows it brings along to cells of 250 m. Both trainings are those of ``stook train``.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
from pyproj import Transformer

from stook.models.bundle import Bundle
from stook.models.resnet import ResNet, ResNetSize
from stook.pipelines.demo.archives import together
from stook.pipelines.demo.place import PILES_BUNDLE, PILES_WINDOW, YEAR
from stook.pipelines.fine_tune import FineTuned, run_fine_tuning
from stook.pipelines.progress import TerminalReporter
from stook.pipelines.training_configuration import TrainConfiguration
from stook.transforms.simulation.campaign import WHOLE, Campaign
from stook.transforms.simulation.catalogue import CatalogueWriter
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.heaps import HeapKind, Heaps
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.phenology import Weather
from stook.transforms.simulation.pictures import PICTURE_COLLECTION, write_pictures
from stook.transforms.simulation.truth import OUTSIDE, write_truth

CAMPAIGN = Campaign(WHOLE)  # every cell is pictured on each of the three dates
POSITIONS = ((38.2, 9.4), (33.4, 7.6), (40.4, 11.2), (37.5, 8.2), (39.3, 12.3), (34.2, 11.4), (40.8, 8.8), (38.7, 7.1),
             (33.8, 9.1))  # fmt: skip
TRAINING_PLACES = tuple(Place(lon, lat, 4000, 4000, seed) for seed, (lon, lat) in enumerate(POSITIONS, 201))
HELD_OUT_PLACE = Place(34.4, 10.1, 4000, 4000, seed=299)
CLOSE_PLACES = 4  # of the training places, from which close looks are taken
CELL_M, CHIP_PX = 250.0, 168  # 252 m of 1.5 m
CLOSE_CELL_M, CLOSE_CHIP_PX = 50.0, 34  # 51 m
EMPTY_PER_DAY = 600  # places at random, at which a close look mostly finds nothing
WIDTH = 8
BLOCK_M = 2000.0
LICENCE = "Apache-2.0, simulated"
SHEAVES, NOTHING = HeapKind.SHEAVES.name.lower(), "nothing"


def train_piles(folder: Path) -> FineTuned:
    """Simulate, train, judge, write; prints how good the bundle is at the place that was held out."""
    places = {str(place.seed): place for place in (*TRAINING_PLACES, HELD_OUT_PLACE)}
    for name, place in places.items():
        write_piles(place, folder / name)
    catalog = together([folder / name / "archive" for name in places], folder / "together")
    *training, held_out = [folder / name for name in places]
    close = run_fine_tuning(close_training(folder, catalog, training[:CLOSE_PLACES]), TerminalReporter())
    widened(close.bundle, folder / "start")
    result = run_fine_tuning(piles_training(folder, catalog, training, held_out), TerminalReporter())
    for name, measured in result.held_out.items():
        print(f"{name}: {measured}")
    return result


def write_piles(place: Place, folder: Path) -> None:
    """Simulate a place: ``archive`` with its pictures, ``heaps.geojson`` and ``cells.geojson`` with the day of each."""
    landscape = Landscape.simulate(place)
    writer = CatalogueWriter(folder / "archive", "Simulated pictures")
    write_pictures(writer, landscape, CAMPAIGN, YEAR)
    writer.save()
    close_labels(landscape).to_file(folder / "heaps.geojson")
    cell_labels(landscape, folder / "truth").to_file(folder / "cells.geojson")


def close_labels(landscape: Landscape) -> gpd.GeoDataFrame:
    """Heaps that stand on the day of a pass with their ``kind``: all sheaves, as many others and places at random.

    Where nothing was meant to be and sheaves stand, the cell's labels disagree, and it is left out.
    """
    place = landscape.place
    heaps, random = Heaps.of(landscape, Weather.of(place, YEAR)), np.random.default_rng(place.seed)
    parts = []
    for strip in CAMPAIGN.strips:
        standing = heaps.standing(strip.season_day)
        kinds = [HeapKind(code).name.lower() for code in standing.kind] + [NOTHING] * EMPTY_PER_DAY
        somewhere = random.uniform(-0.5, 0.5, (2, EMPTY_PER_DAY)) * [[place.width_m], [place.height_m]]
        x, y = np.concatenate([standing.x, somewhere[0]]), np.concatenate([standing.y, somewhere[1]])
        sheaves = np.array(kinds) == SHEAVES
        others = random.choice(np.flatnonzero(~sheaves), min(sheaves.sum(), (~sheaves).sum()), replace=False)
        chosen = sheaves | np.isin(np.arange(len(kinds)), others)
        chosen &= (np.abs(x) < place.width_m / 2) & (np.abs(y) < place.height_m / 2)
        day = str(CAMPAIGN.date(strip, place, YEAR))
        parts.append(pd.DataFrame({"kind": kinds, "day": day, "x": x, "y": y})[chosen])
    table = pd.concat(parts, ignore_index=True)
    points = gpd.points_from_xy(table.pop("x"), table.pop("y"), crs=place.frame)
    return gpd.GeoDataFrame(table, geometry=points).to_crs(4326)


def cell_labels(landscape: Landscape, folder: Path) -> gpd.GeoDataFrame:
    """The middle of each cell with whether it holds a pile, ``piles`` 0 or 1, on each ``day``."""
    parts = []
    for files in write_truth(landscape, folder, YEAR, CAMPAIGN).values():
        for strip in CAMPAIGN.strips:
            day = CAMPAIGN.date(strip, landscape.place, YEAR)
            with rasterio.open(files[f"piles-{day:%Y%m%d}"]) as file:
                values, affine, crs = file.read(1), file.transform, file.crs
            rows, columns = np.nonzero(values != OUTSIDE)
            lonlat = Transformer.from_crs(crs, 4326, always_xy=True).transform(*(affine @ (columns + 0.5, rows + 0.5)))
            table = {"piles": values[rows, columns].astype(int), "day": str(day)}
            parts.append(gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(*lonlat), crs=4326))
    return pd.concat(parts, ignore_index=True)


def widened(close: Bundle, folder: Path) -> None:
    """Write a bundle whose encoder, which takes any size of picture, is told to look at whole cells."""
    size = close.encoder.size
    assert isinstance(size, ResNetSize)
    encoder = ResNet(replace(size, chip_px=CHIP_PX))
    encoder.load_own(close.encoder.state_dict())
    origin = f"ResNet-{size.depth}, trained on simulated heaps"
    provenance = replace(close.provenance, encoder=origin)
    Bundle(encoder, close.task, replace(close.conditions, cell_m=CELL_M), provenance).save(folder)


def close_training(folder: Path, catalog: Path, places: list[Path]) -> TrainConfiguration:
    """Heaps of sheaves against other heaps and nothing, in cells of 50 m."""
    others = [kind.name.lower() for kind in HeapKind if kind != HeapKind.SHEAVES]
    untrained = {"depth": 18, "bands": ["red", "green", "blue"], "chip_px": CLOSE_CHIP_PX, "resolution_m": 1.5}
    classes = {"field": "kind", "positive": [SHEAVES], "negative": [NOTHING, *others]}
    return training(
        catalog,
        bundle=str(folder / "close"),
        encoder={"untrained": untrained | {"width": WIDTH}},
        cell_m=CLOSE_CELL_M,
        fine_tuning={"epochs": 20, "patience": 10, "batch": 64, "learning_rate": 3e-3},
        labels=[labels(place / "heaps.geojson", **classes) for place in places],
    )


def piles_training(folder: Path, catalog: Path, places: list[Path], held_out: Path) -> TrainConfiguration:
    """Cells of 250 m with a pile against those without."""
    classes = {"field": "piles", "positive": [1], "negative": [0]}
    return training(
        catalog,
        bundle=str(PILES_BUNDLE),
        encoder={"bundle": str(folder / "start")},
        cell_m=CELL_M,
        fine_tuning={"epochs": 12, "patience": 6, "batch": 32, "learning_rate": 2e-3},
        labels=[labels(place / "cells.geojson", **classes) for place in places],
        held_out=[labels(held_out / "cells.geojson", **classes)],
    )


def training(catalog: Path, **fields: Any) -> TrainConfiguration:
    """What both trainings have in common."""
    common = {"product": "harvest_piles", "window": PILES_WINDOW, "head": "linear", "block_m": BLOCK_M}
    pictures = {"catalog": str(catalog), "collection": PICTURE_COLLECTION, "profile": "rgb-8bit"}
    return TrainConfiguration.model_validate(
        {"name": "Demonstration, SIMULATED", "imagery": {"rgb": pictures}, "training": common | fields}
    )


def labels(file: Path, **classes: Any) -> dict[str, Any]:
    """The ``labels`` section of a simulated place."""
    return {"file": str(file), "year": YEAR, "date": "day", "licence": LICENCE, **classes}
