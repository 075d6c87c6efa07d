"""What ``import stook`` offers, and what it and the command do not do before they have to."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import stook

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "sklearn", "apache_beam", "geopandas", "pandas", "xarray", "numpy"}
MODULES = "import sys; print(' '.join(sys.modules), file=sys.stderr)"


def modules_after(code: str) -> set[str]:
    """The modules of a fresh interpreter that ran some code, however that ended."""
    run = f"import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr)); {code}"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, cwd=ROOT, check=False)
    return set(done.stderr.rpartition("LOADED")[2].split())


def command(*words: str) -> str:
    """Code that runs the command."""
    return f"sys.argv = {['stook', *words]!r}; from stook.pipelines.cli import main; main()"


def test_what_is_public_is_documented() -> None:
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    for name in stook.__all__:
        assert getattr(stook, name) is not None
        assert f"`{name}`" in page or f"`stook.{name}`" in page


def test_the_version_is_that_of_the_changelog() -> None:
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None and newest[1] == stook.__version__


@pytest.mark.parametrize(
    "code", ["import stook", command("--help"), command("map", "--help"), command("--version"), command("models")]
)
def test_nothing_heavy_is_imported_for_help(code: str) -> None:
    loaded = modules_after(code)
    assert "stook" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize(("words", "wrong"), [(("map", "--year", "2023"), "outputs"), (("train",), "trainings")])
def test_a_mistyped_field_is_answered_before_anything_heavy_is_imported(
    tmp_path: Path, words: tuple[str, ...], wrong: str
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(f"name: x\n{wrong}: out\n", encoding="utf-8")
    loaded = modules_after(command(words[0], str(file), *words[1:]))
    assert "yaml" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("room", ["models", "transforms", "pipelines"])
def test_a_room_cannot_be_imported_under_its_bare_name(room: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {room}"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"ImportError: the package is stook: import stook.{room}"


@pytest.mark.slow
def test_foreign_folders_of_the_same_names_do_no_harm(tmp_path: Path) -> None:
    for room in ("models", "transforms", "pipelines"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("raise RuntimeError('foreign')\n", encoding="utf-8")
    code = (
        "import sys; sys.path.insert(1, sys.argv[1]); import stook.pipelines.map, stook.models.errors; "
        "print(stook.StookError.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.split() == ["StookError"], done.stderr
