"""Where a model is read from."""

from dataclasses import dataclass, field
from pathlib import Path

from models.bundle import Bundle, load_bundle
from models.encoder import Encoder
from models.weights import load_checkpoint


@dataclass(frozen=True)
class ModelSource:
    """A bundle, or the encoder of a published checkpoint.

    Attributes:
        path: Folder of the bundle, or the checkpoint's file.
        checkpoint: Name of the checkpoint; None for a bundle.
        options: What the user chose of what the checkpoint's family leaves open.
        allow_unverified: Whether a checkpoint without a known hash may be opened.
    """

    path: str
    checkpoint: str | None = None
    options: dict[str, int | str] = field(default_factory=dict)
    allow_unverified: bool = False

    def bundle(self) -> Bundle:
        """The bundle; raises InputError if it is unusable."""
        return load_bundle(Path(self.path))

    def encoder(self) -> Encoder:
        """The encoder, of the bundle or the checkpoint; raises InputError if it is unusable."""
        if self.checkpoint is None:
            return self.bundle().encoder
        return load_checkpoint(self.checkpoint, Path(self.path), self.options, self.allow_unverified)
