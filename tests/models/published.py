"""Files like published ones, of the right shapes but small on disk: every tensor repeats one number."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def constants(shapes: Mapping[str, Tensor], first: int = 0) -> dict[str, Tensor]:
    """Tensors of these shapes and types; those of the first hold the number ``first``, of the second the next one, …"""
    return {
        name: torch.full((1,), number, dtype=tensor.dtype).expand(tensor.shape)
        if tensor.ndim
        else torch.tensor(number, dtype=tensor.dtype)
        for number, (name, tensor) in enumerate(shapes.items(), first)
    }


def saved_as(folder: Path, content: Any, name: str = "published.pth") -> Path:
    """The path of a file of PyTorch with this content."""
    torch.save(content, folder / name)
    return folder / name
