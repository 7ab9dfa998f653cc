"""Writes the reference pages from the code, so that they cannot disagree with it.

    python docs/generate.py

A test fails where a page is older than the code.
"""

from __future__ import annotations

import ast
import inspect
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from types import NoneType

from pydantic import BaseModel, WithJsonSchema

from ecotui import endings, envelope, events, findings, healing, plans, products, repairs, turns
from ecotui.actions.table import ACTIONS
from ecotui.alert_register import ALERT_REGISTER
from ecotui.check_register import CHECKS
from ecotui.config import RunConfig
from ecotui.config_file import to_toml
from ecotui.guard_register import Entry
from ecotui.status_report import StatusReport
from ecotui.text import sentence

FOLDER = Path(__file__).resolve().parent
SCHEMA_FOLDER = FOLDER.parent / "schemas"
DOCTOR_KINDS: tuple[type[envelope.Event], ...] = (
    events.EngineStarted,
    events.StageStarted,
    events.StageAdvanced,
    events.StageFinished,
    events.Heartbeat,
    events.CheckReported,
    events.RepairPlanned,
    events.RepairStepStarted,
    events.RepairSaid,
    events.RepairFinished,
    events.CommandAnswered,
    events.LogWritten,
    events.RunFinished,
    events.RunStopped,
    events.RunFailed,
    events.EngineLost,
)
"""What the engine of an examination can state, and the reader of it."""
NOTICE = "<!-- Written by docs/generate.py; change the code instead. -->"
KEYS_OPENING = """\
# Keys

Every action of the terminal app, with the keys it has of its own accord. All of them are found
by name with `:`. Others are given in a `[keys]` section of `app.toml`: see [app.md](app.md).
"""
PLACE_HEADINGS = {
    "everywhere": "Everywhere",
    "home": "On the home screen",
    "diagnostic": "On the diagnostic screen",
    "preflight": "On the preflight screen",
    "training": "On the training screen",
    "results": "On the results screen",
    "compare": "Where runs are compared",
    "config": "Where settings are edited",
    "panel": "In a log that has the focus",
}
WORDS = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}

CONFIGURATION_OPENING = """\
# Configuration

A configuration is a TOML file. Every key has a default except `data.root`.
`ecotui config init --data FOLDER` writes one for a folder of photos,
`ecotui config show CONFIG` prints the whole of one with these explanations, and
`ecotui config schema` prints the JSON schema for an editor.

Settings are taken from, the later over the earlier: the defaults below, your own
file (`~/.config/ecotui/config.toml` on Linux, `~/Library/Application Support/ecotui/config.toml`
on macOS), the config file, `--set key=value`. TOML has no word for "unset": leave the key out.

A key that does not exist, a value out of its range and settings that contradict
each other are refused with exit code 2 before anything is begun, with the line
of the file where it has one.
"""

EVENTS_OPENING = """\
# Events

The engine states what happens as events: one JSON object a line in `events.jsonl`
of the run, and on stdout with `ecotui --headless CONFIG --json`. Everything that is
shown of a run is read from them.

Fields are never renamed or re-used, and new ones may come: ignore kinds and
fields that you do not know. A number that is not finite is null, with the
field's name in `nonfinite`. Times are seconds, shares lie between 0 and 1, and
paths are relative to the run's directory unless a field says otherwise.
"""


def configuration_page() -> str:
    """Return the reference of every setting."""
    out = [NOTICE, CONFIGURATION_OPENING, *_settings_table("", RunConfig)]
    for name, field in RunConfig.model_fields.items():
        section = field.annotation
        if _is_section(section):
            out += ["", f"## [{name}]", "", inspect.cleandoc(section.__doc__ or ""), ""]
            out += _settings_table(name, section)
    return "\n".join(out) + "\n"


