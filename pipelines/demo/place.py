"""The simulated place of the demonstration on disk: archive, units, truth and configuration."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stook.transforms.simulation.campaign import Campaign
from stook.transforms.simulation.districts import write_units
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.pictures import PICTURE_COLLECTION
from stook.transforms.simulation.scenes import OPTICAL_COLLECTION, RADAR_COLLECTION, Revisit, write_archive
from stook.transforms.simulation.truth import write_footprints, write_truth

YEAR = 2023
BUNDLE = Path(__file__).parent / "bundle"
BUILDINGS_BUNDLE = Path(__file__).parent / "bundle-buildings"
PILES_BUNDLE = Path(__file__).parent / "bundle-piles"
WINDOW = {"start": {"month": 1, "year": 0}, "months": 12}
PILES_WINDOW = {"start": {"month": 11, "year": 0}, "months": 2}
DEMO_PRODUCTS: dict[str, dict[str, Any]] = {
    "cropland": {"bundle": BUNDLE, "window": WINDOW, "smoothing": {"minimum_mapping_unit_ha": 0.1}},
    "building_coverage": {"bundle": BUILDINGS_BUNDLE, "window": WINDOW},
    "harvest_piles": {"bundle": PILES_BUNDLE, "window": PILES_WINDOW},
    "farmed_cells": {},
}


SAMPLE: dict[str, Any] = {"product": "cropland", "points": 400, "seed": 1, "answers": {"rule": "majority"}}


@dataclass(frozen=True)
class DemoPlace:
    """Where everything of the demonstration stands.

    Attributes:
        config: Configuration for ``stook map``.
        truth: EPSG code -> layer -> GeoTIFF.
        footprints: Of every house.
    """

    config: Path
    truth: dict[int, dict[str, Path]]
    footprints: Path


def imagery_section(catalog: Path, pictures: bool = False) -> dict[str, dict[str, str]]:
    """The ``imagery`` section for a simulated archive, with its high-resolution pictures if it has any."""
    section = {
        "sentinel2": {"catalog": str(catalog), "collection": OPTICAL_COLLECTION, "profile": "scaled-1e-4"},
        "sentinel1": {"catalog": str(catalog), "collection": RADAR_COLLECTION, "profile": "linear-power"},
    }
    if pictures:
        section["rgb"] = {"catalog": str(catalog), "collection": PICTURE_COLLECTION, "profile": "rgb-8bit"}
    return section


def write_place(
    folder: Path,
    place: Place,
    tile_px: int,
    products: Mapping[str, Mapping[str, Any]],
    revisit: Revisit | None = None,
) -> DemoPlace:
    """Simulate ``place`` and write all that mapping it needs; paths in the configuration are relative to ``folder``.

    Args:
        folder: Where everything is written.
        place: Which.
        tile_px: Side of a tile.
        products: The ``products`` section; paths of bundles as seen from here.
        revisit: How often each satellite looks.
    """
    landscape, campaign = Landscape.simulate(place), Campaign()
    catalog = write_archive(landscape, folder / "archive", YEAR, revisit, campaign)
    units = write_units(landscape, folder / "districts.geojson")
    truth = write_truth(landscape, folder / "truth", YEAR, campaign)
    footprints = write_footprints(landscape, folder / "footprints.geojson")
    config = folder / "demo.yaml"
    configuration = {
        "name": "simulated",
        "region": {"file": units.name, "id": "unit_id", "name": "name", "parent": ["parent_id", "country_id"]},
        "imagery": imagery_section(Path("archive") / catalog.name, pictures=True),
        "season": {"name": "main"},
        "products": {
            name: {**section, "bundle": seen_from(folder, section["bundle"])} if "bundle" in section else section
            for name, section in products.items()
        },
        "sample": SAMPLE,
        "grid": {"tile_px": tile_px},
        "output": "out",
    }
    text = "# Written by 'stook demo'. Everything here is simulated.\n" + yaml.safe_dump(configuration, sort_keys=False)
    config.write_text(text, encoding="utf-8")
    return DemoPlace(config, truth, footprints)


def seen_from(folder: Path, path: str | Path) -> str:
    """A path relative to a folder; as it is where it is on another drive, as Windows has them."""
    try:
        return os.path.relpath(path, folder)
    except ValueError:
        return str(path)
