"""The public pages: a person's tap counts, a program's does not, and nothing a stranger sends breaks or leads astray."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient
from tests.journey_runner import PHONE_BROWSER, JourneyRunner, receiver
from tests.project_builder import ProjectBuilder
from tests.shop import Shop

from lifecycle import database, journeys, links, outbox, runs
from lifecycle.receiver.app import create_app
from lifecycle.receiver.limits import MAX_FORM_BYTES
from lifecycle.receiver.visitors import is_machine, network_of

PHONE = "+33639980001"


class Visit:
    """A customer who got the survey, and their way through the receiver."""

    def __init__(self, connection: psycopg.Connection[Any], runner: JourneyRunner) -> None:
        self.connection = connection
        self.runner = runner
        self.person = receiver()
        found = connection.execute("select name, code, message_id from lifecycle.links order by name").fetchall()
        self.codes = {name: code for name, code, _ in found}
        self.message_id = found[0][2]

    def all(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode()).fetchall()

    def execute(self, query: str) -> None:
        self.connection.execute(query.encode())

    def engagements(self) -> list[tuple[Any, ...]]:
        return self.all("select kind, is_machine, properties from lifecycle.engagements order by engagement_id")

    def is_suppressed(self) -> bool:
        found = self.all("select is_suppressed or not has_consent from lifecycle.contacts where channel = 'sms'")
        return found[0][0]

    def keep_link(self, name: str, target_url: str) -> str:
        """Another link of the message, leading anywhere."""
        code = links.code(str(self.message_id), name)
        self.connection.execute(
            "insert into lifecycle.links (code, message_id, name, target_url) values (%s, %s, %s, %s)",
            (code, self.message_id, name, target_url),
        )
        return code


@pytest.fixture
def visit(shop: Shop, sandbox: Any) -> Visit:
    """Aiko, silent for 30 days, got her survey yesterday."""
    shop.customer("aiko", phone=PHONE, first_name="Aiko <b>", locale="en")
    today = datetime.now(timezone.utc).date()
    yesterday = today - timedelta(days=1)
    shop.order("aiko", yesterday - timedelta(days=30))
    runner = JourneyRunner("reactivation", today)
    assert runner.run(yesterday)["steps"]["survey"] == {"accepted": 1}
    return Visit(shop.connection, runner)


def test_a_tap_is_recorded_each_time_and_shows_the_page(visit: Visit) -> None:
    for _ in range(2):
        answer = visit.person.get(f"/l/{visit.codes['survey']}")
        assert answer.status_code == 200
        assert "How did we do, Aiko &lt;b&gt;?" in answer.text
    assert visit.engagements() == [("click", False, {"link": "survey"})] * 2


MACHINES = {
    "a link preview": {"User-Agent": "WhatsApp/2.23"},
    "a crawler": {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"},
    "a mail gateway": {"User-Agent": "Mozilla/5.0 Barracuda Sentinel"},
    "a command line": {"User-Agent": "curl/8.5.0"},
    "nobody by name": {"User-Agent": ""},
    "a prefetch": {"Sec-Purpose": "prefetch;prerender"},
    "a prefetch of old": {"X-Moz": "prefetch"},
    "a preview": {"X-Purpose": "preview"},
}


@pytest.mark.parametrize("headers", MACHINES.values(), ids=MACHINES)
def test_a_program_is_recorded_as_one(visit: Visit, headers: dict[str, str]) -> None:
    assert visit.person.get(f"/l/{visit.codes['survey']}", headers=headers).status_code == 200
    assert [row[:2] for row in visit.engagements()] == [("click", True)]


def test_a_program_does_not_end_the_ladder_and_a_person_does(visit: Visit) -> None:
    visit.person.head(f"/l/{visit.codes['survey']}")
    visit.person.get(f"/l/{visit.codes['survey']}", headers=MACHINES["a crawler"])
    visit.runner.run(visit.runner.today)
    assert visit.all("select exit_reason from lifecycle.enrollments") == [(None,)]
    visit.person.get(f"/l/{visit.codes['survey']}")
    visit.runner.run(visit.runner.today)
    assert visit.all("select exit_reason from lifecycle.enrollments") == [("converted",)]


def test_a_head_request_has_no_body_and_says_nothing_about_a_person(visit: Visit) -> None:
    answer = visit.person.head(f"/l/{visit.codes['survey']}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert [row[:2] for row in visit.engagements()] == [("click", True)]


def test_a_browser_is_a_person() -> None:
    for agent in (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0",
    ):
        assert not is_machine("GET", {"user-agent": agent})


def test_a_link_leads_to_its_stored_target_and_nowhere_else(visit: Visit) -> None:
    code = visit.keep_link("shop", "https://shop.example/sale?a=1&b=2")
    for query in ("", "?target=https://evil.example", "?url=//evil.example&next=https://evil.example"):
        answer = visit.person.get(f"/l/{code}{query}", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.x"})
        assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/sale?a=1&b=2")
    assert [row[:2] for row in visit.engagements()] == [("click", False)] * 3


STRANGE_CODES = ["x", "AAAAAAAAAAAA", "A" * 5000, "%00", "abc%00def", "%ff%fe", "..%2f..%2fetc", "' or 1=1 --", "日本"]


@pytest.mark.parametrize("code", STRANGE_CODES)
def test_a_code_nobody_made_is_not_found(visit: Visit, code: str) -> None:
    for path in ("l", "u"):
        for method in ("GET", "HEAD", "POST"):
            answer = visit.person.request(
                method, f"/{path}/{code}", data={"kind": "answer"} if method == "POST" else None
            )
            assert answer.status_code == 404
    assert visit.engagements() == []


def test_a_code_of_the_other_kind_is_not_found(visit: Visit) -> None:
    assert visit.person.get(f"/u/{visit.codes['survey']}").status_code == 404
    assert visit.person.post(f"/u/{visit.codes['survey']}").status_code == 404
    assert visit.person.get(f"/l/{visit.codes['unsubscribe']}").status_code == 404
    assert visit.person.post(f"/l/{visit.codes['unsubscribe']}", data={"kind": "answer"}).status_code == 404
    assert visit.engagements() == []
    assert not visit.is_suppressed()


@pytest.mark.parametrize("path", ["/", "/l", "/l/", "/u/", "/l/a/b", "/admin", "/docs", "/openapi.json"])
def test_there_is_nothing_else(visit: Visit, path: str) -> None:
    assert visit.person.get(path).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_do_nothing(visit: Visit, method: str) -> None:
    for path in (f"/l/{visit.codes['survey']}", f"/u/{visit.codes['unsubscribe']}"):
        assert visit.person.request(method, path).status_code == 405
    assert visit.engagements() == []


@pytest.mark.parametrize("kind", ["answer", "entry"])
def test_a_form_is_kept_once_and_sent_again_corrects_it(visit: Visit, kind: str) -> None:
    address = f"/l/{visit.codes['survey']}"
    for wish in ("socks", "hats <script>"):
        answer = visit.person.post(address, data={"kind": kind, "satisfaction": "very", "wish": wish})
        assert answer.status_code == 200
        assert "Thank you!" in answer.text
        assert "<script>" not in answer.text
    assert visit.engagements() == [(kind, False, {"satisfaction": "very", "wish": "hats <script>"})]


GARBAGE = {
    "nothing": b"",
    "no kind": b"wish=socks",
    "a kind we do not know": b"kind=click",
    "JSON": b'{"kind": "answer"}',
    "binary": bytes(range(256)) * 10,
    "broken escapes": b"kind=answer&a=%zz%&%=&&&==",
    "NUL in a value": b"kind=answer&a=%00b\x00",
    "NUL in a name": b"kind=answer&a%00b=c&d\x00=e",
    "not UTF-8": b"kind=answer&a=%ff%fe\xff",
    "half a surrogate": b"kind=answer&a=%ed%a0%80",
    "a long name and value": b"kind=answer&" + b"n" * 5000 + b"=" + b"v" * 5000,
    "many fields": b"kind=answer&" + b"&".join(b"f%d=1" % number for number in range(5000)),
    "the same field often": b"kind=answer&" + b"a=1&" * 15,
    "multipart": b'--x\r\nContent-Disposition: form-data; name="kind"\r\n\r\nanswer\r\n--x--\r\n',
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
def test_garbage_in_a_form_is_never_our_failure(visit: Visit, body: bytes) -> None:
    answer = visit.person.post(f"/l/{visit.codes['survey']}", content=body)
    assert answer.status_code in (200, 400, 413)
    for kind, _, properties in visit.engagements():
        assert kind == "answer"
        assert len(properties) <= 20
        assert all(len(name) <= 100 and len(value) <= 1000 for name, value in properties.items())


def test_a_huge_body_is_refused_and_does_nothing(visit: Visit) -> None:
    body = b"kind=answer&a=" + b"x" * MAX_FORM_BYTES
    assert visit.person.post(f"/l/{visit.codes['survey']}", content=body).status_code == 413
    assert visit.person.post(f"/u/{visit.codes['unsubscribe']}", content=body).status_code == 413
    assert visit.engagements() == []
    assert not visit.is_suppressed()


def test_looking_at_the_unsubscribe_page_changes_nothing(visit: Visit) -> None:
    address = f"/u/{visit.codes['unsubscribe']}"
    for _ in range(3):
        answer = visit.person.get(address)
        assert answer.status_code == 200
        assert "Yes, unsubscribe me" in answer.text
        visit.person.head(address)
    assert visit.engagements() == []
    assert not visit.is_suppressed()
    assert visit.all("select * from lifecycle.suppressions") == []


@pytest.mark.parametrize(
    ("body", "source"),
    [(b"", "unsubscribe_page"), (b"List-Unsubscribe=One-Click", "one_click"), (b"\xff\x00garbage", "unsubscribe_page")],
)
def test_posting_unsubscribes_at_once_and_keeps_the_proof(visit: Visit, body: bytes, source: str) -> None:
    for _ in range(2):
        answer = visit.person.post(f"/u/{visit.codes['unsubscribe']}", content=body)
        assert answer.status_code == 200
        assert "You will get no more text messages" in answer.text
    assert visit.is_suppressed()
    assert visit.all("select channel, reason, source, lifted_at from lifecycle.suppressions") == [
        ("sms", "unsubscribed", source, None)
    ]
    proofs = visit.all("select is_granted, source, proof ->> 'message_id' from lifecycle.consents")
    assert set(proofs) == {(False, source, str(visit.message_id))}


def test_a_refusal_counts_for_the_very_next_claim(visit: Visit) -> None:
    visit.connection.execute("update lifecycle.messages set send_state = 'queued', attempt_id = null")
    visit.person.post(f"/u/{visit.codes['unsubscribe']}")
    declared = visit.runner.declared
    today = runs.for_day(declared.journey, visit.runner.today, declared.zone)
    with database.transaction() as connection:
        (claimed,) = outbox.claim(connection, today, declared.journey.steps[0], shard=0, shards=1, chunk=50)
    assert (claimed.send_state, claimed.reason) == ("skipped", "no_consent")


def test_a_tap_lifts_the_sunset_but_never_a_refusal(visit: Visit) -> None:
    for reason, source in (("sunset", "reactivation"), ("unsubscribed", "reactivation"), ("sunset_of_others", "other")):
        visit.connection.execute(
            "insert into lifecycle.suppressions (channel, address_hash, reason, source) "
            "values ('sms', lifecycle.address_hash(%s), %s, %s)",
            (PHONE, reason, source),
        )
    visit.person.get(f"/l/{visit.codes['survey']}", headers=MACHINES["a crawler"])
    assert visit.all("select count(*) from lifecycle.suppressions where lifted_at is not null") == [(0,)]
    visit.person.get(f"/l/{visit.codes['survey']}")
    assert visit.all("select reason from lifecycle.suppressions where lifted_at is not null") == [("sunset",)]


def test_a_refusal_after_a_sunset_stays_when_the_person_taps_again(visit: Visit) -> None:
    visit.person.post(f"/u/{visit.codes['unsubscribe']}")
    visit.person.get(f"/l/{visit.codes['survey']}")
    assert visit.is_suppressed()


def test_every_answer_forbids_caching_framing_and_scripts(visit: Visit) -> None:
    person = visit.person
    answers = [
        person.get(f"/l/{visit.codes['survey']}"),
        person.get(f"/u/{visit.codes['unsubscribe']}"),
        person.get(f"/l/{visit.keep_link('shop', 'https://shop.example/')}"),
        person.get("/l/unknown"),
        person.post(f"/l/{visit.codes['survey']}", content=b"x"),
    ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "set-cookie" not in answer.headers


def test_a_database_that_is_away_is_worth_another_try(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", "postgresql://someone:secret@127.0.0.1:9/none")
    for answer in (
        visit.person.get(f"/l/{visit.codes['survey']}"),
        visit.person.post(f"/u/{visit.codes['unsubscribe']}"),
    ):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "30"
        assert "secret" not in answer.text
    assert visit.person.get("/health").status_code == 200


def test_a_database_that_was_restarted_is_found_again(visit: Visit) -> None:
    visit.person.get(f"/l/{visit.codes['survey']}")
    visit.connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert visit.person.get(f"/l/{visit.codes['survey']}").status_code == 200


@pytest.fixture
def broken_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop, sandbox: Any) -> ProjectBuilder:
    """A journey in Tokyo with a voucher and a landing page of its own."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    project = ProjectBuilder(tmp_path)
    project.sms_journey(sms='{{ link("page") }} STOP', step=", voucher=Voucher(percent_off=10, valid_days=7)")
    dag = (tmp_path / "dags/hello.py").read_text()
    project.write("dags/hello.py", dag.replace("Europe/London", "Asia/Tokyo"))
    project.template("hello", "page.page.html.j2", "until {{ voucher.expires_at | day }}, sent {{ as_of | day }}")
    shop.customer("aiko", phone=PHONE)
    declared = journeys.load("hello")
    runner = JourneyRunner("hello", datetime.now(timezone.utc).date())
    assert declared.zone == "Asia/Tokyo"
    assert runner.run(date(2026, 3, 31))["steps"]["greet"] == {"accepted": 1}
    return project


