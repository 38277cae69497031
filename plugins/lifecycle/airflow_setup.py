"""How the local Airflow is configured: by environment variables alone, so that nobody's own airflow.cfg matters.

Its metadata lives on the same Postgres as the product's data, in a database of its own.
"""

from __future__ import annotations

import base64
import importlib.metadata
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from lifecycle import database, embedded_postgres, processes, settings
from lifecycle.errors import LifecycleError

USER = "admin"
CONNECTION = "AIRFLOW_CONN_LIFECYCLE_DB"
_CONFIGURATION = {
    "CORE__EXECUTOR": "LocalExecutor",
    # The LocalExecutor forks this many workers at once: the default of 32 costs more memory than all else together.
    "CORE__PARALLELISM": "4",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "5",
    # A Dag file loads in two seconds, and on a machine that others keep busy in more than the default of 30. A Dag whose
    # file did not load in time begins no run until it does.
    "CORE__DAGBAG_IMPORT_TIMEOUT": "120",
    # The default asks the name service for this machine's full name, which can take seconds.
    "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
    "API__HOST": "127.0.0.1",
    "API__WORKERS": "1",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "180",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    # A Dag file that was changed is read at once, whatever this says; a Dag that missed a segment or template that is
    # there now is found so late. Reading all files every 30 s keeps a slow processor busy.
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
    "LOGGING__UVICORN_LOGGING_LEVEL": "WARNING",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
}
_LOOPBACK = "127.0.0.1,localhost"

Say = Callable[[str], None]


def command(*words: str) -> list[str]:
    """The command line of an `airflow` command."""
    return [sys.executable, "-m", "airflow", *words]


def folder() -> Path:
    """What Airflow calls AIRFLOW_HOME."""
    return settings.home() / "airflow"


def password() -> str:
    """The password of the user `admin`, made at the first start."""
    return _secrets()["password"]


def environment(port: int) -> dict[str, str]:
    """The whole environment of an Airflow process whose api-server listens on that port; starts the database.

    The caller's environment is passed on without its Airflow configuration, which is meant for another Airflow.
    """
    kept = {key: value for key, value in os.environ.items() if not re.match("AIRFLOW_(HOME$|CONFIG$|_)", key)}
    lifecycle_url = database.url()
    return {
        **kept,
        **{f"AIRFLOW__{name}": value for name, value in _CONFIGURATION.items()},
        **{f"AIRFLOW__{name}": value for name, value in _places(port).items()},
        **{f"AIRFLOW__{name}": value for name, value in _secret_configuration().items()},
        "AIRFLOW_HOME": str(folder()),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata_url(),
        CONNECTION: connection_json(lifecycle_url),
        "LIFECYCLE_HOME": str(settings.home()),
        "LIFECYCLE_PROJECT": str(settings.project_root()),
        "LIFECYCLE_DATABASE_URL": lifecycle_url,
        "NO_PROXY": _no_proxy(),
        "no_proxy": _no_proxy(),
    }


def metadata_url() -> str:
    """Airflow's metadata database: `airflow` in the embedded Postgres, `<name>_airflow` beside a configured one.

    A company's Postgres may well hold an `airflow` that is in use; that one is never touched.
    """
    if not settings.database_url():
        return embedded_postgres.url("airflow", "psycopg2")
    parts = urlsplit(settings.database_url())
    return parts._replace(scheme="postgresql+psycopg2", path=f"{parts.path}_airflow").geturl()


def connection_json(url: str) -> str:
    """A Postgres URL in the form of an Airflow connection."""
    parts = urlsplit(url)
    return json.dumps(
        {
            "conn_type": "postgres",
            "host": parts.hostname,
            "port": parts.port or 5432,
            "login": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "schema": unquote(parts.path.lstrip("/")),
            "extra": dict(parse_qsl(parts.query)),
        }
    )


def migrate(env: dict[str, str], say: Say) -> None:
    """Bring Airflow's metadata database to the installed version; quick when it is there already.

    Raises:
        LifecycleError: the database cannot be made, or the migration fails.
    """
    version = importlib.metadata.version("apache-airflow-core")
    stamp = folder() / "migrated.json"
    revision = _revision()
    if revision and _read(stamp) == {"airflow": version, "revision": revision}:
        return
    say("Preparing Airflow's metadata database")
    embedded_postgres.create_database(database.url(), urlsplit(metadata_url()).path.lstrip("/"))
    _run_migration(env)
    processes.write_private_json(stamp, {"airflow": version, "revision": _revision()})


def _run_migration(env: dict[str, str]) -> None:
    log = processes.log_file("airflow-migrate")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        result = subprocess.run(
            command("db", "migrate"),
            env=env,
            cwd=settings.project_root(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode:
        raise LifecycleError(
            f"`airflow db migrate` failed: {processes.last_words('airflow-migrate')}", hint=f"See {log}"
        )


def _revision() -> str:
    """The revision Airflow's metadata database is at; empty when there is no such database."""
    import psycopg

    statement = database.statement("engine/airflow/revision.sql").encode()
    try:
        with psycopg.connect(embedded_postgres.plain_url(metadata_url()), connect_timeout=10) as connection:
            row = connection.execute(statement).fetchone()
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return ""
    return row[0] if row else ""


def _places(port: int) -> dict[str, str]:
    return {
        "CORE__DAGS_FOLDER": str(settings.dags_folder()),
        "CORE__PLUGINS_FOLDER": str(settings.project_root() / "plugins"),
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords_file()),
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "API__PORT": str(port),
    }


def _secret_configuration() -> dict[str, str]:
    known = _secrets()
    return {
        "API_AUTH__JWT_SECRET": known["jwt"],
        "API__SECRET_KEY": known["session"],
        "CORE__FERNET_KEY": known["fernet"],
    }


def _secrets() -> dict[str, str]:
    """The keys and the password, made once and readable by their owner only."""
    path = folder() / "secrets.json"
    with processes.locked(folder() / "secrets.lock"):
        known = _read(path)
        if not known:
            known = _new_secrets()
            processes.write_private_json(path, known)
        if _read(_passwords_file()) != {USER: known["password"]}:
            processes.write_private_json(_passwords_file(), {USER: known["password"]})
    return known


def _new_secrets() -> dict[str, str]:
    return {
        "jwt": secrets.token_urlsafe(48),
        "session": secrets.token_urlsafe(48),
        "fernet": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "password": secrets.token_hex(6),
    }


def _passwords_file() -> Path:
    return folder() / "passwords.json"


def _read(path: Path) -> dict[str, str]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def _no_proxy() -> str:
    """Loopback never goes through a proxy: Airflow's processes talk to each other there."""
    others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return f"{_LOOPBACK},{others}".rstrip(",")
