"""The command line: `defter`. One module a group of commands; each is imported when it is asked for.

Law: data goes to stdout, everything else to stderr. Exit 0: done · 1: the answer is no · 2: wrong usage or setting ·
3: a dependency cannot be reached, or is not the one expected.

    start      demo, dev, setup, doctor                     services.cli.start
    run        run, writer, publisher, projector, ticker    services.cli.run
    write      open-ledger, open, transfer, send, prepare   services.cli.write, services.cli.planning
    read       balance, statement, show, …, quote, status   services.cli.read, services.cli.planning, services.cli.look
    after an incident   replay, rebuild, verify, simulate   services.cli.replaying, services.cli.rebuilding, …
                        dead-letters                        services.cli.incident, services.cli.dead_letters
    measure    bench                                        services.cli.measure

A new command is a function in its group's module, and its name in `SECTIONS`.
"""

import errno
import os
import sys
from importlib import import_module
from typing import Final, NamedTuple

import click

from services.errors import Away, Unexpected, WrongSetting
from services.interpreter import tune

NO: Final = 1
WRONG_USE: Final = 2
NOT_THERE: Final = 3
INTERRUPTED: Final = 130
NOBODY_READS: Final = 141
"""As a shell says it of a program whose output was closed: `defter statement alice | head`."""


_NOT_TO_BE_HAD: Final = (errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)
"""What may be wrong with a file or a device that is read or printed to. Other errors of the system are bugs here."""


class Section(NamedTuple):
    """Commands that belong together, in the order in which they are told, each with the module that has it."""

    title: str
    commands: dict[str, str]


SECTIONS: Final = (
    Section("start", dict.fromkeys(("demo", "dev", "setup", "doctor"), "start")),
    Section(
        "run",
        dict.fromkeys(("run", "writer", "publisher", "projector", "ticker"), "run") | {"snapshot": "snapshotting"},
    ),
    Section(
        "write",
        dict.fromkeys(("open-ledger", "open", "transfer", "send"), "write") | {"prepare": "planning"},
    ),
    Section(
        "read",
        dict.fromkeys(("balance", "statement", "show", "accounts", "holds", "trial-balance"), "read")
        | {"quote": "planning"}
        | dict.fromkeys(("watch", "status"), "look"),
    ),
    Section(
        "after an incident",
        {"replay": "replaying", "rebuild": "rebuilding", "verify": "verifying"}
        | {"simulate": "incident", "diff": "differing", "dead-letters": "dead_letters"},
    ),
    Section("measure", {"bench": "measure"}),
)
_MODULES: Final = {name: module for section in SECTIONS for name, module in section.commands.items()}
_WIDEST: Final = max(map(len, _MODULES))
_WHOLE: Final = 200


class Sections(click.Group):
    """All commands, by section."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        """Name every command."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import a command."""
        if cmd_name not in _MODULES:
            return None
        module = import_module(f"services.cli.{_MODULES[cmd_name]}")
        command: click.Command = module.commands.commands[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Tell them, section by section."""
        for section in SECTIONS:
            with formatter.section(section.title.capitalize()):
                told = [(f"{name:<{_WIDEST}}", self.get_command(ctx, name)) for name in section.commands]
                formatter.write_dl([(name, command.get_short_help_str(_WHOLE)) for name, command in told if command])


@click.command(cls=Sections, context_settings={"help_option_names": ["-h", "--help"]}, epilog="Begin with: defter demo")
@click.version_option(package_name="defter", message="%(prog)s %(version)s")
def defter() -> None:
    """An event-sourced, double-entry ledger fed by Kafka."""


def main() -> None:
    """Run the command that the arguments name, and exit as it says."""
    if "_DEFTER_COMPLETE" in os.environ:
        defter.main(prog_name="defter")
    _stand_in()
    tune()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code; what went wrong is said on stderr."""
    try:
        # Not `defter.main`: click makes of a closed pipe an exit with 1, which here is the answer no.
        with defter.make_context("defter", arguments) as context:
            defter.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except WrongSetting as error:
        return _said(error, WRONG_USE)
    except (Away, Unexpected) as error:
        return _said(error, NOT_THERE)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        _print_no_more()
        return NOBODY_READS
    except OSError as error:
        if error.errno not in _NOT_TO_BE_HAD:
            raise
        _print_no_more()
        return _said(f"input or output cannot be read or written: {error.strerror}", NOT_THERE)
    return 0


def _stand_in() -> None:
    """Put something in place of the standard streams that are closed, else what is opened next takes their numbers.

    It is open the other way round: whoever does read or print there is told so.
    """
    for number, (name, flags) in enumerate((("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY))):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, flags), number)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _print_no_more() -> None:
    """Have Python's own flush of stdout at the end find nothing to complain of."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _said(error: object, code: int) -> int:
    from services.log import without_passwords

    click.echo(f"defter: {without_passwords(str(error))}", err=True)
    return code
