"""Galileo equals the reference implementation, whatever the gaps and the patches."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stook.models.encoder import Chips
from stook.models.errors import InputError
from stook.models.galileo import BANDS, SPACE, SPACE_TIME, STATIC, TIME, Galileo, GalileoSize, Groups, with_ndvi

CASES = ("s2_patch4", "s1s2_patch2", "s2_patch1", "s2_patch8")
TOLERANCE = 1e-5
NOT_BY_DEVIATION = ("NDVI", "DW", "WC", "location", "DW_static", "WC_static")
SMALL = {"width": 32, "depth": 1, "heads": 2}


def published_nano(shared: Path) -> dict[str, Tensor]:
    """Tensors of the nano checkpoint."""
    return torch.load(shared / "weights/galileo/nano_encoder.pt", map_location="cpu", weights_only=True)


def difference(galileo: Galileo, golden: Mapping[str, np.ndarray], case: str) -> float:
    """Greatest difference from the reference's means over chips and over patches, in one golden case."""
    values, mask, months = (torch.tensor(golden[f"{case}/{k}"]) for k in ("space_time", "space_time_mask", "months"))
    with torch.inference_mode():
        answers = galileo(values, mask.bool(), months, int(golden[f"{case}/patch_size"]))
    expected = (golden[f"{case}/{name}"] for name in ("mean_embedding", "patch_embedding"))
    return max(float(np.abs(a.numpy() - e).max()) for a, e in zip(answers, expected, strict=True))


@pytest.mark.shared
@pytest.mark.parametrize("case", CASES)
def test_embeddings_equal_the_reference(shared: Path, case: str) -> None:
    galileo, _ = Galileo.of_published(published_nano(shared), GalileoSize())
    with np.load(shared / "golden/galileo_nano.npz") as golden:
        assert difference(galileo, golden, case) <= TOLERANCE


@pytest.mark.shared
def test_the_published_checkpoint_is_used_whole(shared: Path) -> None:
    state = published_nano(shared)
    galileo, dropped = Galileo.of_published(state, GalileoSize())
    assert set(galileo.state_dict()) == set(state)
    assert dropped == ()


@pytest.mark.shared
@pytest.mark.parametrize(("count", "groups"), [(13, SPACE_TIME), (16, SPACE), (6, TIME), (18, STATIC)])
def test_values_are_normalised_by_the_published_statistics(shared: Path, count: int, groups: Groups) -> None:
    published = json.loads((shared / "weights/galileo/normalization.json").read_text())[str(count)]
    channels = [(name, scaling) for name, group in groups.items() for scaling in group.values()]
    assert len(channels) == count
    for (name, (shift, divide)), mean, std in zip(channels, published["mean"], published["std"], strict=True):
        if name not in NOT_BY_DEVIATION:
            assert (mean + shift) / divide == pytest.approx(0.5)
            assert (mean + 2 * std + shift) / divide == pytest.approx(1)


@pytest.mark.shared
def test_composites_normalise_as_published_counts(shared: Path) -> None:
    published = json.loads((shared / "weights/galileo/normalization.json").read_text())["13"]
    mean, std = (np.array(published[part])[:, None, None] for part in ("mean", "std"))
    counts = np.random.default_rng(0).integers(1, 8000, (3, 2, 12, 4, 4)).astype(float)
    counts[:, :, :2] = -counts[:, :, :2] / 400
    expected = (counts - (mean - 2 * std)[:12]) / (4 * std)[:12]
    nir, red = counts[:, :, 8], counts[:, :, 4]
    composites = np.where(np.array([band.sensor == "sentinel2" for band in BANDS])[:, None, None], counts / 1e4, counts)
    specification, _ = Galileo.interface(GalileoSize())
    x = with_ndvi(specification.scaled(torch.tensor(composites, dtype=torch.float32))).numpy()
    assert np.abs(x[:, :, :12] - expected).max() < TOLERANCE
    assert np.abs(x[:, :, 12] - (nir - red) / (nir + red)).max() < TOLERANCE


