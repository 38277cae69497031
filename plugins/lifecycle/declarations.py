"""Declarations: what a Dag file declares, read without running Airflow, which takes seconds to import.

A Dag file declares and wires and does nothing else, so its declaration stands on its own feet.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from lifecycle import as_of, journey, schedules, settings
from lifecycle.journey import Journey


def read(path: Path) -> Journey | None:
    """The journey of a Dag file with its schedule, or None where only running the file can tell.

    That is so for a file with a mistake too: whoever runs it gets to know the mistake.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        namespace: dict[str, Any] = {"__name__": path.stem, "__file__": str(path)}
        declaration = ast.Module([node for node in map(_without_airflow, tree.body) if node], [])
        exec(compile(declaration, str(path), "exec"), namespace)
        schedule = _schedule(tree)
    except (Exception, SystemExit):  # noqa: BLE001 - whatever it is, running the whole file says it better
        return None
    found = [value for value in namespace.values() if isinstance(value, Journey)]
    if len(found) != 1 or schedule is None:
        return None
    found[0].schedule(*schedule)
    return found[0]


def _without_airflow(node: ast.stmt) -> ast.stmt | None:
    """A statement of the declaration; None for the Dag around the tasks and for what only it needs."""
    if isinstance(node, ast.With):
        return None
    if not isinstance(node, ast.ImportFrom):
        return node
    if (node.module or "").split(".")[0] == "airflow":
        return None
    if node.module == "lifecycle":
        node.names = [alias for alias in node.names if hasattr(journey, alias.name)]
    return node if node.names else None


def _schedule(tree: ast.Module) -> tuple[str, str] | None:
    """Cron line and zone of `schedule=daily("10:00", tz="Europe/London")` or `every(minutes=5, tz="Europe/London")`.

    None for every other way to say it.
    """
    calls = [item.context_expr for node in tree.body if isinstance(node, ast.With) for item in node.items]
    found = [
        word.value for call in calls if isinstance(call, ast.Call) for word in call.keywords if word.arg == "schedule"
    ]
    if len(found) != 1 or not isinstance(call := found[0], ast.Call) or not isinstance(call.func, ast.Name):
        return None
    told = [ast.literal_eval(word) for word in call.args]
    words = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    if call.func.id == "daily" and len(told) == 1:
        cron = schedules.daily_cron(told[0])
    elif call.func.id == "every" and not told:
        cron = schedules.every_cron(words["minutes"])
    else:
        return None
    zone = settings.store_timezone() or words["tz"]
    as_of.zone_named(zone)
    return cron, zone
