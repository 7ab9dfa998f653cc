"""The command `ecotui audit`; everything heavy is deferred to the verb."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ecotui.cli_options import CONTEXT, json_option, runs_dir_option, set_option


@click.command(context_settings=CONTEXT)
@click.argument("data", metavar="DATA|CONFIG|RUN")
@click.option("--recheck", is_flag=True, help="Read all photos again, also unchanged ones.")
@click.option(
    "--exclude",
    metavar="KINDS",
    help="Print what to leave out, such as corrupt,leaks; keep it for data.exclude.",
)
@click.option("--labels", is_flag=True, help="Look for doubtful labels, by a short training.")
@click.option("--run", metavar="RUN", help="The same, with the best model of this run.")
@click.option("--weights", metavar="FILE", help="The same, with the model and these weights.")
@click.option("--output", metavar="FOLDER", help="Keep all findings and previews there.")
@set_option
@runs_dir_option
@json_option
def audit(
    data: str,
    recheck: bool,
    exclude: str | None,
    labels: bool,
    run: str | None,
    weights: str | None,
    output: str | None,
    settings: Sequence[str],
    runs_dir: str | None,
    as_json: bool,
) -> int:
    """Look at every photo of DATA: damage, duplicates, leaks, labels. Nothing is changed."""
    from ecotui import audit_verbs

    asked = audit_verbs.Asked(
        recheck=recheck, exclude=exclude, labels=labels, run=run, weights=weights, output=output
    )
    return audit_verbs.audit(data, settings, runs_dir, asked, as_json=as_json)
