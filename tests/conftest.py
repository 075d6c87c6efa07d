"""What every test may use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is imported: tests run in several processes, whose threads would only wait for each other's processor.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine makes an example slow, not wrong.
settings.register_profile("stook", deadline=None)
settings.load_profile("stook")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """The folder of real imagery, labels and weights; tests that use it are marked ``shared``."""
    return SHARED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, and say so, what needs ``../shared`` where it is absent."""
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(pytest.mark.skip(reason=f"{SHARED} is absent"))
