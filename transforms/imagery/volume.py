"""How many bytes reading takes, before anything is read: from what the catalogue says, or from headers of a few files.

What is counted is what ``stook.transforms.amounts.Amounts.bytes_read`` counts in a run: compressed blocks, without
headers.
"""

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from random import Random

import numpy as np
import pystac
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from stook.models.errors import TileError
from stook.transforms.amounts import Amounts
from stook.transforms.backoff import BackOff
from stook.transforms.imagery.asset import Asset
from stook.transforms.imagery.blocks import Block, blocks_of, stored_bytes
from stook.transforms.imagery.pictures import Sheet
from stook.transforms.imagery.reading import Resampling, positions
from stook.transforms.imagery.sources import PICTURE_SENSORS, SCENE_CLASSIFICATION, Source

MOST_PIECES = 48  # of a band whose size is found out; of a dozen bands, the sum is then known to some percent
LEAST_PIECES = 12  # the same of a small season
SHARE_OF_PIECES = 0.125  # between them


@dataclass(frozen=True)
class Piece:
    """A file that is opened once, and what is read of it.

    Attributes:
        source: Its archive.
        item: Its scene.
        band: Canonical name; of pictures the first of those that are read.
        boxes: What is read, one after the other.
        resampling: Of composites.
        numbers: Of the bands that are read of a picture.
    """

    source: Source
    item: pystac.Item
    band: str
    boxes: tuple[GeoBox, ...]
    resampling: Resampling = "nearest"
    numbers: tuple[int, ...] = (1,)

    @property
    def kind(self) -> str:
        """What files of about the same size have in common: sensor and band."""
        return f"{self.source.sensor}/{self.band}"


@dataclass(frozen=True)
class Volume:
    """Bytes to read, grown from some pieces to all.

    Attributes:
        size: Bytes.
        error: Its standard error, from how much the pieces of a kind differ; 0 where every piece was looked at.
        stated: Pieces whose size the catalogue states.
        opened: Pieces whose header was read.
        unknown: Pieces that were asked for in vain: missing, damaged, or of a format that does not say.
    """

    size: float
    error: float
    stated: int
    opened: int
    unknown: int


