"""Experiment ``weights``: real checkpoints are loaded, and files that are not what they claim to be are refused.

Every attack spoils a small checkpoint and opens or fetches it. ``docs/weights.md`` is written from what was observed.
"""

import os
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import save_file

from stook.models.checkpoints import CHECKPOINTS, Checkpoint
from stook.models.errors import InputError
from stook.models.fetch import Consent, fetch
from stook.models.presto import Presto, PrestoSize
from stook.models.softcon import SoftCon, SoftConSize
from stook.models.weights import file_sha256, open_checkpoint, place
from stook.transforms.imagery.freeze import require_bands
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure, kept

SIZE = PrestoSize(width=32, depth=1, heads=2)
NAME = "small"
MARKER = "code-ran"
YES = Consent(licence=True, unverified=True)


@dataclass(frozen=True)
class Attack:
    """A file that is not what it claims to be, or that the user has not agreed to.

    Attributes:
        name: Identifies the attack.
        what: What is wrong, for the table.
        mount: Given an empty folder, makes the file and does what must be refused.
        says: Regular expression that the refusal matches.
    """

    name: str
    what: str
    mount: Callable[[Path], object]
    says: str

    def refusal(self, folder: Path) -> str | None:
        """What the refusal says; None if there was none, it was not one line, or code of the file ran."""
        try:
            self.mount(folder)
        except InputError as error:
            if not (folder / MARKER).exists() and "\n" not in str(error):
                return str(error)
        return None


class Code:
    """An object whose unpickling leaves a file behind."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.folder / MARKER}'",)


@contextmanager
def registered(file: Path, **changes: Any) -> Iterator[Checkpoint]:
    """The registry with an entry for a file in a folder of weights, whose hash is not known unless given."""
    changes = {"name": NAME, "size": SIZE, "file": file.name, "sha256": None, "sources": ()} | changes
    with patch.dict(CHECKPOINTS, {NAME: replace(CHECKPOINTS["presto"], **changes)}):
        yield CHECKPOINTS[NAME]


def honest() -> dict[str, Any]:
    """The tensors of a small checkpoint."""
    torch.manual_seed(0)
    return {f"encoder.{name}": tensor for name, tensor in Presto(SIZE).state_dict().items()}


def written(folder: Path, content: Any, old_format: bool = False) -> Path:
    """A file of PyTorch."""
    path = folder / "weights.pt"
    torch.save(content, path, _use_new_zipfile_serialization=not old_format)
    return path


def cut(path: Path) -> Path:
    """The file without its last third."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    return path


def flipped(path: Path) -> Path:
    """The file with one bit of a tensor changed."""
    content = bytearray(path.read_bytes())
    content[content.index(honest()["encoder.pos_embed"].numpy().tobytes()) + 9] ^= 1
    path.write_bytes(content)
    return path


def opened(path: Path, allow_unverified: bool = True, **changes: Any) -> None:
    """Open a file as the small checkpoint."""
    with registered(path, **changes):
        open_checkpoint(NAME, path, allow_unverified=allow_unverified)


def opened_as(honest_file: Path, path: Path, spoil: Callable[[Path], object]) -> None:
    """Open a file after it was spoiled, with the hash that the honest one had."""
    sha256 = file_sha256(honest_file)
    spoil(path)
    opened(path, allow_unverified=False, sha256=sha256)


def cut_known(folder: Path) -> None:
    path = written(folder, honest())
    opened_as(path, path, cut)


def flipped_known(folder: Path) -> None:
    path = written(folder, honest())
    opened_as(path, path, flipped)


def code_known(folder: Path) -> None:
    path = written(folder, honest())
    opened_as(path, path, lambda _: written(folder, honest() | {"extra": Code(folder)}))


def code_alone(folder: Path) -> None:
    path = folder / "weights.pt"
    path.write_bytes(pickle.dumps(Code(folder), protocol=2))
    opened(path)


def web_page(folder: Path) -> None:
    path = folder / "weights.pt"
    path.write_bytes(b"<!DOCTYPE html><title>404</title>")
    opened(path)


