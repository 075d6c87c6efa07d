"""A bundle: encoder, head, specifications, licence and card in one folder, known by the hash of its contents."""

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from safetensors.torch import save as serialised

from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.families import build, described
from stook.models.seen import SeenGround
from stook.models.specification import InputSpecification
from stook.models.tasks import ClassTask, QuantileTask, build_task
from stook.models.weights import file_sha256, require_sha256

FORMAT = 4
MANIFEST = "bundle.json"
ENCODER_FILE = "encoder.safetensors"
HEAD_FILE = "head.safetensors"
CARD_FILE = "card.md"
LICENCE_FILE = "LICENCE.txt"
SEEN_FILE = "seen.json"  # absent where nothing is known, as in older bundles
FILES = (ENCODER_FILE, HEAD_FILE, CARD_FILE, LICENCE_FILE)


@dataclass(frozen=True)
class Conditions:
    """What the head saw when it was trained; under others its answers mean something else.

    Attributes:
        start_month: Calendar month 1…12 with which the window begins.
        months: Length of the window.
        stride_px: From one chip to the next, in pixels; 1 for an encoder of single pixels.
        absent_bands: Bands of the specification that no archive had.
        cloud_dilation_px: By how much masked cloud was grown.
        cell_m: Side of a cell, in metres, for an encoder of pictures; None for one of composites, see ``stride_px``.
    """

    start_month: int
    months: int
    stride_px: int = 1
    absent_bands: tuple[str, ...] = ()
    cloud_dilation_px: int = 0
    cell_m: float | None = None


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
        seen: Ground that the encoder was trained with; a head on a frozen encoder adds none. None if it is not known.
    """

    product: str
    encoder: str
    encoder_sha256: str | None
    licence: str
    trained_on: str
    card: str
    seen: SeenGround | None = None


class Bundle:
    """A trained model for one product.

    Args:
        encoder: In evaluation mode.
        task: What it answers; its head is for the encoder's width.
        conditions: What the head was trained under.
        provenance: Where it comes from.
        precision_loss: Lower precision -> by how much it changed a probability at most when it was checked, 0…1.
        hash: sha256 of the contents, as read from disk.
    """

    def __init__(
        self,
        encoder: Encoder,
        task: ClassTask | QuantileTask,
        conditions: Conditions,
        provenance: Provenance,
        precision_loss: dict[str, float] | None = None,
        hash: str = "",  # noqa: A002
    ):
        self.encoder = encoder
        self.task = task
        self.conditions = conditions
        self.provenance = provenance
        self.precision_loss = precision_loss or {}
        self.hash = hash

    @property
    def specification(self) -> InputSpecification:
        """What the encoder expects of its input."""
        return self.encoder.specification

    @property
    def calibrated(self) -> bool:
        """Whether what it says may be summed to hectares."""
        return isinstance(self.task, QuantileTask) or self.task.calibration is not None

    def save(self, folder: Path) -> None:
        """Write the bundle; the folder appears whole or not at all, replacing one that was there."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            home = Path(scratch) / folder.name
            home.mkdir()
            (home / ENCODER_FILE).write_bytes(serialised(self.encoder.state_dict()))
            (home / HEAD_FILE).write_bytes(serialised(self.task.head.state_dict()))
            (home / CARD_FILE).write_bytes(self.provenance.card.encode())
            (home / LICENCE_FILE).write_bytes(f"{self.provenance.licence}\n".encode())
            if self.provenance.seen is not None:
                (home / SEEN_FILE).write_bytes(self.provenance.seen.as_json().encode())
            (home / MANIFEST).write_bytes(f"{json.dumps(self._manifest(home), indent=2)}\n".encode())
            if folder.exists():
                shutil.move(folder, Path(scratch) / "replaced")
            home.rename(folder)

    def _manifest(self, home: Path) -> dict[str, Any]:
        origin = {name: value for name, value in vars(self.provenance).items() if name not in ("card", "seen")}
        files = [*FILES, *([SEEN_FILE] if self.provenance.seen is not None else [])]
        return {
            "format": FORMAT,
            **origin,
            **described(self.encoder),
            "input": self.specification.as_json(),
            "task": self.task.described(),
            "trained_under": asdict(self.conditions),
            "precision_loss": self.precision_loss,
            "sha256": {name: file_sha256(home / name) for name in files},
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
        if manifest["format"] != FORMAT:
            raise InputError(f"{folder / MANIFEST}: format is {manifest['format']}, allowed is {FORMAT}; train it anew")
        encoder, task = build(manifest), build_task(manifest["task"])
        hashes, found = manifest["sha256"], InputSpecification.from_json(manifest["input"])
        seen = manifest["trained_under"]
        conditions = Conditions(**seen | {"absent_bands": tuple(seen["absent_bands"])})
        loss = {name: float(value) for name, value in manifest["precision_loss"].items()}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / MANIFEST}: not a bundle manifest of this version ({error!r})") from error
    for name in FILES:
        if name not in hashes:
            raise InputError(f"{folder / MANIFEST}: sha256 of {name} is missing")
        require_sha256(folder / name, hashes[name])
    if found != encoder.specification:
        raise InputError(f"{folder / MANIFEST}: input is not the input specification of family {encoder.family!r}")
    encoder.load_own(load_file(folder / ENCODER_FILE))
    task.head.load_state_dict(load_file(folder / HEAD_FILE))
    provenance = Provenance(
        product=manifest["product"],
        encoder=manifest["encoder"],
        encoder_sha256=manifest["encoder_sha256"],
        licence=manifest["licence"],
        trained_on=manifest["trained_on"],
        card=(folder / CARD_FILE).read_text(encoding="utf-8"),
        seen=_seen(folder, hashes.get(SEEN_FILE)),
    )
    return Bundle(encoder, task, conditions, provenance, loss, hashlib.sha256(raw).hexdigest())


def _seen(folder: Path, sha256: str | None) -> SeenGround | None:
    """The ground that a bundle's encoder was trained with, None if it does not tell."""
    if sha256 is None:
        return None
    require_sha256(folder / SEEN_FILE, sha256)
    try:
        return SeenGround.from_json((folder / SEEN_FILE).read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder / SEEN_FILE}: not the seen ground of this version ({error!r})") from error
