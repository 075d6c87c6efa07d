"""Run an encoder on the machine at hand: which device, how many chips at once, in what precision."""

from collections.abc import Callable

import torch
from torch import Tensor

from stook.models.choices import Precision
from stook.models.encoder import Chips, Encoder
from stook.models.errors import TileError

# Numbers in the largest activation of a batch. CPUs lose by more: with 2**24, batches of 512, Presto and Galileo on
# single pixels ran at 0.63 of the speed of batches of 64, which this gives. Wide encoders want a few chips at least. An
# accelerator starts with all of its bound and halves when its memory does not suffice.
CPU_BATCH_VALUES = 2**21
CPU_LEAST_BATCH = 8
ACCELERATOR_BATCH_VALUES = 2**28
# Numbers in the chips that are cut at once, 16 MiB: a batch of single pixels is a few KiB, and cutting costs per cut.
CUT_VALUES = 2**22


def default_device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def first_batch(encoder: Encoder, device: torch.device) -> int:
    """Chips to try at once: the largest power of two whose activations stay within the device's bound, or the least."""
    bound, least = (ACCELERATOR_BATCH_VALUES, 1) if device.type == "cuda" else (CPU_BATCH_VALUES, CPU_LEAST_BATCH)
    return max(least, 1 << max(0, (bound // encoder.values_per_chip).bit_length() - 1))


class Embedder:
    """An encoder on a device, with the batch that fits there; one per process and encoder.

    Args:
        encoder: Is moved to the device.
        device: Where it runs.
        batch: Chips at once; None for what the device is likely to hold. Halved, for good, when memory runs out.
        precision: ``float32``, or the lower one that matrix products are done in (autocast).

    Attributes:
        shown: Chips that the encoder has seen so far.
    """

    def __init__(
        self,
        encoder: Encoder,
        device: torch.device | None = None,
        batch: int | None = None,
        precision: Precision = "float32",
    ):
        self.device = device or default_device()
        self.encoder = encoder.to(self.device)
        self.batch = batch or first_batch(encoder, self.device)
        self.precision = precision
        self.shown = 0

    def __call__(self, cut: Callable[[slice], Chips], count: int) -> Tensor:
        """Feature vectors of chips that are cut when it is their turn.

        Args:
            cut: Gives the chips of a part of ``range(count)``.
            count: How many chips there are.

        Returns:
            float32 [chip, width, row, column], on the CPU.

        Raises:
            TileError: If the memory does not hold a single chip.
        """
        width, side = self.encoder.output.width, self.encoder.specification.chip_px // self.encoder.output.patch_px
        vectors = torch.empty((count, width, side, side))
        done, piece = 0, self.batch
        while done < count:
            chips = cut(slice(done, min(done + piece, count)))
            self._embed_all(chips, vectors[done : done + len(chips)])
            done += len(chips)
            self.shown += len(chips)
            piece = max(self.batch, CUT_VALUES // chips.values[0].size)
        return vectors

    def _embed_all(self, chips: Chips, vectors: Tensor) -> None:
        """Fill ``vectors`` with those of the chips, batch by batch."""
        done = 0
        while done < len(chips):
            part = slice(done, min(done + self.batch, len(chips)))
            try:
                vectors[part] = self._embed(chips[part])
            except torch.OutOfMemoryError as error:
                if self.batch == 1:
                    raise TileError(f"{self.encoder.family}: {self.device} has no memory for a single chip") from error
                self.batch //= 2
                torch.cuda.empty_cache()
                continue
            done = part.stop

    def _embed(self, chips: Chips) -> Tensor:
        lower = self.precision != "float32"
        with torch.autocast(self.device.type, getattr(torch, self.precision) if lower else None, enabled=lower):
            return self.encoder.embed(chips)
