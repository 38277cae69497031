"""Factoring: whatever the template and whoever the people, each of them reads exactly what a full render gives."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from tests.lifecycle import official_specs
from tests.lifecycle.servers import running_sandbox
from tests.project_builder import ProjectBuilder

from lifecycle import factoring, links, rendering
from lifecycle.channels import BatchRecipient, EmailBatch
from lifecycle.channels.accounts import sandbox_accounts
from lifecycle.channels.sendgrid_email import SendGridEmail, batch_body
from lifecycle.errors import LifecycleError
from lifecycle.factoring import Addressed, Factored, factor, reconstruct
from lifecycle.journey import Email, Journey, Step
from lifecycle.rendering import Customer, Recipient
from lifecycle.vouchers import IssuedVoucher

AS_OF = datetime(2026, 3, 31, tzinfo=timezone.utc)
MEGABYTE = 1024 * 1024

LETTER = (
    """<html>{% block words %}{% endblock %}<p>{{ sender_name }}</p><a href="{{ unsubscribe_url }}">out</a></html>"""
)
HTML = """---
subject: Hi {{ customer.first_name or "there" }}, {{ voucher.percent_off }} % off
---
{% extends "layouts/letter.email.html.j2" %}
{% macro button(words, name) %}<table style="padding:8px"><a href="{{ link(name) }}">{{ words }}</a></table>{% endmacro %}
{% block words %}
<p>{{ customer.first_name or "there" }}, {{ (customer.city or "your town") | upper }}</p>
{% for item in items %}{% include "layouts/row.email.html.j2" %}{% endfor %}
{% if (customer.country or "") == "JP" %}<p>こんにちは {{ customer.last_name or "" }}</p>{% endif %}
<b>{{ voucher.code }}</b> {{ voucher.expires_at | day }} {{ button("Shop", "shop") }}
{% endblock %}
"""
ROW = "<li>{{ item.name }} {{ item.cents / 100 }}</li>\n"
TEXT = """{{ customer.first_name or "there" }}: {{ voucher.code }} {{ link("shop") }}
{% for item in items %}{{ item.name }}
{% endfor %}{{ unsubscribe_url }}"""

ODD_NAMES = [
    "Aiko", None, "", "-lc0_", "-lca0_", "lc0_", "-lc", "-", "_", "$1", "\\1", "%s", "{0}", "{}", "}}", "<b>&amp;\"'",
    "愛子", "e\u0301", "👩‍👩‍👧", "\u202eabc", "A\r\nB", " ", "-lc0_-lc1_", "lcz", "c", "l", "x" * 300,
]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectBuilder]:
    """A throw-away project with a journey of one email."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LIFECYCLE_PROJECT", str(folder))
        built = ProjectBuilder(folder)
        built.segment("letter", "all")
        yield built


@pytest.fixture
def journey(project: ProjectBuilder) -> Journey:
    return written(project, HTML, TEXT)


def written(project: ProjectBuilder, html: str, text: str = "words", subject: str | None = None) -> Journey:
    """The journey with these templates, and no other languages."""
    for path in (project.folder / "include" / "templates" / "letter").glob("news.*"):
        path.unlink()
    project.template("layouts", "letter.email.html.j2", LETTER)
    project.template("layouts", "row.email.html.j2", ROW)
    front = "" if subject is None else f"---\nsubject: {subject}\n---\n"
    project.template("letter", "news.email.html.j2", front + html)
    project.template("letter", "news.email.txt.j2", text)
    # Two writes within one tick of the clock would look like one.
    rendering.environment.cache_clear()
    rendering._environment_of.cache_clear()
    return Journey(name="letter", steps=[Step("news", segment="all.sql", message=Email("news"))])


def person(number: int, name: str | None = "Aiko", to: str = "", **more: Any) -> Addressed:
    """Somebody with a voucher and, unless told otherwise, nothing in the basket."""
    variables = {"items": [], **more.pop("variables", {})}
    voucher = IssuedVoucher(f"CODE{number}-{number * 7919 % 1000}", 15, AS_OF + timedelta(days=number % 3))
    customer = Customer(f"c{number}", name, **more)
    return Addressed(Recipient(f"m{number}", customer, AS_OF, variables, voucher), to or f"p{number}@example.com")


