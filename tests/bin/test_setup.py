"""The set-up scripts, with a stand-in for uv so that nothing is downloaded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ["bash", "cat", "chmod", "dirname", "env", "flock", "ln", "mkdir", "rm", "sha256sum", "sleep", "tail"]
# Makes what uv would make, and writes down what it was asked for.
UV = """#!/usr/bin/env bash
echo "$*" >>"$UV_CALLS"
[ -z "${UV_FAILS:-}" ] || { echo "no such package"; exit 7; }
if [ "$1" = venv ]; then
    mkdir -p "${@: -1}/bin"
    ln -sf "$REAL_PYTHON" "${@: -1}/bin/python"
fi
case "$*" in *--editable*)
    printf '#!/bin/sh\\necho "$PWD|$*"\\n' >"${@: -1}/.venv/bin/lifecycle"
    chmod +x "${@: -1}/.venv/bin/lifecycle" ;;
esac
"""
PYTHON_WITHOUT_PIP_AND_VENV = """#!/usr/bin/env bash
[ "$1" != -m ] || exit 1
exec "$REAL_PYTHON" "$@"
"""


class Machine:
    """A bare machine: a checkout, the shell's tools, and whatever else a test puts on PATH."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "a checkout"
        self.path = folder / "path"
        self.path.mkdir()
        for tool in TOOLS:
            (self.path / tool).symlink_to(shutil.which(tool) or tool)
        shutil.copytree(ROOT / "bin", self.checkout / "bin")
        for name in ("pyproject.toml", "requirements.txt", "requirements-dev.txt"):
            shutil.copy(ROOT / name, self.checkout)
        self.calls = folder / "uv-calls"
        self.calls.touch()

    def add_program(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)
        (self.path / name).chmod(0o755)

    def run(self, *command: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        known = {"PATH": str(self.path), "UV_CALLS": str(self.calls), "REAL_PYTHON": sys.executable}
        program = str(self.checkout / command[0])
        return subprocess.run(
            ["bash", program, *command[1:]],
            cwd=cwd or self.path,
            env=known | env,
            capture_output=True,
            text=True,
            check=False,
        )

    def installations(self) -> int:
        return self.calls.read_text().count("--editable")


@pytest.fixture
def bare_machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def machine(bare_machine):
    (bare_machine.path / "python3").symlink_to(sys.executable)
    bare_machine.add_program("uv", UV)
    return bare_machine


def test_a_machine_without_python_is_told_what_to_install(bare_machine):
    result = bare_machine.run("bin/demo")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "apt-get install python3" in result.stderr


def test_a_python_without_pip_and_venv_is_told_which_package_is_missing(bare_machine):
    bare_machine.add_program("python3", PYTHON_WITHOUT_PIP_AND_VENV)
    result = bare_machine.run("bin/test")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert f"apt-get install python3.{sys.version_info.minor}-venv" in result.stderr


def test_the_first_run_says_what_it_does(machine):
    result = machine.run("bin/_setup", "run")
    assert result.returncode == 0, result.stderr
    steps = re.findall(r"^(.+): \d+ s$", result.stderr, re.MULTILINE)
    assert steps[1:] == ["Installing the pinned packages", "Installing lifecycle"]


def test_the_second_run_installs_nothing_and_is_silent(machine):
    machine.run("bin/_setup", "run")
    again = machine.run("bin/_setup", "run")
    assert (machine.installations(), again.stderr) == (1, "")


def test_the_tests_bring_all_that_the_demo_needs(machine):
    machine.run("bin/_setup", "dev")
    machine.run("bin/_setup", "run")
    assert machine.installations() == 1


def test_the_demo_does_not_bring_what_the_tests_need(machine):
    machine.run("bin/_setup", "run")
    assert "requirements-dev.txt" not in machine.calls.read_text()
    machine.run("bin/_setup", "dev")
    assert "requirements-dev.txt" in machine.calls.read_text()


@pytest.mark.parametrize("changed", ["requirements.txt", "pyproject.toml"])
def test_a_change_of_what_is_needed_installs_again(machine, changed):
    machine.run("bin/_setup", "run")
    with (machine.checkout / changed).open("a") as file:
        file.write("# changed\n")
    machine.run("bin/_setup", "run")
    assert machine.installations() == 2


def test_a_checkout_that_was_moved_gets_a_new_environment(machine):
    machine.run("bin/_setup", "run")
    machine.checkout = machine.checkout.rename(machine.checkout.with_name("moved"))
    result = machine.run("bin/demo")
    assert result.returncode == 0, result.stderr
    assert machine.calls.read_text().count("venv --quiet") == 2


def test_a_failed_installation_shows_why_and_is_tried_again(machine):
    failed = machine.run("bin/demo", UV_FAILS="yes")
    assert (failed.returncode, "no such package" in failed.stderr) == (7, True)
    assert machine.run("bin/demo").returncode == 0


def test_the_demo_gets_its_arguments_in_the_callers_folder(machine, tmp_path):
    result = machine.run("bin/demo", "--data", "my shop", cwd=tmp_path)
    assert result.stdout == f"{tmp_path}|demo --data my shop\n"


def test_ending_what_was_never_started_is_no_error(bare_machine):
    result = bare_machine.run("bin/down")
    assert (result.returncode, result.stderr) == (0, "")


def test_two_setups_at_once_install_once(machine):
    env = {"PATH": str(machine.path), "UV_CALLS": str(machine.calls), "REAL_PYTHON": sys.executable}
    command = ["bash", str(machine.checkout / "bin/_setup"), "run"]
    both = [subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(30) for process in both] == [0, 0]
    assert machine.installations() == 1


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_locks_pin_every_package_and_name_no_registry(lock):
    lines = [line for line in (ROOT / lock).read_text().splitlines() if line and not line.lstrip().startswith("#")]
    assert [line for line in lines if not re.match(r"[a-z0-9._\-\[\]]+==[^ ]+( ; .+)?$", line)] == []
    assert "://" not in (ROOT / lock).read_text()


@pytest.mark.parametrize("script", ["_setup", "demo", "test", "down"])
def test_scripts_are_executable_and_parse(script):
    assert os.access(ROOT / "bin" / script, os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / "bin" / script], check=False).returncode == 0
