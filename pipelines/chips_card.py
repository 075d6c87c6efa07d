"""The card of a bundle whose encoder and head were trained together."""

from pathlib import Path

from stook.models.fine_tuning import Course
from stook.models.measured import Measured
from stook.models.tasks import ClassTask, QuantileTask
from stook.pipelines.chips import DividedChips
from stook.pipelines.origin import Origin
from stook.pipelines.training_configuration import TrainConfiguration, TrainingSection


def chips_card(
    config: TrainConfiguration,
    name: str,
    origin: Origin,
    licences: str,
    chips: DividedChips,
    course: Course,
    task: ClassTask | QuantileTask,
    held_out: dict[str, Measured],
) -> str:
    """Markdown: data, split, method, and accuracy at places that training never saw."""
    training = config.training
    lines = [
        f"# {config.name}: {training.product}",
        "",
        f"Written by `stook train`. Encoder: {name}. Licences: {licences}.",
        *(["", origin.learnt] if origin.learnt else []),
        "",
        "## Trained on",
        "",
        "| labels | year | day of the picture | licence |",
        "|---|---|---|---|",
        *(
            f"| {Path(section.file).name} | {section.year} | {section.date or '–'} | {section.licence} |"
            for section in training.labels
        ),
        "",
        "## Split",
        "",
        *chips.report.lines(),
        "",
        "## Method",
        "",
        *_method(training, course, task),
        "",
        "## Accuracy at places that were held out",
        "",
    ]
    for name, found in held_out.items():
        lines += [f"### {name}", "", *found.lines(), ""]
    if not held_out:
        lines.append("No place was held out: nothing is claimed.")
    return "\n".join(lines).rstrip() + "\n"


def _method(training: TrainingSection, course: Course, task: ClassTask | QuantileTask) -> list[str]:
    grouped = f"whole blocks of {training.block_m:g} m" if training.split == "blocks" else "whole pieces of ground"
    drawn = f", within what {Path(training.split_file).name} says" if training.split_file else ""
    lines = [
        f"{grouped[0].upper()}{grouped[1:]} stay on one side{drawn}. Training stopped early by held-out ground: epoch "
        f"{course.best_epoch + 1} of {len(course.held_out)} was best. Seed {training.seed}."
    ]
    if isinstance(task, QuantileTask):
        levels = ", ".join(f"{quantile:g}" for quantile in training.quantiles)
        return [*lines, f"Quantiles {levels}; intervals conformalised on held-out ground (Romano et al. 2019)."]
    assert task.calibration is not None
    weighed = {
        "weights": "Both classes weigh the same while training",
        "none": "Every label weighs the same while training",
    }[training.balancing]
    return [
        *lines,
        f"Head {training.head} by binary cross entropy, cells of {training.cell_m:g} m. {weighed}; Platt scaling on "
        f"held-out ground ({task.calibration.slope:.4f} · logit {task.calibration.intercept:+.4f}) makes the "
        "probabilities those of ground like the labelled one: right where the labels are a fair sample of it.",
    ]
