"""Finds the journeys that the Dag files declare, for everything that works without an Airflow around it."""

from __future__ import annotations

import os
import re
import runpy
from dataclasses import dataclass
from pathlib import Path

from lifecycle import declarations, settings
from lifecycle.errors import LifecycleError
from lifecycle.journey import Journey, Step, unknown_name


@dataclass(frozen=True)
class Declared:
    """A journey as its Dag file declares it; `zone` is the time zone whose midnights start its days."""

    journey: Journey
    zone: str


def names() -> list[str]:
    """The Dag files that declare a journey, which is named like its file; one that never says `Journey` declares none."""
    files = (path for path in settings.dags_folder().glob("*.py") if not path.name.startswith("_"))
    return sorted(path.stem for path in files if re.search(r"\bJourney\b", path.read_text(encoding="utf-8")))


def load(name: str) -> Declared:
    """The journey of that name.

    Raises:
        LifecycleError: there is no such Dag file, or it does not load; the line says what to mend.
    """
    if name not in names():
        raise unknown_name("journey", name, names())
    return load_file(settings.dags_folder() / f"{name}.py")


def read(name: str) -> Declared:
    """The journey of that name as `load` finds it, within milliseconds where its Dag file keeps to the house rules."""
    if name not in names():
        raise unknown_name("journey", name, names())
    journey = declarations.read(settings.dags_folder() / f"{name}.py")
    return Declared(journey, journey.zone) if journey else load(name)


def load_all() -> list[Declared]:
    """Every journey, in order of name."""
    return [load(name) for name in names()]


def load_step(path: str) -> tuple[Declared, Step]:
    """A step by its `journey/step` path."""
    journey_name, _, step_name = path.partition("/")
    declared = load(journey_name)
    if not step_name:
        steps = ", ".join(f"{journey_name}/{step.name}" for step in declared.journey.steps)
        raise LifecycleError(f"{path!r} names no step", hint=f"Write one of: {steps}")
    return declared, declared.journey.step(step_name)


def load_file(path: Path) -> Declared:
    """The journey a Dag file declares; the file is executed as Airflow would."""
    _keep_airflow_at_home()
    try:
        namespace = runpy.run_path(str(path))
    except LifecycleError:
        raise
    except SyntaxError as error:
        raise LifecycleError(f"Not valid Python: {error.msg}", hint="Mend it", file=path, line=error.lineno) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a Dag file raises becomes its one line
        raise _failed_while_loading(path, error) from None
    journey = _only([value for value in namespace.values() if isinstance(value, Journey)], path)
    if not journey.zone:
        hint = "Write: with DAG(journey.name, schedule=daily(...)): add_tasks(journey)"
        raise LifecycleError("The journey has no tasks in a Dag", hint=hint, file=path, line=journey.line)
    return Declared(journey, journey.zone)


def _only(found: list[Journey], path: Path) -> Journey:
    if len(found) != 1:
        hint = "Declare exactly one: journey = Journey(...)"
        raise LifecycleError(f"The file declares {len(found)} journeys", hint=hint, file=path)
    return found[0]


def _failed_while_loading(path: Path, error: BaseException) -> LifecycleError:
    """The Dag file's own line in the traceback, which is where a person has to look."""
    line, step = None, error.__traceback__
    while step:
        if step.tb_frame.f_code.co_filename == str(path):
            line = step.tb_lineno
        step = step.tb_next
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    return LifecycleError(what, hint="Mend the declaration", file=path, line=line)


def _keep_airflow_at_home() -> None:
    """Importing Airflow writes a folder; it belongs under our home, not under the user's."""
    os.environ.setdefault("AIRFLOW_HOME", str(settings.home() / "airflow"))
    os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
