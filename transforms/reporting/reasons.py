"""Why two editions say different things of the same ground, in words, from what they were made from."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from stook.transforms.editions.plan import DerivedPlan, ProductPlan
from stook.transforms.encoding.encodings import Encoding
from stook.transforms.reporting.made import Made

SHOWN_OF_HASH = 8
RULES = {
    "threshold": "threshold of its smoothing",
    "majority_cells": "window of its smoothing",
    "minimum_cells": "minimum mapping unit",
    "cropland_threshold": "threshold of cropland",
    "least_cropland_percent": "least share of cropland",
    "piles_threshold": "threshold of harvest piles",
}


def map_reasons(before: Made, after: Made, product: str) -> list[str]:
    """What differs between two editions of one season that can change a product's areas, scenes included."""
    return [*_scenes(before, after, product), *method_reasons(before, after, product), *_software(before, after)]


def method_reasons(before: Made, after: Made, product: str) -> list[str]:
    """What differs between two editions, of whatever seasons, but for the scenes themselves.

    Models, units, archives and their processing baselines, settings, the version of the computation.
    """
    return list(
        dict.fromkeys(
            [
                *_models(before, after, product),
                *_units(before, after),
                *_archives(before, after, product),
                *_settings(before, after, product),
            ]
        )
    )


