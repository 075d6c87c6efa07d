"""Train an encoder and its head together on labelled chips, with early stopping on held-out ground."""

import pickle
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stook.models.augmentation import relit, turned
from stook.models.encoder import Chips, Encoder
from stook.models.errors import InputError

Loss = Callable[[Tensor, Tensor], Tensor]

UNREADABLE = (OSError, EOFError, RuntimeError, pickle.UnpicklingError)  # by torch.load, whatever wrote or cut the file
NOT_A_STATE = (KeyError, IndexError, TypeError, ValueError, AttributeError)  # readable, but not what ``keep`` writes


@dataclass(frozen=True)
class FineTuning:
    """How a network is trained.

    Attributes:
        epochs: At most.
        patience: Epochs without a better held-out loss before it stops.
        batch: Chips at once.
        learning_rate: Highest; it rises and falls in one cycle.
        weight_decay: Of AdamW.
        seed: Of order, augmentation and dropout.
        freeze_encoder: Train the head alone.
        light: Spread of brightness and contrast of each chip, see ``stook.models.augmentation.relit``; 0 for
            composites, which are calibrated.
    """

    epochs: int = 30
    patience: int = 6
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    seed: int = 0
    freeze_encoder: bool = False
    light: float = 0.0


@dataclass(frozen=True)
class LabelledChips:
    """Chips with what is to be predicted.

    Attributes:
        chips: The chips.
        targets: float32 [chip]; 0 or 1 for a class.
        blocks: int [chip], the spatial block: chips that are not independent of each other.
    """

    chips: Chips
    targets: np.ndarray
    blocks: np.ndarray

    def take(self, which: np.ndarray) -> "LabelledChips":
        """Some of them, by bool or int index."""
        chips = Chips(self.chips.values[which], self.chips.months, self.chips.years, self.chips.latlon[which])
        return LabelledChips(chips, self.targets[which], self.blocks[which])

    def empty(self, count: int) -> "LabelledChips":
        """Room for so many like these, to be filled; months and years are these."""
        own = (self.chips.values, self.chips.latlon, self.targets, self.blocks)
        values, latlon, targets, blocks = (np.empty((count, *array.shape[1:]), array.dtype) for array in own)
        return LabelledChips(Chips(values, self.chips.months, self.chips.years, latlon), targets, blocks)

    def fill(self, there: slice, other: "LabelledChips", which: np.ndarray) -> None:
        """Write some of others, int [chip], to where there is room for them."""
        # Without a copy on the way: a place's chips may be half of the machine's memory.
        np.take(other.chips.values, which, axis=0, out=self.chips.values[there], mode="clip")
        self.chips.latlon[there] = other.chips.latlon[which]
        self.targets[there], self.blocks[there] = other.targets[which], other.blocks[which]

    @classmethod
    def joined(cls, parts: Sequence["LabelledChips"]) -> "LabelledChips":
        """Those of several places as one.

        Months and years are those of the first place for all, although places and days differ: true only of encoders
        that look at no date, which is what ``stook.pipelines.fine_tune.require_suited`` lets through.
        """
        first = parts[0].chips
        values, latlon = (
            np.concatenate([getattr(part.chips, name) for part in parts]) for name in ("values", "latlon")
        )
        targets, blocks = (np.concatenate([getattr(part, name) for part in parts]) for name in ("targets", "blocks"))
        return cls(Chips(values, first.months, first.years, latlon), targets, blocks)


@dataclass(frozen=True)
class Course:
    """How a training went.

    Attributes:
        fitted: Loss on the training chips, by epoch.
        held_out: Loss on the held-out blocks, by epoch.
        best_epoch: The one whose weights were kept, from 0.
    """

    fitted: tuple[float, ...]
    held_out: tuple[float, ...]
    best_epoch: int


