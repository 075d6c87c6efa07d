"""Train the demonstration's building coverage on SIMULATED places of its own, by the way that users take."""

from pathlib import Path

import geopandas as gpd

from stook.pipelines.demo.archives import together
from stook.pipelines.demo.place import BUILDINGS_BUNDLE, WINDOW, YEAR, imagery_section
from stook.pipelines.fine_tune import run_fine_tuning
from stook.pipelines.progress import TerminalReporter
from stook.pipelines.training_configuration import TrainConfiguration
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.phenology import OPTICAL_BANDS, RADAR_BANDS
from stook.transforms.simulation.scenes import write_archive
from stook.transforms.simulation.truth import write_footprints

SIDE_M = 3000.0
CORNERS = ((33.2, 6.4), (34.6, 7.3), (37.1, 8.6), (38.4, 6.9), (39.7, 10.2), (40.9, 11.4), (33.9, 11.8), (37.8, 12.6),
           (34.2, 9.1), (40.1, 7.7))  # fmt: skip
TRAINING_PLACES = tuple(
    Place(longitude, latitude, SIDE_M, SIDE_M, seed=121 + number)
    for number, (longitude, latitude) in enumerate(CORNERS)
)
HELD_OUT_PLACE = Place(34.5, 10.0, SIDE_M, SIDE_M, seed=131)
BANDS = (*RADAR_BANDS, *OPTICAL_BANDS)
CELL_PX = 10
BLOCK_M = 10_000.0  # a place or most of it stays on one side: chips of 320 m would reach into smaller blocks


def train_buildings(folder: Path) -> None:
    """Simulate in ``folder``, train a narrow ResNet with its quantiles, judge it, write the bundle."""
    places = (*TRAINING_PLACES, HELD_OUT_PLACE)
    homes = [folder / str(place.seed) for place in places]
    for place, home in zip(places, homes, strict=True):
        write_surveyed(place, home)
    labels = [building_labels(home, place) for home, place in zip(homes, places, strict=True)]
    network = {"depth": 18, "bands": list(BANDS), "chip_px": 32, "width": 12, "composite": "months"}
    config = TrainConfiguration.model_validate(
        {
            "name": "Demonstration, SIMULATED",
            "imagery": imagery_section(together([home / "archive" for home in homes], folder / "together")),
            "training": {
                "product": "building_coverage",
                "bundle": str(BUILDINGS_BUNDLE),
                "encoder": {"untrained": network},
                "window": WINDOW,
                "stride_px": CELL_PX,
                "head": "quantiles",
                "fine_tuning": {"epochs": 40, "patience": 12, "batch": 64, "learning_rate": 3e-3},
                "labels": labels[:-1],
                "held_out": labels[-1:],
                "block_m": BLOCK_M,
            },
        }
    )
    result = run_fine_tuning(config, TerminalReporter())
    for place_name, measured in result.held_out.items():
        print(f"{place_name}: {measured}")


def write_surveyed(place: Place, home: Path) -> None:
    """A year of scenes of a place, its footprints, and the ground in which every house has one."""
    landscape = Landscape.simulate(place)
    write_archive(landscape, home / "archive", YEAR)
    write_footprints(landscape, home / f"place-{place.seed}.geojson")
    gpd.GeoSeries([place.rectangle().geom], crs=place.frame).to_crs(4326).to_file(home / "surveyed.geojson")


def building_labels(home: Path, place: Place) -> dict[str, object]:
    """The ``labels`` section of a simulated place."""
    return {
        "file": str(home / f"place-{place.seed}.geojson"),
        "area": str(home / "surveyed.geojson"),
        "year": YEAR,
        "licence": "Apache-2.0, simulated",
    }
