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
