"""SatMAE: vision transformers pre-trained on satellite pictures as masked autoencoders (Cong et al. 2022, 2207.08051).

Three families: one picture in red, green and blue; three of them in time; ten Sentinel-2 bands in three groups. They
differ in how tokens are made and told apart, and share everything after that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from stook.models.attention import Block
from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.positions import frequencies, sine_cosine, sine_cosine_plane
from stook.models.specification import Band, InputSpecification, OutputSpecification

LAYER_NORM_EPS = 1e-6

# Of fMoW-RGB, 1 = brightest: mean, standard deviation.
COLOURS = {
    "red": (0.4182007312774658, 0.28774282336235046),
    "green": (0.4214799106121063, 0.27541765570640564),
    "blue": (0.3991275727748871, 0.2764017581939697),
}
COLOUR_BANDS = tuple(Band(name, "rgb", -mean, deviation) for name, (mean, deviation) in COLOURS.items())

# Of fMoW-Sentinel, counts of 10,000 for a reflectance of 1: mean, standard deviation.
REFLECTANCES = {
    "blue": (1184.3824625, 650.2842772),
    "green": (1120.77120066, 712.12507725),
    "red": (1136.26026392, 965.23119807),
    "rededge1": (1263.73947144, 948.9819932),
    "rededge2": (1645.40315151, 1108.06650639),
    "rededge3": (1846.87040806, 1258.36394548),
    "nir": (1762.59530783, 1233.1492281),
    "nir08": (1972.62420416, 1364.38688993),
    "swir16": (1732.16362238, 1310.36996126),
    "swir22": (1247.91870117, 1087.6020813),
}
COUNTS_PER_REFLECTANCE = 10_000
REFLECTANCE_BANDS = tuple(
    # Two standard deviations below the mean are black, two above it white.
    Band(name, "sentinel2", (2 * deviation - mean) / COUNTS_PER_REFLECTANCE, 4 * deviation / COUNTS_PER_REFLECTANCE)
    for name, (mean, deviation) in REFLECTANCES.items()
)
# Bands of a token: 10 m, red edge, short-wave infrared.
BAND_GROUPS = ((0, 1, 2, 6), (3, 4, 5, 7), (8, 9))

DATES = 3
TIME_PARTS = 3  # year, month, hour
TIME_PART_WIDTH = 128
FIRST_YEAR = 2002
# A composite has no hour. Most satellites of metre resolution, like Sentinel-2, pass at about half past ten local time.
HOUR = 10


@dataclass(frozen=True)
class SatMAESize:
    """Dimensions that all three have; the defaults are the published ViT-L/16's.

    Attributes:
        width: Length of a token.
        depth: Blocks.
        heads: Of the attention.
        mlp_ratio: Of the blocks.
        image_px: Side of the picture, a multiple of ``patch_px``.
        patch_px: Side of a token's patch.
        pool: The vector of a chip: ``mean`` over its patches, of checkpoints that were fine-tuned so and have an
            ``fc_norm``, or the class token, ``cls``, of those that have a ``norm``, as all pre-trained ones.
        output: One vector of the ``chip``, or one for each of its ``patches``.
    """

    width: int = 1024
    depth: int = 24
    heads: int = 16
    mlp_ratio: float = 4.0
    image_px: int = 224
    patch_px: int = 16
    pool: Literal["cls", "mean"] = "cls"
    output: Literal["chip", "patches"] = "chip"

    def __post_init__(self) -> None:
        for field, value, allowed in (
            ("pool", self.pool, ("cls", "mean")),
            ("output", self.output, ("chip", "patches")),
        ):
            if value not in allowed:
                raise InputError(f"{field}: {value!r}; allowed are {', '.join(allowed)}")
        if self.image_px % self.patch_px:
            raise InputError(f"image_px: {self.image_px} is no multiple of patch_px, {self.patch_px}")

    @property
    def side(self) -> int:
        """Patches along a side of the picture."""
        return self.image_px // self.patch_px


@dataclass(frozen=True)
class PictureSize(SatMAESize):
    """Dimensions of the families that see pictures of metre resolution.

    Attributes:
        resolution_m: Ground sampling distance of what they are given. There is no published one: fMoW-RGB is sharpened
            to 0.3 m and coarser, and every picture was resized to ``image_px`` whatever ground it covers. 1 m is our
            choice: a picture is then 224 m wide, a place and its setting, and 0.5 m imagery loses half its detail.
    """

    resolution_m: float = 1.0


@dataclass(frozen=True)
class GroupSize(SatMAESize):
    """Dimensions of the family that sees Sentinel-2.

    Attributes:
        channel_width: The part of ``width`` that tells the groups of bands apart.
    """

    image_px: int = 96
    patch_px: int = 8
    channel_width: int = 256


class SatMAE(Encoder):
    """What the three families share. Parameter names are the published ones.

    Args:
        size: Dimensions.
        place_width: The part of ``size.width`` that tells where a patch is.
    """

    size: SatMAESize

    def __init__(self, size: SatMAESize, place_width: int):
        super().__init__(size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        places = sine_cosine_plane(size.side, 1, frequencies(place_width // 2)).flatten(0, 1)
        self.pos_embed = nn.Parameter(torch.cat([torch.zeros(1, place_width), places]).unsqueeze(0))
        self.blocks = nn.ModuleList(
            Block(size.width, size.heads, size.mlp_ratio, LAYER_NORM_EPS) for _ in range(size.depth)
        )
        if size.pool == "mean":
            self.fc_norm = nn.LayerNorm(size.width, LAYER_NORM_EPS)
        else:
            self.norm = nn.LayerNorm(size.width, LAYER_NORM_EPS)

    @classmethod
    def _output(cls, size: SatMAESize) -> OutputSpecification:
        return OutputSpecification(size.width, size.image_px if size.output == "chip" else size.patch_px)

    @property
    def values_per_chip(self) -> int:
        """Width times the tokens."""
        return self.size.width * (1 + self._tokens_per_patch * self.size.side**2)

    @property
    def _tokens_per_patch(self) -> int:
        return 1

    @property
    def _last_norm(self) -> nn.LayerNorm:
        return self.fc_norm if self.size.pool == "mean" else self.norm

    def _encoded(self, patches: Tensor, added: Tensor) -> Tensor:
        """Tokens after the blocks, the class token first: float [batch, 1 + token, width].

        Args:
            patches: float [batch, token, width], projected.
            added: float [batch or 1, 1 + token, width], what tells the tokens, the class token first, apart.
        """
        tokens = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1) + added
        for block in self.blocks:
            tokens = block(tokens)
        return tokens

    def _pooled(self, tokens: Tensor) -> Tensor:
        """One vector [batch, width] of encoded tokens."""
        return self._last_norm(tokens[:, 1:].mean(dim=1) if self.size.pool == "mean" else tokens[:, 0])

    def _answer(self, tokens: Tensor) -> Tensor:
        """The output [batch, width, row, column] of encoded tokens."""
        if self.size.output == "chip":
            return self._pooled(tokens)[:, :, None, None]
        grid = (self._tokens_per_patch, self.size.side, self.size.side)
        return self._last_norm(tokens[:, 1:]).unflatten(1, grid).mean(dim=1).permute(0, 3, 1, 2)

    @classmethod
    def own_keys(cls, published: Mapping[str, Tensor]) -> dict[str, str]:
        """All but the decoder of the pre-training and the classifier of the fine-tuning."""
        return {key: key for key in published if not key.startswith(("decoder_", "mask_token", "head."))}


class SatMAERgb(SatMAE):
    """One picture in, one vector or one per patch out."""

    family = "satmae-rgb"
    size_type = PictureSize
    size: PictureSize

    def __init__(self, size: PictureSize = PictureSize()):  # noqa: B008  immutable
        super().__init__(size, size.width)
        self.patch_embed = Patches(len(COLOUR_BANDS), size)

    @classmethod
    def interface(cls, size: PictureSize) -> tuple[InputSpecification, OutputSpecification]:
        """One picture in; see ``PictureSize`` about its resolution."""
        return picture_specification(size, most_periods=1), cls._output(size)

    def tokens(self, x: Tensor) -> Tensor:
        """Encoded tokens [batch, 1 + patch, width] of scaled pictures [batch, band, y, x]."""
        return self._encoded(self.patch_embed(x), self.pos_embed)

    def forward(self, x: Tensor) -> Tensor:
        """Feature vectors [batch, width] of scaled pictures [batch, band, y, x]."""
        return self._pooled(self.tokens(x))

    def _encode(self, x: Tensor, months: Tensor, years: Tensor, latlon: Tensor) -> Tensor:
        return self._answer(self.tokens(x[:, 0]))


class SatMAETemporal(SatMAE):
    """Three pictures of a place in, one vector or one per patch out."""

    family = "satmae-temporal"
    size_type = PictureSize
    size: PictureSize

    def __init__(self, size: PictureSize = PictureSize()):  # noqa: B008  immutable
        super().__init__(size, size.width - TIME_PARTS * TIME_PART_WIDTH)
        self.patch_embed = Patches(len(COLOUR_BANDS), size)

    @classmethod
    def interface(cls, size: PictureSize) -> tuple[InputSpecification, OutputSpecification]:
        """Three pictures in; see ``PictureSize`` about their resolution."""
        return picture_specification(size, most_periods=DATES), cls._output(size)

    @property
    def _tokens_per_patch(self) -> int:
        return DATES

    def tokens(self, x: Tensor, times: Tensor) -> Tensor:
        """Encoded tokens [batch, 1 + date · patch, width], date by date.

        Args:
            x: float [batch, date, band, y, x], scaled.
            times: int [batch, date, 3]: years since 2002, month (January is 0), hour.
        """
        patches = self.patch_embed(x.flatten(0, 1)).unflatten(0, x.shape[:2]).flatten(1, 2)
        place = torch.cat([self.pos_embed[:, :1], self.pos_embed[:, 1:].repeat(1, x.shape[1], 1)], dim=1)
        when = sine_cosine(times.float(), frequencies(TIME_PART_WIDTH).to(times.device)).flatten(2)
        when = when.repeat_interleave(self.size.side**2, dim=1)
        # The class token has a place of its own but no time.
        when = torch.cat([torch.zeros_like(when[:, :1]), when], dim=1)
        return self._encoded(patches, torch.cat([place.expand(len(x), -1, -1), when], dim=-1))

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        """Feature vectors [batch, width]; arguments as of ``tokens``."""
        return self._pooled(self.tokens(x, times))

    def _encode(self, x: Tensor, months: Tensor, years: Tensor, latlon: Tensor) -> Tensor:
        times = torch.stack([years - FIRST_YEAR, months - 1, torch.full_like(months, HOUR)], dim=-1)
        return self._answer(self.tokens(x, times.expand(len(x), -1, -1)))


class SatMAEGroup(SatMAE):
    """One Sentinel-2 composite in, one vector or one per patch out. A patch has a token for each group of bands."""

    family = "satmae-group"
    size_type = GroupSize
    size: GroupSize

    def __init__(self, size: GroupSize = GroupSize()):  # noqa: B008  immutable
        super().__init__(size, size.width - size.channel_width)
        self.patch_embed = nn.ModuleList(Patches(len(group), size) for group in BAND_GROUPS)
        channels = sine_cosine(torch.arange(len(BAND_GROUPS)), frequencies(size.channel_width))
        self.channel_embed = nn.Parameter(channels.unsqueeze(0))
        self.channel_cls_embed = nn.Parameter(torch.zeros(1, 1, size.channel_width))

    @classmethod
    def interface(cls, size: GroupSize) -> tuple[InputSpecification, OutputSpecification]:
        """One composite in, as 8-bit values; the 60 m bands were dropped after normalisation and are never read."""
        specification = InputSpecification(
            bands=REFLECTANCE_BANDS,
            resolution_m=10,
            chip_px=size.image_px,
            period="part",
            most_periods=1,
            resampling="nearest",
            masks_missing=False,
            levels=256,
        )
        return specification, cls._output(size)

    @property
    def _tokens_per_patch(self) -> int:
        return len(BAND_GROUPS)

    def tokens(self, x: Tensor) -> Tensor:
        """Encoded tokens [batch, 1 + group · patch, width], group by group, of scaled values [batch, band, y, x]."""
        patches = torch.cat(
            [embed(x[:, group]) for embed, group in zip(self.patch_embed, BAND_GROUPS, strict=True)], dim=1
        )
        first, places = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        place = torch.cat([first, places.repeat(1, len(BAND_GROUPS), 1)], dim=1)
        group = torch.cat([self.channel_cls_embed, self.channel_embed.repeat_interleave(places.shape[1], dim=1)], dim=1)
        return self._encoded(patches, torch.cat([place, group], dim=-1))

    def forward(self, x: Tensor) -> Tensor:
        """Feature vectors [batch, width] of scaled composites [batch, band, y, x]."""
        return self._pooled(self.tokens(x))

    def _encode(self, x: Tensor, months: Tensor, years: Tensor, latlon: Tensor) -> Tensor:
        return self._answer(self.tokens(x[:, 0]))


class Patches(nn.Module):
    """Patch embedding: [batch, band, y, x] -> [batch, patch, width], patches along the rows."""

    def __init__(self, bands: int, size: SatMAESize):
        super().__init__()
        self.proj = nn.Conv2d(bands, size.width, size.patch_px, size.patch_px)

    def forward(self, x: Tensor) -> Tensor:
        """Project each patch by itself."""
        return self.proj(x).flatten(2).transpose(1, 2)


def picture_specification(size: PictureSize, most_periods: int) -> InputSpecification:
    """What the two families that see pictures in red, green and blue expect."""
    return InputSpecification(
        bands=COLOUR_BANDS,
        resolution_m=size.resolution_m,
        chip_px=size.image_px,
        period="part",
        most_periods=most_periods,
        resampling="bilinear",
        masks_missing=False,
    )
