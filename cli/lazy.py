"""A command group that imports a command only when it is called, and one place for exit codes.

Exit codes: 0 fine, 1 failed, 2 wrong use, 3 damaged or unsupported input, 4 over a limit, 130 interrupted,
143 terminated.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import click

from vqcodec.cli.report import say_error, saying_warnings, with_hint
from vqcodec.cli.streams import prepare, silence
from vqcodec.errors import VqcError
from vqcodec.sources import discard_unfinished
from vqcodec.workers import INTERRUPTED, TERMINATED, leaving_on_signals

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
        prepare()
        with leaving_on_signals(said="vqcodec: error: ended by a signal\n", cleanup=discard_unfinished):
            code = self._run(*args, **kwargs)
        sys.exit(code)

    def _run(self, *args: Any, **kwargs: Any) -> int:
        try:
            with saying_warnings():
                result = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.Abort:
            say_error("interrupted")
            return INTERRUPTED
        except SystemExit as leaving:
            if leaving.code == TERMINATED:
                say_error("terminated")
            return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        except click.ClickException as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # the help itself, which is longer than a line
                error.show()
            else:
                say_error(_usage(error))
            return error.exit_code
        except VqcError as error:
            say_error(with_hint(error))
            return error.exit_code
        except BrokenPipeError:
            silence(sys.stdout)  # the reader is gone; Python would complain about it once more on exit
            silence(sys.stderr)
            return 1
        except OSError as error:  # files have errors of ours by now: this is what click or we print
            say_error(f"standard output: cannot be written ({error.strerror or error})")
            silence(sys.stdout)
            return 1
        except MemoryError:
            say_error("not enough memory; try a smaller picture, or --jobs 1")
            return 1
        return result if isinstance(result, int) else 0


def _usage(error: click.ClickException) -> str:
    """The message in one line, with where to look and what to do about names that look like options."""
    text = error.format_message().rstrip(".")
    if not isinstance(error, click.UsageError):
        return text
    if isinstance(error, click.NoSuchOption):
        text += "; a name that begins with a dash goes after --"
    return f"{text}; see {error.ctx.command_path} --help" if error.ctx is not None else text
