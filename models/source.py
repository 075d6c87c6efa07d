"""Where a model is read from."""

from dataclasses import dataclass, field
from pathlib import Path

from stook.models.bundle import Bundle, load_bundle
from stook.models.encoder import Encoder
from stook.models.mirror import on_this_machine
from stook.models.weights import load_checkpoint


@dataclass(frozen=True)
class ModelSource:
    """A bundle, or the encoder of a published checkpoint.

    Attributes:
        path: Folder of the bundle, or the checkpoint's file; ``gs://…`` too.
        checkpoint: Name of the checkpoint; None for a bundle.
        options: What the user chose of what the checkpoint's family leaves open.
        allow_unverified: Whether a checkpoint without a known hash may be opened.
    """

    path: str
    checkpoint: str | None = None
    options: dict[str, int | str] = field(default_factory=dict)
    allow_unverified: bool = False

    @property
    def local(self) -> Path:
        """The same on this machine; raises InputError or UnreachableError if it cannot be copied here."""
        return on_this_machine(self.path)

    def bundle(self) -> Bundle:
        """The bundle; raises InputError if it is unusable."""
        return load_bundle(self.local)

    def encoder(self) -> Encoder:
        """The encoder, of the bundle or the checkpoint; raises InputError if it is unusable."""
        if self.checkpoint is None:
            return self.bundle().encoder
        return load_checkpoint(self.checkpoint, self.local, self.options, self.allow_unverified)
