"""Every figure of the evidence must be traceable to one experiment."""

import importlib
import pkgutil

from tests import evidence
from tests.evidence.figure import Experiment


def experiments() -> dict[str, Experiment]:
    """Module -> its experiment."""
    modules = [
        importlib.import_module(f"{evidence.__name__}.{found.name}")
        for found in pkgutil.iter_modules(evidence.__path__)
    ]
    return {module.__name__: module.EXPERIMENT for module in modules if hasattr(module, "EXPERIMENT")}


def test_experiments_are_found_and_named_apart() -> None:
    names = [experiment.name for experiment in experiments().values()]
    assert names
    assert len(set(names)) == len(names), f"two experiments share a name: {sorted(names)}"


def test_a_name_is_one_word_so_that_it_can_start_the_names_of_figures() -> None:
    for module, experiment in experiments().items():
        assert isinstance(experiment, Experiment), module
        assert experiment.name.isidentifier() and experiment.name.islower(), f"{module}: {experiment.name!r}"
