"""The group of commands. Each module is imported when its command is asked for."""

from __future__ import annotations

import importlib

import click

from novasonic._core import __version__

__all__ = ["novasonic"]

# Name, the extra that its module needs, and what `--help` says without importing it.
_COMMANDS = {
    "demo": ("demo", "Serve a page to talk on."),
    "emulator": ("cli", "Run the service's stand-in on this machine."),
    "talk": ("cli", "Send a recording and hear the answer."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        extra, _ = _COMMANDS[cmd_name]
        try:
            module = importlib.import_module(f"novasonic.cli.{cmd_name}")
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f'novasonic {cmd_name} needs {error.name}: pip install "novasonic[{extra}]"'
            ) from error
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="novasonic")
def novasonic() -> None:
    """Live voice conversations with Amazon Nova Sonic."""
