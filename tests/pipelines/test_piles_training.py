"""Harvest piles are learnt from dated cells and pictures of metre resolution, end to end."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import torch
import yaml
from affine import Affine
from odc.geo.geobox import GeoBox

from stook.models.bundle import Bundle, Conditions, load_bundle
from stook.models.errors import InputError
from stook.models.heads import Calibration
from stook.models.measured import MeasuredClass
from stook.models.satmae import PictureSize, SatMAETemporal
from stook.models.tasks import ClassTask
from stook.pipelines import fine_tune
from stook.pipelines.fine_tune import FineTuned, run_fine_tuning
from stook.pipelines.progress import JsonReporter
from stook.pipelines.sections import load
from stook.pipelines.training_configuration import TrainConfiguration
from stook.transforms.encoding.encodings import PictureEncoding
from stook.transforms.ground.geodesy import to_lonlat
from stook.transforms.imagery.season import Window
from stook.transforms.labelled.seen_ground import on_seen_ground
from stook.transforms.simulation.catalogue import CatalogueWriter
from tests.pipelines.command import stook
from tests.pipelines.small_season import write_random_bundle

QUIET = JsonReporter()
CELL_M, PIXEL_M, CELL_PX = 250, 10, 25
SIDE = 16  # cells
CRS, LEFT, TOP = "EPSG:32637", 500_000, 1_505_000
DAYS = (date(2023, 11, 14), date(2023, 12, 3))
GEOBOX = GeoBox((SIDE * CELL_PX, SIDE * CELL_PX), Affine(PIXEL_M, 0, LEFT, 0, -PIXEL_M, TOP), CRS)


def piles(day: int) -> np.ndarray:
    """Whether a cell holds piles on a day, bool [row, column]; those of the first day are gone on the second."""
    return np.random.default_rng(day).random((SIDE, SIDE)) < 0.3


def picture(day: int) -> np.ndarray:
    """Brown ground with pale spots of 40 m in the cells that hold piles; uint8 [band, y, x]."""
    random = np.random.default_rng(100 + day)
    ground = random.normal(100, 8, (3, SIDE * CELL_PX, SIDE * CELL_PX))
    for row, column in zip(*np.nonzero(piles(day)), strict=True):
        for _ in range(3):
            top, left = random.integers(2, CELL_PX - 6, 2)
            y, x = row * CELL_PX + top, column * CELL_PX + left
            ground[:, y : y + 4, x : x + 4] += 90
    return np.clip(ground, 1, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated: pictures of two days, and what they show: a raster of the first day, a table of both."""
    folder = tmp_path_factory.mktemp("piles")
    writer = CatalogueWriter(folder / "archive", "Simulated pictures")
    tables = []
    for number, day in enumerate(DAYS):
        when = datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
        writer.add_scene("pictures", f"picture-{number}", when, {"rgb": picture(number)}, GEOBOX, 0)
        rows, columns = np.nonzero(np.ones((SIDE, SIDE)))
        lon, lat = to_lonlat(CRS).transform(LEFT + (columns + 0.5) * CELL_M, TOP - (rows + 0.5) * CELL_M)
        there = piles(number)[rows, columns].astype(int)
        tables.append(pd.DataFrame({"lon": lon, "lat": lat, "piles": there, "day": day}))
    writer.save()
    table = pd.concat(tables)
    south = table["lat"] < to_lonlat(CRS).transform(LEFT, TOP - (SIDE - 4) * CELL_M)[1]  # one row of blocks
    table[~south].to_csv(folder / "cells.csv", index=False)
    table[south].to_csv(folder / "elsewhere.csv", index=False)
    transform = Affine(CELL_M, 0, LEFT, 0, -CELL_M, TOP)
    profile = {"driver": "GTiff", "height": SIDE, "width": SIDE, "count": 1, "dtype": "uint8", "nodata": 255}
    with rasterio.open(folder / "first.tif", "w", **profile, crs=CRS, transform=transform) as file:
        file.write(piles(0).astype(np.uint8), 1)
    return folder


