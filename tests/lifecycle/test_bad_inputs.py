"""Every bad address, provider answer, webhook request, setting and clock we know of, and the test of its outcome.

The numbers are those of the list the product was planned with. Cases without a test elsewhere have theirs below.
"""

from __future__ import annotations

import ast
import re
import time
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url
from starlette.testclient import TestClient
from tests.conftest import PROJECT, plain
from tests.lifecycle.receiver.conftest import client as client
from tests.lifecycle.receiver.conftest import sendgrid as sendgrid
from tests.lifecycle.receiver.conftest import sent as sent
from tests.lifecycle.receiver.conftest import twilio as twilio
from tests.lifecycle.receiver.providers import SendGrid
from tests.lifecycle.sent_messages import SentMessages
from tests.lifecycle.test_cli import Run
from tests.lifecycle.test_cli import run as run
from tests.lifecycle.test_delivery import Desk
from tests.lifecycle.test_delivery import desk as desk
from tests.lifecycle.test_evidence import ProviderWithRegister

from lifecycle import controls, csv_addresses, database, delivery, evidence, outbox
from lifecycle.channels import OutgoingSms, Receipt
from lifecycle.csv_values import BadValue
from lifecycle.errors import LifecycleError, TryAgainError

HERE = "test_bad_inputs.py"
CSV = "test_csv_import.py"
ANSWERS = "channels/test_provider_answers.py"
WEBHOOKS = "receiver/test_webhooks.py"
EVENTS = "test_delivery_events.py"
CASES: dict[int, tuple[str, list[str]]] = {
    20: ("nobody where there is always somebody", ["test_approvals.py::test_nobody_where_there_is_always_somebody_waits"]),
    21: ("an audience of everybody", ["test_approvals.py::test_a_first_run_passes_up_to_the_cap"]),
    65: ("a national number without a country", [f"{CSV}::test_a_national_phone_number_needs_its_country"]),
    66: ("full-width digits", [f"{CSV}::test_a_phone_number_is_stored_as_e164"]),
    67: ("an extension", [f"{CSV}::test_a_bad_value_is_refused"]),
    68: ("a landline", [f"{CSV}::test_a_phone_number_is_stored_as_e164", f"{ANSWERS}::test_twilio_codes_are_understood",
                        f"{EVENTS}::test_a_number_that_is_to_blame_gets_nothing_more"]),
    69: ("a premium-rate number", [f"{CSV}::test_a_bad_value_is_refused"]),
    70: ("a short code", [f"{CSV}::test_a_bad_value_is_refused"]),
    71: ("a number reserved for fiction", [f"{CSV}::test_a_phone_number_is_stored_as_e164"]),
    72: ("a line end behind a number", [f"{CSV}::test_a_bad_value_is_refused"]),
    73: ("two people with one number", ["test_delivery.py::test_two_people_with_one_number_get_one_message"]),
    74: ("a country we may not text", [f"{ANSWERS}::test_twilio_codes_are_understood"]),
    75: ("more or less than one bare email address", [f"{HERE}::test_what_is_no_bare_address_is_refused"]),
    76: ("a header hidden in an address", [f"{CSV}::test_a_bad_value_is_refused"]),
    77: ("a domain in two spellings", [f"{HERE}::test_spellings_of_one_mailbox_share_one_suppression"]),
    78: ("capitals in an address", [f"{HERE}::test_spellings_of_one_mailbox_share_one_suppression"]),
    79: ("a name of 65 letters before the @", [f"{CSV}::test_a_bad_value_is_refused"]),
    80: ("role and example addresses", [f"{HERE}::test_what_no_mail_can_reach_is_refused_where_mail_is_real",
                                        f"{HERE}::test_an_office_is_a_customer_like_any_other"]),
    81: ("a yes in HTML", [f"{ANSWERS}::test_an_odd_or_truncated_answer_leaves_it_uncertain"]),
    82: ("a yes without an id", [f"{ANSWERS}::test_an_odd_or_truncated_answer_leaves_it_uncertain"]),
    83: ("half an answer", [f"{ANSWERS}::test_an_odd_or_truncated_answer_leaves_it_uncertain"]),
    84: ("a wait that cannot be", [f"{ANSWERS}::test_a_rate_limit_is_waited_out",
                                   f"{ANSWERS}::test_a_rate_limit_without_a_time_is_tried_again_too",
                                   f"{ANSWERS}::test_a_wait_may_be_given_as_a_date"]),
    85: ("a key refused in the middle", [f"{ANSWERS}::test_refused_credentials_burn_nobody",
                                         f"{HERE}::test_a_key_refused_in_the_middle_of_a_run_loses_nobody"]),
    86: ("a redirect", [f"{ANSWERS}::test_a_redirect_is_not_followed_with_our_credentials"]),
    87: ("silence", [f"{ANSWERS}::test_a_lost_answer_leaves_it_uncertain"]),
    88: ("no trust in the certificate", [f"{ANSWERS}::test_an_expired_certificate_gets_neither_key_nor_words",
                                         f"{ANSWERS}::test_a_failed_tls_handshake_is_tried_again"]),
    89: ("too large", [f"{ANSWERS}::test_a_refused_request_is_rejected_for_good"]),
    90: ("codes and states nobody knows", [f"{ANSWERS}::test_twilio_codes_are_understood",
                                           f"{EVENTS}::test_a_text_message_only_rises"]),
    91: ("events of strangers and of impossible times", [
        f"{EVENTS}::test_a_message_nobody_knows_is_counted_and_its_address_still_spared",
        f"{EVENTS}::test_an_unstorable_event_is_left_out_and_the_rest_stored"]),
    92: ("events nobody knows", [f"{EVENTS}::test_a_delivery_only_rises"]),
    93: ("arrays of any size and shape", [f"{WEBHOOKS}::test_a_signed_body_of_any_shape_has_its_answer"]),
    94: ("delivered before sent, two ends", [f"{EVENTS}::test_a_delivery_only_rises"]),
    95: ("signatures that are none", [f"{WEBHOOKS}::test_t1_nothing_forged_is_accepted",
                                      f"{WEBHOOKS}::test_t1_nothing_forged_in_the_name_of_twilio_is_accepted"]),
    96: ("bodies in another form", [f"{WEBHOOKS}::test_a_signed_body_of_any_shape_has_its_answer",
                                    f"{HERE}::test_neither_type_nor_encoding_nor_pieces_matter_but_the_bytes_do"]),
    97: ("doubled, endless and deep values", [f"{WEBHOOKS}::test_a_signed_body_of_any_shape_has_its_answer",
                                              f"{WEBHOOKS}::test_a_field_that_comes_twice_is_signed_as_often_and_read_once"]),
    98: ("the same request again", [f"{WEBHOOKS}::test_t2_a_replay_changes_no_row"]),
    99: ("another method", [f"{WEBHOOKS}::test_a_webhook_is_posted"]),
    100: ("a token of something else", ["receiver/test_strangers.py::test_t3_no_token_but_the_right_one_unsubscribes",
                                        "receiver/test_strangers.py::test_t3_a_token_of_another_key_unsubscribes_nobody"]),
    101: ("no connection, a key that is none, or of the sandbox", [
                                                    "test_airflow_tasks.py::test_a_missing_connection_is_named",
                                                    "test_airflow_tasks.py::test_a_connection_that_cannot_be_right_is_refused",
                                                    "channels/test_accounts.py::test_a_mangled_api_key_is_refused_in_one_line",
                                                    "channels/test_accounts.py::test_a_mangled_account_sid_is_refused",
                                                    "receiver/test_keys.py::test_t14_start_matrix"]),
    102: ("a sender that may not send", [f"{ANSWERS}::test_refused_credentials_burn_nobody",
                                         f"{ANSWERS}::test_twilio_codes_are_understood"]),
    103: ("a zone nobody knows", [f"{CSV}::test_a_bad_value_is_refused",
                                  "test_as_of.py::test_a_zone_that_does_not_exist_is_refused"]),
    104: ("the nights the clocks change", ["test_as_of.py::test_every_day_around_a_clock_change_starts_once_in_every_zone"]),
    105: ("a worker whose clock is wrong", [f"{HERE}::test_a_worker_whose_clock_is_wrong_proves_nothing_by_it",
                                            f"{HERE}::test_leases_are_measured_by_the_clock_of_postgres"]),
    106: ("leap days and short months", ["test_as_of.py::test_three_years_of_days_follow_each_other"]),
    107: ("the first, the last and no year", [f"{CSV}::test_a_bad_value_is_refused",
                                              "test_as_of.py::test_a_day_that_no_shop_has_is_refused",
                                              f"{EVENTS}::test_an_unstorable_event_is_left_out_and_the_rest_stored"]),
    108: ("a Postgres that cannot do it", [f"{HERE}::test_a_server_that_cannot_is_one_line_that_says_what_to_do",
                                           f"{HERE}::test_a_server_with_no_place_left_is_one_line",
                                           f"{HERE}::test_nothing_outlives_its_transaction",
                                           "test_cli.py::test_a_database_that_was_never_migrated_is_one_line_with_the_command"]),
    109: ("two deployments that send from one database", [
        "test_delivery.py::test_several_senders_at_once_send_everybody_once",
        "test_delivery.py::test_a_second_sender_gets_nothing_while_the_first_one_sends"]),
    110: ("a run of keys nobody knows, ranges that cannot be", [
        "../dags/test_check_sources.py::test_a_mistyped_key_of_a_run_fails_it_in_one_line",
        "test_as_of.py::test_a_range_that_runs_backwards_or_for_ever_is_refused",
        "test_backfills.py::test_a_range_that_makes_no_sense_is_refused"]),
    111: ("a task that is cleared after it sent", ["../e2e/test_demo.py::test_clearing_tasks_and_running_the_days_again_sends_nothing_twice"]),
    112: ("an audience of several times the usual", [
        "test_approvals.py::test_four_times_the_usual_waits_and_nobody_of_it_is_planned_or_entered",
        "../dags/test_approve_audience.py::test_only_a_yes_sends_four_times_the_usual",
        "test_sources.py::test_a_late_source_holds_the_journey_with_one_line"]),
    113: ("a worker that is killed", ["test_delivery.py::test_whoever_was_being_sent_to_when_a_sender_died_is_never_sent_to_again",
                                      "test_evidence.py::test_a_sender_that_died_before_its_first_byte_loses_nobody"]),
}  # fmt: skip


