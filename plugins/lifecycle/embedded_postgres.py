"""A Postgres of the product's own, from a Python wheel: no system package, nothing outside its own folders.

The wheel is used for its binaries only. Its Python code is never run: as root that opens the permissions of every
folder above the data, up to `/`. Run as an ordinary user, everything lies under `LIFECYCLE_HOME`. Postgres refuses to
run as root; then binaries and data lie in a folder of their own under `/var/lib/lifecycle`, and the server runs as an
unprivileged account that already exists. Either way it listens on 127.0.0.1 only and asks for a password.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lifecycle import postgres_binaries, processes, settings
from lifecycle.errors import LifecycleError

PREFERRED_PORT = 54320
USER = "lifecycle"
_CONFIGURATION = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Values of a failed statement are people's names and addresses.
    "log_parameter_max_length_on_error": "0",
}


@dataclass(frozen=True)
class _Server:
    """What `postgres.json` remembers."""

    data: Path
    port: int
    password: str

    def url(self, database: str, driver: str) -> str:
        return f"postgresql+{driver}://{USER}:{self.password}@127.0.0.1:{self.port}/{quote(database, safe='')}"


def ensure_running() -> str:
    """The URL of the running server, started first when needed; safe when several processes call at once.

    Raises:
        LifecycleError: the server cannot be set up or does not start.
    """
    server = _remembered()
    if server is None or not _is_ready(server):
        with _one_line_errors(), processes.locked(settings.home() / "postgres.lock"):
            server = _remembered()
            if server is None or not _is_ready(server):
                server = _start(server or _set_up())
    return server.url(USER, "psycopg")


def is_running() -> bool:
    """Whether the server of this `LIFECYCLE_HOME` runs."""
    server = _remembered()
    return server is not None and _pid(server.data) is not None


def pid() -> int | None:
    """The process id of the running server; None when it does not run."""
    server = _remembered()
    return _pid(server.data) if server else None


def stop() -> bool:
    """End the server, closing its connections; False when it did not run."""
    server = _remembered()
    if server is None or _pid(server.data) is None:
        return False
    with processes.locked(settings.home() / "postgres.lock"):
        _end(server.data)
    return True


def remove() -> None:
    """End the server and delete its data."""
    server = _remembered()
    if server is None:
        return
    stop()
    shutil.rmtree(_own_folder(server.data), ignore_errors=True)
    _memory().unlink(missing_ok=True)


def url(database: str = USER, driver: str = "psycopg") -> str:
    """The URL of a database of this server, with SQLAlchemy's driver spelled out; it is not started by this.

    Raises:
        LifecycleError: the server was never started under this `LIFECYCLE_HOME`.
    """
    server = _remembered()
    if server is None:
        raise LifecycleError("The embedded Postgres was never started here", hint="Run `lifecycle db up`")
    return server.url(database, driver)


def ensure_database(name: str) -> None:
    """Create an empty database of that name, unless there is one."""
    ensure_running()
    create_database(url("postgres"), name)


def create_database(server_url: str, name: str) -> bool:
    """Create an empty database on any Postgres, reached through a URL of one of its databases.

    Returns:
        False when there is one of that name already.

    Raises:
        LifecycleError: Postgres is not reachable or does not allow it.
    """
    import psycopg
    from psycopg import errors, sql

    try:
        with psycopg.connect(plain_url(server_url), autocommit=True, connect_timeout=60) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    except (errors.DuplicateDatabase, errors.UniqueViolation):
        return False
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise LifecycleError(
            f"The database {name} cannot be created: {reason}", hint="Create it, owned by the user of the URL"
        ) from None
    return True


def plain_url(url: str) -> str:
    """A SQLAlchemy URL as Postgres' own tools read it: without the driver."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)


def log_file() -> Path:
    """Where the server writes."""
    server = _remembered()
    return (_own_folder(server.data) if server else settings.home() / "postgres") / "postgres.log"


def _memory() -> Path:
    return settings.home() / "postgres.json"


def _remembered() -> _Server | None:
    try:
        content = loads(_memory().read_text(encoding="utf-8"))
        server = _Server(settings.home() / content["data"], int(content["port"]), content["password"])
        home = Path(content["home"])
    except (FileNotFoundError, NotADirectoryError, JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    except PermissionError:
        raise LifecycleError(
            f"{_memory()} belongs to another user", hint="Run as that user, or choose another LIFECYCLE_HOME"
        ) from None
    is_copy = home != settings.home() and (home / _memory().name).exists()
    return server if (server.data / "PG_VERSION").exists() and not (is_copy and os.geteuid() == 0) else None


def _remember(server: _Server) -> None:
    """Data below the home is remembered relative to it, so that a checkout may be moved."""
    home = settings.home()
    data = server.data.relative_to(home) if server.data.is_relative_to(home) else server.data
    processes.write_private_json(_memory(), {**asdict(server), "data": str(data), "home": str(home)})


def _own_folder(data: Path) -> Path:
    """The folder that holds the data, the log and nothing of anybody else."""
    return data.parent


# --- setting up -------------------------------------------------------------------------------------------------------


def _set_up() -> _Server:
    folder = _new_own_folder()
    server = _Server(folder / "data", processes.free_port(PREFERRED_PORT), secrets.token_urlsafe(24))
    _initialise(server)
    _remember(server)
    return server


def _new_own_folder() -> Path:
    """The folder of a new server; what an earlier home at this place left there was given up with that home."""
    folder = _system_data_folder() if os.geteuid() == 0 else settings.home() / "postgres"
    if (folder / "data").exists():
        _end(folder / "data")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755 if os.geteuid() == 0 else 0o700)
    # Only these two belong to the server's account: it can place no link where root would write.
    (folder / "data").mkdir(mode=0o700)
    (folder / "postgres.log").touch(mode=0o600)
    for path in (folder / "data", folder / "postgres.log"):
        _give_to_account(path)
    return folder