def labels(file: Path, **changes: Any) -> dict[str, Any]:
    common = {"year": 2023, "field": "piles", "positive": [1], "negative": [0], "licence": "simulated"}
    return {"file": str(file), "date": "day", **common} | changes


def training(place: Path, folder: Path, **changes: Any) -> TrainConfiguration:
    """A training on most of the place, judged in its south."""
    section = {
        "product": "harvest_piles",
        "bundle": str(folder / "trained"),
        "encoder": {"untrained": {"bands": ["red", "green", "blue"], "chip_px": 26, "resolution_m": 10, "width": 4}},
        "window": {"start": {"month": 11}, "months": 2},
        "labels": [labels(place / "cells.csv")],
        "held_out": [labels(place / "elsewhere.csv")],
        "fine_tuning": {"epochs": 8, "batch": 16, "learning_rate": 0.01},
        "block_m": 1000,
        "seed": 1,
    } | changes
    pictures = {"catalog": str(place / "archive/catalog.json"), "collection": "pictures", "profile": "rgb-8bit"}
    config = {"name": "simulated training", "imagery": {"rgb": pictures}, "training": section}
    (folder / "train.yaml").write_text(yaml.safe_dump(config))
    return load(folder / "train.yaml", TrainConfiguration)


@pytest.fixture(scope="module")
def trained(place: Path, tmp_path_factory: pytest.TempPathFactory) -> FineTuned:
    return run_fine_tuning(training(place, tmp_path_factory.mktemp("trained")), JsonReporter())


def test_encoder_and_head_learn_to_see_piles(trained: FineTuned) -> None:
    [found] = trained.held_out.values()
    assert isinstance(found, MeasuredClass)
    assert found.metrics["accuracy"].value > 0.9
    assert found.metrics["average_precision"].value > 0.9
    assert sum(one.count for one in found.bins) == found.cells


def test_the_bundle_remembers_its_cells_and_is_calibrated(trained: FineTuned) -> None:
    bundle = trained.bundle
    assert isinstance(bundle.task, ClassTask) and bundle.calibrated
    assert bundle.conditions.cell_m == CELL_M and bundle.conditions.stride_px == 1
    assert (bundle.conditions.start_month, bundle.conditions.months) == (11, 2)
    shares = bundle.task.shares(bundle.encoder.embed(trained.chips.check.chips)[:, :, 0, 0])
    assert shares.shape == (1, len(trained.chips.check.targets))


def test_the_card_tells_split_method_and_reliability(trained: FineTuned) -> None:
    card = trained.bundle.provenance.card
    for words in ("cells.csv", "Platt", "| train |", "dropped", "average precision", "| probability |", "simulated"):
        assert words in card
    assert "none that was trained on touches one that judges" in card


def test_no_training_chip_shares_ground_with_one_that_judges(trained: FineTuned) -> None:
    report = trained.chips.report
    assert report.gap_m >= 0
    assert report.sides[0].dropped > 0  # chips of 260 m on cells of 250 m reach into the next block
    used = {side.name: side.kept for side in report.sides}
    assert used["train"] == len(trained.chips.train.targets)
    assert used["held_out"] == len(*[place.targets for place in trained.chips.held_out.values()])


@pytest.mark.slow
def test_a_raster_of_one_day_is_read_on_that_day(place: Path, tmp_path: Path) -> None:
    config = training(place, tmp_path, labels=[labels(place / "first.tif", date=DAYS[0], field=None)], held_out=[])
    found = run_fine_tuning(config, JsonReporter())
    assert {DAYS[0].month} == set(found.chips.train.chips.months)
    kept = found.chips.report.sides
    whole = [(SIDE - edge) ** 2 for edge in (0, 2)]  # chips reach beyond the picture at its edge
    assert whole[1] <= sum(side.kept + side.dropped for side in kept) <= whole[0]
    assert "nothing is claimed" in found.bundle.provenance.card