def fine_tune(
    encoder: Encoder,
    head: nn.Module,
    fit: LabelledChips,
    check: LabelledChips,
    loss: Loss,
    settings: FineTuning,
    resume: Path | None = None,
    identity: str = "",
    told: Callable[[int, float, float], None] | None = None,
    starts_anew: Callable[[str], None] | None = None,
) -> Course:
    """Train in place; afterwards both networks have the weights of the epoch that was best on ``check``.

    Args:
        encoder: Whose vectors of a chip the head reads; one vector per chip.
        head: Maps vectors [chip, width] to what ``loss`` takes.
        fit: What is fitted.
        check: Held-out ground; ``stook.transforms.labelled.splits`` keeps it apart from what is fitted.
        loss: Of predictions and targets [chip].
        settings: How.
        resume: File that keeps the state after each epoch; a training that was stopped goes on from it. The caller
            removes it once the result is safe.
        identity: Of the training; a state of another one is ignored.
        told: Called after each epoch with its number and both losses.
        starts_anew: Called with the reason if the file ``resume`` holds a state that is of no use.

    Raises:
        InputError: If no epoch had a finite loss on ``check``.
    """
    torch.manual_seed(settings.seed)
    networks = nn.ModuleDict({"encoder": encoder, "head": head})
    if settings.freeze_encoder:
        encoder.requires_grad_(False)
    trained = [parameter for parameter in networks.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, settings.learning_rate, weight_decay=settings.weight_decay)
    steps = settings.epochs * -(-len(fit.targets) // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, steps)
    state = _State(networks, optimizer, schedule, resume, identity)
    unusable = state.resumed()
    if unusable and starts_anew is not None:
        starts_anew(unusable)
    while (epoch := len(state.held_out)) < settings.epochs and state.stalled < settings.patience:
        random = torch.Generator().manual_seed(settings.seed * 1000 + epoch)  # the same whether resumed or not
        torch.manual_seed(settings.seed * 1000 + epoch)
        networks.train()
        if settings.freeze_encoder:
            encoder.eval()
        losses = []
        for batch in batches(len(fit.targets), settings.batch, random):
            part = fit.take(batch.numpy())
            seen = varied(part, settings.light, random)
            error = loss(_predicted(encoder, head, seen), torch.as_tensor(part.targets))
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            schedule.step()
            losses.append(error.item())
        state.keep(float(np.mean(losses)), held_out_loss(encoder, head, check, loss, settings.batch))
        if told is not None:
            told(epoch, state.fitted[-1], state.held_out[-1])
    if not np.isfinite(state.held_out).any():
        raise InputError(
            f"training.fine_tuning.learning_rate: {settings.learning_rate:g}: the loss on held-out ground was a finite "
            "number in no epoch; choose a lower one"
        )
    networks.load_state_dict(state.best)
    networks.eval()
    return Course(tuple(state.fitted), tuple(state.held_out), state.best_epoch)


def batches(count: int, size: int, random: torch.Generator) -> list[Tensor]:
    """Indices of ``count`` chips in random order, ``size`` at a time; never one alone, which has no variance."""
    parts = list(torch.randperm(count, generator=random).split(size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def held_out_loss(encoder: Encoder, head: nn.Module, check: LabelledChips, loss: Loss, batch: int) -> float:
    """Mean loss over chips that are not fitted."""
    return float(loss(predict(encoder, head, check, batch), torch.as_tensor(check.targets)))


@torch.no_grad()
def predict(encoder: Encoder, head: nn.Module, chips: LabelledChips, batch: int) -> Tensor:
    """What the head says of chips, in evaluation mode."""
    encoder.eval()
    head.eval()
    parts = [
        chips.take(np.arange(start, min(start + batch, len(chips.targets))))
        for start in range(0, len(chips.targets), batch)
    ]
    return torch.cat([_predicted(encoder, head, part) for part in parts])


def _predicted(encoder: Encoder, head: nn.Module, part: LabelledChips) -> Tensor:
    return head(encoder.vectors(part.chips)[:, :, 0, 0])


def varied(part: LabelledChips, light: float, random: torch.Generator) -> LabelledChips:
    """The chips as training sees them this time: turned, and pictures in another light."""
    chips = turned(part.chips, random)
    return LabelledChips(relit(chips, light, random) if light else chips, part.targets, part.blocks)


class _State:
    """What a training must remember from epoch to epoch, kept in a file if one is named."""

    def __init__(
        self,
        networks: nn.ModuleDict,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        path: Path | None,
        identity: str,
    ):
        self.networks, self.optimizer, self.schedule, self.path = networks, optimizer, schedule, path
        self.identity = identity
        self.fitted: list[float] = []
        self.held_out: list[float] = []
        self.best = {name: tensor.clone() for name, tensor in networks.state_dict().items()}

    @property
    def best_epoch(self) -> int:
        """From 0; a loss that is no number is worse than any."""
        return int(np.argmin(np.where(np.isnan(self.held_out), np.inf, self.held_out)))

    @property
    def stalled(self) -> int:
        """Epochs since the best one."""
        return len(self.held_out) - 1 - self.best_epoch if self.held_out else 0

    def resumed(self) -> str | None:
        """Go on from the file, if there is one; where it is of no use, nothing changes and the reason is returned."""
        if self.path is None or not self.path.is_file():
            return None
        start = deepcopy(self._states())
        try:
            kept = torch.load(self.path, weights_only=True)
            if kept["identity"] != self.identity:
                return f"{self.path}: is of a training with other data or settings"
            self._take(kept)
            fitted, held_out = ([float(loss) for loss in kept[name]] for name in ("fitted", "held_out"))
            self.fitted, self.held_out, self.best = fitted, held_out, dict(kept["best"])
        except (*UNREADABLE, *NOT_A_STATE) as error:
            self._take(start)
            return f"{self.path}: is damaged ({type(error).__name__})"
        return None

    def _states(self) -> dict[str, Any]:
        return {
            "networks": self.networks.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def _take(self, states: dict[str, Any]) -> None:
        self.networks.load_state_dict(states["networks"])
        self.optimizer.load_state_dict(states["optimizer"])
        self.schedule.load_state_dict(states["schedule"])

    def keep(self, fitted: float, held_out: float) -> None:
        """Remember an epoch."""
        self.fitted.append(fitted)
        self.held_out.append(held_out)
        if self.best_epoch == len(self.held_out) - 1:
            self.best = {name: tensor.clone() for name, tensor in self.networks.state_dict().items()}
        if self.path is not None:
            kept = {
                "identity": self.identity,
                **self._states(),
                "fitted": self.fitted,
                "held_out": self.held_out,
                "best": self.best,
            }
            partial = self.path.with_name(f"{self.path.name}.part")
            torch.save(kept, partial)
            partial.replace(self.path)
