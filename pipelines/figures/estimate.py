"""``stook estimate``: from interpreters' files to areas and accuracies with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.figures.configuration import AnswersSection, SampleSection
from stook.pipelines.figures.printing import print_estimates, print_points, print_settled
from stook.pipelines.figures.sample import DECIDING
from stook.pipelines.season import published_edition, season_folder, thresholds_of
from stook.transforms.editions.lease import now
from stook.transforms.estimators.agreement import accuracy_at_points, design_for_areas
from stook.transforms.estimators.error_matrix import NOT_MAPPED
from stook.transforms.sampling.answer_files import Answers, Form, read_answers
from stook.transforms.sampling.classes import CLASSES, SHARES
from stook.transforms.sampling.estimates import Estimates, name_of
from stook.transforms.sampling.estimating import Settings, estimate_table
from stook.transforms.sampling.interpretation import Interpretation, crossed, interpreted, valued
from stook.transforms.sampling.judged import Judged
from stook.transforms.sampling.lookup import OUTSIDE, values_at
from stook.transforms.sampling.map_figures import MapFigures
from stook.transforms.sampling.sample import DESIGNS, SAMPLES, Sample, SampleDesign, designs_in
from stook.transforms.sampling.settling import Settled, settled
from stook.transforms.store import Address
from stook.transforms.tiles.map_reader import MapReader


def run_estimate(
    config: MapConfiguration, year: int, answers: Sequence[Address], sample: Address | None, without_design: bool
) -> Estimates | None:
    """Estimate, keep and print; of points without a design only tell how right the map is there.

    Args:
        config: The configuration.
        year: Harvest year of the map.
        answers: Interpreters' files.
        sample: Folder of the sample; the newest of the season's if None.
        without_design: Whether the points are of no sample of ours.

    Raises:
        InputError: If nothing is published, or the sample or the answers cannot be used.
    """
    section = section_of(config)
    edition = published_edition(config, year)
    figures = MapFigures.of(edition, section.product, thresholds_of(config))
    if without_design:
        if sample is not None:
            raise InputError("--sample: points are of a sample or --without-design, not both")
        describe_points(figures, section, answers)
        return None
    drawn = sample_of(config, year, sample)
    found = settled_answers(section, drawn, answers)
    require_known_sample(config, year, sample, found)
    settings = Settings(section.estimator, section.fewest_points_per_unit)
    table = estimate_table(Judged.by(drawn, figures, found.resolved.values), settings, remarks=(found.unplaced,))
    summary = summary_of(drawn, edition.id, None) | found.as_json()
    name = name_of(drawn.drawn.id, rests_on(config, section, found))
    season = season_folder(config, year).folder
    kept = Estimates.write(season, name, table, found.disagreements(drawn.points, classes_of(section)), summary)
    print(f"Sample {drawn.drawn.id}, drawn from edition {drawn.drawn.edition} of {drawn.drawn.season}:")
    print_settled(found)
    print_estimates(kept)
    return kept


def section_of(config: MapConfiguration) -> SampleSection:
    """The configuration's section ``sample``; raises InputError if there is none."""
    if config.sample is None:
        raise InputError("sample: this section is missing; it says what map the points are of and how answers are read")
    return config.sample


def classes_of(section: SampleSection) -> tuple[str, str] | None:
    """The classes that points are judged by, None for the percent of a cell that is covered."""
    return None if section.product in SHARES else CLASSES[section.product]


def form_of(section: AnswersSection, before: bool = False) -> Form:
    """How answers are read, those for the earlier season of a change or others."""
    return Form(
        id=section.id,
        answers=tuple(section.answer_before or section.answer) if before else tuple(section.answer),
        interpreter=section.interpreter,
        longitude=section.longitude,
        latitude=section.latitude,
        unanswered=tuple(section.unanswered),
        words=section.words,
    )


def sample_of(config: MapConfiguration, year: int, folder: Address | None) -> Sample:
    """The sample in a folder, or the season's newest that was drawn as configured, or its only one.

    Raises:
        InputError: If there is none, or several of which none was drawn as configured.
    """
    if folder is not None:
        return Sample.read(folder)
    section, found = section_of(config), samples_of(config, year)
    if not found:
        home = season_folder(config, year).folder / SAMPLES
        raise InputError(
            f"{home}: there is no sample for {section.product}; draw one with 'stook sample', or name its folder"
        )
    wanted = section.model_dump(mode="json", include=set(DECIDING))
    as_configured = [folder for folder, design in found.items() if wanted.items() <= design.settings.items()]
    if not as_configured and len(found) > 1:
        raise InputError(
            f"--sample is missing: this season has {len(found)} samples for {section.product} "
            f"({', '.join(one.name for one in found)}), none of them drawn as this configuration says; name the "
            "folder of theirs"
        )
    return Sample.read((as_configured or list(found))[-1])


def samples_of(config: MapConfiguration, year: int) -> dict[Address, SampleDesign]:
    """Folder -> design of a season's samples for the configured product, the newest last."""
    product = section_of(config).product
    found = designs_in(season_folder(config, year).folder).items()
    wanted = [(folder, design) for folder, design in found if design.product == product]
    return dict(sorted(wanted, key=lambda one: (one[1].drawn, one[0].name)))


