"""The high-resolution pictures of a campaign, written into the archive: one per pass and zone."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import reduce

import numpy as np
from odc.geo.geom import Geometry
from rasterio.features import geometry_mask
from shapely.geometry import mapping

from stook.transforms.simulation.campaign import Campaign, Strip
from stook.transforms.simulation.catalogue import CatalogueWriter
from stook.transforms.simulation.closeup import Closeup, ground_colours
from stook.transforms.simulation.heaps import Heaps
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.phenology import Weather
from stook.transforms.simulation.zones import grid_code, zone_parts

PICTURE_COLLECTION, PICTURE_ASSET = "highres-rgb", "rgb"
NODATA = 0  # in all three bands


def write_pictures(writer: CatalogueWriter, landscape: Landscape, campaign: Campaign, year: int) -> None:
    """Add the pictures of ``campaign`` to the archive: uint8 red, green, blue; 0, 0, 0 outside the footprint."""
    place = landscape.place
    weather = Weather.of(place, year)
    heaps = Heaps.of(landscape, weather)
    outlines = {epsg: _outlines(landscape, campaign, epsg) for epsg in zone_parts(place)}
    zones = [epsg for epsg, parts in outlines.items() if parts]
    middle = campaign.date(campaign.strips[len(campaign.strips) // 2], place, year)
    with ThreadPoolExecutor() as pool:

        def view(epsg: int) -> Closeup:
            grid = campaign.grid(reduce(Geometry.union, outlines[epsg].values()))
            return Closeup.of(landscape, epsg, grid, middle)  # the sun of one day for all: they are some weeks apart

        views = dict(zip(zones, pool.map(view, zones), strict=True))
        for strip in campaign.strips:
            day = campaign.date(strip, place, year)
            colours = ground_colours(landscape, day, weather)
            standing = heaps.standing(strip.season_day)
            seen = [epsg for epsg in zones if strip in outlines[epsg]]
            pictures = pool.map(lambda epsg: views[epsg].picture(colours, standing, day), seen)  # noqa: B023
            for epsg, picture in zip(seen, pictures, strict=True):
                _write(writer, campaign, views[epsg], picture, outlines[epsg][strip], datetime(*day.timetuple()[:3]))


def _outlines(landscape: Landscape, campaign: Campaign, epsg: int) -> dict[Strip, Geometry]:
    """What each pass pictures in a zone; passes that do not meet it are left out."""
    parts = {strip: campaign.part(strip, landscape.place, epsg) for strip in campaign.strips}
    return {strip: part for strip, part in parts.items() if part is not None}


def _write(
    writer: CatalogueWriter, campaign: Campaign, view: Closeup, picture: np.ndarray, outline: Geometry, day: datetime
) -> None:
    """One scene, cut to the bounds of its footprint."""
    grid = campaign.grid(outline)
    left, top = ~view.grid.transform @ (grid.transform.c, grid.transform.f)
    window = np.s_[:, round(top) : round(top) + grid.shape.y, round(left) : round(left) + grid.shape.x]
    outside = geometry_mask([mapping(outline.geom)], (grid.shape.y, grid.shape.x), grid.transform)
    values = np.where(outside, NODATA, picture[window]).astype(np.uint8)
    code = grid_code(grid, view.epsg)
    properties = {"gsd": campaign.resolution_m, "grid:code": f"MGRS-{code}", "description": "simulated"}
    writer.add_scene(
        PICTURE_COLLECTION,
        f"HR_{code}_{day:%Y%m%d}",
        day.replace(hour=8, minute=20, tzinfo=UTC),
        {PICTURE_ASSET: values},
        grid,
        NODATA,
        properties,
        footprint=outline.to_crs("EPSG:4326").geom,
    )
