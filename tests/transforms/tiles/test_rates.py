"""From work to time: what tiles share and what they need alone."""

import pytest

from stook.transforms.tiles.rates import Cost, Past, Rates, Speed, Work, duration

WORK = Work(tiles=10, assets={"composite": 100.0, "picture": 0.0}, pixels={"small": 1000.0})
RATES = Rates("here", {"composite": Cost(0.5, 0.25)}, {"small": Cost(0.1, 0.15, 0.1)}, Cost(1.0, 0.5), start_s=3.0)


@pytest.mark.parametrize(
    ("speed", "seconds", "bound"),
    [
        (Speed(1), 50 + 10 + 100, "tiles in flight"),
        (Speed(2), 100, "accelerator"),  # half of 160 would do, but encoders take turns
        (Speed(2, processors=1), 25 + 5 + 150, "CPU"),
        (Speed(1, reading=2, encoding=10), 30 + 10, "tiles in flight"),
        (Speed(1, machines=2), 80, "tiles in flight"),
        (Speed(64, machines=100), 16, "tiles in flight"),  # more machines than tiles help nobody
    ],
)
def test_a_run_takes_what_its_slowest_part_takes(speed: Speed, seconds: float, bound: str) -> None:
    took = duration(WORK, RATES, speed)
    assert took is not None
    assert (took.seconds, took.bound) == (pytest.approx(seconds + 3), bound)


def test_reading_and_encoding_are_told_apart() -> None:
    took = duration(WORK, RATES, Speed(2))
    assert took is not None and (took.reading, took.encoding) == (pytest.approx(30), pytest.approx(100))


@pytest.mark.parametrize("missing", [{"opened": {}}, {"shown": {}}])
def test_without_a_rate_there_is_no_time(missing: dict[str, dict[str, Cost]]) -> None:
    rates = Rates("here", missing.get("opened", RATES.opened), missing.get("shown", RATES.shown), RATES.tile)
    assert duration(WORK, rates, Speed(1)) is None


def test_the_same_work_again_takes_the_same_time() -> None:
    steps = {"read": 60.0, "encode": 100.0, "write": 5.0, "areas": 1.0}
    past = Past("e", seconds=120.0, tiles=10, assets=100, pixels=1000, in_flight=2, steps=steps)
    rates = past.rates(WORK.assets, WORK.pixels)
    again, twice = duration(WORK, rates, Speed(2)), duration(doubled(WORK), rates, Speed(2))
    assert again is not None and again.seconds == pytest.approx(120)
    assert twice is not None and twice.seconds == pytest.approx(240)
    assert "edition e" in rates.source


def doubled(work: Work) -> Work:
    return Work(
        2 * work.tiles,
        {kind: 2 * count for kind, count in work.assets.items()},
        {encoder: 2 * count for encoder, count in work.pixels.items()},
    )