@pytest.mark.parametrize(
    ("width", "depth", "heads", "millions"), [(128, 4, 8, 1.04), (192, 12, 3, 5.71), (768, 12, 12, 86.5)]
)
def test_nano_tiny_and_base_have_the_published_number_of_parameters(
    width: int, depth: int, heads: int, millions: float
) -> None:
    with torch.device("meta"):
        galileo = Galileo(GalileoSize(width=width, depth=depth, heads=heads))
    assert sum(tensor.numel() for tensor in galileo.state_dict().values()) / 1e6 == pytest.approx(millions, rel=3e-3)


def small(**dimensions: int) -> Galileo:
    torch.manual_seed(0)
    return Galileo(GalileoSize(**SMALL, **dimensions)).eval()


def chips(count: int, side: int, gaps: float = 0.3, seed: int = 1) -> Chips:
    random = np.random.default_rng(seed)
    values = random.uniform(0, 0.5, (count, 6, 12, side, side)).astype(np.float32)
    values[:, :, :2] = -values[:, :, :2] * 40
    values[random.random(values.shape[:3]) < gaps] = np.nan
    return Chips(values, np.arange(4, 10), np.full(6, 2019), random.uniform(-60, 60, (count, 2)))


@pytest.mark.parametrize("patch_px", range(1, 9))
def test_every_patch_size_gives_a_vector_per_patch(patch_px: int) -> None:
    galileo = small(patch_px=patch_px, chip_px=2 * patch_px)
    vectors = galileo.embed(chips(3, 2 * patch_px))
    assert vectors.shape == (3, 32, 2, 2)
    assert vectors.isfinite().all()
    assert galileo.output.patch_px == patch_px


def test_a_chip_embeds_the_same_alone_and_among_others_with_other_gaps() -> None:
    galileo, together = small(), chips(16, 4)
    alone = torch.cat(
        [
            galileo.embed(
                Chips(together.values[i : i + 1], together.months, together.years, together.latlon[i : i + 1])
            )
            for i in range(16)
        ]
    )
    assert torch.abs(galileo.embed(together) - alone).max() < TOLERANCE


def test_what_is_masked_is_not_looked_at() -> None:
    galileo, random = small(), torch.Generator().manual_seed(0)
    values = torch.rand(2, 4, 4, 3, 13, generator=random)
    mask = torch.rand(2, 4, 4, 3, 7, generator=random) < 0.2
    sizes = torch.tensor([len(group) for group in SPACE_TIME.values()])
    spoiled = values.masked_fill(mask.repeat_interleave(sizes, dim=-1), torch.nan)
    months = torch.tensor([[0, 1, 2], [5, 6, 7]])
    with torch.inference_mode():
        for answer, same in zip(galileo(values, mask, months, 2), galileo(spoiled, mask, months, 2), strict=True):
            assert torch.equal(answer, same)


def test_what_no_chip_of_the_batch_has_costs_nothing() -> None:
    galileo, given, counted = small(), chips(2, 4, gaps=0), []
    given.values[:, :, :2] = np.nan
    given.values[:, 3:] = np.nan
    galileo.blocks[0].register_forward_pre_hook(lambda _, arguments: counted.append(arguments[0].shape[1]))
    galileo.embed(given)
    assert counted == [1 + 16 * 3 * 6]


def without(given: Chips, *hole: int | slice) -> Chips:
    """The chips with a hole at [chip, period, band, y, x]."""
    values = given.values.copy()
    values[hole] = np.nan
    return Chips(values, given.months, given.years, given.latlon)


def test_a_missing_pixel_hides_its_group_in_its_patch() -> None:
    galileo, given = small(patch_px=2), chips(1, 4, gaps=0)
    blue, red = (galileo.specification.band_names.index(name) for name in ("blue", "red"))
    patch = slice(0, 2)
    whole_group = galileo.embed(without(given, 0, 2, slice(blue, red + 1), patch, patch))
    # Red takes the NDVI with it, blue does not.
    assert torch.equal(galileo.embed(without(given, 0, 2, red, 0, 1)), whole_group)
    assert not torch.equal(galileo.embed(without(given, 0, 2, blue, 0, 1)), whole_group)
    assert not torch.equal(galileo.embed(given), whole_group)


