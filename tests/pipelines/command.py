"""The command run in the tests' own process, and what it made compared."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from typer.testing import CliRunner

from stook.models.errors import StookError
from stook.pipelines.cli import app
from stook.transforms.editions.edition import Edition
from stook.transforms.store import zarr_store


@dataclass(frozen=True)
class Told:
    """What a command ended with and printed.

    Attributes:
        status: Exit status.
        output: Standard output.
    """

    status: int
    output: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines."""
        return [json.loads(line) for line in self.output.splitlines()]

    def event(self, name: str) -> dict[str, Any]:
        """The last event of a name."""
        return [event for event in self.events if event["event"] == name][-1]


def stook(*words: object) -> Told:
    """Run the command in this process; what it refuses is raised."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, StookError):
        raise result.exception
    return Told(result.exit_code, result.stdout)


def arrays(edition: Edition) -> dict[str, np.ndarray]:
    """Every array of the maps, by path."""
    members = zarr.open_group(zarr_store(edition.maps), mode="r").members(max_depth=None)
    return {path: np.asarray(member[:]) for path, member in members if isinstance(member, zarr.Array)}


def assert_same_maps(one: Edition, other: Edition) -> None:
    """Fail unless two editions have the same arrays with the same values."""
    a, b = arrays(one), arrays(other)
    assert a.keys() == b.keys()
    for path in a:
        np.testing.assert_array_equal(a[path], b[path], err_msg=path)
