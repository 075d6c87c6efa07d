"""Every experiment still runs, and gives the figures that the book holds; run small, which ``make test-all`` does."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.conftest import SHARED
from tests.evidence import __main__ as command
from tests.evidence.book import experiment_of, read_book
from tests.evidence.figure import Experiment, Figure, kept

EXPERIMENTS = command.experiments()
COUNTED = re.compile(r"\b(?:target|aim) (\d+)(?=;|$)")  # in the note of a count: what it must be at any size


def figures_of_the_book() -> dict[str, set[str]]:
    """Experiment -> names of its figures."""
    names = defaultdict(set)
    for name in read_book():
        names[experiment_of(name)].add(name)
    return names


def test_experiments_are_found_and_named_apart() -> None:
    names = [experiment.name for experiment in EXPERIMENTS]
    assert names
    assert len(set(names)) == len(names), f"two experiments share a name: {sorted(names)}"


def test_a_name_is_one_word_so_that_it_can_start_the_names_of_figures() -> None:
    for experiment in EXPERIMENTS:
        assert experiment.name.isidentifier() and experiment.name.islower(), experiment.name


def test_every_figure_of_the_book_has_an_experiment() -> None:
    assert figures_of_the_book().keys() <= {experiment.name for experiment in EXPERIMENTS}


def test_what_an_experiment_keeps_is_put_into_the_project_when_the_book_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(scratch: Path) -> Iterator[Figure]:
        kept(scratch, "docs/page.md").write_text("measured")
        yield Figure("page.lines", 1)

    monkeypatch.setattr(command, "ROOT", tmp_path)
    assert [row.figure for row in command.measure(Experiment("page", run), write=False)] == ["page.lines"]
    assert not (tmp_path / "docs").exists()
    assert [row.figure for row in command.measure(Experiment("page", run), write=True)] == ["page.lines"]
    assert (tmp_path / "docs/page.md").read_text() == "measured"


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread of torch here and in processes that are started: there is a test runner on every core."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run_small(experiment: Experiment) -> object:
    """The experiment as a parameter, marked."""
    marks = [pytest.mark.slow, *([pytest.mark.shared] if experiment.needs_shared else [])]
    return pytest.param(experiment, id=experiment.name, marks=marks)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("experiment", map(run_small, EXPERIMENTS))
def test_run_small_an_experiment_gives_the_figures_of_the_book(experiment: Experiment, tmp_path: Path) -> None:
    figures = list(experiment.run(tmp_path, **experiment.small))
    for figure in figures:
        assert math.isfinite(figure.value), figure
        if isinstance(figure.value, int) and (target := COUNTED.search(figure.note)):
            assert figure.value == int(target[1]), figure
    names = [figure.name for figure in figures]
    assert len(set(names)) == len(names)
    expected = figures_of_the_book()[experiment.name] - experiment.full_only
    if not expected:
        pytest.skip(f"docs/evidence.md holds no figure of it yet: make evidence ONLY={experiment.name}")
    if not SHARED.is_dir():
        expected = {name for name in expected if "flanders" not in name.split(".")}
    assert set(names) == expected
