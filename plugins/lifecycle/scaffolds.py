"""Scaffolds: the first files of a new journey or segment, from the skeletons in `include/skeletons`.

What they write passes `lifecycle check` at once. Nothing that exists is ever overwritten.
"""

from __future__ import annotations

from pathlib import Path
from string import Template

from lifecycle import journeys, settings
from lifecycle.errors import LifecycleError
from lifecycle.journey import check_name, settings_relative, unknown_name

_FIRST_STEP = "ordered_7_days_ago"


def new_journey(name: str) -> list[Path]:
    """Write a Dag file with one step, its segment, goal and words, their cases and a story. Returns the files.

    Raises:
        LifecycleError: the name is not usable, or something under it exists.
    """
    check_name("journey", name)
    root = settings.project_root()
    taken = [settings.dags_folder() / f"{name}.py", settings.sql_folder() / "journeys" / name]
    taken += [settings.templates_folder() / name, _cases_folder(name), root / "tests" / "dags" / f"test_{name}.py"]
    _refuse_to_overwrite(taken)
    files = {
        settings.dags_folder() / f"{name}.py": "dag.py.txt",
        **_files_of_segment(name, _FIRST_STEP),
        settings.sql_folder() / "journeys" / name / "ordered_again.sql": "goal.sql",
    }
    if _has_cases():
        files[_cases_folder(name) / "ordered_again.yaml"] = "goal.yaml"
        files[root / "tests" / "dags" / f"test_{name}.py"] = "story.py.txt"
    return _write(files, journey=name, name=_FIRST_STEP)


def new_segment(journey: str, name: str) -> list[Path]:
    """Write a segment of a journey, words for its step, and its cases. Returns the files.

    Raises:
        LifecycleError: there is no such journey, the name is not usable, or something under it exists.
    """
    if journey not in journeys.names():
        raise unknown_name("journey", journey, journeys.names())
    check_name("segment", name)
    files = _files_of_segment(journey, name)
    _refuse_to_overwrite(list(files))
    return _write(files, journey=journey, name=name)


def step_of(name: str) -> str:
    """The line that declares a step with a new segment, for the Dag file."""
    return f'Step("{name}", segment="{name}.sql", message=Sms("{name}")),'


def _files_of_segment(journey: str, name: str) -> dict[Path, str]:
    files = {
        settings.sql_folder() / "journeys" / journey / f"{name}.sql": "segment.sql",
        settings.templates_folder() / journey / f"{name}.sms.j2": "message.sms.j2",
    }
    if _has_cases():
        files[_cases_folder(journey) / f"{name}.yaml"] = "segment.yaml"
    return files


def _cases_folder(journey: str) -> Path:
    return settings.project_root() / "tests" / "sql" / "journeys" / journey


def _has_cases() -> bool:
    """Whether the project keeps cases beside its segments, as ours does."""
    return (settings.project_root() / "tests" / "sql").is_dir()


def _refuse_to_overwrite(paths: list[Path]) -> None:
    for path in paths:
        if path.exists() or path.is_symlink():
            hint = "Choose another name, or remove it first"
            raise LifecycleError(f"{settings_relative(path)} exists", hint=hint)


def _write(files: dict[Path, str], *, journey: str, name: str) -> list[Path]:
    title = journey.replace("_", " ").capitalize()
    for path, skeleton in files.items():
        text = (settings.skeletons_folder() / skeleton).read_text(encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(Template(text).substitute(journey=journey, name=name, title=title))
    return list(files)