def _system_data_folder() -> Path:
    postgres_binaries.make_readable(postgres_binaries.SYSTEM_FOLDER)
    return postgres_binaries.SYSTEM_FOLDER / f"data-{hashlib.sha256(str(settings.home()).encode()).hexdigest()[:12]}"


def _initialise(server: _Server) -> None:
    folder = _own_folder(server.data)
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(server.password, encoding="utf-8")
    _give_to_account(password_file)
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
    options += ["--builtin-locale=C.UTF-8", f"--username={USER}", f"--pwfile={password_file}", "--no-instructions"]
    options += [f"--set={name}={value}" for name, value in _CONFIGURATION.items()]
    try:
        _run("initdb", [f"--pgdata={server.data}", *options], server.data)
    finally:
        password_file.unlink()


# --- running ----------------------------------------------------------------------------------------------------------


def _start(known: _Server) -> _Server:
    server = _launch_on_free_port(known)
    if server != known:
        _remember(server)
    create_database(server.url("postgres", "psycopg"), USER)
    return server


def _launch_on_free_port(server: _Server, attempts_left: int = 3) -> _Server:
    _forget_dead_server(server.data)
    server = replace(server, port=processes.free_port(server.port))
    try:
        _launch(server)
    except LifecycleError:
        if not attempts_left:
            raise
        # The port was taken between the check and now, or a killed server's children are still ending.
        time.sleep(0.5)
        return _launch_on_free_port(server, attempts_left - 1)
    return server


def _launch(server: _Server) -> None:
    log = _own_folder(server.data) / "postgres.log"
    options = ["start", "--wait", "--timeout=300", "--silent", f"--pgdata={server.data}"]
    try:
        _run("pg_ctl", [*options, f"--log={log}", f"--options=-p {server.port}"], server.data)
    except KeyboardInterrupt:
        # What pg_ctl was waiting for goes on without it.
        _end(server.data)
        raise


def _end(data: Path) -> None:
    if _pid(data) is not None:
        _run("pg_ctl", ["stop", "--mode=fast", "--wait", "--timeout=300", "--silent", f"--pgdata={data}"], data)


def _is_ready(server: _Server) -> bool:
    """Whether this server runs, accepts connections and does so on the remembered port."""
    lines = _pid_file_lines(server.data)
    is_open = len(lines) >= 8 and lines[7].strip() == "ready" and lines[3].strip() == str(server.port)
    return is_open and _pid(server.data) is not None


def _pid(data: Path) -> int | None:
    """The server's process id; None when the file is a leftover and that number is nobody or somebody else."""
    lines = _pid_file_lines(data)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return pid if os.fsencode(data) in arguments else None


def _pid_file_lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def _forget_dead_server(data: Path) -> None:
    """Remove what a killed server left; Postgres itself would take a reused process id for a running server."""
    if _pid(data) is None:
        (data / "postmaster.pid").unlink(missing_ok=True)


def _run(program: str, arguments: list[str], data: Path) -> None:
    """Run one of Postgres' programs as the account that owns the data, with nothing of the caller's environment."""
    folder = _own_folder(data)
    with (folder / f"{program}.log").open("w+", encoding="utf-8", errors="replace") as output:
        # A file, not a pipe: the server that pg_ctl leaves behind would hold a pipe open for ever.
        result = subprocess.run(
            [postgres_binaries.folder() / program, *arguments],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            **_as_owner_of(data),
        )
        if result.returncode:
            output.seek(0)
            raise LifecycleError(f"{program}: {_reason(folder, output.read())}", hint=f"See {folder / 'postgres.log'}")


def _reason(folder: Path, output: str) -> str:
    """The most telling line: what Postgres calls fatal, else the last thing said."""
    log = folder / "postgres.log"
    said = output.splitlines() + (
        log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:] if log.exists() else []
    )
    fatal = [line for line in said if "FATAL" in line or "error:" in line]
    return (fatal or [line for line in said if line.strip()] or ["it failed without a word"])[-1].strip()


def _as_owner_of(data: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": data.stat().st_uid, "group": data.stat().st_gid, "extra_groups": []}


def _give_to_account(path: Path) -> None:
    """As root: to the unprivileged account that runs the server."""
    if os.geteuid() == 0:
        account = _account()
        os.chown(path, account.pw_uid, account.pw_gid)


def _account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise LifecycleError(
        "Postgres does not run as root and there is neither an account postgres nor nobody",
        hint="Run as an ordinary user, or set LIFECYCLE_DATABASE_URL",
    )


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LifecycleError(
            f"The embedded Postgres cannot be set up: {error.strerror or error}: {error.filename or ''}".rstrip(": "),
            hint="Make that place writable, choose another LIFECYCLE_HOME, or set LIFECYCLE_DATABASE_URL",
        ) from None