def events_page() -> str:
    """Return the reference of every kind of event."""
    story = inspect.cleandoc(events.__doc__ or "")
    story = story[story.index("The loop in pseudocode") : story.index("Non-finite numbers")]
    out = [NOTICE, EVENTS_OPENING, "## When each is stated", "", story.rstrip(), ""]
    documented = dict(_documented_classes())
    out += ["## In every event", "", *_fields_table(documented["Event"]), ""]
    for name in _kinds():
        node = documented[name]
        out += [f"## {name}: `{_kind_of(node)}`", "", ast.get_docstring(node) or "", ""]
        table = _fields_table(node)
        out += [*table, ""] if len(table) > 2 else []
    out += ["## Parts of events", ""]
    for record in envelope.Record.__subclasses__():
        node = documented[record.__name__]
        out += [f"### {record.__name__}", "", ast.get_docstring(node) or "", ""]
        out += [*_fields_table(node), ""]
    return "\n".join(out).rstrip() + "\n"


ALERTS_OPENING = """\
# Alerts

Every guard and every alert by the name that the events, the screens, `ecotui status` and
notifications give it: what is watched, why it matters, what is done about it and what you can do.
How the layers work together: [protection.md](protection.md). What to do first when something is
wrong: [troubleshooting.md](troubleshooting.md). A guard can be silenced: `ecotui silence RUN NAME`.
"""

ALERT_GROUPS = {
    1: "Beside the training: the machine, the disk, the pace",
    4: "Layer 4: batch",
    5: "Layer 5: loss",
    6: "Layer 6: gradients",
    7: "Layer 7: epoch",
    0: "Other alerts",
}


def alerts_page() -> str:
    """Return the reference of every guard and alert."""
    out = [NOTICE, ALERTS_OPENING]
    for layer, heading in ALERT_GROUPS.items():
        out += [f"## {heading}", ""]
        for name, entry in ALERT_REGISTER.items():
            if entry.layer == layer:
                out += _alert_section(name, entry)
    return "\n".join(out).rstrip() + "\n"


def _alert_section(name: str, entry: Entry) -> list[str]:
    out = [f"### {name}", "", f"**{sentence(entry.title)}.**", ""]
    out += [f"- Watched: {entry.what}.", f"- Why: {entry.why}.", f"- Done about it: {entry.acts}."]
    if entry.limits:
        keys = ", ".join(
            f"[`{key}`](configuration.md#{key.partition('.')[0]})" for key in entry.limits
        )
        out.append(f"- Settings: {keys}.")
    if entry.source:
        out.append(f"- Source: {entry.source}.")
    out += ["", "What you can do:", ""]
    return [*out, *(f"{place}. {remedy}" for place, remedy in enumerate(entry.remedies, 1)), ""]


def keys_page() -> str:
    """Return the page of every action, its keys and its name in `[keys]`."""
    out = [NOTICE, "", KEYS_OPENING]
    for place in dict.fromkeys(action.place for action in ACTIONS):
        out += [f"## {PLACE_HEADINGS[place]}", "", _row("Action", "Keys", "What it does")]
        out.append(_row("---", "---", "---"))
        for action in ACTIONS:
            if action.place == place:
                keys = ", ".join(f"`{key}`" for key in action.keys.split(",") if key)
                asks = " (not with `--readonly`)" if action.changes else ""
                out.append(_row(f"`{action.id}`", keys or "by name only", f"{action.help}{asks}"))
        out.append("")
    return "\n".join(out)


PAGES = {
    "configuration.md": configuration_page,
    "events.md": events_page,
    "alerts.md": alerts_page,
    "keys.md": keys_page,
}


def doctor_schema() -> str:
    """Return the JSON schema of a line that `ecotui doctor --json` prints."""
    variants = []
    definitions: dict[str, object] = {}
    for kind in sorted(DOCTOR_KINDS, key=lambda kind: str(kind.model_fields["kind"].default)):
        schema = kind.model_json_schema(mode="serialization")
        definitions |= schema.pop("$defs", {})
        schema["required"] = sorted(schema["properties"])
        if kind is findings.CheckReported:
            schema["properties"]["check"]["enum"] = list(CHECKS)
            schema["properties"]["layer"] = {"const": 1}
        schema["additionalProperties"] = False
        definitions[kind.__name__] = schema
        variants.append({"$ref": f"#/$defs/{kind.__name__}"})
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of `ecotui doctor --json`",
        "oneOf": variants,
        "$defs": definitions,
    }
    return json.dumps(whole, indent=1) + "\n"


def status_schema() -> str:
    """Return the JSON schema of what `ecotui status --json` prints."""
    schema = StatusReport.model_json_schema(mode="serialization")
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "What `ecotui status --json` prints",
    }
    return json.dumps(whole, indent=1) + "\n"


