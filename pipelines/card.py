"""The card of a bundle whose head was trained on a frozen encoder: data, places, method, accuracy, reliability."""

from pathlib import Path

from stook.models.heads import Calibration
from stook.models.measured import MeasuredClass
from stook.models.training import Choice
from stook.pipelines.labelled import Place
from stook.pipelines.origin import Origin
from stook.pipelines.training_configuration import TrainConfiguration, TrainingSection
from stook.transforms.labelled.seen_ground import on_seen_ground


def model_card(
    config: TrainConfiguration,
    origin: Origin,
    licences: str,
    places: list[Place],
    choice: Choice | None,
    strength: float,
    calibration: Calibration | None,
    cross_validated: MeasuredClass | None,
    held_out: dict[str, MeasuredClass],
) -> str:
    """The bundle's card, Markdown; accuracy is that of places that training never saw, or else of blocks."""
    training = config.training
    lines = [
        f"# {config.name}: {training.product}",
        "",
        f"Written by `stook train`. Encoder: {origin.name}, frozen. Licences: {licences}.",
        *_learnt_before(origin, places),
        "",
        "## Trained on",
        "",
        "| labels | harvest year | pixels | of the class | west, south, east, north | licence |",
        "|---|---|---|---|---|---|",
    ]
    for place in places:
        section, samples = place.section, place.seen.samples
        bounds = ", ".join(f"{degrees:.4f}" for degrees in place.labels.bounds)
        lines.append(
            f"| {Path(section.file).name} | {section.year} | {len(samples.labels)} | {samples.labels.sum()} "
            f"| {bounds} | {section.licence} |"
        )
    lines += ["", "## Head", "", f"{training.head}, standardised features, C = {strength:g}, seed {training.seed}."]
    if choice is not None and len(choice.scores) > 1:
        tried = ", ".join(f"{c:g}: {score:.3f}" for c, score in choice.scores.items())
        lines.append(f"C was chosen among (mean AUC over held-out {training.block_m:g} m blocks) {tried}.")
    lines += _probabilities(training, calibration)
    lines += ["", "## Accuracy at places that were held out", ""]
    for place_name, found in held_out.items():
        lines += [f"### {place_name}", "", *found.lines("pixels", "parcels"), ""]
    if not held_out:
        lines += ["No place was held out: nothing is claimed.", ""]
    if choice is not None and cross_validated is not None:
        chosen = [*(["C"] if len(choice.scores) > 1 else []), *(["calibration"] if calibration else [])]
        lines += [
            "## Accuracy on blocks of the training places",
            "",
            f"Each block of {training.block_m:g} m was judged by a head that was fitted without it. "
            f"These very blocks gave {' and '.join(chosen)}, and other places look different: take it for the "
            "best that can be hoped for.",
            "",
            *cross_validated.lines("pixels", "blocks"),
        ]
    return "\n".join(lines).rstrip() + "\n"


def _learnt_before(origin: Origin, places: list[Place]) -> list[str]:
    """What the encoder was trained on before, and how much of this training's ground that was."""
    if not origin.learnt:
        return []
    again = sum(int(on_seen_ground(place.chips, origin.seen).sum()) for place in places)
    flatters = f" {again} labels of this training lie there: what their blocks say of it flatters." if again else ""
    return ["", origin.learnt + flatters]


def _probabilities(training: TrainingSection, calibration: Calibration | None) -> list[str]:
    """What the probabilities are."""
    lines = []
    if training.balancing == "weights":
        lines.append("Both classes weighed the same while training, however many pixels each has.")
    if calibration is not None:
        taken_back = " It takes back the weights." if training.balancing == "weights" else ""
        scaling = f"{calibration.slope:.4f} · logit {calibration.intercept:+.4f}"
        return [*lines, f"Platt scaling on held-out blocks: {scaling}.{taken_back}"]
    if training.balancing == "weights":
        lines.append(
            "Probabilities are those of ground that holds as much of one class as of the other: too high for the rarer."
        )
    return [*lines, "Not calibrated: the probabilities rank, their sums are not hectares."]