def by_message(factored: Factored) -> dict[str, tuple[EmailBatch, BatchRecipient]]:
    found = [(one.message_id, (batch, one)) for batch in factored.batches for one in batch.recipients]
    assert len(dict(found)) == len(found), "somebody is in two requests"
    return dict(found)


def link_names(factored: Factored, message_id: str) -> set[str]:
    used = [link for link in factored.used if link.message_id == message_id]
    assert all(link.code == links.code(message_id, link.name) for link in used)
    return {link.name for link in used}


def everybody_reads_the_full_render(journey: Journey, people: list[Addressed], factored: Factored) -> None:
    """The whole promise: the same bytes, the same links, the same refusals, limits kept, tags unmistakable."""
    places = by_message(factored)
    assert set(places) | set(factored.unrenderable) == {one.recipient.message_id for one in people}
    for one in people:
        message_id = one.recipient.message_id
        full = rendered_or_refused(journey, one.recipient)
        if isinstance(full, str):
            assert factored.unrenderable[message_id] == full
            continue
        batch, recipient = places[message_id]
        words = (full.subject, full.html, full.text)
        assert reconstruct(batch, recipient) == words
        assert in_any_order(batch, recipient) == {words}
        assert recipient.to == one.to
        assert recipient.unsubscribe_url == links.url(message_id, links.UNSUBSCRIBE)
        assert link_names(factored, message_id) == full.link_names
    for batch in factored.batches:
        within_the_limits(batch)


def rendered_or_refused(journey: Journey, recipient: Recipient) -> rendering.RenderedMessage | str:
    try:
        return rendering.render(journey, journey.steps[0], recipient)
    except (rendering.UnrenderableError, LifecycleError) as error:
        return str(error)


def in_any_order(batch: EmailBatch, recipient: BatchRecipient) -> set[tuple[str, ...]]:
    """What comes out when one tag after the other is replaced, first to last and last to first."""
    found = set()
    for order in (list(recipient.substitutions), list(recipient.substitutions)[::-1]):
        words = [batch.subject, batch.html, batch.text]
        for tag in order:
            words = [part.replace(tag, recipient.substitutions[tag]) for part in words]
        found.add(tuple(words))
    return found


def within_the_limits(batch: EmailBatch) -> None:
    addresses = [factoring.normalised_address(one.to) for one in batch.recipients]
    assert len(set(addresses)) == len(addresses) <= factoring.PER_REQUEST
    tags = [tuple(one.substitutions) for one in batch.recipients]
    assert len(set(tags)) == 1, "everybody of a request has the same tags"
    for tag in tags[0]:
        assert any(tag in part for part in (batch.subject, batch.html, batch.text))
    for one in batch.recipients:
        assert sum(len((tag + own).encode()) for tag, own in one.substitutions.items()) <= 10_000


def personal_bytes(factored: Factored) -> int:
    return max(len(json.dumps(one.substitutions)) for batch in factored.batches for one in batch.recipients)


def test_a_whole_email_with_layout_loop_macro_and_branches(journey: Journey) -> None:
    baskets = [[], [{"name": "Tea & <b>", "cents": 1250}], [{"name": "Cup", "cents": 5}, {"name": "-lc1_", "cents": 7}]]
    people = [
        person(number, ODD_NAMES[number % len(ODD_NAMES)], country="JP" if number % 4 == 0 else None, last_name="田中",
               city=["Bath", None, "-lc"][number % 3], variables={"items": baskets[number % 3]})
        for number in range(120)
    ]  # fmt: skip
    factored = factor(journey, journey.steps[0], people)
    everybody_reads_the_full_render(journey, people, factored)
    assert factored.unrenderable == {}
    assert len(factored.batches) <= 6, "three baskets, two countries"


