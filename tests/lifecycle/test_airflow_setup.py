from __future__ import annotations

import json
import re

import pytest

from lifecycle import airflow_setup

COMPANY_DATABASE = "postgresql://crm:p%40ss@db.shop.example:6432/crm?sslmode=require"


@pytest.fixture(autouse=True)
def company_database(tmp_path, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", COMPANY_DATABASE)


def test_an_airflow_database_of_the_company_is_never_touched():
    expected = "postgresql+psycopg2://crm:p%40ss@db.shop.example:6432/crm_airflow?sslmode=require"
    assert airflow_setup.metadata_url() == expected


def test_tasks_reach_the_lifecycle_database_as_an_airflow_connection():
    connection = json.loads(airflow_setup.environment(8080)["AIRFLOW_CONN_LIFECYCLE_DB"])
    assert connection == {
        "conn_type": "postgres",
        "host": "db.shop.example",
        "port": 6432,
        "login": "crm",
        "password": "p@ss",
        "schema": "crm",
        "extra": {"sslmode": "require"},
    }


def test_settings_of_another_airflow_are_left_out_and_connections_kept(monkeypatch):
    monkeypatch.setenv("AIRFLOW_HOME", "/somewhere/else")
    monkeypatch.setenv("AIRFLOW_CONFIG", "/somewhere/else/airflow.cfg")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__SMTP__SMTP_HOST", "mail.shop.example")
    monkeypatch.setenv("AIRFLOW_CONN_SENDGRID", "http://sendgrid")
    environment = airflow_setup.environment(8080)
    assert environment["AIRFLOW_HOME"] == str(airflow_setup.folder())
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert {"AIRFLOW_CONFIG", "AIRFLOW__SMTP__SMTP_HOST"}.isdisjoint(environment)
    assert environment["AIRFLOW_CONN_SENDGRID"] == "http://sendgrid"


def test_every_address_is_on_this_machine_and_on_the_given_port():
    environment = airflow_setup.environment(8123)
    addresses = [value for key, value in environment.items() if re.match(r"AIRFLOW__.*URL$", key)]
    assert addresses == ["http://127.0.0.1:8123/execution/", "http://127.0.0.1:8123"]
    assert (environment["AIRFLOW__API__HOST"], environment["AIRFLOW__API__PORT"]) == ("127.0.0.1", "8123")


def test_calls_on_this_machine_bypass_a_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    monkeypatch.delenv("no_proxy", raising=False)
    assert airflow_setup.environment(8080)["no_proxy"] == "127.0.0.1,localhost,intranet.example"


def test_keys_are_made_once_and_only_their_owner_reads_them():
    first, second = airflow_setup.environment(8080), airflow_setup.environment(8080)
    assert first == second
    kept = [airflow_setup.folder() / name for name in ("secrets.json", "passwords.json")]
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600, 0o600]
    assert json.loads(kept[1].read_text()) == {"admin": airflow_setup.password()}
