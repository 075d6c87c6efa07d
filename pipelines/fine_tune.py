"""``stook train`` for covered shares: an encoder and its quantiles, from footprints to a bundle."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.bundle import Bundle, Conditions, Provenance, load_bundle
from models.encoder import Encoder
from models.errors import InputError
from models.families import fingerprint
from models.fine_tuning import Course, FineTuning, LabelledChips, fine_tune, predict
from models.quantiles import Conformal, QuantileHead, coverage, pinball, r2
from models.tasks import QuantileTask
from pipelines.labelled import layout_of, name_of, require_elsewhere
from pipelines.progress import Reporter
from pipelines.train import origin_of
from pipelines.training_configuration import LabelsSection, TrainConfiguration
from transforms.features import SeasonReader, SeasonSettings, labelled_chips, training_grid
from transforms.footprints import read_footprints
from transforms.freeze import require_bands

FEWEST_BLOCKS = 6


@dataclass(frozen=True)
class Measured:
    """How good quantiles are at cells that were never trained on.

    Attributes:
        cells: How many.
        r2: Of the median.
        covered: Share of cells within the outermost interval.
        promised: What that share should be.
        width: Mean width of the interval, 0…1.
    """

    cells: int
    r2: float
    covered: float
    promised: float
    width: float

    @classmethod
    def of(cls, predicted: np.ndarray, target: np.ndarray, quantiles: tuple[float, ...]) -> "Measured":
        """From quantiles [cell, quantile] and true shares [cell]."""
        return cls(
            cells=len(target),
            r2=r2(predicted[:, quantiles.index(0.5)], target),
            covered=coverage(predicted, target),
            promised=quantiles[-1] - quantiles[0],
            width=float(np.mean(predicted[:, -1] - predicted[:, 0])),
        )

    def __str__(self) -> str:
        return (
            f"R² {self.r2:.3f}; {self.covered:.1%} of {self.cells} cells within the interval that promises "
            f"{self.promised:.0%}, {self.width:.3f} wide on average"
        )


@dataclass(frozen=True)
class FineTuned:
    """What a training came to.

    Attributes:
        bundle: As written.
        course: Losses by epoch.
        held_out: Held-out place -> how good it is there.
    """

    bundle: Bundle
    course: Course
    held_out: dict[str, Measured]


def run_fine_tuning(config: TrainConfiguration, reporter: Reporter) -> FineTuned:
    """Train what ``config`` describes and write its bundle.

    Raises:
        InputError: If labels or imagery are unusable.
        UnreachableError: If an archive does not answer.
    """
    training = config.training
    quantiles, seed = tuple(training.quantiles), training.seed
    torch.manual_seed(seed)
    origin = origin_of(training.encoder)
    encoder = origin.encoder
    if layout_of(training, encoder).blended or encoder.specification.masks_missing:
        raise InputError(
            f"training.encoder: {origin.name} is for single pixels or patches; head quantiles needs one vector per "
            "chip, of an encoder such as untrained, satmae-group or softcon"
        )
    parts = [chips_of(config, section, encoder, reporter) for section in training.labels]
    labelled, absent = joined([part for part, _ in parts]), frozenset.intersection(*(lacking for _, lacking in parts))
    # What could be wrong with held-out places is found before hours of training, not after.
    judged = held_out_chips(config, encoder, labelled, reporter)
    fit, check, calibrate = split(
        labelled, training.fine_tuning.checked_share, training.fine_tuning.calibrated_share, seed
    )
    torch.manual_seed(seed)
    head = QuantileHead(encoder.output.width, quantiles)

    def loss(predicted: Tensor, target: Tensor) -> Tensor:
        return pinball(predicted, target, quantiles)

    def told(epoch: int, fitted: float, held_out: float) -> None:
        text = f"epoch {epoch + 1}: loss {fitted:.4f}, on held-out blocks {held_out:.4f}"
        reporter.say("epoch_done", text, epoch=epoch, fitted=fitted, held_out=held_out)

    folder = Path(training.bundle)
    settings = training.fine_tuning.settings(seed)
    resume = folder.with_name(f".{folder.name}.training.pt")
    resume.parent.mkdir(parents=True, exist_ok=True)
    identity = identity_of(encoder, quantiles, settings, fit, check)
    course = fine_tune(encoder, head, fit, check, loss, settings, resume, identity, told)
    raw = predict(encoder, head, calibrate, settings.batch).numpy()
    conformal = Conformal.fit(raw, calibrate.targets, quantiles)
    held_out = {}
    for name, place in judged.items():
        answers = conformal.apply(predict(encoder, head, place, settings.batch)).numpy()
        held_out[name] = Measured.of(answers, place.targets, quantiles)
    task = QuantileTask(
        head.eval(), conformal, {f"{name}: r2": found.r2 for name, found in held_out.items() if np.isfinite(found.r2)}
    )
    licences = "; ".join(
        dict.fromkeys([*filter(None, [origin.licence]), *(section.licence for section in training.labels)])
    )
    card = card_of(config, origin.name, licences, (fit, check, calibrate), course, held_out)
    window = training.window.window()
    conditions = Conditions(
        start_month=window.start_month,
        months=window.months,
        stride_px=layout_of(training, encoder).stride_px,
        absent_bands=tuple(sorted(absent & set(encoder.specification.band_names))),
        cloud_dilation_px=config.composite.cloud_dilation_px,
    )
    trained_on = "; ".join(name_of(section) for section in training.labels)
    provenance = Provenance(training.product, origin.name, origin.sha256, licences, trained_on, card)
    Bundle(encoder.cpu(), task, conditions, provenance).save(folder)
    resume.unlink(missing_ok=True)
    bundle = load_bundle(folder)
    reporter.say("bundle_written", f"wrote {folder} ({bundle.hash[:12]})", bundle=str(folder), hash=bundle.hash)
    return FineTuned(bundle, course, held_out)


def held_out_chips(
    config: TrainConfiguration, encoder: Encoder, labelled: LabelledChips, reporter: Reporter
) -> dict[str, LabelledChips]:
    """Held-out place -> its labelled chips.

    Raises:
        InputError: If two places have the same name, or one lies in blocks that are trained on.
    """
    found: dict[str, LabelledChips] = {}
    for section in config.training.held_out:
        place, _ = chips_of(config, section, encoder, reporter)
        require_elsewhere(section, place.blocks, labelled.blocks, config.training.block_m)
        if name_of(section) in found:
            raise InputError(f"training.held_out: two places are called {name_of(section)}; rename a file")
        found[name_of(section)] = place
    return found


def identity_of(
    encoder: Encoder, quantiles: tuple[float, ...], settings: FineTuning, fit: LabelledChips, check: LabelledChips
) -> str:
    """Hash of everything that a training starts from."""
    content = hashlib.sha256(f"{fingerprint(encoder)} {quantiles} {settings}".encode())
    for part in (fit, check):
        for array in (part.chips.values, part.targets, part.blocks):
            content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()


def chips_of(
    config: TrainConfiguration, section: LabelsSection, encoder: Encoder, reporter: Reporter
) -> tuple[LabelledChips, frozenset[str]]:
    """The labelled chips of a place, and the bands that its archives lack."""
    training, specification = config.training, encoder.specification
    layout = layout_of(training, encoder)
    grid = training_grid(layout.cell_px)
    footprints = read_footprints(Path(section.file), Path(str(section.area)), layout.cell_px * grid.resolution_m)
    labels = footprints.thinned(training.most_pixels, training.seed)
    window = training.window.window()
    settings = SeasonSettings(
        sources=config.imagery.sources(),
        periods=window.periods(section.year, specification.period, specification.most_periods),
        cloud_dilation_px=config.composite.cloud_dilation_px,
        readers=config.run.readers,
    )
    reader = SeasonReader(specification, settings, labels.bounds, grid, layout.halo_px)
    require_bands(specification, encoder.family, reader.absent)
    found = labelled_chips(labels, reader, layout, specification, training.block_m)
    text = f"{name_of(section)}: {len(found.targets)} of {len(labels)} cells, {found.targets.mean():.1%} covered"
    reporter.say("place_read", text, cells=len(found.targets), unseen=len(labels) - len(found.targets))
    return found, reader.absent


def joined(parts: list[LabelledChips]) -> LabelledChips:
    """The chips of several places as one."""
    chips = type(parts[0].chips)(
        np.concatenate([part.chips.values for part in parts]),
        parts[0].chips.months,
        parts[0].chips.years,
        np.concatenate([part.chips.latlon for part in parts]),
    )
    targets, blocks = (np.concatenate([getattr(part, name) for part in parts]) for name in ("targets", "blocks"))
    return LabelledChips(chips, targets, blocks)


def split(labelled: LabelledChips, checked: float, calibrated: float, seed: int) -> tuple[LabelledChips, ...]:
    """Whole blocks for fitting, for stopping early, and for calibrating intervals, in this order.

    Raises:
        InputError: If there are too few blocks to divide.
    """
    blocks = np.unique(labelled.blocks)
    if len(blocks) < FEWEST_BLOCKS:
        raise InputError(
            f"training.block_m: the labels lie in {len(blocks)} blocks, at least {FEWEST_BLOCKS} are needed to fit, "
            "check and calibrate apart; choose smaller blocks or more places"
        )
    np.random.default_rng(seed).shuffle(blocks)
    checking, calibrating = (max(1, round(share * len(blocks))) for share in (checked, calibrated))
    groups = blocks[checking + calibrating :], blocks[:checking], blocks[checking : checking + calibrating]
    if len(groups[0]) < 2:
        raise InputError("training.fine_tuning: checked_share and calibrated_share leave no blocks to fit")
    return tuple(labelled.take(np.isin(labelled.blocks, group)) for group in groups)


def card_of(
    config: TrainConfiguration,
    origin: str,
    licences: str,
    parts: tuple[LabelledChips, ...],
    course: Course,
    held_out: dict[str, Measured],
) -> str:
    """The bundle's card, Markdown."""
    training = config.training
    fit, check, calibrate = (len(part.targets) for part in parts)
    lines = [
        f"# {config.name}: {training.product}",
        "",
        f"Written by `stook train`. Encoder: {origin}. Licences: {licences}.",
        "",
        "## Trained on",
        "",
        "| footprints | year | licence |",
        "|---|---|---|",
        *(f"| {Path(section.file).name} | {section.year} | {section.licence} |" for section in training.labels),
        "",
        f"{fit} cells fitted, {check} to stop early (epoch {course.best_epoch + 1} of {len(course.held_out)} was "
        f"best), {calibrate} to calibrate intervals (conformalised quantile regression); whole blocks of "
        f"{training.block_m:g} m. Quantiles {', '.join(map(str, training.quantiles))}, seed {training.seed}.",
        "",
        "## Accuracy at places that were held out",
        "",
    ]
    lines += [f"- {name}: {found}" for name, found in held_out.items()] or [
        "No place was held out: nothing is claimed."
    ]
    return "\n".join(lines) + "\n"
