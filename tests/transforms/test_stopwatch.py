"""Seconds by step: of steps within each other each second is counted once."""

import time

import pytest

from stook.transforms.stopwatch import Stopwatch


def test_a_second_of_a_step_within_another_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([0.0, 1.0, 3.0, 7.0, 10.0, 11.0, 15.0, 30.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(looks))
    watch = Stopwatch()
    with watch.step("composite"):  # 0 to 30
        with watch.step("read"), watch.step("open"):  # 1 to 10, of that 3 to 7
            pass
        with watch.step("read"):  # 11 to 15
            pass
    assert watch.seconds == {"open": 4.0, "read": 9.0, "composite": 17.0}
