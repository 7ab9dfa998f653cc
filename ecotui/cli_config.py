"""The commands about configurations; every heavy import is deferred."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ecotui.cli_options import CONTEXT, set_option


@click.group(context_settings=CONTEXT)
def config() -> None:
    """Show, check or write configurations."""


@config.command("show", context_settings=CONTEXT)
@click.argument("config")
@set_option
def config_show(config: str, settings: Sequence[str]) -> int:
    """Print every setting of CONFIG with its meaning."""
    from ecotui import config_verbs

    return config_verbs.show(config, settings)


@config.command("validate", context_settings=CONTEXT)
@click.argument("config")
@set_option
def config_validate(config: str, settings: Sequence[str]) -> int:
    """Say whether CONFIG is valid, and what it trains."""
    from ecotui import config_verbs

    return config_verbs.validate(config, settings)


@config.command("schema", context_settings=CONTEXT)
def config_schema() -> int:
    """Print the JSON schema of configurations, for editors."""
    from ecotui import config_verbs

    return config_verbs.schema()


@config.command("apply", context_settings=CONTEXT)
@click.argument("fragment")
@click.argument("config")
def config_apply(fragment: str, config: str) -> int:
    """Put the settings of FRAGMENT, such as a run's plan.toml, into CONFIG; a copy is kept.

    FRAGMENT is a TOML file, or the folder of a run or a preflight.
    """
    from ecotui import config_verbs

    return config_verbs.apply(fragment, config)


@config.command("undo", context_settings=CONTEXT)
@click.argument("config")
def config_undo(config: str) -> int:
    """Give CONFIG back what it was before `config apply`; once more redoes it."""
    from ecotui import config_verbs

    return config_verbs.undo(config)


@config.command("init", context_settings=CONTEXT)
@click.option("--data", required=True, metavar="FOLDER", help="The photos to train on.")
@click.option("--output", metavar="FILE", help="Config to write. [FOLDER's name].toml")
@click.option("--model", default="resnet18", help="Any model that timm knows. [resnet18]")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def config_init(data: str, output: str | None, model: str, force: bool) -> int:
    """Look at a folder of photos and write a config for it."""
    from ecotui import config_verbs

    return config_verbs.init(data, output, model=model, force=force)