def test_people_of_one_shape_share_one_small_request(journey: Journey) -> None:
    people = [person(number, f"Name{number}") for number in range(500)]
    factored = factor(journey, journey.steps[0], people)
    (batch,) = factored.batches
    assert [one.message_id for one in batch.recipients] == [one.recipient.message_id for one in people]
    assert personal_bytes(factored) < 400
    everybody_reads_the_full_render(journey, people, factored)


def test_what_the_address_of_a_link_starts_with_is_shared(project: ProjectBuilder) -> None:
    journey = written(project, '<a href="{{ link("shop") }}">x</a>', subject="Hi")
    (batch,) = factor(journey, journey.steps[0], [person(1), person(2)]).batches
    assert '<a href="http://links.test/l/-lc0_">x</a>' in batch.html
    assert [len(own) for own in batch.recipients[0].substitutions.values()] == [12]


def test_who_is_shown_the_same_items_has_links_of_their_own(project: ProjectBuilder) -> None:
    items = "{% for item in items %}{{ link(item.url) }} {% endfor %}"
    journey = written(project, f"<p>{items}</p>", items, subject="Hi")
    shown = {"items": [{"url": f"https://shop.example/p/{name}"} for name in ("mug", "tea")]}
    people = [person(number, variables=shown) for number in range(3)]
    factored = factor(journey, journey.steps[0], people)
    assert len(factored.batches) == 1
    everybody_reads_the_full_render(journey, people, factored)


def test_equal_words_in_subject_html_and_text_travel_once(project: ProjectBuilder) -> None:
    journey = written(
        project, "<p>{{ customer.first_name }}</p>", "Hi {{ customer.first_name }}!", "{{ customer.first_name }}"
    )
    (batch,) = factor(journey, journey.steps[0], [person(1, "Aiko"), person(2, "Sam")]).batches
    assert (batch.subject, batch.html, batch.text) == ("-lc0_", "<p>-lc0_</p>", "Hi -lc0_!")
    assert batch.recipients[1].substitutions == {"-lc0_": "Sam"}


def test_a_link_of_the_subject_alone_is_known_too(project: ProjectBuilder) -> None:
    journey = written(project, "words", subject="{{ link('shop') }}")
    assert rendering.render(journey, journey.steps[0], person(1).recipient).link_names == {"shop", "unsubscribe"}
    assert link_names(factor(journey, journey.steps[0], [person(1)]), "m1") == {"shop", "unsubscribe"}


def test_one_person_is_a_full_render_without_tags(journey: Journey) -> None:
    (batch,) = factor(journey, journey.steps[0], [person(1, "-lc0_")]).batches
    assert batch.recipients[0].substitutions == {}
    assert "-lc0_" in batch.subject


def test_nobody_needs_no_request(journey: Journey) -> None:
    assert factor(journey, journey.steps[0], []) == Factored([], {}, [])


@pytest.mark.parametrize(
    "written_by_the_marketer",
    ["-lc0_", "-lc", "-lca -lcb", "-l{{ customer.city }}", "-{{ customer.city }}0_", "{{ customer.city }}lc0_",
     "-{{ customer.city }}{{ customer.first_name }}0_", "".join(f"-lc{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")],
)  # fmt: skip
@pytest.mark.parametrize("city", ["l", "c", "lc", "-l", "-lc", "-lc0", "", "-", "aa"])
def test_no_words_are_mistaken_for_a_tag(project: ProjectBuilder, written_by_the_marketer: str, city: str) -> None:
    journey = written(project, f"{written_by_the_marketer}|{{{{ customer.first_name }}}}", subject="Hi")
    people = [person(1, "c", city=city), person(2, "lc", city="l"), person(3, "-lc1_", city="-")]
    everybody_reads_the_full_render(journey, people, factor(journey, journey.steps[0], people))


