"""Engagements: what people do with a message: clicks, survey answers, contest entries, and refusals.

Everything here works as the role `lifecycle_receiver` does: it finds one message by its code and learns nothing else.
"""

from __future__ import annotations

import json
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from lifecycle import database, links, rendering, vouchers
from lifecycle.as_of import zone_named

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

    from lifecycle.vouchers import IssuedVoucher

# Longer or more than a form of ours ever sends; the rest of a hostile one is dropped.
MAX_FIELDS = 20
MAX_FIELD_LENGTH = 1_000


def find_link(connection: Connection, code: str) -> Row[Any] | None:
    """What a code leads to, or None. Rows: see `engine/links/find.sql`."""
    # Whatever else a scanner asks for, a NUL for example, is not worth asking Postgres.
    if not (code.isascii() and code.isalnum()):
        return None
    found = database.rows(connection, "engine/links/find.sql", code=code)
    return found[0] if found else None


def record_click(
    connection: Connection, link: Row[Any], *, is_machine: bool, network_hash: bytes | None = None
) -> None:
    """Record that a link was opened; a person's click makes the address active again (J-10, H-02).

    Who opens every link of a message at once from one network is taken for a scanner afterwards (migration 8).
    """
    record(connection, link, "click", {"link": link.name}, is_machine=is_machine, network_hash=network_hash)


def record(
    connection: Connection,
    link: Row[Any],
    kind: str,
    properties: dict[str, str],
    *,
    is_machine: bool = False,
    network_hash: bytes | None = None,
) -> None:
    """Record one reaction to the message of a link."""
    kept = {name[:100]: value[:MAX_FIELD_LENGTH] for name, value in list(properties.items())[:MAX_FIELDS]}
    database.run(
        connection,
        "engine/engagements/record.sql",
        message_id=link.message_id,
        kind=kind,
        is_machine=is_machine,
        properties=json.dumps(kept),
        network_hash=network_hash,
    )


def unsubscribe(connection: Connection, link: Row[Any], source: str) -> None:
    """Act on a person's refusal; it counts before the next claim."""
    database.run(connection, "engine/suppressions/unsubscribe.sql", message_id=link.message_id, source=source)


def person(connection: Connection, link: Row[Any]) -> rendering.Customer:
    """Whom the message of a link was for; a stranger by now, where they were erased."""
    found = database.rows(connection, "engine/engagements/person.sql", message_id=link.message_id)
    return rendering.Customer(**found[0]._mapping) if found else rendering.Customer(link.customer_id)


def landing_page(connection: Connection, link: Row[Any], *, is_answered: bool = False) -> str:
    """The page behind a link, rendered for the person it was sent to (C-06, M-04)."""
    used: set[str] = set()
    zone = zone_named(link.zone)
    recipient = rendering.Recipient(
        message_id=str(link.message_id),
        customer=person(connection, link),
        as_of=link.as_of.astimezone(zone),
        voucher=_voucher(connection, link, zone),
    )
    values = {**rendering.page_values(link.journey, recipient, used), "is_answered": is_answered}
    page = rendering.render_page(f"{link.journey}/{link.name}.page.html", values, recipient.customer.locale)
    for name in sorted(used):
        _keep_link(connection, link, name)
    return page


def _voucher(connection: Connection, link: Row[Any], zone: tzinfo | None) -> IssuedVoucher | None:
    found = database.rows(connection, "engine/engagements/voucher.sql", message_id=link.message_id)
    return vouchers.issued(found[0]).dated_in(zone) if found else None


def _keep_link(connection: Connection, link: Row[Any], name: str) -> None:
    database.run(
        connection,
        "engine/engagements/keep_link.sql",
        code=links.code(str(link.message_id), name),
        message_id=link.message_id,
        name=name,
        target_url=links.target(link.journey, name),
    )