@dataclass
class PieceSample:
    """A few pieces of each kind, each as likely as any other (reservoir sampling), and how many there are.

    Attributes:
        seed: Of the choice.
        counts: Kind -> pieces seen.
        kept: Kind -> pieces chosen.
    """

    seed: int = 1
    counts: dict[str, int] = field(default_factory=dict)
    kept: dict[str, list[Piece]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def add(self, pieces: Iterable[Piece]) -> None:
        """Take notice of further pieces."""
        for piece in pieces:
            seen = self.counts[piece.kind] = self.counts.get(piece.kind, 0) + 1
            chosen = self.kept.setdefault(piece.kind, [])
            if len(chosen) < MOST_PIECES:
                chosen.append(piece)
            elif (place := self._random.randrange(seen)) < MOST_PIECES:
                chosen[place] = piece

    def volume(self, readers: int, backoff: BackOff | None = None) -> Volume:
        """What all the pieces come to; opens those of which the catalogue does not state the size.

        Args:
            readers: Files opened at the same time.
            backoff: How patiently.

        Raises:
            UnreachableError: An archive does not answer.
        """
        chosen = {kind: self._some(kept, self.counts[kind]) for kind, kept in self.kept.items()}
        pieces = [piece for kept in chosen.values() for piece in kept]
        with ThreadPoolExecutor(readers) as pool:
            sizes = dict(
                zip(map(id, pieces), pool.map(partial(_size, backoff=backoff or BackOff()), pieces), strict=True)
            )
        known = {
            kind: [size for piece in kept if (size := sizes[id(piece)][0]) is not None] for kind, kept in chosen.items()
        }
        size, variance = grown(known, self.counts)
        stated = sum(size is not None and not opened for size, opened in sizes.values())
        measured = sum(size is not None and opened for size, opened in sizes.values())
        return Volume(size, math.sqrt(variance), stated, measured, len(pieces) - stated - measured)

    def _some(self, kept: list[Piece], count: int) -> list[Piece]:
        """As many of those kept as so many members of a kind deserve; of pictures, which differ more, all."""
        if kept[0].source.sensor in PICTURE_SENSORS:
            return kept
        return self._random.sample(kept, min(len(kept), max(LEAST_PIECES, round(SHARE_OF_PIECES * count))))


def grown(known: Mapping[str, list[float]], counts: Mapping[str, int]) -> tuple[float, float]:
    """The total of all members of some kinds, and its variance, from simple random samples without replacement.

    The stratified expansion estimator (Cochran, Sampling Techniques, 5.3–5.5). A kind of which nothing is known is
    taken for the mean of the others.

    Args:
        known: Kind -> values of its sample.
        counts: Kind -> members.
    """
    total = variance = 0.0
    every = [value for values in known.values() for value in values]
    for kind, count in counts.items():
        values = np.array(known.get(kind) or every or [0.0])
        total += count * float(values.mean())
        if 1 < len(values) < count:
            variance += count**2 * (1 - len(values) / count) * float(values.var(ddof=1)) / len(values)
    return total, variance


def _size(piece: Piece, backoff: BackOff) -> tuple[float | None, bool]:
    """Bytes of a piece, or None, and whether its file was asked."""
    stated = stated_bytes(piece)
    if stated is not None:
        return stated, False
    try:
        asset = Asset(piece.source, piece.item, piece.band, backoff, Amounts())
        return asset.opened(partial(bytes_in, piece)), True
    except TileError:  # the run will name it; here it is one of many
        return None, True


def bytes_in(piece: Piece, file: rasterio.DatasetReader) -> int | None:
    """Compressed bytes of the blocks that a piece needs of its open file; None where the header does not say."""
    if piece.source.sensor in PICTURE_SENSORS:
        blocks: set[Block] = set()  # GDAL keeps a block for the next chip
        for box in piece.boxes:
            blocks |= Sheet.begun(file, box, len(piece.numbers)).blocks_in(file)
        return stored_bytes(file, blocks, piece.numbers)
    windows = (window_of(file, box, piece) for box in piece.boxes)
    sizes = [stored_bytes(file, blocks_of(file, window)) for window in windows if window]
    return None if None in sizes else sum(size or 0 for size in sizes)


def window_of(file: rasterio.DatasetReader, box: GeoBox, piece: Piece) -> Window | None:
    """The pixels of a file that sampling it on ``box`` reads, see ``stook.transforms.imagery.reading``."""
    rows, columns = positions(file, box)
    if piece.resampling == "nearest" or piece.band == SCENE_CLASSIFICATION:
        rows, columns = np.floor(rows), np.floor(columns)
        inside = (rows >= 0) & (rows < file.height) & (columns >= 0) & (columns < file.width)
        if not inside.any():
            return None
        rows, columns = (np.broadcast_to(axis, inside.shape)[inside] for axis in (rows, columns))
        first, last = (int(rows.min()), int(columns.min())), (int(rows.max()), int(columns.max()))
    else:
        first = max(math.floor(rows.min() - 0.5), 0), max(math.floor(columns.min() - 0.5), 0)
        last = (
            min(math.floor(rows.max() - 0.5) + 1, file.height - 1),
            min(math.floor(columns.max() - 0.5) + 1, file.width - 1),
        )
    if first[0] > last[0] or first[1] > last[1]:
        return None
    return Window(first[1], first[0], last[1] - first[1] + 1, last[0] - first[0] + 1)


def stated_bytes(piece: Piece) -> float | None:
    """``file:size`` times the share of the file's pixels that a piece needs; None where the item lacks one of both.

    The extensions *file* and *projection* of STAC. Overviews in the file are counted as if they were read too.
    """
    asset = piece.item.assets[piece.source.archive.assets[piece.band]]
    found = piece.item.properties | asset.extra_fields
    size, shape, transform = (found.get(name) for name in ("file:size", "proj:shape", "proj:transform"))
    code = found.get("proj:code") or (f"EPSG:{found['proj:epsg']}" if found.get("proj:epsg") else None)
    if not (size and shape and transform and code):
        return None
    whole = GeoBox(tuple(shape), Affine(*transform[:6]), code)
    pixels = sum(_pixels_within(box, whole) for box in piece.boxes)
    return float(size) * min(1.0, pixels / (shape[0] * shape[1]))


def _pixels_within(box: GeoBox, whole: GeoBox) -> float:
    """How many pixels of ``whole`` the bounds of ``box`` cover."""
    bounds = box.extent.to_crs(str(whole.crs)).boundingbox
    (left, top), (right, bottom) = (
        ~whole.transform * (bounds.left, bounds.top),
        ~whole.transform * (bounds.right, bounds.bottom),
    )
    width = max(0.0, min(right, whole.shape.x) - max(left, 0.0))
    height = max(0.0, min(bottom, whole.shape.y) - max(top, 0.0))
    return width * height
