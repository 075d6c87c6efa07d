"""ResNets have the published shapes and names, and compute what residual networks compute."""

import pytest
import torch
from torch import nn

from stook.models.encoder import Chips
from stook.models.errors import InputError
from stook.models.families import build, described
from stook.models.resnet import BANDS, BasicUnit, Bottleneck, ResNet, ResNetSize
from stook.models.weights import open_checkpoint
from tests.models.published import constants, saved_as

PICTURE = ResNetSize(50, ("red", "green", "blue"), "imagenet", resolution_m=1)
OWN_BANDS = ("vv", "vh", *(name for name in BANDS["plain"] if name not in ("vv", "vh", "nir09", "cirrus")))
OWN = ResNetSize(18, OWN_BANDS, chip_px=32)


def chips(size: ResNetSize, count: int = 2) -> Chips:
    values = torch.rand(count, 1, len(size.bands), size.chip_px, size.chip_px).numpy()
    return Chips(values, torch.tensor([6]).numpy(), torch.tensor([2019]).numpy(), torch.zeros(count, 2).numpy())


@pytest.mark.parametrize(
    ("depth", "with_classifier", "width"), [(18, 11_689_512, 512), (50, 25_557_032, 2048)], ids=["18", "50"]
)
def test_the_parameters_are_as_many_as_published_without_the_classifier(
    depth: int, with_classifier: int, width: int
) -> None:
    with torch.device("meta"):
        encoder = ResNet(ResNetSize(depth, ("red", "green", "blue"), "imagenet"))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == with_classifier - 1000 * width - 1000
    assert encoder.output.width == width


@pytest.mark.parametrize(("depth", "factor"), [(18, 1), (50, 4)])
def test_the_stages_halve_the_resolution_and_double_the_channels(depth: int, factor: int) -> None:
    with torch.device("meta"):
        maps = ResNet(ResNetSize(depth, ("red", "green", "blue"), "imagenet")).stages(torch.zeros(1, 3, 224, 224))
    expected = [(1, factor * 64, 56, 56), (1, factor * 128, 28, 28), (1, factor * 256, 14, 14), (1, factor * 512, 7, 7)]
    assert [tuple(feature_map.shape) for feature_map in maps] == expected


def test_the_names_are_those_of_published_files() -> None:
    with torch.device("meta"):
        names = set(ResNet(PICTURE).state_dict())
    assert {
        "conv1.weight",
        "bn1.num_batches_tracked",
        "layer1.0.downsample.0.weight",
        "layer1.0.downsample.1.running_var",
        "layer2.0.conv3.weight",
        "layer3.5.bn3.bias",
        "layer4.2.conv3.weight",
    } <= names
    assert not any(name.startswith("fc.") for name in names)
    assert len(names) == 318


def test_any_list_of_bands_and_a_small_chip_give_one_vector_per_chip() -> None:
    encoder = ResNet(OWN).eval()
    features = encoder.embed(chips(OWN, 3))
    assert features.shape == (3, 512, 1, 1)
    assert features.isfinite().all()
    assert len(OWN.bands) == 13
    assert encoder.specification.sensors == ("sentinel1", "sentinel2")
    assert encoder.output.patch_px == OWN.chip_px
    assert not encoder.specification.masks_missing


def test_a_chip_embeds_the_same_alone_and_among_others() -> None:
    encoder, several = ResNet(OWN).eval(), chips(OWN, 4)
    alone = torch.cat([encoder.embed(several[i : i + 1]) for i in range(4)])
    assert torch.allclose(encoder.embed(several), alone, atol=1e-5)


def test_a_chip_with_a_gap_has_no_finite_answer() -> None:
    encoder, gappy = ResNet(OWN).eval(), chips(OWN)
    gappy.values[0, 0, 3, 5, 5] = torch.nan
    features = encoder.embed(gappy)
    assert features[0].isnan().any()
    assert features[1].isfinite().all()


