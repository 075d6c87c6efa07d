"""Which code an experiment stands on, part by part, so that the book can say which of it has changed since.

A part is a room of ``transforms``, or ``models``, ``pipelines``, ``tests``; or data of ours that an experiment reads.
Its hash is of the modules that the experiment imports, directly or through others, without comments, docstrings and
layout: words do not make a figure old. Libraries and ``../shared`` are not looked at.
"""

import ast
import hashlib
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = ("stook", "tests")
DIGITS = 6  # hexadecimal, of a part
DATA = {  # module -> part and files that it reads
    "stook.pipelines.demo.place": ("bundles", "pipelines/demo/bundle*/*"),
    "tests.evidence.sites": ("examples", "infra/examples/flanders/*"),
}


def fingerprint(module: str, root: Path = ROOT) -> dict[str, str]:
    """Part -> hash of what ``module`` imports of it, itself included, sorted by part."""
    parts: dict[str, list[str]] = defaultdict(list)
    for name in sorted(closure(module, root)):
        parts[part_of(name, root)].append(f"{name} {code(name, root)}")
        if name in DATA:
            part, files = DATA[name]
            parts[part] += [f"{path.name} {_digest(path.read_bytes())}" for path in sorted(root.glob(files))]
    return {part: _digest("\n".join(lines).encode())[:DIGITS] for part, lines in sorted(parts.items())}


def changed_parts(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """Parts that are not the same in two fingerprints."""
    return sorted(part for part in then.keys() | now.keys() if then.get(part) != now.get(part))


def part_of(module: str, root: Path) -> str:
    """The part that a module belongs to."""
    first, *rest = module.split(".")
    if first == "tests" or not rest:
        return first
    in_a_room = rest[0] == "transforms" and len(rest) > 1 and (root / "stook/transforms" / rest[1]).is_dir()
    return rest[1] if in_a_room else rest[0]


def closure(module: str, root: Path) -> set[str]:
    """Our modules that ``module`` imports, directly or through others, itself included.

    A package that only lies on the way to a module is not followed: what it offers to others is not used by that.
    """
    found, left = {module}, [module]
    while left:
        new = imports(left.pop(), root) - found
        found |= new
        left += new
    return found


@cache
def imports(module: str, root: Path) -> frozenset[str]:
    """Our modules that a module names: in imports at any place, or as a whole string, as ``python -m`` has them."""
    package = module if _path(module, root).name == "__init__.py" else module.rpartition(".")[0]
    named = set()
    for node in ast.walk(_tree(module, root)):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            home = ".".join([*above, *([node.module] if node.module else [])])
            named |= {home, *(f"{home}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named.add(node.value)
    return frozenset(name for name in named if name.split(".")[0] in OURS and _exists(name, root))


@cache
def code(module: str, root: Path) -> str:
    """Hash of a module without comments, docstrings, layout and the version of a release."""
    tree = _tree(module, root)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_docstring(part) and not _is_version(part)]
    text = ast.dump(tree).replace(", type_params=[]", "")  # Python 3.12 has that field, 3.11 has not
    return _digest(text.encode())


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_version(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"


def _tree(module: str, root: Path) -> ast.Module:
    return ast.parse(_path(module, root).read_bytes())


def _path(module: str, root: Path) -> Path:
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _exists(name: str, root: Path) -> bool:
    return all(part.isidentifier() for part in name.split(".")) and _path(name, root).is_file()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