@cache
def _tests_of(file: str) -> set[str]:
    tree = ast.parse((PROJECT / "tests" / "lifecycle" / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def require_tests(number: int, what: str, proofs: list[str]) -> None:
    """A case is named, and every test of it exists."""
    assert what
    assert proofs
    for proof in proofs:
        file, _, name = proof.partition("::")
        assert name in _tests_of(file), f"case {number}, {what}: there is no {proof}"


@pytest.mark.parametrize("number", sorted({*range(65, 114), *CASES}))
def test_every_case_has_a_test_that_exists(number: int) -> None:
    require_tests(number, *CASES[number])


# --- addresses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "Aiko <a@shop.example>", "a@shop.example;b@shop.example", '"a b"@shop.example', "a b@shop.example", " a@shop.example",
        "a@shop.example ", "a@shop.example\t", "a@[10.0.0.1]", "a@10.0.0.1", "a@localhost", "a@-shop.example", "a@shop-.example",
        "a..b@shop.example", ".a@shop.example", "a@shop..example", "a@", "@shop.example", "a", "a@shop.example\x00", "a@sh_op.example",
        "mailto:a@shop.example", "a@shop.example,", "a\u202e@shop.example",
    ],
)  # fmt: skip
def test_what_is_no_bare_address_is_refused(written: str) -> None:
    with pytest.raises(BadValue, match="is no email address"):
        csv_addresses.email(written)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Aiko@Example.COM", "aiko@example.com"),
        ("aiko@exämple.de", "aiko@xn--exmple-cua.de"),
        ("AIKO@EXÄMPLE.DE", "aiko@xn--exmple-cua.de"),
    ],
)
def test_spellings_of_one_mailbox_share_one_suppression(sent: SentMessages, one: str, other: str) -> None:
    hashes = sent.connection.execute(
        "select lifecycle.address_hash(%s) = lifecycle.address_hash(%s)",
        (csv_addresses.email(one), csv_addresses.email(other)),
    )
    assert hashes.fetchall() == [(True,)]


