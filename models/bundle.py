"""A bundle: encoder, head, specifications, licence and card in one folder, known by the hash of its contents."""

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialised

from models.errors import InputError
from models.heads import Calibration, Head
from models.presto import Presto, PrestoSize
from models.specification import InputSpecification
from models.weights import file_sha256, require_sha256

MANIFEST = "bundle.json"
ENCODER_FILE = "encoder.safetensors"
HEAD_FILE = "head.safetensors"
CARD_FILE = "card.md"
LICENCE_FILE = "LICENCE.txt"


@dataclass(frozen=True)
class Conditions:
    """What the head saw when it was trained; under others its answers mean something else.

    Attributes:
        months: Calendar months 1…12 of the time steps, in order.
        absent_bands: Bands of the specification that no archive had.
        cloud_dilation_px: By how much masked cloud was grown.
    """

    months: tuple[int, ...]
    absent_bands: tuple[str, ...] = ()
    cloud_dilation_px: int = 0


@dataclass(frozen=True)
class Provenance:
    """What a reader of a map must know of its model.

    Attributes:
        product: The product the head was trained for.
        encoder: Name of the published checkpoint, or what the encoder is.
        encoder_sha256: Of the published file; None for an encoder of our own.
        licence: Licences of encoder and training labels.
        trained_on: Places and seasons, in words.
        card: The card, Markdown.
    """

    product: str
    encoder: str
    encoder_sha256: str | None
    licence: str
    trained_on: str
    card: str


class Bundle:
    """A trained model for one product.

    Args:
        encoder: In evaluation mode.
        head: In evaluation mode, for the encoder's width.
        calibration: None where the probabilities are not calibrated.
        conditions: What the head was trained under.
        provenance: Where it comes from.
        hash: sha256 of the contents, as read from disk.
    """

    def __init__(
        self,
        encoder: Presto,
        head: Head,
        calibration: Calibration | None,
        conditions: Conditions,
        provenance: Provenance,
        hash: str = "",  # noqa: A002
    ):
        self.encoder = encoder
        self.head = head
        self.calibration = calibration
        self.conditions = conditions
        self.provenance = provenance
        self.hash = hash

    @property
    def specification(self) -> InputSpecification:
        """What the encoder expects of its input."""
        return self.encoder.specification

    def to(self, device: torch.device) -> "Bundle":
        """Move the networks to ``device``; returns the bundle."""
        self.encoder.to(device)
        self.head.to(device)
        return self

    @torch.inference_mode()
    def predict(self, values: np.ndarray, months: np.ndarray, latlon: np.ndarray) -> np.ndarray:
        """Probability of the product's class.

        Args:
            values: float32 [pixel, period, band], see ``Presto.embed``.
            months: int [period], calendar months 1…12.
            latlon: float64 [pixel, 2], degrees.

        Returns:
            float32 [pixel], 0…1.
        """
        logits = self.head(self.encoder.embed(values, months, latlon))
        return (self.calibration or Calibration()).probability(logits).float().cpu().numpy()

    def save(self, folder: Path) -> None:
        """Write the bundle; the folder appears whole or not at all, replacing one that was there."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            home = Path(scratch) / folder.name
            home.mkdir()
            (home / ENCODER_FILE).write_bytes(serialised(self.encoder.state_dict()))
            (home / HEAD_FILE).write_bytes(serialised(self.head.state_dict()))
            (home / CARD_FILE).write_text(self.provenance.card)
            (home / LICENCE_FILE).write_text(self.provenance.licence + "\n")
            (home / MANIFEST).write_text(json.dumps(self._manifest(home), indent=2) + "\n")
            if folder.exists():
                shutil.move(folder, Path(scratch) / "replaced")
            home.rename(folder)

    def _manifest(self, home: Path) -> dict[str, Any]:
        origin = asdict(self.provenance)
        origin.pop("card")
        return {
            "format": 1,
            **origin,
            "family": "presto",
            "size": asdict(self.encoder.size),
            "input": self.specification.as_json(),
            "head": list(self.head.sizes),
            "trained_under": asdict(self.conditions),
            "calibration": asdict(self.calibration) if self.calibration else None,
            "sha256": {name: file_sha256(home / name) for name in (ENCODER_FILE, HEAD_FILE, CARD_FILE, LICENCE_FILE)},
        }


def read_manifest(folder: Path) -> bytes:
    """Bytes of ``bundle.json``; raises InputError if there is none."""
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder}: not a bundle, it has no {MANIFEST}; make one with 'stook train'")
    return path.read_bytes()


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle, every file checked against the hash in its manifest before it is opened.

    Raises:
        InputError: If a file is absent, has another hash, or the manifest or a tensor does not fit.
    """
    raw = read_manifest(folder)
    try:
        manifest = json.loads(raw)
        size, head_sizes, calibration = manifest["size"], manifest["head"], manifest["calibration"]
        hashes, found = manifest["sha256"], InputSpecification.from_json(manifest["input"])
        seen = manifest["trained_under"]
        conditions = Conditions(tuple(seen["months"]), tuple(seen["absent_bands"]), seen["cloud_dilation_px"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / MANIFEST}: not a bundle manifest of this version ({error!r})") from error
    for name in (ENCODER_FILE, HEAD_FILE, CARD_FILE, LICENCE_FILE):
        if name not in hashes:
            raise InputError(f"{folder / MANIFEST}: sha256 of {name} is missing")
        require_sha256(folder / name, hashes[name])
    if found != Presto.specification:
        raise InputError(f"{folder / MANIFEST}: input is not the input specification of family 'presto'")
    encoder, head = Presto(PrestoSize(**size)), Head(head_sizes)
    encoder.load_state_dict(load_file(folder / ENCODER_FILE))
    head.load_state_dict(load_file(folder / HEAD_FILE))
    provenance = Provenance(
        product=manifest["product"],
        encoder=manifest["encoder"],
        encoder_sha256=manifest["encoder_sha256"],
        licence=manifest["licence"],
        trained_on=manifest["trained_on"],
        card=(folder / CARD_FILE).read_text(),
    )
    scaling = Calibration(**calibration) if calibration else None
    return Bundle(encoder.eval(), head.eval(), scaling, conditions, provenance, hashlib.sha256(raw).hexdigest())
