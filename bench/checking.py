"""Checking: every rule about every file of the repository, as `lifecycle check` asks them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bench import databases, project
from bench.measured import Timing, measured

CHECK = "checking every file"
CUSTOMERS = 2_000


def check(runs: int) -> Timing:
    """Check the checkout's own files on a small shop; loading Airflow is not part of it."""
    from lifecycle import checks, csv_import, database, demo_shop, embedded_postgres, journeys

    embedded_postgres.ensure_database("checked")
    found, measured_project = Timing(CHECK, 1), os.environ["LIFECYCLE_PROJECT"]
    os.environ["LIFECYCLE_PROJECT"] = str(project.CHECKOUT)
    with databases.in_use("checked"), tempfile.TemporaryDirectory(prefix="lifecycle-bench-") as folder:
        database.migrate()
        demo_shop.write_demo_shop(Path(folder), today=project.DAY, customers=CUSTOMERS)
        csv_import.import_folder(Path(folder), replace=False)
        postgres = databases.postgres_pid()
        journeys.load("reactivation")
        for _ in range(runs):
            with measured(postgres) as usage:
                report = checks.report()
            assert not report.problems, report.problems
            found.runs.append(usage)
    os.environ["LIFECYCLE_PROJECT"] = measured_project
    databases.drop("checked")
    return found
