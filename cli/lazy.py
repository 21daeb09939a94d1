"""A command group that imports a command only when it is called, and one place for exit codes.

Exit codes: 0 fine, 1 failed, 2 wrong use, 3 damaged or unsupported input, 4 over a limit, 130 interrupted,
143 terminated.
"""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import click

from vqcodec.cli.report import INTERRUPTED, TERMINATED, say_error, with_hint
from vqcodec.errors import VqcError

__all__ = ["LazyCommand", "LazyGroup"]


class LazyCommand(NamedTuple):
    """Where a command lives (``module:attribute``) and its line in the list, which must not cost an import."""

    target: str
    short_help: str


class LazyGroup(click.Group):
    """Commands by name, imported on use."""

    def __init__(self, *args: Any, lazy: Mapping[str, LazyCommand] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were given."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and hand out the command."""
        if cmd_name not in self.lazy:
            return None
        module, attribute = self.lazy[cmd_name].target.split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.short_help) for name, command in self.lazy.items()])

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run and exit: every error of ours becomes one line and its exit code."""
        sys.exit(self._run(*args, **kwargs))

    def _run(self, *args: Any, **kwargs: Any) -> int:
        signal.signal(signal.SIGTERM, _terminate)
        try:
            result = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.Abort:
            say_error("interrupted")
            return INTERRUPTED
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except VqcError as error:
            say_error(with_hint(error))
            return error.exit_code
        except BrokenPipeError:
            sys.stderr.close()  # the reader is gone; Python would complain about it once more on exit
            return 1
        except MemoryError:
            say_error("not enough memory; try a smaller picture, or --jobs 1")
            return 1
        return result if isinstance(result, int) else 0


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Leave by an exception, so that temporary files are removed on the way out."""
    sys.exit(TERMINATED)
