"""Training goes from labels and imagery to a bundle that maps, and says how good it is elsewhere."""

from pathlib import Path

import pytest
import yaml

from models.bundle import Conditions, load_bundle
from models.errors import InputError
from pipelines.configuration import TrainConfiguration, load
from pipelines.demo.place import WINDOW
from pipelines.progress import JsonReporter
from pipelines.train import TrainResult, run_training
from tests.pipelines.small_season import SmallSeason


def training(season: SmallSeason, folder: Path, **changes: object) -> TrainConfiguration:
    """A training on one zone of the small season, held against the other."""
    archive = yaml.safe_load(season.config.read_text())["imagery"]
    for source in archive.values():
        source["catalog"] = str(season.folder / source["catalog"])

    def labels(epsg: int) -> dict[str, object]:
        truth = str(season.folder / f"truth/cropland_{epsg}.tif")
        return {"file": truth, "year": season.year, "positive": [1], "negative": [0], "licence": "simulated"}

    section = {
        "product": "cropland",
        "bundle": str(folder / "trained"),
        "encoder": {"bundle": str(season.folder / "bundle")},
        "window": WINDOW,
        "labels": [labels(32636)],
        "held_out": [labels(32637)],
        "strengths": [0.01, 1.0],
        "block_m": 200,
        "most_pixels": 400,
    }
    config = {"name": "simulated training", "imagery": archive, "training": section | changes}
    (folder / "train.yaml").write_text(yaml.safe_dump(config))
    return load(folder / "train.yaml", TrainConfiguration)


@pytest.fixture(scope="module")
def trained(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    folder = tmp_path_factory.mktemp("train")
    return run_training(training(pristine_season, folder, calibrate=True), JsonReporter())


def test_the_penalty_is_chosen_on_the_training_place(trained: TrainResult) -> None:
    assert trained.strength in (0.01, 1.0)
    assert set(trained.scores) == {0.01, 1.0}


def test_the_held_out_place_is_judged_with_intervals(trained: TrainResult) -> None:
    [metrics] = trained.held_out.values()
    assert 0 <= metrics["auc"].low <= metrics["auc"].value <= metrics["auc"].high <= 1
    assert metrics["brier"].value < 0.35  # an answer of one half everywhere has 0.25


def test_the_card_names_data_licence_method_and_accuracy(trained: TrainResult) -> None:
    card = trained.bundle.provenance.card
    for words in ("cropland_32636.tif", "simulated", "linear", "Platt", "cropland_32637 2023", "auc"):
        assert words in card


def test_only_a_calibrated_training_writes_a_calibration(
    trained: TrainResult, pristine_season: SmallSeason, tmp_path: Path
):
    assert trained.bundle.calibration is not None
    config = training(pristine_season, tmp_path, strengths=[0.1], held_out=[])
    plain = run_training(config, JsonReporter())
    assert plain.bundle.calibration is None
    assert "nothing is claimed" in plain.bundle.provenance.card
    assert load_bundle(tmp_path / "trained").hash == plain.bundle.hash
    again = run_training(config, JsonReporter())
    assert again.bundle.hash == plain.bundle.hash, "the same training must give the same bundle"


def test_labels_outside_the_imagery_are_refused(pristine_season: SmallSeason, tmp_path: Path) -> None:
    elsewhere = tmp_path / "points.csv"
    elsewhere.write_text("lon,lat,kind\n10,9,1\n10.01,9,0\n")
    labels = {
        "file": str(elsewhere),
        "field": "kind",
        "year": 2023,
        "positive": [1],
        "negative": [0],
        "licence": "none",
    }
    with pytest.raises(InputError, match="has no scene of sentinel-2-l2a over"):
        run_training(training(pristine_season, tmp_path, labels=[labels], held_out=[]), JsonReporter())


def test_a_place_that_was_trained_on_cannot_be_held_out(pristine_season: SmallSeason, tmp_path: Path) -> None:
    config = training(pristine_season, tmp_path)
    section = config.training.model_copy(update={"held_out": config.training.labels})
    with pytest.raises(InputError, match="held_out: .* were trained on; held-out places must lie elsewhere"):
        run_training(config.model_copy(update={"training": section}), JsonReporter())


def test_the_bundle_remembers_what_it_was_trained_under(trained: TrainResult) -> None:
    assert trained.bundle.conditions == Conditions(start_month=1, months=12, absent_bands=(), cloud_dilation_px=0)
