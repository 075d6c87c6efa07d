"""One band of one item: opened with patience, and a failure traced to what caused it."""

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pystac
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError

from stook.models.errors import InputError, TileError, UnreachableError
from stook.transforms.amounts import Amounts
from stook.transforms.backoff import BackOff, PassingError
from stook.transforms.breaker import patiently
from stook.transforms.imagery.checksums import CHECKSUM, verdict_on, wrong_checksum, wrong_size
from stook.transforms.imagery.fetching import Fetcher
from stook.transforms.imagery.links import LOCAL, REMOTE, local_path, path_of, scheme_of
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
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # where requests looks, which reads catalogues
FORGET = {"CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/:/vsigs/:/vsiaz/"}  # a refusal is cached like an answer
# By the end of a link; what names other files (VRT, GTI, WMS, STACIT) is not opened, whatever it is called.
DRIVERS, OTHERWISE = {".jp2": "JP2OpenJPEG"}, "GTiff"
COUNT_TYPES = ("uint16", "int16")
CLASS_TYPES = ("uint8", *COUNT_TYPES)
EPSG = re.compile(r"(?:URN:OGC:DEF:CRS:)?(?:EPSG:(?:[\d.]*:)?)?(\d+)")  # how items write a code


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
            return self._opened(address, action, FORGET if number > 1 else {})
        except (OSError, RasterioError) as error:
            self._explain(error, address)
            if number < min(2, self.backoff.attempts):
                raise self._unreachable(_one_line(error)) from error
        return self._fetched(address, action)

    def _opened(self, address: str, action: Callable[[rasterio.DatasetReader], T], options: Mapping[str, str]) -> T:
        with (
            rasterio.Env(**self._options(address), **options),
            rasterio.open(address, driver=self._driver, sharing=False) as file,
        ):
            self.amounts.opened(self.item.id)
            self._check(file)
            return action(file)

    def _explain(self, error: Exception, address: str) -> None:
        """Raise what the place of the file says of a failure; nothing if it says that the file can be had."""
        missing = TileError(f"{self.item.id}: missing {self._name}")
        corrupt = TileError(f"{self.item.id}: corrupt {self._name}: {_one_line(error)}")
        if scheme_of(self.href) in LOCAL:
            there = os.path.exists(local_path(self.href))  # noqa: PTH110  no exception where a folder is closed to us
            raise (corrupt if there else missing) from error
        probe = self._fetcher.probe(self._link(address))
        if probe.status in (404, 410):
            raise missing from error
        if probe.status == 416:  # not even the first bytes are there
            raise corrupt from error
        if probe.status in (401, 403) and address != self.href:
            raise _ExpiredError(str(probe.status)) from error
        if not isinstance(probe.status, int) or probe.status >= 400 or probe.is_page:
            why = "a web page instead of the file" if probe.is_page else probe.status
            raise self._unreachable(why, probe.retry_after_s) from error
        if wrong := wrong_size(self.fields, probe.size):
            raise TileError(f"{self.item.id}: corrupt {self._name}: {wrong}") from error

    def _fetched(self, address: str, action: Callable[[rasterio.DatasetReader], T]) -> T:
        """Fetch the file in whole and read that: what fails now is the file's fault, not the connection's."""
        with tempfile.TemporaryDirectory(prefix="stook-") as folder:
            copy = Path(folder) / "file"
            try:
                with copy.open("wb") as file:
                    file.writelines(self._fetcher.parts(self._link(address)))
            except PassingError as error:
                raise self._unreachable("connections break off", error.retry_after_s) from error
            try:
                return self._opened(str(copy), action, {})
            except (OSError, RasterioError) as error:
                raise TileError(f"{self.item.id}: corrupt {self._name}: {_one_line(error)}") from error

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
        # GDAL takes headers along to wherever a server sends it; secrets are not for everybody.
        return self._fetcher.landing(self.href) if self.source.reach.headers_for(self.href) else self.href

    def _link(self, address: str) -> str:
        """What others than GDAL open: the same link, where it is no virtual path of GDAL."""
        return self.href if address.startswith("/vsi") else address

    @property
    def _fetcher(self) -> Fetcher:
        reach = self.source.reach
        return Fetcher(self.backoff, reach.allow_host, reach.headers_for)

    @property
    def _driver(self) -> str:
        return DRIVERS.get(Path(path_of(self.href)).suffix.lower(), OTHERWISE)

    def _options(self, address: str) -> dict[str, str]:
        """Of GDAL."""
        options = GDAL_OPTIONS | self.backoff.gdal_options()
        if headers := self.source.reach.headers_for(address):
            options["GDAL_HTTP_HEADERS"] = "\r\n".join(f"{name}: {value}" for name, value in headers.items())
        if certificates := next((os.environ[name] for name in CERTIFICATES if os.environ.get(name)), None):
            options["GDAL_CURL_CA_BUNDLE"] = certificates
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
        content = self._fetcher.parts(self._link(address))
        verdict = verdict_on(self.href, str(self.fields.get(CHECKSUM)))
        try:
            return verdict.wrong(lambda: wrong_checksum(self.fields, content))
        except PassingError as error:
            self._explain(error, address)
            raise

    def _unreachable(self, why: object, retry_after_s: float | None = None) -> PassingError:
        return PassingError(f"{self.item.id}: {self._name} unreachable ({why})", retry_after_s)

    def _unusable(self, why: str) -> TileError:
        return TileError(f"{self.item.id}: unusable {self._name}: {why}")

    def _check(self, file: rasterio.DatasetReader) -> None:
        if self.source.sensor == "sentinel1" and (file.gcps[0] or file.dtypes[0] == "uint16"):
            raise InputError(f"{self.item.id}: {self.href} is raw GRD amplitude; {USE_INSTEAD}")
        if file.crs is None:
            raise self._unusable("no coordinate reference system")
        if not file.transform.is_rectilinear:
            raise self._unusable("a rotated grid")
        stated, actual = self.item.properties.get("proj:code"), file.crs.to_epsg()
        if (code := _code(stated)) and actual and code != actual:
            raise self._unusable(f"EPSG:{actual}, but the item says {stated}")
        numbers = self.source.archive.numbers
        if self.source.sensor == "rgb" and (file.count < len(numbers) or set(file.dtypes) != {"uint8"}):
            bands = f"{file.count} bands of {file.dtypes[0]}"
            raise self._unusable(f"{bands}, where profile {self.source.profile} has {len(numbers)} of uint8")
        types = CLASS_TYPES if self.band == SCENE_CLASSIFICATION else COUNT_TYPES
        if self.source.sensor == "sentinel2" and file.dtypes[0] not in types:
            what = "classes" if self.band == SCENE_CLASSIFICATION else "counts of 16 bits"
            raise self._unusable(f"{file.dtypes[0]} pixels, where profile {self.source.profile} has {what}")
        bands = sum(meaning != ColorInterp.alpha for meaning in file.colorinterp)
        if self.source.sensor != "rgb" and bands != 1:
            raise self._unusable(f"{bands} bands, where profile {self.source.profile} has one in each asset")


def counts_in(file: rasterio.DatasetReader, **part: Any) -> np.ndarray:
    """Pixels of the first band as stored; 0, which is no data in all of them, where a mask or alpha band says so.

    Args:
        file: The file.
        part: ``window`` and ``out_shape``, as of rasterio.
    """
    counts = np.asarray(file.read(1, **part))
    if MaskFlags.per_dataset not in file.mask_flag_enums[0]:
        return counts
    return np.where(file.read_masks(1, **part) > 0, counts, 0)


def _code(stated: object) -> int | None:
    """The EPSG number in what an item states; None where there is none, as in "EPSG:None" or WKT."""
    text = str(stated).upper()
    code = EPSG.fullmatch("EPSG:4326" if text.endswith("CRS84") else text)
    return int(code[1]) if code else None


def _one_line(error: Exception) -> str:
    """The deepest cause in one line: rasterio says "Read failed. See previous exception for details."."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return " ".join(str(error).split())[:200]
