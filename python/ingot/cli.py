"""The command `ingot`."""

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence

from ingot.auth.command import KeysError, add_actions, run_action
from ingot.settings import OneLineParser, SettingsError, add_flags, load

__all__ = ["main"]


def version() -> str:
    """The version of the installed package."""
    try:
        return importlib.metadata.version("ingot")
    except importlib.metadata.PackageNotFoundError:
        return "0+uninstalled"


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="ingot", description="A self-hosted store for embeddings.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"ingot {version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve a data directory over HTTP",
        description="Serves a data directory over HTTP until SIGTERM or Ctrl-C. Every option is also a variable "
        "INGOT_X_Y and a key x_y of the --config file; a flag wins over a variable, a variable over the file.",
        allow_abbrev=False,
    )
    add_flags(serve)
    keys = commands.add_parser(
        "keys",
        help="make, list and revoke the keys of a data directory",
        description="Makes, lists and revokes the keys of a data directory, beside a running server or without one.",
        allow_abbrev=False,
    )
    add_actions(keys)
    return parser


def _fail(message: str) -> int:
    print(f"ingot: {' '.join(message.split())}", file=sys.stderr)
    return 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit code."""
    options = vars(_parser().parse_args(arguments))
    try:
        settings = load(options)
        if options["command"] == "keys":
            return run_action(settings.data, options)
    except (SettingsError, KeysError) as error:
        return _fail(str(error))
    try:
        # Here, so that a wrong option is answered without loading the engine.
        from ingot.http.process import StartError, serve
    except ImportError as error:
        return _fail(
            f"the server's modules cannot be loaded ({error}): install ingot with `pip install ingot`"
        )
    try:
        return serve(settings, version())
    except StartError as error:
        return _fail(str(error))
