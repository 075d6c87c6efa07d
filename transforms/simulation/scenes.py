"""A year of simulated Sentinel-2 and Sentinel-1 over a landscape, written as an archive, with close views if wanted."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox
from scipy import ndimage

from stook.transforms.simulation import SIMULATOR_VERSION, atmosphere, phenology
from stook.transforms.simulation.atmosphere import Sky
from stook.transforms.simulation.campaign import Campaign
from stook.transforms.simulation.catalogue import CatalogueWriter
from stook.transforms.simulation.landscape import Ground, Landscape
from stook.transforms.simulation.phenology import OPTICAL_BANDS, RADAR_BANDS, Weather
from stook.transforms.simulation.pictures import write_pictures
from stook.transforms.simulation.zones import grid_code, scene_grid, zone_parts

OPTICAL_COLLECTION, RADAR_COLLECTION = "sentinel-2-l2a", "sentinel-1-rtc"
DESCRIPTION = f"Simulated scenes of a fictional place (simulator {SIMULATOR_VERSION}). Nothing here is real imagery."
FULL_RESOLUTION_BANDS = ("blue", "green", "red", "nir")  # 10 m; the others and SCL are 20 m
COUNTS_PER_REFLECTANCE = 10_000  # no offset: profile ``scaled-1e-4``
OPTICAL_BLUR_PIXELS = 0.45  # standard deviation of the point spread function at 10 m
RADAR_LOOKS = 7.0  # equivalent number of looks at 20 m
SUPERSAMPLING = 2  # ground samples per pixel side: borders and huts are mixed pixels


@dataclass(frozen=True)
class Revisit:
    """How often each satellite looks.

    Attributes:
        optical_days: Days between Sentinel-2 overpasses.
        radar_days: Days between Sentinel-1 overpasses.
    """

    optical_days: int = 10
    radar_days: int = 12


@dataclass(frozen=True)
class View:
    """What the Sentinels see of a landscape in one zone.

    Attributes:
        epsg: The zone.
        grid: 10 m grid of its scenes.
        ground: The ground at ``SUPERSAMPLING`` times that resolution.
        x: Metres east in the place's frame of the pixels of ``grid``, [y, x].
        y: Metres north.
        walls: Double bounce of the houses in 20 m pixels, float32 [y, x].
        roughness: Of the ground in 20 m pixels, dB.
    """

    epsg: int
    grid: GeoBox
    ground: Ground
    x: np.ndarray
    y: np.ndarray
    walls: np.ndarray
    roughness: np.ndarray

    @classmethod
    def of(cls, landscape: Landscape, epsg: int) -> "View":
        """The view of the zone ``epsg``."""
        grid = scene_grid(landscape.place, epsg)
        ground = landscape.at(grid.zoom_out(1 / SUPERSAMPLING))
        walls, roughness = (block_mean(layer, 2 * SUPERSAMPLING) for layer in (ground.walls, ground.roughness))
        return cls(epsg, grid, ground, *landscape.locate(grid), walls, roughness)

    def materials(self, day: date, weather: Weather) -> np.ndarray:
        """Shares of materials [material, y, x] in the 10 m pixels."""
        return block_mean(phenology.materials(self.ground, day, weather), SUPERSAMPLING)


def write_archive(
    landscape: Landscape,
    folder: Path,
    year: int = 2023,
    revisit: Revisit | None = None,
    campaign: Campaign | None = None,
) -> Path:
    """Write one calendar year of scenes: one per date, satellite and UTM zone of the place.

    Args:
        landscape: The ground.
        folder: Where ``catalog.json`` will stand.
        year: Calendar year; its weather is drawn from the place's seed.
        revisit: How often each satellite looks.
        campaign: The high-resolution passes; without it the archive has none.

    Returns:
        Path of ``catalog.json``.
    """
    revisit = revisit or Revisit()
    writer = CatalogueWriter(Path(folder), DESCRIPTION)
    weather = Weather.of(landscape.place, year)
    views = [View.of(landscape, epsg) for epsg in zone_parts(landscape.place)]
    with ThreadPoolExecutor() as pool:
        for day in _every(revisit.optical_days, year, first=3):
            sky = atmosphere.simulate_sky(landscape.place, day, weather.rain(weather.season_day(day)))
            optical = pool.map(lambda view: optical_scene(landscape, view, day, weather, sky), views)  # noqa: B023
            for view, bands in zip(views, optical, strict=True):
                _write_optical(writer, view, day, bands)
        for day in _every(revisit.radar_days, year, first=5):
            radar = pool.map(lambda view: radar_scene(landscape, view, day, weather), views)  # noqa: B023
            for view, bands in zip(views, radar, strict=True):
                _write_radar(writer, view, day, bands)
    if campaign is not None:
        write_pictures(writer, landscape, campaign, year)
    return writer.save()


def optical_scene(landscape: Landscape, view: View, day: date, weather: Weather, sky: Sky) -> dict[str, np.ndarray]:
    """One Sentinel-2 L2A acquisition below ``sky``: asset key -> uint16 counts [y, x], and ``scl`` uint8; 0 no data."""
    place = landscape.place
    shares = view.materials(day, weather)
    known = shares.sum(0) > 0.5
    surface = phenology.reflectance(shares, _moisture(landscape, day, weather))
    surface = ndimage.gaussian_filter(surface, (0, OPTICAL_BLUR_PIXELS, OPTICAL_BLUR_PIXELS), truncate=3)
    sky = sky.at(view.x, view.y, atmosphere.sky_grid(place))
    rng = np.random.default_rng([place.seed, day.toordinal(), view.epsg, 4])
    observed = atmosphere.observe(surface, sky) * (1 + rng.normal(0, 0.015, (len(OPTICAL_BANDS), 1, 1)))
    coarse = block_mean(observed)
    known_coarse = block_mean(known.astype(np.float32)) > 0.99
    bands = {}
    for key, full, half in zip(OPTICAL_BANDS, observed, coarse, strict=True):
        values, there = (full, known) if key in FULL_RESOLUTION_BANDS else (half, known_coarse)
        noisy = values * (1 + 0.008 * rng.standard_normal(values.shape)) + 0.0015 * rng.standard_normal(values.shape)
        counts = np.clip(np.rint(noisy * COUNTS_PER_REFLECTANCE), 1, 16_000)
        bands[key] = np.where(there, counts, 0).astype(np.uint16)
    bands["scl"] = np.where(known_coarse, atmosphere.classify(coarse, sky.each(block_mean)), 0).astype(np.uint8)
    return bands


def radar_scene(landscape: Landscape, view: View, day: date, weather: Weather) -> dict[str, np.ndarray]:
    """One Sentinel-1 acquisition: ``vv`` and ``vh``, linear power float32 [y, x] at 20 m, NaN without data."""
    shares = block_mean(view.materials(day, weather))
    power = phenology.backscatter(shares, _moisture(landscape, day, weather), view.walls, view.roughness)
    rng = np.random.default_rng([landscape.place.seed, day.toordinal(), view.epsg, 5])
    calibration = 10 ** (rng.normal(0, 0.15, (2, 1, 1)) / 10)
    speckle = rng.gamma(RADAR_LOOKS, 1 / RADAR_LOOKS, power.shape)
    seen = np.where(shares.sum(0) > 0.99, power * speckle * calibration, np.nan).astype(np.float32)
    return dict(zip(RADAR_BANDS, seen, strict=True))


def block_mean(array: np.ndarray, size: int = 2) -> np.ndarray:
    """Means over squares of ``size`` pixels of the last two axes, which must be multiples of it."""
    corners = [array[..., row::size, column::size] for row in range(size) for column in range(size)]
    return sum(corners[1:], corners[0]) / np.float32(size**2)


def _write_optical(writer: CatalogueWriter, view: View, day: date, bands: Mapping[str, np.ndarray]) -> None:
    cloudy = np.isin(bands["scl"], (atmosphere.SceneClass.CLOUD_MEDIUM, atmosphere.SceneClass.CLOUD_HIGH))
    code = grid_code(view.grid, view.epsg)
    unit = "ab"[day.toordinal() // 5 % 2]
    properties = {
        "platform": f"sentinel-2{unit}",
        "constellation": "sentinel-2",
        "s2:processing_baseline": "05.00",
        "grid:code": f"MGRS-{code}",
        "eo:cloud_cover": round(100 * float(cloudy.mean()), 2),
        "description": "simulated",
    }
    name = f"S2{unit.upper()}_{code}_{day:%Y%m%d}_0_L2A"
    writer.add_scene(OPTICAL_COLLECTION, name, _at(day, 8, 5), bands, view.grid, 0, properties)


def _write_radar(writer: CatalogueWriter, view: View, day: date, bands: Mapping[str, np.ndarray]) -> None:
    code = grid_code(view.grid, view.epsg)
    properties = {
        "platform": "sentinel-1a",
        "constellation": "sentinel-1",
        "sar:instrument_mode": "IW",
        "sar:polarizations": ["VV", "VH"],
        "sat:orbit_state": "descending",
        "grid:code": f"MGRS-{code}",
        "description": "simulated",
    }
    name = f"S1A_IW_{day:%Y%m%d}_{code}_RTC"
    writer.add_scene(RADAR_COLLECTION, name, _at(day, 3, 20), bands, view.grid.zoom_out(2), np.nan, properties)


def _moisture(landscape: Landscape, day: date, weather: Weather) -> float:
    """Moisture of the topsoil, 0…1: the season's rain, or the lack of it, in the days before."""
    shower = np.random.default_rng([landscape.place.seed, day.toordinal(), 6]).uniform(0.45, 1.1)
    return float(np.clip(weather.rain(weather.season_day(day) + 4) * shower, 0.03, 1))


def _every(days: int, year: int, first: int) -> list[date]:
    start = date(year, 1, first)
    return [start + timedelta(step) for step in range(0, (date(year, 12, 31) - start).days + 1, days)]


def _at(day: date, hour: int, minute: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
