"""Pages link to files that are there, and name files and functions of the code as they are."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILE = r"`((?:pipelines|transforms|models|tests|infra|docs)/[\w/.-]*)`"
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
WITH_NAMES = re.compile(FILE + r": (`\w+`(?:, `\w+`)*)")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def defined(path: str) -> set[str]:
    """Functions and classes of a module."""
    nodes = ast.walk(ast.parse(text_of(path)))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_links_lead_to_files_as_github_sees_them() -> None:
    """Of the website 'make docs' checks them; there some pages have another place."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    links = {(page, link) for page in pages for link in LINK.findall(page.read_text(encoding="utf-8"))}
    assert len(links) > 50
    assert sorted(link for page, link in links if not (page.parent / link).exists()) == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_a_page_names_exist(page: str) -> None:
    named = {path for path in re.findall(FILE, text_of(page)) if "NAME" not in path}
    assert len(named) > 20
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_functions_of_the_way_of_a_tile_are_in_the_files_they_are_named_with() -> None:
    named = WITH_NAMES.findall(text_of("docs/architecture.md"))
    assert len(named) > 20
    assert [
        (path, name) for path, names in named for name in names.split(", ") if name[1:-1] not in defined(path)
    ] == []
