"""Nothing needs what only Linux has, and folders and files may have any name.

docs/map.md says what is known of macOS and Windows; here they are only imitated.
"""

import ast
import json
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
import rasterio

from stook.pipelines import cli
from stook.pipelines.season import season_folder
from stook.transforms.editions.lease import LEASE
from stook.transforms.store import read_json
from tests.pipelines.command import stook
from tests.pipelines.elsewhere import ABSENT
from tests.pipelines.small_season import SmallSeason

ROOT = Path(__file__).resolve().parents[2]
TILES = 12
LACKING = {  # on Windows
    "os": {"O_DIRECTORY", "fork", "getgid", "getloadavg", "getuid", "kill", "killpg", "mkfifo", "nice", "sysconf",
           "sched_getaffinity", "setsid", "sync", "uname"},
    "signal": {"SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "alarm", "pause", "setitimer"},
    "time": {"tzset"},
}  # fmt: skip
TEXT = {"read_text": 0, "write_text": 1}  # position of the encoding


@pytest.fixture(scope="module")
def nodes() -> list[tuple[str, ast.AST]]:
    """Every node of the syntax of our modules, and where it stands."""
    paths = [path for room in ("pipelines", "transforms", "models") for path in sorted((ROOT / room).rglob("*.py"))]
    return [
        (f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", node)
        for path in paths
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Attribute | ast.Call | ast.Import | ast.ImportFrom)
    ]


def imported(node: ast.AST) -> set[str]:
    """The modules that a node imports, by the first part of their names."""
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
    return {name.partition(".")[0] for name in names}


def test_no_module_uses_what_windows_lacks(nodes: list[tuple[str, ast.AST]]) -> None:
    used = [
        f"{where} {node.value.id}.{node.attr}"
        for where, node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.attr in LACKING.get(node.value.id, ())
    ]
    used += [f"{where} {name}" for where, node in nodes for name in imported(node) & {*ABSENT}]
    assert used == []


def test_every_text_file_is_read_and_written_in_a_named_encoding(nodes: list[tuple[str, ast.AST]]) -> None:
    unnamed = [
        f"{where} {node.func.attr}"
        for where, node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TEXT
        if len(node.args) <= TEXT[node.func.attr] and "encoding" not in {word.arg for word in node.keywords}
    ]
    assert unnamed == []


@pytest.mark.slow
def test_a_season_is_mapped_without_what_only_linux_has(season: SmallSeason) -> None:
    words = [sys.executable, "-m", "tests.pipelines.elsewhere", "map", str(season.hurried().config)]
    run = subprocess.run(
        [*words, "--year", str(season.year), "--quiet"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1])["published"] is True
    lease = read_json(season_folder(season.configuration, season.year).folder / LEASE)
    assert lease["boot"] == lease["processes"] == "" and float(lease["started"]) > 1e9 and "ended" in lease


@pytest.mark.slow
def test_folders_and_files_may_have_any_name(pristine_season: SmallSeason, tmp_path: Path) -> None:
    season = pristine_season.copy(tmp_path / "Données d'été 2023" / "Région Sud #2, 100 %?").hurried()
    units = (season.folder / "districts.geojson").rename(season.folder / "unités d'août.geojson")
    names = json.loads(units.read_bytes())
    for unit in names["features"]:
        unit["properties"]["name"] = f"Île {unit['properties']['name']} ደቡብ"
    units.write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")
    season.configure(region__file=units.name)
    season = SmallSeason(season.config.rename(season.folder / "carte n°1.yaml"), season.year)
    where = (season.config, "--year", season.year)
    told = stook("map", *where, "--quiet")
    assert told.status == 0 and told.event("run_finished")["computed"] == TILES
    table = season.folder / "Fläche.csv"
    assert stook("statistics", *where, "--to", table).status == 0
    assert "Île " in table.read_text(encoding="utf-8")
    told = stook("export", *where)
    assert told.status == 0
    for path in told.output.splitlines():
        assert season.folder in Path(path).parents
        with rasterio.open(Path(path)) as file:
            file.read(1)


def test_letters_that_a_pipe_does_not_know_end_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = TextIOWrapper(BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", pipe)
    monkeypatch.setattr(sys, "argv", ["stook", "models", "list"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    pipe.flush()
    assert not end.value.code
    assert b"\\u2264 24 months" in pipe.buffer.getvalue()  # type: ignore[attr-defined]
