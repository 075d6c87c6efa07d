"""The simulated place of the demonstration on disk: archive, units, truth and configuration."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from transforms.simulation.districts import write_units
from transforms.simulation.ground import Place
from transforms.simulation.landscape import Landscape
from transforms.simulation.scenes import OPTICAL_COLLECTION, RADAR_COLLECTION, Revisit, write_archive
from transforms.simulation.truth import write_footprints, write_truth

YEAR = 2023
BUNDLE = Path(__file__).parent / "bundle"
BUILDINGS_BUNDLE = Path(__file__).parent / "bundle-buildings"
WINDOW = {"start": {"month": 1, "year": 0}, "months": 12}


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


def imagery_section(catalog: Path) -> dict[str, dict[str, str]]:
    """The ``imagery`` section for a simulated archive."""
    return {
        "sentinel2": {"catalog": str(catalog), "collection": OPTICAL_COLLECTION, "profile": "scaled-1e-4"},
        "sentinel1": {"catalog": str(catalog), "collection": RADAR_COLLECTION, "profile": "linear-power"},
    }


def write_place(
    folder: Path,
    place: Place,
    tile_px: int,
    bundles: Mapping[str, Path] | None = None,
    revisit: Revisit | None = None,
) -> DemoPlace:
    """Simulate ``place`` and write all that mapping it needs; paths in the configuration are relative to ``folder``.

    Args:
        folder: Where everything is written.
        place: Which.
        tile_px: Side of a tile.
        bundles: Product -> bundle; those of the demonstration if absent.
        revisit: How often each satellite looks.
    """
    bundles = bundles or {"cropland": BUNDLE, "building_coverage": BUILDINGS_BUNDLE}
    landscape = Landscape.simulate(place)
    catalog = write_archive(landscape, folder / "archive", YEAR, revisit)
    units = write_units(landscape, folder / "districts.geojson")
    truth = write_truth(landscape, folder / "truth")
    footprints = write_footprints(landscape, folder / "footprints.geojson")
    config = folder / "demo.yaml"
    configuration = {
        "name": "simulated",
        "region": {"file": units.name, "id": "unit_id", "name": "name", "parent": ["parent_id", "country_id"]},
        "imagery": imagery_section(Path("archive") / catalog.name),
        "season": {"name": "main"},
        "products": {
            product: {"bundle": os.path.relpath(bundle, folder), "window": WINDOW}
            for product, bundle in bundles.items()
        },
        "grid": {"tile_px": tile_px},
        "output": "out",
    }
    text = "# Written by 'stook demo'. Everything here is simulated.\n" + yaml.safe_dump(configuration, sort_keys=False)
    config.write_text(text)
    return DemoPlace(config, truth, footprints)
