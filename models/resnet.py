"""ResNet-18 and ResNet-50 on one image: published ones, and untrained ones for heads of our own (He et al. 2015).

The residual units are those of torchvision (in ResNet-50 the 3×3 convolution has the stride), and so are the parameter
names, so that the published files load:

- GeoSSL (Ayush et al. 2021, 2011.09980): ResNet-50 on RGB pictures, the query encoder of MoCo-v2; ImageNet statistics.
- SoftCon (Wang et al. 2024, 2405.20462): ResNet-50 on the 13 bands of Sentinel-2 L1C or on Sentinel-1, see
  ``stook.models.softcon``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.softcon import LEVELS, SENTINEL1_BANDS, SENTINEL2_BANDS
from stook.models.specification import Band, InputSpecification, OutputSpecification

Scaling = Literal["imagenet", "ssl4eo", "plain"]

# Of pictures between 0 and 1.
_IMAGENET = {"red": (0.485, 0.229), "green": (0.456, 0.224), "blue": (0.406, 0.225)}

# Scaling -> the bands it can scale, by name.
BANDS: dict[Scaling, dict[str, Band]] = {
    # ImageNet knows no near infrared: it is scaled as the mean of the others, for encoders that are trained here.
    "imagenet": {name: Band(name, "rgb", -mean, std) for name, (mean, std) in _IMAGENET.items()}
    | {"nir": Band("nir", "rgb", -0.449, 0.226)},
    "ssl4eo": {band.name: band for band in SENTINEL2_BANDS + SENTINEL1_BANDS},
    # Reflectance as it is, and backscatter of −25…0 dB as 0…1.
    "plain": {band.name: Band(band.name, "sentinel2", 0.0, 1.0) for band in SENTINEL2_BANDS}
    | {band.name: Band(band.name, "sentinel1", 25.0, 25.0) for band in SENTINEL1_BANDS},
}

UNITS_PER_STAGE = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
STAGES = 4
MOST_MONTHS = 24
PUBLISHED_WIDTH = 64
MOCO_QUERY = "module.encoder_q."


@dataclass(frozen=True)
class ResNetSize:
    """Dimensions of a member of the family.

    Attributes:
        depth: 18 or 50.
        bands: Names, in the encoder's order.
        scaling: How they are scaled: ``imagenet`` (pictures), ``ssl4eo`` (as SoftCon was pretrained) or ``plain``
            (reflectance, and decibels brought to 0…1; for encoders that are trained here).
        chip_px: Side of the image.
        resolution_m: Of its pixels.
        width: Channels of the first stage, doubled in each further one; 64 as published, less for a smaller network.
        period: The image is one composite of the whole window (``part``), or the mean of its monthly composites
            (``month-mean``), which encoders of monthly series read too.

    Raises:
        InputError: If there is no such depth, scaling or band.
    """

    depth: int
    bands: tuple[str, ...]
    scaling: Scaling = "plain"
    chip_px: int = 224
    resolution_m: float = 10
    width: int = PUBLISHED_WIDTH
    period: Literal["part", "month-mean"] = "part"

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", tuple(self.bands))  # a list, where it comes from JSON
        if self.depth not in UNITS_PER_STAGE:
            raise InputError(f"depth of a resnet: {self.depth}; allowed are {', '.join(map(str, UNITS_PER_STAGE))}")
        if self.scaling not in BANDS:
            raise InputError(f"scaling of a resnet: {self.scaling!r}; allowed are {', '.join(BANDS)}")
        known = BANDS[self.scaling]
        wrong = [name for name in self.bands if name not in known]
        if wrong or not self.bands:
            what = ", ".join(wrong) or "none"
            raise InputError(f"bands of a resnet scaled by {self.scaling!r}: {what}; allowed are {', '.join(known)}")


class ResNet(Encoder):
    """The encoder: the mean over the last feature map, 512 or 2048 wide."""

    family = "resnet"
    size_type = ResNetSize
    size: ResNetSize

    def __init__(self, size: ResNetSize):
        super().__init__(size)
        unit = Bottleneck if size.depth == 50 else BasicUnit
        self.conv1 = nn.Conv2d(len(size.bands), size.width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(size.width)
        stages, given = [], size.width
        for number, units in enumerate(UNITS_PER_STAGE[size.depth]):
            width, stride = size.width * 2**number, 1 if number == 0 else 2
            first = unit(given, width, stride)
            given = width * unit.expansion
            stages.append(nn.Sequential(first, *(unit(given, width, 1) for _ in range(units - 1))))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @classmethod
    def interface(cls, size: ResNetSize) -> tuple[InputSpecification, OutputSpecification]:
        """One image in, one vector out."""
        specification = InputSpecification(
            bands=tuple(BANDS[size.scaling][name] for name in size.bands),
            resolution_m=size.resolution_m,
            chip_px=size.chip_px,
            period=size.period,
            most_periods=1 if size.period == "part" else MOST_MONTHS,
            resampling="bilinear" if size.period == "part" else "nearest",
            masks_missing=False,
            levels=LEVELS if size.scaling == "ssl4eo" else None,
        )
        unit = Bottleneck if size.depth == 50 else BasicUnit
        return specification, OutputSpecification(
            size.width * 2 ** (STAGES - 1) * unit.expansion, patch_px=size.chip_px
        )

    @property
    def values_per_chip(self) -> int:
        """The first feature map, at half the resolution, or the image."""
        half = -(-self.size.chip_px // 2)
        return max(self.size.width * half**2, len(self.size.bands) * self.size.chip_px**2)

    def forward(self, image: Tensor) -> Tensor:
        """Vectors [batch, width] of scaled images [batch, band, y, x]."""
        return self.stages(image)[-1].mean(dim=(2, 3))

    def stages(self, image: Tensor) -> list[Tensor]:
        """Feature maps of the four stages, at 1/4, 1/8, 1/16 and 1/32 of the image's resolution."""
        x = functional.relu(self.bn1(self.conv1(image)))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps

    def _encode(self, x: Tensor, months: Tensor, years: Tensor, latlon: Tensor) -> Tensor:
        return self(x[:, 0])[:, :, None, None]

    @classmethod
    def own_keys(cls, published: Mapping[str, Tensor]) -> dict[str, str]:
        """The query encoder of a MoCo file, or a plain ResNet; without what follows the mean (``fc``)."""
        prefix = MOCO_QUERY if any(key.startswith(MOCO_QUERY) for key in published) else ""
        names = {key: key.removeprefix(prefix) for key in published if key.startswith(prefix)}
        return {key: own for key, own in names.items() if not own.startswith("fc.")}


