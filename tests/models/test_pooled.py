"""One vector per cell is the mean of the encoder's own, whatever it sees at once."""

import numpy as np
import pytest
import torch

from stook.models.bundle import Bundle, Conditions, Provenance, load_bundle
from stook.models.encoder import Chips, Encoder
from stook.models.errors import InputError
from stook.models.families import fingerprint
from stook.models.galileo import Galileo, GalileoSize
from stook.models.pooled import Pooled
from stook.models.presto import Presto, PrestoSize
from stook.models.quantiles import Conformal, QuantileHead
from stook.models.tasks import QuantileTask

MONTHS = np.arange(1, 5)


def small_presto() -> Encoder:
    torch.manual_seed(0)
    return Presto(PrestoSize(width=16, depth=1, heads=2)).eval()


def small_galileo() -> Encoder:
    torch.manual_seed(0)
    size = GalileoSize(width=32, depth=1, heads=2, patch_px=2, chip_px=2)
    return Galileo(size).eval()


def chips_of(encoder: Encoder, side: int, count: int = 3) -> Chips:
    """Random chips of a side, with a gap in time."""
    bands = len(encoder.specification.bands)
    values = np.random.default_rng(1).random((count, len(MONTHS), bands, side, side)).astype(np.float32)
    values[0, 2] = np.nan
    return Chips(values, MONTHS, np.full(len(MONTHS), 2023), np.tile([9.0, 36.0], (count, 1)))


@pytest.mark.parametrize("encoder", [small_presto(), small_galileo()], ids=["presto", "galileo"])
def test_a_cell_has_the_mean_of_its_pixels_or_patches(encoder: Encoder) -> None:
    pooled = Pooled.over(encoder, cell_px=4)
    cells = chips_of(encoder, side=4)
    side = encoder.specification.chip_px
    found = pooled.embed(cells)
    assert found.shape == (3, encoder.output.width, 1, 1)
    own = [
        encoder.embed(
            Chips(cells.values[..., y : y + side, x : x + side], cells.months, cells.years, cells.latlon)
        ).flatten(2)
        for y in range(0, 4, side)
        for x in range(0, 4, side)
    ]
    np.testing.assert_allclose(found[:, :, 0, 0], torch.cat(own, dim=2).mean(dim=2), atol=1e-5)


def test_pixels_without_any_value_are_left_out() -> None:
    encoder = small_presto()
    cells = chips_of(encoder, side=2, count=1)
    cells.values[:, :, :, 1, :] = np.nan
    seen = Chips(cells.values[..., :1, :1].repeat(2, -1), cells.months, cells.years, cells.latlon)
    seen.values[..., 0, 1] = cells.values[..., 0, 1]
    north = [
        encoder.embed(Chips(cells.values[..., :1, x : x + 1], cells.months, cells.years, cells.latlon))
        for x in range(2)
    ]
    found = Pooled.over(encoder, cell_px=2).embed(cells)
    np.testing.assert_allclose(found, (north[0] + north[1]) / 2, atol=1e-5)


def test_it_says_what_it_needs() -> None:
    pooled = Pooled.over(small_presto(), cell_px=10)
    assert pooled.specification.chip_px == pooled.output.patch_px == 10
    assert pooled.specification.masks_missing
    assert pooled.values_per_chip == 100 * pooled.inner.values_per_chip
    with pytest.raises(InputError, match="stride_px: 5; a cell has to be a whole number of chips of 2 px"):
        Pooled.over(small_galileo(), cell_px=5)


def test_a_bundle_keeps_it(tmp_path) -> None:  # type: ignore[no-untyped-def]
    pooled = Pooled.over(small_presto(), cell_px=10)
    task = QuantileTask(QuantileHead(16).eval(), Conformal.none((0.05, 0.25, 0.5, 0.75, 0.95)))
    provenance = Provenance("building_coverage", "Presto", None, "none", "nowhere", "card")
    Bundle(pooled, task, Conditions(1, 4, stride_px=10), provenance).save(tmp_path / "bundle")
    again = load_bundle(tmp_path / "bundle").encoder
    assert fingerprint(again) == fingerprint(pooled)
    cells = chips_of(pooled, side=10, count=2)
    assert torch.equal(again.embed(cells), pooled.embed(cells))
