"""Imports point down only, in both languages.

A module may import what stands on a floor below its own, and what is inside its own folder; not its neighbours on
the same floor, and nothing above. The tables name the first part of a module's path, ground floor first. Rust modules
named `tests` may look up: they compare a module with another, and ship with nothing.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.imports import Import, python_imports, python_module, rust_code, rust_imports, rust_module

REPOSITORY = Path(__file__).resolve().parents[1]
ENGINE = REPOSITORY / "rust/engine/src"
MODULE = REPOSITORY / "rust/python/src"
PACKAGE = REPOSITORY / "python/ingot"

Floors = tuple[tuple[str, ...], ...]

ENGINE_FLOORS: Floors = (
    ("error", "limits", "memory_unsafe", "sync", "thread_unsafe"),
    ("chunked_unsafe", "filter"),
    ("vector",),
    ("pool", "format", "storage"),
    ("validate",),
    ("body",),
    ("log",),
    ("catalogue",),
    ("exact", "inverted"),
    ("codes",),
    ("graph",),
    ("collection",),
    ("indexer",),
    ("tenant",),
    ("store",),
)

MODULE_FLOORS: Floors = (
    ("answer", "errors", "eventfd_unsafe", "file_id", "hits", "inserted", "memory", "options", "stats"),
    ("array_unsafe", "call", "completions", "decoder", "query"),
    ("body", "tenants"),
    ("vectors",),
    ("store",),
)

PACKAGE_FLOORS: Floors = (
    ("errors", "limits", "loop_share", "turns"),
    ("error_words",),
    ("_native",),
    ("store",),
    ("settings", "completions"),
    ("schemas",),
    ("completions",),
    ("service", "auth"),
    ("http",),
    ("cli",),
    ("__main__",),
    ("sample",),
    ("tour",),
)

# The only modules that name the native one.
NATIVE_IMPORTERS = {"store", "completions", "service"}

# Modules that run without the server beside them.
STAND_ALONE = {"client", "sample", "tour"}


def floor_of(floors: Floors, module: str, where: str) -> int:
    """The number of a module's floor, ground is 0."""
    for number, floor in enumerate(floors):
        if module in floor:
            return number
    raise AssertionError(
        f"{where}: the module `{module}` is on no floor. Add it to the table in tests/test_floors.py: "
        "on the lowest floor that is above everything it imports."
    )


def violations(floors: Floors, imports: Iterable[Import]) -> list[str]:
    """Every import that does not point down, as a line to read."""
    found = []
    for one in imports:
        where = f"{one.file.name}:{one.line}"
        if not one.importer or "tests" in one.importer:
            continue  # the root stands above all floors
        if not one.target or one.target[0] not in {module for floor in floors for module in floor}:
            target = "::".join(one.target) or "the root"
            found.append(
                f"{where}: `{one.importer[0]}` names `{target}`, which is on no floor: name the module itself"
            )
            continue
        importer, target = one.importer[0], one.target[0]
        if importer != target and floor_of(floors, target, where) >= floor_of(floors, importer, where):
            found.append(f"{where}: `{importer}` imports `{target}`, which is not below it")
    return found


def rust_files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.rs"))


def python_files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.py"))


def test_every_rust_module_stands_on_a_floor() -> None:
    for root, floors in ((ENGINE, ENGINE_FLOORS), (MODULE, MODULE_FLOORS)):
        for file in rust_files(root):
            if module := rust_module(file, root):
                floor_of(floors, module[0], str(file.relative_to(REPOSITORY)))


def test_every_python_module_stands_on_a_floor() -> None:
    for file in python_files(PACKAGE):
        if module := python_module(file, PACKAGE):
            floor_of(PACKAGE_FLOORS, module[0], str(file.relative_to(REPOSITORY)))


def test_imports_of_the_engine_point_down() -> None:
    imports = [one for file in rust_files(ENGINE) for one in rust_imports(file, ENGINE)]
    assert violations(ENGINE_FLOORS, imports) == []


def test_imports_of_the_native_module_point_down() -> None:
    imports = [one for file in rust_files(MODULE) for one in rust_imports(file, MODULE)]
    assert violations(MODULE_FLOORS, imports) == []


def test_imports_of_the_package_point_down() -> None:
    imports = [one for file in python_files(PACKAGE) for one in python_imports(file, PACKAGE)]
    assert violations(PACKAGE_FLOORS, imports) == []


