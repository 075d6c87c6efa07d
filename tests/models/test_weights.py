"""A published file is opened only if it is what it claims to be, and nothing that it holds is run."""

import argparse
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stook.models.checkpoints import CHECKPOINTS
from stook.models.errors import InputError
from stook.models.families import FAMILIES
from stook.models.galileo import Galileo
from stook.models.presto import Presto
from stook.models.weights import chosen_size, find, load_checkpoint, open_checkpoint, tensors_of, weights_dir
from tests.evidence.weights import ATTACKS, MARKER, NAME, Attack, Code, honest, registered, written
from tests.models.published import constants, saved_as

REAL = {"presto": (404_160, 52), "presto-worldcereal": (407_232, 0), "galileo-nano": (1_037_856, 0)}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_in_one_line_and_no_code_runs(attack: Attack, tmp_path: Path) -> None:
    refusal = attack.refusal(tmp_path)
    assert refusal is not None
    assert re.search(attack.says, refusal), refusal


def test_the_small_checkpoint_of_the_attacks_is_fine_as_such(tmp_path: Path) -> None:
    path = written(tmp_path, honest())
    with registered(path):
        opened = open_checkpoint(NAME, path, allow_unverified=True)
    assert len(opened.used) == len(honest())
    assert torch.equal(opened.encoder.norm.weight, honest()["encoder.norm.weight"])


def test_the_code_of_the_attacks_runs_where_pickles_are_trusted(tmp_path: Path) -> None:
    torch.load(written(tmp_path, {"extra": Code(tmp_path)}), weights_only=False)
    assert (tmp_path / MARKER).exists()


def test_safetensors_and_the_old_format_are_read_as_well(tmp_path: Path) -> None:
    save_file(honest(), tmp_path / "weights.safetensors")
    for path in (tmp_path / "weights.safetensors", written(tmp_path, honest(), old_format=True)):
        found = tensors_of(path)
        assert set(found) == set(honest())
        assert all(torch.equal(found[key], tensor) for key, tensor in honest().items())


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
def test_real_checkpoints_are_used_whole(name: str, shared: Path) -> None:
    opened = open_checkpoint(name, find(name, shared / "weights"))
    parameters, dropped = REAL[name]
    assert sum(parameter.numel() for parameter in opened.encoder.parameters()) == parameters
    assert len(opened.dropped) == dropped
    assert all(key.startswith("decoder.") for key in opened.dropped)
    assert not opened.encoder.training
    assert opened.sha256 == CHECKPOINTS[name].sha256


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("satmae-group-base", ("mask_token", "decoder_embed.weight", "decoder_blocks.0.norm1.weight")),
        ("satmae-group-base-finetuned", ("head.weight", "head.bias")),
    ],
)
def test_a_training_state_with_its_options_gives_the_encoder_alone(
    name: str, extra: tuple[str, ...], tmp_path: Path
) -> None:
    checkpoint = CHECKPOINTS[name]
    with torch.device("meta"):
        own = FAMILIES[checkpoint.family](checkpoint.size).state_dict()
    state = constants(own) | {key: torch.zeros(1) for key in extra}
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(1)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    training = {"optimizer": optimizer, "epoch": 199, "scaler": {"scale": 65536.0}}
    options = argparse.Namespace(model="mae_vit_base_patch16", dropped_bands=[0, 9, 10], blr=1e-4, resume=None)
    file = saved_as(tmp_path, {"model": state, **training, "args": options})
    opened = open_checkpoint(name, file, allow_unverified=True)
    assert set(opened.used) == set(own)
    assert opened.dropped == extra
    last = list(own)[-1]
    assert (opened.encoder.state_dict()[last] == len(own) - 1).all()


@pytest.mark.shared
def test_options_are_what_the_weights_leave_open(shared: Path) -> None:
    path = find("galileo-nano", shared / "weights")
    encoder = load_checkpoint("galileo-nano", path, {"patch_px": 4, "chip_px": 16})
    assert isinstance(encoder, Galileo)
    assert (encoder.output.patch_px, encoder.specification.chip_px) == (4, 16)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("galileo-nano", {"depth": 2}, r"encoder\.options\.depth: .* no such option; allowed are patch_px, chip_px"),
        ("presto", {"patch_px": 2}, r"presto has no such option; allowed are none"),
        ("galileo-nano", {"patch_px": "two"}, r"patch_px: 'two'; it should be a number"),
        ("satmae-rgb", {"output": 3}, r"output: 3; it should be a word"),
    ],
)
def test_other_options_are_refused(name: str, options: dict[str, int | str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        chosen_size(CHECKPOINTS[name], options)


def test_the_folder_is_what_is_given_else_the_environments_else_the_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOOK_WEIGHTS", str(tmp_path / "chosen"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert weights_dir(tmp_path) == tmp_path
    assert weights_dir() == tmp_path / "chosen"
    monkeypatch.delenv("STOOK_WEIGHTS")
    assert weights_dir() == tmp_path / "cache" / "stook" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights_dir() == Path("~/.cache/stook/weights").expanduser()


def test_an_absent_file_is_told_with_the_command_that_gets_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'stook models fetch galileo-tiny' gets them"):
        find("galileo-tiny", tmp_path)


def test_an_unknown_name_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'presta' is unknown; allowed are presto, presto-worldcereal"):
        load_checkpoint("presta", tmp_path / "x.pt")


def test_a_presto_of_seventy_two_steps_takes_ten_days_a_step() -> None:
    specification, _ = Presto.interface(CHECKPOINTS["presto-worldcereal"].size)
    assert (specification.period, specification.most_periods) == ("ten-days", 72)
