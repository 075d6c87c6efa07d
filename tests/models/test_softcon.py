"""SoftCon's transformers have DINOv2's shapes, scale as SSL4EO-S12 was scaled, and compute what PyTorch's own do."""

import numpy as np
import pytest
import torch
from torch import nn

from stook.models.encoder import Chips
from stook.models.softcon import CHIP_PX, SENTINEL1_BANDS, SENTINEL2_BANDS, SoftCon, SoftConSize
from stook.models.weights import open_checkpoint
from tests.models.published import constants, saved_as

SMALL = SoftConSize(width=48, depth=2, heads=3, sensor="sentinel1")


@pytest.fixture
def small() -> SoftCon:
    torch.manual_seed(0)
    encoder = SoftCon(SMALL).eval()
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            parameter.normal_(mean=1.0 if "norm" in name and name.endswith("weight") else 0.0, std=0.2)
    return encoder


def images(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 2, CHIP_PX, CHIP_PX, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    # DINOv2's counts at 518 px and three channels, its mask token included.
    ("width", "heads", "published"),
    [(384, 6, 22_056_576), (768, 12, 86_580_480)],
)
def test_the_parameters_are_as_many_as_published(width: int, heads: int, published: int) -> None:
    with torch.device("meta"):
        encoder = SoftCon(SoftConSize(width=width, heads=heads))
    fewer_places, more_channels = (37**2 - 16**2) * width, (13 - 3) * 14**2 * width
    expected = published - width - fewer_places + more_channels
    assert sum(parameter.numel() for parameter in encoder.parameters()) == expected


def test_the_class_token_equals_that_of_pytorchs_own_transformer(small: SoftCon) -> None:
    layers = []
    for block in small.blocks:
        layer = nn.TransformerEncoderLayer(
            48, 3, 192, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
        )
        # Layer scale is a factor on what a linear layer gives, so it can be folded into it.
        layer.load_state_dict(
            {
                "self_attn.in_proj_weight": block.attn.qkv.weight,
                "self_attn.in_proj_bias": block.attn.qkv.bias,
                "self_attn.out_proj.weight": block.attn.proj.weight * block.ls1.gamma[:, None],
                "self_attn.out_proj.bias": block.attn.proj.bias * block.ls1.gamma,
                "linear1.weight": block.mlp.fc1.weight,
                "linear1.bias": block.mlp.fc1.bias,
                "linear2.weight": block.mlp.fc2.weight * block.ls2.gamma[:, None],
                "linear2.bias": block.mlp.fc2.bias * block.ls2.gamma,
                **{f"norm1.{name}": parameter for name, parameter in block.norm1.named_parameters()},
                **{f"norm2.{name}": parameter for name, parameter in block.norm2.named_parameters()},
            }
        )
        layers.append(layer.eval())
    with torch.inference_mode():
        patches = small.patch_embed["proj"](images()).flatten(2).transpose(1, 2)
        tokens = torch.cat([small.cls_token.expand(2, -1, -1), patches], dim=1) + small.pos_embed
        for layer in layers:
            tokens = layer(tokens)
        expected = small.norm(tokens)[:, 0]
        assert torch.allclose(small(images()), expected, atol=1e-5)


def test_one_vector_per_chip(small: SoftCon) -> None:
    values = np.random.default_rng(0).normal(-14, 4, (3, 1, 2, CHIP_PX, CHIP_PX)).astype(np.float32)
    features = small.embed(Chips(values, np.array([6]), np.array([2019]), np.zeros((3, 2))))
    assert features.shape == (3, 48, 1, 1)
    assert small.output.patch_px == small.specification.chip_px == CHIP_PX


def test_values_are_scaled_as_ssl4eo_was() -> None:
    """Mean − 2 σ … mean + 2 σ to 0 … 255, clipped, cut to whole numbers, divided by 255: written out for two bands."""
    mean, deviation = np.array([1605.57504906, 22.10351321]), np.array([786.78685367, 51.15431158])
    counts = np.random.default_rng(0).uniform(0, 4000, (200, 2))
    darkest, brightest = mean - 2 * deviation, mean + 2 * deviation
    published = np.clip((counts - darkest) / (brightest - darkest) * 255, 0, 255).astype(np.uint8) / 255
    with torch.device("meta"):
        specification = SoftCon(SoftConSize(width=48, depth=1, heads=3)).specification
    values = np.zeros((200, 1, 13, 1, 1))
    values[:, 0, [0, 10], 0, 0] = counts / 10_000
    scaled = specification.scaled(torch.tensor(values))[:, 0, [0, 10], 0, 0].numpy()
    assert np.abs(scaled - published).max() < 1e-12


def test_bands_are_in_the_order_of_their_numbers() -> None:
    names = [band.name for band in SENTINEL2_BANDS]
    assert names == [
        *("coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08"),
        *("nir09", "cirrus", "swir16", "swir22"),
    ]
    assert [band.name for band in SENTINEL1_BANDS] == ["vv", "vh"]


def test_a_published_file_is_used_but_for_its_mask_token(tmp_path) -> None:
    with torch.device("meta"):
        own = SoftCon(SoftConSize(sensor="sentinel1")).state_dict()
    assert {"cls_token", "pos_embed", "patch_embed.proj.bias", "blocks.11.ls1.gamma", "blocks.0.attn.qkv.bias"} <= set(
        own
    )
    file = saved_as(tmp_path, constants(own) | {"mask_token": torch.zeros(1, 384)})
    opened = open_checkpoint("softcon-vit-small-s1", file, allow_unverified=True)
    assert opened.dropped == ("mask_token",)
    assert (opened.encoder.blocks[3].ls2.gamma == list(own).index("blocks.3.ls2.gamma")).all()
