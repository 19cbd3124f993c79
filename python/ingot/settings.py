"""Every setting of the server: a flag `--x-y`, a variable `INGOT_X_Y`, a key `x_y` of the TOML file; in that order."""

import argparse
import dataclasses
import difflib
import importlib
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, get_args, get_type_hints

from ingot import limits

__all__ = ["OneLineParser", "Rule", "Settings", "SettingsError", "add_flags", "described", "load"]

LogFormat = Literal["text", "json"]

# The standard library's since 3.11; the same module by its first name before.
tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[a-z0-9.-]+(:\d{1,5})?|[a-z]+://\[[0-9a-f:.]+\](:\d{1,5})?")
_UNITS = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


class SettingsError(Exception):
    """A setting that is missing, unknown, or not understood; its message is one line that says what to do."""


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with the command line in one line on standard error and exits with code 2."""

    def error(self, message: str) -> NoReturn:
        """Ends the process."""
        self.exit(2, f"{self.prog}: {message} (see `{self.prog} --help`)\n")


@dataclasses.dataclass(frozen=True)
class Rule:
    """What is said about a setting, and which values it may have."""

    help: str
    unit: str = ""
    metavar: str = "X"
    at_least: float = 0
    at_most: float = math.inf
    above: float = -math.inf


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of one server."""

    data: Annotated[Path, Rule("the data directory; made when it does not exist", metavar="DIR")]
    host: Annotated[str, Rule("address to listen on")] = "127.0.0.1"
    port: Annotated[int, Rule("port to listen on; 0 lets the system choose", at_most=65535)] = 8080
    insecure: Annotated[bool, Rule("take requests from everywhere although no key protects the data")] = False
    log_format: Annotated[
        LogFormat, Rule("how requests are logged on standard error", metavar="text|json")
    ] = "text"
    auto_create_tenants: Annotated[bool, Rule("make a tenant on its first upload")] = True
    body_limit: Annotated[int, Rule("largest request body", "bytes", at_least=1)] = limits.MAX_BODY
    body_timeout: Annotated[float, Rule("longest time a whole body may take", "seconds", above=0)] = 900.0
    body_grace: Annotated[float, Rule("time before `body_rate` counts", "seconds")] = 10.0
    body_rate: Annotated[int, Rule("slowest average at which a body may arrive", "bytes/s")] = 32 * 1024
    bytes_in_flight: Annotated[
        int, Rule("bodies held at a time; beyond it uploads get 503", "bytes", at_least=1)
    ] = 1 << 30
    key_bytes_in_flight: Annotated[
        int, Rule("of them, those of one key; beyond it 429; 0: half of them, once there are keys", "bytes")
    ] = 0
    requests_per_second: Annotated[int, Rule("requests taken on average; beyond it 503; 0: no limit")] = 0
    rows_per_second: Annotated[int, Rule("rows uploaded on average; beyond it 503; 0: no limit")] = 0
    key_requests_per_second: Annotated[int, Rule("requests of one key; beyond it 429; 0: no limit")] = 0
    key_rows_per_second: Annotated[int, Rule("rows uploaded with one key; beyond it 429; 0: no limit")] = 0
    max_connections: Annotated[
        int, Rule("connections held open; 0: what the process's descriptors leave besides tenants")
    ] = 0
    head_timeout: Annotated[
        float,
        Rule(
            "longest time for a request's head, from its first byte, and for a TLS handshake",
            "seconds",
            above=0,
        ),
    ] = 15.0
    send_timeout: Annotated[
        float, Rule("time over which a client has to take its answer at `body_rate`", "seconds", above=0)
    ] = 30.0
    keep_alive: Annotated[float, Rule("how long an idle connection stays open", "seconds", above=0)] = 75.0
    tls_cert: Annotated[
        Path | None, Rule("certificate to serve HTTPS with, PEM; read again on SIGHUP", metavar="FILE")
    ] = None
    tls_key: Annotated[Path | None, Rule("private key of the certificate, PEM", metavar="FILE")] = None
    admin_key_file: Annotated[
        Path | None, Rule("file with a key for everything; or the variable INGOT_ADMIN_KEY", metavar="FILE")
    ] = None
    cors_origins: Annotated[
        tuple[str, ...],
        Rule("origins of web pages that may use this server, with commas; * is all", metavar="URL,.."),
    ] = ()
    drain_timeout: Annotated[float, Rule("how long a stop waits for requests in progress", "seconds")] = 30.0
    index_threads: Annotated[int, Rule("threads that build graphs; 0 lets the engine choose")] = 0
    search_threads: Annotated[int, Rule("threads that search; 0 lets the engine choose")] = 0
    commit_threads: Annotated[int, Rule("threads that write; 0 lets the engine choose")] = 0
    max_open_tenants: Annotated[
        int, Rule("tenants held open; 0: a quarter of the process's descriptors, 16..4096")
    ] = 0

    def engine_options(self) -> dict[str, Any]:
        """What the engine is told; a 0 that means "you choose" is left out."""
        names = ("index_threads", "search_threads", "commit_threads", "max_open_tenants")
        chosen = {name: getattr(self, name) for name in names if getattr(self, name)}
        return {"create": True, "auto_create_tenants": self.auto_create_tenants, **chosen}


