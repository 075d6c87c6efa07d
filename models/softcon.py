"""SoftCon: vision transformers in the layout of DINOv2, for one optical or radar image (Wang et al. 2024, 2405.20462).

Pretrained on SSL4EO-S12, whose statistics scale the input: each band from its mean minus two standard deviations to its
mean plus two, cut to 8 bits. The optical bands and statistics are those of Sentinel-2 L1C: top of atmosphere, all 13
bands in the order of their numbers, cirrus among them. Radar is VV, VH of Sentinel-1 GRD in dB.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from stook.models.attention import Block
from stook.models.encoder import Encoder
from stook.models.specification import Band, InputSpecification, OutputSpecification

CHIP_PX, PATCH_PX = 224, 14
LEVELS = 256
EPSILON = 1e-6
LAYER_SCALE = 1e-5

# Of SSL4EO-S12, in the order of the channels: name -> mean and standard deviation. Counts, 10,000 is reflectance 1.
_COUNTS = {
    "coastal": (1605.57504906, 786.78685367),
    "blue": (1390.78157673, 850.34818441),
    "green": (1314.8729939, 875.06484736),
    "red": (1363.52445545, 1138.84957046),
    "rededge1": (1549.44374991, 1122.17775652),
    "rededge2": (2091.74883118, 1161.59187054),
    "rededge3": (2371.7172463, 1274.39184232),
    "nir": (2299.90463006, 1248.42891965),
    "nir08": (2560.29504086, 1345.52684884),
    "nir09": (830.06605044, 577.31607053),
    "cirrus": (22.10351321, 51.15431158),
    "swir16": (2177.07172323, 1336.09932639),
    "swir22": (1524.06546312, 1136.53823676),
}
_DECIBELS = {"vv": (-12.54847273, 5.25697717), "vh": (-20.19237134, 5.91150917)}

SENTINEL2_BANDS = tuple(
    Band(name, "sentinel2", (2 * std - mean) / 10_000, 4 * std / 10_000) for name, (mean, std) in _COUNTS.items()
)
SENTINEL1_BANDS = tuple(Band(name, "sentinel1", 2 * std - mean, 4 * std) for name, (mean, std) in _DECIBELS.items())


@dataclass(frozen=True)
class SoftConSize:
    """Dimensions of a member of the family; the defaults are ViT-S/14 on Sentinel-2."""

    width: int = 384
    depth: int = 12
    heads: int = 6
    sensor: Literal["sentinel1", "sentinel2"] = "sentinel2"


class SoftCon(Encoder):
    """The encoder: the class token of one image. Parameter names are the published ones.

    The position table is that of 224 px and is not stretched: other chips are refused by the specification.
    """

    family = "softcon"
    size_type = SoftConSize
    size: SoftConSize

    def __init__(self, size: SoftConSize = SoftConSize()):  # noqa: B008  immutable
        super().__init__(size)
        bands, patches = len(self.specification.bands), (CHIP_PX // PATCH_PX) ** 2
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + patches, size.width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(bands, size.width, PATCH_PX, stride=PATCH_PX)})
        self.blocks = nn.ModuleList(
            Block(size.width, size.heads, 4.0, EPSILON, layer_scale=LAYER_SCALE) for _ in range(size.depth)
        )
        self.norm = nn.LayerNorm(size.width, eps=EPSILON)

    @classmethod
    def interface(cls, size: SoftConSize) -> tuple[InputSpecification, OutputSpecification]:
        """One image of 224 px in, one vector out."""
        specification = InputSpecification(
            bands=SENTINEL2_BANDS if size.sensor == "sentinel2" else SENTINEL1_BANDS,
            resolution_m=10,
            chip_px=CHIP_PX,
            period="part",
            most_periods=1,
            resampling="bilinear",
            masks_missing=False,
            levels=LEVELS,
        )
        return specification, OutputSpecification(size.width, patch_px=CHIP_PX)

    @property
    def values_per_chip(self) -> int:
        """Width times the tokens, or the image."""
        return max(self.size.width * self.pos_embed.shape[1], len(self.specification.bands) * CHIP_PX**2)

    def forward(self, image: Tensor) -> Tensor:
        """Class token [batch, width] of scaled images [batch, band, 224, 224]."""
        patches = self.patch_embed["proj"](image).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(image), -1, -1), patches], dim=1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens[:, 0])

    def _encode(self, x: Tensor, months: Tensor, years: Tensor, latlon: Tensor) -> Tensor:
        return self(x[:, 0])[:, :, None, None]

    @classmethod
    def own_keys(cls, published: Mapping[str, Tensor]) -> dict[str, str]:
        """All but the token that stood for masked patches in the pre-training."""
        return {key: key for key in published if key != "mask_token"}
