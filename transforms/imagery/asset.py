"""One band of one item: opened with patience, and a failure traced to what caused it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
import planetary_computer
import pystac
import rasterio
import requests
from rasterio.errors import RasterioError, RasterioIOError

from models.errors import InputError, StookError, TileError, UnreachableError
from transforms.backoff import BackOff
from transforms.imagery.sources import SCENE_CLASSIFICATION, USE_INSTEAD, Source

T = TypeVar("T")

GDAL_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no listing of the folder around a COG
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_HTTP_VERSION": "2TLS",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",  # the header of a COG in one request
    "GDAL_NUM_THREADS": "1",  # the threads are ours
}
FORGET = {"CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/:/vsigs/:/vsiaz/"}  # a refusal is cached like an answer
REFUSED = r"\b(401|403|429|5\d\d)\b|denied|credential|time[d ]*out|resolve|connect"
COUNT_TYPES = ("uint8", "uint16", "int16")


class _UnusableError(Exception):
    """The file opens, but its pixels are not what the profile says; the text says why."""


@dataclass(frozen=True)
class Asset:
    """One band of one item of a source.

    Attributes:
        source: Whose profile calibrates the pixels.
        item: A STAC item with absolute links.
        band: Canonical band name.
        backoff: How patiently it is opened.

    Raises:
        TileError: The item has no such asset.
    """

    source: Source
    item: pystac.Item
    band: str
    backoff: BackOff = field(default_factory=BackOff)

    def __post_init__(self) -> None:
        key = self.source.archive.assets.get(self.band)
        if key not in self.item.assets:
            raise TileError(f"{self.item.id}: missing asset {key or self.band}")

    @property
    def href(self) -> str:
        """Absolute link, unsigned."""
        asset = self.item.assets[self.source.archive.assets[self.band]]
        return asset.get_absolute_href() or asset.href

    def opened(self, action: Callable[[rasterio.DatasetReader], T]) -> T:
        """What ``action`` returns for the open file, tried again while the archive refuses.

        Raises:
            TileError: The file is missing, cannot be decoded, or has no usable grid; names item, asset and link.
            InputError: The file is raw Sentinel-1 GRD.
            UnreachableError: The archive does not answer, or refuses, after retries.
        """
        for attempt in self.backoff.retrying(UnreachableError):
            with attempt:
                number = attempt.retry_state.attempt_number
                try:
                    with (
                        rasterio.Env(**GDAL_OPTIONS, **self.backoff.gdal_options(), **(FORGET if number > 1 else {})),
                        rasterio.open(self._signed(), sharing=False) as file,
                    ):
                        self._check(file)
                        return action(file)
                except requests.RequestException as error:
                    raise UnreachableError(f"{self.item.id}: no token for {self.href} ({_one_line(error)})") from error
                except (RasterioError, _UnusableError) as error:
                    raise self._diagnosis(error, number) from error
        raise RuntimeError("retrying ended without a result")  # unreachable: the last failure is raised

    def calibrated(self, counts: np.ndarray, nodata: float | None) -> np.ndarray:
        """Physical values of stored ``counts``, same shape.

        Scene classes stay uint8 with 0 for no data. All else becomes float32 with NaN for no data: reflectance
        (1 = 100 %) or backscatter as linear power. No data is masked before the offset is added.

        Args:
            counts: Pixels as stored.
            nodata: The file's own value for no data. 0 counts as such whatever the file says: a power of 0 cannot be
                measured, and in decibels exactly 0 is a fill value.
        """
        if self.band == SCENE_CLASSIFICATION:
            return counts.astype("uint8", copy=False)
        archive = self.source.archive
        values = counts.astype("float32")
        # Power of 0 and NaN fall out below; not looking for them here saves a pass over the pixels each.
        empty = np.zeros(counts.shape, bool) if archive.unit == "linear-power" else counts == 0
        if nodata is not None and not np.isnan(nodata):
            empty |= values == np.float32(nodata)
        values *= np.float32(archive.scale)
        values += np.float32(archive.offset(self.item, self.band))
        if archive.unit == "dB":
            with np.errstate(over="ignore"):  # an undeclared fill value, such as 9999, becomes infinite
                values = np.power(np.float32(10), values / np.float32(10))
        if archive.unit != "reflectance":
            # Of NaN and infinity too; border noise and thermal noise removal leave zeros and negatives.
            empty |= ~((values > 0) & (values < np.inf))
        values[empty] = np.nan
        return values

    def _signed(self) -> str:
        if self.source.archive.signing == "planetary-computer":
            return str(planetary_computer.sign(self.href))
        return self.href

    def _check(self, file: rasterio.DatasetReader) -> None:
        if self.source.sensor == "sentinel1" and (file.gcps[0] or file.dtypes[0] == "uint16"):
            raise InputError(f"{self.item.id}: {self.href} is raw GRD amplitude; {USE_INSTEAD}")
        if file.crs is None:
            raise _UnusableError("no coordinate reference system")
        if not file.transform.is_rectilinear:
            raise _UnusableError("a rotated grid")
        stated, actual = self.item.properties.get("proj:code"), file.crs.to_epsg()
        if stated and actual and str(stated).upper() != f"EPSG:{actual}":
            raise _UnusableError(f"EPSG:{actual}, but the item says {stated}")
        numbers = self.source.archive.numbers
        if self.source.sensor == "rgb" and (file.count < len(numbers) or set(file.dtypes) != {"uint8"}):
            bands = f"{file.count} bands of {file.dtypes[0]}"
            raise _UnusableError(f"{bands}, where profile {self.source.profile} has {len(numbers)} of uint8")
        if self.source.sensor == "sentinel2" and file.dtypes[0] not in COUNT_TYPES:
            raise _UnusableError(f"{file.dtypes[0]} pixels, where profile {self.source.profile} has counts")

    def _diagnosis(self, error: Exception, attempt: int) -> StookError:
        """The failure that explains ``error``, found by looking at the link itself."""
        name = f"asset {self.source.archive.assets[self.band]} ({self.href})"
        missing = TileError(f"{self.item.id}: missing {name}")
        corrupt = TileError(f"{self.item.id}: corrupt {name}: {_one_line(error)}")
        if isinstance(error, _UnusableError):
            return TileError(f"{self.item.id}: unusable {name}: {error}")
        parts = urlparse(self.href)
        if parts.scheme in ("", "file"):
            return corrupt if Path(url2pathname(parts.path)).exists() else missing
        if parts.scheme in ("http", "https"):
            status = self.backoff.status_of(self._signed())
            if status in (404, 410):
                return missing
            # A server that answers now may have refused a moment ago; the second failure in a row is the file's.
            if isinstance(status, int) and status < 400 and attempt > 1:
                return corrupt
            return UnreachableError(f"{self.item.id}: {name} unreachable ({status})")
        text = _one_line(error)  # s3:// and its like cannot be asked without credentials: GDAL's words decide
        if re.search(REFUSED, text, re.IGNORECASE):
            return UnreachableError(f"{self.item.id}: {name} unreachable ({text})")
        return missing if re.search(r"\b404\b|not exist|No such", text) else corrupt


def _one_line(error: Exception) -> str:
    """The deepest cause in one line: rasterio says "Read failed. See previous exception for details."."""
    while isinstance(error, RasterioIOError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return " ".join(str(error).split())[:200]
