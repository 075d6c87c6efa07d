"""The methods note: one page on how the figures of a report came about, filled in from the run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from stook.transforms.editions.edition import Edition
from stook.transforms.editions.products import PRODUCTS
from stook.transforms.reporting.facts import imagery_of, models_of, simulated_in
from stook.transforms.reporting.tables import key_of, newest_of_each, normalised
from stook.transforms.sampling.estimates import Estimates, reasons_in
from stook.transforms.statistics.sums import WHOLE_REGION
from stook.transforms.store import exists, fetched

DM2_PER_HA = 1_000_000
CAUSES = {
    "not_mapped_no_imagery_ha": "no imagery",
    "not_mapped_too_few_observations_ha": "too few observations",
    "not_mapped_failed_ha": "failed",
}
NO_SAMPLE = (
    "There is no reference sample for this edition. Every area of a class below and in the tables is counted from the "
    "pixels of a map. **Pixel counts are biased** by the map's errors, commonly by 15 % and more, whatever the map's "
    "accuracy, and **are not for publication** as official figures. An official figure needs a probability sample of "
    "reference points and an estimate from it (`stook sample`, `stook estimate`)."
)
ROUNDING = (
    "Totals add up exactly in the unrounded columns: of areas always, districts to their parents and to the region; of "
    "estimates to the rounding of square decimetres, where no district lacks one for its few points. Published columns "
    "are rounded each by itself to their standard error, or to their interval where that is wider, so published "
    "figures need not add up."
)


def methods_note(edition: Edition, areas: pd.DataFrame, estimates: pd.DataFrame | None, vintage: str) -> str:
    """The note, in Markdown.

    Args:
        edition: That the report is of.
        areas: Its table of areas.
        estimates: Its table of estimates; None where there are none.
        vintage: Of the boundaries.
    """
    plan = edition.plan
    sections = [
        [f"# How the figures of {plan.name}, {plan.season}, came about"],
        _warnings(edition),
        ["## Imagery", "", *_imagery(edition)],
        ["## Maps and models", "", *_models(edition)],
        ["## What was mapped, and what was not", "", *_mapped(areas)],
        ["## Sample and estimates", "", *_estimates(edition, estimates)],
        ["## Rounding", "", ROUNDING],
        ["## Edition and revisions", "", *(f"- {line}" for line in _edition(edition, areas, vintage))],
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _warnings(edition: Edition) -> list[str]:
    told = []
    simulated = simulated_in(edition)
    if simulated:
        told.append(f"**SIMULATED: {' and '.join(simulated)}. These figures say nothing about a real place.**")
    if edition.plan.provisional:
        told.append("**PROVISIONAL: the season was not over when it was mapped. All figures will be revised.**")
    return ["\n\n".join(told)] if told else []


def _imagery(edition: Edition) -> list[str]:
    rows = [
        (one.sensor, one.catalog, one.collection, one.scenes, one.first or "–", one.last or "–", _listed(one.baselines))
        for one in imagery_of(edition)
    ]
    return _table(("sensor", "archive", "collection", "scenes", "first", "last", "processing baselines"), rows)


def _models(edition: Edition) -> list[str]:
    plan = edition.plan
    lines = []
    for model in models_of(edition):
        [product] = [one for one in plan.products if one.product == model.product]
        periods = product.encoding.periods
        lines.append(
            f"- **{model.product}** ({PRODUCTS[model.product].map.title}), "
            f"cells of {plan.cells(product).resolution_m:g} m, from {periods[0].first} up to {periods[-1].after}. "
            + (f"Encoder: {model.encoder}; head trained on {model.trained_on}. " if model.encoder else "")
            + f"Licence: {model.licence}. Bundle {model.hash}."
        )
        if not model.encoder:
            lines.append("  - The bundle is not at hand as it was used, so its card is not told.")
        lines += [f"  - {line}" for line in model.accuracy]
    lines += [f"- **{product.product}**, made from {' and '.join(product.inputs)}." for product in plan.derived]
    return lines


def _mapped(areas: pd.DataFrame) -> list[str]:
    whole = areas[areas["level"] == WHOLE_REGION]
    rows = [
        (
            row["product"],
            _hectares(row["total_ha"]),
            _hectares(row["mapped_ha"]),
            *(_hectares(row[column]) for column in CAUSES),
            f"{100 * row['mapped_dm2'] / row['total_dm2']:.2f}",
            _hectares(row["area_ha"]),
        )
        for row in whole.to_dict("records")
    ]
    headings = ("map", "all ground, ha", "mapped, ha", *(f"{cause}, ha" for cause in CAUSES.values()))
    methods = [f"- {row['product']}: {row['method']}." for row in whole.to_dict("records")]
    return [
        *_table((*headings, "mapped, %", "class on the map, ha"), rows),
        "",
        "How the class on the map is counted; its bias is not known from the map:",
        "",
        *methods,
    ]


def _estimates(edition: Edition, estimates: pd.DataFrame | None) -> list[str]:
    if estimates is None:
        return [NO_SAMPLE]
    lines: list[str] = []
    for found in newest_of_each(edition):
        lines += _one_sample(found, normalised(found.table))
    without = sorted(set(_products(edition)) - set(estimates["product"]))
    if without:
        lines += [
            f"Of {_listed(without)} there is no sample: areas of their classes are pixel counts, which are biased and "
            "not for publication."
        ]
    return lines


def _one_sample(found: Estimates, table: pd.DataFrame) -> list[str]:
    """The design, the answers and the region's figures of one set of estimates."""
    sample, since = found.summary["sample"], key_of(found)[1]
    strata = [(one["name"], _hectares(one["area_dm2"] / DM2_PER_HA), one["points"]) for one in sample["strata"]]
    whole = table[table["level"] == WHOLE_REGION]
    figures = [
        (
            row["figure"],
            row["class"] or "–",
            row["unit"],
            _number(row["value"], row["unit"]),
            _published(row["published"]),
            *(_number(row[column], row["unit"]) for column in ("standard_error", "low", "high", "map_value")),
        )
        for row in whole.to_dict("records")
    ]
    headings = ("figure", "class", "unit", "value", "published", "standard error", "low 95 %", "high 95 %")
    refused = int((table["refused"] != "").sum())
    told = [f"{of}: {line}" for column in ("method", "why", "warning") for of, line in reasons_in(whole, column)]
    return [
        f"### {sample['product']}{f', change since {since}' if since else ''}",
        "",
        _design_and_answers(found.summary),
        "",
        *_table(("stratum", "ground, ha", "points"), strata),
        "",
        *_table((*headings, "pixels say"), figures),
        "",
        *(f"- {line}" for line in told),
        *([f"- {refused} rows have no value, each with the reason in column refused."] if refused else []),
        "",
    ]


