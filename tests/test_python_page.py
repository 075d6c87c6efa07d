"""The page on ``import stook`` is run as it stands, on what ``stook demo`` leaves."""

import doctest
from pathlib import Path

import pytest

from stook.pipelines.demo.run import run_demo

PAGE = Path(__file__).resolve().parents[1] / "docs/python.md"


@pytest.mark.slow
def test_the_examples_give_the_outputs_that_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_demo(Path("demo"))
    text = PAGE.read_text(encoding="utf-8").replace("\n```\n", "\n\n")  # a fence would be read as output
    test = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    shown: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=shown.append)
    assert len(test.examples) > 20
    assert not shown, "".join(shown)
