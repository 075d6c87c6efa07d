"""Composite → encoder → feature vectors of the cells of a tile, strip by strip."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stook.models.errors import TileError
from stook.models.inference import Embedder
from stook.transforms.encoding.chips import ChipLayout
from stook.transforms.encoding.cutting import Cutter, TileSeason
from stook.transforms.ground.cells import cells_all, strips
from stook.transforms.stopwatch import Stopwatch

# One tile at a time on the accelerator, however many are being read: more would only divide it.
ACCELERATOR = threading.Lock()


@contextmanager
def encoding_with(embedder: Embedder, watch: Stopwatch) -> Iterator[None]:
    """Have the accelerator for the length of the block; its time and what the encoder sees in it are counted."""
    with ACCELERATOR, watch.step("encode"):
        before = embedder.shown
        try:
            yield
        finally:
            watch.amounts.encoded(embedder.shown - before, embedder.encoder.specification.chip_px**2)


@dataclass(frozen=True)
class Features:
    """Feature vectors of some cells of a tile.

    Attributes:
        rows: int [cell], north up.
        columns: int [cell].
        vectors: float32 [cell, width], on the CPU.
    """

    rows: np.ndarray
    columns: np.ndarray
    vectors: Tensor


@dataclass(frozen=True)
class TileView:
    """What a tile offers to heads.

    Attributes:
        clear: Clear observations uint8 [cell row, cell column], 255 where there is no imagery or no ground of ours.
        features: Gives the vectors of the cells that are wanted, strip by strip.
    """

    clear: np.ndarray
    features: Callable[[np.ndarray], Iterator[Features]]


def encode(
    embedder: Embedder,
    layout: ChipLayout,
    season: TileSeason,
    wanted: np.ndarray,
    absent: frozenset[str] = frozenset(),
) -> Iterator[Features]:
    """Encode the wanted cells of a tile; where nothing is known, or too little for the encoder, a cell gets no vector.

    Args:
        embedder: The encoder on its device.
        layout: How its chips lie.
        season: The composite, with a halo at least as wide as the layout's.
        wanted: bool [cell row, cell column].
        absent: Bands to leave out although the composite may have them.

    Yields:
        One ``Features`` per strip, in order, possibly empty.

    Raises:
        TileError: If the encoder answers with something that is not a number for what it saw whole.
    """
    cutter = Cutter(season, layout, embedder.encoder.specification, absent)
    wanted = wanted & cells_all(season.inner(cutter.known), layout.cell_px)
    return _blended(embedder, layout, cutter, wanted) if layout.blended else _centred(embedder, cutter, wanted)


def _centred(embedder: Embedder, cutter: Cutter, wanted: np.ndarray) -> Iterator[Features]:
    """One chip per wanted cell, one vector per chip."""
    for strip in strips(len(wanted), embedder.encoder.output.width):
        rows, columns = np.nonzero(wanted[strip])
        rows = rows + strip.start
        chips, vectors = _embed(embedder, cutter, cutter.chips.rows[rows], cutter.chips.columns[columns])
        answered = torch.isfinite(vectors[:, 0, 0, 0]).numpy()
        yield Features(rows[chips][answered], columns[chips][answered], vectors[answered, :, 0, 0])


def _blended(embedder: Embedder, layout: ChipLayout, cutter: Cutter, wanted: np.ndarray) -> Iterator[Features]:
    """Rows of overlapping chips, north to south; a strip is finished when no further chip reaches it."""
    width, patch, halo = embedder.encoder.output.width, layout.patch_px, layout.halo_px // layout.patch_px
    asked = np.pad(wanted, halo)
    blend = _Blend(layout.blending(), asked.shape[1], width)
    tops = list(cutter.chips.rows)
    for strip in strips(len(wanted), width):
        while tops and tops[0] // patch < halo + strip.stop:
            top = tops.pop(0)
            lefts = cutter.chips.reaching(layout, asked, top)
            chips, vectors = _embed(embedder, cutter, np.full(len(lefts), top), lefts)
            blend.add(top // patch, lefts[chips] // patch, vectors)
        vectors, answered = blend.take(halo + strip.start, halo + strip.stop)
        inner = slice(halo, halo + wanted.shape[1])
        rows, columns = np.nonzero(wanted[strip] & answered[:, inner].numpy())
        yield Features(rows + strip.start, columns, vectors[:, inner][rows, columns])


def _embed(embedder: Embedder, cutter: Cutter, tops: np.ndarray, lefts: np.ndarray) -> tuple[np.ndarray, Tensor]:
    """Which of the chips were encoded (int [chip]), and their vectors float32 [chip, width, row, column]."""
    whole = cutter.whole(tops, lefts)
    chips = np.arange(len(tops)) if embedder.encoder.specification.masks_missing else np.flatnonzero(whole)
    tops, lefts = tops[chips], lefts[chips]
    vectors = embedder(lambda part: cutter.cut(tops[part], lefts[part]), len(chips))
    unknown = ~torch.isfinite(vectors).flatten(start_dim=1).all(dim=1).numpy() & whole[chips]
    if unknown.any():
        raise TileError(f"{embedder.encoder.family}: no number for {unknown.sum()} chips in which nothing is missing")
    return chips, vectors


class _Blend:
    """Weighted means of overlapping chips' vectors, for the rows of cells that further chips may still reach."""

    def __init__(self, window: np.ndarray, columns: int, width: int):
        self.window = torch.as_tensor(np.outer(window, window), dtype=torch.float32)
        self.first = 0  # row of cells that sums[0] is of
        self.sums = torch.zeros((0, columns, width))
        self.weights = torch.zeros((0, columns))

    def add(self, row: int, columns: np.ndarray, vectors: Tensor) -> None:
        """Add a row of chips that start at ``row`` and ``columns``: vectors [chip, width, row, column]."""
        patches = len(self.window)
        self._reach(row + patches)
        rows = slice(row - self.first, row - self.first + patches)
        answered = torch.isfinite(vectors).all(dim=1)
        weights = self.window * answered
        weighted = torch.where(answered[:, None], vectors, 0.0) * weights[:, None]
        for offset in range(patches):  # chips of one row never share a column at the same offset
            places = torch.as_tensor(columns + offset)
            self.sums[rows, places] += weighted[..., offset].permute(2, 0, 1)
            self.weights[rows, places] += weights[..., offset].T

    def take(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Remove the rows before ``stop``; returns those from ``start``: vectors [row, column, width], whether any."""
        self._reach(stop)
        rows = slice(start - self.first, stop - self.first)
        weights, sums = self.weights[rows], self.sums[rows]
        self.sums, self.weights = self.sums[rows.stop :].clone(), self.weights[rows.stop :].clone()
        self.first = stop
        return sums / weights.clamp(min=torch.finfo(torch.float32).tiny)[..., None], weights > 0

    def _reach(self, row: int) -> None:
        """Make room for the rows before ``row``."""
        lacking = row - self.first - len(self.sums)
        if lacking > 0:
            self.sums = torch.cat([self.sums, torch.zeros((lacking, *self.sums.shape[1:]))])
            self.weights = torch.cat([self.weights, torch.zeros((lacking, *self.weights.shape[1:]))])
