"""Presto: a transformer over the time series of one pixel (Tseng et al. 2023, arXiv:2304.14065).

A token is a group of channels at one time step. What is missing is left out of attention, so every pixel of a batch
may have gaps of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stook.models.attention import Block, mean_of_visible
from stook.models.encoder import Encoder
from stook.models.positions import unit_sphere
from stook.models.specification import Band, InputSpecification, OutputSpecification, PeriodKind

CHANNELS = ("vv", "vh", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16", "swir22")
CHANNEL_COUNT = 17
NDVI, NIR, RED = 16, 8, 4
STATIC_GROUP = "SRTM"
DYNAMIC_WORLD_MISSING = 9

# Name in the checkpoint -> channels of the group. The order is that of the rows of the channel embedding.
GROUPS: dict[str, tuple[int, ...]] = {
    "S1": (0, 1),
    "S2_RGB": (2, 3, 4),
    "S2_Red_Edge": (5, 6, 7),
    "S2_NIR_10m": (8,),
    "S2_NIR_20m": (9,),
    "S2_SWIR": (10, 11),
    "ERA5": (12, 13),
    STATIC_GROUP: (14, 15),
    "NDVI": (16,),
}
DYNAMIC_WORLD_ROW = len(GROUPS)

BANDS = tuple(
    # Published for counts: x / 10,000, which is reflectance.
    Band(name, "sentinel1", 25.0, 25.0) if name in ("vv", "vh") else Band(name, "sentinel2", 0.0, 1.0)
    for name in CHANNELS
)


@dataclass(frozen=True)
class PrestoSize:
    """Dimensions of a member of the family; the defaults are the published checkpoint's."""

    width: int = 128
    depth: int = 2
    heads: int = 8
    mlp_ratio: float = 4.0
    most_steps: int = 24
    period: PeriodKind = "month"


