"""Plans for people and for programs."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from stook.pipelines.planning.comparison import Comparison
from stook.pipelines.planning.grown import Estimate
from stook.pipelines.planning.plan import SeasonForecast

WIDTH = 120


def print_forecast(forecast: SeasonForecast, as_json: bool) -> None:
    """Print a plan, as JSON or as tables."""
    if as_json:
        print(json.dumps(asdict(forecast)))
        return
    console = Console(width=WIDTH, highlight=False)
    what = "feature vectors of " if forecast.kind == "embeddings" else ""
    print(f"{forecast.name} {forecast.season}: {what}{forecast.tiles:,} tiles, {told_edition(forecast)}")
    if forecast.looked_at < forecast.tiles:
        print(f"all figures are extrapolated from {forecast.looked_at:,} randomly sampled tiles; ± is a standard error")
    tiles = Table(box=None)
    tiles.add_column("tiles of")
    for heading in ("new", "to do again", "carried over", "unchanged"):
        tiles.add_column(heading, justify="right")
    for product, fates in forecast.fates.items():
        tiles.add_row(product, *(f"{count:,.0f}" for count in fates.values()))
    console.print(tiles)
    sums = Table(box=None, show_header=False)
    sums.add_column()
    sums.add_column(justify="right")
    sums.add_column()
    for row in rows_of(forecast):
        sums.add_row(*row)
    console.print(sums)
    for note in forecast.notes:
        print(f"note: {note}")


def told_edition(forecast: SeasonForecast) -> str:
    """What the run would start from, in words."""
    if forecast.continues:
        return f"continuing edition {forecast.continues}"
    if not forecast.compute.value and not forecast.predecessor:
        return "published and unchanged: there is nothing to do"
    after = f"after {forecast.predecessor}" if forecast.predecessor else "with nothing to take over"
    return f"a new edition {after}"


def rows_of(forecast: SeasonForecast) -> list[tuple[str, str, str]]:
    """Name, figure and explanation of everything that is counted."""
    known = forecast.bytes_known
    sizes = [f"{known['stated']} stated by the catalogue"] if known["stated"] else []
    sizes += [f"headers of {known['opened']} files"] if known["opened"] else []
    disk = "not known" if forecast.disk_bytes is None else size(forecast.disk_bytes)
    kept = "disk for vectors" if forecast.kind == "embeddings" else "disk for maps"
    waits = f"; bottleneck: {forecast.waits_for}" if forecast.waits_for else ""
    rows = [
        ("tiles to compute", number(forecast.compute), ""),
        ("scenes", f"{forecast.scenes:,}", f"read {number(forecast.scene_reads)} times, by tile"),
        ("files to open", number(forecast.assets), ""),
        ("bytes to read", size(forecast.bytes_read.value), f"± {size(forecast.bytes_read.error)}; {', '.join(sizes)}"),
        ("pixels to encode", number(forecast.pixels), f"at most, in {number(forecast.chips)} chips"),
        (kept, disk, f"at most {size(forecast.disk_bytes_at_most)}, uncompressed"),
        ("time", span(forecast.seconds), f"on {forecast.machine}{waits}"),
    ]
    if forecast.cost is not None:
        rows.append(("cost", f"{forecast.cost:,.2f} {forecast.currency}", ""))
    return [*rows, ("rates", "", f"from {forecast.rates}"), ("this plan took", span(forecast.planned_in_s), "")]


def print_comparison(comparison: Comparison, as_json: bool) -> None:
    """Print a plan and what came of it, as JSON or as a table."""
    if as_json:
        figures = [asdict(figure) | {"error_percent": figure.error_percent} for figure in comparison.figures]
        print(json.dumps(asdict(comparison) | {"figures": figures}))
        return
    table = Table(title=f"edition {comparison.edition}", title_justify="left", box=None)
    table.add_column("")
    for heading in ("planned", "came to", "error"):
        table.add_column(heading, justify="right")
    for figure in comparison.figures:
        values = ("?" if value is None else f"{value:,.0f}" for value in (figure.planned, figure.actual))
        error = "" if figure.error_percent is None else f"{figure.error_percent:+.1f} %"
        table.add_row(figure.figure.replace("_", " "), *values, error)
    Console(width=WIDTH, highlight=False).print(table)
    for note in comparison.notes:
        print(f"note: {note}")


def number(estimate: Estimate) -> str:
    """A count, with its error where it was grown from a sample."""
    return f"{estimate.value:,.0f}" + (f" ± {estimate.error:,.0f}" if estimate.error else "")


def size(count: float) -> str:
    """Bytes in a unit that suits them."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:,.1f} {unit}" if unit != "B" else f"{count:,.0f} B"
        count /= 1024
    raise AssertionError  # the last unit takes everything


def span(seconds: float | None) -> str:
    """Time in a unit that suits it."""
    if seconds is None:
        return "not known"
    return f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 3600:,.1f} h"
