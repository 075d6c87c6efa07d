"""Feature vectors kept: how they are rounded, written, and given to heads as if they had just been encoded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import zarr
from torch import Tensor

from stook.models.errors import TileError
from stook.transforms.choices import Storage
from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.plan import EMBEDDING, Plan, ProductPlan
from stook.transforms.editions.products import layers_of
from stook.transforms.encoding.encode import Features, TileView
from stook.transforms.encoding.encodings import Encoding, Quantisation
from stook.transforms.ground.cells import strips
from stook.transforms.ground.grid import Tile
from stook.transforms.values import NODATA

INT8_MOST = 127


@dataclass(frozen=True)
class Packed:
    """Vectors as they are stored.

    Attributes:
        values: [cell, width] of the storage's type.
        scale: float32 [cell], what ``values`` are multiplied with; None unless they are int8.
    """

    values: Tensor
    scale: Tensor | None


def pack(vectors: Tensor, storage: Storage, quantisation: Quantisation | None = None) -> Packed:
    """Round float32 vectors [cell, width] to what is stored.

    ``int8`` shifts and divides each number as the quantisation says, then divides each vector by a scale of its own,
    its greatest absolute value / 127, so that no number is off by more than half the scale times its spread. It depends
    on nothing but the vector: the result is the same whatever the tile.

    Raises:
        TileError: If a number is beyond what ``float16`` holds.
    """
    if storage != "int8":
        values = vectors.to(getattr(torch, storage))
        if torch.isinf(values).any():
            greatest = vectors.abs().nan_to_num(0.0).max()
            raise TileError(f"embeddings.storage: {storage} cannot hold {greatest:.4g}; float32 and int8 can")
        return Packed(values, None)
    offset, spread = _affine(quantisation, vectors)
    standard = (vectors - offset) / spread
    scale = standard.abs().amax(dim=1) / INT8_MOST
    divisor = torch.where(scale > 0, scale, 1.0)
    return Packed(torch.round(standard / divisor[:, None]).to(torch.int8), scale)


def unpack(packed: Packed, quantisation: Quantisation | None = None) -> Tensor:
    """The float32 vectors [cell, width] that stored ones stand for."""
    values = packed.values.float()
    if packed.scale is None:
        return values
    offset, spread = _affine(quantisation, values)
    return values * packed.scale[:, None] * spread + offset


def _affine(quantisation: Quantisation | None, like: Tensor) -> tuple[Tensor, Tensor]:
    if quantisation is None:
        return like.new_zeros(()), like.new_ones(())
    return like.new_tensor(quantisation.offset), like.new_tensor(quantisation.spread)


def rounded(part: Features, encoding: Encoding) -> Features:
    """Features as they come back from the store, whether they go there or not: both give the same map."""
    if encoding.storage is None:
        return part
    vectors = unpack(pack(part.vectors, encoding.storage, encoding.quantisation), encoding.quantisation)
    return Features(part.rows, part.columns, vectors)


class EmbeddingStore:
    """The vectors of an edition that has the product ``embedding``.

    Args:
        edition: Open or published.
        plan: Of the edition.
        mode: ``r`` to read, ``r+`` to write.
    """

    def __init__(self, edition: Edition, plan: Plan, mode: str = "r"):
        self.edition = edition
        self.plan = plan
        self.product: ProductPlan = next(product for product in plan.products if product.product == EMBEDDING)
        self.encoding = cast(Encoding, self.product.encoding)  # of pictures, vectors are not stored
        self.cells = plan.cells(self.product)
        self.extents = map_store.extents(Tile.parse(name) for name in edition.manifest["tiles"])
        self.mode = mode

    def write(self, tile: Tile, parts: Iterator[Features], require: Callable[[], None]) -> np.ndarray:
        """Write the vectors of a tile; returns the cells that have one, bool [cell row, cell column].

        Args:
            tile: The tile.
            parts: Its vectors, strip by strip, which may take their time.
            require: Called directly before each shard is written; what it raises ends the writing.
        """
        layers = layers_of(self.product)[:-1]  # observations are the tile job's
        encoding = self.encoding
        side, width = self.cells.tile_px, encoding.width
        window = self.extents[tile.zone].slices(self.cells, tile)
        arrays = [self._array(tile, layer.name) for layer in layers]
        scales = np.full((side, side), np.nan, np.float32)
        known = np.zeros((side, side), bool)
        for strip, part in zip(strips(side, width), parts, strict=True):
            packed = pack(part.vectors, encoding.storage or "float32", encoding.quantisation)
            block = np.full((width, strip.stop - strip.start, side), layers[0].nodata, layers[0].dtype)
            block[:, part.rows - strip.start, part.columns] = packed.values.numpy().T
            place = slice(window[0].start + strip.start, window[0].start + strip.stop)
            require()
            map_store.write_shard(arrays[0], (slice(0, width), place, window[1]), block)
            known[part.rows, part.columns] = True
            if packed.scale is not None:
                scales[part.rows, part.columns] = packed.scale.numpy()
        if len(arrays) == 2:
            require()
            map_store.write_shard(arrays[1], window, scales)
        return known

    def view(self, tile: Tile) -> TileView:
        """What heads see of a tile; where the store does not reach, as of ground without imagery."""
        layer = layers_of(self.product)[-1].name
        if tile not in self.extents.get(tile.zone, ()):
            nowhere = np.full((self.cells.tile_px, self.cells.tile_px), NODATA, np.uint8)
            return TileView(nowhere, lambda _: iter(()))
        clear = np.asarray(self._array(tile, layer)[self.extents[tile.zone].slices(self.cells, tile)])
        return TileView(clear, lambda wanted: self.read(tile, wanted))

    def read(self, tile: Tile, wanted: np.ndarray) -> Iterator[Features]:
        """The vectors of the wanted cells of a tile, strip by strip, as ``encode`` gives them."""
        side, width = self.cells.tile_px, self.encoding.width
        window = self.extents[tile.zone].slices(self.cells, tile)
        vectors = self._array(tile, EMBEDDING)
        scales = self._array(tile, "embedding_scale")[window] if self.encoding.storage == "int8" else None
        for strip in strips(side, width):
            place = slice(window[0].start + strip.start, window[0].start + strip.stop)
            rows, columns = np.nonzero(wanted[strip])
            if not len(rows):
                yield Features(rows, columns, torch.zeros((0, width)))
                continue
            block = np.asarray(vectors[:, place, window[1]])[:, rows, columns].T
            scale = None if scales is None else torch.as_tensor(np.asarray(scales)[strip][rows, columns])
            found = unpack(Packed(torch.as_tensor(block), scale), self.encoding.quantisation)
            known = torch.isfinite(found[:, 0]).numpy()
            yield Features(rows[known] + strip.start, columns[known], found[known])

    def _array(self, tile: Tile, layer: str) -> zarr.Array:
        return map_store.open_layer(self.edition.maps, tile.zone.name, self.cells.resolution_m, layer, self.mode)