def _design_and_answers(summary: Mapping[str, Any]) -> str:
    """How points were drawn, and what interpreters made of them."""
    sample = summary["sample"]
    kappas = [
        f"{pair['first']} and {pair['second']} {'–' if pair['kappa'] is None else format(pair['kappa'], '.3f')}"
        for pair in summary["agreement"]
    ]
    return (
        f"Stratified random sample {sample['id']}, drawn {sample['drawn']} from the map of edition {sample['edition']} "
        f"with seed {sample['seed']}, an interpreter judging {sample['cell_m']:g} m of ground at each point. "
        f"{summary['points']} points, {summary['unanswered']} without an answer; "
        f"interpreters: {_listed(summary['interpreters'])}; they disagree at {summary['disagreeing']}; "
        f"Cohen's kappa: {_listed(kappas)}. Rule where they disagree: {summary['rule']}; "
        f"{summary['unresolved']} points are left out by it."
    )


def _edition(edition: Edition, areas: pd.DataFrame, vintage: str) -> list[str]:
    plan, manifest = edition.plan, edition.manifest
    thresholds = areas.dropna(subset=["threshold_percent"]).drop_duplicates("product")
    at = [f"{row['product']} {row['threshold_percent']} %" for row in thresholds.to_dict("records")]
    predecessor = manifest["predecessor"]
    lines = [
        f"Edition {edition.id}, opened {manifest['opened']}; "
        + (f"the one published before it: {predecessor}." if predecessor else "the first of its season."),
        f"Boundaries: {'; '.join(dict.fromkeys((vintage, f'units {plan.units_hash}')))}. Thresholds: {_listed(at)}.",
        f"Processing version {plan.processing}; "
        + ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
        + ".",
    ]
    published = _published_thresholds(edition)
    other = [
        f"{row['product']} {published[row['product']]} %"
        for row in thresholds.to_dict("records")
        if published.get(row["product"], row["threshold_percent"]) != row["threshold_percent"]
    ]
    if other:
        lines.append(f"When the edition was published its thresholds were others: {_listed(other)}.")
    lines.append(
        "A published edition never changes. New scenes, a mended archive, another model or other boundaries make "
        "another edition; `stook revisions` tells what changed and why."
    )
    return lines


def _published_thresholds(edition: Edition) -> dict[str, int]:
    path = edition.folder / "statistics.parquet"
    if not exists(path):
        return {}
    table = pd.read_parquet(fetched(path), columns=["product", "threshold_percent"]).dropna()
    return dict(zip(table["product"], table["threshold_percent"].astype(int), strict=True))


def _products(edition: Edition) -> list[str]:
    return [product.product for product in edition.plan.all_products]


def _listed(words: Iterable[object]) -> str:
    return ", ".join(str(word) for word in words) or "–"


def _hectares(value: float) -> str:
    return f"{value:,.2f}"


def _number(value: float, unit: str) -> str:
    if pd.isna(value):
        return "–"
    return _hectares(value) if unit == "ha" else f"{value:.4f}"


def _published(value: float) -> str:
    """A rounded number without figures that it does not have."""
    return "–" if pd.isna(value) else f"{value:,.6f}".rstrip("0").rstrip(".")


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table in Markdown."""
    told = [" | ".join(str(cell).replace("|", "/") for cell in row) for row in (headings, *rows)]
    return [f"| {told[0]} |", "|" + "---|" * len(headings), *(f"| {row} |" for row in told[1:])]
