"""The card of a bundle: data, places, method, and accuracy at places that training never saw."""

from pathlib import Path

from models.heads import Calibration
from models.metrics import Estimate
from models.training import Choice
from pipelines.labelled import Place
from pipelines.training_configuration import TrainConfiguration


def model_card(
    config: TrainConfiguration,
    origin: str,
    licences: str,
    places: list[Place],
    choice: Choice | None,
    strength: float,
    calibration: Calibration | None,
    held_out: dict[str, dict[str, Estimate]],
) -> str:
    """The bundle's card, Markdown: data, places, method, and accuracy at places that training never saw."""
    training = config.training
    lines = [
        f"# {config.name}: {training.product}",
        "",
        f"Written by `stook train`. Encoder: {origin}, frozen. Licences: {licences}.",
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
    if calibration is None:
        lines.append("Not calibrated: the probabilities rank, their sums are not hectares.")
    else:
        lines.append(f"Platt scaling on held-out blocks: {calibration.slope:.4f} · logit {calibration.intercept:+.4f}.")
    lines += ["", "## Accuracy at places that were held out", ""]
    if not held_out:
        lines.append("No place was held out: nothing is claimed.")
    for place_name, metrics in held_out.items():
        lines += [f"{place_name}, with 95 % intervals from resampling whole parcels:", ""]
        lines += [f"- {metric}: {estimate}" for metric, estimate in metrics.items()]
    return "\n".join(lines) + "\n"