@pytest.mark.usefixtures("any_ranking")
def test_the_command_trains_and_prints_how_good_it_is(place: Path, tmp_path: Path) -> None:
    training(place, tmp_path, head="mlp", balance="none", fine_tuning=QUICK)
    told = stook("train", tmp_path / "train.yaml", "--quiet")
    assert told.status == 0 and "elsewhere 2023: auc" in told.output
    bundle = load_bundle(tmp_path / "trained")
    assert bundle.task.described()["head"] == [32, 64, 1]


class StoppedError(Exception):
    """Stands for a kill."""


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_and_ends_the_same(
    place: Path, tmp_path: Path, trained: FineTuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopping(JsonReporter):
        def say(self, event: str, text: str, **details: Any) -> None:
            super().say(event, text, **details)
            if event == "epoch_done" and details["epoch"] == 2:
                raise StoppedError

    config = training(place, tmp_path)
    with pytest.raises(StoppedError):
        run_fine_tuning(config, Stopping())
    state = tmp_path / ".trained.training.pt"
    assert len(torch.load(state, weights_only=True)["fitted"]) == 3
    resumed = run_fine_tuning(config, JsonReporter())
    assert resumed.course.held_out == pytest.approx(trained.course.held_out, rel=1e-4)
    assert not state.exists()


@pytest.mark.slow
def test_a_frozen_encoder_keeps_its_weights_and_its_head_standardises(
    place: Path, tmp_path: Path, trained: FineTuned
) -> None:
    old = trained.bundle  # one that does not tell what ground it saw: this training's, in truth
    provenance = replace(old.provenance, seen=None)
    Bundle(old.encoder, old.task, old.conditions, provenance).save(tmp_path / "before")
    frozen = {"epochs": 8, "batch": 32, "freeze_encoder": True, "learning_rate": 0.03}
    config = training(place, tmp_path, encoder={"bundle": str(tmp_path / "before")}, fine_tuning=frozen)
    found = run_fine_tuning(config, JsonReporter()).bundle
    before = trained.bundle.encoder.state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in found.encoder.state_dict().items())
    assert isinstance(found.task, ClassTask) and found.task.head.scale.std() > 0
    assert "fine-tuned" not in found.provenance.encoder


@pytest.mark.slow
def test_the_user_s_own_split_is_respected(place: Path, tmp_path: Path) -> None:
    middle = LEFT + SIDE * CELL_M / 2
    box = shapely.box(LEFT - 500, TOP - 9000, middle, TOP + 500), shapely.box(middle, TOP - 9000, middle + 9000, TOP)
    file = tmp_path / "mine.geojson"
    gpd.GeoDataFrame({"split": ["train", "held_out"]}, geometry=list(box), crs=CRS).to_crs(4326).to_file(file)
    config = training(place, tmp_path, split_file=str(file), held_out=[])
    found = run_fine_tuning(config, JsonReporter())
    [judging] = found.chips.held_out.values()
    border = to_lonlat(CRS).transform(middle, TOP - 2000)[0]
    assert judging.chips.latlon[:, 1].min() > border - 1e-4
    for part in (found.chips.train, found.chips.check, found.chips.calibrate):
        assert part.chips.latlon[:, 1].max() < border + 1e-4
    assert "held out by mine.geojson" in found.held_out


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": [{"date": None}]}, "labels.date: .* harvest piles stand for some weeks"),
        ({"product": "cropland"}, "cropland"),
        ({"product": "building_coverage"}, "head: linear does not suit building_coverage"),
        ({"calibrate": True}, "calibrate: has no meaning for harvest_piles"),
        ({"stride_px": 10}, "stride_px: has no meaning for harvest_piles"),
        ({"cell_m": 60}, "training.cell_m: 60; allowed are multiples of 10 m"),
        (
            {"encoder": {"untrained": {"bands": ["red", "green", "blue"], "chip_px": 26}}},
            "encoder.untrained.resolution_m: None; harvest_piles are seen in pictures",
        ),
        (
            {"encoder": {"untrained": {"bands": ["red"], "chip_px": 26, "resolution_m": 10, "composite": "months"}}},
            "composite: months has no meaning with resolution_m: 10; pictures have none",
        ),
    ],
)
def test_what_does_not_suit_harvest_piles_is_refused_in_one_line(
    changes: dict[str, Any], reason: str, place: Path, tmp_path: Path
) -> None:
    if "labels" in changes:
        changes = {"labels": [labels(place / "cells.csv", **changes["labels"][0])]}
    with pytest.raises(InputError, match=reason) as refused:
        training(place, tmp_path, **changes)
    assert "\n" not in str(refused.value)


