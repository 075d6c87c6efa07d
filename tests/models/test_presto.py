"""Presto equals the reference implementation, whatever the gaps."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stook.models.encoder import Chips, Encoder
from stook.models.errors import InputError
from stook.models.presto import GROUPS, NDVI, Presto, PrestoSize, with_ndvi
from stook.models.weights import load_checkpoint
from tests.models.golden import CASES, PLACES, reference_embedding, reference_inputs

TOLERANCE = 1e-5
SPECIFICATION, _ = Presto.interface(PrestoSize())
MONTHS, YEARS = np.arange(1, 13), np.full(12, 2023)


def normalised(composites: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Series [pixel, period, band] as the network gets them, with what is masked."""
    values = torch.tensor(composites, dtype=torch.float32)[..., None, None]
    return with_ndvi(SPECIFICATION.scaled(values)[..., 0, 0])


def embedded(encoder: Presto, values: np.ndarray, latlon: np.ndarray) -> torch.Tensor:
    """Vectors [pixel, width] of series [pixel, period, band]."""
    return encoder.embed(Chips(values[..., None, None], MONTHS, YEARS, latlon))[:, :, 0, 0]


@pytest.fixture
def presto(shared: Path) -> Encoder:
    return load_checkpoint("presto", shared / "weights/presto/default_model.pt")


@pytest.fixture
def golden(shared: Path) -> dict[str, np.ndarray]:
    return dict(np.load(shared / "golden/presto.npz"))


@pytest.mark.shared
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", CASES)
def test_embeddings_equal_the_reference(presto: Encoder, golden: dict[str, np.ndarray], place: str, case: str) -> None:
    with torch.inference_mode():
        embedding = presto(**reference_inputs(golden, place, case)).numpy()
    assert np.abs(embedding - reference_embedding(golden, place, case)).max() <= TOLERANCE


@pytest.mark.shared
@pytest.mark.parametrize("place", PLACES)
def test_a_batch_that_mixes_all_gap_patterns_gives_the_same(
    presto: Encoder, golden: dict[str, np.ndarray], place: str
) -> None:
    parts = [reference_inputs(golden, place, case) for case in CASES]
    order = torch.randperm(3 * len(parts[0]["x"]), generator=torch.Generator().manual_seed(0))
    mixed = {name: torch.cat([part[name] for part in parts])[order] for name in parts[0]}
    expected = np.concatenate([reference_embedding(golden, place, case) for case in CASES])[order]
    with torch.inference_mode():
        assert np.abs(presto(**mixed).numpy() - expected).max() <= TOLERANCE


@pytest.mark.shared
def test_raw_values_normalise_to_the_reference(golden: dict[str, np.ndarray]) -> None:
    names = list(golden["bands_raw"])
    published = dict(
        zip(
            SPECIFICATION.band_names,
            ["VV", "VH", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"],
            strict=True,
        )
    )
    counts = np.stack([golden["a_raw"][..., names.index(published[name])] for name in SPECIFICATION.band_names], -1)
    composites = np.where([band.sensor == "sentinel2" for band in SPECIFICATION.bands], counts / 1e4, counts)
    x, mask = normalised(composites)
    seen = [*range(12), NDVI]
    assert np.abs(x[..., seen].numpy() - golden["a_normalised"][..., seen]).max() < 1e-5
    assert not mask[..., seen].any()
    assert mask[..., 12:16].all()


@pytest.mark.shared
def test_the_published_checkpoint_is_used_whole(shared: Path) -> None:
    state = torch.load(shared / "weights/presto/default_model.pt", map_location="cpu", weights_only=True)
    presto, dropped = Presto.of_published(state, PrestoSize())
    assert {f"encoder.{name}" for name in presto.state_dict()} | set(dropped) == set(state)
    assert all(name.startswith("decoder.") for name in dropped)


@pytest.mark.shared
def test_weights_of_another_hash_are_refused(shared: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "presto.pt"
    damaged.write_bytes((shared / "weights/presto/default_model.pt").read_bytes()[:-1])
    with pytest.raises(InputError, match="sha256 is .* expected 559c9d76"):
        load_checkpoint("presto", damaged)


def test_an_unknown_checkpoint_is_refused_with_the_known_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'presta' is unknown; allowed are presto"):
        load_checkpoint("presta", tmp_path / "x.pt")


def test_a_checkpoint_that_lacks_a_tensor_is_refused() -> None:
    state = {f"encoder.{name}": value for name, value in Presto().state_dict().items()}
    del state["encoder.norm.bias"]
    with pytest.raises(InputError, match="norm.bias"):
        Presto.of_published(state, PrestoSize())


@pytest.fixture
def small() -> Presto:
    torch.manual_seed(0)
    return Presto(PrestoSize(width=32, depth=1, heads=2)).eval()


def test_what_is_masked_is_not_looked_at(small: Presto) -> None:
    random = np.random.default_rng(0)
    values = random.uniform(0, 0.5, (6, 12, 12)).astype(np.float32)
    values[:, 3, 2:] = np.nan
    latlon = np.tile([9.0, 36.0], (6, 1))
    x, mask = normalised(values)
    spoiled = torch.where(mask, 99.0, x)
    arguments = (mask, torch.arange(12).expand(6, -1), torch.tensor(latlon, dtype=torch.float32))
    with torch.inference_mode():
        assert torch.equal(small(x, *arguments), small(spoiled, *arguments))
    assert np.isfinite(embedded(small, values, latlon)).all()


def test_a_pixel_embeds_the_same_alone_and_among_others_with_other_gaps(small: Presto) -> None:
    random = np.random.default_rng(1)
    values = random.uniform(0, 0.5, (64, 12, 12)).astype(np.float32)
    values[random.random(values.shape) < 0.3] = np.nan
    latlon = random.uniform(-60, 60, (64, 2))
    together = embedded(small, values, latlon)
    alone = torch.cat([embedded(small, values[i : i + 1], latlon[i : i + 1]) for i in range(64)])
    assert torch.abs(together - alone).max() < 1e-5


def test_a_pixel_without_any_data_still_has_its_place(small: Presto) -> None:
    nothing = np.full((2, 12, 12), np.nan, np.float32)
    embedding = embedded(small, nothing, np.array([[9.0, 36.0], [50.0, 4.0]]))
    assert np.isfinite(embedding).all()
    assert not torch.equal(embedding[0], embedding[1])


def test_ndvi_is_zero_where_near_infrared_and_red_add_up_to_nothing() -> None:
    values = np.zeros((1, 1, 12), np.float32)
    x, mask = normalised(values)
    assert x[0, 0, NDVI] == 0
    assert not mask[0, 0, NDVI]


def test_every_channel_belongs_to_one_group() -> None:
    assert sorted(channel for group in GROUPS.values() for channel in group) == list(range(17))