def cut_safetensors(folder: Path) -> None:
    path = folder / "weights.safetensors"
    save_file(honest(), path)
    opened(cut(path))


def renamed(folder: Path) -> None:
    content = honest()
    content["encoder.norm.gain"] = content.pop("encoder.norm.weight")
    opened(written(folder, content))


def reshaped(folder: Path) -> None:
    opened(written(folder, honest() | {"encoder.latlon_embed.weight": torch.zeros(32, 2)}))


def lacking(folder: Path) -> None:
    content = honest()
    del content["encoder.month_embed.weight"]
    opened(written(folder, content))


def fetched(folder: Path, consent: Consent, **changes: Any) -> None:
    """Fetch the small checkpoint from a mirror; whatever is refused must leave nothing in the weights folder."""
    mirror, weights = folder / "mirror", folder / "weights"
    (mirror / "presto").mkdir(parents=True)
    path = written(mirror / "presto", honest())
    with registered(path, **changes) as checkpoint:
        try:
            fetch(checkpoint, weights, consent, mirror=str(mirror))
        except InputError:
            left = [file.name for file in weights.rglob("*") if file.is_file() and not file.name.endswith(".lock")]
            assert not left, left
            raise


ATTACKS = (
    Attack("cut", "cut short; its hash is known", cut_known, r"sha256 is \w{64}, expected \w{64}"),
    Attack("flipped", "one bit changed; its hash is known", flipped_known, r"sha256 is \w{64}, expected \w{64}"),
    Attack("code", "a pickle with code; its hash is known", code_known, r"sha256 is \w{64}, expected \w{64}"),
    Attack("unverified", "its hash is not known, and `--allow-unverified` was not given",
           lambda folder: opened(written(folder, honest()), allow_unverified=False),
           r"no hash of 'small' is recorded.*--allow-unverified"),
    Attack("unverified-cut", "unverified: cut short", lambda folder: opened(cut(written(folder, honest()))),
           r"not a file of tensors, or damaged"),
    Attack("unverified-flipped", "unverified: one bit changed",
           lambda folder: opened(flipped(written(folder, honest()))), r"damaged, the checksum of .* is wrong"),
    Attack("unverified-empty", "unverified: empty",
           lambda folder: opened((folder / "weights.pt").write_bytes(b"") or folder / "weights.pt"),
           r"not a file of tensors, or damaged"),
    Attack("unverified-page", "unverified: a web page instead of the file", web_page,
           r"not a file of tensors, or damaged"),
    Attack("unverified-code", "unverified: a pickle with code among the tensors",
           lambda folder: opened(written(folder, honest() | {"extra": Code(folder)})),
           r"holds posix\.system beside tensors, which could run code; it was not opened"),
    Attack("unverified-code-old", "unverified: the same in PyTorch's old format",
           lambda folder: opened(written(folder, honest() | {"extra": Code(folder)}, old_format=True)),
           r"holds posix\.system beside tensors, which could run code; it was not opened"),
    Attack("unverified-code-alone", "unverified: a bare pickle with code", code_alone,
           r"holds posix\.system beside tensors, which could run code|not a file of tensors"),
    Attack("unverified-module", "unverified: a whole module instead of its tensors",
           lambda folder: opened(written(folder, Presto(SIZE))),
           r"holds stook\.models\.presto\.Presto beside tensors, which could run code; it was not opened"),
    Attack("unverified-safetensors", "unverified: safetensors, cut short", cut_safetensors,
           r"not a readable safetensors file"),
    Attack("container", "the entry that should hold the tensors is absent",
           lambda folder: opened(written(folder, {"state_dict": honest()}), container="model"),
           r"has no entry 'model'; found state_dict"),
    Attack("no-tensors", "an entry is no tensor",
           lambda folder: opened(written(folder, honest() | {"encoder.norm.weight": [1.0]})),
           r"'encoder\.norm\.weight' is no tensor, but list"),
    Attack("renamed", "one tensor renamed", renamed, r"norm\.weight is missing; norm\.gain is unknown"),
    Attack("reshaped", "one tensor of another shape", reshaped,
           r"latlon_embed\.weight is \[32, 2\], expected \[32, 3\]"),
    Attack("lacking", "one tensor absent", lacking, r"month_embed\.weight is missing"),
    Attack("missing-band", "a specification that asks for a band the archive lacks",
           lambda folder: require_bands(SoftCon.interface(SoftConSize())[0], "softcon-vit-small-s2", frozenset()),
           r"the archives lack cirrus, coastal, nir09, which softcon-vit-small-s2 needs"),
    Attack("fetch-non-commercial", "`fetch`: a non-commercial licence, `--accept-licence` not given",
           lambda folder: fetched(folder, Consent(unverified=True), licence="CC-BY-NC-4.0", terms="non-commercial"),
           r"its licence is non-commercial: CC-BY-NC-4\.0; --accept-licence"),
    Attack("fetch-unknown-licence", "`fetch`: no licence is known, `--accept-licence` not given",
           lambda folder: fetched(folder, Consent(unverified=True), licence="none stated", terms="unknown"),
           r"its licence is unknown: none stated; --accept-licence"),
    Attack("fetch-unverified", "`fetch`: its hash is not known, `--allow-unverified` not given",
           lambda folder: fetched(folder, Consent(licence=True)),
           r"no hash of the file is recorded.*--allow-unverified"),
    Attack("fetch-wrong-hash", "`fetch`: what arrives has another hash; nothing is kept",
           lambda folder: fetched(folder, YES, sha256="0" * 64),
           r"sha256 of what arrived is \w{64}, expected 0{64}.*was not kept"),
)  # fmt: skip

