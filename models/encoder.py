"""What every encoder is: a network that knows its own input, and turns chips into feature vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from stook.models.errors import InputError
from stook.models.specification import InputSpecification, OutputSpecification


@dataclass(frozen=True)
class Chips:
    """Square pieces of composites, all of the same periods.

    Attributes:
        values: float32 [chip, period, band, y, x], bands in the order of the encoder's specification and in its units;
            NaN is missing.
        months: int [period], calendar months 1…12.
        years: int [period].
        latlon: float64 [chip, 2], degrees, of the chips' centres.
    """

    values: np.ndarray
    months: np.ndarray
    years: np.ndarray
    latlon: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, part: slice) -> "Chips":
        return Chips(self.values[part], self.months, self.years, self.latlon[part])


class Encoder(nn.Module):
    """Base of the families; one module each, listed in ``stook.models.families``.

    A family is a subclass with a name, a frozen dataclass of dimensions (``size_type``), ``interface``, ``own_keys``
    and ``_encode``. Its parameter names are the published ones, once ``own_keys`` has renamed or dropped.

    Args:
        size: The dimensions, an instance of ``size_type``.
    """

    family: ClassVar[str]
    size_type: ClassVar[type]

    def __init__(self, size: Any):
        super().__init__()
        self.size = size
        self.specification, self.output = self.interface(size)

    @classmethod
    def interface(cls, size: Any) -> tuple[InputSpecification, OutputSpecification]:
        """What a member of these dimensions expects and gives."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def values_per_chip(self) -> int:
        """Size of the largest activation of one chip, in numbers: what a batch is measured by."""
        raise NotImplementedError

    @torch.inference_mode()
    def embed(self, chips: Chips) -> Tensor:
        """Feature vectors float32 [chip, width, row, column] on the encoder's device, one per patch of a chip."""
        return self.vectors(chips)

    def vectors(self, chips: Chips) -> Tensor:
        """The same, through which gradients flow."""
        x = self.specification.scaled(on_device(chips.values, self.device))
        months, years = (
            torch.as_tensor(part, dtype=torch.long, device=self.device) for part in (chips.months, chips.years)
        )
        latlon = on_device(np.asarray(chips.latlon, np.float32), self.device)
        return self._encode(x, months, years, latlon).float()

    def _encode(self, x: Tensor, months: Tensor, years: Tensor, latlon: Tensor) -> Tensor:
        """Encode scaled chips.

        Args:
            x: float32 [chip, period, band, y, x], scaled; NaN is missing.
            months: int [period], January is 1.
            years: int [period].
            latlon: float32 [chip, 2], degrees.

        Returns:
            float [chip, width, row, column].
        """
        raise NotImplementedError

    @classmethod
    def own_keys(cls, published: Mapping[str, Tensor]) -> dict[str, str]:
        """Key of a published checkpoint -> parameter of this family; keys that are not in it are dropped."""
        raise NotImplementedError

    @classmethod
    def of_published(cls, published: Mapping[str, Tensor], size: Any) -> tuple[Self, tuple[str, ...]]:
        """Build the encoder of a published checkpoint.

        Returns:
            The encoder in evaluation mode, and the published keys that were dropped.

        Raises:
            InputError: If a tensor of the encoder is missing or of another shape.
        """
        names = cls.own_keys(published)
        encoder = cls(size)
        encoder.load_own({own: published[key] for key, own in names.items()})
        return encoder, tuple(key for key in published if key not in names)

    def load_own(self, state: Mapping[str, Tensor]) -> None:
        """Take every parameter from ``state``, which holds nothing else, and go into evaluation mode.

        Raises:
            InputError: One line that names what is missing, unknown or of another shape.
        """
        wanted = {name: tuple(tensor.shape) for name, tensor in self.state_dict().items()}
        found = {name: tuple(tensor.shape) for name, tensor in state.items()}
        wrong = [f"{name} is missing" for name in wanted if name not in found]
        wrong += [f"{name} is unknown" for name in found if name not in wanted]
        wrong += [
            f"{name} is {list(found[name])}, expected {list(shape)}"
            for name, shape in wanted.items()
            if name in found and found[name] != shape
        ]
        if wrong:
            more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise InputError(f"the tensors are not those of this {self.family} encoder: {'; '.join(wrong[:3])}{more}")
        self.load_state_dict(dict(state))
        self.eval()


def on_device(values: np.ndarray, device: torch.device) -> Tensor:
    """A copy of an array on a device; through pinned memory where that is an accelerator, so that it need not wait."""
    tensor = torch.as_tensor(values)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