@pytest.mark.parametrize("number", range(2))
def test_a_tag_half_of_which_stands_in_a_long_text_is_none(project: ProjectBuilder, number: int) -> None:
    long = "x" * 100
    html = f"{long}-l{{{{ customer.first_name }}}}{long}{{{{ customer.city }}}}lc{number}_{long}"
    journey = written(project, html, subject="Hi")
    people = [person(1, f"c{number}_", city="y"), person(2, "z", city="-")]
    everybody_reads_the_full_render(journey, people, factor(journey, journey.steps[0], people))


def test_ids_addresses_and_ways_out_are_not_mistaken_for_a_tag(project: ProjectBuilder) -> None:
    journey = written(project, "{{ customer.first_name }}", subject="Hi")
    (batch,) = factor(journey, journey.steps[0], [person(1, "A", to="x-lc0_@example.com"), person(2, "B")]).batches
    assert batch.html == "-lca0_"


def test_an_error_of_one_harms_nobody_else(project: ProjectBuilder) -> None:
    journey = written(project, "{{ customer.first_name }} {{ 6 / points }}", subject="{{ customer.city or 'x' }}")
    people = [person(1, variables={"points": 2}), person(2, None, variables={"points": 1}),
              person(3, variables={"points": 0}), person(4, variables={"points": 3}), person(5)]  # fmt: skip
    factored = factor(journey, journey.steps[0], people)
    everybody_reads_the_full_render(journey, people, factored)
    assert set(factored.unrenderable) == {"m2", "m3", "m5"}
    assert {link.message_id for link in factored.used} == {"m1", "m4"}
    assert "Aiko" not in str(factored.unrenderable)


def test_a_broken_language_harms_only_its_speakers(project: ProjectBuilder) -> None:
    journey = written(project, "{{ customer.first_name }}", subject="Hi")
    project.template("letter", "news.ja.email.html.j2", "---\nsubject: Hi\n---\n{% if %}")
    project.template("letter", "news.fr.email.html.j2", "---\nsubject: Hi {{ }}\n---\nx")
    people = [person(1, locale="ja"), person(2), person(3, locale="fr")]
    factored = factor(journey, journey.steps[0], people)
    everybody_reads_the_full_render(journey, people, factored)
    assert set(factored.unrenderable) == {"m1", "m3"}


def test_each_language_is_its_own_request_and_the_others_share_one(project: ProjectBuilder) -> None:
    journey = written(project, "{{ customer.first_name }} {{ locale }}", subject="Hi")
    project.template(
        "letter",
        "news.ja.email.html.j2",
        "---\nsubject: {{ customer.first_name }}様\n---\n{{ customer.first_name }}様{{ locale }}",
    )
    people = [
        person(number, f"N{number}", locale=["ja", "de", "fr", None, "ja_JP"][number % 5]) for number in range(20)
    ]
    factored = factor(journey, journey.steps[0], people)
    everybody_reads_the_full_render(journey, people, factored)
    assert sorted(len(batch.recipients) for batch in factored.batches) == [8, 12]


def test_a_changed_template_is_seen_by_the_next_batch(project: ProjectBuilder) -> None:
    journey = written(project, '{% include "layouts/row.email.html.j2" %}', subject="Hi")
    for words in ("first", "second"):
        path = project.template("layouts", "row.email.html.j2", words)
        stamp = path.stat().st_mtime_ns + len(words) * 10**9
        os.utime(path, ns=(stamp, stamp))
        assert factor(journey, journey.steps[0], [person(1)]).batches[0].html == words


def test_long_branches_divide_people_and_short_ones_do_not(project: ProjectBuilder) -> None:
    long = "{% if customer.city == 'Bath' %}" + "a" * 3000 + "{% else %}" + "b" * 3000 + "{% endif %}"
    journey = written(project, long + "{{ customer.first_name }}", subject="Hi")
    people = [person(number, f"N{number}", city=["Bath", "York"][number % 2]) for number in range(40)]
    factored = factor(journey, journey.steps[0], people)
    everybody_reads_the_full_render(journey, people, factored)
    assert [len(batch.recipients) for batch in factored.batches] == [20, 20]
    assert personal_bytes(factored) < 50
    journey = written(project, long.replace("a" * 3000, "a" * 30).replace("b" * 3000, "b" * 30), subject="Hi")
    assert len(factor(journey, journey.steps[0], people).batches) == 1


