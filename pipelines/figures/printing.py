"""Estimates and agreement as people read them at the terminal."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from stook.transforms.sampling.classes import CLASSES
from stook.transforms.sampling.estimate_rows import rounded_to, telling_error
from stook.transforms.sampling.estimates import Estimates, reasons_in
from stook.transforms.sampling.judged import OF_CLASS
from stook.transforms.sampling.settling import Pair, Settled
from stook.transforms.statistics.sums import WHOLE_REGION

WIDTH = 132
DECIMALS_OF_SHARES = 3


def print_estimates(kept: Estimates) -> None:
    """Print a set of estimates: the region, then places, then how it came about and what to know first."""
    table = kept.table
    first = table.iloc[0]
    since = f", since {first['since']}" if first["since"] else ""
    whole = table[table["level"] == WHOLE_REGION]
    title = f"{first['product']}, {first['season']}{since}: {first['name']}"
    _print_figures(whole, title, {"figure": "figure", "class": "class"})
    parts = table[(table["level"] != WHOLE_REGION) & table["refused"].eq("")]
    shown = ("", CLASSES[first["product"]][OF_CLASS] if first["product"] in CLASSES else "")
    parts = parts[parts["class"].isin(shown)]
    if len(parts):
        _print_figures(parts, "by place", {"level": "level", "name": "name", "figure": "figure", "class": "class"})
    refused = table[table["refused"] != ""].drop_duplicates(["level", "id"])
    for _, row in refused.iterrows():
        print(f"No estimate for {row['level']} {row['name']!r}: {row['refused']}.")
    for heading, column in (("Method", "method"), ("Why", "why"), ("Warning", "warning")):
        _print_reasons(table, heading, column)
    print("'map says' is a count of pixels, for comparison; figures are rounded to the second figure of their error.")
    print(f"Unrounded: {kept.folder}")


def print_settled(found: Settled) -> None:
    """Print who answered, how far they agree, and what became of the rest."""
    names, told = found.interpretation.interpreters, found.as_json()
    print(f"{told['points']} points, {told['unanswered']} of them unanswered; interpreters: {', '.join(names)}.")
    print_pairs(found.pairs)
    if len(names) > 1:
        print(
            f"They disagree on {told['disagreeing']} points; rule: {found.resolved.rule}. "
            f"{told['unresolved']} points are left out."
        )
    for note in found.interpretation.notes:
        print(f"Note: {note}.")


def print_pairs(pairs: Sequence[Pair]) -> None:
    """Print each two interpreters' agreement."""
    if not pairs:
        return
    shown = Table(title="agreement of interpreters", title_justify="left", box=None)
    for heading in ("first", "second"):
        shown.add_column(heading)
    for heading in ("points", "agree on", "kappa", "from", "to"):
        shown.add_column(heading, justify="right")
    for pair in pairs:
        agreed = "" if np.isnan(pair.observed) else f"{pair.observed:.3f}"
        kappa = pair.found.kappa if pair.found else None
        figures = [f"{value:.3f}" for value in (kappa.value, kappa.low, kappa.high)] if kappa else ["", "", ""]
        shown.add_row(pair.first, pair.second, f"{pair.points:,}", agreed, *figures)
    Console(width=WIDTH).print(shown)
    for pair in pairs:
        if pair.found and pair.found.kappa.warning:
            print(f"Warning ({pair.first}, {pair.second}): {pair.found.kappa.warning}.")
    if any(pair.found for pair in pairs):
        print("Kappa is agreement beyond chance, with its 95 % interval.")


def print_points(table: pd.DataFrame, left_out: Mapping[str, int], product: str) -> None:
    """Print how often a map is right at points without a design."""
    shown = Table(title=f"{product} at these points, which stand for no area", title_justify="left", box=None)
    for heading in ("figure", "class"):
        shown.add_column(heading)
    for heading in ("right", "points", "share"):
        shown.add_column(heading, justify="right")
    for _, row in table.iterrows():
        share = "" if np.isnan(row["share"]) else f"{row['share']:.{DECIMALS_OF_SHARES}f}"
        shown.add_row(_words(row["figure"]), row["class"], f"{row['right']:,}", f"{row['points']:,}", share)
    Console(width=WIDTH).print(shown)
    for kind, count in left_out.items():
        if count:
            print(f"Left out: {count} {kind}.")


def _print_figures(rows: pd.DataFrame, title: str, named: Mapping[str, str]) -> None:
    shown = Table(title=title, title_justify="left", box=None)
    for heading in named.values():
        shown.add_column(heading)
    for heading in ("", "from", "to", "map says", "points"):
        shown.add_column(heading or "estimate", justify="right")
    for _, row in rows.iterrows():
        error = telling_error(row["standard_error"], row["low"], row["high"])
        ends = (_figure(row[end], error, row["unit"]) for end in ("value", "low", "high"))
        said = "" if np.isnan(row["map_value"]) else f"{row['map_value']:,.1f} ha"
        shown.add_row(*(_words(str(row[name])) for name in named), *ends, said, f"{row['points']:,}")
    Console(width=WIDTH).print(shown)


def _figure(value: float, error: float, unit: str) -> str:
    """A figure to the place to which its error says anything."""
    if np.isnan(value):
        return "not known"
    if unit == "share":
        return f"{value:.{DECIMALS_OF_SHARES}f}"
    decimals = max(0, 1 - int(np.floor(np.log10(error)))) if error > 0 else 1
    return f"{rounded_to(value, error):,.{decimals}f} ha"


def _words(name: str) -> str:
    return name.replace("_", " ").replace("users", "user's").replace("producers", "producer's")


def _print_reasons(table: pd.DataFrame, heading: str, column: str) -> None:
    """Each reason once, with the figures that it is of."""
    for figures, reason in reasons_in(table, column):
        print(f"{heading} ({figures}): {reason}.")