@dataclasses.dataclass(frozen=True)
class _Field:
    kind: Any
    rule: Rule
    default: Any


def _fields() -> dict[str, _Field]:
    found: dict[str, _Field] = {}
    hints = get_type_hints(Settings, include_extras=True)
    for field in dataclasses.fields(Settings):
        kind, rule = get_args(hints[field.name])
        if kind == Path | None:
            kind = Path
        found[field.name] = _Field(kind, rule, field.default)
    return found


_FIELDS = _fields()


def described() -> dict[str, tuple[Any, Rule, Any]]:
    """Every setting: its type, what is said about it, its default (`dataclasses.MISSING`: it has to be given)."""
    return {name: (field.kind, field.rule, field.default) for name, field in _FIELDS.items()}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag a setting, and `--config`."""
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings (INGOT_CONFIG)")
    for name, field in _FIELDS.items():
        flag = "--" + name.replace("_", "-")
        notes = [field.rule.unit] if field.rule.unit else []
        if field.default not in (dataclasses.MISSING, None, ()):
            notes.append(f"default {field.default}")
        text = f"{field.rule.help} ({', '.join(notes)})" if notes else field.rule.help
        if field.kind is bool:
            parser.add_argument(flag, help=text, default=None, action=argparse.BooleanOptionalAction)
        else:
            parser.add_argument(flag, help=text, default=None, metavar=field.rule.metavar)


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
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
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


def _value(field: _Field, raw: Any, source: str) -> Any:
    if field.kind is bool:
        return _boolean(raw, source)
    if field.kind is int:
        return _bounded(field, _integer(raw, source), source)
    if field.kind is float:
        return _bounded(field, _seconds(raw, source), source)
    if field.kind == tuple[str, ...]:
        return _origins(raw, source)
    if not isinstance(raw, str) or not raw or "\0" in raw:
        raise SettingsError(f"{source} must be text, not {raw!r}")
    if field.kind is Path:
        return Path(raw)
    choices = get_args(field.kind)
    if choices and raw not in choices:
        raise SettingsError(f"{source} must be one of {', '.join(choices)}, not {raw!r}")
    return raw


def _origins(raw: Any, source: str) -> tuple[str, ...]:
    names = [name.strip() for name in raw.split(",")] if isinstance(raw, str) else raw
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        origins = tuple(name for name in names if name)
        if all(_ORIGIN.fullmatch(name) for name in origins):
            return origins
    raise SettingsError(
        f"{source} must be origins as browsers send them (https://app.example, no path) or *, not {raw!r}"
    )


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


def _bounded(field: _Field, number: Any, source: str) -> Any:
    rule = field.rule
    if not rule.at_least <= number <= rule.at_most:
        bounds = (
            f"at least {rule.at_least}" if rule.at_most == math.inf else f"{rule.at_least}..{rule.at_most}"
        )
        raise SettingsError(f"{source} must be {bounds}, not {number}")
    if number <= rule.above:
        raise SettingsError(f"{source} must be more than {rule.above}, not {number}")
    return number
