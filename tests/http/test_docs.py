"""docs/http.md names every path, error code and setting."""

from pathlib import Path

import pytest

from ingot import errors
from ingot.settings import Settings
from tests.http.documented import routes

TEXT = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


@pytest.mark.parametrize("path", [path for path in routes() if not path.startswith("/docs/")])
def test_every_path_is_documented(path: str) -> None:
    assert path in TEXT


@pytest.mark.parametrize("name", Settings.__dataclass_fields__)
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in TEXT


def codes(cls: type[errors.IngotError]) -> set[str]:
    return {cls.error_code}.union(*map(codes, cls.__subclasses__()))


@pytest.mark.parametrize("code", sorted(codes(errors.IngotError)))
def test_every_error_code_is_documented(code: str) -> None:
    assert f"`{code}`" in TEXT
