"""The command line. Commands are imported when used, so that `--help` costs no more than this module."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from typing import Any

import click

from afterburn_core import __version__
from afterburn_core.errors import AfterburnError, VerificationError

USAGE, INCOMPLETE, UNVERIFIED = 2, 3, 4

# name → (factory, one line for the list of commands)
COMMANDS: dict[str, tuple[str, str]] = {
    "activations": ("afterburn_core.cli.diagnose:activations", "Compare what happens inside the models."),
    "behaviour": ("afterburn_core.cli.diagnose:behaviour", "Compare what the models write."),
    "certify": ("afterburn_core.cli.certify:certify", "Sign what a run found, so that others can check it."),
    "diagnose": ("afterburn_core.cli.diagnose:diagnose", "Compare a base model with a trained one."),
    "doctor": ("afterburn_core.cli.doctor:doctor", "Say what is installed and what would not work here."),
    "gate": ("afterburn_core.cli.gate:gate", "Hold finished runs against a policy, for CI."),
    "judge": ("afterburn_core.cli.judge:judge", "Judge a finished run again, under another policy."),
    "keygen": ("afterburn_core.cli.keygen:keygen", "Make a key to sign certificates with."),
    "plan": ("afterburn_core.cli.plan:plan", "Show what a diagnose would do and cost."),
    "plugin": ("afterburn_core.cli.plugin_commands:plugin", "Start a plugin, or check one."),
    "plugins": ("afterburn_core.cli.plugins:plugins", "List installed plugins and what they bring."),
    "probes": ("afterburn_core.cli.probes:probes", "List, show, write and check sets of prompts."),
    "report": ("afterburn_core.cli.report:report", "Render a finished run in another format."),
    "schema": ("afterburn_core.cli.documents:schema", "Print the JSON Schema of the result document."),
    "trace": ("afterburn_core.cli.trace:trace", "Find the weights that carry a change."),
    "validate": ("afterburn_core.cli.documents:validate", "Check a result document."),
    "verify": ("afterburn_core.cli.verify:verify", "Check a certificate, and a model against it."),
    "weight-diff": ("afterburn_core.cli.diagnose:weight_diff", "Compare the weights alone."),
}
# commands that first-party plugins bring, for the hint when they are not installed
BROUGHT_BY = {"demo": "organisms", "organisms": "organisms", "hack-check": "reward_hack"}


class Commands(click.Group):
    """Core commands from a table, plugins' commands from the registry; nothing is imported before it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*COMMANDS, *_plugin_commands()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command: click.Command | None = None
        if cmd_name in COMMANDS:  # without the registry, whose import takes longer than some commands do
            module, _, name = COMMANDS[cmd_name][0].partition(":")
            command = getattr(import_module(module), name)
        elif cmd_name in (brought := _plugin_commands()):
            from afterburn_core.plugin.registry import load_factory

            command = load_factory(brought[cmd_name][0])
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            from afterburn_core.plugin.registry import suggestion

            hint = suggestion(name, self.list_commands(ctx))
            if name in BROUGHT_BY:
                hint = f"; it comes with the plugin {BROUGHT_BY[name]!r}: pip install ./plugins/{BROUGHT_BY[name]}"
            raise click.UsageError(f"no command is named {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any of them."""
        lines = {name: summary for name, (_, summary) in COMMANDS.items()}
        lines.update({name: summary for name, (_, summary) in _plugin_commands().items()})
        with formatter.section("Commands"):
            formatter.write_dl(sorted(lines.items()))


def _plugin_commands() -> dict[str, tuple[str, str]]:
    """Commands of plugins by their name after the dot; core names are not theirs to take."""
    from afterburn_core.plugin.registry import Registry

    registry = Registry.discover()
    commands: dict[str, tuple[str, str]] = {}
    for registered in registry.specs("command"):
        name = registered.spec.name.split(".", 1)[1].replace("_", "-")
        if name not in COMMANDS and name not in commands:
            commands[name] = (registered.spec.factory, registered.spec.summary)
    return commands


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="afterburn")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def cli() -> None:
    """Say what fine-tuning did to a model, with evidence.

    Exit codes: 0 ok; 1 findings at or above the bar; 2 usage, configuration or input; 3 incomplete; 4 not verified.
    """


def main(args: list[str] | None = None, prog_name: str = "afterburn") -> None:
    """Runs the command line and exits with the documented code."""
    arguments = sys.argv[1:] if args is None else args
    sys.exit(run(arguments, prog_name))


def run(arguments: list[str], prog_name: str = "afterburn") -> int:
    """The exit code of a command line; errors are one line on standard error."""
    try:
        outcome: Any = cli.main(args=arguments, prog_name=prog_name, standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.UsageError as error:
        usage = error.ctx.command_path if error.ctx else prog_name
        return _fail(f"{error.format_message()} (see `{usage} --help`)", USAGE, arguments)
    except click.ClickException as error:
        return _fail(error.format_message(), USAGE, arguments)
    except VerificationError as error:
        return _fail(str(error), UNVERIFIED, arguments)
    except AfterburnError as error:
        return _fail(str(error), USAGE, arguments)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted; what was finished is in the cache, run again to go on", INCOMPLETE, arguments)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        sys.stderr.close()
        return 0
    except OSError as error:
        return _fail(f"{error.filename or 'system'}: {error.strerror or error}", USAGE, arguments)
    except Exception as error:  # noqa: BLE001 - a defect of ours: say so instead of showing a stranger a traceback
        message = f"internal error: {type(error).__name__}: {error}; run again with --debug and report it"
        return _fail(message, USAGE, arguments)


def _fail(message: str, code: int, arguments: list[str]) -> int:
    if "--debug" in arguments:
        traceback.print_exc()
    click.echo(f"afterburn: {' '.join(message.split())}", err=True)
    return code
