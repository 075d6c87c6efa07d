"""Schedulers read the names of events, so each that a command can tell is in its documentation."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OWN = {"simulation_started"}  # of the demonstration, which no scheduler runs


def told_events() -> set[str]:
    """The name of every event that the code tells."""
    calls = [
        (node.func.attr, node.args)
        for package in ("models", "transforms", "pipelines")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    said = {ast.literal_eval(arguments[0]) for name, arguments in calls if name == "say" and arguments}
    return said | ({literal(arguments) for name, arguments in calls if name == "log"} - {""})


def literal(arguments: list[ast.expr]) -> str:
    """The text that is the first argument of a call; empty for a logarithm."""
    first = arguments[0] if arguments else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def test_every_event_is_listed() -> None:
    events = told_events() - OWN
    assert "run_finished" in events
    documented = "".join((ROOT / "docs" / name).read_text() for name in ("map.md", "train.md"))
    assert {event for event in events if f"`{event}`" not in documented} == set()
