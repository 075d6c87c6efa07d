"""Whatever is wrong in a configuration is told in one line: file, field, value, what is allowed."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.explain import describe
from stook.pipelines.sections import load
from stook.pipelines.training_configuration import TrainConfiguration
from stook.transforms.backoff import BackOff

ROOT = Path(__file__).resolve().parents[2]


def valid() -> dict[str, Any]:
    return {
        "name": "place",
        "region": {"file": "units.geojson", "id": "unit_id"},
        "imagery": {"sentinel2": {"catalog": "catalog.json", "collection": "s2", "profile": "scaled-1e-4"}},
        "season": {"name": "main"},
        "products": {"cropland": {"bundle": "b", "window": {"start": {"month": 11, "year": -1}, "months": 12}}},
        "output": "out",
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    data = valid()
    *parents, last = path.split(".")
    section = data
    for parent in parents:
        section = section[parent]
    if value is None:
        del section[last]
    else:
        section[last] = value
    return data


def load_data(folder: Path, data: Any) -> MapConfiguration:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(data))
    return load(file, MapConfiguration)


def test_paths_are_relative_to_the_file_and_addresses_stay(tmp_path: Path) -> None:
    config = load_data(tmp_path, changed("imagery.sentinel2.catalog", "https://example.org/v1"))
    assert config.output == str(tmp_path / "out")
    assert config.imagery.sentinel2 is not None
    assert config.imagery.sentinel2.catalog == "https://example.org/v1"


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("thrshold", 3, r"thrshold: unknown field; allowed are name, region, imagery"),
        ("products.cropland.thrshold", 3, r"products.cropland.thrshold: unknown field; allowed are bundle, window"),
        ("products.cropland.window.months", 0, r"products.cropland.window.months: 0 is not allowed; .* 1"),
        ("products.cropland.window.start.month", 13, r"window.start.month: 13 is not allowed; .* 12"),
        ("products.cropland.threshold", "high", r"threshold: 'high' is not allowed; it should be a valid integer"),
        ("products.wheat", {}, r"products.wheat: unknown field; allowed are cropland, harvest_piles"),
        ("products.farmed_cells", {}, r"products: farmed_cells: is derived from cropland and harvest_piles; name both"),
        ("products.cropland.smoothing", {"majority_px": 4}, r"majority_px: .*its side is odd"),
        ("region.id", None, r"region.id: this field is required and absent"),
        ("season.name", "Main Season", r"season.name: 'Main Season' is not allowed"),
        ("imagery", {}, r"imagery: name at least one of sentinel2, sentinel1"),
        ("imagery.sentinel2.profile", "landsat", r"imagery.sentinel2.profile: 'landsat'; allowed: earth-search"),
        ("grid", {"tile_px": 300}, r"grid.tile_px: .*do not divide 10,000,000 m"),
        ("run", {"mode": "dask"}, r"run.mode: 'dask' is not allowed; it should be 'memory', 'threads' or 'processes'"),
    ],
)
def test_a_mistake_is_one_line_with_file_field_value_and_what_is_allowed(
    tmp_path: Path, path: str, value: Any, told: str
) -> None:
    with pytest.raises(InputError, match=told) as refusal:
        load_data(tmp_path, changed(path, value))
    assert str(refusal.value).startswith(str(tmp_path / "config.yaml"))
    assert "\n" not in str(refusal.value)


def test_several_mistakes_are_counted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\(and 1 more\)"):
        load_data(tmp_path, changed("region", {"file": "x", "idd": "y"}))


@pytest.mark.parametrize("text", ["- a\n- b\n", "name: [\n", "\x00"])
def test_what_is_not_a_yaml_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match="config.yaml: "):
        load(tmp_path / "config.yaml", MapConfiguration)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load(tmp_path / "none.yaml", MapConfiguration)


@pytest.mark.parametrize("schema", [MapConfiguration, TrainConfiguration])
def test_every_field_is_documented(schema: type[MapConfiguration] | type[TrainConfiguration]) -> None:
    assert "None |" not in describe(schema).replace("`None` |", "")
    assert describe(schema) in (ROOT / "docs/configuration.md").read_text()


@pytest.mark.parametrize("example", sorted((ROOT / "infra" / "examples").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_valid(example: Path) -> None:
    config = load(example, TrainConfiguration if example.stem.startswith("train") else MapConfiguration)
    assert set(config.imagery.sources()) == {"sentinel1", "sentinel2"}


def test_where_links_may_lead_and_whether_files_are_verified_come_from_the_archive(tmp_path: Path) -> None:
    archive = valid()["imagery"]["sentinel2"]
    told = {"hosts": ["*.example.org"], "folders": ["../scenes"], "verify": True}
    source = load_data(tmp_path, changed("imagery.sentinel2", archive | told)).imagery.sources()["sentinel2"]
    assert (source.hosts, source.folders, source.verify) == (
        ("*.example.org",),
        (str(tmp_path.parent / "scenes"),),
        True,
    )
    plain = load_data(tmp_path, valid()).imagery.sources()["sentinel2"]
    assert (plain.hosts, plain.folders, plain.verify) == ((), (), False)


def test_patience_with_archives_can_be_set(tmp_path: Path) -> None:
    config = load_data(tmp_path, {**valid(), "run": {"attempts": 2, "timeout_s": 7}})
    assert config.run.backoff() == BackOff(attempts=2, timeout_s=7)
    assert load_data(tmp_path, valid()).run.backoff() == BackOff()


def test_a_password_in_the_address_of_a_catalogue_is_refused_and_not_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="carries a user name or password") as refusal:
        load_data(tmp_path, changed("imagery.sentinel2.catalog", "https://me:SECRET@example.org/v1"))
    assert "SECRET" not in str(refusal.value)


def test_a_mistyped_field_is_told_before_its_absence(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("name: x\nseason: {nme: main}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"season.nme: unknown field; allowed are name \(and 4 more\)"):
        load(file, MapConfiguration)


NINEFOLD = [f"{name}: &{name} [{', '.join([f'*{inner}'] * 9)}]" for inner, name in pairwise("abcdefghi")]


@pytest.mark.parametrize("lines", [["a: &a [*a]"], ["a: &a [x, x]", *NINEFOLD]], ids=["in itself", "ninefold"])
def test_a_few_lines_that_stand_for_billions_are_refused(tmp_path: Path, lines: list[str]) -> None:
    file = tmp_path / "bomb.yaml"
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(InputError, match="more than 100,000 values once its anchors"):
        load(file, MapConfiguration)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ({}, "output: /"),
        ({"output": "gs://maps/x"}, "imagery.sentinel2.catalog: /"),
    ],
)
def test_workers_elsewhere_cannot_see_paths_of_this_machine(tmp_path: Path, place: dict[str, str], told: str) -> None:
    engine = {"runner": "FlinkRunner", "flink_master": "flink:8081"}
    data = valid() | place | {"run": {"engine": engine}}
    data["imagery"]["sentinel2"]["catalog"] = "catalog.json"
    with pytest.raises(InputError) as error:
        load_data(tmp_path, data)
    assert told in str(error.value) and "which workers of run.engine do not see" in str(error.value)
    here = engine | {"flink_master": "localhost:8081", "environment_type": "LOOPBACK"}
    assert load_data(tmp_path, data | {"run": {"engine": here}}).run.engine == here