def test_an_encoder_of_composites_is_refused(place: Path, tmp_path: Path) -> None:
    write_random_bundle(tmp_path / "presto")
    config = training(place, tmp_path, encoder={"bundle": str(tmp_path / "presto")})
    with pytest.raises(InputError, match="training.encoder: .* sees composites, but harvest_piles is seen in pictures"):
        run_fine_tuning(config, JsonReporter())


def test_an_encoder_of_several_dates_is_refused(place: Path, tmp_path: Path) -> None:
    size = PictureSize(image_px=32, patch_px=16, width=400, depth=1, heads=4)
    encoder = SatMAETemporal(size).eval()
    write_random_bundle(tmp_path / "temporal", Conditions(11, 2, cell_m=CELL_M), encoder=encoder)
    config = training(place, tmp_path, encoder={"bundle": str(tmp_path / "temporal")})
    with pytest.raises(InputError, match="training.encoder: .* wants pictures of 3 dates at once; allowed are") as told:
        run_fine_tuning(config, JsonReporter())
    assert "\n" not in str(told.value)
    with pytest.raises(InputError, match="satmae-temporal: wants pictures of 3 dates at once"):
        PictureEncoding.of(encoder, Window(11, 0, 2), 2023, CELL_M)


QUICK = {"epochs": 1, "batch": 32, "learning_rate": 0.001}


@pytest.fixture
def any_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    """One epoch does not teach enough to be calibrated."""
    monkeypatch.setattr("stook.models.objectives.Calibration.fit", lambda logits, labels: Calibration())


def cells_of(folder: Path, place: Path, name: str, from_row: int, to_row: int) -> Path:
    """The place's labels between two rows of cells, counted from the north."""
    both = pd.concat([pd.read_csv(place / "cells.csv"), pd.read_csv(place / "elsewhere.csv")])
    north, south = (to_lonlat(CRS).transform(LEFT, TOP - row * CELL_M)[1] for row in (from_row, to_row))
    both[(both["lat"] < north) & (both["lat"] > south)].to_csv(folder / name, index=False)
    return folder / name


@pytest.mark.slow
@pytest.mark.usefixtures("any_ranking")
def test_what_the_first_of_two_trainings_saw_neither_checks_nor_calibrates_nor_judges_the_second(
    place: Path, tmp_path: Path
) -> None:
    near = labels(cells_of(tmp_path, place, "near.csv", 0, 4))
    common: dict[str, Any] = {"block_m": 500, "fine_tuning": QUICK, "held_out": []}
    first = run_fine_tuning(training(place, tmp_path, bundle=str(tmp_path / "first"), labels=[near], **common), QUIET)
    seen = first.bundle.provenance.seen
    assert seen is not None and seen.complete and len(seen.squares) >= 16
    assert on_seen_ground(first.chips.ground, seen).all()

    start = {"encoder": {"bundle": str(tmp_path / "first")}}
    second = run_fine_tuning(training(place, tmp_path, **start, **common), QUIET)
    reach = to_lonlat(CRS).transform(LEFT, TOP - 4 * CELL_M)[1] + 1e-6
    for side in (second.chips.check, second.chips.calibrate):
        assert len(side.targets) and side.chips.latlon[:, 0].max() < reach
    assert second.chips.train.chips.latlon[:, 0].max() > reach
    after = second.bundle.provenance
    assert after.seen is not None and seen.squares < after.seen.squares
    assert "cells 2023; before that, the bundle it started from: near 2023" in after.trained_on
    for words in (
        "that of a bundle that was trained on near 2023",
        f"trained with {len(seen.squares)} squares of 500 m",
    ):
        assert words in after.card

    again = training(
        place, tmp_path, labels=[labels(place / "elsewhere.csv")], **start, **common | {"held_out": [near]}
    )
    with pytest.raises(InputError, match="held_out: .*near.csv: .* that the encoder's bundle was trained with") as told:
        run_fine_tuning(again, QUIET)
    assert "\n" not in str(told.value)


