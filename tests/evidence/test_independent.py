"""Where other implementations cannot be had, that is said and no figure is given."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.evidence import estimators, independent


def test_an_index_that_cannot_be_reached_gives_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, int("install" in command), "", "noise\nERROR: no such index\n")

    monkeypatch.setattr(independent.subprocess, "run", unreachable)
    with pytest.raises(independent.NotInstalled, match="ERROR: no such index"):
        independent.measured(tmp_path)
    assert list(estimators.independent(tmp_path)) == []
    assert "cannot be installed: ERROR: no such index" in capsys.readouterr().out


def test_differences_are_relative_to_the_other_implementation() -> None:
    pairs = [((1.0, 0.5), (1.0, 0.5)), ((2.2, 0.0), (2.0, 0.0))]
    assert independent.max_relative_difference(pairs) == pytest.approx(0.1)
