"""Every setting of the server: a flag `--x-y`, a variable `INGOT_X_Y`, a key `x_y` of the TOML file; in that order."""

import argparse
import dataclasses
import difflib
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from ingot import limits

__all__ = ["OneLineParser", "Settings", "SettingsError", "add_flags", "load"]

LogFormat = Literal["text", "json"]

_UNITS = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


class SettingsError(Exception):
    """A setting that is missing, unknown, or not understood; its message is one line that says what to do."""


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with the command line in one line on standard error and exits with code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see `{self.prog} --help`)\n")


def _setting(default: Any, help: str, **metadata: Any) -> Any:
    return dataclasses.field(default=default, metadata={"help": help, **metadata})


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of one server."""

    data: Path = _setting(None, "the data directory; made when it does not exist", metavar="DIR")
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8080, "port to listen on; 0 lets the system choose", at_most=65535)
    insecure: bool = _setting(False, "take requests from everywhere although no key protects the data")
    log_format: LogFormat = _setting(
        "text", "how requests are logged on standard error", choices=("text", "json")
    )
    auto_create_tenants: bool = _setting(True, "make a tenant on its first upload")
    body_limit: int = _setting(limits.MAX_BODY, "largest request body", unit="bytes", at_least=1)
    body_timeout: float = _setting(900.0, "longest time a whole body may take", unit="seconds", above=0)
    body_grace: float = _setting(10.0, "time before `body_rate` counts", unit="seconds")
    body_rate: int = _setting(32 * 1024, "slowest average at which a body may arrive", unit="bytes/s")
    bytes_in_flight: int = _setting(
        1 << 30, "bodies held at the same time; beyond it uploads get 503", unit="bytes", at_least=1
    )
    keep_alive: float = _setting(75.0, "how long an idle connection stays open", unit="seconds", above=0)
    drain_timeout: float = _setting(30.0, "how long a stop waits for requests in progress", unit="seconds")
    index_threads: int = _setting(0, "threads that build graphs; 0 lets the engine choose")
    search_threads: int = _setting(0, "threads that search; 0 lets the engine choose")
    commit_threads: int = _setting(0, "threads that write; 0 lets the engine choose")
    max_open_tenants: int = _setting(0, "tenants held open; 0 lets the engine choose")

    def engine_options(self) -> dict[str, Any]:
        """What the engine is told; a 0 that means "you choose" is left out."""
        names = ("index_threads", "search_threads", "commit_threads", "max_open_tenants")
        chosen = {name: getattr(self, name) for name in names if getattr(self, name)}
        return {"create": True, "auto_create_tenants": self.auto_create_tenants, **chosen}


_FIELDS: dict[str, dataclasses.Field[Any]] = {field.name: field for field in dataclasses.fields(Settings)}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag a setting, and `--config`."""
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings (INGOT_CONFIG)")
    for name, field in _FIELDS.items():
        flag = "--" + name.replace("_", "-")
        unit = field.metadata.get("unit")
        default = "" if field.default is None else f"; default {field.default}"
        text = f"{field.metadata['help']}{f' ({unit})' if unit else ''}{default}"
        if field.type is bool:
            parser.add_argument(flag, help=text, default=None, action=argparse.BooleanOptionalAction)
        else:
            metavar = field.metadata.get("metavar", "|".join(field.metadata.get("choices", ())) or "X")
            parser.add_argument(flag, help=text, default=None, metavar=metavar)


def load(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings from flags (None: not given), environment and file."""
    config = flags.get("config") or environment.get("INGOT_CONFIG")
    file = _read_file(Path(config)) if config else {}
    values: dict[str, Any] = {}
    for name, field in _FIELDS.items():
        variable = "INGOT_" + name.upper()
        if flags.get(name) is not None:
            values[name] = _value(field, flags[name], "--" + name.replace("_", "-"))
        elif environment.get(variable):
            values[name] = _value(field, environment[variable], variable)
        elif name in file:
            values[name] = _value(field, file[name], f"{name} in {config}")
    if values.get("data") is None:
        raise SettingsError("no data directory: give one with --data DIR")
    return Settings(**values)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read --config {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    for key in table:
        if key not in _FIELDS:
            raise SettingsError(f"unknown key `{key}` in {path}{nearest(key, list(_FIELDS))}")
    return table


def nearest(name: str, known: Sequence[str]) -> str:
    """`; did you mean ...?` for a name that is not among the known ones; "" when none is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean `{near[0]}`?" if near else ""


def _value(field: dataclasses.Field[Any], raw: Any, source: str) -> Any:
    if field.type is bool:
        return _boolean(raw, source)
    if field.type is int:
        return _bounded(field, _integer(raw, source), source)
    if field.type is float:
        return _bounded(field, _seconds(raw, source), source)
    if not isinstance(raw, str) or not raw or "\0" in raw:
        raise SettingsError(f"{source} must be text, not {raw!r}")
    if field.type is Path:
        return Path(raw)
    choices = field.metadata.get("choices")
    if choices and raw not in choices:
        raise SettingsError(f"{source} must be one of {', '.join(choices)}, not {raw!r}")
    return raw


def _boolean(raw: Any, source: str) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in ("true", "1", "yes", "on"):
        return True
    if isinstance(raw, str) and raw.lower() in ("false", "0", "no", "off"):
        return False
    raise SettingsError(f"{source} must be true or false, not {raw!r}")


def _integer(raw: Any, source: str) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str):
        digits = raw.strip().lower().rstrip("kmgib")
        unit = _UNITS.get(raw.strip().lower()[len(digits) :])
        if digits.isascii() and digits.isdigit() and len(digits) < 19 and unit is not None:
            return int(digits) * unit
    raise SettingsError(f"{source} must be a whole number (KiB, MiB, GiB may follow), not {raw!r}")


def _seconds(raw: Any, source: str) -> float:
    try:
        seconds = float(raw) if isinstance(raw, (int, float, str)) and not isinstance(raw, bool) else math.nan
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise SettingsError(f"{source} must be a number of seconds, not {raw!r}")
    return seconds


def _bounded(field: dataclasses.Field[Any], number: Any, source: str) -> Any:
    lowest = field.metadata.get("at_least", 0)
    highest = field.metadata.get("at_most", math.inf)
    if number < lowest or number > highest:
        bounds = f"at least {lowest}" if highest == math.inf else f"{lowest}..{highest}"
        raise SettingsError(f"{source} must be {bounds}, not {number}")
    if "above" in field.metadata and number <= field.metadata["above"]:
        raise SettingsError(f"{source} must be more than {field.metadata['above']}, not {number}")
    return number
