"""What all tests share: a real Postgres of their own, fresh databases, a real sandbox, and a shop to fill."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from xdist.scheduler import LoadFileScheduling

from tests import databases, machine
from tests.sandbox_client import SandboxClient
from tests.shop import Shop

PROJECT = Path(__file__).resolve().parents[1]
# Two cores bear one Airflow at a time.
AIRFLOWS = ("tests/e2e/", "tests/test_docker_compose.py")
# What takes longest begins first, so that nothing long is left for the end; a dozen senders wait until there is room.
FIRST = (
    *AIRFLOWS,
    "tests/lifecycle/test_loyalty.py",
    "tests/lifecycle/test_missed_days.py",
    "tests/templates/",
    "tests/dags/",
    "tests/lifecycle/test_replay.py",
)
LAST = "tests/bench/"
SHARED_MEMORY = Path("/dev/shm")
ROOM_FOR_DATABASES = 2 * 1024**3
END_OF_TIME = pytest.StashKey[float]()


class OneAirflowAtATime(LoadFileScheduling):
    """Gives each process a file of tests at a time; the files that start an Airflow all go to the same."""

    def _split_scope(self, nodeid: str) -> str:
        return "an Airflow" if nodeid.startswith(AIRFLOWS) else super()._split_scope(nodeid)


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `pytest -n auto` runs: most tests wait for Postgres, so three keep two processors busy."""
    return 3 if machine.has_processors() else 2


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneAirflowAtATime:
    """How `pytest -n` shares the tests out."""
    return OneAirflowAtATime(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files in order, and leave out what this machine cannot bear, saying so."""
    # Whoever may not reach the end begins with what is short, and so with most tests.
    items.sort(key=lambda item: _turn(item.nodeid), reverse=machine.is_known() and not machine.has_processors())
    heavy = [item for item in items if item.get_closest_marker("needs_processors")]
    if heavy and not machine.has_processors():
        reason = (
            f"this machine gets {machine.share():.0%} of its processors; LIFECYCLE_TEST_PROCESSORS=1 runs it anyway"
        )
        for item in heavy:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_report_header() -> str:
    """What decided how many tests run at a time, and whether all do."""
    return f"processors: this machine gets {machine.share():.0%} of its {os.cpu_count()}" if machine.is_known() else ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin no test when time is over: a run that is ended from outside says nothing, not even what was well."""
    if time.time() > item.config.stash[END_OF_TIME]:
        pytest.skip("LIFECYCLE_TEST_MINUTES are over")


def pytest_configure(config: pytest.Config) -> None:
    """Start the clock, and have failures said at once where the tests are shared out."""
    # Asked now: the tests themselves know no settings of the outside.
    config.stash[END_OF_TIME] = machine.end_of_time()
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SaysWhatFailed(config))


class SaysWhatFailed:
    """Names each failure when it happens: a run that is ended before its end has no summary."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Print where, and the first line of what is wrong."""
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            words = (crash.message if crash else str(report.longrepr)).strip().splitlines() or [""]
            terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
            terminal.write_line(f"\n{report.nodeid} ({report.when}): {words[0]}", red=True)


def _turn(test: str) -> int:
    if test.startswith(LAST):
        return len(FIRST) + 1
    return next((turn for turn, file in enumerate(FIRST) if test.startswith(file)), len(FIRST))


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A LIFECYCLE_HOME that belongs to this test session; whatever was started under it ends with it."""
    from lifecycle import stack

    folder = tmp_path_factory.mktemp("home")
    unwanted = [name for name in os.environ if name.startswith(("LIFECYCLE_", "AIRFLOW"))]
    with pytest.MonkeyPatch.context() as environment:
        for name in unwanted:
            environment.delenv(name)
        _take_ports_of_our_own(environment)
        environment.setenv("LIFECYCLE_HOME", str(folder))
        environment.setenv("LIFECYCLE_PUBLIC_URL", "http://links.test")
        yield folder
        from lifecycle import embedded_postgres

        stack.stop_all()
        embedded_postgres.remove()


def _take_ports_of_our_own(environment: pytest.MonkeyPatch) -> None:
    """Tests that run side by side ask for different ports first, so that none is snatched from another."""
    from lifecycle import embedded_postgres, stack

    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) + 1
    for module, name in ((stack, "SANDBOX_PORT"), (stack, "RECEIVER_PORT"), (embedded_postgres, "PREFERRED_PORT")):
        environment.setattr(module, name, getattr(module, name) + 20 * worker)


@pytest.fixture(scope="session")
def memory(home: Path) -> Iterator[Path | None]:
    """A folder in memory for the databases, where there is room: each is a thousand files, and most tests have one."""
    from lifecycle import embedded_postgres

    embedded_postgres.ensure_running()
    if not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free < ROOM_FOR_DATABASES:
        yield None
        return
    with TemporaryDirectory(prefix="lifecycle-tests-", dir=SHARED_MEMORY) as folder:
        server = embedded_postgres.log_file().stat()
        os.chown(folder, server.st_uid, server.st_gid)
        yield Path(folder)
        embedded_postgres.stop()


@pytest.fixture(scope="session")
def template_database(memory: Path | None) -> str:
    """A migrated database that fresh ones are copied from; returns its address."""
    from lifecycle import database, embedded_postgres

    _wait_for_no_disk()
    embedded_postgres.ensure_database(databases.TEMPLATE)
    if memory:
        databases.tell_server(f"create tablespace memory location '{memory}'")
        databases.tell_server(f"alter database {databases.TEMPLATE} set tablespace memory")
    url = embedded_postgres.url(databases.TEMPLATE)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LIFECYCLE_DATABASE_URL", url)
        database.migrate()
        database.disconnect()
    return url


def _wait_for_no_disk() -> None:
    """What the tests write need outlive killed processes, and not a power failure."""
    for name in ("fsync", "full_page_writes"):
        databases.tell_server(f"alter system set {name} = off")
    databases.tell_server("select pg_reload_conf()")


@pytest.fixture(scope="session")
def lender(template_database: str) -> databases.Databases:
    """The copies of the template."""
    return databases.Databases()


def plain(url: str) -> str:
    """An address as psycopg itself takes it."""
    return url.replace("+psycopg", "")


@pytest.fixture(scope="module")
def database_url(lender: databases.Databases) -> Iterator[str]:
    """A migrated, empty database for the tests of a module, in use as LIFECYCLE_DATABASE_URL."""
    with lender.lent() as url, pytest.MonkeyPatch.context() as environment:
        environment.setenv("LIFECYCLE_DATABASE_URL", url)
        yield url


@pytest.fixture
def empty_database(lender: databases.Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A migrated, empty database for one test, in use as LIFECYCLE_DATABASE_URL."""
    with lender.lent() as url:
        monkeypatch.setenv("LIFECYCLE_DATABASE_URL", url)
        yield url


@pytest.fixture
def shop(empty_database: str) -> Iterator[Shop]:
    """An empty shop to fill with customers, orders and visits."""
    with psycopg.connect(plain(empty_database), autocommit=True) as connection:
        yield Shop(connection)


@pytest.fixture(scope="session")
def sandbox_server(home: Path) -> str:
    """The address of a running sandbox, a process of its own as in the product."""
    from lifecycle import stack

    return stack.start_sandbox()


@pytest.fixture
def sandbox(sandbox_server: str, monkeypatch: pytest.MonkeyPatch) -> SandboxClient:
    """The sandbox with an empty inbox, in use for everything that is sent."""
    monkeypatch.setenv("LIFECYCLE_SANDBOX_URL", sandbox_server)
    client = SandboxClient(sandbox_server)
    client.clear()
    return client
