"""Whether the chips of a training fit into memory, asked before hours of reading."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from stook.models.errors import InputError
from stook.models.specification import InputSpecification
from stook.transforms.memory import available_bytes

USABLE_SHARE = 0.8  # the rest is for networks, batches and reading
BYTES_PER_VALUE = 4


def require_room(
    trained: Sequence[int], held_out: Sequence[int], specification: InputSpecification, periods: int, most: int
) -> None:
    """Raise InputError, with the number of labels per place that fit, if chips need more memory than there is.

    Chips are held once; while they are divided, those of one place at a time twice.

    Args:
        trained: Labels of each place that is trained on.
        held_out: Labels of each place that is judged on.
        specification: Of the encoder.
        periods: Of a chip.
        most: ``training.most_pixels``.
    """
    chip = BYTES_PER_VALUE * periods * len(specification.bands) * specification.chip_px**2
    available = available_bytes()
    counts, largest = np.array([*trained, *held_out]), max(trained)

    def needed(each: int) -> int:
        return chip * int(np.minimum(counts, each).sum() + min(largest, each))

    usable = int(USABLE_SHARE * available)
    if needed(most) <= usable:
        return
    fitting = bisect_right(range(1, most + 1), usable, key=needed)
    raise InputError(
        f"training.most_pixels: {most}: the chips of {counts.sum()} labels take {needed(most) / 1e9:.1f} GB of memory "
        f"({chip / 1e6:.2f} MB each, those of one place twice), but {available / 1e9:.1f} GB are available; "
        f"{fitting} labels per place would fit"
    )