def page_of(shop: Shop) -> str:
    found = shop.connection.execute("select code from lifecycle.links where name = 'page'").fetchone()
    assert found is not None
    return f"/l/{found[0]}"


def test_a_page_counts_days_in_the_zone_of_its_journey(broken_page: ProjectBuilder, shop: Shop) -> None:
    assert receiver().get(page_of(shop)).text == "until April 7, sent March 31"


def test_a_tap_on_a_broken_page_still_counts(broken_page: ProjectBuilder, shop: Shop) -> None:
    for text in ("{{ nothing }}", "{% if %}"):
        broken_page.template("hello", "page.page.html.j2", text)
        answer = TestClient(create_app(), headers={"User-Agent": "Safari"}).get(page_of(shop))
        assert answer.status_code == 500
        assert "This link leads nowhere" in answer.text
    found = shop.connection.execute("select kind, is_machine from lifecycle.engagements").fetchall()
    assert found == [("click", False)] * 2


# --- scanners that look like people ---------------------------------------------------------------------------------------


def _from(address: str) -> TestClient:
    return TestClient(create_app(), headers=PHONE_BROWSER, follow_redirects=False, client=(address, 1))


def test_who_opens_every_link_at_once_was_a_scanner_all_along(visit: Visit) -> None:
    shop_code = visit.keep_link("shop", "https://shop.example/")
    visit.execute(
        "insert into lifecycle.suppressions (channel, address_hash, reason, source) select channel, address_hash, "
        "'sunset', journey from lifecycle.messages"
    )
    _from("198.51.100.7").get(f"/l/{visit.codes['survey']}")
    assert visit.engagements()[-1][1] is False
    assert not visit.is_suppressed()
    _from("198.51.100.99").get(f"/l/{shop_code}")
    assert [is_machine for _, is_machine, _ in visit.engagements()] == [True, True]
    assert visit.all("select clicked_at from lifecycle.messages") == [(None,)]
    assert visit.all("select count(*) from shop.clicks") == [(0,)]
    assert visit.is_suppressed()


