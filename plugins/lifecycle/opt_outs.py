"""Opt-outs: STOP, START and HELP by SMS, and the channels a person switches off and on.

The words are Twilio's documented ones and those of the languages we write in. Only a whole message counts: "don't stop"
is no STOP (providers §4). What they do is `lifecycle.receive_sms` (migration 5), in one transaction.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from lifecycle import database

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

Meaning = Literal["stop", "start", "help", "reply"]

MAX_TEXT_LENGTH = 1_600
_STOP = {
    "en": "stop, stopall, stop all, unsubscribe, cancel, end, quit, revoke, optout, opt out, remove me",
    "fr": "arrêt, arrêter, arrêtez, stopper, désabonner, désinscrire, désinscription, annuler",
    "de": "stopp, abmelden, abbestellen, beenden, ende, austragen",
    "es": "alto, parar, baja, darse de baja, cancelar, detener, anular",
    "it": "ferma, fermare, annulla, cancella, cancellami, basta, disiscrivi, disiscrivimi",
    "ja": "停止, 配信停止, 配信解除, 解除, 解約, 退会, 中止, ストップ, やめる, やめて",
}
_START = {
    "en": "start, yes, unstop, optin, opt in, resume, subscribe",
    "fr": "oui, démarrer, reprendre, commencer",
    "de": "ja, starten, anmelden, fortsetzen",
    "es": "sí, iniciar, comenzar, empezar, alta, reanudar",
    "it": "sì, inizia, iniziare, avvia, riprendi",
    "ja": "開始, 再開, 配信再開, スタート, はい",
}
_HELP = {
    "en": "help, info",
    "fr": "aide",
    "de": "hilfe",
    "es": "ayuda, información",
    "it": "aiuto, informazioni",
    "ja": "ヘルプ, 助けて, 案内",
}


def _folded(text: str) -> str:
    """The text without what does not change a word: case, width, accents, hyphens, and marks and spaces around it."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text)).casefold()
    words = " ".join("".join(map(_folded_letter, plain)).split())
    first = next((place for place, letter in enumerate(words) if letter.isalnum()), 0)
    last = next((place for place, letter in enumerate(reversed(words)) if letter.isalnum()), 0)
    return unicodedata.normalize("NFC", words[first : len(words) - last])


def _folded_letter(letter: str) -> str:
    category = unicodedata.category(letter)
    if category == "Pd":
        return " "
    return "" if category == "Cf" or _is_accent(letter) else letter


def _is_accent(letter: str) -> bool:
    """Whether it is an accent of Latin letters; the voicing marks of Japanese make other letters and stay."""
    return "\u0300" <= letter <= "\u036f"


def _words(lists: Mapping[str, str]) -> dict[str, str]:
    return {_folded(word): language for language, text in lists.items() for word in text.split(",")}


_MEANINGS: dict[Meaning, dict[str, str]] = {"stop": _words(_STOP), "start": _words(_START), "help": _words(_HELP)}


def meaning_of(text: str, opt_out_type: str = "") -> Meaning:
    """What an SMS from a person asks for. Twilio's own `OptOutType` wins where it says something."""
    said = opt_out_type.strip().lower()
    folded = _folded(text) if len(text) <= 100 else ""
    for meaning in _MEANINGS:
        if meaning == said:
            return meaning
    for meaning, words in _MEANINGS.items():
        if folded in words:
            return meaning
    return "reply"


def receive_sms(connection: Connection, fields: Mapping[str, str]) -> str | None:
    """Act on an SMS that Twilio hands over; says what it was taken as, None for one that came before or says nothing.

    STOP counts before the next claim. START takes back a STOP and nothing else.
    """
    fields = {name: value.replace("\x00", "") for name, value in fields.items()}
    sid = fields.get("MessageSid") or fields.get("SmsSid") or fields.get("SmsMessageSid") or ""
    sender = fields.get("From", "")
    if not sid or not sender:
        return None
    text = fields.get("Body", "")
    (row,) = database.rows(
        connection,
        "engine/opt_outs/receive_sms.sql",
        event_id=f"inbound:{sid[:64]}",
        sender=sender[:320],
        meaning=meaning_of(text, fields.get("OptOutType", "")),
        text=text[:MAX_TEXT_LENGTH],
        raw_sha256=hashlib.sha256(json.dumps(sorted(fields.items())).encode()).digest(),
    )
    return row.taken_as


def channel_preferences(connection: Connection, message_id: str) -> list[Row[Any]]:
    """The channels the person of a message may switch. Rows: channel, is_on, is_blocked (only the provider can undo)."""
    return database.rows(connection, "engine/opt_outs/channel_preferences.sql", message_id=message_id)


def set_channel_preference(connection: Connection, message_id: str, channel: str, *, is_on: bool, source: str) -> None:
    """Switch a channel; asking for what already holds changes nothing."""
    database.run(
        connection,
        "engine/opt_outs/set_channel_preference.sql",
        message_id=message_id,
        channel=channel,
        is_on=is_on,
        source=source,
    )
