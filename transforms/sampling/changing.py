"""Gain and loss between two seasons, from one sample that was judged for both."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from stook.models.errors import InputError
from stook.transforms.estimators.change import changed
from stook.transforms.sampling.classes import CLASSES, SHARES
from stook.transforms.sampling.estimate_rows import estimate_row, estimates_of
from stook.transforms.sampling.judged import OF_CLASS, left_out, provisional, require_answers, require_same_ground
from stook.transforms.sampling.map_figures import MapFigures
from stook.transforms.sampling.sample import Sample

OTHER_MODELS = "the two maps are of different models, so that the difference of their pixels mixes models with change"


def change_table(
    sample: Sample, before: MapFigures, after: MapFigures, references: np.ndarray, remarks: Sequence[str] = ()
) -> pd.DataFrame:
    """Gain, loss and net change of the class that is mapped for, between two seasons, of the whole region.

    Args:
        sample: Answered for both.
        before: Of the earlier season's map.
        after: Of the later one's.
        references: float64 [season, point], place of the class, NaN where nothing was answered or resolved.
        remarks: What a reader has to know of every figure, empty ones left out.

    Returns:
        Rows of ``stook.transforms.sampling.estimates.COLUMNS``.

    Raises:
        InputError: If the product has no classes, or the sample is of other ground.
    """
    if after.product in SHARES:
        raise InputError(f"sample.product: {after.product} has no classes that ground could gain or lose")
    for figures in (before, after):
        require_same_ground(sample, figures)
    answered = ~np.isnan(references).any(axis=0)
    require_answers(sample, answered)
    first, second = references[:, answered] == OF_CLASS
    found = changed(sample.design(answered), first, second)
    name = CLASSES[after.product][OF_CLASS]
    was, is_now = (figures.region.said_ha[name] for figures in (before, after))
    of_points = "the same points were judged for both seasons, whatever map their strata are of"
    together = f"{of_points}; errors that both seasons share cancel"
    others = "" if models_of(before) == models_of(after) else OTHER_MODELS
    rows = [
        estimate_row(after.region, kind, name, one, said, int(answered.sum()), why)
        for kind, one, said, why in (
            ("area_before", found.before, was, of_points),
            ("area_after", found.after, is_now, of_points),
            ("gain", found.gain, np.nan, of_points),
            ("loss", found.loss, np.nan, of_points),
            ("net_change", found.net, is_now - was, together),
        )
    ]
    rows[-1]["warning"] = "; ".join(told for told in (rows[-1]["warning"], others) if told)
    told = (*remarks, left_out(sample, answered), provisional(before), provisional(after))
    return estimates_of(rows, sample, after, told, since=str(before.edition.plan.season))


def models_of(figures: MapFigures) -> dict[str, str]:
    """Product -> hash of the model, of all that an edition's maps are made from."""
    return {made.product: made.model_hash for made in figures.edition.plan.products}
