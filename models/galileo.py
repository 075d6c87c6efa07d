"""Galileo: a transformer over image time series of many modalities (Tseng et al. 2025, arXiv:2502.09356).

A token is a group of channels in a patch at a time step; weather, terrain and places have fewer dimensions. What is
missing is left out of attention, so every chip of a batch may have gaps of its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from stook.models.attention import Block, SeparateAttention
from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.positions import sine_cosine, sine_cosine_plane, unit_sphere
from stook.models.specification import Band, InputSpecification, OutputSpecification

# Group, as checkpoints name it -> channel -> (shift, divide): what a value is normalised with, (x + shift) / divide.
Groups = dict[str, dict[str, tuple[float, float]]]


def around(mean: float, deviation: float) -> tuple[float, float]:
    """Shift and divisor that bring two standard deviations below the mean to 0, two above it to 1."""
    return 2 * deviation - mean, 4 * deviation


# The order of groups is that of the rows of the channel embeddings, the order of channels that of the values. Units:
# dB, counts of 10,000 for a reflectance of 1, NDVI as it is.
SPACE_TIME: Groups = {
    "S1": {
        "vv": around(-11.728724389184965, 4.887145774840316),
        "vh": around(-18.85558188024017, 5.730270320384293),
    },
    "S2_RGB": {
        "blue": around(1395.3408730676722, 917.7041440370853),
        "green": around(1338.4026921784578, 913.2988423581528),
        "red": around(1343.09883810357, 1092.678723527555),
    },
    "S2_Red_Edge": {
        "rededge1": around(1543.8607982512297, 1047.2206083460424),
        "rededge2": around(2186.2022069512263, 1048.0101611156767),
        "rededge3": around(2525.0932853316694, 1143.6903026819996),
    },
    "S2_NIR_10m": {"nir": around(2410.3377187373408, 1098.979177731649)},
    "S2_NIR_20m": {"nir08": around(2750.2854646886753, 1204.472755085893)},
    "S2_SWIR": {
        "swir16": around(2234.911100061487, 1145.9774063078878),
        "swir22": around(1474.5311266077113, 980.2429840007796),
    },
    "NDVI": {"ndvi": (0.0, 1.0)},
}
# Dynamic World: probabilities; WorldCereal: percent.
LAND_COVER = dict.fromkeys(
    ("water", "trees", "grass", "flooded_vegetation", "crops", "shrub_and_scrub", "built", "bare", "snow_and_ice"),
    (0.0, 1.0),
)
CROPS = dict.fromkeys(("temporary_crops", "maize", "winter_cereals", "spring_cereals", "irrigation"), (0.0, 100.0))
# Metres and degrees.
SPACE: Groups = {
    "SRTM": {
        "elevation": around(673.0152819503361, 983.0697298296237),
        "slope": around(5.930092668915115, 8.167406789813247),
    },
    "DW": LAND_COVER,
    "WC": CROPS,
}
# Kelvin, metres; TerraClimate's integers; nanowatts per square centimetre and steradian.
TIME: Groups = {
    "ERA5": {
        "temperature": around(271.5674963541667, 79.80828940314429),
        "precipitation": around(0.08554303677156568, 0.11669547098151486),
    },
    "TC": {
        "water_deficit": around(657.3181260091111, 704.0008695557707),
        "soil_moisture": around(692.1291795806885, 925.0116126406431),
        "evapotranspiration": around(562.781331880633, 453.2434022278578),
    },
    "VIIRS": {"night_lights": around(1.5647115934036673, 7.513020170832818)},
}
# People per cell of LandScan; place on the unit sphere; means over the chip.
STATIC: Groups = {
    "LS": {"population": around(188.20315880851746, 1154.5919128300602)},
    "location": dict.fromkeys("xyz", (0.0, 1.0)),
    "DW_static": LAND_COVER,
    "WC_static": CROPS,
}

COUNTS_PER_REFLECTANCE = 10_000
RESOLUTION_M = 10
# The patch of a token that belongs to all of them.
EVERYWHERE = -1


def channels_of(groups: Groups) -> dict[str, slice]:
    """Where the channels of each group are among those of the modality."""
    ends = [sum(len(channels) for channels in list(groups.values())[:count]) for count in range(len(groups) + 1)]
    return {name: slice(start, stop) for name, (start, stop) in zip(groups, pairwise(ends), strict=True)}


def _band(name: str, sensor: str, scaling: tuple[float, float]) -> Band:
    unit = COUNTS_PER_REFLECTANCE if sensor == "sentinel2" else 1
    return Band(name, sensor, scaling[0] / unit, scaling[1] / unit)


BANDS = tuple(
    _band(name, "sentinel1" if group == "S1" else "sentinel2", scaling)
    for group, channels in SPACE_TIME.items()
    if group != "NDVI"
    for name, scaling in channels.items()
)


@dataclass(frozen=True)
class GalileoSize:
    """Dimensions of a member of the family; the defaults are the nano checkpoint's on the chips it is cheap on.

    Attributes:
        width: Length of a token; divisible by 16.
        depth: Blocks.
        heads: Of the attention.
        mlp_ratio: Of the blocks.
        most_steps: Rows of the checkpoint's table of time steps.
        widest_patch_px: Side of the patches that the checkpoint keeps its kernels for.
        patch_px: Side of the patches that it is run with, up to the widest.
        chip_px: Side of what it sees at once, a multiple of ``patch_px``.
    """

    width: int = 128
    depth: int = 4
    heads: int = 8
    mlp_ratio: float = 4.0
    most_steps: int = 24
    widest_patch_px: int = 8
    patch_px: int = 1
    chip_px: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.patch_px <= self.widest_patch_px:
            raise InputError(f"patch_px: {self.patch_px}; allowed are 1 to {self.widest_patch_px}")
        if self.chip_px % self.patch_px:
            raise InputError(f"chip_px: {self.chip_px} is no multiple of patch_px, {self.patch_px}")


@dataclass(frozen=True)
class Tokens:
    """Some tokens of a batch.

    Attributes:
        values: float [batch, token, width].
        visible: bool [batch, token].
        patch: int [token], counted along the rows; ``EVERYWHERE`` for what describes the whole chip.
    """

    values: Tensor
    visible: Tensor
    patch: Tensor


class Galileo(Encoder):
    """The encoder: one vector per patch. Parameter names are the published ones."""

    family = "galileo"
    size_type = GalileoSize
    size: GalileoSize

    def __init__(self, size: GalileoSize = GalileoSize()):  # noqa: B008  immutable
        super().__init__(size)
        width, quarter = size.width, size.width // 4
        self.space_time_embed = nn.ModuleDict(
            {name: FlexiblePatches(len(group), width, size.widest_patch_px) for name, group in SPACE_TIME.items()}
        )
        self.space_embed = nn.ModuleDict(
            {name: FlexiblePatches(len(group), width, size.widest_patch_px) for name, group in SPACE.items()}
        )
        self.time_embed = nn.ModuleDict({name: nn.Linear(len(group), width) for name, group in TIME.items()})
        self.static_embed = nn.ModuleDict({name: nn.Linear(len(group), width) for name, group in STATIC.items()})
        self.s_t_channel_embed = nn.Parameter(torch.zeros(len(SPACE_TIME), quarter))
        self.sp_channel_embed = nn.Parameter(torch.zeros(len(SPACE), quarter))
        self.t_channel_embed = nn.Parameter(torch.zeros(len(TIME), quarter))
        self.st_channel_embed = nn.Parameter(torch.zeros(len(STATIC), quarter))
        steps = torch.arange(size.most_steps)
        self.pos_embed = nn.Parameter(sine_cosine(steps, galileo_frequencies(quarter)), requires_grad=False)
        self.month_embed = nn.Embedding.from_pretrained(month_table(quarter))
        self.blocks = nn.ModuleList(
            Block(width, size.heads, size.mlp_ratio, attention=SeparateAttention) for _ in range(size.depth)
        )
        self.norm = nn.LayerNorm(width)

    @classmethod
    def interface(cls, size: GalileoSize) -> tuple[InputSpecification, OutputSpecification]:
        """A square of the series of composites in, a vector per patch out."""
        specification = InputSpecification(
            bands=BANDS,
            resolution_m=RESOLUTION_M,
            chip_px=size.chip_px,
            period="month",
            most_periods=size.most_steps,
            resampling="nearest",
            masks_missing=True,
        )
        return specification, OutputSpecification(size.width, patch_px=size.patch_px)

    @property
    def values_per_chip(self) -> int:
        """Width times the tokens of the longest series: every space-time group in every patch, and the location."""
        patches = (self.size.chip_px // self.size.patch_px) ** 2
        return self.size.width * (1 + patches * len(SPACE_TIME) * self.size.most_steps)

    def forward(
        self,
        space_time: Tensor,
        space_time_mask: Tensor,
        months: Tensor,
        patch_px: int,
        space: tuple[Tensor, Tensor] | None = None,
        time: tuple[Tensor, Tensor] | None = None,
        static: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Embed a batch of chips. All values are normalised; what is masked is not looked at.

        A mask has a value per group, True where the group is ignored. One masked pixel hides the group in its patch.

        Args:
            space_time: float [batch, y, x, step, 13], y and x equal and multiples of ``patch_px``.
            space_time_mask: bool [batch, y, x, step, 7].
            months: int [batch, step], January is 0.
            patch_px: Side of a patch, 1 to ``widest_patch_px``.
            space: Values float [batch, y, x, 16] and mask bool [batch, y, x, 3]; None where there are none.
            time: Values float [batch, step, 6] and mask bool [batch, step, 3]; None where there are none.
            static: Values float [batch, 18] and mask bool [batch, 4]; None where there are none.

        Returns:
            The mean over a chip's visible tokens, float [batch, width], and the mean over those of each patch and of
            the whole chip, float [batch, patch, width], patches along the rows. NaN where nothing is visible.
        """
        tokens = self._space_time_tokens(space_time, space_time_mask, months, patch_px)
        if space is not None:
            tokens += self._space_tokens(*space, patch_px)
        if time is not None:
            tokens += self._time_tokens(*time, months)
        if static is not None:
            tokens += self._static_tokens(*static)
        sequence = torch.cat([part.values for part in tokens], dim=1)
        visible = torch.cat([part.visible for part in tokens], dim=1)
        patch = torch.cat([part.patch for part in tokens])
        # What no chip of the batch has costs nothing.
        kept = visible.any(dim=0).nonzero().squeeze(1)
        sequence, visible, patch = sequence[:, kept], visible[:, kept], patch[kept]
        for block in self.blocks:
            sequence = block(sequence, visible)
        sequence = self.norm(sequence)
        patches = torch.arange((space_time.shape[1] // patch_px) ** 2, device=patch.device)
        of_patch = (patch == patches[:, None]) | (patch == EVERYWHERE)
        return mean_of(sequence, visible[:, None])[:, 0], mean_of(sequence, visible[:, None] & of_patch)

    def _space_time_tokens(self, values: Tensor, mask: Tensor, months: Tensor, patch_px: int) -> list[Tokens]:
        hidden, place = any_in_patch(mask, patch_px), self._place(values.shape[1] // patch_px, patch_px)
        tokens = []
        for row, (name, channels) in enumerate(channels_of(SPACE_TIME).items()):
            shown = ~hidden[..., row]
            steps = shown.any(dim=(0, 1, 2)).nonzero().squeeze(1)
            seen = values[..., steps, channels].masked_fill(mask[..., steps, row, None], 0.0)
            projected = self.space_time_embed[name](seen, patch_px)
            month = self.month_embed(months[:, steps])[:, None, None]
            added = self._added(self.s_t_channel_embed[row], self.pos_embed[steps], month, place[:, :, None])
            tokens.append(tokens_of_patches(projected + added, shown[..., steps]))
        return tokens

    def _space_tokens(self, values: Tensor, mask: Tensor, patch_px: int) -> list[Tokens]:
        hidden, place = any_in_patch(mask, patch_px), self._place(values.shape[1] // patch_px, patch_px)
        tokens = []
        for row, (name, channels) in enumerate(channels_of(SPACE).items()):
            seen = values[..., channels].masked_fill(mask[..., row, None], 0.0)
            projected = self.space_embed[name](seen, patch_px) + self._added(self.sp_channel_embed[row], place=place)
            tokens.append(tokens_of_patches(projected, ~hidden[..., row]))
        return tokens

    def _time_tokens(self, values: Tensor, mask: Tensor, months: Tensor) -> list[Tokens]:
        step, month = self.pos_embed[: values.shape[1]], self.month_embed(months)
        tokens = []
        for row, (name, channels) in enumerate(channels_of(TIME).items()):
            seen = values[..., channels].masked_fill(mask[..., row, None], 0.0)
            projected = self.time_embed[name](seen) + self._added(self.t_channel_embed[row], step, month)
            tokens.append(tokens_of_chips(projected, ~mask[..., row]))
        return tokens

    def _static_tokens(self, values: Tensor, mask: Tensor) -> list[Tokens]:
        tokens = []
        for row, (name, channels) in enumerate(channels_of(STATIC).items()):
            seen = values[:, None, channels].masked_fill(mask[:, None, row, None], 0.0)
            projected = self.static_embed[name](seen) + self._added(self.st_channel_embed[row])
            tokens.append(tokens_of_chips(projected, ~mask[:, None, row]))
        return tokens

    def _added(
        self, channel: Tensor, step: Tensor | None = None, month: Tensor | None = None, place: Tensor | None = None
    ) -> Tensor:
        """What is added to tokens: channel, step, month and place side by side, 0 for what they have not."""
        parts = [torch.zeros_like(channel) if part is None else part for part in (channel, step, month, place)]
        shape = torch.broadcast_shapes(*(part.shape for part in parts))
        return torch.cat([part.expand(shape) for part in parts], dim=-1)

    def _place(self, side: int, patch_px: int) -> Tensor:
        """Positions of patches within their chip, in pixels of 10 m: [row, column, quarter of the width]."""
        omega = galileo_frequencies(self.size.width // 8).to(self.pos_embed.device)
        return sine_cosine_plane(side, patch_px, omega)

    def _encode(self, x: Tensor, months: Tensor, years: Tensor, latlon: Tensor) -> Tensor:
        values = with_ndvi(x).permute(0, 3, 4, 1, 2)
        mask = torch.stack([values[..., group].isnan().any(dim=-1) for group in channels_of(SPACE_TIME).values()], -1)
        static = x.new_zeros(len(x), sum(map(len, STATIC.values())))
        static[:, channels_of(STATIC)["location"]] = unit_sphere(latlon)
        static_mask = torch.tensor([name != "location" for name in STATIC], device=x.device).expand(len(x), -1)
        patch_px = self.size.patch_px
        _, vectors = self(values, mask, (months - 1).expand(len(x), -1), patch_px, static=(static, static_mask))
        # The location alone says nothing of the ground.
        unseen = any_in_patch(mask, patch_px).flatten(3).all(dim=-1)
        grid = vectors.view(*unseen.shape, -1).masked_fill(unseen[..., None], torch.nan)
        return grid.permute(0, 3, 1, 2)

    @classmethod
    def own_keys(cls, published: Mapping[str, Tensor]) -> dict[str, str]:
        """Everything; some published files have an additional ``.backbone`` in their keys."""
        return {key: key.replace(".backbone", "") for key in published}


class FlexiblePatches(nn.Module):
    """Patch embedding whose kernel is resized to the patch (FlexiViT, Beyer et al. 2023, arXiv:2212.08013)."""

    def __init__(self, channels: int, width: int, widest_px: int):
        super().__init__()
        self.proj = nn.Conv2d(channels, width, widest_px, widest_px)

    def forward(self, values: Tensor, patch_px: int) -> Tensor:
        """Project patches: [batch, y, x, (step,) channel] -> [batch, row, column, (step,) width]."""
        kernel = self.proj.weight.flatten(2)
        if patch_px != self.proj.weight.shape[-1]:
            kernel = kernel @ kernel_resizing(self.proj.weight.shape[-1], patch_px, kernel.device)
        batch, height, width, *rest = values.shape
        patches = values.reshape(batch, height // patch_px, patch_px, width // patch_px, patch_px, *rest)
        flat = patches.movedim((2, 4), (-2, -1)).flatten(-3)
        return functional.linear(flat, kernel.flatten(1), self.proj.bias)


@lru_cache
@torch.inference_mode(False)  # else the first batch would leave a tensor that training cannot use,
@torch.autocast("cpu", enabled=False)  # or one of lower precision
def kernel_resizing(from_px: int, to_px: int, device: torch.device) -> Tensor:
    """Matrix [from_px², to_px²] that resizes kernels, so that resized patches give the same products.

    It is the pseudo-inverse of the bicubic, antialiased resizing of patches from ``from_px`` to ``to_px``.
    """
    patches = torch.eye(from_px**2, device="cpu").view(-1, 1, from_px, from_px)
    resized = functional.interpolate(patches, (to_px, to_px), mode="bicubic", antialias=True).flatten(1)
    return torch.linalg.pinv(resized).T.to(device)


def tokens_of_patches(values: Tensor, visible: Tensor) -> Tokens:
    """Tokens from values [batch, row, column, (step,) width] and what is visible, bool [batch, row, column, (step)]."""
    batch, rows, columns, *rest = visible.shape
    patch = torch.arange(rows * columns, device=visible.device).repeat_interleave(math.prod(rest))
    return Tokens(values.reshape(batch, len(patch), values.shape[-1]), visible.reshape(batch, len(patch)), patch)


def tokens_of_chips(values: Tensor, visible: Tensor) -> Tokens:
    """Tokens that every patch has, from values [batch, token, width] and what is visible, bool [batch, token]."""
    return Tokens(values, visible, torch.full((visible.shape[1],), EVERYWHERE, device=visible.device))


def any_in_patch(mask: Tensor, patch_px: int) -> Tensor:
    """Whether any pixel of a patch is set: bool [batch, y, x, ...] -> [batch, row, column, ...]."""
    batch, height, width, *rest = mask.shape
    return mask.reshape(batch, height // patch_px, patch_px, width // patch_px, patch_px, *rest).any(dim=(2, 4))


def mean_of(tokens: Tensor, chosen: Tensor) -> Tensor:
    """Means over choices of tokens: [batch, token, width], bool [batch, choice, token] -> [batch, choice, width].

    A choice of none gives NaN.
    """
    # A matrix product would be rounded to the lower precision of autocast.
    with torch.autocast(tokens.device.type, enabled=False):
        weight = chosen.to(torch.float32)
        return weight @ tokens.float() / weight.sum(dim=-1, keepdim=True)


def with_ndvi(scaled: Tensor) -> Tensor:
    """Scaled composites [chip, period, 12, y, x] with NDVI as the 13th; 0 where the bands add up to 0 or less."""
    names = [band.name for band in BANDS]
    nir, red = (scaled[:, :, i] * BANDS[i].divide - BANDS[i].shift for i in (names.index("nir"), names.index("red")))
    ndvi = torch.where(nir + red > 0, (nir - red) / (nir + red), torch.zeros_like(nir))
    return torch.cat([scaled, torch.where((nir + red).isnan(), torch.nan, ndvi).unsqueeze(2)], dim=2)


def galileo_frequencies(width: int) -> Tensor:
    """Angular frequencies [width / 2] of the published tables.

    They fall from 1 to about 1/10 only: the exponents were divided by 2 where the usual ones are multiplied by it.
    """
    return 10_000 ** -(torch.arange(width // 2) / width / 2)


def month_table(width: int) -> Tensor:
    """Sine and cosine of the twelve months [12, width], as the checkpoints keep them."""
    return sine_cosine(torch.arange(12), torch.full((width // 2,), math.tau / 12))
