"""``stook change``: gain and loss of a class between two seasons, from one sample that was judged for both."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.figures.estimate import (
    classes_of,
    form_of,
    require_known_sample,
    rests_on,
    sample_of,
    section_of,
    settled_answers,
    summary_of,
)
from stook.pipelines.figures.printing import print_estimates, print_settled
from stook.pipelines.season import published_edition, season_folder, thresholds_of
from stook.transforms.editions.edition import Edition
from stook.transforms.sampling.changing import change_table
from stook.transforms.sampling.estimates import Estimates, name_of
from stook.transforms.sampling.map_figures import MapFigures
from stook.transforms.store import Address


def run_change(
    config: MapConfiguration,
    year: int,
    since: int,
    before: Sequence[Address],
    after: Sequence[Address],
    sample: Address | None,
) -> Estimates:
    """Estimate, keep and print.

    Args:
        config: The configuration.
        year: Harvest year of the later season.
        since: Harvest year of the earlier one.
        before: Interpreters' files for the earlier season.
        after: Interpreters' files for the later one.
        sample: Folder of the sample; the newest of the later season's if None.

    Raises:
        InputError: If a season is not published, or the sample or the answers cannot be used.
    """
    if since >= year:
        raise InputError(f"--since {since}: has to be before --year {year}")
    section = section_of(config)
    thresholds = thresholds_of(config)
    later = MapFigures.of(published_edition(config, year), section.product, thresholds)
    earlier = MapFigures.of(edition_before(config, since), section.product, thresholds)
    drawn = sample_of(config, year, sample)
    judged = [settled_answers(section, drawn, before, before=True), settled_answers(section, drawn, after)]
    require_known_sample(config, year, sample, *judged)
    hashes = [set(found.interpretation.files.values()) for found in judged]
    if hashes[0] & hashes[1] and form_of(section.answers, before=True) == form_of(section.answers):
        raise InputError(
            "--before and --after: hold the same file; answers of one season for both show no change, unless "
            "sample.answers.answer_before names the columns of the earlier one"
        )
    remarks = tuple(dict.fromkeys(found.unplaced for found in judged))
    table = change_table(drawn, earlier, later, np.stack([found.resolved.values for found in judged]), remarks)
    seasons = [str(figures.edition.plan.season) for figures in (earlier, later)]
    disagreements = pd.concat(
        [
            found.disagreements(drawn.points, classes_of(section)).assign(season=season)
            for season, found in zip(seasons, judged, strict=True)
        ],
        ignore_index=True,
    )
    first, second = (found.as_json() for found in judged)
    files = {"answers": first["answers"] | second["answers"], "before": first}
    summary = summary_of(drawn, later.edition.id, earlier.edition.id) | second | files
    name = name_of(drawn.drawn.id, [earlier.edition.id, rests_on(config, section, *judged)], change=True)
    kept = Estimates.write(season_folder(config, year).folder, name, table, disagreements, summary)
    for season, found in zip(seasons, judged, strict=True):
        print(f"{season}:")
        print_settled(found)
    print_estimates(kept)
    return kept


def edition_before(config: MapConfiguration, since: int) -> Edition:
    """The published edition of an earlier season, of whatever model it is: the answers say what changed, not the maps.

    Raises:
        InputError: If there is none.
    """
    folder = season_folder(config, since)
    edition = folder.current()
    if edition is None:
        raise InputError(f"--since {since}: {folder.folder}: no edition of this season is published")
    return edition
