"""Labelled chips of a training's places, divided into sides that share no ground."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.fine_tuning import LabelledChips
from stook.pipelines.chip_memory import require_room
from stook.pipelines.labelled import layout_of, name_of, require_elsewhere, require_never_seen, require_own_names
from stook.pipelines.origin import Origin
from stook.pipelines.progress import Reporter
from stook.pipelines.training_configuration import LabelsSection, TrainConfiguration
from stook.transforms.ground.squares import Squares
from stook.transforms.imagery.freeze import require_bands
from stook.transforms.imagery.season import Period
from stook.transforms.labelled.chips_of_cells import PlacedChips, composite_chips, picture_chips
from stook.transforms.labelled.features import SeasonReader, SeasonSettings, training_grid
from stook.transforms.labelled.footprints import read_footprints
from stook.transforms.labelled.label_files import read_cell_labels
from stook.transforms.labelled.labels import Classes, LabelledPixels
from stook.transforms.labelled.splits import DEALT, SplitReport, SplitSettings, divided


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
        ground: Of all chips that the encoder learns from: fitted, checked or calibrated on.
    """

    train: LabelledChips
    check: LabelledChips
    calibrate: LabelledChips
    held_out: dict[str, LabelledChips]
    report: SplitReport
    absent: frozenset[str]
    ground: Squares


def divided_chips(config: TrainConfiguration, origin: Origin, reporter: Reporter) -> DividedChips:
    """Read the labelled chips of every place, and divide those that are trained on.

    Memory: all chips once, those of one place twice while they are divided, 4 bytes a value.

    Raises:
        InputError: If labels or imagery are unusable, the chips do not fit into memory, two held-out places have one
            name, lie in blocks that are trained on or where the encoder was trained before, or the ground cannot be
            divided.
        UnreachableError: If an archive does not answer.
    """
    training, encoder = config.training, origin.encoder
    require_own_names(training.held_out)
    cells = [labelled_cells(config, section, encoder) for section in (*training.labels, *training.held_out)]
    counts, places = [len(each) for each in cells], len(training.labels)
    specification = encoder.specification
    read = periods_of(config, training.labels[0], encoder)
    periods = 1 if specification.period == "month-mean" else len(read)  # whose mean the chip is
    require_room(counts[:places], counts[places:], specification, periods, training.most_pixels)
    parts = [
        chips_of(config, section, labels, encoder, reporter)
        for section, labels in zip(training.labels, cells[:places], strict=True)
    ]
    blocks = np.concatenate([part.labelled.blocks for part in parts])
    judged: dict[str, PlacedChips] = {}
    # What could be wrong with held-out places is found before hours of training, not after.
    for section, labels in zip(training.held_out, cells[places:], strict=True):
        place = chips_of(config, section, labels, encoder, reporter)
        require_elsewhere(section, place.labelled.blocks, blocks, training.block_m)
        require_never_seen(section, place.squares, origin.seen)
        judged[name_of(section)] = place
    settings = SplitSettings(
        grouping=training.split,
        checked=training.fine_tuning.checked_share,
        calibrated=training.fine_tuning.calibrated_share,
        seed=training.seed,
        drawn=Path(training.split_file) if training.split_file else None,
    )
    squares = Squares.joined([part.squares for part in parts])
    lonlat = np.concatenate([part.labelled.chips.latlon[:, ::-1] for part in parts])
    around = [place.squares for place in judged.values()]
    split = divided(squares, blocks, lonlat, settings, around, origin.seen)
    reporter.say("chips_divided", str(split.report), **split.report.details())
    absent = frozenset.intersection(*(part.absent for part in parts))
    sides = by_side(parts, split.sides)
    held_out = {name: place.labelled for name, place in judged.items()}
    if settings.drawn is not None and "held_out" in sides:
        held_out[f"held out by {settings.drawn.name}"] = sides["held_out"]
    ground = squares.take(np.isin(split.sides, DEALT))
    return DividedChips(sides["train"], sides["check"], sides["calibrate"], held_out, split.report, absent, ground)