@pytest.mark.slow
@pytest.mark.usefixtures("any_ranking")
def test_the_card_says_where_nobody_knows_what_the_first_training_saw(
    place: Path, tmp_path: Path, trained: FineTuned
) -> None:
    old = trained.bundle
    provenance = replace(old.provenance, seen=None)
    Bundle(old.encoder, old.task, old.conditions, provenance).save(tmp_path / "old")
    config = training(place, tmp_path, encoder={"bundle": str(tmp_path / "old")}, fine_tuning=QUICK)
    found = run_fine_tuning(config, QUIET).bundle.provenance
    assert "What ground its encoder was trained with is not known" in found.card
    assert found.seen is not None and not found.seen.complete


def test_chips_that_do_not_fit_into_memory_are_refused_before_imagery_is_read(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stook.pipelines.chip_memory.available_bytes", lambda: 4_000_000)
    monkeypatch.setattr("stook.pipelines.chips.picture_chips", None)
    config = training(place, tmp_path)
    with pytest.raises(InputError, match="training.most_pixels: 50000: the chips of 512 labels take 0.0 GB") as told:
        run_fine_tuning(config, QUIET)
    # Room for 394 chips of 8112 bytes: as many of the first place twice, and the 128 of the one that is held out.
    assert "133 labels per place would fit" in str(told.value) and "\n" not in str(told.value)


@pytest.mark.slow
def test_a_training_that_diverges_writes_no_bundle(place: Path, tmp_path: Path) -> None:
    config = training(place, tmp_path, fine_tuning={"epochs": 2, "batch": 16, "learning_rate": 1e30})
    with pytest.raises(InputError, match="training.fine_tuning.learning_rate: 1e.30: .* choose a lower one"):
        run_fine_tuning(config, QUIET)
    assert not (tmp_path / "trained").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("any_ranking")
def test_a_damaged_state_is_told_and_the_training_starts_anew(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".trained.training.pt").write_bytes(b"half of a state")
    run_fine_tuning(training(place, tmp_path, fine_tuning=QUICK), QUIET)
    assert "; the training starts anew" in capsys.readouterr().out
    assert (tmp_path / "trained").exists()


def test_days_outside_the_window_are_refused(place: Path, tmp_path: Path) -> None:
    config = training(place, tmp_path, window={"start": {"month": 11}, "months": 1})
    with pytest.raises(
        InputError, match="labels.date: 2023-12-03 lies outside the window, 2023-11-01 up to 2023-12-01"
    ):
        run_fine_tuning(config, JsonReporter())


def test_held_out_places_of_one_name_are_refused(place: Path, tmp_path: Path) -> None:
    config = training(place, tmp_path, held_out=[labels(place / "elsewhere.csv")] * 2)
    with pytest.raises(InputError, match="held_out: two places are called elsewhere 2023; rename a file"):
        run_fine_tuning(config, JsonReporter())


def test_labels_of_one_class_are_refused(place: Path, tmp_path: Path) -> None:
    table = pd.read_csv(place / "cells.csv")
    table[table["piles"] == 0].to_csv(tmp_path / "none.csv", index=False)
    config = training(place, tmp_path, labels=[labels(tmp_path / "none.csv")])
    with pytest.raises(InputError, match="of .* cells to train, 0 are of the class"):
        run_fine_tuning(config, JsonReporter())


@pytest.mark.slow
def test_the_light_of_pictures_varies_in_training(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def watched(*args: Any) -> Any:
        seen.append(args[5].light)
        raise StoppedError

    monkeypatch.setattr(fine_tune, "fine_tune", watched)
    with pytest.raises(StoppedError):
        run_fine_tuning(training(place, tmp_path), JsonReporter())
    assert seen == [fine_tune.LIGHT_SPREAD]
