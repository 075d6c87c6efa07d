"""Configuration, units and bundle are read from Google Cloud Storage as from a folder (an emulator speaks for it)."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud import storage

from stook.models.errors import InputError
from stook.models.mirror import on_this_machine
from stook.models.source import ModelSource
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.season import map_products, region_of
from stook.pipelines.sections import load
from stook.transforms.store import address_of, write_bytes
from tests.pipelines.small_season import SmallSeason
from tests.transforms.store.emulator import BUCKET, emulator

HOME = f"gs://{BUCKET}/inputs"


@pytest.fixture
def uploaded(season: SmallSeason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallSeason]:
    """The small season with all but its archive in a bucket."""
    monkeypatch.setenv("STOOK_WEIGHTS", str(tmp_path / "weights"))
    season.configure(imagery__sentinel2__catalog=str(season.folder / "archive" / "catalog.json"))
    season.configure(imagery__sentinel1__catalog=str(season.folder / "archive" / "catalog.json"))
    with emulator():
        for file in (season.config, season.folder / "districts.geojson", *(season.folder / "bundle").iterdir()):
            write_bytes(address_of(f"{HOME}/{file.relative_to(season.folder)}"), file.read_bytes())
        yield season


def test_relative_locations_are_relative_to_the_file_in_the_bucket(uploaded: SmallSeason) -> None:
    config = load(f"{HOME}/{uploaded.config.name}", MapConfiguration)
    here = uploaded.configuration
    assert config.region.file == f"{HOME}/districts.geojson" and config.output == f"{HOME}/out"
    assert region_of(config).hash == region_of(here).hash
    [product], [local] = map_products(config, uploaded.year), map_products(here, uploaded.year)
    assert product.model_hash == local.model_hash
    assert product.model == ModelSource(f"{HOME}/bundle")  # what the edition records, wherever the copy is


def test_a_bundle_is_copied_once_and_again_when_it_changes(uploaded: SmallSeason) -> None:
    first = on_this_machine(f"{HOME}/bundle")
    assert {path.name for path in first.iterdir()} == {path.name for path in (uploaded.folder / "bundle").iterdir()}
    assert on_this_machine(f"{HOME}/bundle") == first
    write_bytes(address_of(f"{HOME}/bundle/card.md"), b"another card")
    assert (on_this_machine(f"{HOME}/bundle") / "card.md").read_bytes() == b"another card"


def test_what_is_not_there_is_named(uploaded: SmallSeason) -> None:
    with pytest.raises(InputError, match=f"{HOME}/none.yaml: the configuration file does not exist"):
        load(f"{HOME}/none.yaml", MapConfiguration)
    with pytest.raises(InputError, match=f"{HOME}/none: no such model"):
        on_this_machine(f"{HOME}/none")
    write_bytes(address_of(f"{HOME}/{uploaded.config.name}"), uploaded.config.read_bytes().replace(b"districts", b"no"))
    with pytest.raises(InputError, match=f"{HOME}/no.geojson: no such file"):
        region_of(load(f"{HOME}/{uploaded.config.name}", MapConfiguration))


def test_an_object_that_stands_for_a_folder_is_none_of_the_model(uploaded: SmallSeason) -> None:
    files = {path.name for path in (uploaded.folder / "bundle").iterdir()}
    bucket = storage.Client().bucket(BUCKET)
    for name in ("inputs/bundle/", "inputs/bundle/empty/"):
        bucket.blob(name).upload_from_string(b"")  # as the console does
    assert {path.name for path in on_this_machine(f"{HOME}/bundle").iterdir()} == files


def test_of_processes_that_copy_a_model_at_once_none_fails(
    uploaded: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def overtaken(scratch: Path, copy: Path) -> Path:
        shutil.copytree(scratch, copy)
        return rename(scratch, copy)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", overtaken)
        copy = on_this_machine(f"{HOME}/bundle")
    assert {path.name for path in copy.iterdir()} == {path.name for path in (uploaded.folder / "bundle").iterdir()}
    assert [path.name for path in copy.parent.parent.iterdir()] == [copy.parent.name]  # and no scratch is left
