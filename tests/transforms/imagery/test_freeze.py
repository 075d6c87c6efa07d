from dataclasses import replace
from pathlib import Path

import pytest

from stook.models.errors import InputError
from stook.transforms.imagery.freeze import find_inputs
from stook.transforms.imagery.season import Period
from tests.transforms.archive import PLACE, Archive, lonlat, noon

JUNE = (Period.of_month(2019, 6),)


def found(archive: Archive) -> tuple[list[str], frozenset[str]]:
    """Ids of the items that are kept, and the absent bands."""
    source = archive.save()
    inputs, absent, _ = find_inputs({source.sensor: source}, lonlat(PLACE), {source.sensor: JUNE})
    items = inputs.near(lonlat(PLACE)).get(source.sensor, [])
    return [item.id for item in items], absent


def test_radar_scenes_that_lack_a_polarisation_others_have_are_left_out(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "linear-power")
    archive.add("S1_dual", noon(1), {"vv": 0.1, "vh": 0.02})
    archive.add("S1_vv", noon(2), {"vv": 0.1})
    archive.add("S1_vh", noon(3), {"vh": 0.02})
    archive.add("S1_hh", noon(4), {})
    kept, absent = found(archive)
    assert kept == ["S1_dual"] and not absent & {"vv", "vh"}


def test_a_radar_archive_of_one_polarisation_keeps_its_scenes(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "linear-power")
    archive.add("S1_vv", noon(1), {"vv": 0.1})
    archive.add("S1_hh", noon(2), {})
    kept, absent = found(archive)
    assert kept == ["S1_vv"] and absent >= {"vh"} and "vv" not in absent


def test_radar_scenes_of_which_none_has_all_are_kept_to_fail_by_name(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "linear-power")
    archive.add("S1_vv", noon(1), {"vv": 0.1})
    archive.add("S1_vh", noon(2), {"vh": 0.02})
    assert found(archive)[0] == ["S1_vv", "S1_vh"]


def test_optical_scenes_that_lack_a_band_are_kept_to_fail_by_name(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    archive.add("S2_full", noon(1), {"blue": 800, "green": 800, "red": 800, "nir": 3000, "scl": 4})
    archive.add("S2_lacking", noon(2), {"blue": 800, "green": 800, "red": 800, "scl": 4})
    assert found(archive)[0] == ["S2_full", "S2_lacking"]


def test_radar_in_another_unit_is_refused_before_anything_is_frozen(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "linear-power")
    archive.add("S1", noon(1), {"vv": -12.0, "vh": -19.0})
    with pytest.raises(InputError, match="profile linear-power, items S1"):
        found(archive)


def test_what_was_left_out_and_what_could_not_be_checked_is_told(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "linear-power")
    archive.add("S1_dual", noon(1), {"vv": 0.1, "vh": 0.02})
    archive.add("S1_vv", noon(2), {"vv": 0.1})
    source = archive.save()
    _, _, notes = find_inputs({"sentinel1": source}, lonlat(PLACE), {"sentinel1": JUNE})
    assert notes == ("imagery.sentinel1: 1 scenes lack a polarisation that others have and were left out, e.g. S1_vv",)
    optical = Archive(tmp_path / "optical", "scaled-1e-4")
    same = {"s2:mgrs_tile": "37PZQ", "platform": "Sentinel-2A"}
    for name, baseline, scl in (("older", "04.00", 9), ("newer", "05.10", 9)):
        bands = {"blue": 800, "green": 810, "red": 820, "scl": scl}
        optical.add(name, noon(1), bands, **same, **{"s2:processing_baseline": baseline})
    _, _, notes = find_inputs({"sentinel2": optical.save()}, lonlat(PLACE), {"sentinel2": JUNE})
    assert notes[0] == "imagery.sentinel2: 1 scenes are older processings of others and were left out, e.g. older"
    assert "whether the profile scaled-1e-4 fits could not be checked" in notes[1] and len(notes) == 2


def test_asset_keys_are_named_when_no_profile_fits(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "digital-earth-africa")
    archive.add("S2", noon(1), {"blue": 800, "green": 810, "red": 820, "scl": 4})
    source = replace(archive.save(), profile="scaled-1e-4")
    with pytest.raises(InputError, match=r"has an asset .*scl.*, which profile scaled-1e-4 names; they have B02, B03"):
        find_inputs({"sentinel2": source}, lonlat(PLACE), {"sentinel2": JUNE})
