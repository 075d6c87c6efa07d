"""Building coverage is learnt from footprints and composites, end to end."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely
import torch
import yaml

from stook.models.bundle import load_bundle
from stook.models.errors import InputError
from stook.models.measured import MeasuredQuantiles
from stook.models.pooled import Pooled
from stook.models.tasks import QuantileTask
from stook.pipelines.demo.place import BUNDLE
from stook.pipelines.fine_tune import FineTuned, run_fine_tuning
from stook.pipelines.progress import JsonReporter
from stook.pipelines.sections import load
from stook.pipelines.training_configuration import TrainConfiguration
from tests.pipelines.small_season import SmallSeason

ZONES_MEET = 36.0


def training(season: SmallSeason, folder: Path, **changes: Any) -> TrainConfiguration:
    """A training on the western part of the small season, judged in the east."""
    archive = yaml.safe_load(season.config.read_text())["imagery"]
    for source in archive.values():
        source["catalog"] = str(season.folder / source["catalog"])
    areas = {
        "west": shapely.box(35.9962, 8.9962, ZONES_MEET, 9.0038),
        "east": shapely.box(36.0016, 8.9962, 36.0036, 9.0038),
    }
    for name, area in areas.items():
        gpd.GeoSeries([area], crs=4326).to_file(folder / f"{name}.geojson")

    def labels(name: str) -> dict[str, Any]:
        footprints = folder / f"footprints-{name}.geojson"
        footprints.write_bytes((season.folder / "footprints.geojson").read_bytes())
        area = str(folder / f"{name}.geojson")
        return {"file": str(footprints), "area": area, "year": season.year, "licence": "simulated"}

    section = {
        "product": "building_coverage",
        "bundle": str(folder / "trained"),
        "encoder": {"untrained": {"bands": ["vv", "red", "nir"], "chip_px": 10, "width": 4}},
        "window": {"start": {"month": 1}, "months": 1},
        "stride_px": 10,
        "head": "quantiles",
        "labels": [labels("west")],
        "held_out": [labels("east")],
        "fine_tuning": {"epochs": 2, "batch": 16},
        "block_m": 100,
    } | changes
    (folder / "train.yaml").write_text(
        yaml.safe_dump({"name": "simulated training", "imagery": archive, "training": section})
    )
    return load(folder / "train.yaml", TrainConfiguration)


@pytest.fixture(scope="module")
def trained(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> FineTuned:
    return run_fine_tuning(training(pristine_season, tmp_path_factory.mktemp("trained")), JsonReporter())


def test_intervals_are_calibrated_and_judged_elsewhere(trained: FineTuned) -> None:
    [(name, found)] = trained.held_out.items()
    assert name == "footprints-east 2023" and isinstance(found, MeasuredQuantiles)
    assert [(pair.low, pair.high) for pair in found.pairs] == [(0.05, 0.95), (0.25, 0.75)]
    assert all(0 <= pair.share <= 1 for pair in found.pairs)
    task = trained.bundle.task
    assert isinstance(task, QuantileTask) and task.conformal.shifts[2] == 0
    assert trained.bundle.conditions.stride_px == 10 and trained.bundle.conditions.cell_m is None


def test_the_card_tells_what_each_interval_achieves_and_the_split(trained: FineTuned) -> None:
    card = trained.bundle.provenance.card
    for words in ("| 0.05 to 0.95 | 90% |", "| 0.25 to 0.75 | 50% |", "| train |", "conformalised", "footprints-west"):
        assert words in card


def test_no_training_chip_shares_ground_with_one_that_judges(trained: FineTuned) -> None:
    report = trained.chips.report
    assert report.gap_m >= 0
    assert [side.kept > 0 for side in report.sides] == [True] * 4


def test_an_encoder_of_pixels_is_pooled_over_cells(pristine_season: SmallSeason, tmp_path: Path) -> None:
    changes = {
        "encoder": {"bundle": str(BUNDLE)},
        "fine_tuning": {"epochs": 1, "batch": 16, "freeze_encoder": True},
        "minimum_observations": 1,
    }
    bundle = run_fine_tuning(training(pristine_season, tmp_path, **changes), JsonReporter()).bundle
    assert isinstance(bundle.encoder, Pooled) and bundle.encoder.size.cell_px == bundle.conditions.stride_px == 10
    kept, given = bundle.encoder.inner.state_dict(), load_bundle(BUNDLE).encoder.state_dict()
    assert all(torch.equal(kept[name], given[name]) for name in given)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"balance": "weights"}, "balance: has no meaning for building_coverage"),
        ({"cell_m": 100}, "cell_m: has no meaning for building_coverage"),
        (
            {"encoder": {"untrained": {"bands": ["red", "green", "blue"], "resolution_m": 1.5}}},
            "encoder.untrained.resolution_m: 1.5; harvest_piles are seen in pictures",
        ),
    ],
)
def test_what_does_not_suit_building_coverage_is_refused(
    changes: dict[str, Any], reason: str, pristine_season: SmallSeason, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=reason):
        training(pristine_season, tmp_path, **changes)


@pytest.mark.parametrize(
    ("field", "value"),
    [("embeddings", "vectors"), ("parcels", "parcels.tif"), ("positive", [1]), ("negative", [0]), ("field", "kind")],
)
@pytest.mark.parametrize("where", ["labels", "held_out"])
def test_fields_of_other_labels_are_refused_for_footprints(
    where: str, field: str, value: object, pristine_season: SmallSeason, tmp_path: Path
) -> None:
    footprints = {"file": "footprints.gpkg", "area": "area.gpkg", "year": 2023, "licence": "simulated"}
    with pytest.raises(InputError, match=f"labels.{field}: .* has no meaning for building_coverage") as told:
        training(pristine_season, tmp_path, **{where: [footprints | {field: value}]})
    assert "\n" not in str(told.value)
