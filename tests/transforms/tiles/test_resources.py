"""What a worker is said to need."""

from dataclasses import replace

import torch

from stook.models.inference import Embedder
from stook.models.presto import Presto, PrestoSize
from stook.transforms.tiles.resources import resource_hints, worker_memory
from tests.transforms.editions.test_edition import make_plan


def embedder(batch: int = 64) -> Embedder:
    return Embedder(Presto(PrestoSize(16, 1, 2)), torch.device("cpu"), batch)


def test_memory_grows_with_the_tiles_in_flight_and_the_batch_and_with_nothing_else() -> None:
    plan = make_plan()
    one = worker_memory(plan, [embedder()], tiles_in_flight=1)
    composite = 4 * 12 * 12 * 1000**2
    assert worker_memory(plan, [embedder()], tiles_in_flight=3) - one == 2 * (composite + 300 * 2**20)
    assert worker_memory(plan, [embedder(128)], tiles_in_flight=1) > one
    assert worker_memory(replace(plan, units_hash="another region"), [embedder()], tiles_in_flight=1) == one


def test_the_estimate_covers_what_was_measured() -> None:
    measured = 1447 * 2**20  # bench.peak_mib.150_dates: twelve months of Presto's bands, one tile in flight
    assert measured < worker_memory(make_plan(), [embedder(1024)], tiles_in_flight=1) < 2 * measured


def test_hints_are_in_the_words_of_beam() -> None:
    hints = resource_hints(5 * 2**30 + 1, "type:nvidia-l4;count:1;install-nvidia-driver")
    assert hints == {"min_ram": "6GiB", "accelerator": "type:nvidia-l4;count:1;install-nvidia-driver"}
    assert "accelerator" not in resource_hints(1, None)
