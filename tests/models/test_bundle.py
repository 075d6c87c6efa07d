"""Bundles come back as they were written, and damage is noticed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stook.models.bundle import Bundle, Conditions, Provenance, load_bundle
from stook.models.choices import DEFAULT_QUANTILES
from stook.models.encoder import Chips
from stook.models.errors import InputError
from stook.models.heads import Calibration, Head
from stook.models.presto import Presto, PrestoSize
from stook.models.quantiles import Conformal, QuantileHead
from stook.models.seen import SeenGround
from stook.models.tasks import ClassTask, QuantileTask

CONDITIONS = Conditions(start_month=11, months=3, absent_bands=("vv",), cloud_dilation_px=2)


def make_bundle(calibration: Calibration | None = None) -> Bundle:
    torch.manual_seed(0)
    provenance = Provenance("cropland", "tiny", None, "Apache-2.0", "nowhere", "# card\n")
    encoder, head = Presto(PrestoSize(32, 1, 2)).eval(), Head([32, 8, 1]).eval()
    return Bundle(encoder, ClassTask(head, calibration), CONDITIONS, provenance, {"bfloat16": 0.002})


def some_pixels() -> Chips:
    values = np.random.default_rng(0).uniform(0, 0.4, (5, 12, 12, 1, 1)).astype(np.float32)
    return Chips(values, np.arange(1, 13), np.full(12, 2023), np.tile([9.0, 36.0], (5, 1)))


def probability(bundle: Bundle) -> torch.Tensor:
    return bundle.task.shares(bundle.encoder.embed(some_pixels())[:, :, 0, 0])


def test_a_bundle_predicts_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    bundle = make_bundle(Calibration(0.7, -0.2))
    bundle.save(tmp_path / "b")
    again = load_bundle(tmp_path / "b")
    assert torch.equal(probability(bundle), probability(again))
    assert isinstance(again.task, ClassTask) and again.task.calibration == Calibration(0.7, -0.2)
    assert again.provenance == bundle.provenance
    assert again.conditions == CONDITIONS
    assert again.precision_loss == {"bfloat16": 0.002}


def test_a_bundle_of_quantiles_answers_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    bundle = make_bundle()
    shifts = Conformal(DEFAULT_QUANTILES, (-0.02, -0.01, 0.0, 0.01, 0.02))
    bundle.task = QuantileTask(QuantileHead(32).eval(), shifts, {"r2": 0.9})
    bundle.save(tmp_path / "b")
    again = load_bundle(tmp_path / "b")
    assert torch.equal(probability(bundle), probability(again))
    assert probability(again).shape == (6, 5)
    assert isinstance(again.task, QuantileTask) and again.task.measured == {"r2": 0.9}


def test_equal_contents_have_equal_hashes_and_other_contents_others(tmp_path: Path) -> None:
    for name, calibration in (("a", None), ("b", None), ("c", Calibration())):
        make_bundle(calibration).save(tmp_path / name)
    a, b, c = (load_bundle(tmp_path / name).hash for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("name", ["encoder.safetensors", "head.safetensors", "card.md", "LICENCE.txt"])
def test_a_changed_file_is_refused_by_its_hash(tmp_path: Path, name: str) -> None:
    make_bundle().save(tmp_path / "b")
    with (tmp_path / "b" / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(InputError, match=f"{name}: sha256 is .* expected"):
        load_bundle(tmp_path / "b")


def test_another_input_specification_is_refused(tmp_path: Path) -> None:
    make_bundle().save(tmp_path / "b")
    manifest = json.loads((tmp_path / "b/bundle.json").read_text())
    manifest["input"]["bands"][2]["divide"] = 10_000.0
    (tmp_path / "b/bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="input specification"):
        load_bundle(tmp_path / "b")


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a bundle"):
        load_bundle(tmp_path)


SEEN = SeenGround(frozenset({("32637", 1, 2), ("32637", 1, 3), ("32736", 900, 19_000)}), complete=False)


def test_a_bundle_remembers_the_ground_that_its_encoder_saw(tmp_path: Path) -> None:
    bundle = make_bundle()
    bundle.provenance = replace(bundle.provenance, seen=SEEN)
    bundle.save(tmp_path / "b")
    assert load_bundle(tmp_path / "b").provenance == bundle.provenance
    with (tmp_path / "b/seen.json").open("a") as file:
        file.write(" ")
    with pytest.raises(InputError, match="seen.json: sha256 is .* expected"):
        load_bundle(tmp_path / "b")


def test_a_bundle_from_before_does_not_know_what_its_encoder_saw(tmp_path: Path) -> None:
    make_bundle().save(tmp_path / "b")
    assert not (tmp_path / "b/seen.json").exists()
    assert load_bundle(tmp_path / "b").provenance.seen is None
