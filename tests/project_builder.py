"""Builds throw-away projects, so that bad journeys, SQL and templates can be tried without touching the real ones."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conftest import PROJECT

# What a project shares with the real one; the rest is copied or made by the test.
_SHARED = ("include/sql/engine", "include/sql/schema", "include/sql/contract", "include/sql/loyalty")

_DAG = '''"""# {title}

A journey of a test.
"""

import pendulum
from airflow.sdk import DAG

from lifecycle import JOURNEY_DEFAULTS, Email, Goal, Journey, Sms, Step, Suppress, Voucher, add_tasks, daily

journey = {declaration}

with DAG(
    journey.name,
    schedule=daily("10:00", tz="{zone}"),
    start_date=pendulum.datetime(2026, 1, 1, tz="{zone}"),
    doc_md=__doc__,
    **JOURNEY_DEFAULTS,
):
    add_tasks(journey)
'''

EVERYBODY = "select customers.customer_id, 'signup' as anchor from shop.customers as customers\n"


class ProjectBuilder:
    """A folder for LIFECYCLE_PROJECT: the engine's SQL, the real layouts, and whatever a test adds."""

    # The line the declaration starts on in a Dag file made here.
    DECLARED_ON = 11

    def __init__(self, folder: Path, *, with_reactivation: bool = False) -> None:
        self.folder = folder
        for shared in _SHARED:
            link = folder / shared
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(PROJECT / shared, target_is_directory=True)
        # A copy: a test, or a page of the docs, may map other tables.
        self.map_sources(PROJECT / "include" / "sql" / "sources")
        templates = folder / "include" / "templates"
        for part in ("layouts", "pages"):
            shutil.copytree(PROJECT / "include" / "templates" / part, templates / part)
        shutil.copy(PROJECT / "include" / "templates" / "links.yaml", templates)
        (folder / "dags").mkdir()
        if with_reactivation:
            self._copy_reactivation()

    def _copy_reactivation(self) -> None:
        shutil.copy(PROJECT / "dags" / "reactivation.py", self.folder / "dags")
        for part in ("include/sql/journeys/reactivation", "include/templates/reactivation"):
            shutil.copytree(PROJECT / part, self.folder / part)

    def map_sources(self, mapping: Path) -> None:
        """Take the company's tables from the files of a mapping."""
        shutil.copytree(mapping, self.folder / "include" / "sql" / "sources", dirs_exist_ok=True)

    def dag(self, name: str, declaration: str, *, zone: str = "Europe/London") -> Path:
        """A Dag file around a declaration."""
        text = _DAG.format(title=name, declaration=declaration, zone=zone)
        return self.write(f"dags/{name}.py", text)

    def segment(self, journey: str, name: str, text: str | bytes = EVERYBODY) -> Path:
        """A SQL file of a journey."""
        return self.write(f"include/sql/journeys/{journey}/{name}.sql", text)

    def template(self, journey: str, file_name: str, text: str | bytes) -> Path:
        """A template of a journey."""
        return self.write(f"include/templates/{journey}/{file_name}", text)

    def sms_journey(
        self, name: str = "hello", *, sms: str = "Hello, STOP to end", more: str = "", step: str = "", media: str = "()"
    ) -> None:
        """A journey of one SMS to everybody; `more` and `step` are further arguments of the two."""
        message = f'Sms("greet", media={media})'
        self.dag(
            name, f'Journey(name="{name}", steps=[Step("greet", segment="all.sql", message={message}{step})]{more})'
        )
        self.segment(name, "all")
        self.template(name, "greet.sms.j2", sms)

    def write(self, path: str, text: str | bytes) -> Path:
        """A file of the project, by its path from the top."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file
