"""Estimates made up for tests, in the form in which they are kept."""

from typing import Any

import numpy as np
import pandas as pd

from stook.transforms.editions.edition import Edition
from stook.transforms.sampling.estimates import COLUMNS, Estimates
from stook.transforms.statistics.sums import WHOLE_REGION

CLASS = "cropland"
POINTS = 120


def keep_estimates(
    edition: Edition,
    value: float,
    standard_error: float = 2.5,
    sample: str = "cropland-abc",
    answers: str = "0" * 64,
    since: str = "",
    made: str = "2026-01-01T00:00:00+00:00",
) -> Estimates:
    """Keep a set of made-up estimates of an edition: the region's area, an accuracy, and a place that is refused."""
    areas = pd.read_parquet(edition.folder / "statistics.parquet")
    areas = areas[areas["product"] == CLASS]
    whole = areas[areas["level"] == WHOLE_REGION].iloc[0]
    common = {
        "product": CLASS,
        "season": str(edition.plan.season),
        "since": since,
        "edition": edition.id,
        "sample": sample,
        "points": POINTS,
        "class": CLASS,
        "method": "made up for a test, with\na line that ends within",
        "why": "made up",
        "warning": "",
        "refused": "",
    }
    region = {"level": WHOLE_REGION, "id": whole["id"], "name": whole["name"]}
    ends = {"value": value, "standard_error": standard_error, "published": round(value, 1), "unit": "ha"}
    ends |= {"low": value - 1.96 * standard_error, "high": value + 1.96 * standard_error}
    rows: list[dict[str, Any]] = [
        common | region | ends | {"figure": "gain" if since else "area", "map_value": whole["area_ha"]},
    ]
    if not since:
        accuracy = {"value": 0.9125, "standard_error": 0.0213, "low": 0.87, "high": 0.95, "published": 0.913}
        rows.append(common | region | accuracy | {"figure": "overall_accuracy", "class": "", "unit": "share"})
        unit = areas[areas["level"] == "unit"].iloc[0]
        nothing = dict.fromkeys(("value", "standard_error", "low", "high", "published"), np.nan)
        told = {"refused": "3 answered points lie in it; use the region's", "method": "", "points": 3, "unit": "ha"}
        rows.append(common | {name: unit[name] for name in region} | nothing | told | {"figure": "area"})
    design = {
        "id": sample,
        "product": CLASS,
        "edition": edition.id,
        "seed": 7,
        "drawn": "2026-01-01T00:00:00+00:00",
        "cell_m": 10.0,
        "strata": [{"name": "not mapped", "area_dm2": 123_456_789, "points": 40}],
    }
    summary = {
        "made": made,
        "sample": design,
        "edition": edition.id,
        "since": since or None,
        "answers": {"answers.csv": answers},
        "rule": "left out",
        "interpreters": ["Abel", "Sara"],
        "kappa": 0.8125,
        "agreement": [{"first": "Abel", "second": "Sara", "points": POINTS, "observed": 0.9, "kappa": 0.8125}],
        "points": POINTS,
        "unanswered": 4,
        "disagreeing": 11,
        "unresolved": 11,
        "notes": [],
    }
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    name = f"{sample}-{answers[:4]}-{since or 'one'}"
    return Estimates.write(edition.folder.parent, name, table, pd.DataFrame({"point": []}), summary)
