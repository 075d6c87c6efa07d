"""Labelled chips of a training's places, divided into sides that share no ground."""

from dataclasses import dataclass
from pathlib import Path

from models.encoder import Encoder
from models.errors import InputError
from models.fine_tuning import LabelledChips
from pipelines.labelled import layout_of, name_of, require_elsewhere, require_own_names
from pipelines.progress import Reporter
from pipelines.training_configuration import LabelsSection, TrainConfiguration
from transforms.features import SeasonReader, SeasonSettings, training_grid
from transforms.footprints import read_footprints
from transforms.freeze import require_bands
from transforms.label_files import read_cell_labels
from transforms.labelled_chips import PlacedChips, composite_chips, picture_chips
from transforms.labels import Classes
from transforms.splits import SplitReport, SplitSettings, divided
from transforms.squares import Squares


@dataclass(frozen=True)
class DividedChips:
    """Everything that a training looks at.

    Attributes:
        train: What is fitted.
        check: What says when to stop.
        calibrate: What intervals or probabilities are calibrated on.
        held_out: Place -> what it is only judged on.
        report: How it was divided.
        absent: Bands of the encoder that no archive had.
    """

    train: LabelledChips
    check: LabelledChips
    calibrate: LabelledChips
    held_out: dict[str, LabelledChips]
    report: SplitReport
    absent: frozenset[str]


def divided_chips(config: TrainConfiguration, encoder: Encoder, reporter: Reporter) -> DividedChips:
    """Read the labelled chips of every place, and divide those that are trained on.

    Memory: all chips twice, 4 bytes a value.

    Raises:
        InputError: If labels or imagery are unusable, two held-out places have one name or lie in blocks that are
            trained on, or the ground cannot be divided.
        UnreachableError: If an archive does not answer.
    """
    training = config.training
    require_own_names(training.held_out)
    parts = [chips_of(config, section, encoder, reporter) for section in training.labels]
    labelled = LabelledChips.joined([part.labelled for part in parts])
    judged: dict[str, PlacedChips] = {}
    # What could be wrong with held-out places is found before hours of training, not after.
    for section in training.held_out:
        place = chips_of(config, section, encoder, reporter)
        require_elsewhere(section, place.labelled.blocks, labelled.blocks, training.block_m)
        judged[name_of(section)] = place
    settings = SplitSettings(
        grouping=training.split,
        checked=training.fine_tuning.checked_share,
        calibrated=training.fine_tuning.calibrated_share,
        seed=training.seed,
        drawn=Path(training.split_file) if training.split_file else None,
    )
    squares = Squares.joined([part.squares for part in parts])
    split = divided(
        squares,
        labelled.blocks,
        labelled.chips.latlon[:, ::-1],
        settings,
        [place.squares for place in judged.values()],
    )
    held_out = {name: place.labelled for name, place in judged.items()}
    if settings.drawn is not None and (split.sides == "held_out").any():
        held_out[f"held out by {settings.drawn.name}"] = labelled.take(split.sides == "held_out")
    reporter.say("chips_divided", str(split.report), **split.report.details())
    train, check, calibrate = (labelled.take(split.sides == side) for side in ("train", "check", "calibrate"))
    absent = frozenset.intersection(*(part.absent for part in parts))
    return DividedChips(train, check, calibrate, held_out, split.report, absent)


def chips_of(config: TrainConfiguration, section: LabelsSection, encoder: Encoder, reporter: Reporter) -> PlacedChips:
    """The labelled chips of a place."""
    read = _picture_chips if encoder.specification.of_pictures else _composite_chips
    found, labelled = read(config, section, encoder)
    targets = found.labelled.targets
    what = "of the class" if encoder.specification.of_pictures else "covered"
    text = f"{name_of(section)}: {len(targets)} of {labelled} cells have imagery, {targets.mean():.1%} {what}"
    reporter.say("place_read", text, cells=len(targets), unseen=labelled - len(targets))
    return found


def _picture_chips(config: TrainConfiguration, section: LabelsSection, encoder: Encoder) -> tuple[PlacedChips, int]:
    """Chips of pictures, and how many cells have a label."""
    training = config.training
    if section.date is None:
        raise InputError(f"training.labels.date: is missing for {section.file}")
    classes = Classes(tuple(section.positive), tuple(section.negative))
    labels = read_cell_labels(Path(section.file), classes, section.date, training.cell_m, section.field)
    labels = labels.thinned(training.most_pixels, training.seed)
    [window] = training.window.window().periods(section.year, "part", 1)
    source = config.imagery.sources()["rgb"]
    return picture_chips(labels, source, window, encoder.specification, training.block_m), len(labels)


def _composite_chips(config: TrainConfiguration, section: LabelsSection, encoder: Encoder) -> tuple[PlacedChips, int]:
    """Chips of composites, and how many cells have a label."""
    training, specification = config.training, encoder.specification
    layout = layout_of(training, encoder)
    grid = training_grid(layout.cell_px)
    footprints = read_footprints(Path(section.file), Path(str(section.area)), layout.cell_px * grid.resolution_m)
    labels = footprints.thinned(training.most_pixels, training.seed)
    settings = SeasonSettings(
        sources=config.imagery.sources(),
        periods=training.window.window().periods(section.year, specification.period, specification.most_periods),
        cloud_dilation_px=config.composite.cloud_dilation_px,
        readers=config.run.readers,
    )
    reader = SeasonReader(specification, settings, labels.bounds, grid, layout.halo_px)
    require_bands(specification, encoder.family, reader.absent)
    return composite_chips(labels, reader, layout, specification, training.block_m), len(labels)