HEADING = """# Weights that are not what they claim to be

What is said of a file that is damaged, exchanged or not agreed to. Written by `make evidence ONLY=weights`, which
spoils a small checkpoint in each of these ways; … stands for its folder. Every case ends with exit status 2, and no
code that a file brings is run.

| what is wrong | what you see |
|---|---|
"""


def shortened(line: str, folder: Path) -> str:
    """A refusal without what differs from run to run."""
    line = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1…", line.replace(str(folder), "…"))
    return line.replace("|", "\\|")


def real_checkpoints() -> Iterator[Figure]:
    """Open every published file that is at hand."""
    folder, loaded = SHARED / "weights", 0
    for checkpoint in CHECKPOINTS.values():
        path = place(checkpoint, folder)
        if checkpoint.sha256 is None or not path.is_file():
            continue
        found = open_checkpoint(checkpoint.name, path)
        parameters = sum(parameter.numel() for parameter in found.encoder.parameters())
        note = f"published file, hash verified; {len(found.used)} keys used, {len(found.dropped)} dropped"
        yield Figure(f"weights.real.{checkpoint.name}.parameters".replace("-", "_"), parameters, note)
        loaded += 1
    yield Figure("weights.real.loaded", loaded, f"of {len(CHECKPOINTS)} in the registry; the others are not at hand")


def run(scratch: Path) -> Iterator[Figure]:
    """Load what is real, mount every attack, write the page."""
    yield from real_checkpoints()
    rows, missed = [], []
    for attack in ATTACKS:
        folder = scratch / attack.name
        folder.mkdir()
        refusal = attack.refusal(folder)
        if refusal is None or not re.search(attack.says, refusal):
            missed.append(attack.name)
        rows.append(f"| {attack.what} | `{shortened(refusal or 'NOT REFUSED', folder)}` |")
    kept(scratch, "docs/weights.md").write_text(HEADING + "\n".join(rows) + "\n")
    yield Figure("weights.attacks.cases", len(ATTACKS), "table in docs/weights.md")
    note = f"not as expected: {', '.join(missed)}" if missed else f"target {len(ATTACKS)}"
    yield Figure("weights.attacks.refused", len(ATTACKS) - len(missed), note)


EXPERIMENT = Experiment("weights", run, needs_shared=True)
