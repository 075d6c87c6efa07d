"""Chips are held once, and what does not fit is refused with the number that would."""

import os
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stook.models.encoder import Chips
from stook.models.errors import InputError
from stook.models.fine_tuning import LabelledChips
from stook.models.specification import Band, InputSpecification
from stook.pipelines import chip_memory
from stook.pipelines.chip_memory import require_room
from stook.pipelines.chips import by_side
from stook.transforms.ground.squares import Squares
from stook.transforms.labelled.chips_of_cells import PlacedChips
from stook.transforms.memory import available_bytes

BANDS = tuple(Band(name, "rgb", 0.0, 1.0) for name in ("red", "green", "blue"))
PICTURES = InputSpecification(BANDS, 0.5, 512, "part", 1, "bilinear", masks_missing=False)


def test_what_is_available_is_some_of_what_the_machine_has() -> None:
    assert 0 < available_bytes() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_chips_of_512_px_are_refused_in_one_line_with_the_number_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chip_memory, "available_bytes", lambda: 24_000_000_000)
    require_room([2000], [2000], PICTURES, 1, 50_000)
    reason = (
        "training.most_pixels: 50000: the chips of 20000 labels take 125.8 GB of memory (3.15 MB each, those of one "
        "place twice), but 24.0 GB are available; 3051 labels per place would fit"
    )
    with pytest.raises(InputError, match=re.escape(reason)):
        require_room([20_000], [], PICTURES, 1, 50_000)


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=4),
    st.lists(st.integers(1, 500), max_size=3),
    st.integers(1, 1000),
)
def test_what_is_said_to_fit_is_accepted_and_one_more_is_not(trained: list[int], judged: list[int], chips: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chip_memory, "available_bytes", lambda: int(chips * 3 * 512**2 * 4 / chip_memory.USABLE_SHARE))
        try:
            require_room(trained, judged, PICTURES, 1, 500)
        except InputError as error:
            found = re.search(r"(\d+) labels per place would fit", str(error))
            assert found
            most = int(found[1])
            thinned = [min(each, most) for each in trained], [min(each, most) for each in judged]
            if most:
                require_room(*thinned, PICTURES, 1, most)
            with pytest.raises(InputError):
                more = [min(each, most + 1) for each in trained], [min(each, most + 1) for each in judged]
                require_room(*more, PICTURES, 1, most + 1)


def placed(count: int, first: int) -> PlacedChips:
    number = np.arange(first, first + count)
    values = np.broadcast_to(number[:, None, None, None, None], (count, 1, 3, 2, 2)).astype(np.float32)
    chips = Chips(values, np.array([11]), np.array([2023]), np.column_stack([number, number]).astype(float))
    squares = Squares(np.full(count, "32637"), number.astype(float), number.astype(float), 1.0)
    return PlacedChips(LabelledChips(chips, number.astype(np.float32), number), squares)


def test_chips_of_several_places_are_divided_and_their_places_let_go() -> None:
    parts = [placed(5, 0), placed(3, 5), placed(4, 8)]
    sides = np.array(["train", "check", "", "train", "train", "", "check", "", "train", "train", "", "check"])
    found = by_side(parts, sides)
    assert parts == [] and set(found) == {"train", "check"}
    for name, side in found.items():
        wanted = np.flatnonzero(sides == name)
        assert np.array_equal(side.targets, wanted) and np.array_equal(side.blocks, wanted)
        assert np.array_equal(side.chips.values[:, 0, 0, 0, 0], wanted)
        assert np.array_equal(side.chips.latlon[:, 0], wanted)