def require_known_sample(config: MapConfiguration, year: int, folder: Address | None, *found: Settled) -> None:
    """Have the sample named where answers fit several by their numbers, and no coordinates tell which.

    Raises:
        InputError: If it is not named.
    """
    unplaced = [one.unplaced for one in found if one.unplaced]
    if folder is not None or not unplaced:
        return
    samples = samples_of(config, year)
    if len(samples) > 1:
        raise InputError(
            f"--sample is missing: {unplaced[0]}, and this season has {len(samples)} samples "
            f"({', '.join(sample.name for sample in samples)}); name the folder of theirs"
        )


def settled_answers(
    section: SampleSection, sample: Sample, answers: Sequence[Address], before: bool = False
) -> Settled:
    """The answers to a sample's points, checked and settled; those for the earlier season of a change or others.

    Raises:
        InputError: If they cannot be used.
    """
    classes = classes_of(section)
    found = interpreted(answers, form_of(section.answers, before), sample.points, classes, sample.drawn.cell_m)
    return settled(found, section.answers.rule, classes)


def rests_on(config: MapConfiguration, section: SampleSection, *found: Settled) -> Any:
    """Plain data of everything that decides the figures, beside the sample and the edition."""
    return {
        "answers": [list(one.interpretation.files.values()) for one in found],
        "interpreters": [list(one.interpretation.interpreters) for one in found],
        "read": section.answers.model_dump(mode="json"),
        "thresholds": thresholds_of(config),
        "estimator": section.estimator,
        "fewest_points_per_unit": section.fewest_points_per_unit,
    }


def summary_of(sample: Sample, edition: str, since: str | None) -> dict[str, Any]:
    """What estimates rest on, beside the answers; see ``Estimates.summary``."""
    return {
        "made": now(),
        "sample": DESIGNS.dump_python(sample.drawn, mode="json"),
        "edition": edition,
        "since": since,
    }


def describe_points(figures: MapFigures, section: SampleSection, answers: Sequence[Address]) -> None:
    """Print how right the map is at points of any origin, how far interpreters agree, and why no hectares follow.

    Raises:
        InputError: If the answers cannot be read, or lack coordinates.
    """
    classes = classes_of(section)
    if classes is None:
        raise InputError(f"sample.product: {section.product} has no classes; only a sample of ours says anything of it")
    form = form_of(section.answers)
    read = read_answers(answers, form)
    points = places_of(read, form)
    table = read.table.assign(value=valued(read.table, form, classes))
    values, repeated = crossed(table, read.interpreters, pd.Series(np.arange(len(points)), index=points["point"]))
    notes = (f"{repeated} points were answered twice by one interpreter, the same both times",) if repeated else ()
    found = settled(Interpretation(read.interpreters, values, notes, read.files), section.answers.rule, classes)
    said = values_at(MapReader(figures.edition), section.product, points["lon"].to_numpy(), points["lat"].to_numpy())
    mapped, reference = figures.classes_at(said), found.resolved.values
    usable = (mapped != NOT_MAPPED) & ~np.isnan(reference)
    if not usable.any():
        raise InputError(f"{answers[0]}: no point lies where {section.product} is mapped and has an answer")
    counts: Mapping[str, int] = {
        "points outside of the region": int((said == OUTSIDE).sum()),
        "points where nothing is mapped": int(((said != OUTSIDE) & (mapped == NOT_MAPPED)).sum()),
        "points without a resolved label": int(np.isnan(reference).sum()),
    }
    print_settled(found)
    print_points(accuracy_at_points(mapped[usable], reference[usable].astype(int), classes), counts, section.product)
    print(refusal(", ".join(str(file) for file in answers)))


def refusal(source: str) -> str:
    """Why no hectares follow from points without a design, in the estimators' own words."""
    try:
        design_for_areas(source, None)
    except InputError as error:
        return f"No hectares: {error}."
    raise AssertionError("points without a design were accepted")


def places_of(read: Answers, form: Form) -> pd.DataFrame:
    """The points of answers of any origin: ``point``, ``lon``, ``lat``.

    Raises:
        InputError: If one has no place, or two.
    """
    table = read.table
    nowhere = table[table["lon"].isna() | table["lat"].isna()]
    if len(nowhere):
        raise InputError(
            f"{nowhere['source'].iloc[0]}: has no coordinates, as have {len(nowhere)} answers; they are read from "
            f"{form.longitude} and {form.latitude} (sample.answers.longitude, latitude), in degrees"
        )
    wrong = table[(table["lon"].abs() > 180) | (table["lat"].abs() > 90)]
    if len(wrong):
        raise InputError(f"{wrong['source'].iloc[0]}: coordinates have to be longitude and latitude in degrees")
    places = table[["point", "lon", "lat"]].drop_duplicates()
    twice = places[places["point"].duplicated()]
    if len(twice):
        raise InputError(f"{form.id}: point {twice['point'].iloc[0]} has two places, as have {len(twice)} points")
    return places.reset_index(drop=True)
