"""One band of one item: opened with patience, and a failure traced to what caused it."""

import os
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pystac
import rasterio
from rasterio.errors import RasterioError

from stook.models.errors import InputError, StookError, TileError, UnreachableError
from stook.transforms.amounts import Amounts
from stook.transforms.backoff import BackOff, PassingError
from stook.transforms.breaker import patiently
from stook.transforms.imagery.checksums import CHECKSUM, verdict_on, wrong_checksum, wrong_size
from stook.transforms.imagery.fetching import Fetcher
from stook.transforms.imagery.links import HTTP, LOCAL, REMOTE, local_path, path_of, scheme_of
from stook.transforms.imagery.signing import signed
from stook.transforms.imagery.sources import SCENE_CLASSES, SCENE_CLASSIFICATION, USE_INSTEAD, Source
from stook.transforms.secrecy import keep_secrets

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
# By the end of a link; what names other files (VRT, GTI, WMS, STACIT) is not opened, whatever it is called.
DRIVERS, OTHERWISE = {".jp2": "JP2OpenJPEG"}, "GTiff"
REFUSED = r"\b(401|403|429|5\d\d)\b|denied|credential|time[d ]*out|resolve|connect"
TRANSPORT = r"CURL error|timed? ?out|HTTP (response|error)|onnection (reset|refused|died)"  # never the file's fault
INCOMPLETE = r"Read error|got \d+ bytes|Cannot read|cannot read"  # GDAL's words for bytes that did not come
NO_IMAGE = r"not recognized|does not exist|No such file"  # or perhaps they did, and are no image
IMAGE = re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+|\0\0\0\x0cjP  |\xff\x4f\xff\x51")  # TIFF, BigTIFF, JPEG 2000
COUNT_TYPES = ("uint8", "uint16", "int16")


class _UnusableError(Exception):
    """The file opens, but its pixels are not what the profile says; the text says why."""


class _BrokenOffError(Exception):
    """The file could not be read in whole."""


class _ExpiredError(Exception):
    """The archive refused a link with a token."""


