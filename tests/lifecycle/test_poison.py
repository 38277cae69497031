"""Poison: one address that the provider refuses harms nobody else, and is not tried for ever (reliability G8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.lifecycle.mail_desk import MailDesk
from tests.lifecycle.servers import running_sandbox
from tests.project_builder import ProjectBuilder
from tests.shop import Shop

COUNT = 1_000


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop) -> Iterator[MailDesk]:
    """A thousand people; the address of one of them is none."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path / "project"))
    (tmp_path / "project").mkdir()
    shop.connection.execute(
        "insert into imported.customers (customer_id, signed_up_at, email, email_opt_in_at) "
        "select 'person-' || n, '2020-01-01', 'person-' || n || case when n = 700 then '@' else '@example.com' end, "
        "'2020-01-01' from generate_series(1, %s) as n",
        (COUNT,),
    )
    with running_sandbox(tmp_path / "sandbox.sqlite") as url:
        made = MailDesk(ProjectBuilder(tmp_path / "project"), shop, url)
        made.people("ana")
        yield made


def test_one_bad_address_of_a_thousand_is_refused_alone(desk: MailDesk) -> None:
    assert desk.send() == {"accepted": COUNT, "rejected": 1}
    assert [name for name, state in desk.states().items() if state == "rejected"] == ["person-700"]
    assert Counter(desk.copies().values()) == {1: COUNT}
    assert desk.send() == {}