def test_a_click_takes_back_what_its_own_journey_ended_and_no_other_ones(visit: Visit) -> None:
    """Both ended for the same reason: each for itself."""
    for source in ("journey", "'another'"):
        visit.execute(
            "insert into lifecycle.suppressions (channel, address_hash, reason, source) select channel, address_hash, "
            f"'sunset', {source} from lifecycle.messages"
        )
    visit.person.get(f"/l/{visit.codes['survey']}")
    held = visit.all("select source, lifted_at is null from lifecycle.suppressions order by source")
    assert dict(held) == {"another": True, visit.all("select journey from lifecycle.messages")[0][0]: False}
    assert visit.is_suppressed()


def test_links_opened_from_two_networks_or_one_after_the_other_are_a_persons(visit: Visit) -> None:
    shop_code = visit.keep_link("shop", "https://shop.example/")
    _from("198.51.100.7").get(f"/l/{visit.codes['survey']}")
    _from("203.0.113.7").get(f"/l/{shop_code}")
    visit.execute("update lifecycle.engagements set recorded_at = recorded_at - interval '6 seconds'")
    _from("198.51.100.7").get(f"/l/{shop_code}")
    assert [is_machine for _, is_machine, _ in visit.engagements()] == [False] * 3
    assert visit.all("select clicked_at is not null from lifecycle.messages") == [(True,)]


def test_a_link_of_the_page_behind_a_message_is_none_of_the_message(visit: Visit) -> None:
    person = _from("198.51.100.7")
    person.get(f"/l/{visit.codes['survey']}")
    on_page = visit.all("select code from lifecycle.links where is_on_page")
    for (code,) in on_page:
        person.get(f"/l/{code}")
    assert on_page
    assert not any(is_machine for _, is_machine, _ in visit.engagements())


@pytest.mark.parametrize(("ago", "channel", "is_machine"), [(1, "email", True), (9, "email", False), (1, "sms", False)])
def test_an_email_opened_on_delivery_is_opened_by_its_gateway(
    visit: Visit, ago: int, channel: str, is_machine: bool
) -> None:
    visit.execute(
        f"update lifecycle.messages set channel = '{channel}', delivered_at = now() - interval '{ago} seconds'"
    )
    visit.person.get(f"/l/{visit.codes['survey']}")
    assert visit.engagements()[-1][1] is is_machine


@pytest.mark.parametrize(
    ("host", "network"),
    [("198.51.100.7", "198.51.100.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("testclient", "testclient")],
)
def test_a_network_is_told_by_the_first_half_of_an_address(host: str, network: str) -> None:
    assert network_of(host) == network
