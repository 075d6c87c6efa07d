"""``stook train`` for products whose encoder and head are trained together: from labelled ground to a bundle."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stook.models.bundle import Bundle, Conditions, Provenance, load_bundle
from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.families import fingerprint
from stook.models.fine_tuning import Course, FineTuning, fine_tune, predict
from stook.models.measured import Measured, MeasuredQuantiles
from stook.models.objectives import ClassObjective, Objective, QuantileObjective
from stook.models.pooled import Pooled
from stook.models.seen import SeenGround
from stook.models.tasks import ClassTask, QuantileTask
from stook.pipelines.chips import DividedChips, divided_chips
from stook.pipelines.chips_card import chips_card
from stook.pipelines.labelled import layout_of, name_of
from stook.pipelines.origin import Origin, origin_of
from stook.pipelines.progress import Reporter
from stook.pipelines.training_configuration import TrainConfiguration, TrainingSection
from stook.transforms.encoding.encodings import require_one_date
from stook.transforms.labelled.seen_ground import touched

POOLED_PX = 10
LIGHT_SPREAD = (
    0.1  # of pictures, see ``stook.models.augmentation.relit``; composites are calibrated and stay as they are
)


@dataclass(frozen=True)
class FineTuned:
    """What a training came to.

    Attributes:
        bundle: As written.
        course: Losses by epoch.
        held_out: Held-out place -> how good it is there.
        chips: What it looked at, and how that was divided.
    """

    bundle: Bundle
    course: Course
    held_out: dict[str, Measured]
    chips: DividedChips


def run_fine_tuning(config: TrainConfiguration, reporter: Reporter) -> FineTuned:
    """Train what ``config`` describes and write its bundle.

    Raises:
        InputError: If labels or imagery are unusable, or the encoder does not suit the product.
        UnreachableError: If an archive does not answer.
    """
    training = config.training
    torch.manual_seed(training.seed)
    origin = origin_of(training.encoder)
    require_suited(training, origin)
    if training.product == "building_coverage":
        origin = replace(origin, encoder=of_cells(origin.encoder, training.stride_px))
    chips = divided_chips(config, origin, reporter)
    objective = objective_of(training, chips)
    for side, labelled in {"check": chips.check, "calibrate": chips.calibrate, **chips.held_out}.items():
        objective.require(labelled.targets, side)
    light = LIGHT_SPREAD if origin.encoder.specification.of_pictures else 0.0
    settings = training.fine_tuning.settings(training.seed, light)
    resume = resume_file(Path(training.bundle))
    course, head = trained(origin.encoder, objective, chips, settings, resume, reporter)
    task, held_out = judged(origin.encoder, head, objective, chips, settings.batch)
    bundle = written(config, origin, task, chips, course, held_out)
    resume.unlink(missing_ok=True)
    text = f"wrote {training.bundle} ({bundle.hash[:12]})"
    reporter.say("bundle_written", text, bundle=training.bundle, hash=bundle.hash)
    return FineTuned(bundle, course, held_out, chips)


def require_suited(training: TrainingSection, origin: Origin) -> None:
    """Raise InputError unless the encoder sees what the product is seen in; pictures, with one vector per chip."""
    encoder, pictures = origin.encoder, training.product == "harvest_piles"
    if encoder.specification.of_pictures != pictures:
        seen, wanted = ("composites", "pictures") if pictures else ("pictures", "composites")
        raise InputError(f"training.encoder: {origin.name} sees {seen}, but {training.product} is seen in {wanted}")
    if not pictures:
        return
    require_one_date(encoder, f"training.encoder: {origin.name}")
    if encoder.output.patch_px != encoder.specification.chip_px:
        raise InputError(
            f"training.encoder: {origin.name} is for patches; {training.product} needs one vector per chip, of an "
            "encoder such as untrained, geossl, satmae-rgb"
        )


def of_cells(encoder: Encoder, cell_px: int | None) -> Encoder:
    """The encoder if it has one vector per chip of several pixels; else its vectors pooled over cells, 100 m wide."""
    specification = encoder.specification
    if encoder.output.patch_px == specification.chip_px > 1:
        return encoder
    return Pooled.over(encoder, cell_px or POOLED_PX)


def objective_of(training: TrainingSection, chips: DividedChips) -> Objective:
    """What is trained for."""
    if training.head == "quantiles":
        return QuantileObjective(tuple(training.quantiles))
    pretrained = training.encoder.untrained is None
    return ClassObjective.of(chips.train.targets, training.balancing, training.head == "mlp", pretrained)


def resume_file(folder: Path) -> Path:
    """Where a training towards a bundle keeps its state."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder.with_name(f".{folder.name}.training.pt")


