"""The demonstration maps what is there and compares it with the truth."""

from pathlib import Path

import pytest

from stook.models.bundle import load_bundle
from stook.models.errors import InputError
from stook.pipelines.demo.place import BUILDINGS_BUNDLE, BUNDLE, PILES_BUNDLE
from stook.pipelines.demo.run import run_demo
from stook.transforms.ground.region import Region
from tests.pipelines.small_season import RARELY, SMALL_PLACE

BUNDLES = (BUNDLE, BUILDINGS_BUNDLE, PILES_BUNDLE)
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float], str]:
    """A small demonstration: its folder, its figures and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
        patch.chdir(folder)
        figures = run_demo(Path("demo"), SMALL_PLACE, RARELY)
    return folder / "demo", figures, "\n".join(lines)


@pytest.mark.slow
def test_the_map_ranks_cropland_above_the_rest(demonstrated: tuple[Path, dict[str, float], str]) -> None:
    _, figures, _ = demonstrated
    assert figures["demo.auc"] > 0.9


@pytest.mark.slow
def test_the_figures_are_printed_as_lines(demonstrated: tuple[Path, dict[str, float], str]) -> None:
    _, figures, printed = demonstrated
    assert f"demo.auc {figures['demo.auc']:.4g}" in printed.splitlines()
    assert any(line.startswith("demo.seconds ") for line in printed.splitlines())


@pytest.mark.slow
def test_the_picture_and_the_maps_are_there(demonstrated: tuple[Path, dict[str, float], str]) -> None:
    folder, _, _ = demonstrated
    assert (folder / "map.png").stat().st_size > 50_000
    assert len(list((folder / "exports").glob("*.tif"))) == 20


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("precious")
    with pytest.raises(InputError, match="is not empty and not a demonstration's"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


@pytest.mark.parametrize("folder", BUNDLES, ids=["cropland", "building_coverage", "harvest_piles"])
def test_the_bundles_are_calibrated_and_say_that_they_are_simulated(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert bundle.calibrated
    assert "simulated" in bundle.provenance.licence
    assert "SIMULATED" in bundle.provenance.card


def test_the_bundles_are_small() -> None:
    assert sum(path.stat().st_size for folder in BUNDLES for path in folder.iterdir()) < MOST_BYTES


@pytest.mark.slow
def test_the_map_of_buildings_explains_most_of_the_truth(demonstrated: tuple[Path, dict[str, float], str]) -> None:
    _, figures, _ = demonstrated
    assert figures["demo.buildings_r2"] > 0.5


@pytest.mark.slow
def test_the_demonstration_spans_two_zones(demonstrated: tuple[Path, dict[str, float], str]) -> None:
    folder, _, _ = demonstrated
    [units] = folder.glob("out/*/*/*/units.parquet")
    assert [zone.name for zone in Region.read(units).zones] == ["32636", "32637"]