def test_statistics_of_batch_norm_undo_a_rescaled_convolution() -> None:
    encoder = ResNet(OWN).eval()
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
    given = chips(OWN)
    before = encoder.embed(given)
    with torch.no_grad():
        for conv, norm in ((encoder.conv1, encoder.bn1), (encoder.layer3[0].conv2, encoder.layer3[0].bn2)):
            conv.weight *= 3
            norm.running_mean *= 3
            norm.running_var *= 9
    assert torch.allclose(encoder.embed(given), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("unit", [BasicUnit(64, 64, 1), Bottleneck(256, 64, 1)])
def test_a_unit_that_adds_nothing_leaves_what_is_positive(unit: nn.Module) -> None:
    last = unit.bn3 if isinstance(unit, Bottleneck) else unit.bn2
    nn.init.zeros_(last.weight)
    x = torch.randn(2, 256 if isinstance(unit, Bottleneck) else 64, 8, 8)
    assert torch.equal(unit.eval()(x), x.relu())


def test_the_stride_of_a_bottleneck_is_in_its_middle_convolution() -> None:
    unit = Bottleneck(256, 128, 2)
    assert (unit.conv1.stride, unit.conv2.stride, unit.conv3.stride) == ((1, 1), (2, 2), (1, 1))


def test_the_query_encoder_of_a_moco_file_is_used_and_nothing_else(tmp_path) -> None:
    with torch.device("meta"):
        own = ResNet(PICTURE).state_dict()
    state = constants({f"module.encoder_q.{name}": tensor for name, tensor in own.items()})
    state |= constants({f"module.encoder_k.{name}": tensor for name, tensor in own.items()}, first=1000)
    heads = {f"module.encoder_{which}.fc.{layer}.weight": torch.zeros(1) for which in "qk" for layer in (0, 2)}
    state |= heads | {"module.queue": torch.zeros(128, 8), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    file = saved_as(
        tmp_path,
        {"epoch": 200, "arch": "resnet50", "state_dict": state, "optimizer": {"state": {}, "param_groups": []}},
    )
    opened = open_checkpoint("geossl-resnet50-moco-tp", file, allow_unverified=True)
    assert set(opened.used) == {f"module.encoder_q.{name}" for name in own}
    assert set(opened.used) | set(opened.dropped) == set(state)
    for number, (name, tensor) in enumerate(opened.encoder.state_dict().items()):
        assert (tensor == number).all(), name
    assert not opened.encoder.training


def test_softcon_files_are_plain_and_have_their_channels(tmp_path) -> None:
    size = ResNetSize(50, tuple(band for band in BANDS["ssl4eo"] if band not in ("vv", "vh")), "ssl4eo")
    with torch.device("meta"):
        own = ResNet(size).state_dict()
    opened = open_checkpoint("softcon-resnet50-s2", saved_as(tmp_path, constants(own)), allow_unverified=True)
    assert opened.dropped == ()
    assert opened.encoder.conv1.weight.shape == (64, 13, 7, 7)
    assert opened.encoder.specification.levels == 256


def test_pictures_are_standardised_as_imagenet() -> None:
    with torch.device("meta"):
        specification = ResNet(PICTURE).specification
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None].expand(1, 1, 3, 2, 2)
    scaled = specification.scaled(torch.stack([mean[0], mean[0] + 0.1]))
    assert scaled[0].abs().max() < 1e-6
    assert torch.allclose(scaled[1, 0, :, 0, 0], 0.1 / torch.tensor([0.229, 0.224, 0.225]))


def test_dimensions_survive_json() -> None:
    description = described(ResNet(OWN))
    description["size"]["bands"] = list(description["size"]["bands"])
    assert build(description).size == OWN


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"depth": 34}, "depth of a resnet: 34; allowed are 18, 50"),
        ({"bands": ("red", "thermal")}, "thermal; allowed are red, green, blue"),
        ({"bands": ()}, "none; allowed are red"),
        ({"scaling": "minmax"}, "'minmax'; allowed are imagenet, ssl4eo, plain"),
    ],
)
def test_wrong_dimensions_are_refused_with_what_is_allowed(wrong: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        ResNetSize(**{"depth": 50, "bands": ("red", "green", "blue"), "scaling": "imagenet"} | wrong)