@pytest.mark.parametrize(
    "written", ["a@example.com", "a@mail.example.org", "a@example.net", "a@shop.test", "a@a.example"]
)
def test_what_no_mail_can_reach_is_refused_where_mail_is_real(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert csv_addresses.email(written) == written
    monkeypatch.setenv("LIFECYCLE_LIVE", "yes")
    with pytest.raises(BadValue, match="nobody's address"):
        csv_addresses.email(written)


@pytest.mark.parametrize("written", ["info@gmail.com", "noreply@gmail.com", "a@mailinator.com"])
def test_an_office_is_a_customer_like_any_other(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who agreed to mail at such an address gets it; no list of ours knows better."""
    monkeypatch.setenv("LIFECYCLE_LIVE", "yes")
    assert csv_addresses.email(written) == written


# --- providers and webhooks ---------------------------------------------------------------------------------------------


def test_a_key_refused_in_the_middle_of_a_run_loses_nobody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "CHUNK", 1)
    taken: list[str] = []

    class Revoked:
        def send(self, message: OutgoingSms) -> Receipt:
            if taken:
                return Receipt("retry", http_status=401, provider_code="401", detail="credentials refused")
            taken.append(message.to)
            return Receipt("accepted", provider_id="SM1", http_status=201)

    desk.plan()
    with pytest.raises(LifecycleError):
        desk.send(Revoked())
    assert sorted(state for state, _ in desk.states().values()) == ["accepted", "queued", "queued"]
    for scope in controls.paused():
        controls.set_state(scope, "open", "the new key is there")
    desk.execute("update lifecycle.messages set retry_after = null")
    provider = ProviderWithRegister()
    desk.send(provider)
    assert sorted([*taken, *provider.addresses()]) == ["+33639980001", "+33639980002", "+33639980003"]


def test_neither_type_nor_encoding_nor_pieces_matter_but_the_bytes_do(
    client: TestClient, sendgrid: SendGrid, sent: SentMessages
) -> None:
    body = b'[{"event":"open","sg_event_id":"1"}]'
    signed = sendgrid.headers(body)
    for said in ({"Content-Type": "text/plain"}, {"Content-Type": "image/png; charset=koi8-r"}, {}):
        assert client.post("/sendgrid/events", content=body, headers={**signed, **said}).status_code == 200
    # A body in pieces, of unknown length.
    assert client.post("/sendgrid/events", content=iter([body[:9], body[9:]]), headers=signed).status_code == 200
    # Nobody unpacks what says it is packed: it is the bytes that are signed.
    packed = {**signed, "Content-Encoding": "gzip"}
    assert client.post("/sendgrid/events", content=body, headers=packed).status_code == 200
    assert client.post("/sendgrid/events", content=b"\x1f\x8b" + body, headers=packed).status_code == 403
    assert client.post("/sendgrid/events", content="[é]".encode("latin-1"), headers=signed).status_code == 403


# --- clocks -------------------------------------------------------------------------------------------------------------


def test_leases_are_measured_by_the_clock_of_postgres(desk: Desk, fast_clock: None) -> None:
    desk.plan()
    desk.claim()
    found = desk.all("select lease_until - now() between interval '50 s' and interval '60 s' from lifecycle.messages")
    assert found == [(True,)] * 3


def test_a_worker_whose_clock_is_wrong_proves_nothing_by_it(desk: Desk, fast_clock: None) -> None:
    """A message sent before a doubtful one must not look like one sent after it: it would prove an absence."""
    desk.plan()
    desk.send(ProviderWithRegister())
    assert desk.all("select count(*), count(*) filter (where started_at > now()) from lifecycle.attempts") == [(3, 0)]


@pytest.fixture
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose clock is ten minutes ahead of Postgres'."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 600)

    class TenMinutesAhead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return super().now(tz) + timedelta(minutes=10)

    for module in (delivery, evidence, outbox):
        monkeypatch.setattr(module, "datetime", TenMinutesAhead, raising=False)


# --- Postgres -----------------------------------------------------------------------------------------------------------


def test_a_server_that_cannot_is_one_line_that_says_what_to_do(
    empty_database: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = make_url(empty_database)
    with psycopg.connect(plain(empty_database), autocommit=True) as server:
        name = sql.Identifier(own.database or "")
        server.execute(sql.SQL("alter database {} set default_transaction_read_only = on").format(name))
        database.disconnect()
        said = run("pause", "--reason", "x").error()
        assert said.startswith("Postgres says: cannot execute INSERT in a read-only transaction")
        assert said.endswith("set LIFECYCLE_DATABASE_URL to the primary server.")
        server.execute("set default_transaction_read_only = off")
        server.execute(sql.SQL("alter database {} reset default_transaction_read_only").format(name))
        server.execute("drop role if exists crowded")
        server.execute("create role crowded login password 's3cret' connection limit 0")
    crowded = own.set(username="crowded", password="s3cret").render_as_string(hide_password=False)
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", crowded)
    said = run("report").error()
    assert "too many connections for role" in said
    assert "s3cret" not in said


FULL = {"53100": "could not extend file: No space left on device", "53200": "out of memory", "53400": "temp_file_limit"}


@pytest.mark.parametrize("code", FULL)
def test_a_server_with_no_place_left_is_one_line(desk: Desk, code: str) -> None:
    desk.execute(
        "create function lifecycle.full_disk() returns trigger language plpgsql as "
        f"$$ begin raise exception '{FULL[code]}' using errcode = '{code}'; end $$"
    )
    desk.execute("create trigger full_disk before insert on lifecycle.messages execute function lifecycle.full_disk()")
    with pytest.raises(TryAgainError, match=re.escape(f"Postgres says: {FULL[code]}. ")) as told:
        desk.plan()
    assert "\n" not in str(told.value)
    assert "nothing of this was written" in str(told.value)
    assert desk.all("select count(*) from lifecycle.messages") == [(0,)]
    desk.execute("drop trigger full_disk on lifecycle.messages")
    assert desk.plan() == {"queued": 3}


@pytest.mark.parametrize(
    "change", ["alter view shop.customers rename column city to town", "alter view shop.customers rename to people"]
)
def test_a_contract_view_that_was_changed_after_a_message_was_queued_is_one_line(desk: Desk, change: str) -> None:
    """The claim is past; its messages are settled by evidence, as those of a sender that died."""
    desk.plan()
    desk.execute(change)
    with pytest.raises(LifecycleError, match=r"Postgres says: .* does not exist\. .*lifecycle db migrate") as told:
        desk.send(ProviderWithRegister())
    assert "\n" not in str(told.value)


def test_nothing_outlives_its_transaction(empty_database: str) -> None:
    """A pooler in transaction mode hands each transaction to another connection: nothing may be left on the last one."""
    for path in sorted((PROJECT / "include" / "sql" / "engine").rglob("*.sql")):
        text = re.sub(r"--.*", "", path.read_text(encoding="utf-8")).lower()
        assert not re.search(r"pg_(try_)?advisory_lock|\blisten\b|\bset session\b", text), path
        assert text.count("set_config(") == len(re.findall(r"set_config\([^()]*, true\)", text)), path
        # A view cannot be dropped with the commit: the transaction that makes one never commits.
        assert text.count("create temporary table") == text.count("on commit drop"), path
    _ask_often_where_another_prepared_the_same_name()


def _ask_often_where_another_prepared_the_same_name() -> None:
    with database.transaction() as connection:
        database.driver(connection).execute("prepare _pg3_0 as select 1")
        for _ in range(7):
            database.rows(connection, "engine/controls/paused.sql")