class ResidualUnit(nn.Module):
    """What the two kinds of units share: their input is added to what they make of it.

    Args:
        given: Channels of the input.
        made: Channels of the output.
        stride: Of the unit; where it or the channels change the shape, the input goes through a 1×1 convolution.
    """

    expansion: int

    def __init__(self, given: int, made: int, stride: int):
        super().__init__()
        self.downsample: nn.Module | None = None
        if stride != 1 or given != made:
            self.downsample = nn.Sequential(nn.Conv2d(given, made, 1, stride=stride, bias=False), nn.BatchNorm2d(made))

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps [batch, channel, y, x]."""
        kept = x if self.downsample is None else self.downsample(x)
        return functional.relu(self.changed(x) + kept)

    def changed(self, x: Tensor) -> Tensor:
        """What is added to the input."""
        raise NotImplementedError


class BasicUnit(ResidualUnit):
    """Two 3×3 convolutions."""

    expansion = 1

    def __init__(self, given: int, width: int, stride: int):
        super().__init__(given, width * self.expansion, stride)
        self.conv1 = nn.Conv2d(given, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def changed(self, x: Tensor) -> Tensor:
        """The last activation follows the sum."""
        x = functional.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(x))


class Bottleneck(ResidualUnit):
    """A 1×1 convolution, a 3×3 that has the stride, and a 1×1 to four times the width."""

    expansion = 4

    def __init__(self, given: int, width: int, stride: int):
        made = width * self.expansion
        super().__init__(given, made, stride)
        self.conv1 = nn.Conv2d(given, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, made, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(made)

    def changed(self, x: Tensor) -> Tensor:
        """The last activation follows the sum."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))
