"""SatMAE equals the reference implementation in all three variants."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stook.models.encoder import Chips
from stook.models.errors import InputError
from stook.models.satmae import (
    FIRST_YEAR,
    HOUR,
    REFLECTANCES,
    GroupSize,
    PictureSize,
    SatMAE,
    SatMAEGroup,
    SatMAERgb,
    SatMAESize,
    SatMAETemporal,
)

CASES: dict[str, type[SatMAE]] = {
    "group_cls": SatMAEGroup,
    "group_pool": SatMAEGroup,
    "rgb": SatMAERgb,
    "temporal": SatMAETemporal,
}
TOLERANCE = 1e-5
FAMILIES: tuple[type[SatMAE], ...] = (SatMAERgb, SatMAETemporal, SatMAEGroup)
BASE = {"width": 768, "depth": 12, "heads": 12}


def golden_part(shared: Path, case: str, part: str) -> dict[str, Tensor]:
    """Arrays of one part of a golden file: ``state``, ``input``, ``output`` or ``meta``."""
    with np.load(shared / f"golden/satmae_{case}.npz") as golden:
        names = [name for name in golden.files if name.startswith(f"{part}/")]
        return {name.removeprefix(f"{part}/"): torch.tensor(golden[name]) for name in names}


def golden_size(shared: Path, case: str) -> SatMAESize:
    """Dimensions of the small encoder of a golden file."""
    meta = {name: value.item() for name, value in golden_part(shared, case, "meta").items()}
    dimensions = {
        "width": meta["embed_dim"],
        "depth": meta["depth"],
        "heads": meta["heads"],
        "patch_px": meta["patch"],
        "image_px": meta["image"],
        "pool": "mean" if meta["global_pool"] else "cls",
    }
    if "channel_embed" in meta:
        dimensions["channel_width"] = meta["channel_embed"]
    return CASES[case].size_type(**dimensions)


def difference(shared: Path, case: str) -> float:
    """Greatest difference from the reference's feature vectors in one golden file."""
    encoder, _ = CASES[case].of_published(golden_part(shared, case, "state"), golden_size(shared, case))
    with torch.inference_mode():
        features = encoder(*golden_part(shared, case, "input").values())
    return float((features - golden_part(shared, case, "output")["features"]).abs().max())


@pytest.mark.shared
@pytest.mark.parametrize("case", CASES)
def test_features_equal_the_reference(shared: Path, case: str) -> None:
    assert difference(shared, case) <= TOLERANCE


@pytest.mark.shared
@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_is_used_whole_but_for_its_classifier(shared: Path, case: str) -> None:
    state = golden_part(shared, case, "state")
    encoder, dropped = CASES[case].of_published(state, golden_size(shared, case))
    assert dropped == ("head.weight", "head.bias")
    assert set(encoder.state_dict()) == set(state) - set(dropped)


@pytest.mark.shared
@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_is_refused_where_it_is_to_be_read_by_a_norm_it_has_not(shared: Path, case: str) -> None:
    size = golden_size(shared, case)
    wrong, norm = ("cls", "norm") if size.pool == "mean" else ("mean", "fc_norm")
    with pytest.raises(InputError, match=f"{norm}.weight is missing"):
        CASES[case].of_published(golden_part(shared, case, "state"), replace(size, pool=wrong))


@pytest.mark.parametrize("width", [768, 1024])
@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_have_the_published_shapes(family: type[SatMAE], width: int) -> None:
    dimensions = BASE if width == 768 else {}
    with torch.device("meta"):
        shapes = {name: tuple(v.shape) for name, v in family(family.size_type(**dimensions)).state_dict().items()}
    own = {
        SatMAERgb: {"pos_embed": (1, 197, width), "patch_embed.proj.weight": (width, 3, 16, 16)},
        SatMAETemporal: {"pos_embed": (1, 197, width - 384), "patch_embed.proj.weight": (width, 3, 16, 16)},
        SatMAEGroup: {
            "pos_embed": (1, 145, width - 256),
            "channel_embed": (1, 3, 256),
            "channel_cls_embed": (1, 1, 256),
            "patch_embed.0.proj.weight": (width, 4, 8, 8),
            "patch_embed.1.proj.weight": (width, 4, 8, 8),
            "patch_embed.2.proj.weight": (width, 2, 8, 8),
        },
    }[family]
    last = 11 if width == 768 else 23
    expected = own | {
        "cls_token": (1, 1, width),
        "blocks.0.attn.qkv.weight": (3 * width, width),
        "blocks.0.attn.qkv.bias": (3 * width,),
        "blocks.0.attn.proj.weight": (width, width),
        f"blocks.{last}.mlp.fc1.weight": (4 * width, width),
        f"blocks.{last}.mlp.fc2.weight": (width, 4 * width),
        "norm.weight": (width,),
    }
    assert {name: shapes.get(name) for name in expected} == expected
    assert not any(name.startswith(f"blocks.{last + 1}.") for name in shapes)


@pytest.mark.parametrize(("dimensions", "count"), [({}, 303_301_632), (BASE, 85_798_656)])
def test_the_rgb_encoder_is_a_plain_vision_transformer(dimensions: dict[str, int], count: int) -> None:
    with torch.device("meta"):
        encoder = SatMAERgb(PictureSize(**dimensions))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == count


