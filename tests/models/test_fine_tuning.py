"""Networks learn from chips, stop on held-out blocks, and go on where they were stopped."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stook.models.encoder import Chips, Encoder
from stook.models.errors import InputError
from stook.models.fine_tuning import FineTuning, LabelledChips, batches, fine_tune, predict
from stook.models.specification import Band, InputSpecification, OutputSpecification

BANDS = tuple(Band(name, "sentinel2", 0.0, 1.0) for name in ("green", "red", "nir"))


@dataclass(frozen=True)
class SmallSize:
    """Of ``Small``."""

    width: int = 8


class Small(Encoder):
    """One convolution and batch normalisation: enough to learn a mean with, and to have statistics to keep."""

    family = "small"
    size_type = SmallSize

    def __init__(self) -> None:
        super().__init__(SmallSize())
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)

    @classmethod
    def interface(cls, size: SmallSize) -> tuple[InputSpecification, OutputSpecification]:
        specification = InputSpecification(BANDS, 10, 8, "part", 1, "nearest", masks_missing=False)
        return specification, OutputSpecification(size.width, patch_px=8)

    def _encode(self, x: Tensor, months: Tensor, years: Tensor, latlon: Tensor) -> Tensor:
        return self.norm(self.conv(x[:, 0])).relu().mean(dim=(2, 3), keepdim=True)


def labelled(count: int, seed: int) -> LabelledChips:
    """Chips whose target is the mean of their second band, one block in four chips."""
    random = np.random.default_rng(seed)
    level = random.uniform(0.05, 0.5, count)
    values = random.normal(0, 0.02, (count, 1, 3, 8, 8)) + level[:, None, None, None, None]
    chips = Chips(values.astype(np.float32), np.array([5]), np.array([2023]), np.zeros((count, 2)))
    return LabelledChips(chips, level.astype(np.float32), seed * 1000 + np.arange(count) // 4)


def networks() -> tuple[Small, nn.Module]:
    torch.manual_seed(1)
    return Small(), nn.Linear(8, 1)


def squared(predicted: Tensor, target: Tensor) -> Tensor:
    return (predicted[:, 0] - target).square().mean()


QUICK = FineTuning(epochs=12, batch=16, learning_rate=3e-2)


def test_training_learns_and_keeps_the_epoch_that_was_best_on_held_out_blocks() -> None:
    encoder, head = networks()
    fit, check = labelled(96, seed=1), labelled(32, seed=2)
    course = fine_tune(encoder, head, fit, check, squared, QUICK)
    assert course.best_epoch == int(np.argmin(course.held_out))
    found = float(squared(predict(encoder, head, check, 16), torch.as_tensor(check.targets)))
    assert found == pytest.approx(min(course.held_out), rel=1e-4)
    assert found < np.var(check.targets)


class StoppedError(Exception):
    """Stands for a kill."""


def test_a_training_that_was_stopped_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    fit, check = labelled(48, seed=1), labelled(16, seed=2)
    whole = fine_tune(*networks(), fit, check, squared, QUICK)

    def stop(epoch: int, fitted: float, held_out: float) -> None:
        if epoch == 1:
            raise StoppedError

    state = tmp_path / "state.pt"
    with pytest.raises(StoppedError):
        fine_tune(*networks(), fit, check, squared, QUICK, state, "one", stop)
    assert state.exists()
    kept = state.read_bytes()
    resumed = fine_tune(*networks(), fit, check, squared, QUICK, state, "one")
    assert resumed.held_out == pytest.approx(whole.held_out, rel=1e-4)
    state.write_bytes(kept)
    seen: list[int] = []
    fine_tune(*networks(), fit, check, squared, QUICK, state, "another", lambda epoch, *_: seen.append(epoch))
    assert seen[0] == 0  # the state of another training is not taken for this one's


def test_a_batch_is_never_a_single_chip() -> None:
    parts = batches(129, 64, torch.Generator().manual_seed(0))
    assert [len(part) for part in parts] == [64, 65]
    assert sorted(torch.cat(parts).tolist()) == list(range(129))


def test_a_frozen_encoder_stays_as_it_is() -> None:
    encoder, head = networks()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    frozen = FineTuning(epochs=2, batch=16, freeze_encoder=True)
    fine_tune(encoder, head, labelled(32, seed=1), labelled(16, seed=2), squared, frozen)
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_pictures_vary_in_light_the_same_way_however_often_a_training_is_stopped(tmp_path: Path) -> None:
    fit, check = labelled(48, seed=1), labelled(16, seed=2)
    lit = replace(QUICK, epochs=3, light=0.1)
    one, other = (fine_tune(*networks(), fit, check, squared, lit) for _ in range(2))
    assert one == other
    assert one.fitted != fine_tune(*networks(), fit, check, squared, replace(lit, light=0.0)).fitted


def weights(encoder: nn.Module, head: nn.Module) -> list[Tensor]:
    return [*encoder.state_dict().values(), *head.state_dict().values()]


def test_a_training_that_had_stopped_early_stays_stopped_when_it_is_resumed(tmp_path: Path) -> None:
    fit, check, state = labelled(48, seed=1), labelled(16, seed=2), tmp_path / "state.pt"
    check = replace(check, targets=check.targets[::-1].copy())  # what is learnt does not help: it gets worse
    impatient = replace(QUICK, epochs=40, patience=2)
    first = networks()
    course = fine_tune(*first, fit, check, squared, impatient, state, "one")
    assert len(course.held_out) < impatient.epochs
    for _ in range(3):
        again = networks()
        assert fine_tune(*again, fit, check, squared, impatient, state, "one") == course
        assert all(torch.equal(one, other) for one, other in zip(weights(*first), weights(*again), strict=True))


def damaged(kept: bytes, how: str, state: Path) -> None:
    """Write a state that is of no use."""
    if how == "a dictionary of another program":
        torch.save({"a": 1}, state)
    elif how == "no dictionary":
        torch.save([1, 2], state)
    elif how in ("networks", "optimizer", "held_out"):
        state.write_bytes(kept)
        whole = torch.load(state, weights_only=True)
        torch.save(whole | {how: {"conv.weight": torch.zeros(1)} if how == "networks" else None}, state)
    elif how == "an object":
        torch.save(replace(QUICK), state)
    else:
        state.write_bytes({"cut": kept[:1000], "empty": b"", "text": b"not a state\n"}[how])


@pytest.mark.parametrize(
    "how",
    [
        "cut", "empty", "text", "an object", "a dictionary of another program", "no dictionary", "networks",
        "optimizer", "held_out",
    ],
)  # fmt: skip
def test_a_damaged_or_foreign_state_is_told_and_ignored(how: str, tmp_path: Path) -> None:
    fit, check, state = labelled(48, seed=1), labelled(16, seed=2), tmp_path / "state.pt"
    short = replace(QUICK, epochs=2)
    whole = fine_tune(*networks(), fit, check, squared, short, state, "one")
    damaged(state.read_bytes(), how, state)
    reasons: list[str] = []
    again = fine_tune(*networks(), fit, check, squared, short, state, "one", starts_anew=reasons.append)
    assert again == whole
    assert len(reasons) == 1 and "state.pt: is damaged" in reasons[0]


def test_an_epoch_whose_loss_is_no_number_is_never_the_best() -> None:
    fit, check = labelled(48, seed=1), labelled(16, seed=2)
    judged: list[float] = []

    def second_is_none(predicted: Tensor, target: Tensor) -> Tensor:
        loss = squared(predicted, target)
        if not predicted.requires_grad:  # of held-out chips
            judged.append(loss.item())
            return loss * (float("nan") if len(judged) == 2 else 1)
        return loss

    course = fine_tune(*networks(), fit, check, second_is_none, replace(QUICK, epochs=4, patience=4))
    assert np.isnan(course.held_out[1])
    assert course.best_epoch == int(np.nanargmin(course.held_out))


def test_a_training_that_diverged_is_refused_with_the_setting_that_helps() -> None:
    fit, check = labelled(48, seed=1), labelled(16, seed=2)

    def never(predicted: Tensor, target: Tensor) -> Tensor:
        return squared(predicted, target) * float("nan")

    with pytest.raises(InputError, match=r"fine_tuning.learning_rate: 0.03: .* choose a lower one"):
        fine_tune(*networks(), fit, check, never, replace(QUICK, epochs=3))