def test_a_patch_where_nothing_was_seen_has_no_vector() -> None:
    galileo, given = small(patch_px=2), chips(2, 4, gaps=0)
    everything, top, right = slice(None), slice(0, 2), slice(2, 4)
    once = without(given, 1, everything, 0, top, right)
    missing = galileo.embed(without(once, 0, everything, everything, top, right)).isnan()
    assert missing[0, :, 0, 1].all()
    assert missing.sum() == galileo.size.width
    assert galileo.embed(without(given, everything)).isnan().all()


def test_the_place_of_a_chip_counts() -> None:
    galileo, given = small(), chips(1, 4)
    elsewhere = Chips(given.values, given.months, given.years, -given.latlon)
    assert not torch.equal(galileo.embed(given), galileo.embed(elsewhere))


@pytest.mark.parametrize("modality", ["space", "time", "static"])
def test_a_modality_that_is_masked_is_as_good_as_absent(modality: str) -> None:
    galileo, random = small(), torch.Generator().manual_seed(0)
    values, months = torch.rand(2, 4, 4, 3, 13, generator=random), torch.arange(3).expand(2, -1)
    mask = torch.zeros(2, 4, 4, 3, 7, dtype=torch.bool)
    shape, groups, channels = {
        "space": ((2, 4, 4), SPACE, 16),
        "time": ((2, 3), TIME, 6),
        "static": ((2,), STATIC, 18),
    }[modality]
    given = torch.rand(*shape, channels, generator=random)
    hidden = torch.ones(*shape, len(groups), dtype=torch.bool)
    with torch.inference_mode():
        without = galileo(values, mask, months, 2)
        masked = galileo(values, mask, months, 2, **{modality: (given, hidden)})
        seen = galileo(values, mask, months, 2, **{modality: (given, ~hidden)})
    for a, b, c in zip(without, masked, seen, strict=True):
        assert torch.equal(a, b)
        assert not torch.allclose(a, c)


def test_it_can_be_trained_after_it_has_embedded_in_lower_precision() -> None:
    galileo, given = small(patch_px=3, chip_px=6), chips(1, 6, gaps=0)
    with torch.autocast("cpu", torch.bfloat16):
        rough = galileo.embed(given)
    exact = galileo.embed(given)
    assert 0 < torch.abs(rough - exact).max() < 0.1
    x = torch.rand(1, 6, 6, 2, 13)
    galileo(x, torch.zeros(1, 6, 6, 2, 7, dtype=torch.bool), torch.zeros(1, 2).long(), 3)[0].sum().backward()
    assert galileo.space_time_embed["S2_RGB"].proj.weight.grad is not None


def test_keys_of_files_that_wrap_the_encoder_are_renamed() -> None:
    galileo = small()
    wrapped = {name.replace("blocks.0", "blocks.0.backbone"): tensor for name, tensor in galileo.state_dict().items()}
    again, dropped = Galileo.of_published(wrapped, galileo.size)
    assert dropped == ()
    assert torch.equal(again.embed(chips(1, 4)), galileo.embed(chips(1, 4)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("norm.bias"), "norm.bias is missing"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra is unknown"),
        (lambda state: state.update({"norm.bias": torch.zeros(3)}), r"norm.bias is \[3\], expected \[32\]"),
    ],
)
def test_other_tensors_than_the_encoders_are_refused(
    change: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    state = small().state_dict()
    change(state)
    with pytest.raises(InputError, match=message):
        Galileo.of_published(state, GalileoSize(**SMALL))


@pytest.mark.parametrize("dimensions", [{"patch_px": 0}, {"patch_px": 9, "chip_px": 9}, {"patch_px": 3, "chip_px": 4}])
def test_patches_that_do_not_fit_are_refused(dimensions: dict[str, int]) -> None:
    with pytest.raises(InputError, match="patch_px"):
        GalileoSize(**dimensions)
