"""What a worker needs, said in the words that runners right-fit machines by."""

from collections.abc import Iterable

from stook.models.inference import Embedder
from stook.transforms.editions.plan import Plan
from stook.transforms.encoding.encodings import Encoding, PictureEncoding

PROCESS_BYTES = 600 * 2**20  # Python with PyTorch, GDAL and Beam
READING_BYTES = 300 * 2**20  # beside the composite, see ``composite``
BYTES_PER_VALUE = 4
ROWS_OF_CHIPS = 2  # that are read, and as they are handed to an encoder
TENSORS_IN_FLIGHT = 10  # as large as the largest activation, see ``stook.models.inference``


def worker_memory(plan: Plan, embedders: Iterable[Embedder], tiles_in_flight: int) -> int:
    """Bytes that one process needs at most, with a bound on the tiles that it works on at the same time.

    Composites and reading count for every tile in flight; encoders and their batches once, behind one lock.
    """
    side = plan.grid.tile_px + 2 * plan.halo_px
    composites = [each.encoding for each in plan.products if isinstance(each.encoding, Encoding)]
    bands = {band for encoding in composites for band in encoding.bands}
    periods = max((len(encoding.periods) for encoding in composites), default=0)
    composite = BYTES_PER_VALUE * periods * len(bands) * side**2
    pictures = [each.encoding for each in plan.products if isinstance(each.encoding, PictureEncoding)]
    row = max((plan.grid.tile_px // each.cell_px * len(each.bands) * each.chip_px**2 for each in pictures), default=0)
    reading = max(composite, BYTES_PER_VALUE * ROWS_OF_CHIPS * row) + READING_BYTES
    encoders = list(embedders)
    parameters = sum(parameter.numel() for each in encoders for parameter in each.encoder.parameters())
    batch = max(each.batch * each.encoder.values_per_chip for each in encoders) * TENSORS_IN_FLIGHT
    return PROCESS_BYTES + tiles_in_flight * reading + BYTES_PER_VALUE * (parameters + batch)


def resource_hints(memory_bytes: int, accelerator: str | None) -> dict[str, str]:
    """Beam's resource hints: memory to the next GiB, and the accelerator as the configuration writes it."""
    hints = {"min_ram": f"{-(-memory_bytes // 2**30)}GiB"}
    return hints if accelerator is None else hints | {"accelerator": accelerator}
