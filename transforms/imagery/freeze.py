"""Find the scenes of a season in the archives and check them, before anything is computed from them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stook.models.errors import InputError
from stook.models.specification import InputSpecification
from stook.transforms.backoff import BackOff
from stook.transforms.imagery.catalog import missing_bands, search
from stook.transforms.imagery.inputs import Inputs
from stook.transforms.imagery.plausibility import check_plausible
from stook.transforms.imagery.scenes import Scenes
from stook.transforms.imagery.season import Period
from stook.transforms.imagery.sources import (
    COMPOSITE_SENSORS,
    PICTURE_SENSORS,
    PROFILES,
    SCENE_CLASSIFICATION,
    SENSOR_BANDS,
    Source,
)

Bounds = tuple[float, float, float, float]


class Search(NamedTuple):
    """What a search of the archives came to.

    Attributes:
        inputs: The scenes.
        absent: Sentinel bands that none of them has, if Sentinels are read.
        notes: What was left out or could not be checked and why, in sentences.
    """

    inputs: Inputs
    absent: frozenset[str]
    notes: tuple[str, ...]


def find_inputs(
    sources: Mapping[str, Source],
    bounds: Bounds,
    spans: Mapping[str, tuple[Period, ...]],
    backoff: BackOff | None = None,
) -> Search:
    """The scenes over a box in a span of months.

    Sentinel-1 scenes that lack a polarisation which others have are left out. A Sentinel-2 scene that lacks a band is
    not: there the archive is damaged, and reading the band is a TileError.

    Args:
        sources: The archives, by sensor; one that is not there lacks all its bands.
        bounds: West, south, east, north, degrees.
        spans: Sensor -> periods; an archive is searched from the first to the last of its own, or not at all.
        backoff: How patiently archives are asked.

    Raises:
        InputError: If an archive has no scene there, lacks the scene classification or the picture, or its numbers are
            implausible.
        UnreachableError: If an archive does not answer.
    """
    found: dict[str, Scenes] = {}
    absent: set[str] = set()
    notes: list[str] = []
    for sensor, periods in spans.items():
        source = sources[sensor]
        start, end = min(period.start for period in periods), max(period.end for period in periods)
        items = search(source, bounds, start, end, backoff)
        if not items:
            raise InputError(
                f"imagery.{sensor}: {source.catalog} has no scene of {source.collection} over "
                f"{'/'.join(f'{degrees:.3f}' for degrees in bounds)} from {start:%Y-%m-%d} to {end:%Y-%m-%d}"
            )
        notes += left_out(sensor, items.superseded, "are older processings of others")
        found[sensor] = items
        if sensor == "sentinel1":
            found[sensor], partial = with_all_polarisations(items, source)
            notes += left_out(sensor, partial, "lack a polarisation that others have")
        pictures = sensor in PICTURE_SENSORS
        bands = tuple(source.archive.assets) if pictures else SENSOR_BANDS[sensor]
        lacking = missing_bands(found[sensor], source, bands)
        if SCENE_CLASSIFICATION in lacking or (lacking and pictures) or lacking >= set(bands):
            raise InputError(no_such_assets(items, source, lacking))
        absent |= lacking
        if sensor in COMPOSITE_SENSORS:
            notes += check_plausible(found[sensor], source, bounds, backoff)
    if not found.keys().isdisjoint(COMPOSITE_SENSORS):
        for sensor in COMPOSITE_SENSORS:
            absent |= set(SENSOR_BANDS[sensor]) if sensor not in found else set()
    return Search(Inputs.freeze(found, sources), frozenset(absent), tuple(notes))


def no_such_assets(items: Scenes, source: Source, lacking: set[str]) -> str:
    """Why an archive cannot be read with a profile: which assets no scene has, which it has, and whose they are."""
    wanted = sorted({source.archive.assets[band] for band in lacking})
    fitting = [
        profile.name
        for profile in PROFILES.values()
        if profile.sensor == source.sensor and set(profile.assets.values()) <= set(items.offered)
    ]
    clouds = ", without which clouds cannot be masked" if lacking == {SCENE_CLASSIFICATION} else ""
    return (
        f"imagery.{source.sensor}: no scene of {source.collection} in {source.catalog} has an asset "
        f"{', '.join(wanted)}{clouds}, which profile {source.profile} names; they have "
        f"{', '.join(items.offered) or 'none'}"
        + (f"; profiles with such assets: {', '.join(fitting)}" if fitting else "")
    )


def left_out(sensor: str, scenes: Sequence[str], why: str) -> list[str]:
    """A sentence on scenes that were left out, if there are any."""
    return [f"imagery.{sensor}: {len(scenes)} scenes {why} and were left out, e.g. {scenes[0]}"] if scenes else []


def require_bands(specification: InputSpecification, name: str, absent: frozenset[str]) -> None:
    """Raise InputError if the archives lack a band that the encoder called ``name`` cannot do without."""
    lacking = sorted(
        band.name
        for band in specification.bands
        if band.sensor in COMPOSITE_SENSORS and (band.name in absent or band.name not in SENSOR_BANDS[band.sensor])
    )
    if lacking and not specification.masks_missing:
        raise InputError(f"imagery: the archives lack {', '.join(lacking)}, which {name} needs")
    if len(lacking) == len(specification.bands):
        raise InputError(f"imagery: the archives have none of the bands of {name}")


def with_all_polarisations(items: Scenes, source: Source) -> tuple[Scenes, list[str]]:
    """The Sentinel-1 items that have every polarisation of the profile that any item has, and ids of the others.

    Archives hold modes with one polarisation, or with others (HH), between the ordinary ones. If no item has all, none
    is left out.
    """
    offered = {band for item in items for band in source.assets_of(item)}
    partial = [item.id for item in items if not offered <= source.assets_of(item).keys()]
    if len(partial) == len(items):
        return items, []
    return items.only(lambda item: offered <= source.assets_of(item).keys()), partial