def by_side(parts: list[PlacedChips], sides: np.ndarray) -> dict[str, LabelledChips]:
    """The chips of each side that has some, by str [chip] over all parts; ``parts`` is emptied, to free its memory."""
    chosen = np.split(sides, np.cumsum([len(part.labelled.targets) for part in parts])[:-1])
    names = [name for name in np.unique(sides) if name]
    first = parts[0].labelled.empty
    filled = {name: first(int((sides == name).sum())) for name in names}
    count = dict.fromkeys(names, 0)
    for here in chosen:
        labelled = parts.pop(0).labelled
        for name in names:
            which = np.flatnonzero(here == name)
            filled[name].fill(slice(count[name], count[name] + len(which)), labelled, which)
            count[name] += len(which)
    return filled


def labelled_cells(config: TrainConfiguration, section: LabelsSection, encoder: Encoder) -> LabelledPixels:
    """The labelled cells of a place, no more than the configuration allows."""
    training = config.training
    if encoder.specification.of_pictures:
        if section.date is None:
            raise InputError(f"training.labels.date: is missing for {section.file}")
        classes = Classes(tuple(section.positive), tuple(section.negative))
        labels = read_cell_labels(Path(section.file), classes, section.date, training.cell_m, section.field)
    else:
        layout = layout_of(training, encoder)
        cell_m = layout.cell_px * training_grid(layout.cell_px).resolution_m
        labels = read_footprints(Path(section.file), Path(str(section.area)), cell_m)
    return labels.thinned(training.most_pixels, training.seed)


def periods_of(config: TrainConfiguration, section: LabelsSection, encoder: Encoder) -> tuple[Period, ...]:
    """What is read around the labels of a place."""
    specification, window = encoder.specification, config.training.window.window()
    if specification.of_pictures:
        return window.periods(section.year, "part", 1)
    return window.periods(section.year, specification.period, specification.most_periods)


def chips_of(
    config: TrainConfiguration, section: LabelsSection, labels: LabelledPixels, encoder: Encoder, reporter: Reporter
) -> PlacedChips:
    """The chips of the labelled cells of a place."""
    read = _picture_chips if encoder.specification.of_pictures else _composite_chips
    found = read(config, section, labels, encoder)
    targets = found.labelled.targets
    what = "of the class" if encoder.specification.of_pictures else "covered"
    text = f"{name_of(section)}: {len(targets)} of {len(labels)} cells have imagery, {targets.mean():.1%} {what}"
    reporter.say("place_read", text, cells=len(targets), unseen=len(labels) - len(targets))
    return found


def _picture_chips(
    config: TrainConfiguration, section: LabelsSection, labels: LabelledPixels, encoder: Encoder
) -> PlacedChips:
    [window] = periods_of(config, section, encoder)
    source = config.imagery.sources()["rgb"]
    block_m, backoff = config.training.block_m, config.run.backoff()
    return picture_chips(labels, source, window, encoder.specification, block_m, backoff)


def _composite_chips(
    config: TrainConfiguration, section: LabelsSection, labels: LabelledPixels, encoder: Encoder
) -> PlacedChips:
    training, specification = config.training, encoder.specification
    layout = layout_of(training, encoder)
    settings = SeasonSettings(
        sources=config.imagery.sources(),
        periods=periods_of(config, section, encoder),
        cloud_dilation_px=config.composite.cloud_dilation_px,
        readers=config.run.readers,
        backoff=config.run.backoff(),
    )
    reader = SeasonReader(specification, settings, labels.bounds, training_grid(layout.cell_px), layout.halo_px)
    require_bands(specification, encoder.family, reader.absent)
    return composite_chips(labels, reader, layout, specification, training.minimum_observations, training.block_m)
