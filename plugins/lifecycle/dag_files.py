"""Dag files: found by the word they declare something with, and executed without an Airflow around them."""

from __future__ import annotations

import os
import re
import runpy
from pathlib import Path
from typing import TypeVar

from lifecycle import settings
from lifecycle.errors import LifecycleError

Declaration = TypeVar("Declaration")


def names_with(word: str) -> list[str]:
    """The Dag files that say a word such as `Journey`; what they declare is named like the file."""
    files = (path for path in settings.dags_folder().glob("*.py") if not path.name.startswith("_"))
    return sorted(path.stem for path in files if re.search(rf"\b{word}\b", path.read_text(encoding="utf-8")))


def declared(path: Path, kind: type[Declaration], word: str) -> Declaration:
    """The one thing of a kind that a Dag file declares; the file is executed as Airflow would.

    Raises:
        LifecycleError: it does not load, or declares none or several; the line says what to mend.
    """
    _keep_airflow_at_home()
    try:
        namespace = runpy.run_path(str(path))
    except LifecycleError:
        raise
    except SyntaxError as error:
        raise LifecycleError(f"Not valid Python: {error.msg}", hint="Mend it", file=path, line=error.lineno) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a Dag file raises becomes its one line
        raise _failed_while_loading(path, error) from None
    found = [value for value in namespace.values() if isinstance(value, kind)]
    if len(found) != 1:
        noun = word.lower()
        hint = f"Declare exactly one: {noun} = {word}(...)"
        raise LifecycleError(f"The file declares {len(found)} {noun}s", hint=hint, file=path)
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
