"""A line of the book says which of the code that it measures has changed since."""

from pathlib import Path

import pytest

from tests.evidence.book import OLDER, Row, read_book, write_book
from tests.evidence.figure import Figure
from tests.evidence.fingerprint import changed_parts, fingerprint

SOURCES = {
    "tests/evidence/demo.py": "from stook.transforms.tiles import job\n",
    "stook/__init__.py": "__version__ = '1'\n",
    "stook/transforms/__init__.py": "from stook.models import net\n",
    "stook/transforms/tiles/__init__.py": "",
    "stook/transforms/tiles/job.py": "def run():\n    from stook.transforms.imagery import read\n    read.read()\n",
    "stook/transforms/imagery/__init__.py": "",
    "stook/transforms/imagery/read.py": "COMMAND = ('python', '-m', 'stook.pipelines.cli')\ndef read(): return 1\n",
    "stook/pipelines/cli.py": "from stook import __version__\n",
    "stook/models/net.py": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of a few modules."""
    for name, text in SOURCES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def after(root: Path, copy: Path, name: str, text: str) -> list[str]:
    """Parts of the demo's code that change when a module gets another text."""
    for other, content in (SOURCES | {name: text}).items():
        path = copy / other
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return changed_parts(fingerprint("tests.evidence.demo", root), fingerprint("tests.evidence.demo", copy))


def test_code_is_followed_through_late_imports_and_commands_but_not_into_packages_on_the_way(root: Path) -> None:
    assert list(fingerprint("tests.evidence.demo", root)) == ["imagery", "pipelines", "stook", "tests", "tiles"]


@pytest.mark.parametrize(
    ("name", "text", "changed"),
    [
        (
            "stook/transforms/imagery/read.py",
            SOURCES["stook/transforms/imagery/read.py"].replace("1", "2"),
            ["imagery"],
        ),
        ("stook/pipelines/cli.py", SOURCES["stook/pipelines/cli.py"] + "VERBOSE = True\n", ["pipelines"]),
        ("tests/evidence/demo.py", "from stook.transforms.imagery import read\n", ["tests", "tiles"]),
        ("stook/models/net.py", "WIDTH = 3\n", []),
        ("stook/__init__.py", "__version__ = '2'\n", []),
        ("stook/transforms/tiles/job.py", '"""Words."""\n' + SOURCES["stook/transforms/tiles/job.py"] + "# more\n", []),
    ],
)
def test_what_is_computed_makes_a_figure_older_and_words_do_not(
    root: Path, tmp_path: Path, name: str, text: str, changed: list[str]
) -> None:
    assert after(root, tmp_path / "copy", name, text) == changed


def test_a_line_is_marked_when_its_code_changes_and_measured_again_is_not(tmp_path: Path) -> None:
    book, now = tmp_path / "evidence.md", {"demo": {"imagery": "aaaaaa", "tiles": "bbbbbb"}}
    unrecorded = Row.measured(Figure("demo.seconds", 90.0, "a | b"), {}, "2026-01-01")
    write_book([unrecorded, Row.measured(Figure("demo.auc", 0.9), now["demo"], "2026-01-01")], now, "2026-01-01", book)
    marks = {name: row.mark(now["demo"]) for name, row in read_book(book).items()}
    assert marks == {"demo.auc": "", "demo.seconds": OLDER}

    later = {"demo": {"imagery": "cccccc", "models": "dddddd", "tiles": "bbbbbb"}}
    write_book([], later, "2026-02-02", book)
    [line] = [line for line in book.read_text().splitlines() if "`demo.auc`" in line]
    assert f"| 2026-01-01 | {OLDER}: imagery, models <!-- imagery:aaaaaa tiles:bbbbbb --> |" in line
    write_book([Row.measured(Figure("demo.auc", 0.9), later["demo"], "2026-02-02")], later, "2026-02-02", book)
    assert read_book(book)["demo.auc"].mark(later["demo"]) == ""
    assert read_book(book)["demo.seconds"].text == unrecorded.text


def test_every_line_of_the_book_is_read() -> None:
    lines = [line for line in Path("docs/evidence.md").read_text().splitlines() if line.startswith("| `")]
    assert len(read_book()) == len(lines)