class Presto(Encoder):
    """The encoder: one vector per pixel. Parameter names are the published ones without their ``encoder.`` prefix."""

    family = "presto"
    size_type = PrestoSize
    size: PrestoSize

    def __init__(self, size: PrestoSize = PrestoSize()):  # noqa: B008  immutable
        super().__init__(size)
        quarter = size.width // 4
        self.eo_patch_embed = nn.ModuleDict({name: nn.Linear(len(group), size.width) for name, group in GROUPS.items()})
        self.dw_embed = nn.Embedding(DYNAMIC_WORLD_MISSING + 1, size.width)
        self.latlon_embed = nn.Linear(3, size.width)
        self.month_embed = nn.Embedding(12, quarter)
        self.channel_embed = nn.Embedding(DYNAMIC_WORLD_ROW + 1, quarter)
        self.pos_embed = nn.Parameter(sinusoid_table(size.most_steps, size.width - 2 * quarter), requires_grad=False)
        self.blocks = nn.ModuleList(Block(size.width, size.heads, size.mlp_ratio) for _ in range(size.depth))
        self.norm = nn.LayerNorm(size.width)

    @classmethod
    def interface(cls, size: PrestoSize) -> tuple[InputSpecification, OutputSpecification]:
        """The series of one pixel in, one vector out."""
        specification = InputSpecification(
            bands=BANDS,
            resolution_m=10,
            chip_px=1,
            period=size.period,
            most_periods=size.most_steps,
            resampling="nearest",
            masks_missing=True,
        )
        return specification, OutputSpecification(size.width, patch_px=1)

    @property
    def values_per_chip(self) -> int:
        """Width times the tokens of the longest series with every group of the specification's bands."""
        with_source = [channels for channels in GROUPS.values() if max(channels) < len(BANDS) or NDVI in channels]
        return self.size.width * (1 + len(with_source) * self.size.most_steps)

    def forward(
        self, x: Tensor, mask: Tensor, months: Tensor, latlon: Tensor, dynamic_world: Tensor | None = None
    ) -> Tensor:
        """Embed a batch of pixels.

        Args:
            x: float [batch, step, 17], normalised; the value of a masked channel is not looked at.
            mask: bool [batch, step, 17], True where a channel is missing; one missing channel hides its group.
            months: int [batch, step], January is 0.
            latlon: float [batch, 2], degrees.
            dynamic_world: int [batch, step], class 0…8, 9 where missing; None where there is none at all.

        Returns:
            float [batch, width].
        """
        batch, steps, _ = x.shape
        x = x.masked_fill(mask, 0.0)
        tokens, visible = [self.latlon_embed(unit_sphere(latlon)).unsqueeze(1)], [mask.new_ones(batch, 1)]
        for row, (name, channels) in enumerate(GROUPS.items()):
            shown = ~mask[:, :, channels].any(dim=-1)
            if name == STATIC_GROUP:
                shown = shown[:, :1]
            # A step that no pixel of the batch has costs nothing.
            kept = shown.any(dim=0).nonzero().squeeze(1)
            values = self.eo_patch_embed[name](x[:, kept][:, :, channels])
            tokens.append(values + self._added(row, months[:, kept], kept, static=name == STATIC_GROUP))
            visible.append(shown[:, kept])
        if dynamic_world is not None:
            every_step = torch.arange(steps, device=x.device)
            tokens.append(self.dw_embed(dynamic_world) + self._added(DYNAMIC_WORLD_ROW, months, every_step))
            visible.append(dynamic_world != DYNAMIC_WORLD_MISSING)
        sequence, seen = torch.cat(tokens, dim=1), torch.cat(visible, dim=1)
        for block in self.blocks:
            sequence = block(sequence, seen)
        return self.norm(mean_of_visible(sequence, seen))

    def _added(self, channel_row: int, months: Tensor, steps: Tensor, static: bool = False) -> Tensor:
        """What is added to a token: month, channel and position parts side by side, [batch, step, width]."""
        month = self.month_embed(months)
        position = self.pos_embed[0, steps].expand(*months.shape, -1)
        if static:
            month, position = torch.zeros_like(month), torch.zeros_like(position)
        channel = self.channel_embed.weight[channel_row].expand(*months.shape, -1)
        return torch.cat([month, channel, position], dim=-1)

    def _encode(self, x: Tensor, months: Tensor, years: Tensor, latlon: Tensor) -> Tensor:
        channels, mask = with_ndvi(x[..., 0, 0])
        return self(channels, mask, (months - 1).expand(len(x), -1), latlon)[:, :, None, None]

    @classmethod
    def own_keys(cls, published: Mapping[str, Tensor]) -> dict[str, str]:
        """All but the decoder of the pre-training."""
        return {key: key.removeprefix("encoder.") for key in published if not key.startswith("decoder.")}


def with_ndvi(scaled: Tensor) -> tuple[Tensor, Tensor]:
    """Every channel of scaled series [pixel, period, 12]: (x [pixel, period, 17], mask bool of the same shape).

    Weather and terrain have no source yet and are masked. NDVI is 0 where near infrared and red add up to 0 or less.
    """
    x = scaled.new_full((*scaled.shape[:2], CHANNEL_COUNT), torch.nan)
    x[..., : len(BANDS)] = scaled
    nir, red = x[..., NIR], x[..., RED]
    ndvi = torch.where(nir + red > 0, (nir - red) / (nir + red), torch.zeros_like(nir))
    x[..., NDVI] = torch.where((nir + red).isnan(), torch.nan, ndvi)
    return x, x.isnan()


def sinusoid_table(steps: int, width: int) -> Tensor:
    """Sine-cosine position table [1, step, width], the start value of a newly trained encoder."""
    angle = torch.arange(steps)[:, None] / 10_000 ** (2 * (torch.arange(width) // 2)[None, :] / width)
    table = torch.where(torch.arange(width) % 2 == 0, angle.sin(), angle.cos())
    return table.unsqueeze(0)
