"""Training chips in other guises that mean the same: seen from above, under another sun."""

import numpy as np
import torch

from stook.models.encoder import Chips


def turned(chips: Chips, random: torch.Generator) -> Chips:
    """Each chip in one of its eight orientations: seen from above, no direction is special.

    Illumination is an exception (shadows point away from the sun), and so is the look direction of radar; both are
    weak at the size of a cell, and the variety is worth more.
    """
    values = chips.values.copy()
    orientation = torch.randint(8, (len(values),), generator=random).numpy()
    for turn in range(8):
        there = orientation == turn
        rotated = np.rot90(values[there], turn % 4, axes=(-2, -1))
        values[there] = rotated[..., ::-1] if turn >= 4 else rotated
    return Chips(values, chips.months, chips.years, chips.latlon)


def relit(chips: Chips, spread: float, random: torch.Generator) -> Chips:
    """Pictures under another sun and haze: each chip with a brightness and a contrast of its own.

    Both are factors around 1, normal with standard deviation ``spread`` and at most three of them away: sun angle, haze
    and a sensor's stretch change a picture as a whole, the same in all bands. Colours keep their proportions.

    Args:
        chips: Pictures, 0…1; NaN stays NaN.
        spread: 0.1 is modest: two in three chips change by less than a tenth.
        random: What decides.
    """
    factors = 1 + spread * torch.randn((2, len(chips)), generator=random).clamp(-3, 3).numpy()
    brightness, contrast = factors[:, :, None, None, None, None]
    middle = np.nanmean(chips.values, axis=(1, 2, 3, 4), keepdims=True)
    values = ((chips.values - middle) * contrast + middle) * brightness
    return Chips(np.clip(values, 0, 1, dtype=np.float32), chips.months, chips.years, chips.latlon)