def sample_reasons(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between the summaries of two sets of estimates."""
    told = []
    one, other = before["sample"]["id"], after["sample"]["id"]
    if one != other:
        told.append(f"sample: {one}, now {other}")
    hashes = set(before["answers"].values()), set(after["answers"].values())
    if hashes[0] != hashes[1]:
        told.append(
            f"answers: {len(hashes[1] - hashes[0])} files are new or changed, {len(hashes[0] - hashes[1])} are gone"
        )
    if before["rule"] != after["rule"]:
        told.append(f"rule where interpreters disagree: {before['rule']}, now {after['rule']}")
    return told


def _scenes(before: Made, after: Made, product: str) -> Iterator[str]:
    """Scenes that were added, removed or processed anew, by sensor."""
    pairs = [
        (before.scenes_read(old), after.scenes_read(new))
        for old, new in zip(before.made_by_models(product), after.made_by_models(product), strict=False)
    ]
    if not pairs:
        return
    old, new = (_together(list(frames)) for frames in zip(*pairs, strict=True))
    sources = old.index.get_level_values("source"), new.index.get_level_values("source")
    for sensor in sorted(set(sources[0]) | set(sources[1])):
        was, now = old[sources[0] == sensor], new[sources[1] == sensor]
        both = was.index.intersection(now.index)
        updated = (was.loc[both, ["baseline", "updated"]] != now.loc[both, ["baseline", "updated"]]).any(axis=1)
        counts = {"added": len(now) - len(both), "removed": len(was) - len(both), "updated": int(updated.sum())}
        if any(counts.values()):
            told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
            yield f"scenes of {sensor}: {told}"


def _models(before: Made, after: Made, product: str) -> Iterator[str]:
    old = {one.product: one for one in before.made_by_models(product)}
    for new in after.made_by_models(product):
        was = old.get(new.product)
        if was is None:
            continue
        if was.model_hash != new.model_hash:
            of = "" if new.product == product else f" of {new.product}"
            yield f"model{of}: bundle {was.model_hash[:SHOWN_OF_HASH]}, now {new.model_hash[:SHOWN_OF_HASH]}"


def _units(before: Made, after: Made) -> Iterator[str]:
    if before.plan.units_hash != after.plan.units_hash:
        one, other = before.plan.units_hash[:SHOWN_OF_HASH], after.plan.units_hash[:SHOWN_OF_HASH]
        yield f"units: {one}, now {other}"


def _archives(before: Made, after: Made, product: str) -> Iterator[str]:
    read = {sensor for one in after.made_by_models(product) for sensor in one.encoding.sensors}
    for sensor in sorted(read & (before.plan.sources.keys() | after.plan.sources.keys())):
        old, new = before.plan.sources.get(sensor), after.plan.sources.get(sensor)
        if old is None or new is None:
            yield f"imagery of {sensor}: {'not read before' if old is None else 'no longer read'}"
            continue
        for name in ("catalog", "collection", "profile"):
            one, other = getattr(old, name), getattr(new, name)
            if one != other:
                yield f"{name} of {sensor}: {one}, now {other}"
        one, other = (_baselines(made, sensor) for made in (before, after))
        if one != other:
            yield f"processing baselines of {sensor}: {one or 'none'}, now {other or 'none'}"


def _settings(before: Made, after: Made, product: str) -> Iterator[str]:
    old, new = before.plan, after.plan
    for words, one, other in (
        ("version of the computation", old.processing, new.processing),
        ("pixel, m", old.grid.resolution_m, new.grid.resolution_m),
        ("pixels by which cloud grows", old.cloud_dilation_px, new.cloud_dilation_px),
        ("provisional", _yes(old.provisional), _yes(new.provisional)),
    ):
        if one != other:
            yield f"{words}: {one}, now {other}"
    were = {one.product: one for one in before.made_by_models(product)}
    for made in after.made_by_models(product):
        if made.product in were:
            yield from _settings_of(were[made.product], made, before, after)
    derived = before.product(product), after.product(product)
    if isinstance(derived[0], DerivedPlan) and isinstance(derived[1], DerivedPlan):
        rules = asdict(derived[0].rule), asdict(derived[1].rule)
        for name in sorted(rules[0].keys() & rules[1].keys()):
            if rules[0][name] != rules[1][name]:
                yield f"{RULES[name]}: {rules[0][name]}, now {rules[1][name]}"


def _settings_of(old: ProductPlan, new: ProductPlan, before: Made, after: Made) -> Iterator[str]:
    """Settings of one product of a model."""
    windows = _window(old, before), _window(new, after)
    for words, one, other in (
        ("window", *windows),
        ("minimum of observations", old.minimum_observations, new.minimum_observations),
        ("quantiles", old.quantiles, new.quantiles),
        ("of several pictures", old.combination, new.combination),
        ("cell, pixels", old.cell_px, new.cell_px),
    ):
        if one != other:
            yield f"{words}: {one}, now {other}"
    if old.model_hash == new.model_hash and windows[0] == windows[1]:
        encodings = [asdict(made.encoding) | {"periods": None} for made in (old, new)]
        changed = sorted(name for name in encodings[0] if encodings[0][name] != encodings[1].get(name))
        if changed:
            yield f"how the encoder reads: {', '.join(changed)}"


def _software(before: Made, after: Made) -> Iterator[str]:
    both = before.versions.keys() & after.versions.keys()
    changed = [name for name in sorted(both) if before.versions[name] != after.versions[name]]
    if changed:
        told = ", ".join(f"{name} {before.versions[name]}, now {after.versions[name]}" for name in changed)
        yield f"software: {told}"


def _window(product: ProductPlan, made: Made) -> str:
    """The months that a product reads, relative to the harvest year, so that years can be compared."""
    year = made.plan.season.year
    ends = product.encoding.periods[0].first, product.encoding.periods[-1].after
    told = " up to ".join(f"{day:%m-%d} of year {day.year - year:+d}" for day in ends)
    steps = len(product.encoding.periods)
    return told if not isinstance(product.encoding, Encoding) else f"{told} in {steps} steps"


def _baselines(made: Made, sensor: str) -> str:
    scenes = made.scenes[made.scenes.index.get_level_values("source") == sensor]
    return " and ".join(sorted({baseline for baseline in scenes["baseline"] if baseline}))


def _together(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Scenes of several products, each once."""
    whole = pd.concat(frames)
    return whole[~whole.index.duplicated()]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
