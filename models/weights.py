"""Published checkpoints as files: where they are, what they must hash to, and how they are opened.

A checkpoint is data. Its hash is checked before it is opened, and it is opened by readers that run no code: that of
safetensors, or PyTorch's for weights only.
"""

import argparse
import hashlib
import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from stook.models.checkpoints import CHECKPOINTS, Checkpoint
from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.families import FAMILIES

FOLDER_VARIABLE = "STOOK_WEIGHTS"

# What checkpoints hold beside tensors and plain values: training scripts save their own options with the weights.
HARMLESS = (argparse.Namespace,)


@dataclass(frozen=True)
class Opened:
    """A checkpoint that was read.

    Attributes:
        encoder: In evaluation mode, on the CPU.
        sha256: Of the file.
        used: Its keys that are parameters of the encoder.
        dropped: Its other keys: decoders, projection heads, classifiers.
    """

    encoder: Encoder
    sha256: str
    used: tuple[str, ...]
    dropped: tuple[str, ...]


def weights_dir(given: Path | None = None) -> Path:
    """The folder of published weights: ``given``, else ``STOOK_WEIGHTS``, else ``stook/weights`` of the cache."""
    if given is not None:
        return given
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "stook" / "weights"


def checkpoint_named(name: str) -> Checkpoint:
    """The entry of the registry; InputError with the known names if there is none."""
    if name not in CHECKPOINTS:
        raise InputError(f"the encoder {name!r} is unknown; allowed are {', '.join(CHECKPOINTS)}")
    return CHECKPOINTS[name]


def place(checkpoint: Checkpoint, folder: Path) -> Path:
    """Where a checkpoint is, or would be, in a folder of weights."""
    return folder / checkpoint.family / checkpoint.file


def find(name: str, folder: Path) -> Path:
    """The file of the checkpoint ``name`` in a folder of weights.

    Raises:
        InputError: If the name is unknown or the file absent; says how to get it.
    """
    path = place(checkpoint_named(name), folder)
    if not path.is_file():
        raise InputError(f"{path}: the weights of {name!r} are absent; 'stook models fetch {name}' gets them")
    return path


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


def chosen_size(checkpoint: Checkpoint, options: Mapping[str, int | float | str]) -> Any:
    """Dimensions of a checkpoint's encoder, with what the user chose of what the checkpoint leaves open.

    Raises:
        InputError: If the checkpoint has no such option, or a value is not of its kind.
    """
    for name, value in options.items():
        if name not in checkpoint.options:
            allowed = ", ".join(checkpoint.options) or "none"
            raise InputError(f"encoder.options.{name}: {checkpoint.name} has no such option; allowed are {allowed}")
        is_text = isinstance(getattr(checkpoint.size, name), str)
        if isinstance(value, bool) or isinstance(value, str) != is_text:
            raise InputError(f"encoder.options.{name}: {value!r}; it should be a {'word' if is_text else 'number'}")
    return replace(checkpoint.size, **options)


def load_checkpoint(
    name: str, path: Path, options: Mapping[str, int | float | str] | None = None, allow_unverified: bool = False
) -> Encoder:
    """The encoder of the published checkpoint ``name`` read from ``path``; see ``open_checkpoint``."""
    return open_checkpoint(name, path, options, allow_unverified).encoder


def open_checkpoint(
    name: str, path: Path, options: Mapping[str, int | float | str] | None = None, allow_unverified: bool = False
) -> Opened:
    """Read the published checkpoint ``name`` from ``path``.

    Args:
        name: Of ``stook.models.checkpoints``.
        path: The file as published; ``.safetensors``, or else PyTorch's format.
        options: What the user chose of what the checkpoint leaves open, see ``chosen_size``.
        allow_unverified: Open it even though nobody has recorded what its file should hash to.

    Raises:
        InputError: If the name or an option is unknown; if the file is absent, has another hash than the recorded one,
            or there is none and that is not allowed; if it holds anything that could run code, or cannot be read; if a
            tensor of the encoder is missing or of another shape.
    """
    checkpoint = checkpoint_named(name)
    size = chosen_size(checkpoint, options or {})
    if checkpoint.sha256 is not None:
        require_sha256(path, checkpoint.sha256)
        sha256 = checkpoint.sha256
    elif not path.is_file():
        raise InputError(f"{path}: the weights file does not exist")
    elif not allow_unverified:
        raise InputError(
            f"{path}: no hash of {name!r} is recorded, so that nobody can tell whether this is the published file; "
            "--allow-unverified (in a configuration: allow_unverified) opens it all the same"
        )
    else:
        sha256 = file_sha256(path)
    published = tensors_of(path, checkpoint.container)
    try:
        encoder, dropped = FAMILIES[checkpoint.family].of_published(published, size)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    left_out = frozenset(dropped)
    return Opened(encoder, sha256, tuple(key for key in published if key not in left_out), dropped)


def tensors_of(path: Path, container: str | None = None) -> dict[str, Tensor]:
    """The named tensors of a file, on the CPU, read without running any code that it holds.

    Args:
        path: ``.safetensors``, or else a file of PyTorch.
        container: The file's entry that holds the tensors; None where they are the whole file.

    Raises:
        InputError: If the file holds anything but tensors and plain values, is damaged, or lacks the entry.
    """
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pytorch(path)
    if container is not None:
        if not isinstance(content, Mapping) or container not in content:
            found = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
            raise InputError(f"{path}: has no entry {container!r}; found {found[:200]}")
        content = content[container]
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"{path}: holds no named tensors, but {type(content).__name__}")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(f"{path}: {key!r} is no tensor, but {type(value).__name__}")
    return dict(content)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({_in_short(error)})") from error


def _read_pytorch(path: Path) -> Any:
    """Whatever the file holds, of the types that PyTorch's restricted unpickler knows, and ``HARMLESS`` ones."""
    try:
        # Mapped, so that optimizer states, twice as large as the weights, are not read; older files cannot be. What is
        # mapped is not checked against the archive's own checksums, so we do that.
        mapped = zipfile.is_zipfile(path)
        if mapped:
            with zipfile.ZipFile(path) as archive:
                if damaged := archive.testzip():
                    raise InputError(f"{path}: damaged, the checksum of {damaged} is wrong")
        with torch.serialization.safe_globals(list(HARMLESS)):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        if forbidden := re.search(r"GLOBAL (\S+)", str(error)):
            what = f"holds {forbidden[1]} beside tensors, which could run code"
            raise InputError(f"{path}: {what}; it was not opened") from error
        raise InputError(f"{path}: not a file of tensors, or damaged") from error
    except Exception as error:  # noqa: BLE001  damage can show anywhere in the reader
        raise InputError(f"{path}: not a file of tensors, or damaged ({_in_short(error)})") from error


def _in_short(error: Exception) -> str:
    """The first sentence of an error of a library, which may be a page long."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__
