"""Every entry of the registry is complete and describes an encoder that can be built."""

import json
import re
from collections import Counter
from dataclasses import asdict

import pytest
import torch

from stook.models.checkpoints import CHECKPOINTS, Checkpoint
from stook.models.families import FAMILIES
from stook.models.weights import chosen_size

ENTRIES = pytest.mark.parametrize("checkpoint", CHECKPOINTS.values(), ids=list(CHECKPOINTS))


@ENTRIES
def test_an_entry_is_complete(checkpoint: Checkpoint) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", checkpoint.name)
    assert checkpoint.terms in ("free", "non-commercial", "unknown")
    assert checkpoint.licence
    assert checkpoint.citation
    assert checkpoint.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", checkpoint.sha256)
    assert all(url.startswith("https://") for url in (*checkpoint.sources, checkpoint.page))
    assert "/" not in checkpoint.file


@ENTRIES
def test_an_entrys_encoder_can_be_built_and_described(checkpoint: Checkpoint) -> None:
    family = FAMILIES[checkpoint.family]
    assert family.size_type(**json.loads(json.dumps(asdict(checkpoint.size)))) == checkpoint.size
    with torch.device("meta"):
        encoder = family(checkpoint.size)
    assert (encoder.specification, encoder.output) == family.interface(checkpoint.size)
    assert encoder.specification.chip_px % encoder.output.patch_px == 0
    assert encoder.values_per_chip > 0


@ENTRIES
def test_an_entrys_options_leave_its_tensors_as_they_are(checkpoint: Checkpoint) -> None:
    other = {"patch_px": 2, "chip_px": 8, "output": "patches", "resolution_m": 0.5}
    with torch.device("meta"):
        before = FAMILIES[checkpoint.family](checkpoint.size)
        after = FAMILIES[checkpoint.family](chosen_size(checkpoint, {name: other[name] for name in checkpoint.options}))
    shapes = [{name: tensor.shape for name, tensor in encoder.state_dict().items()} for encoder in (before, after)]
    assert shapes[0] == shapes[1]


def test_no_two_entries_share_a_file() -> None:
    places = Counter((checkpoint.family, checkpoint.file) for checkpoint in CHECKPOINTS.values())
    assert max(places.values()) == 1


def test_what_may_not_be_used_freely_is_marked() -> None:
    terms = {name: checkpoint.terms for name, checkpoint in CHECKPOINTS.items()}
    assert {terms[name] for name in terms if name.startswith("satmae")} == {"non-commercial"}
    assert {terms[name] for name in terms if name.startswith("geossl")} == {"unknown"}
    assert {terms[name] for name in terms if name.startswith(("presto", "galileo", "softcon"))} == {"free"}


@pytest.mark.parametrize(
    ("name", "millions"),
    [("galileo-tiny", 5.7), ("galileo-base", 86.5), ("satmae-rgb", 303.3), ("satmae-group-base", 86.0)],
)
def test_the_parameters_are_about_as_many_as_the_papers_say(name: str, millions: float) -> None:
    checkpoint = CHECKPOINTS[name]
    with torch.device("meta"):
        encoder = FAMILIES[checkpoint.family](checkpoint.size)
    assert sum(parameter.numel() for parameter in encoder.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)
