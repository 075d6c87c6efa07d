"""One vector for a cell of ground from an encoder of single pixels or patches: the mean of its vectors.

Building coverage asks for one vector per cell of 100 m; Presto gives one per pixel, Galileo one per patch.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.specification import InputSpecification, OutputSpecification


@dataclass(frozen=True)
class PooledSize:
    """An encoder and how much ground is pooled.

    Attributes:
        family: Of the encoder within.
        inner: Its dimensions.
        cell_px: Side of the cell, in its pixels; a multiple of its chip.
    """

    family: str
    inner: dict[str, Any]
    cell_px: int


class Pooled(Encoder):
    """The mean over a cell of another encoder's vectors; a pixel or patch without any value is left out of it.

    All pixels of a cell are told the cell's place, which is some tens of metres off.
    """

    family = "pooled"
    size_type = PooledSize
    size: PooledSize

    def __init__(self, size: PooledSize):
        super().__init__(size)
        from stook.models.families import build

        self.inner = build({"family": size.family, "size": size.inner})

    @classmethod
    def over(cls, encoder: Encoder, cell_px: int) -> "Pooled":
        """A trained encoder, pooled; raises InputError if its chips do not fill a cell."""
        pooled = cls(PooledSize(encoder.family, asdict(encoder.size), cell_px))
        pooled.inner = encoder
        return pooled.train(encoder.training)

    @classmethod
    def interface(cls, size: PooledSize) -> tuple[InputSpecification, OutputSpecification]:
        """A cell in, one vector out."""
        from stook.models.families import FAMILIES  # which has this family too

        family = FAMILIES[size.family]
        specification, output = family.interface(family.size_type(**size.inner))
        if size.cell_px % specification.chip_px:
            raise InputError(
                f"stride_px: {size.cell_px}; a cell has to be a whole number of chips of {specification.chip_px} px of "
                f"the {size.family} encoder"
            )
        return replace(specification, chip_px=size.cell_px), replace(output, patch_px=size.cell_px)

    @property
    def values_per_chip(self) -> int:
        """As many as all its chips have."""
        return self.inner.values_per_chip * self._across**2

    @property
    def _across(self) -> int:
        """Chips of the encoder along a side of the cell."""
        return self.size.cell_px // self.inner.specification.chip_px

    def _encode(self, x: Tensor, months: Tensor, years: Tensor, latlon: Tensor) -> Tensor:
        cells, periods, bands = x.shape[:3]
        across, side = self._across, self.inner.specification.chip_px
        # [cell, period, band, row of chips, y, column of chips, x] -> [cell, row, column, period, band, y, x]
        chips = x.reshape(cells, periods, bands, across, side, across, side).permute(0, 3, 5, 1, 2, 4, 6)
        chips = chips.reshape(-1, periods, bands, side, side)
        vectors = self.inner._encode(chips, months, years, latlon.repeat_interleave(across**2, dim=0))
        patches, patch = vectors.shape[-1], self.inner.output.patch_px
        known = (~chips.isnan()).any(dim=2).any(dim=1).reshape(-1, patches, patch, patches, patch)
        weight = known.float().mean(dim=(2, 4)).reshape(cells, -1)
        weight = torch.where(weight.sum(dim=1, keepdim=True) > 0, weight, torch.ones_like(weight))
        each = vectors.permute(0, 2, 3, 1).reshape(cells, weight.shape[1], -1)
        mean = (each * weight[..., None]).sum(dim=1) / weight.sum(dim=1, keepdim=True)
        return mean[:, :, None, None]
