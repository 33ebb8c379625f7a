# SPDX-License-Identifier: Apache-2.0
"""The code that results depend on: modules and those that they import, read as text.

Nothing is run, as that might load scientific libraries for nothing. A process sees its code as it was at first.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lake.errors import DefinitionError


@dataclass(frozen=True)
class Code:
    """A module: sha256 without comments and docstrings, and what it imports: modules, with names if `from`."""

    shape: str
    imported: tuple[tuple[str, tuple[str, ...]], ...]


@cache
def shapes(modules: tuple[str, ...], package: str) -> tuple[tuple[str, str], ...]:
    """Name and sha256, without comments and docstrings, of modules and of those below a package that they import.

    Raises: DefinitionError if a module is not there, or is no Python.
    """
    return _shapes(modules, package, _read)


def unchanged(modules: tuple[str, ...], package: str) -> bool:
    """True if the same modules are on disk now that this process saw at first."""
    return _shapes(modules, package, _read.__wrapped__) == shapes(modules, package)


def _shapes(modules: tuple[str, ...], package: str, read: Callable[[Path], Code]) -> tuple[tuple[str, str], ...]:
    codes: dict[str, Code] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in codes:
            codes[name] = read(source(name))
            waiting += _imported(codes[name], package)
    return tuple((name, codes[name].shape) for name in sorted(codes))


def forget() -> None:
    """Read all code anew when it is asked for next."""
    shapes.cache_clear()
    _read.cache_clear()


def source(module_name: str) -> Path:
    """The file of a module. Raises DefinitionError if there is none."""
    path = find(module_name)
    if path is None:
        raise DefinitionError(f"there is no {module_name.replace('.', '/')}.py. Write it.")
    return path


def find(module_name: str) -> Path | None:
    """The file of a module, or None."""
    try:
        spec = importlib.util.find_spec(module_name)
    except ModuleNotFoundError:
        return None  # its package is not there either
    return Path(spec.origin) if spec is not None and spec.origin else None


@cache
def _read(path: Path) -> Code:
    tree = _parsed(path)
    imported: list[tuple[str, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and node.body and _is_docstring(node.body[0]):
            node.body[:] = node.body[1:] or [ast.Pass()]
        elif isinstance(node, ast.Import):
            imported += [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.append((node.module, tuple(alias.name for alias in node.names)))
    return Code(hashlib.sha256(ast.unparse(tree).encode()).hexdigest(), tuple(imported))


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise DefinitionError(f"{path} line {line}: {error}. Correct the code.") from None


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imported(code: Code, package: str) -> list[str]:
    """Modules below a package that a module imports; `from transforms import conversions` names one too."""
    modules = [name for module, names in code.imported for name in (module, *_submodules(module, names, package))]
    return [name for name in modules if name.startswith(f"{package}.") and find(name)]


def _submodules(module_name: str, names: tuple[str, ...], package: str) -> list[str]:
    """Which of the names imported from a package may be modules; looking below a plain module would import it."""
    if not f"{module_name}.".startswith(f"{package}."):
        return []
    path = find(module_name)
    return [f"{module_name}.{name}" for name in names] if path is not None and path.name == "__init__.py" else []
