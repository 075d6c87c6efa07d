"""A head is of no use on an encoder that is fed otherwise than its specification says."""

from pathlib import Path

import numpy as np
import pytest

from tests.evidence.normalisation import Sites, reversed_bands

PIXELS = 400
MARGIN = 0.2  # of the mean AUC of both directions; the least of eight draws of pixels was 0.4


@pytest.mark.shared
@pytest.mark.slow
def test_a_head_is_lost_where_the_map_reads_the_bands_in_another_order(tmp_path: Path) -> None:
    sites = Sites(tmp_path)
    specification = sites.presto.specification
    right, wrong = (sites.seen(each, PIXELS) for each in (specification, reversed_bands(specification)))
    expected, found = (np.mean(list(sites.transferred(right, judged).values())) for judged in (right, wrong))
    assert expected > found + MARGIN
