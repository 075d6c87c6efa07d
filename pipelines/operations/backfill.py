"""``stook backfill``: one edition for each of several seasons, planned together, and whether they can be compared."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table

from stook.models.errors import InputError, TileError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.map import MapResult, failures, run_map, tell
from stook.pipelines.progress import Reporter, reporter
from stook.pipelines.season import plan_of, region_of, season_folder
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.plan import Plan
from stook.transforms.ground.geodesy import widened
from stook.transforms.ground.region import Region
from stook.transforms.imagery.freeze import find_inputs
from stook.transforms.reporting.comparability import Pair, comparability, pairs
from stook.transforms.statistics.table import write_table
from stook.transforms.store import Address, writing
from stook.transforms.tiles.fingerprints import same_scenes

FIRST_YEAR, LAST_YEAR = 2015, 2100  # as of ``--year``
SPAN = re.compile(r"(\d{4})(?::(\d{4}))?")

Action = Literal["map", "continue", "refresh", "skip"]
State = Literal["published", "not published", "skipped", "stopped", "refused", "not begun"]
TOLD: dict[Action, str] = {
    "map": "to be mapped",
    "continue": "to be continued",
    "refresh": "to be mapped again, the archives have other scenes than it was made from",
    "skip": "published already",
}


@dataclass(frozen=True)
class Options:
    """What an operator asks of a backfill beside the years.

    Attributes:
        newest_first: Which season is mapped first.
        refresh: Whether published seasons of which the archives have other scenes now are mapped again.
        provisional: Whether a season need not be over.
        skip_unusable: Whether seasons that cannot be mapped are left out; otherwise they end it before it begins.
    """

    newest_first: bool = False
    refresh: bool = False
    provisional: bool = False
    skip_unusable: bool = False


@dataclass(frozen=True)
class SeasonPlan:
    """What is to be done for a season.

    Attributes:
        year: Harvest year.
        season: E.g. ``main-2019``.
        action: What.
        edition: Id of the edition that is there; None where there is none of this configuration.
        scenes: How many the archives have for it; None where they were not searched.
    """

    year: int
    season: str
    action: Action
    edition: str | None
    scenes: int | None


@dataclass(frozen=True)
class SeasonOutcome:
    """What came of a season.

    Attributes:
        season: E.g. ``main-2019``.
        state: What.
        edition: Id of the edition; None where there is none.
        computed: Tiles that were computed.
        carried: Tiles that were taken over from the edition before.
        failed: Tiles that failed.
    """

    season: str
    state: State
    edition: str | None = None
    computed: int = 0
    carried: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Backfill:
    """What a backfill came to.

    Attributes:
        outcomes: Of each season, in the order in which they were worked on.
        pairs: Neighbouring published seasons, and whether they can be compared.
        table: Where the comparability is written, None where nothing is published.
    """

    outcomes: tuple[SeasonOutcome, ...]
    pairs: tuple[Pair, ...]
    table: Address | None

    @property
    def exit_status(self) -> int:
        """0 if every tile of every season is mapped, 3 if some failed."""
        return TileError.exit_status if any(outcome.failed for outcome in self.outcomes) else 0


def years_of(text: str) -> list[int]:
    """The harvest years that ``--years`` names, in order: ``2017:2024``, ``2017,2019``, ``2019``, or several of these.

    Raises:
        InputError: If it names none, or years that there are no seasons of.
    """
    years: set[int] = set()
    for part in text.split(","):
        span = SPAN.fullmatch(part.strip())
        if span is None:
            raise InputError(f"--years {text}: {part.strip()!r} is no year; write 2017:2024, or 2017,2019")
        first, last = int(span[1]), int(span[2] or span[1])
        if first > last:
            raise InputError(f"--years {text}: {first} is after {last}; write the earlier one first")
        for year in (first, last):
            if not FIRST_YEAR <= year <= LAST_YEAR:
                raise InputError(f"--years {text}: {year}; allowed are {FIRST_YEAR} to {LAST_YEAR}")
        years.update(range(first, last + 1))
    return sorted(years)


def run_backfill(config: MapConfiguration, years: Sequence[int], options: Options, quiet: bool) -> Backfill:
    """Map each season that lacks a published edition, tell what came of each, and write their comparability.

    A season with failed tiles does not stop the others. What would stop the next one as well does: an archive or an
    output that cannot be reached, somebody who asks for it, another run that holds an edition.

    Raises:
        InputError: If seasons cannot be mapped, told before anything is computed; or another run is at work on one.
        UnreachableError: If an archive or the output does not answer; progress is saved.
        CancelledError: If somebody asked the run of a season to stop.
    """
    report = reporter(quiet)
    planned = plan_seasons(config, years, options, report)
    outcomes: list[SeasonOutcome] = []
    try:
        for season in planned:
            outcomes.append(SeasonOutcome(season.season, "stopped", season.edition))  # unless it ends otherwise
            outcomes[-1] = work_on(config, season, options, report)
    except InputError:
        outcomes[-1] = SeasonOutcome(outcomes[-1].season, "refused", outcomes[-1].edition)
        raise
    finally:
        begun = len(outcomes)
        outcomes += [SeasonOutcome(season.season, "not begun", season.edition) for season in planned[begun:]]
        tell_outcomes(outcomes, report, quiet)
    table, found = write_comparability(config, report)
    return Backfill(tuple(outcomes), found, table)


def plan_seasons(
    config: MapConfiguration, years: Sequence[int], options: Options, report: Reporter
) -> list[SeasonPlan]:
    """What is to be done for each season, in order; archives are searched for each that would be opened.

    Raises:
        InputError: If some season cannot be mapped, all of them named; with ``skip_unusable``, if none can.
        UnreachableError: If an archive does not answer.
    """
    region = region_of(config)
    planned: list[SeasonPlan] = []
    refused: dict[int, str] = {}
    for year in sorted(years, reverse=options.newest_first):
        try:
            planned.append(plan_season(config, year, region, options))
        except InputError as error:
            refused[year] = str(error)
            continue
        season = planned[-1]
        same = ", made from the very same" if season.action == "skip" else ""
        scenes = "" if season.scenes is None else f"; {season.scenes} scenes{same}"
        text = f"{season.season}: {TOLD[season.action]}{scenes}"
        report.say("season_planned", text, **asdict(season))
    if refused and (not options.skip_unusable or not planned):
        raise InputError(refusal(refused, len(years), options))
    for year, why in refused.items():
        report.say("season_left_out", f"{config.season.name}-{year}: left out: {why}", year=year, why=why)
    return planned


def refusal(refused: dict[int, str], seasons: int, options: Options) -> str:
    """Why nothing is begun, in one line; what is wrong with every season alike is told once."""
    reasons = set(refused.values())
    if len(refused) == seasons and len(reasons) == 1:
        return reasons.pop()
    told = "; ".join(f"{year}: {refused[year]}" for year in sorted(refused))
    hint = "" if options.skip_unusable else " (--skip-unusable leaves them out)"
    return f"--years: {len(refused)} of {seasons} seasons cannot be mapped{hint}: {told}"


def plan_season(config: MapConfiguration, year: int, region: Region, options: Options) -> SeasonPlan:
    """What is to be done for a season.

    Raises:
        InputError: If it cannot be mapped.
        UnreachableError: If an archive does not answer.
    """
    plan = plan_of(config, year, region, options.provisional)
    folder = season_folder(config, year)
    folder.require_writable()
    edition = folder.find(plan.key)
    if edition is None:
        _, scenes = searched(config, plan, region, None)
        return SeasonPlan(year, str(plan.season), "map", None, scenes)
    if folder.status(edition) != "published":
        return SeasonPlan(year, str(plan.season), "continue", edition.id, None)
    if not options.refresh:
        return SeasonPlan(year, str(plan.season), "skip", edition.id, None)
    same, scenes = searched(config, plan, region, edition)
    return SeasonPlan(year, str(plan.season), "skip" if same else "refresh", edition.id, scenes)


def searched(config: MapConfiguration, plan: Plan, region: Region, edition: Edition | None) -> tuple[bool, int]:
    """Whether the archives have the very scenes that an edition was made from, and how many they have."""
    bounds = widened(region.bounds, plan.reach_m)
    found, absent, _ = find_inputs(plan.sources, bounds, plan.spans, config.run.backoff())
    return edition is not None and same_scenes(edition, found, absent, bounds), len(found)


def work_on(config: MapConfiguration, season: SeasonPlan, options: Options, report: Reporter) -> SeasonOutcome:
    """Map a season, or tell that it is published.

    Raises:
        InputError: If another run is at work on it.
        UnreachableError: If an archive or the output does not answer.
        CancelledError: If somebody asked it to stop.
    """
    report.say("season_started", f"{season.season}: {TOLD[season.action]}", **asdict(season))
    if season.action == "skip":
        edition = Edition(season_folder(config, season.year).folder / str(season.edition))
        failed = failures(edition)
        hint = f", with {len(failed)} failed tiles; 'stook retry' does them again" if failed else ""
        report.say("nothing_to_do", f"{season.season} is published as {edition.id}{hint}", edition=edition.id)
        return SeasonOutcome(season.season, "skipped", edition.id, failed=len(failed))
    refresh = season.action == "refresh"
    result = run_map(config, season.year, report, options.provisional, refresh)
    tell(result, report)
    return outcome_of(season.season, result)


def outcome_of(season: str, result: MapResult) -> SeasonOutcome:
    """What a run of a season came to."""
    return SeasonOutcome(
        season,
        "published" if result.published else "not published",
        result.edition.id,
        result.computed,
        result.carried,
        len(result.failed),
    )


def tell_outcomes(outcomes: Sequence[SeasonOutcome], report: Reporter, quiet: bool) -> None:
    """Report what came of each season; for people as a table."""
    if not quiet:
        shown = Table(box=None)
        for heading in ("season", "state", "edition"):
            shown.add_column(heading)
        for heading in ("computed", "carried", "failed"):
            shown.add_column(heading, justify="right")
        for each in outcomes:
            counts = (f"{count:,}" for count in (each.computed, each.carried, each.failed))
            shown.add_row(each.season, each.state, each.edition or "", *counts)
        Console(width=120).print(shown)
    states = [each.state for each in outcomes]
    told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    report.say("backfill_finished", f"{len(states)} seasons: {told}", seasons=[asdict(each) for each in outcomes])


def write_comparability(config: MapConfiguration, report: Reporter) -> tuple[Address | None, tuple[Pair, ...]]:
    """Write the comparability of all published seasons of the configuration's name, and tell each two neighbours.

    Raises:
        UnreachableError: If it cannot be written.
    """
    path = season_folder(config, LAST_YEAR).folder.parent / f"comparability-{config.season.name}.csv"
    with writing(path.parent):
        found = comparability(config.output, config.name, config.season.name)
        if found.table.empty:
            return None, ()
        write_table(found.table, path)
    told = tuple(pairs(found.table))
    for pair in told:
        report.say("seasons_compared", str(pair), **asdict(pair))
    report.say("comparability_written", f"comparability of the seasons: {path}", path=str(path))
    return path, told
