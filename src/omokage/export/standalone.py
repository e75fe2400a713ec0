"""Write a module and the parts of Omokage that it uses as one file that does not import Omokage.

The definitions are copied as they are, so an exported model computes with the same code as the pipeline.
"""

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
NAME = PACKAGE.name
HEAD = """\
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Omokage authors
# `omokage export` wrote this file: it copied the definitions below from the modules that are named above them.
"""


@dataclass(frozen=True)
class Definition:
    """A statement at the top level of a module.

    `text` includes decorators and the comments above. `names` are those that it binds, and `used` those that it reads.
    """

    text: str
    names: frozenset[str]
    used: frozenset[str]


@dataclass(frozen=True)
class Module:
    """A module of Omokage: its docstring, its definitions in order, and its imports.

    `imports` maps a name to (module, name there), where an empty name stands for the module itself.
    """

    docstring: str
    definitions: list[Definition]
    imports: dict[str, tuple[str, str]]


def build_standalone(module: str) -> str:
    """Return the source of a file with all definitions of `module`, such as omokage.export.denoiser.

    Before them come the definitions of other modules of Omokage that these use, directly or not. Raises ValueError if
    two modules define the same name, or if a module of Omokage is imported as a whole or under another name.
    """
    needed: dict[str, set[str]] = {}
    external: dict[str, tuple[str, str]] = {}
    names = [name for definition in parse(module).definitions for name in definition.names]
    for name in names:
        _collect(module, name, needed, external)
    owners: dict[str, str] = {}
    for owner, name in [(owner, name) for owner, found in needed.items() for name in found]:
        if owners.setdefault(name, owner) != owner or name in external:
            raise ValueError(f"{name} is defined by {owner} and by {owners[name]}: rename one of them")
    parts = [f'{HEAD}"""{parse(module).docstring.rstrip()}\n"""', "\n".join(_render_imports(external))]
    for owner in _list_modules(module, needed):
        texts = [item.text for item in parse(owner).definitions if item.names & needed.get(owner, set())]
        parts += [f"# From src/{owner.replace('.', '/')}.py", *texts] if texts else []
    return "\n\n\n".join(parts) + "\n"


def _collect(module: str, name: str, needed: dict[str, set[str]], external: dict[str, tuple[str, str]]) -> None:
    """Add a name of a module, and all that its definition uses, to `needed` by module or to `external` imports."""
    if name in needed.get(module, ()):
        return
    parsed = parse(module)
    if name in parsed.imports:
        source, original = parsed.imports[name]
        if source.partition(".")[0] != NAME:
            if external.setdefault(name, (source, original)) != (source, original):
                raise ValueError(f"{name} is imported from {source} and from {external[name][0]}: rename one of them")
        elif original == name and _locate(source).is_file():
            _collect(source, name, needed, external)
        else:
            raise ValueError(f"{module} imports {original or source} as {name}: import the names in it instead")
        return
    for definition in parsed.definitions:
        if name in definition.names:
            needed.setdefault(module, set()).update(definition.names)
            for used in definition.used:
                _collect(module, used, needed, external)


def _list_modules(module: str, needed: Collection[str]) -> list[str]:
    """Return a module and the `needed` ones that it imports, directly or not; each follows those that it imports."""
    sources = {source for source, _ in parse(module).imports.values() if source in needed}
    found = [item for source in sorted(sources) for item in _list_modules(source, needed)]
    return list(dict.fromkeys([*found, module]))


def _render_imports(external: dict[str, tuple[str, str]]) -> Iterator[str]:
    """Yield the import statements: modules, then names by module."""
    for name, (source, original) in sorted(external.items(), key=lambda item: (bool(item[1][1]), item[1])):
        if original:
            yield f"from {source} import {original}" + (f" as {name}" if name != original else "")
        else:
            yield f"import {source}" + (f" as {name}" if name != source else "")


@cache
def parse(module: str) -> Module:
    """Return the parsed source of a module of Omokage."""
    source = _locate(module).read_text(encoding="utf-8")
    tree, lines = ast.parse(source), source.splitlines()
    definitions: list[Definition] = []
    imports: dict[str, tuple[str, str]] = {}
    end = 0
    for statement in tree.body:
        start, end = end, statement.end_lineno or 0
        if isinstance(statement, ast.Import):
            imports |= {item.asname or item.name: (item.name, "") for item in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            imports |= {item.asname or item.name: (statement.module or "", item.name) for item in statement.names}
        elif not isinstance(statement, ast.Expr):
            text = "\n".join(lines[start:end]).strip("\n")
            definitions.append(Definition(text, frozenset(_list_bound(statement)), frozenset(_list_used(statement))))
    return Module(ast.get_docstring(tree) or "", definitions, imports)


def _locate(module: str) -> Path:
    return PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")


def _list_bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    else:
        yield from (
            node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )


def _list_used(statement: ast.stmt) -> Iterator[str]:
    """Yield every name in a statement; a name that the module does not bind is a builtin or a local variable."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value  # a quoted annotation