SCHEMAS = {"doctor.schema.json": doctor_schema, "status.schema.json": status_schema}


def _settings_table(section: str, model: type[BaseModel]) -> list[str]:
    out = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if _is_section(field.annotation):
            continue
        key = f"{section}.{name}" if section else name
        takes = _takes(field.annotation)
        if any(isinstance(extra, WithJsonSchema) for extra in field.metadata):
            takes += " or `off`"
        meaning = " ".join((field.description or "").split())
        out.append(_row(f"`{key}`", takes, _default(section, name), meaning))
    return out


def _default(section: str, name: str) -> str:
    """Return a default as TOML writes it."""
    table = to_toml(RunConfig())
    heading = f"[{section}]" if section else ""
    body = table.partition(heading + "\n")[2].partition("\n[")[0] if heading else table
    if f"{name} = [" in body:
        items = body.partition(f"{name} = [")[2].partition("]")[0].replace("\n", " ").split()
        return f"`[{' '.join(items).rstrip(',')}]`"
    for line in body.splitlines():
        if line.startswith(f"{name} = "):
            return f"`{line.partition(' = ')[2]}`"
    return "unset"


def _takes(annotation: object) -> str:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _takes(args[0])
    if origin is typing.Literal:
        return ", ".join(f"`{word}`" for word in args)
    if origin is tuple and args[-1] is Ellipsis:
        inner = _takes(args[0])
        return "list of texts" if inner == WORDS[str] else f"list of {inner}"
    if origin is tuple:
        return "list of texts" if args[-1] is Ellipsis else f"list of {len(args)} numbers"
    if args:
        return " or ".join(_takes(part) for part in args if part is not NoneType)
    return WORDS[typing.cast(type, annotation)]


def _is_section(annotation: object) -> typing.TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _kinds() -> list[str]:
    union = typing.get_args(events.AnyEvent)[0]
    return [kind.__name__ for kind in typing.get_args(union)]


def _documented_classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for module in (envelope, findings, endings, turns, repairs, plans, healing, products, events):
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                yield node.name, node


def _kind_of(node: ast.ClassDef) -> str:
    return next(
        str(ast.literal_eval(statement.value))
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and statement.value is not None
        and ast.unparse(statement.target) == "kind"
    )


def _fields_table(node: ast.ClassDef) -> list[str]:
    """Return the fields with the documentation that follows each in the source."""
    out = ["| field | type | meaning |", "|---|---|---|"]
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign):
            continue
        name = ast.unparse(statement.target)
        if name == "kind" and node.name != "Event":
            continue
        doc = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            doc = " ".join(str(following.value.value).split())
        out.append(_row(f"`{name}`", _json_type(ast.unparse(statement.annotation)), doc))
    return out


def _json_type(written: str) -> str:
    """Return a type as a reader of JSON knows it."""
    names = {"None": "null", "str": "text", "int": "whole number", "float": "number"}
    names |= {"bool": "true or false", "SplitName": _words(envelope.SplitName)}
    names |= {"Severity": _words(envelope.Severity), "Verdict": _words(findings.Verdict)}
    names |= {"RepairOutcome": _words(repairs.RepairOutcome)}
    names |= {"Exactness": _words(turns.Exactness), "Cause": _words(healing.Cause)}
    names |= {"Layer": _words(findings.Layer), "GuardAction": _words(findings.GuardAction)}
    names |= {"Bottleneck": _words(plans.Bottleneck)}
    if written.startswith("Literal["):
        return ", ".join(f"`{word}`" for word in ast.literal_eval(f"[{written[8:-1]}]"))
    if written.startswith("tuple["):
        inner = written[6:-1].partition(",")[0]
        return f"list of {names.get(inner, inner)}"
    return " or ".join(names.get(part, part) for part in written.split(" | "))


def _words(literal: object) -> str:
    return ", ".join(f"`{word}`" for word in typing.get_args(literal))


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
        print(f"wrote docs/{name}")
    for name, schema in SCHEMAS.items():
        (SCHEMA_FOLDER / name).write_text(schema(), encoding="utf-8")
        print(f"wrote schemas/{name}")


if __name__ == "__main__":
    main()
