"""Seen means observed: a map of pixels that no scene has is no map, whatever classes and thresholds say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from tests.pipelines.command import stook
from tests.pipelines.small_season import ABSENT, SmallSeason


def refill(file: Path, value: int, nodata: int | None) -> None:
    """Write one value into all pixels of a raster."""
    with rasterio.open(file) as source:
        values, profile = source.read(), source.profile
    with rasterio.open(file, "w", **(profile | {"nodata": nodata, "driver": "GTiff", "layout": None})) as target:
        target.write(np.full_like(values, value))


@pytest.mark.parametrize("what", ["empty bands under clear classes", "classes of nothing but nodata"])
def test_nothing_is_mapped_of_no_pixel(season: SmallSeason, what: str) -> None:
    season.hurried(1, 1).narrowed().configure(imagery__sentinel1=ABSENT, run={"mode": "memory"})
    for item in season.items():
        for file in item.parent.glob("*.tif") if item.name.startswith("S2") else ():
            if file.name == "scl.tif":
                refill(file, *((4, 0) if what.startswith("empty") else (255, 255)))
            elif what.startswith("empty"):
                refill(file, 0, 0)
    assert stook("map", season.config, "--year", season.year).status == 0
    stook("statistics", season.config, "--year", season.year, "--to", season.folder / "t.csv")
    table = pd.read_csv(season.folder / "t.csv")
    assert (table["mapped_ha"] == 0).all() and (table["area_ha"] == 0).all()
    np.testing.assert_allclose(table["not_mapped_no_imagery_ha"], table["total_ha"])
