"""Airflow's API: what is wrong with the way to it is said in one line."""

from __future__ import annotations

import socket

import pytest
from tests.lifecycle.servers import misbehaving

from lifecycle.airflow_api import AirflowApi
from lifecycle.errors import LifecycleError


def test_an_airflow_that_is_away_is_started_with_the_demo() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(LifecycleError, match=rf"^Airflow is not reachable at {url}: .*refused.*Run bin/demo"):
            AirflowApi(url, "admin", "secret").health()


def test_an_airflow_that_is_too_busy_to_answer_is_not_said_to_be_away() -> None:
    with misbehaving(behaviour="silent") as (url, _), pytest.raises(LifecycleError) as raised:
        AirflowApi(url, "admin", "secret", timeout=0.2).dag("reactivation")
    assert str(raised.value).startswith(f"Airflow at {url} did not answer POST /auth/token within 0.2 s. ")
