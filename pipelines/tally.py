"""What a run did, added up over its tiles: from Beam's metrics, or tile by tile."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apache_beam.metrics.metric import MetricResults, MetricsFilter

from stook.transforms.tiles.map_tiles import DEVICES, MILLISECONDS, NAMESPACE
from stook.transforms.tiles.summary import TileSummary


class TileFaultError(RuntimeError):
    """A fault of ours left tiles without a record; the others came to their end, and are added up."""


@dataclass(frozen=True)
class Worked:
    """What a run did, or a part of it.

    Attributes:
        computed: Tiles of which it made something, or failed to.
        carried: Tiles of which it took everything over from the edition before.
        failed: Of ``computed``, those that failed.
        seconds: By step, summed over tiles.
        amounts: See ``stook.transforms.amounts.Amounts``; summed over tiles.
        devices: Where encoders ran.
    """

    computed: int = 0
    carried: int = 0
    failed: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    amounts: Mapping[str, int] = field(default_factory=dict)
    devices: frozenset[str] = frozenset()

    def __add__(self, other: "Worked") -> "Worked":
        """Both together."""
        return Worked(
            self.computed + other.computed,
            self.carried + other.carried,
            self.failed + other.failed,
            _sum(self.seconds, other.seconds),
            _sum(self.amounts, other.amounts),
            self.devices | other.devices,
        )

    @classmethod
    def of_tile(cls, summary: TileSummary) -> "Worked":
        """What was done for one tile."""
        failed = summary.outcome == "failed"
        return cls(
            int(failed or summary.outcome == "done"),
            int(summary.outcome == "carried"),
            int(failed),
            summary.seconds,
            summary.amounts,
            frozenset([summary.device]) - {""},
        )

    @classmethod
    def of_metrics(cls, metrics: MetricResults) -> "Worked":
        """What the metrics of a pipeline add up to, see ``stook.transforms.tiles.map_tiles.count``."""
        found, counts = metrics.query(MetricsFilter().with_namespace(NAMESPACE)), counts_of(metrics)
        outcomes = {name: counts.pop(name) for name in list(counts) if name.startswith("tiles_")}
        failed = outcomes.get("tiles_failed", 0)
        times = {each.key.metric.name: each.result.sum / 1000 for each in found["distributions"]}
        return cls(
            outcomes.get("tiles_done", 0) + failed,
            outcomes.get("tiles_carried", 0),
            failed,
            {name.removesuffix(MILLISECONDS): seconds for name, seconds in times.items()},
            counts,
            frozenset(words_of(metrics, DEVICES)),
        )


@dataclass
class Tally:
    """What a stage has done so far; kept also where it is stopped.

    Attributes:
        worked: In all.
        faults: Of ours, each of which left a tile without a record; of many, some.
    """

    worked: Worked = field(default_factory=Worked)
    faults: list[str] = field(default_factory=list)

    def add(self, worked: Worked) -> None:
        """Add a part."""
        self.worked += worked


def counts_of(metrics: MetricResults) -> dict[str, int]:
    """The counters of a pipeline by name."""
    found = metrics.query(MetricsFilter().with_namespace(NAMESPACE))["counters"]
    return {each.key.metric.name: each.result for each in found}


def words_of(metrics: MetricResults, name: str) -> list[str]:
    """What a string set of the metrics holds; of several bundles Beam may keep those of one only."""
    found: list[Any] = metrics.query(MetricsFilter().with_name(name))["string_sets"]
    return [word for each in found for word in each.result]


def _sum(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in dict.fromkeys((*one, *other))}
