"""Finds the loyalty programmes that the Dag files declare, for everything that works without an Airflow around it."""

from __future__ import annotations

from lifecycle import dag_files, settings
from lifecycle.errors import LifecycleError
from lifecycle.journey import unknown_name
from lifecycle.programme import Programme


def names() -> list[str]:
    """The Dag files that declare a programme, which is named like its file."""
    return dag_files.names_with("Programme")


def load(name: str) -> Programme:
    """The programme of that name.

    Raises:
        LifecycleError: there is no such Dag file, or it does not load; the line says what to mend.
    """
    if name not in names():
        raise unknown_name("programme", name, names())
    path = settings.dags_folder() / f"{name}.py"
    programme = dag_files.declared(path, Programme, "Programme")
    if not programme.zone:
        hint = "Write: with DAG(programme.name, schedule=daily(...)): add_accrual_tasks(programme)"
        raise LifecycleError("The programme has no tasks in a Dag", hint=hint, file=path, line=programme.line)
    return programme


def only() -> Programme:
    """The company's programme.

    Raises:
        LifecycleError: no Dag file declares one, or several do.
    """
    found = names()
    if len(found) != 1:
        what = f"{len(found)} loyalty programmes are declared: {', '.join(found) or 'none'}"
        raise LifecycleError(what, hint="Keep one Dag file with programme = Programme(...)")
    return load(found[0])