@pytest.mark.parametrize(
    ("own", "alone"), [("x" * 9_000, False), ("x" * 10_001, True), ("愛" * 1_000, False), ("愛" * 4_000, True)]
)
def test_whoever_has_too_many_words_of_their_own_goes_alone(project: ProjectBuilder, own: str, alone: bool) -> None:
    journey = written(project, "{{ customer.first_name }}", subject="Hi")
    people = [person(1), person(2, own), person(3, "Sam")]
    factored = factor(journey, journey.steps[0], people)
    everybody_reads_the_full_render(journey, people, factored)
    batch, recipient = by_message(factored)["m2"]
    assert (len(batch.recipients) == 1, recipient.substitutions == {}) == (alone, alone)
    assert len(factored.batches) == 1 + alone


def test_no_request_holds_more_people_than_it_may(journey: Journey) -> None:
    people = [person(number) for number in range(25)]
    sizes = [len(batch.recipients) for batch in factor(journey, journey.steps[0], people, per_request=10).batches]
    assert sizes == [10, 10, 5]


@pytest.mark.parametrize("per_request", [0, -1, 1001])
def test_a_request_size_that_cannot_be_is_refused(journey: Journey, per_request: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000 are possible"):
        factor(journey, journey.steps[0], [], per_request)


@pytest.mark.parametrize(
    ("one", "other"),
    [("aiko@example.com", "Aiko@Example.COM"), ("a@bücher.example", "A@xn--bcher-kva.example"),
     ("a@BÜCHER.example", "a@bücher.example"), ("é@example.com", "e\u0301@example.com"), ("a@x.example ", "a@x.example")],
)  # fmt: skip
def test_two_messages_to_one_mailbox_never_share_a_request(journey: Journey, one: str, other: str) -> None:
    people = [person(1, to=one), person(2), person(3, to=other), person(4, to=one), person(5)]
    factored = factor(journey, journey.steps[0], people)
    everybody_reads_the_full_render(journey, people, factored)
    ids = [[recipient.message_id for recipient in batch.recipients] for batch in factored.batches]
    assert ids == [["m1", "m2", "m5"], ["m3"], ["m4"]]


def test_different_mailboxes_are_told_apart() -> None:
    spellings = [
        "a@b.example",
        "b@a.example",
        "a.b@b.example",
        "a+1@b.example",
        "ä@b.example",
        "a@bä.example",
        "kein ä",
    ]
    assert len(set(map(factoring.normalised_address, spellings))) == len(spellings)


def test_the_largest_request_stays_below_twenty_megabytes(project: ProjectBuilder) -> None:
    # A control character is six bytes of JSON for one of ours.
    shared = "\x01" * 188_000
    journey = written(project, shared + "{{ customer.first_name }}", shared + "{{ customer.first_name }}", "Hi")
    people = [
        person(number, f"{number:04d}" + "x" * 9_900, to=f"p{number}@{'x' * 60}.example") for number in range(1000)
    ]
    (batch,) = factor(journey, journey.steps[0], people, per_request=1000).batches
    assert len(json.dumps(batch_body(batch))) < 20 * MEGABYTE


def test_without_an_address_of_our_own_nobody_gets_a_dead_link(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIFECYCLE_PUBLIC_URL")
    monkeypatch.setenv("LIFECYCLE_LIVE", "yes")
    factored = factor(journey, journey.steps[0], [person(1), person(2)])
    assert factored.batches == []
    assert set(factored.unrenderable) == {"m1", "m2"}
    assert "LIFECYCLE_PUBLIC_URL" in factored.unrenderable["m1"]


def test_the_provider_takes_the_requests_and_everybody_reads_their_words(journey: Journey, tmp_path: Path) -> None:
    people = [person(number, ODD_NAMES[number % len(ODD_NAMES)], city="Bath") for number in range(60)]
    factored = factor(journey, journey.steps[0], people, per_request=25)
    with running_sandbox(tmp_path / "sandbox.sqlite") as url:
        channel = SendGridEmail(sandbox_accounts(url).sendgrid)
        receipts = [receipt for batch in factored.batches for receipt in channel.send_many(batch)]
        arrived = requests.get(f"{url}/messages.json", {"limit": "1000"}, timeout=60).json()
    assert {receipt.outcome for receipt in receipts} == {"accepted"}
    read = {message["message_id"]: (message["subject"], message["html"], message["text"]) for message in arrived}
    for one in people:
        full = rendering.render(journey, journey.steps[0], one.recipient)
        assert read[one.recipient.message_id] == (full.subject, full.html, full.text)
    if official_specs.ARE_HERE:
        assert all(official_specs.sendgrid_takes(batch_body(batch)) for batch in factored.batches)


# A small language of templates: constants, personal values, filters, branches, loops, macros and blocks, nested.
_CONSTANTS = st.text("ab-lc0_{%}$<&愛\n ", max_size=12).map(lambda text: re.sub(r"\{[{%#]|[%#}]\}", "", text))
_VALUES = st.sampled_from(
    ["{{ customer.first_name or '' }}", "{{ customer.city }}", "{{ customer.first_name | upper }}", "{{ voucher.code }}",
     "{{ link('shop') }}", "{{ unsubscribe_url }}", "{{ items | length }}", "{{ customer.city ~ '-lc' }}",
     "{{ items | join('-') }}", "{{ (customer.city or '<') | e }}", "{{ '<b>' | safe }}", "{{ customer.city | safe }}",
     "{{ 6 / items | length }}", "{{ locale }}", "{{ m(customer.city) }}"]
)  # fmt: skip
_LEAVES = _CONSTANTS | _VALUES


_FRAMES = [
    "{}{}",
    "{{% if customer.city %}}{}{{% else %}}{}{{% endif %}}",
    "{{% for item in items %}}{}{{{{ item }}}}{{% else %}}{}{{% endfor %}}",
    "{{% filter upper %}}{}{{% endfilter %}}{}",
    "{{% set s %}}{}{{% endset %}}{{{{ s }}}}{}{{{{ s }}}}",
]


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from(_FRAMES), inner, inner).map(lambda drawn: drawn[0].format(drawn[1], drawn[2]))


_MACRO = "{% macro m(x) %}[{{ x }}|{{ x }}]{% endmacro %}"
_TEMPLATES = st.recursive(_LEAVES, _nested, max_leaves=12).map(lambda body: _MACRO + body)
_LAID_OUT = st.tuples(_TEMPLATES, st.booleans()).map(
    lambda two: (
        '{% extends "layouts/letter.email.html.j2" %}{% block words %}' + two[0] + "{% endblock %}"
        if two[1]
        else two[0]
    )
)
_WORDS = st.sampled_from(ODD_NAMES) | st.text("alc-_0<&愛", max_size=6)
_PEOPLE = st.lists(
    st.tuples(
        _WORDS,
        _WORDS,
        st.lists(st.sampled_from(["", "x", "-lc", "<", "lc0_"]), max_size=2),
        st.sampled_from(["a@example.com", "A@example.com", "b@example.com", "c@example.com"]),
    ),
    min_size=1,
    max_size=8,
)


@given(html=_LAID_OUT, text=_TEMPLATES, subject=_LEAVES, drawn=_PEOPLE)
@effort(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_template_gives_any_people_their_full_render(
    project: ProjectBuilder, html: str, text: str, subject: str, drawn: list[tuple[Any, Any, list[str], str]]
) -> None:
    journey = written(project, html, text, subject=subject.replace("\n", " ") + " x")
    people = [
        person(number, name, to, city=city, variables={"items": items})
        for number, (name, city, items, to) in enumerate(drawn)
    ]
    everybody_reads_the_full_render(journey, people, factor(journey, journey.steps[0], people))