def test_the_engine_does_not_know_python() -> None:
    manifest = (ENGINE.parent / "Cargo.toml").read_text()
    for name in ("pyo3", "numpy"):
        assert name not in manifest
        for file in rust_files(ENGINE):
            assert not re.search(rf"\b{name}\b", rust_code(file.read_text())), file


def test_only_named_modules_import_the_native_one() -> None:
    importers = {
        one.importer[0]
        for file in python_files(PACKAGE)
        for one in python_imports(file, PACKAGE)
        if one.importer and one.target[:1] == ("_native",)
    }
    assert importers <= NATIVE_IMPORTERS


def test_what_stands_alone_imports_nothing_of_the_server() -> None:
    for file in python_files(PACKAGE):
        module = python_module(file, PACKAGE)
        if module and module[0] in STAND_ALONE:
            assert {one.target[0] for one in python_imports(file, PACKAGE)} <= STAND_ALONE, file


# The tests above would be worth nothing if they could not fail.

FLOORS: Floors = (("ground",), ("left", "right"), ("roof",))
ROOT = Path("/crate/src")


def rust(file: str, source: str) -> list[str]:
    return violations(FLOORS, rust_imports(ROOT / file, ROOT, source))


@pytest.mark.parametrize(
    "source",
    [
        "use crate::roof;",
        "pub use crate::roof::Tile as Stone;",
        "use crate::{ground::Stone, roof::{self, Tile}};",
        "use crate::{ground::{a, b::{c}}, right};",
        "fn f() { let x = crate::roof::build(); }",
        "use super::roof;",
        "mod inner { use super::super::roof; }",
        "use super::*;",
        "use crate::*;",
        "use crate::attic::Box;",
    ],
)
def test_a_rust_import_that_does_not_point_down_is_found(source: str) -> None:
    assert rust("left.rs", source) != []
    assert rust("left/mod.rs", source) != []


def test_a_rust_import_from_deep_inside_a_folder_is_found() -> None:
    assert rust("left/door/lock.rs", "use super::super::super::roof;") != []
    assert rust("left/door/lock.rs", "use super::super::window;") == []


@pytest.mark.parametrize(
    "source",
    [
        "use crate::ground::{Stone, sand::Grain};",
        "use super::ground;",
        "use crate::left::door;",
        "mod inner { use super::*; use crate::ground; }",
        "#[cfg(test)] mod tests { use super::*; use crate::roof; }",
        '// use crate::roof;\n/* crate::roof */ const S: &str = "crate::roof"; const R: &str = r#"crate::roof"#;',
        "fn f<'a>(x: &'a str) -> char { 'c' }",
        "use other::crate_name::roof;",
    ],
)
def test_a_rust_import_that_points_down_passes(source: str) -> None:
    assert rust("left.rs", source) == []


def test_an_unknown_module_is_told_where_to_go() -> None:
    with pytest.raises(AssertionError, match=r"Add it to the table in tests/test_floors\.py"):
        floor_of(FLOORS, "attic", "attic.rs")


@pytest.mark.parametrize(
    "source",
    [
        "import house.roof",
        "from house import roof",
        "from house.roof import tile",
        "from . import roof",
        "from .right import door",
        "def f() -> None:\n    from .roof import tile",
        "from house import attic",
    ],
)
def test_a_python_import_that_does_not_point_down_is_found(source: str) -> None:
    root = Path("/house")
    assert violations(FLOORS, python_imports(root / "left.py", root, source)) != []


@pytest.mark.parametrize("source", ["import os", "from . import ground", "from house.ground import stone"])
def test_a_python_import_that_points_down_passes(source: str) -> None:
    root = Path("/house")
    assert violations(FLOORS, python_imports(root / "left.py", root, source)) == []


def test_a_python_import_inside_a_folder_is_resolved_from_it() -> None:
    root = Path("/house")
    door = root / "left/door.py"
    assert violations(FLOORS, python_imports(door, root, "from .lock import key")) == []
    assert violations(FLOORS, python_imports(door, root, "from ..ground import stone")) == []
    assert violations(FLOORS, python_imports(door, root, "from ..roof import tile")) != []
    assert violations(FLOORS, python_imports(root / "left/__init__.py", root, "from .roof import tile")) == []