@dataclass(frozen=True)
class Asset:
    """One band of one item of a source.

    Attributes:
        source: Whose profile calibrates the pixels.
        item: A STAC item with absolute links.
        band: Canonical band name.
        backoff: How patiently it is opened.
        amounts: What opening and reading it is counted in.

    Raises:
        TileError: The item has no such asset.
    """

    source: Source
    item: pystac.Item
    band: str
    backoff: BackOff = field(default_factory=BackOff)
    amounts: Amounts = field(default_factory=Amounts, compare=False)

    def __post_init__(self) -> None:
        key = self.source.archive.assets.get(self.band)
        if key not in self.item.assets:
            raise TileError(f"{self.item.id}: missing asset {key or self.band}")

    @property
    def href(self) -> str:
        """Absolute link, unsigned."""
        asset = self.item.assets[self.source.archive.assets[self.band]]
        return asset.get_absolute_href() or asset.href

    @property
    def fields(self) -> dict[str, Any]:
        """What the item says of the file besides its link."""
        return self.item.assets[self.source.archive.assets[self.band]].extra_fields

    def opened(self, action: Callable[[rasterio.DatasetReader], T]) -> T:
        """What ``action`` returns for the open file, tried again while the archive refuses.

        Raises:
            TileError: The file is missing, cannot be decoded, has no usable grid, or is not the one that the item
                describes; names item, asset and link.
            InputError: The file is raw Sentinel-1 GRD.
            UnreachableError: The archive does not answer, or refuses, after retries.
        """
        return patiently(self.href, self.backoff, partial(self._attempt, action))

    def calibrated(self, counts: np.ndarray, nodata: float | None) -> np.ndarray:
        """Physical values of stored ``counts``, same shape.

        Scene classes stay uint8; the file's nodata, and numbers that are no class, become 0 (no data). All else becomes
        float32 with NaN for no data: reflectance (1 = 100 %) or backscatter as linear power. No data is masked before
        the offset is added.

        Args:
            counts: Pixels as stored.
            nodata: The file's own value for no data. 0 counts as such whatever the file says: a power of 0 cannot be
                measured, and in decibels exactly 0 is a fill value.
        """
        if self.band == SCENE_CLASSIFICATION:
            unknown = counts >= SCENE_CLASSES
            if nodata is not None:
                unknown |= counts == nodata
            return np.where(unknown, 0, counts).astype("uint8")
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

    def _attempt(self, action: Callable[[rasterio.DatasetReader], T], number: int) -> T:
        """Read once; a token that the archive refuses is replaced once, by a new one."""
        address = self._address()
        try:
            return self._read(address, action, number)
        except _ExpiredError:
            address = self._address(refused=address)
        try:
            return self._read(address, action, number + 1)
        except _ExpiredError as error:
            reason = f"{error}, with a new token too"
            raise UnreachableError(f"{self.item.id}: {self._name} unreachable ({reason})") from error

    def _read(self, address: str, action: Callable[[rasterio.DatasetReader], T], number: int) -> T:
        keep_secrets()
        try:
            if wrong := self._wrong_size() or self._wrong_content(address):
                raise TileError(f"{self.item.id}: corrupt {self._name}: {wrong}")
            with (
                rasterio.Env(**self._options(), **(FORGET if number > 1 else {})),
                rasterio.open(address, driver=self._driver, sharing=False) as file,
            ):
                self.amounts.opened(self.item.id)
                self._check(file)
                return action(file)
        except (OSError, RasterioError, _UnusableError, _BrokenOffError) as error:
            raise self._diagnosis(error, number, address) from error

    def _address(self, refused: str | None = None) -> str:
        """What GDAL opens: a path, or a link with a token where the archive wants one."""
        scheme = scheme_of(self.href)
        if scheme in LOCAL and not self.href.startswith("/vsi"):
            return local_path(self.href)
        if scheme not in REMOTE:
            raise TileError(f"{self.item.id}: {self._name} refused: allowed are files and {', '.join(REMOTE)}")
        if scheme == "gs":
            return f"/vsigs/{self.href.removeprefix('gs://')}"
        if self.source.archive.signing == "planetary-computer":
            return signed(self.href, self.backoff, refused)
        return self.href

    @property
    def _driver(self) -> str:
        return DRIVERS.get(Path(path_of(self.href)).suffix.lower(), OTHERWISE)

    def _options(self) -> dict[str, str]:
        """Of GDAL."""
        options = GDAL_OPTIONS | self.backoff.gdal_options()
        emulator = os.environ.get("STORAGE_EMULATOR_HOST")  # as Google's own libraries call it
        if scheme_of(self.href) == "gs" and emulator:
            host = emulator if "://" in emulator else f"http://{emulator}"
            options |= {"CPL_GS_ENDPOINT": f"{host.rstrip('/')}/", "GS_NO_SIGN_REQUEST": "YES"}
        return options

    @property
    def _name(self) -> str:
        return f"asset {self.source.archive.assets[self.band]} ({self.href})"

    def _wrong_size(self) -> str | None:
        """Why a file of this machine is not the one that the item describes."""
        if scheme_of(self.href) not in LOCAL:
            return None
        return wrong_size(self.fields, Path(local_path(self.href)).stat().st_size)

    def _wrong_content(self, address: str) -> str | None:
        """Why a file that is to be verified has another checksum than the item says; it is read in whole, once."""
        if not self.source.verify:
            return None
        content = Fetcher(self.backoff).parts(address)
        verdict = verdict_on(self.href, str(self.fields.get(CHECKSUM)))
        try:
            return verdict.wrong(lambda: wrong_checksum(self.fields, content))
        except PassingError as error:
            raise _BrokenOffError(str(error)) from error

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

    def _diagnosis(self, error: Exception, attempt: int, address: str) -> StookError | _ExpiredError:
        """The failure that explains ``error``, found by looking at the link itself."""
        name = self._name
        missing = TileError(f"{self.item.id}: missing {name}")
        corrupt = TileError(f"{self.item.id}: corrupt {name}: {_one_line(error)}")
        if isinstance(error, _UnusableError):
            return TileError(f"{self.item.id}: unusable {name}: {error}")
        scheme = scheme_of(self.href)
        if scheme in LOCAL:
            there = os.path.exists(local_path(self.href))  # noqa: PTH110  no exception where a folder is closed to us
            return corrupt if there else missing
        if scheme not in HTTP:
            return self._told(_one_line(error), missing, corrupt)
        probe = Fetcher(self.backoff).probe(address)
        if probe.status in (404, 410):
            return missing
        if probe.status == 416:  # not even the first bytes are there
            return corrupt
        if probe.status in (401, 403) and address != self.href:
            return _ExpiredError(str(probe.status))
        if isinstance(probe.status, int) and probe.status < 400:
            if wrong := wrong_size(self.fields, probe.size):
                return TileError(f"{self.item.id}: corrupt {name}: {wrong}")
            # A server that answers now may have refused a moment ago; the second failure in a row is the file's, but
            # where bytes are missing: then it is if the file can be had in whole.
            text = _one_line(error)
            cut_head = re.search(NO_IMAGE, text) and IMAGE.match(probe.head)
            incomplete = isinstance(error, _BrokenOffError) or cut_head or re.search(INCOMPLETE, text)
            enough = self.backoff.attempts if incomplete else min(2, self.backoff.attempts)
            if attempt >= enough and not probe.is_page and not re.search(TRANSPORT, text):
                return self._incomplete(address, corrupt) if incomplete else corrupt
            reason = "a web page instead of the file" if probe.is_page else text
        else:
            reason = str(probe.status)
        return PassingError(f"{self.item.id}: {name} unreachable ({reason})", probe.retry_after_s)

    def _incomplete(self, address: str, corrupt: TileError) -> StookError:
        """Whose fault missing bytes are, by fetching the whole file: the connection's, or else the file's."""
        try:
            deque(Fetcher(self.backoff).parts(address), maxlen=0)
        except PassingError:
            return PassingError(f"{self.item.id}: {self._name} unreachable (connections break off)")
        return corrupt

    def _told(self, text: str, missing: TileError, corrupt: TileError) -> StookError:
        """The same for object stores, which cannot be asked without credentials: GDAL's words decide."""
        if re.search(REFUSED, text, re.IGNORECASE):
            return PassingError(f"{self.item.id}: {self._name} unreachable ({text})")
        return missing if re.search(r"\b404\b|not exist|No such", text) else corrupt


def _one_line(error: Exception) -> str:
    """The deepest cause in one line: rasterio says "Read failed. See previous exception for details."."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return " ".join(str(error).split())[:200]