def test_start_values_tell_columns_before_rows() -> None:
    with torch.no_grad():
        table = SatMAERgb(PictureSize(width=32, depth=0, heads=2, image_px=12, patch_px=4)).pos_embed[0]
    places = table[1:].view(3, 3, 32)
    assert (table[0] == 0).all()
    assert (places[0, :, :16] == places[2, :, :16]).all()
    assert (places[:, 0, 16:] == places[:, 2, 16:]).all()
    assert torch.equal(places[1, 0, 16:20], torch.sin(10_000 ** (-torch.arange(4) / 8)))


def small(family: type[SatMAE], **dimensions: object) -> SatMAE:
    torch.manual_seed(0)
    width = {"width": 400} if family is SatMAETemporal else {"width": 48}
    if family is SatMAEGroup:
        width["channel_width"] = 16
    common = {"depth": 1, "heads": 4, "image_px": 16, "patch_px": 8}
    return family(family.size_type(**{**common, **width, **dimensions})).eval()


def chips(encoder: SatMAE, count: int) -> Chips:
    random, given = np.random.default_rng(1), encoder.specification
    shape = (count, given.most_periods, len(given.bands), given.chip_px, given.chip_px)
    steps = np.arange(given.most_periods)
    values = random.uniform(0, 0.5, shape).astype(np.float32)
    return Chips(values, 3 + 2 * steps, 2019 + steps, random.uniform(-60, 60, (count, 2)))


@pytest.mark.parametrize("pool", ["cls", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_chip_has_one_vector_or_one_per_patch(family: type[SatMAE], pool: str) -> None:
    for output, patch_px, side in (("chip", 16, 1), ("patches", 8, 2)):
        encoder = small(family, pool=pool, output=output)
        vectors = encoder.embed(chips(encoder, 3))
        assert vectors.shape == (3, encoder.size.width, side, side)
        assert encoder.output.patch_px == patch_px


@pytest.mark.parametrize("family", FAMILIES)
def test_a_vector_is_where_its_patch_is(family: type[SatMAE]) -> None:
    # Without blocks no patch knows of another.
    encoder = small(family, depth=0, output="patches")
    given = chips(encoder, 1)
    before = encoder.embed(given)
    given.values[..., 1, 9] += 0.2
    changed = (encoder.embed(given) != before).any(dim=1)
    assert changed.tolist() == [[[False, True], [False, False]]]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_chip_embeds_the_same_alone_and_among_others(family: type[SatMAE]) -> None:
    encoder = small(family)
    given = chips(encoder, 4)
    alone = [encoder.embed(Chips(given.values[i : i + 1], given.months, given.years, given.latlon)) for i in range(4)]
    assert torch.abs(torch.cat(alone) - encoder.embed(given)).max() < TOLERANCE


@pytest.mark.parametrize("output", ["chip", "patches"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_chip_in_which_anything_is_missing_has_no_answer(family: type[SatMAE], output: str) -> None:
    encoder = small(family, output=output)
    given = chips(encoder, 3)
    given.values[1, 0, 2, 3, 4] = np.nan
    missing = encoder.embed(given).isnan()
    assert missing[1].all()
    assert not missing[[0, 2]].any()


def test_the_dates_of_pictures_count() -> None:
    encoder = small(SatMAETemporal)
    given = chips(encoder, 1)
    times = torch.tensor([[[y - FIRST_YEAR, m - 1, HOUR] for y, m in zip(given.years, given.months, strict=True)]])
    with torch.inference_mode():
        expected = encoder(encoder.specification.scaled(torch.tensor(given.values)), times)
    assert torch.allclose(encoder.embed(given)[..., 0, 0], expected, atol=1e-6)
    later = Chips(given.values, given.months + 1, given.years, given.latlon)
    assert not torch.allclose(encoder.embed(later)[..., 0, 0], expected, atol=1e-4)


def test_reflectances_become_the_published_8_bit_values() -> None:
    counts = np.random.default_rng(0).integers(0, 12_000, (10, 16, 16))
    mean, std = (np.array(part)[:, None, None] for part in zip(*REFLECTANCES.values(), strict=True))
    published = np.clip((counts - (mean - 2 * std)) / (4 * std) * 255, 0, 255).astype(np.uint8)
    specification, _ = SatMAEGroup.interface(GroupSize())
    scaled = specification.scaled(torch.tensor((counts / 1e4).astype(np.float32))[None, None])[0, 0]
    difference = np.abs((scaled * 255).numpy() - published)
    # Where a value meets a step exactly, rounding may take it to the next.
    assert (difference > 1e-3).mean() < 1e-3
    assert difference.max() < 1 + 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_the_decoder_of_a_pretrained_checkpoint_is_dropped(family: type[SatMAE]) -> None:
    encoder = small(family)
    extra = ("mask_token", "decoder_embed.weight", "decoder_pos_embed", "decoder_blocks.0.norm1.bias")
    state = {**encoder.state_dict(), **{name: torch.zeros(1) for name in extra}}
    _, dropped = family.of_published(state, encoder.size)
    assert dropped == extra


@pytest.mark.parametrize("family", FAMILIES)
def test_tensors_of_another_shape_are_refused(family: type[SatMAE]) -> None:
    encoder = small(family)
    with pytest.raises(InputError, match="pos_embed is .*, expected"):
        family.of_published(encoder.state_dict(), replace(encoder.size, image_px=24))


@pytest.mark.parametrize("dimensions", [{"pool": "max"}, {"output": "tokens"}, {"image_px": 100}])
def test_dimensions_that_make_no_sense_are_refused(dimensions: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(dimensions))):
        PictureSize(**dimensions)
