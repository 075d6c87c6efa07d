"""The demonstration's reference sample: points on its map, answered from the truth by SIMULATED interpreters."""

import numpy as np
import pandas as pd
import rasterio

from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.demo.place import YEAR
from stook.pipelines.demo.truth import Truth
from stook.pipelines.figures.estimate import run_estimate
from stook.pipelines.figures.sample import run_sample
from stook.transforms.ground.geodesy import to_zone
from stook.transforms.ground.grid import Zone
from stook.transforms.sampling.classes import CLASSES
from stook.transforms.sampling.estimates import Estimates
from stook.transforms.sampling.files import POINTS_CSV
from stook.transforms.store import fetched, replacing

INTERPRETERS = 3
SLIPS = 0.03  # share of points that an interpreter gets wrong


def survey(config: MapConfiguration, truth: Truth) -> Estimates:
    """Draw the configured sample, have it answered, and estimate, by the ways that users take."""
    folder = run_sample(config, YEAR)
    points = pd.read_csv(fetched(folder / POINTS_CSV))
    files = [folder / f"simulated-interpreter-{number}.csv" for number in range(1, INTERPRETERS + 1)]
    for number, file in enumerate(files):
        with replacing(file) as scratch:
            answered(points, truth, number).to_csv(scratch, index=False)
    kept = run_estimate(config, YEAR, files, folder, without_design=False)
    assert kept is not None  # there is a design
    return kept


def answered(points: pd.DataFrame, truth: Truth, seed: int) -> pd.DataFrame:
    """The points with what one simulated interpreter says of them: the truth, but for slips."""
    slips = np.random.default_rng(seed).random(len(points)) < SLIPS
    return points.assign(**{"class": np.array(CLASSES["cropland"])[true_classes(points, truth) ^ slips]})


def true_classes(points: pd.DataFrame, truth: Truth) -> np.ndarray:
    """Whether there is cropland at each point, int 0 or 1."""
    zones = np.array([Zone.at(lon, lat) for lon, lat in zip(points["LON"], points["LAT"], strict=True)])
    classes = np.zeros(len(points), int)
    for zone in set(zones):
        here = zones == zone
        x, y = to_zone(zone).transform(points["LON"][here], points["LAT"][here])
        with rasterio.open(truth[zone.epsg]["cropland"]) as file:
            classes[here] = [value == 1 for [value] in file.sample(zip(x, y, strict=True))]
    return classes


def cropland_in_all(estimates: Estimates) -> pd.Series:
    """The row of all cropland of the place."""
    table = estimates.table
    wanted = (table["level"] == "region") & (table["figure"] == "area") & (table["class"] == CLASSES["cropland"][1])
    return table[wanted].iloc[0]
