"""Simulated places for the figures of building coverage, and the chips and true shares of their cells."""

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
from pyproj import Transformer

from stook.models.resnet import ResNet, ResNetSize
from stook.pipelines.demo.place import WINDOW, YEAR, imagery_section
from stook.pipelines.sections import ImagerySection, WindowSection
from stook.transforms.encoding.chips import ChipLayout
from stook.transforms.ground.grid import Grid, Zone
from stook.transforms.labelled.chips_of_cells import PlacedChips, composite_chips
from stook.transforms.labelled.features import SeasonReader, SeasonSettings
from stook.transforms.labelled.footprints import read_footprints
from stook.transforms.simulation.country import PLATEAU, SAVANNA, Country
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.phenology import OPTICAL_BANDS, RADAR_BANDS
from stook.transforms.simulation.scenes import Revisit, write_archive
from stook.transforms.simulation.truth import write_footprints

SIZE = ResNetSize(
    depth=18, bands=(*RADAR_BANDS, *OPTICAL_BANDS), chip_px=32, width=12, period="month-mean"
)  # the demonstration's
CELL_PX, CELL_M, BLOCK_M = 10, 100.0, 1500.0
MINIMUM_OBSERVATIONS = 3
GRID = Grid(tile_px=320)  # a place in the middle of a tile is read at once


@dataclass(frozen=True)
class Sites:
    """The places of the figures; no two share ground, seed or weather.

    Attributes:
        trained: Of the first country, fitted, stopped early and calibrated on.
        seen: Of the first country, never trained on.
        unseen: Of the second country, of which nothing is trained on.
    """

    trained: tuple[Place, ...]
    seen: tuple[Place, ...]
    unseen: tuple[Place, ...]


def sites(trained: int, held_out: int, side_m: float) -> Sites:
    """So many places at positions drawn from their seeds."""
    return Sites(
        trained=tuple(place(SAVANNA, 601 + number, side_m) for number in range(trained)),
        seen=tuple(place(SAVANNA, 701 + number, side_m) for number in range(held_out)),
        unseen=tuple(place(PLATEAU, 801 + number, side_m) for number in range(held_out)),
    )


def place(country: Country, seed: int, side_m: float) -> Place:
    """A place in the middle of a tile of ``GRID``, somewhere between 4° and 13° N in zones 36 and 37."""
    random = np.random.default_rng([seed, 5])
    zone = Zone(int(random.integers(36, 38)))
    tile_m = GRID.tile_px * GRID.resolution_m
    east, north = ((int(random.integers(*span)) + 0.5) * tile_m for span in ((90, 220), (140, 440)))
    lon, lat = Transformer.from_crs(zone.epsg, 4326, always_xy=True).transform(east, north)
    return Place(float(lon), float(lat), side_m, side_m, seed, country)


SITES, SMALL_SITES = sites(8, 2, 3000.0), sites(3, 1, 1000.0)


def chips(place: Place, folder: Path, revisit: Revisit) -> PlacedChips:
    """Simulate a place and a year of scenes, and read its cells by the ordinary path.

    Returns:
        A chip float32 [1, band, 32, 32] around every cell of 100 m with its true share 0…1; some 800 of a place.
    """
    landscape = Landscape.simulate(place)
    catalog = write_archive(landscape, folder / "archive", YEAR, revisit)
    footprints, area = write_footprints(landscape, folder / "footprints.geojson"), folder / "surveyed.geojson"
    gpd.GeoSeries([place.rectangle().geom], crs=place.frame).to_crs(4326).to_file(area)
    labels = read_footprints(footprints, area, CELL_M)
    specification, output = ResNet.interface(SIZE)
    layout = ChipLayout.of(specification, output, CELL_PX)
    window = WindowSection.model_validate(WINDOW).window()
    periods = window.periods(YEAR, specification.period, specification.most_periods)
    sources = ImagerySection.model_validate(imagery_section(catalog), context={"folder": folder}).sources()
    settings = SeasonSettings(sources, periods, cloud_dilation_px=0, readers=1)
    reader = SeasonReader(specification, settings, labels.bounds, GRID, layout.halo_px)
    return composite_chips(labels, reader, layout, specification, MINIMUM_OBSERVATIONS, BLOCK_M)
