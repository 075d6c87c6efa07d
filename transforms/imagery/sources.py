"""Imagery archives: which asset is which band, and how stored counts become reflectance or backscatter.

Archives disagree with each other, and some with their own metadata, so scale, offset and calibration come from a
profile chosen in the configuration and never blindly from an item. A new archive is a new row of ``PROFILES``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from stook.models.errors import InputError, TileError
from stook.transforms.imagery.links import HEADER, STANDS_FOR, Reach, carries_secret

if TYPE_CHECKING:
    import pystac

SCENE_CLASSIFICATION = "scl"
SCENE_CLASSES = 12  # 0…11, ESA; any other number is no class
VISIBLE_BANDS = ("blue", "green", "red")
REFLECTANCE_BANDS = (*VISIBLE_BANDS, "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16", "swir22")
BACKSCATTER_BANDS = ("vv", "vh")
PICTURE_BANDS = ("red", "green", "blue", "nir")  # of which an archive need not have the last
SENSOR_BANDS = {
    "sentinel2": (*REFLECTANCE_BANDS, SCENE_CLASSIFICATION),
    "sentinel1": BACKSCATTER_BANDS,
    "rgb": PICTURE_BANDS,
}
COMPOSITE_SENSORS = ("sentinel2", "sentinel1")  # reduced over time
PICTURE_SENSORS = ("rgb",)  # looked at date by date

FIRST_BASELINE_WITH_OFFSET = (4, 0)  # ESA adds 1000 counts to every band from processing baseline 04.00 on
USE_INSTEAD = "use terrain-corrected backscatter, e.g. sentinel-1-rtc with profile planetary-computer-rtc"

OffsetRule = Literal["none", "from baseline 04.00", "from metadata"]
Unit = Literal["reflectance", "linear-power", "dB", "brightness"]


@dataclass(frozen=True)
class SourceProfile:
    """What is true of one archive's pixels.

    Attributes:
        name: As written in the configuration.
        sensor: ``sentinel2``, ``sentinel1`` or ``rgb``.
        assets: Asset key of each canonical band.
        numbers: Number of a band in its asset, from 1; 1 for bands that are not in it.
        unit: What ``counts * scale + offset`` is.
        scale: Unit per count.
        offset_rule: Where the offset that is added after scaling comes from.
        signing: Whose tokens the links need, added just before a link is opened.
        notes: What a person choosing the profile must know.
    """

    name: str
    sensor: str
    assets: Mapping[str, str] = field(hash=False)
    unit: Unit
    scale: float = 1.0
    offset_rule: OffsetRule = "none"
    signing: Literal["none", "planetary-computer"] = "none"
    notes: str = ""
    numbers: Mapping[str, int] = field(default_factory=dict, hash=False)

    def offset(self, item: pystac.Item, band: str) -> float:
        """What is added to scaled counts of ``band`` in ``item``, in reflectance.

        Raises:
            TileError: The rule needs a field of the item that is not there.
        """
        if self.offset_rule == "none":
            return 0.0
        version = _version(baseline(item))
        if self.offset_rule == "from metadata":
            given = _offset_in(item.assets[self.assets[band]].extra_fields)
            if given is None and (not version or version >= FIRST_BASELINE_WITH_OFFSET):
                raise TileError(f"{item.id}: no raster:offset for {band}, which profile {self.name} needs")
            return given or 0.0
        if not version:
            raise TileError(f"{item.id}: no s2:processing_baseline, which profile {self.name} needs")
        return -0.1 if version >= FIRST_BASELINE_WITH_OFFSET else 0.0


_BY_NAME = {band: band for bands in SENSOR_BANDS.values() for band in bands}
_EARTH_SEARCH = {band: _BY_NAME[band] for band in SENSOR_BANDS["sentinel2"]}
_SAFE = dict(
    zip(_EARTH_SEARCH, ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12", "SCL"], strict=True)
)
_NATIVE_M = {"blue": 10, "green": 10, "red": 10, "nir": 10}
_BACKSCATTER = {band: _BY_NAME[band] for band in BACKSCATTER_BANDS}


def _sentinel2(name: str, assets: Mapping[str, str], **rest: Any) -> SourceProfile:
    """A profile of counts that are reflectance × 10 000."""
    return SourceProfile(name, "sentinel2", assets, "reflectance", 1e-4, **rest)


PROFILES = {
    profile.name: profile
    for profile in (
        _sentinel2(
            "earth-search",
            _EARTH_SEARCH,
            notes="The 1000 counts of baseline 04.00 are already subtracted; the offset that items list is ignored.",
        ),
        _sentinel2(
            "earth-search-c1",
            _EARTH_SEARCH,
            offset_rule="from metadata",
            notes="Collection sentinel-2-c1-l2a: counts as ESA delivers them, and the offset in the items is right.",
        ),
        _sentinel2(
            "planetary-computer",
            _SAFE,
            offset_rule="from baseline 04.00",
            signing="planetary-computer",
            notes="Raw counts, and no offset in the items; s2:processing_baseline decides.",
        ),
        _sentinel2(
            "copernicus",
            {band: f"{key}_{_NATIVE_M.get(band, 20)}m" for band, key in _SAFE.items()},
            offset_rule="from metadata",
            notes="s3://eodata links need AWS_S3_ENDPOINT, AWS_VIRTUAL_HOSTING=FALSE and keys in the environment.",
        ),
        _sentinel2(
            "scaled-1e-4",
            _EARTH_SEARCH,
            notes="Reflectance = counts / 10 000; asset keys of Earth Search.",
        ),
        _sentinel2(
            "digital-earth-africa",
            _SAFE,
            notes="Collection s2_l2a, and any archive of reflectance × 10 000 with ESA's names as asset keys.",
        ),
        SourceProfile(
            name="planetary-computer-rtc",
            sensor="sentinel1",
            assets=_BACKSCATTER,
            unit="linear-power",
            signing="planetary-computer",
            notes="Radiometrically terrain-corrected gamma-0.",
        ),
        SourceProfile(name="linear-power", sensor="sentinel1", assets=_BACKSCATTER, unit="linear-power"),
        SourceProfile(name="decibel", sensor="sentinel1", assets=_BACKSCATTER, unit="dB"),
        *(
            SourceProfile(
                name=f"{key}-8bit",
                sensor="rgb",
                assets=dict.fromkeys(bands, key),
                unit="brightness",
                scale=1 / 255,
                notes=f"8-bit pictures, {', '.join(bands)} in one asset {key!r}; 0 in all of them is no data.",
                numbers={band: number for number, band in enumerate(bands, 1)},
            )
            for key, bands in (("visual", PICTURE_BANDS[:3]), ("rgb", PICTURE_BANDS[:3]), ("rgbn", PICTURE_BANDS))
        ),
    )
}


@dataclass(frozen=True)
class Source:
    """One imagery archive of the configuration.

    Attributes:
        sensor: ``sentinel2``, ``sentinel1`` or ``rgb``; also the source's name in an edition.
        catalog: Path or URL of a STAC API or of a static catalogue.
        collection: Collection id in it.
        profile: A name in ``PROFILES``.
        hosts: The only hosts that links may lead to, besides the catalogue's own; any if empty.
        folders: Folders beside the catalogue's own that links may lead to.
        verify: Whether every file is read in whole once and compared with the checksum that its item states.
        headers: Names and values of headers, secrets in them by name alone; see ``Reach``.

    Raises:
        InputError: Unknown sensor or profile, a catalogue whose address carries a secret, a profile of another sensor,
            Collection 1 of Earth Search with the profile of its other collection, or raw Sentinel-1 GRD.
    """

    sensor: str
    catalog: str
    collection: str
    profile: str
    hosts: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    verify: bool = False
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if secret := carries_secret(self.catalog):
            raise InputError(
                f"imagery.{self.sensor}.catalog: {self.catalog} carries {secret}, which would be kept with every "
                "edition; user names and passwords belong into ~/.netrc, tokens and keys into headers"
            )
        for name, value in self.headers:
            if not HEADER.fullmatch(name) or name.lower() in ("host", "range"):
                raise InputError(f"imagery.{self.sensor}.headers: {name!r} is no name of a header that may be set")
            if not STANDS_FOR.search(value):
                raise InputError(
                    f"imagery.{self.sensor}.headers: the value of {name} would be kept with every edition; name a "
                    "variable of the environment (${NAME}) or a file (${file:PATH}) instead"
                )
        if self.sensor not in SENSOR_BANDS:
            raise InputError(f"imagery.{self.sensor}: unknown sensor; allowed: {', '.join(SENSOR_BANDS)}")
        allowed = [name for name, profile in PROFILES.items() if profile.sensor == self.sensor]
        if self.profile not in allowed:
            raise InputError(f"imagery.{self.sensor}.profile: {self.profile!r}; allowed: {', '.join(allowed)}")
        if self.sensor == "sentinel1" and re.search(r"(^|[-_])grd([-_]cog)?$", self.collection, re.IGNORECASE):
            raise InputError(f"imagery.sentinel1.collection: {self.collection!r} is raw GRD; {USE_INSTEAD}")
        if self.profile == "earth-search" and re.search(r"(^|[-_])c1([-_]|$)", self.collection, re.IGNORECASE):
            raise InputError(
                f"imagery.sentinel2.profile: 'earth-search' is for counts from which the offset is already subtracted, "
                f"which those of {self.collection!r} are not; use earth-search-c1"
            )

    @property
    def reach(self) -> Reach:
        """Where links of its catalogue may lead."""
        return Reach(self.catalog, self.sensor, self.hosts, self.folders, self.headers)

    @property
    def archive(self) -> SourceProfile:
        """The profile itself."""
        return PROFILES[self.profile]

    def assets_of(self, item: pystac.Item) -> dict[str, pystac.Asset]:
        """The assets of ``item`` that the profile knows, by canonical band."""
        return {band: item.assets[key] for band, key in self.archive.assets.items() if key in item.assets}

    def refuse_raw(self, item: pystac.Item) -> None:
        """Raise InputError if ``item`` says that it is Sentinel-1 GRD in swath geometry."""
        kind = str(item.properties.get("sar:product_type") or item.properties.get("product:type") or "")
        if self.sensor == "sentinel1" and "GRD" in kind.upper() and not _is_projected(item):
            raise InputError(f"{self.catalog}: item {item.id} of {self.collection} is raw GRD; {USE_INSTEAD}")


def acquired(item: pystac.Item) -> datetime:
    """Time of acquisition, UTC; the start of it where an item gives a range."""
    time = item.datetime or item.common_metadata.start_datetime
    if time is None:
        raise InputError(f"item {item.id}: no datetime")
    return time.astimezone(UTC) if time.tzinfo is not None else time.replace(tzinfo=UTC)  # STAC: times are UTC


def baseline(item: pystac.Item) -> str:
    """Processing baseline of ``item``, e.g. ``05.09``; empty if it has none."""
    return str(item.properties.get("s2:processing_baseline") or item.properties.get("processing:version") or "")


def baseline_rank(item: pystac.Item) -> tuple[int, ...]:
    """Sorts items by baseline as numbers, those without one first."""
    return _version(baseline(item))


def _version(text: str) -> tuple[int, ...]:
    if four := re.fullmatch(r"N?(\d\d)(\d\d)", text):  # as names of products have it
        return int(four[1]), int(four[2])
    return tuple(int(number) for number in re.findall(r"\d+", text))


def _offset_in(fields: Mapping[str, Any]) -> float | None:
    """The offset of an asset's only band: of the asset itself, of ``raster:bands`` or of STAC 1.1 ``bands``."""
    for holder in (fields, *(fields.get("raster:bands") or ())[:1], *(fields.get("bands") or ())[:1]):
        for key in ("raster:offset", "offset"):
            if holder.get(key) is not None:
                return float(holder[key])
    return None


def _is_projected(item: pystac.Item) -> bool:
    """Whether the item states a grid, as terrain-corrected products do and swath products cannot."""
    holders = [item.properties, *(asset.extra_fields for asset in item.assets.values())]
    crs = any(holder.get("proj:code") or holder.get("proj:epsg") or holder.get("proj:wkt2") for holder in holders)
    return crs and any(holder.get("proj:transform") for holder in holders)
