"""Finds the journeys that the Dag files declare, for everything that works without an Airflow around it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lifecycle import dag_files, declarations, settings
from lifecycle.errors import LifecycleError
from lifecycle.journey import Journey, Step, unknown_name


@dataclass(frozen=True)
class Declared:
    """A journey as its Dag file declares it; `zone` is the time zone whose midnights start its days."""

    journey: Journey
    zone: str


def names() -> list[str]:
    """The Dag files that declare a journey, which is named like its file; one that never says `Journey` declares none."""
    return dag_files.names_with("Journey")


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
    journey = dag_files.declared(path, Journey, "Journey")
    if not journey.zone:
        hint = "Write: with DAG(journey.name, schedule=daily(...)): add_tasks(journey)"
        raise LifecycleError("The journey has no tasks in a Dag", hint=hint, file=path, line=journey.line)
    return Declared(journey, journey.zone)
