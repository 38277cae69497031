"""Held mail, batches that are stopped in time or too late, and lookups that lag behind."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient
from tests.lifecycle import official_specs

from lifecycle.sandbox.app import create_app
from lifecycle.sandbox.logs_api import filters_of

SID = "AC" + "0" * 32
SMS_LIST = f"/2010-04-01/Accounts/{SID}/Messages.json"
KEY = {"Authorization": "Bearer SG.test"}
HOUR = 3600


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(tmp_path / "sandbox.sqlite")) as client:
        yield client


def new_batch(client: TestClient) -> str:
    answer = client.post("/v3/mail/batch", headers=KEY)
    assert answer.status_code == 201
    return answer.json()["batch_id"]


def send(client: TestClient, message_id: str, in_seconds: int | None = None, **more: Any) -> Any:
    body: dict[str, Any] = {
        "personalizations": [
            {"to": [{"email": "Aiko@example.com"}], "custom_args": {"lifecycle_message_id": message_id}}
        ],
        "from": {"email": "shop@example.com", "name": "Shop"},
        "subject": "Hello",
        "content": [{"type": "text/plain", "value": "Hello"}],
        **more,
    }
    if in_seconds is not None:
        body["send_at"] = int(time.time()) + in_seconds
    return client.post("/v3/mail/send", json=body, headers=KEY)


def stop(client: TestClient, batch_id: str, status: str = "cancel") -> int:
    given = {"batch_id": batch_id, "status": status}
    return client.post("/v3/user/scheduled_sends", json=given, headers=KEY).status_code


def skip(client: TestClient, seconds: float) -> None:
    assert client.post("/clock", json={"advance_seconds": seconds}).status_code == 200


def delivered(client: TestClient) -> dict[str, int]:
    return client.get("/deliveries.json").json()


def states(client: TestClient) -> list[str]:
    return [message["state"] for message in client.get("/messages.json").json()]


def test_a_mail_for_later_is_held_and_counts_when_its_time_has_come(client: TestClient):
    assert send(client, "m1", in_seconds=HOUR).status_code == 202
    assert (states(client), delivered(client)) == (["scheduled"], {})
    skip(client, HOUR - 60)
    assert delivered(client) == {}
    skip(client, 61)
    assert (states(client), delivered(client)) == (["sent"], {"m1": 1})


def test_each_person_may_have_a_time_of_their_own(client: TestClient):
    soon, later = (int(time.time()) + seconds for seconds in (HOUR, 2 * HOUR))
    people = [
        {"to": [{"email": f"{name}@example.com"}], "custom_args": {"lifecycle_message_id": name}, "send_at": at}
        for name, at in (("soon", soon), ("later", later))
    ]
    send(client, "", personalizations=people)
    skip(client, HOUR + 1)
    assert delivered(client) == {"soon": 1}


def test_a_mail_for_a_time_that_has_passed_goes_at_once(client: TestClient):
    send(client, "m1", in_seconds=-HOUR)
    assert delivered(client) == {"m1": 1}


def test_a_cancelled_batch_is_never_delivered(client: TestClient):
    batch_id = new_batch(client)
    send(client, "m1", in_seconds=HOUR, batch_id=batch_id)
    send(client, "other", in_seconds=HOUR, batch_id=new_batch(client))
    assert stop(client, batch_id) == 201
    skip(client, 2 * HOUR)
    assert delivered(client) == {"other": 1}
    assert sorted(states(client)) == ["cancelled", "sent"]


@pytest.mark.parametrize("in_seconds", [None, HOUR])
def test_a_request_that_comes_after_the_cancellation_is_dropped(client: TestClient, in_seconds: int | None):
    batch_id = new_batch(client)
    stop(client, batch_id)
    assert send(client, "m1", in_seconds, batch_id=batch_id).status_code == 202
    skip(client, 2 * HOUR)
    assert (states(client), delivered(client)) == (["cancelled"], {})


def test_a_provider_that_sends_late_requests_anyway_can_be_asked_for(client: TestClient):
    client.put("/behaviour", json={"after_cancel": "send"})
    batch_id = new_batch(client)
    stop(client, batch_id)
    send(client, "m1", HOUR, batch_id=batch_id)
    skip(client, 2 * HOUR)
    assert delivered(client) == {"m1": 1}


def test_a_cancellation_within_the_notice_can_be_without_effect(client: TestClient):
    client.put("/behaviour", json={"cancel_notice_seconds": 600})
    batch_id = new_batch(client)
    send(client, "close", 500, batch_id=batch_id)
    send(client, "far", 700, batch_id=batch_id)
    assert stop(client, batch_id) == 201
    skip(client, HOUR)
    assert delivered(client) == {"close": 1}


def test_a_cancellation_after_the_fact_changes_nothing(client: TestClient):
    batch_id = new_batch(client)
    send(client, "m1", HOUR, batch_id=batch_id)
    skip(client, HOUR + 1)
    stop(client, batch_id)
    assert delivered(client) == {"m1": 1}


def test_a_paused_batch_waits_until_it_may_go_on(client: TestClient):
    batch_id = new_batch(client)
    send(client, "m1", HOUR, batch_id=batch_id)
    stop(client, batch_id, "pause")
    skip(client, 2 * HOUR)
    assert (states(client), delivered(client)) == (["scheduled"], {})
    assert client.delete(f"/v3/user/scheduled_sends/{batch_id}", headers=KEY).status_code == 204
    assert delivered(client) == {"m1": 1}


def test_a_pause_of_three_days_is_the_end(client: TestClient):
    batch_id = new_batch(client)
    send(client, "m1", HOUR, batch_id=batch_id)
    stop(client, batch_id, "pause")
    skip(client, 74 * HOUR)
    client.delete(f"/v3/user/scheduled_sends/{batch_id}", headers=KEY)
    assert (states(client), delivered(client)) == (["cancelled"], {})


def test_a_stopped_batch_is_shown_and_changed_in_sendgrids_way(client: TestClient):
    batch_id = new_batch(client)
    address = f"/v3/user/scheduled_sends/{batch_id}"
    assert client.get(f"/v3/mail/batch/{batch_id}", headers=KEY).json() == {"batch_id": batch_id}
    assert client.get(address, headers=KEY).json() == []
    assert client.patch(address, json={"status": "pause"}, headers=KEY).status_code == 404
    assert stop(client, batch_id, "pause") == 201
    assert stop(client, batch_id, "cancel") == 400
    assert client.patch(address, json={"status": "cancel"}, headers=KEY).status_code == 204
    assert client.get(address, headers=KEY).json() == [{"batch_id": batch_id, "status": "cancel"}]
    assert client.get("/v3/user/scheduled_sends", headers=KEY).json() == [{"batch_id": batch_id, "status": "cancel"}]


def test_a_batch_nobody_was_given_is_refused_everywhere(client: TestClient):
    assert send(client, "m1", batch_id="made-up").status_code == 400
    assert stop(client, "made-up") == 400
    assert client.get("/v3/mail/batch/made-up", headers=KEY).status_code == 400
    assert client.post("/v3/user/scheduled_sends", content=b"[", headers=KEY).status_code == 400


@pytest.mark.parametrize(("method", "path"), [("POST", "/v3/mail/batch"), ("POST", "/v3/logs"), ("GET", "/v3/logs/x")])
def test_without_a_key_nothing_is_told(client: TestClient, method: str, path: str):
    assert client.request(method, path).status_code == 401


def test_held_mail_batches_and_the_clock_survive_a_restart(tmp_path: Path):
    path = tmp_path / "sandbox.sqlite"
    with TestClient(create_app(path)) as client:
        batch_id = new_batch(client)
        send(client, "m1", HOUR, batch_id=batch_id)
        send(client, "m2", 3 * HOUR)
        skip(client, 2 * HOUR)
    with TestClient(create_app(path)) as client:
        assert client.get("/clock").json()["skipped_seconds"] == 2 * HOUR
        assert delivered(client) == {"m1": 1}
        assert stop(client, batch_id) == 201


def test_a_file_of_the_first_version_is_still_read(tmp_path: Path):
    import sqlite3

    path = tmp_path / "sandbox.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "create table requests (request_id integer primary key, received_at text not null, body text not null);"
            "create table messages (id integer primary key autoincrement, request_id integer not null, "
            "position integer not null, channel text not null, provider text not null, provider_id text not null, "
            "message_id text, to_address text not null collate nocase, sender text not null, subject text not null, "
            "text text not null, sms_parts integer, encoding text);"
            "insert into requests values (1, '2026-11-01T00:00:00.000+00:00', 'Body=Hi');"
            "insert into messages values (1, 1, 0, 'sms', 'twilio', 'SM1', 'm1', '+447700900123', 's', '', 'Hi', 1, 'GSM-7');"
        )
    with TestClient(create_app(path)) as client:
        assert delivered(client) == {"m1": 1}
        send(client, "m2")
        assert delivered(client) == {"m1": 1, "m2": 1}


def test_the_inbox_says_what_is_held_and_what_was_cancelled(client: TestClient):
    batch_id = new_batch(client)
    send(client, "m1", HOUR, batch_id=batch_id)
    assert "Scheduled" in client.get("/").text
    assert "Scheduled for" in client.get("/messages/1").text
    stop(client, batch_id)
    skip(client, 2 * HOUR)
    assert "Cancelled" in client.get("/").text


def test_duplicates_can_be_asked_for_alone(client: TestClient):
    for message_id in ("m1", "m1", "m2"):
        send(client, message_id)
    assert client.get("/deliveries.json?only=duplicates").json() == {"m1": 2}
    stats = client.get("/stats.json").json()
    assert (stats["deliveries"], stats["message_ids"], stats["duplicates"]) == (3, 2, 1)
    assert stats["email"] == {"sent": 3, "scheduled": 0, "cancelled": 0}


def test_a_held_copy_is_no_delivery(client: TestClient):
    send(client, "m1")
    send(client, "m1", HOUR)
    assert client.get("/stats.json").json()["email"] == {"sent": 1, "scheduled": 1, "cancelled": 0}
    assert client.get("/deliveries.json?only=duplicates").json() == {}


# --- lookups ----------------------------------------------------------------------------------------------------------


def sms(client: TestClient, to: str = "+447700900123", sender: str = "+15005550006") -> None:
    client.post(SMS_LIST, data={"To": to, "From": sender, "Body": "Hello"}, auth=(SID, "token"))


def listed(client: TestClient, **asked: Any) -> int:
    return len(client.get(SMS_LIST, params=asked, auth=(SID, "token")).json()["messages"])


def test_a_new_sms_is_missing_from_the_list_for_as_long_as_the_index_lags(client: TestClient):
    client.put("/behaviour", json={"twilio_index_lag_seconds": 10})
    sms(client)
    assert listed(client, To="+447700900123") == 0
    skip(client, 11)
    assert listed(client, To="+447700900123") == 1
    assert listed(client, To="+447700900124") == 0
    assert listed(client, From="+15005550006") == 1
    assert listed(client, From="+15005550007") == 0


def test_the_list_of_sms_is_narrowed_by_when_they_were_sent(client: TestClient):
    sms(client)
    now = time.time()
    today, tomorrow = (time.strftime("%Y-%m-%d", time.gmtime(moment)) for moment in (now, now + 24 * HOUR))
    hour_ago, in_an_hour = (
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)) for moment in (now - HOUR, now + HOUR)
    )
    assert [listed(client, DateSent=day) for day in (today, tomorrow)] == [1, 0]
    assert [listed(client, **{"DateSent>": moment}) for moment in (hour_ago, in_an_hour)] == [1, 0]
    assert [listed(client, **{"DateSent<": moment}) for moment in (hour_ago, in_an_hour)] == [0, 1]
    answer = client.get(SMS_LIST, params={"DateSent": "yesterday"}, auth=(SID, "token"))
    assert answer.status_code == 400


def logs(client: TestClient, query: str, **more: Any) -> list[dict[str, Any]]:
    answer = client.post("/v3/logs", json={"query": query, **more}, headers=KEY)
    assert answer.status_code == 200
    return answer.json()["messages"]


def test_the_email_logs_find_a_mail_by_its_recipient_some_time_later(client: TestClient):
    client.put("/behaviour", json={"sendgrid_index_lag_seconds": 10})
    send(client, "m1")
    assert logs(client, "to_email = 'aiko@example.com'") == []
    skip(client, 11)
    (found,) = logs(client, "to_email = 'aiko@example.com'")
    assert (found["status"], found["from_email"]) == ("delivered", "shop@example.com")
    details = client.get(f"/v3/logs/{found['sg_message_id']}", headers=KEY).json()
    assert details["custom_args"] == {"lifecycle_message_id": "m1"}
    assert [event["event"] for event in details["events"]] == ["processed", "delivered"]


@pytest.mark.skipif(not official_specs.ARE_HERE, reason="the provider's description is not at hand")
def test_the_email_logs_answer_as_described(client: TestClient):
    import json

    described = json.loads((official_specs.FOLDER / "sendgrid_logs.json").read_text(encoding="utf-8"))
    send(client, "m1", categories=["news"])
    (found,) = logs(client, "to_email = 'aiko@example.com'")
    details = client.get(f"/v3/logs/{found['sg_message_id']}", headers=KEY).json()
    for name, given in (
        ("EmailLogsGetMessagesByFilterResponse", {"messages": [found]}),
        ("EmailLogsGetMessageByIdResponse", {**details, "events": []}),
        ("ProcessedEvent", details["events"][0]),
        ("DeliveredEvent", details["events"][1]),
    ):
        schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
        assert [error.message for error in Draft202012Validator(schema).iter_errors(given)] == []


def test_the_email_logs_combine_conditions(client: TestClient):
    send(client, "m1", categories=["news"])
    send(client, "m2", subject="Other", categories=["offers"])
    send(client, "m3", HOUR)
    provider_id = client.get("/messages.json").json()[0]["provider_id"]
    for query, expected in {
        "subject = 'Other'": 1,
        'subject = "Other" AND categories IN (\'news\', "offers")': 1,
        "subject = 'Other' AND categories IN ('news')": 0,
        "status IN ('processed')": 1,
        "status IN ('processed', 'delivered')": 3,
        f"sg_message_id = '{provider_id}'": 1,
        'sg_message_id_created_at > TIMESTAMP "2026-01-01T00:00:00Z"': 3,
        'sg_message_id_created_at < TIMESTAMP "2026-01-01T00:00:00Z"': 0,
        "": 3,
    }.items():
        assert len(logs(client, query)) == expected, query
    assert len(logs(client, "", limit=2)) == 2


@pytest.mark.parametrize(
    "query",
    ["to_email", "to_email = x", "custom_args = 'x'", "status = 'x' OR to_email = 'y'", "to_email = 'x' AND", 7],
)
def test_a_query_the_email_logs_do_not_know_is_refused(client: TestClient, query: Any):
    assert client.post("/v3/logs", json={"query": query}, headers=KEY).status_code == 400


def test_a_quoted_word_is_no_condition():
    assert filters_of("subject = 'a AND to_email'") == {"subject": "a AND to_email"}


@pytest.mark.parametrize("given", [{"after_cancel": "maybe"}, {"lag": 1}, [], {"twilio_index_lag_seconds": -1}])
def test_a_behaviour_that_does_not_exist_is_refused(client: TestClient, given: Any):
    assert client.put("/behaviour", json=given).status_code == 400


@pytest.mark.parametrize(
    "given", [{}, {"advance_seconds": -1}, {"advance_seconds": "1"}, [], {"advance_seconds": 1, "x": 1}]
)
def test_the_clock_only_goes_forward(client: TestClient, given: Any):
    assert client.post("/clock", json=given).status_code == 400
    assert client.get("/clock").json()["skipped_seconds"] == 0
