"""Opt-outs: a STOP is heard in six languages and nowhere else, counts at once, and only START takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.conftest import plain
from tests.lifecycle.sent_messages import SentMessages
from tests.shop import Shop

from lifecycle import delivery_events, opt_outs
from lifecycle.opt_outs import meaning_of

WORDS = {
    "stop": "STOP stop Stop STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT opt-out OPT\u2010OUT stop. STOP! “stop” "
    "ＳＴＯＰ s\u200btop arrêt ARRET Arrête\u0301r STOPP Abmelden ALTO baja BASTA annulla 停止 配信停止 ｽﾄｯﾌﾟ ストップ。 "
    "退会 やめる STOP🙏",
    "start": "START Yes UNSTOP oui ja Sí si sì 再開 スタート démarrer",
    "help": "HELP info Aide HILFE ayuda aiuto ヘルプ",
    "reply": "don’tstop stops nonstop stopwatch no よい 0 👍 ? ... <script>",
}
CASES = [(word, meaning) for meaning, words in WORDS.items() for word in words.split()]


@pytest.mark.parametrize(("text", "meaning"), CASES)
def test_a_whole_message_has_a_meaning(text: str, meaning: str) -> None:
    assert meaning_of(text) == meaning


@pytest.mark.parametrize(
    "text",
    ["don't stop", "Don’t stop!", "stop please", "please stop", "I can't stop smiling", "never end", "yes please",
     "", " ", "\n", "stop" * 400, "stop\u0000ped", "配信停止しないで", "is there no help"],
)  # fmt: skip
def test_a_word_inside_a_message_has_none(text: str) -> None:
    assert meaning_of(text) == "reply"


@pytest.mark.parametrize("text", ["STOP ALL", "stop  all", "opt out", "darse de baja", "\tSTOP\r\n", " . stop . "])
def test_spaces_do_not_matter(text: str) -> None:
    assert meaning_of(text) == "stop"


def test_what_twilio_recognised_wins() -> None:
    assert meaning_of("detente ya", "STOP") == "stop"
    assert meaning_of("stop", "START") == "start"
    assert meaning_of("stop", "HELP") == "help"
    assert meaning_of("stop", "") == "stop"
    assert meaning_of("stop", "SOMETHING NEW") == "stop"


@pytest.fixture
def sent(empty_database: str) -> Iterator[SentMessages]:
    with psycopg.connect(plain(empty_database), autocommit=True) as connection:
        sent = SentMessages(connection)
        sent.add(channel="sms")
        yield sent


NUMBER = "+33639980001"


def text_us(body: str, sid: str = "SM1", sender: str = NUMBER, **fields: str) -> str | None:
    with delivery_events.transaction() as connection:
        return opt_outs.receive_sms(connection, {"MessageSid": sid, "From": sender, "Body": body, **fields})


def consents(sent: SentMessages) -> list[tuple[Any, ...]]:
    return sent.connection.execute(
        "select customer_id, channel, is_granted, source from lifecycle.consents order by consent_id"
    ).fetchall()


def test_stop_suppresses_the_number_and_is_kept_as_consent(sent: SentMessages) -> None:
    assert text_us("Stop.") == "stop"
    assert sent.suppressions() == [("sms", "stop", "twilio", True)]
    assert consents(sent) == [("person-1", "sms", False, "sms_stop")]


def test_the_same_text_again_is_one(sent: SentMessages) -> None:
    assert text_us("STOP") == "stop"
    assert text_us("STOP") is None
    assert text_us("START", "SM2") == "start"
    assert text_us("STOP") is None
    assert sent.suppressions() == [("sms", "stop", "twilio", False)]
    assert len(consents(sent)) == 2


def test_stop_from_a_number_nobody_wrote_to_still_counts(sent: SentMessages) -> None:
    assert text_us("STOP", sender="+81312345678") == "stop"
    assert sent.suppressions() == [("sms", "stop", "twilio", True)]
    assert consents(sent) == []


def test_stop_from_a_customer_nobody_wrote_to_is_their_refusal(sent: SentMessages) -> None:
    Shop(sent.connection).customer("aiko", phone="+818012345678")
    assert text_us("停止", sender="+818012345678") == "stop"
    assert consents(sent) == [("aiko", "sms", False, "sms_stop")]


def test_start_takes_back_stop_and_nothing_else(sent: SentMessages) -> None:
    text_us("STOP", "SM1")
    sent.connection.execute(
        "insert into lifecycle.suppressions (channel, address_hash, reason, source) "
        "values ('sms', lifecycle.address_hash(%s), 'unsubscribed', 'unsubscribe_page'), "
        "('sms', lifecycle.address_hash(%s), 'invalid_address', 'twilio')",
        (NUMBER, NUMBER),
    )
    assert text_us("START", "SM2") == "start"
    assert sent.suppressions() == [
        ("sms", "invalid_address", "twilio", True),
        ("sms", "stop", "twilio", False),
        ("sms", "unsubscribed", "unsubscribe_page", True),
    ]
    assert consents(sent)[-1] == ("person-1", "sms", True, "sms_start")


def test_start_does_not_take_back_a_refusal_given_elsewhere(sent: SentMessages) -> None:
    text_us("STOP", "SM1")
    sent.connection.execute(
        "insert into lifecycle.consents (customer_id, channel, is_granted, source) "
        "values ('person-1', 'sms', false, 'shop_account')"
    )
    assert text_us("START", "SM2") == "start"
    assert consents(sent)[-1] == ("person-1", "sms", False, "shop_account")


def test_yes_from_somebody_who_never_stopped_is_an_answer_and_no_consent(sent: SentMessages) -> None:
    assert text_us("Yes") == "reply"
    assert consents(sent) == []
    found = sent.connection.execute("select kind, properties ->> 'text' from lifecycle.engagements")
    assert found.fetchall() == [("reply", "Yes")]


def test_help_is_left_to_twilio(sent: SentMessages) -> None:
    assert text_us("HELP") == "help"
    assert sent.suppressions() == []
    assert sent.connection.execute("select * from lifecycle.engagements").fetchall() == []


def test_any_other_text_is_a_reply_to_the_newest_message(sent: SentMessages) -> None:
    sent.connection.execute("update lifecycle.messages set planned_at = now() - interval '1 day'")
    (newest,) = sent.add(channel="sms")
    sent.connection.execute(
        "update lifecycle.messages set address_hash = lifecycle.address_hash(%s) where message_id = %s",
        (NUMBER, newest),
    )
    sent.add(channel="sms", send_state="queued")
    assert text_us("Loved it 👍\x00") == "reply"
    found = sent.connection.execute("select message_id::text, kind, is_machine, properties from lifecycle.engagements")
    assert found.fetchall() == [(newest, "reply", False, {"text": "Loved it 👍"})]


def test_a_reply_to_nothing_is_only_kept_in_the_inbox(sent: SentMessages) -> None:
    assert text_us("hello", sender="+81312345678") == "reply"
    assert sent.connection.execute("select kind, message_id from lifecycle.message_events").fetchall() == [
        ("reply", None)
    ]
    assert sent.connection.execute("select * from lifecycle.engagements").fetchall() == []


def test_a_text_without_a_sender_or_an_id_is_nothing(sent: SentMessages) -> None:
    assert text_us("STOP", sid="") is None
    assert text_us("STOP", sender="") is None
    assert sent.suppressions() == []
