from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lifecycle import embedded_postgres, postgres_binaries, processes
from lifecycle.errors import LifecycleError


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One server for all tests of this module, under a home with a blank and an umlaut in its name."""
    folder = tmp_path_factory.mktemp("stäte of things")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(folder))
        yield folder
        embedded_postgres.remove()


@pytest.fixture
def server(home):
    return embedded_postgres.ensure_running()


def ask(url: str, question: str) -> object:
    with psycopg.connect(embedded_postgres.plain_url(url), connect_timeout=60) as connection:
        row = connection.execute(question.encode()).fetchone()
    return row[0] if row else None


def data_folder() -> Path:
    return Path(str(ask(embedded_postgres.url(), "show data_directory")))


def port_of(url: str) -> int:
    return int(re.findall(r":(\d+)/", url)[0])


def pid_of_server() -> int:
    return int((data_folder() / "postmaster.pid").read_text().splitlines()[0])


def test_it_answers_at_the_url_it_gives(server):
    assert server.startswith("postgresql+psycopg://lifecycle:")
    assert ask(server, "select current_database()") == "lifecycle"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("timezone", "UTC"),
        ("server_encoding", "UTF8"),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
    ],
)
def test_it_is_local_durable_and_knows_no_zone_but_utc(server, setting, value):
    assert ask(server, f"show {setting}") == value


def test_nobody_gets_in_without_the_password(server):
    password = server.split(":")[2].split("@")[0]
    with pytest.raises(psycopg.OperationalError, match="password"):
        ask(server.replace(password, "guessed"), "select 1")


def test_text_sorts_the_same_on_every_machine_and_knows_letters_beyond_ascii(server):
    assert ask(server, "select string_agg(w, '' order by w) from unnest(array['b', 'A', 'a']) as w") == "Aab"
    assert ask(server, "select upper('ä')") == "Ä"


def test_a_second_call_gives_the_same_server(server):
    pid = pid_of_server()
    assert embedded_postgres.ensure_running() == server
    assert pid_of_server() == pid


def test_a_restart_keeps_port_and_data(server):
    embedded_postgres.ensure_database("kept")
    assert embedded_postgres.stop()
    assert not embedded_postgres.is_running()
    assert not embedded_postgres.stop()
    assert embedded_postgres.ensure_running() == server
    assert ask(embedded_postgres.url("kept"), "select current_database()") == "kept"


def test_making_a_database_twice_is_no_error(server):
    embedded_postgres.ensure_database("twice")
    embedded_postgres.ensure_database("twice")
    assert embedded_postgres.url("twice", "psycopg2").startswith("postgresql+psycopg2://")


def test_a_killed_server_heals(server):
    os.kill(pid_of_server(), signal.SIGKILL)
    processes.wait_until(lambda: not embedded_postgres.is_running(), 60)
    assert ask(embedded_postgres.ensure_running(), "select 1") == 1


def test_a_process_that_got_the_number_of_a_killed_server_is_not_taken_for_it(server):
    pid_file = data_folder() / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    # Of another user's processes Postgres knows by itself that they are not its own.
    same_user: dict[str, Any] = {"user": pid_file.stat().st_uid} if os.geteuid() == 0 else {}
    os.kill(int(lines[0]), signal.SIGKILL)
    processes.wait_until(lambda: not embedded_postgres.is_running(), 60)
    stranger = subprocess.Popen(["sleep", "300"], cwd="/", **same_user)
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert not embedded_postgres.is_running()
        assert ask(embedded_postgres.ensure_running(), "select 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_port_taken_meanwhile_gives_another(server):
    embedded_postgres.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port_of(server)))
        other.listen()
        moved = embedded_postgres.ensure_running()
        assert port_of(moved) != port_of(server)
        assert ask(moved, "select 1") == 1


def test_first_calls_at_the_same_time_set_up_one_server(tmp_path, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "home"))
    command = [sys.executable, "-c", "from lifecycle import embedded_postgres as e; print(e.ensure_running())"]
    try:
        with ThreadPoolExecutor() as pool:
            calls = [pool.submit(subprocess.check_output, command, text=True) for _ in range(3)]
        assert {call.result().strip() for call in calls} == {embedded_postgres.url()}
        assert ask(embedded_postgres.url(), "select 1") == 1
    finally:
        embedded_postgres.remove()


def test_what_is_kept_is_for_its_owner_only(server, home):
    assert stat.S_IMODE((home / "postgres.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(data_folder().stat().st_mode) == 0o700


def test_the_server_does_not_run_as_root(server):
    assert Path(f"/proc/{pid_of_server()}").stat().st_uid != 0


def test_the_wheels_own_code_never_runs(server):
    code = (
        "import sys; from lifecycle import embedded_postgres as e; e.stop(); e.ensure_running();"
        "print([name for name in sys.modules if name.startswith('pixeltable')])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def folders_above(path: Path) -> dict[Path, int]:
    return {folder: folder.stat().st_mode for folder in path.parents}


def test_folders_above_keep_their_permissions(tmp_path, monkeypatch):
    above = tmp_path / "private"
    above.mkdir(mode=0o700)
    monkeypatch.setenv("LIFECYCLE_HOME", str(above / "home"))
    before = folders_above(above / "home") | folders_above(postgres_binaries.SYSTEM_FOLDER)
    try:
        embedded_postgres.ensure_running()
        after = folders_above(above / "home") | folders_above(postgres_binaries.SYSTEM_FOLDER)
        assert after == before
    finally:
        embedded_postgres.remove()


def test_a_home_that_was_deleted_starts_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "home"))
    try:
        first = embedded_postgres.ensure_running()
        embedded_postgres.ensure_database("of_the_first")
        shutil.rmtree(tmp_path / "home")
        second = embedded_postgres.ensure_running()
        assert second != first
        with pytest.raises(psycopg.OperationalError):
            ask(embedded_postgres.url("of_the_first"), "select 1")
    finally:
        embedded_postgres.remove()


def test_a_home_that_was_moved_keeps_its_data(tmp_path, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "old"))
    embedded_postgres.ensure_database("moved_along")
    embedded_postgres.stop()
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "new"))
    try:
        embedded_postgres.ensure_running()
        assert ask(embedded_postgres.url("moved_along"), "select 1") == 1
    finally:
        embedded_postgres.remove()


def test_a_home_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(LifecycleError, match=r"cannot be set up.*LIFECYCLE_HOME"):
        embedded_postgres.ensure_running()


def test_a_url_before_the_first_start_says_how_to_start(tmp_path, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))
    with pytest.raises(LifecycleError, match="lifecycle db up"):
        embedded_postgres.url()
