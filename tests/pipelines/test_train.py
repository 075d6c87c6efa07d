"""Training goes from labels and imagery to a bundle that maps, and says how good it is elsewhere."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import torch
import yaml

from stook.models.bundle import Conditions, load_bundle
from stook.models.encoder import Chips
from stook.models.errors import InputError
from stook.models.heads import Calibration
from stook.models.presto import Presto, PrestoSize
from stook.models.seen import SeenGround
from stook.pipelines.card import model_card
from stook.pipelines.demo.place import WINDOW
from stook.pipelines.labelled import labels_of
from stook.pipelines.origin import Origin
from stook.pipelines.progress import JsonReporter
from stook.pipelines.season import embeddings_folder, plan_of, published_edition, region_of
from stook.pipelines.sections import load
from stook.pipelines.train import TrainResult, run_training
from stook.pipelines.training_configuration import LabelsSection, TrainConfiguration
from stook.transforms.ground.squares import Squares
from stook.transforms.labelled.seen_ground import touched
from tests.pipelines.command import stook
from tests.pipelines.small_season import SmallSeason, write_random_bundle

JUNE_AND_JULY = {"start": {"month": 6, "year": 0}, "months": 2}
SUMMER: dict[str, Any] = {
    "window": JUNE_AND_JULY,
    "minimum_observations": 0,
}  # a sixth of the scenes, much of it cloudy


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
    [found] = trained.held_out.values()
    metrics = found.metrics
    assert sum(one.count for one in found.bins) == found.cells
    assert 0 <= metrics["auc"].low <= metrics["auc"].value <= metrics["auc"].high <= 1
    assert metrics["brier"].value < 0.35  # an answer of one half everywhere has 0.25


def test_the_card_names_data_licence_method_and_accuracy(trained: TrainResult) -> None:
    card = trained.bundle.provenance.card
    for words in (
        "cropland_32636.tif",
        "simulated",
        "linear",
        "Platt",
        "cropland_32637 2023",
        "auc",
        "average precision",
        "mean predicted",
    ):
        assert words in card


def test_only_a_calibrated_training_writes_a_calibration(
    trained: TrainResult, pristine_season: SmallSeason, tmp_path: Path
):
    assert trained.bundle.calibrated
    config = training(pristine_season, tmp_path, **SUMMER, strengths=[0.1], held_out=[])
    plain = run_training(config, JsonReporter())
    assert not plain.bundle.calibrated
    assert "nothing is claimed" in plain.bundle.provenance.card
    assert load_bundle(tmp_path / "trained").hash == plain.bundle.hash
    assert plain.cross_validated is None
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
    config = training(pristine_season, tmp_path, **SUMMER, strengths=[0.1])
    section = config.training.model_copy(update={"held_out": config.training.labels})
    with pytest.raises(InputError, match="held_out: .* were trained on; held-out places must lie elsewhere"):
        run_training(config.model_copy(update={"training": section}), JsonReporter())


def write_start(season: SmallSeason, folder: Path, section: LabelsSection) -> SeenGround:
    """The season's bundle, as if its encoder had been trained with a place's labels."""
    table = labels_of(section).table
    seen = SeenGround(touched(Squares.around(table, 10, 10)))
    bundle = load_bundle(season.folder / "bundle")
    bundle.provenance = replace(bundle.provenance, seen=seen)
    bundle.save(folder)
    return seen


def test_a_place_that_the_encoder_was_trained_with_cannot_be_held_out(
    pristine_season: SmallSeason, tmp_path: Path
) -> None:
    changes = {"encoder": {"bundle": str(tmp_path / "start")}, "strengths": [0.1], **SUMMER}
    config = training(pristine_season, tmp_path, **changes)
    write_start(pristine_season, tmp_path / "start", config.training.held_out[0])
    with pytest.raises(InputError, match="held_out: .* that the encoder's bundle was trained with; held-out") as told:
        run_training(config, JsonReporter())
    assert "\n" not in str(told.value)


def test_the_card_and_the_bundle_tell_what_the_encoder_was_trained_with(
    pristine_season: SmallSeason, tmp_path: Path, trained: TrainResult
) -> None:
    assert "What ground its encoder was trained with is not known" in trained.bundle.provenance.card
    assert trained.bundle.provenance.seen is None
    changes = {"encoder": {"bundle": str(tmp_path / "start")}, "strengths": [0.1], "held_out": [], **SUMMER}
    config = training(pristine_season, tmp_path, **changes)
    seen = write_start(pristine_season, tmp_path / "start", config.training.labels[0])
    found = run_training(config, JsonReporter()).bundle.provenance
    assert found.seen == seen  # a head on a frozen encoder adds none
    assert f"trained with {len(seen.squares)} squares of 500 m" in found.card
    assert "400 labels of this training lie there: what their blocks say of it flatters" in found.card


def test_held_out_places_of_one_name_are_refused_before_anything_is_read(
    pristine_season: SmallSeason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stook.pipelines.train.see", None)
    config = training(pristine_season, tmp_path)
    section = config.training.model_copy(update={"held_out": config.training.held_out * 2})
    with pytest.raises(InputError, match="held_out: two places are called cropland_32637 2023; rename a file"):
        run_training(config.model_copy(update={"training": section}), JsonReporter())


def test_the_bundle_remembers_what_it_was_trained_under(trained: TrainResult) -> None:
    assert trained.bundle.conditions == Conditions(start_month=1, months=12, absent_bands=(), cloud_dilation_px=0)


def fields(file: Path) -> Path:
    """Square fields of 35 m on ground of the small season, one in four of them crop."""
    lefts, bottoms = np.meshgrid(np.arange(8) * 40, np.arange(6) * 40)
    boxes = shapely.box(*(corner.ravel() for corner in (lefts, bottoms, lefts + 35, bottoms + 35)))
    [corner] = gpd.GeoSeries.from_xy([35.9967], [9.0008], crs=4326).to_crs(32636)
    moved = gpd.GeoSeries(boxes, crs=32636).translate(corner.x, corner.y)
    kind = np.where((lefts // 40 + bottoms // 40).ravel() % 4 == 0, "crop", "other")
    gpd.GeoDataFrame({"kind": kind}, geometry=moved).to_file(file)
    return file


def test_fields_train_a_balanced_head_that_is_judged_on_blocks_where_nothing_is_held_out(
    pristine_season: SmallSeason, tmp_path: Path
) -> None:
    labels = {"file": str(fields(tmp_path / "fields.gpkg")), "field": "kind", "year": pristine_season.year}
    labels |= {"positive": ["crop"], "negative": ["other"], "licence": "simulated"}
    changes = {"labels": [labels], "held_out": [], "block_m": 100, "balance": "weights"}
    config = training(pristine_season, tmp_path, **SUMMER, **changes)
    result = run_training(config, JsonReporter())
    found = result.cross_validated
    assert found is not None and (found.cells, found.positive) == (288, 72)
    card = result.bundle.provenance.card
    for words in (
        "fields.gpkg",
        "too high for the rarer",
        "blocks of the training places",
        "These very blocks gave C, and",
        "50% to 60%",
    ):
        assert words in card
    mean = np.average([one.predicted for one in found.bins], weights=[one.count for one in found.bins])
    assert mean > 0.35, "a balanced head that is not calibrated says too much of the rarer class"


@pytest.mark.parametrize(
    ("balance", "calibration", "told"),
    [
        ("none", None, "1.\nNot calibrated: the probabilities rank"),
        ("weights", None, "too high for the rarer.\nNot calibrated"),
        ("none", Calibration(2.0, -1.0), "Platt scaling on held-out blocks: 2.0000 · logit -1.0000.\n\n"),
        ("weights", Calibration(2.0, -1.0), "logit -1.0000. It takes back the weights.\n\n"),
    ],
)
def test_the_card_says_what_the_probabilities_are(
    pristine_season: SmallSeason, tmp_path: Path, balance: str, calibration: Calibration | None, told: str
) -> None:
    config = training(pristine_season, tmp_path, balance=balance, seed=1)
    card = model_card(
        config, Origin(Presto(PrestoSize(32, 1, 2)), "Presto", None, "MIT"), "MIT", [], None, 1.0, calibration, None, {}
    )
    assert told in card
    assert ("Both classes weighed the same" in card) == (balance == "weights")
    assert card.endswith("nothing is claimed.\n")


@pytest.fixture(scope="module")
def embedded(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """A small region with its vectors stored exactly; read only."""
    season = pristine_season.copy(tmp_path_factory.mktemp("embedded") / "season").hurried().narrowed()
    section = {"encoder": {"bundle": "bundle"}, "window": JUNE_AND_JULY, "storage": "float32"}
    season.configure(embeddings=section, run={"mode": "memory"})
    assert stook("embed", season.config, "--year", season.year, "--quiet").status == 0
    return season


def training_on_points(season: SmallSeason, folder: Path, stored: bool, **changes: object) -> TrainConfiguration:
    """A training on a hundred points of the small region, and one beyond it, from imagery or from stored vectors."""
    random = np.random.default_rng(4)
    lon, lat = random.uniform(35.9967, 35.9998, 100), random.uniform(9.0008, 9.0032, 100)
    table = pd.DataFrame({"lon": lon, "lat": lat, "kind": (random.random(100) < (lat - 9.0008) / 0.0024).astype(int)})
    if stored:
        table.loc[len(table)] = [36.3, 9.1, 1]
    table.to_csv(folder / "points.csv", index=False)
    labels = {"file": str(folder / "points.csv"), "field": "kind", "year": season.year, "licence": "simulated"}
    labels |= {"positive": [1], "negative": [0]}
    if stored:
        labels["embeddings"] = str(embeddings_folder(season.configuration, season.year).folder)
    section = {"labels": [labels], "held_out": [], "strengths": [0.1]} | SUMMER
    return training(season, folder, **(section | changes))


@pytest.mark.slow
def test_stored_vectors_give_the_head_that_imagery_gives(
    embedded: SmallSeason, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from_imagery = run_training(training_on_points(embedded, tmp_path, stored=False), JsonReporter()).bundle
    capsys.readouterr()
    monkeypatch.setattr(Presto, "embed", None)  # nothing is encoded any more
    from_store = run_training(training_on_points(embedded, tmp_path, stored=True), JsonReporter()).bundle
    vectors = torch.randn((200, from_store.encoder.output.width), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(from_store.task.shares(vectors), from_imagery.task.shares(vectors), atol=1e-4)
    assert from_store.task.shares(vectors).std() > 0.01
    assert from_store.conditions == from_imagery.conditions
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [place] = [event for event in told if event["event"] == "place_read"]
    assert place["unseen"] == 1  # where no vectors are stored there is no label either


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda season: write_random_bundle(season.folder / "bundle", seed=6), "another encoder, window or stride"),
        (
            lambda season: (season.output / "embeddings/current.json").unlink(),
            "holds no published vectors; 'stook embed'",
        ),
    ],
    ids=["another encoder", "none"],
)
def test_vectors_that_are_not_the_trainings_own_are_refused(
    spoil: Callable[[SmallSeason], object], reason: str, embedded: SmallSeason, tmp_path: Path
) -> None:
    season = embedded.copy(tmp_path / "season")
    spoil(season)
    with pytest.raises(InputError, match=reason):
        run_training(training_on_points(season, tmp_path, stored=True), JsonReporter())


def test_a_lower_precision_that_is_asked_for_is_checked_and_recorded(embedded: SmallSeason, tmp_path: Path) -> None:
    config = training_on_points(embedded, tmp_path, stored=True, precisions=["bfloat16"])
    section = config.training.labels[0]
    points = pd.read_csv(section.file)
    points[:100].to_csv(section.file, index=False)  # the check reads imagery, which the last point has not
    assert 0 < run_training(config, JsonReporter()).bundle.precision_loss["bfloat16"] < 0.1
    assert load_bundle(tmp_path / "trained").precision_loss.keys() == {"bfloat16"}


@pytest.mark.parametrize(("loss", "reason"), [(None, "never checked"), (0.02, "off by 0.020 of a probability")])
def test_a_map_in_lower_precision_is_refused_unless_it_was_checked(
    loss: float | None, reason: str, embedded: SmallSeason, tmp_path: Path
) -> None:
    season = checked(embedded.copy(tmp_path / "season"), loss)
    config = season.configuration
    with pytest.raises(InputError, match=f"products.cropland.precision: bfloat16 is {reason}.*allowed are float32"):
        plan_of(config, season.year, region_of(config), provisional=False)


def checked(season: SmallSeason, loss: float | None) -> SmallSeason:
    """Ask for a map in lower precision, with a bundle in which such a loss is recorded."""
    bundle = load_bundle(season.folder / "bundle")
    bundle.precision_loss = {} if loss is None else {"bfloat16": loss}
    bundle.save(season.folder / "checked")
    return season.configure(products__cropland__bundle="checked", products__cropland__precision="bfloat16")


@pytest.mark.slow
def test_a_map_in_checked_precision_records_device_and_the_batch_that_the_memory_held(
    embedded: SmallSeason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    season = checked(embedded.copy(tmp_path / "season"), loss=0.004).configure(run={"mode": "memory", "batch": 256})
    embed, lower = Presto.embed, []

    def in_little_memory(encoder: Presto, chips: Chips) -> torch.Tensor:
        if len(chips) > 64:
            raise torch.OutOfMemoryError("simulated")
        lower.append(torch.is_autocast_enabled("cpu"))
        return embed(encoder, chips)

    monkeypatch.setattr(Presto, "embed", in_little_memory)
    assert stook("map", season.config, "--year", season.year, "--quiet").status == 0
    assert lower and all(lower)
    edition = published_edition(season.configuration, season.year)
    records = list(edition.ledger.records())
    assert len(records) == 2
    assert {(record.device, record.products["cropland"].batch) for record in records} == {("cpu", 64)}
    assert edition.plan.products[0].encoding.precision == "bfloat16"
