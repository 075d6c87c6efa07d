"""Samples made up for tests: points of the place in each class of a map, with the strata's exact areas."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.estimators.error_matrix import NOT_MAPPED
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Grid
from stook.transforms.ground.region import Region
from stook.transforms.sampling.answer_files import Form
from stook.transforms.sampling.classes import CLASSES
from stook.transforms.sampling.lookup import OUTSIDE, values_at
from stook.transforms.sampling.map_figures import MapFigures
from stook.transforms.sampling.sample import DM2_PER_HA, Sample, SampleDesign, SampledStratum
from stook.transforms.tiles.answers import WHOLE, covered_of, shares_in
from stook.transforms.tiles.map_reader import MapReader
from stook.transforms.values import NODATA, WIDE_NODATA
from tests.transforms.sampling.published_place import Painter, publish_place

THRESHOLDS = {"cropland": 50}
COUNTS = (100, 80, 40)  # points in other, cropland and not mapped
FORM = Form("PLOTID", ("class",), None, "LON", "LAT", ("unknown", "cannot tell"), {})


def places(region: Region, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes in a box around a region, uniform in degrees."""
    west, south, east, north = region.bounds
    random = np.random.default_rng(seed)
    return random.uniform(west, east, count), random.uniform(south, north, count)


def made_sample(edition: Edition, counts: tuple[int, ...] = COUNTS, product: str = "cropland") -> Sample:
    """So many points in each class of the map, then in ground without one."""
    figures = MapFigures.of(edition, product, THRESHOLDS)
    maps = MapReader(edition)
    lon, lat = places(maps.region, 40 * sum(counts))
    values = values_at(maps, product, lon, lat)
    classes = figures.classes_at(values)
    if product == "building_coverage":
        classes = np.where((values >= 0) & (values <= 100), 0, NOT_MAPPED)
    wanted = (*range(len(counts) - 1), NOT_MAPPED)
    on_ground = values != OUTSIDE
    chosen = [np.flatnonzero(on_ground & (classes == kind))[:count] for kind, count in zip(wanted, counts, strict=True)]
    assert [len(one) for one in chosen] == list(counts)
    stratum = np.repeat(np.arange(len(counts)), counts)
    order = np.random.default_rng(1).permutation(len(stratum))
    at, stratum = np.concatenate(chosen)[order], stratum[order]
    points = pd.DataFrame(
        {
            "point": np.arange(1, len(at) + 1),
            "lon": lon[at],
            "lat": lat[at],
            "stratum": stratum,
            "unit": units_at(maps.region, lon[at], lat[at]),
            "value": values[at].astype(int),
            "before": pd.array([pd.NA] * len(at), dtype="Int64"),
        }
    )
    areas = stratum_areas(figures)
    points["inclusion_per_ha"] = np.array([n / (area / DM2_PER_HA) for n, area in zip(counts, areas, strict=True)])[
        stratum
    ]
    names = (*CLASSES.get(product, ("mapped",)), "not mapped")
    strata = tuple(SampledStratum(*one) for one in zip(names, areas, counts, strict=True))
    design = SampleDesign(
        "s-1", "place", str(edition.plan.season), edition.id, None, product, 100.0, edition.plan.units_hash, 0,
        {"strata": {"by": "classes", "within": "region"}}, "2026-01-02T00:00:00+00:00", strata,
    )  # fmt: skip
    return Sample(design, points)


def stratum_areas(figures: MapFigures) -> list[int]:
    """Ground of each class and without a map, dm²."""
    if figures.product == "building_coverage":
        mapped = sum(area for value, area in histogram_of(figures).items() if value in figures.reading.mapped)
        return [mapped, figures.region.total_dm2 - mapped]
    classes = [round(area * DM2_PER_HA) for area in figures.region.said_ha.values()]
    return [*classes, figures.region.total_dm2 - sum(classes)]


def histogram_of(figures: MapFigures) -> dict[int, int]:
    """Value of the class image -> dm² of the region, from the ledger's records one by one."""
    found: dict[int, int] = {}
    for record in figures.edition.ledger.records():
        for areas in record.products[figures.product].areas.values():
            for value, area in areas.items():
                found[value] = found.get(value, 0) + area
    return found


def units_at(region: Region, lon: np.ndarray, lat: np.ndarray) -> list[str]:
    """Id of the unit in which each place lies."""
    points = shapely.points(lon, lat)
    return [min(region.units, key=lambda unit: shapely.distance(unit.geometry, point)).id for point in points]


def answer_file(
    path: Path,
    sample: Sample,
    answers: list[str],
    columns: Mapping[str, list[str]] | None = None,
    rows: int | None = None,
) -> Path:
    """Answers as an interpreter hands them in, one to each point of the sample in its order."""
    table = pd.DataFrame(
        {"PLOTID": sample.points["point"], "LON": sample.points["lon"], "LAT": sample.points["lat"], "class": answers}
    ).assign(**(columns or {}))
    table.head(rows or len(table)).to_csv(path, index=False, float_format="%.7f")
    return path


def publish_coverage(folder: Path, region: Region, grid: Grid, paint: Painter, year: int = 2020) -> Edition:
    """A map of building coverage whose mean shares are nine tenths of what is painted, and in the ledger."""
    edition = publish_place(folder, region, grid, paint, year, "building_coverage")
    maps = MapReader(edition)
    for tile in maps.tiles:
        painted = paint(tile, grid)
        if painted is None:
            continue
        ground = TileCoverage.of(region, grid, tile)
        percent = np.where(ground.owned, painted[0], NODATA)
        mean = np.where(percent == NODATA, WIDE_NODATA, percent * 0.9 / 100 * WHOLE).astype(np.uint16)
        window = maps.extents[tile.zone].slices(grid, tile)
        for layer in ("building_coverage_mean", "building_coverage_interval"):
            array = map_store.open_layer(edition.maps, tile.zone.name, grid.resolution_m, layer, mode="r+")
            array[window] = mean
        record, version = edition.ledger.held(tile)
        assert record is not None
        made = record.products["building_coverage"]
        made = replace(made, covered=covered_of(ground, shares_in((mean, mean))))
        edition.ledger.commit(replace(record, products={"building_coverage": made}), version)
    return edition