def trained(
    encoder: Encoder, objective: Objective, chips: DividedChips, settings: FineTuning, resume: Path, reporter: Reporter
) -> tuple[Course, nn.Module]:
    """Train the encoder in place, and a new head."""
    torch.manual_seed(settings.seed)
    head = objective.new_head(encoder, chips.train, settings.batch)

    def told(epoch: int, fitted: float, held_out: float) -> None:
        text = f"epoch {epoch + 1}: loss {fitted:.4f}, on held-out blocks {held_out:.4f}"
        reporter.say("epoch_done", text, epoch=epoch, fitted=fitted, held_out=held_out)

    identity = identity_of(encoder, objective, settings, chips)

    def starts_anew(reason: str) -> None:
        reporter.say("training_starts_anew", f"{reason}; the training starts anew", reason=reason)

    course = fine_tune(
        encoder, head, chips.train, chips.check, objective.loss, settings, resume, identity, told, starts_anew
    )
    return course, head


def identity_of(encoder: Encoder, objective: Objective, settings: FineTuning, chips: DividedChips) -> str:
    """Hash of everything that a training starts from."""
    content = hashlib.sha256(f"{fingerprint(encoder)} {objective} {settings}".encode())
    for part in (chips.train, chips.check):
        for array in (part.chips.values, part.targets):
            content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()


def judged(
    encoder: Encoder, head: nn.Module, objective: Objective, chips: DividedChips, batch: int
) -> tuple[ClassTask | QuantileTask, dict[str, Measured]]:
    """The head calibrated, and how good it is at each held-out place."""
    task = objective.task(head, predict(encoder, head, chips.calibrate, batch), chips.calibrate.targets)
    held_out: dict[str, Measured] = {}
    for name, place in chips.held_out.items():
        shares = task.shares(predict(encoder, nn.Identity(), place, batch)).numpy()
        held_out[name] = objective.measured(shares, place)
    if isinstance(task, QuantileTask):
        scores = {name: found.r2 for name, found in held_out.items() if isinstance(found, MeasuredQuantiles)}
        task = replace(task, measured={f"{name}: r2": score for name, score in scores.items() if np.isfinite(score)})
    return task, held_out


def written(
    config: TrainConfiguration,
    origin: Origin,
    task: ClassTask | QuantileTask,
    chips: DividedChips,
    course: Course,
    held_out: dict[str, Measured],
) -> Bundle:
    """Write the bundle and read it again."""
    training, specification = config.training, origin.encoder.specification
    licences = "; ".join(
        dict.fromkeys([*filter(None, [origin.licence]), *(section.licence for section in training.labels)])
    )
    frozen = training.fine_tuning.freeze_encoder
    kept = training.encoder.untrained is not None or frozen
    name = origin.name if kept else f"{origin.name}, fine-tuned"
    card = chips_card(config, name, origin, licences, chips, course, task, held_out)
    pictures = specification.of_pictures
    conditions = Conditions(
        start_month=training.window.start.month,
        months=training.window.months,
        stride_px=1 if pictures else layout_of(training, origin.encoder).stride_px,
        absent_bands=tuple(sorted(chips.absent & set(specification.band_names))),
        cloud_dilation_px=0 if pictures else config.composite.cloud_dilation_px,
        cell_m=training.cell_m if pictures else None,
    )
    trained_on = origin.trained_on_too("; ".join(name_of(section) for section in training.labels))
    before = origin.seen or SeenGround(complete=False)
    seen = origin.seen if frozen else before.with_more(touched(chips.ground))
    provenance = Provenance(training.product, name, origin.sha256, licences, trained_on, card, seen)
    Bundle(origin.encoder.cpu(), task, conditions, provenance).save(Path(training.bundle))
    return load_bundle(Path(training.bundle))
