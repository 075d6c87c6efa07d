"""Published checkpoints: where they come from, what they must hash to, and how they are opened."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from models.errors import InputError
from models.presto import Presto, load_published


@dataclass(frozen=True)
class Checkpoint:
    """One published checkpoint.

    Attributes:
        name: What configurations call it.
        sha256: Of the file; opened only if it matches.
        licence: SPDX identifier.
        source: Where the authors publish it.
        citation: The paper to cite.
    """

    name: str
    sha256: str
    licence: str
    source: str
    citation: str


CHECKPOINTS = {
    "presto": Checkpoint(
        name="presto",
        sha256="559c9d76f525bdf2dd3774da8b1e7f1510769b73baacac12e9e4d8d5c67fbe65",
        licence="MIT",
        source="https://github.com/nasaharvest/presto (data/default_model.pt)",
        citation="Tseng et al. 2023, Lightweight, pre-trained transformers for remote sensing time series, 2304.14065",
    ),
}


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_sha256(path: Path, expected: str) -> None:
    """Raise InputError unless the file exists and hashes to ``expected``."""
    if not path.is_file():
        raise InputError(f"{path}: the weights file does not exist")
    found = file_sha256(path)
    if found != expected:
        raise InputError(f"{path}: sha256 is {found}, expected {expected}; the file is damaged or another one")


def load_checkpoint(name: str, path: Path) -> Presto:
    """The encoder of the published checkpoint ``name`` read from ``path``, in evaluation mode on the CPU.

    Raises:
        InputError: If the name is unknown, the file is absent or has another hash, or a tensor is missing.
    """
    if name not in CHECKPOINTS:
        raise InputError(f"encoder.name: {name!r} is unknown; allowed are {', '.join(sorted(CHECKPOINTS))}")
    require_sha256(path, CHECKPOINTS[name].sha256)
    encoder, _ = load_published(torch.load(path, map_location="cpu", weights_only=True))
    return encoder
