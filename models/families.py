"""The families of encoders. Adding one is a module and a line here."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.galileo import Galileo
from stook.models.pooled import Pooled
from stook.models.presto import Presto
from stook.models.resnet import ResNet
from stook.models.satmae import SatMAEGroup, SatMAERgb, SatMAETemporal
from stook.models.softcon import SoftCon

FAMILIES: dict[str, type[Encoder]] = {
    family.family: family
    for family in (Presto, Galileo, SatMAEGroup, SatMAERgb, SatMAETemporal, SoftCon, ResNet, Pooled)
}


def described(encoder: Encoder) -> dict[str, Any]:
    """Plain data from which ``build`` makes the same encoder, weights apart."""
    return {"family": encoder.family, "size": asdict(encoder.size)}


def build(description: dict[str, Any]) -> Encoder:
    """The encoder that ``described`` described, with random weights, in evaluation mode.

    Raises:
        InputError: If the family or its dimensions are unknown.
    """
    family = FAMILIES.get(description["family"])
    if family is None:
        raise InputError(f"encoder family {description['family']!r} is unknown; allowed are {', '.join(FAMILIES)}")
    try:
        return family(family.size_type(**description["size"])).eval()
    except TypeError as error:
        raise InputError(f"these are not dimensions of a {family.family} encoder: {description['size']}") from error


def fingerprint(encoder: Encoder) -> str:
    """Hexadecimal sha256 of family, dimensions and every parameter: equal for encoders that answer alike."""
    digest = hashlib.sha256(json.dumps(described(encoder), sort_keys=True).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().cpu().numpy().data)
    return digest.hexdigest()
