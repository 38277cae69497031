"""Templates: what a mistake reads like, what no template can do, and what a person reads in the end."""

from __future__ import annotations

from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from tests.project_builder import ProjectBuilder
from tests.sandbox_client import SandboxClient
from tests.shop import Shop

from lifecycle import journeys, links, rendering, runs, senders, stages
from lifecycle.errors import LifecycleError
from lifecycle.rendering import Customer, Recipient, UnrenderableError
from lifecycle.vouchers import IssuedVoucher

MESSAGE_ID = "7b1f0f6e-0000-4000-8000-000000000001"
MIDNIGHT = datetime(2026, 3, 31, tzinfo=timezone.utc)
AIKO = Customer("aiko", "Aiko", "Tanaka", locale="en")
NOBODY = Customer("nobody")

HTML = """---
subject: Hi {{ customer.first_name or "there" }}, news
---
{% extends "layouts/letter.email.html.j2" %}
{% block words %}<p>{{ customer.first_name or "there" }}</p><a href="{{ link("shop") }}">Shop</a>{% endblock %}
"""
LETTER = '<html>{% block words %}{% endblock %}<a href="{{ unsubscribe_url }}">out</a> {{ postal_address }}</html>'
TEXT = '{{ customer.first_name or "there" }}: {{ link("shop") }} {{ unsubscribe_url }}'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectBuilder:
    """A throw-away project with a journey of one SMS, in use as the current folder."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    project = ProjectBuilder(tmp_path)
    project.sms_journey("hello")
    return project


def email_journey(project: ProjectBuilder, html: str = HTML, text: str = TEXT) -> None:
    """A journey of one email."""
    project.dag("letter", 'Journey(name="letter", steps=[Step("news", segment="all.sql", message=Email("news"))])')
    project.segment("letter", "all")
    project.template("layouts", "letter.email.html.j2", LETTER)
    project.template("letter", "news.email.html.j2", html)
    project.template("letter", "news.email.txt.j2", text)


def rendered(name: str, customer: Customer = AIKO, **more: Any) -> rendering.RenderedMessage:
    """The message of a journey's only step."""
    journey = journeys.load(name).journey
    return rendering.render(journey, journey.steps[0], Recipient(MESSAGE_ID, customer, MIDNIGHT, **more))


def sms(project: ProjectBuilder, template: str, customer: Customer = AIKO, **more: Any) -> str:
    """What an SMS of that template reads like."""
    project.template("hello", "greet.sms.j2", template)
    return rendered("hello", customer, **more).text


def mistake(name: str = "hello", columns: tuple[str, ...] = ("customer_id", "anchor")) -> str:
    """What the check says about a journey's templates."""
    journey = journeys.load(name).journey
    with pytest.raises(LifecycleError) as error:
        rendering.check_templates(journey, journey.steps[0], list(columns))
    return str(error.value)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Hi\n{{ customr.first_name }}", ":2: There is no variable 'customr'. Did you mean 'customer'."),
        ("{{ customer.frist_name }}", ":1: There is no customer field 'frist_name'. Did you mean 'first_name'."),
        ("Hi\n\n{{ customer.first_name }}", ':3: customer.first_name may be empty. Give it a fallback: {{ customer'),
        ("{{ customer.first_name | upper }}", ":1: customer.first_name may be empty."),
        ('{{ "Hi " ~ customer.first_name }}', ":1: customer.first_name may be empty."),
        ("{{ voucher.code }}", ":1: The step gives no voucher. Add voucher=Voucher(...) to the step"),
        ("{{ voucher.amount }}", ":1: The step gives no voucher. Add voucher=Voucher(...) to the step"),
        ('a\n{{ link("shopp") }}', ":2: There is no link 'shopp'. Did you mean 'shop'."),
        ("{{ link(customer.customer_id) }}", ':1: link() takes one name, as in link("shop"), or the address of'),
        ("{% if %}", ":1: Template: Expected an expression, got 'end of statement block'. Mend the template."),
        ("a\n{% for x in y %}", ":2: Template: Unexpected end of template."),
        ("{{ 1 | nofilter }}", ":1: Template: No filter named 'nofilter'."),
        ('{% extends "layouts/nope.sms.j2" %}', ": Template: layouts/nope.sms.j2 does not exist. Create it"),
        (b"ok\ncaf\xe9", ":2: Template: not UTF-8. Save it as UTF-8."),
    ],
)  # fmt: skip
def test_a_mistake_in_a_template_is_one_line_with_its_place(
    project: ProjectBuilder, template: str | bytes, said: str
) -> None:
    project.template("hello", "greet.sms.j2", template)
    line = mistake()
    assert line.startswith(f"include/templates/hello/greet.sms.j2{said}")
    assert "\n" not in line


def test_a_field_that_was_asked_for_first_needs_no_fallback(project: ProjectBuilder) -> None:
    words = "{% if customer.first_name %}Hi {{ customer.first_name }}{% else %}Hi{% endif %} STOP"
    project.template("hello", "greet.sms.j2", words)
    journey = journeys.load("hello").journey
    rendering.check_templates(journey, journey.steps[0], ["customer_id", "anchor"])
    project.template("hello", "greet.sms.j2", words.replace("{% else %}Hi", "{% else %}{{ customer.first_name }}"))
    assert "customer.first_name may be empty" in mistake()


def test_a_mistake_in_a_layout_names_the_layout(project: ProjectBuilder) -> None:
    project.template("layouts", "mine.sms.j2", "{% block words %}{% endblock %}\n{{ sender_nam }}")
    project.template("hello", "greet.sms.j2", '{% extends "layouts/mine.sms.j2" %}')
    assert mistake() == (
        "include/templates/layouts/mine.sms.j2:2: There is no variable 'sender_nam'. Did you mean 'sender_name'."
    )


def test_a_mistake_in_a_locale_variant_is_found(project: ProjectBuilder) -> None:
    project.template("hello", "greet.ja.sms.j2", "{{ foo }}")
    assert mistake().startswith("include/templates/hello/greet.ja.sms.j2:1: There is no variable 'foo'.")


def test_a_mistake_in_a_landing_page_is_found(project: ProjectBuilder) -> None:
    project.template("hello", "survey.page.html.j2", "{{ is_answered }}\n{{ last_product }}")
    with pytest.raises(LifecycleError, match=r"survey\.page\.html\.j2:2: There is no variable 'last_product'"):
        rendering.check_pages(journeys.load("hello").journey)


def test_columns_of_the_segment_are_variables(project: ProjectBuilder) -> None:
    project.template("hello", "greet.sms.j2", "{{ points }} points, STOP to end")
    journey = journeys.load("hello").journey
    rendering.check_templates(journey, journey.steps[0], ["customer_id", "anchor", "points"])
    assert rendered("hello", variables={"points": 5}).text == "5 points, STOP to end"


@pytest.mark.parametrize("html", [HTML.split("---\n")[2], "---\nsubject:\n---\nx", "---\nsubjct: x\n---\nx"])
def test_an_email_without_a_subject_is_refused(project: ProjectBuilder, html: str) -> None:
    email_journey(project, html)
    assert mistake("letter") == (
        "include/templates/letter/news.email.html.j2:1: The email has no subject. "
        "Start the file with ---, subject: ..., ---."
    )


def test_a_mistake_in_the_subject_has_its_line(project: ProjectBuilder) -> None:
    email_journey(project, "---\npreheader: x\nsubject: Hi {{ custmer.first_name }}\n---\nx")
    assert mistake("letter").startswith("include/templates/letter/news.email.html.j2:3: There is no variable 'custmer'")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ nothing }}", "'nothing' is undefined"),
        ("{{ customer.nothing }}", "has no attribute 'nothing'"),
        ("{{ customer.first_name }}", "first_name is empty"),
        ("{{ customer.first_name | upper }}", "first_name is empty"),
        ("{{ 'Hi ' ~ customer.first_name }}", "first_name is empty"),
        ("{{ '%s' % customer.first_name }}", "first_name is empty"),
        ("{{ [customer.first_name] | join }}", "first_name is empty"),
        ("{{ customer['first_name'] }}", "first_name is empty"),
        ("{{ points }}", "points is empty"),
        ("{{ points | string }}", "points is empty"),
        ("{{ none }}", "an empty value would be printed"),
        ("{{ voucher.code }}", "has no attribute 'code'"),
        ('{{ link("nope") }}', "There is no link 'nope'"),
        ('{{ as_of | day("xx") }}', "UnknownLocaleError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
    ],
)
def test_what_a_person_does_not_have_is_never_printed(project: ProjectBuilder, template: str, said: str) -> None:
    with pytest.raises(UnrenderableError) as error:
        sms(project, template, NOBODY, variables={"points": None})
    assert str(error.value).startswith("hello/greet.sms.j2: ")
    assert said in str(error.value)


@pytest.mark.parametrize(
    "template",
    [
        '{{ customer.first_name or "friend" }}',
        '{{ customer.first_name | default("friend") }}',
        "{% if customer.first_name %}{{ customer.first_name }}{% else %}friend{% endif %}",
        "{% if customer.first_name is none %}friend{% endif %}",
        '{{ (customer.first_name ~ "san") if customer.first_name else "friend" }}',
    ],
)
def test_a_fallback_stands_in_for_a_missing_name(project: ProjectBuilder, template: str) -> None:
    assert sms(project, template, NOBODY) == "friend"


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ customer.__class__ }}",
        "{{ customer.__dict__ }}",
        "{{ link.__globals__ }}",
        "{{ link.__closure__ }}",
        "{{ as_of | attr('__class__') | attr('__mro__') }}",
        "{{ ''['__class__'] }}",
        "{{ '{0.__class__}'.format(customer) }}",
        "{{ lipsum.__globals__['os'] }}",
        "{{ self.__init__.__globals__ }}",
        "{% set customer.first_name = 'x' %}",
        "{{ [].append(1) }}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
        "{{ 'x' * 300000 }}",
    ],
)
def test_no_template_breaks_out_of_its_sandbox(project: ProjectBuilder, template: str) -> None:
    with pytest.raises((UnrenderableError, LifecycleError)):
        sms(project, template)


@pytest.mark.parametrize(
    "name", ["{{ 7*7 }}", "{% raw %}", "${7*7}", "{{ customer.__class__ }}", "{# x #}", "a'; drop table x; --"]
)
def test_a_name_is_never_run_as_a_template(project: ProjectBuilder, name: str) -> None:
    assert sms(project, '{{ customer.first_name or "x" }}', Customer("x", name)) == name


def test_an_sms_is_one_line_whatever_a_name_holds(project: ProjectBuilder) -> None:
    text = sms(project, 'Hi\n  {{ customer.first_name or "x" }},\r\n bye\n', Customer("x", "A\r\nB\u2028C\x0bD"))
    assert text == "Hi A B C D, bye"


def test_a_byte_order_mark_does_not_reach_the_phone(project: ProjectBuilder) -> None:
    project.template("hello", "greet.sms.j2", b"\xef\xbb\xbfHello")
    assert rendered("hello").text == "Hello"


@pytest.mark.parametrize(
    ("locale", "text"),
    [("ja", "ja"), ("ja_JP", "ja"), ("ja-JP", "ja"), ("pt-BR", "pt-BR"), ("pt_BR", "pt-BR"), ("pt", "en"),
     ("en", "en"), (None, "en"), ("", "en"), ("../../x", "en"), ("ja/../ja", "en"), ("zz", "en")],
)  # fmt: skip
def test_the_variant_of_a_persons_language_wins(project: ProjectBuilder, locale: str | None, text: str) -> None:
    project.template("hello", "greet.ja.sms.j2", "ja")
    project.template("hello", "greet.pt-BR.sms.j2", "pt-BR")
    assert sms(project, "en", Customer("x", locale=locale)) == text


def test_a_message_says_which_links_it_uses(project: ProjectBuilder) -> None:
    project.template("hello", "greet.sms.j2", '{{ link("shop") }}')
    message = rendered("hello")
    assert message.link_names == {"shop", "unsubscribe"}
    assert message.text.startswith("http://links.test/l/")
    assert len(message.text.rsplit("/")[-1]) == 12


ITEMS = "{% for item in items %}{{ link(item.url) }}{% endfor %}"


def test_the_address_of_an_item_is_a_link_of_its_own(project: ProjectBuilder) -> None:
    """C-03: a click on what was recommended is a click."""
    project.template("hello", "greet.sms.j2", ITEMS)
    mug = "https://shop.example/p/mug"
    message = rendered("hello", variables={"items": [{"url": mug}]})
    assert message.link_names == {mug, "unsubscribe"}
    assert message.text == links.url(MESSAGE_ID, mug)
    assert links.target("hello", mug) == mug


def test_an_address_that_is_too_long_to_be_kept_is_printed_as_it_is(project: ProjectBuilder) -> None:
    email_journey(project, text=ITEMS)
    longest = f"https://shop.example/{'x' * 1979}"
    assert longest in rendered("letter", variables={"items": [{"url": longest}]}).link_names
    message = rendered("letter", variables={"items": [{"url": longest + "x"}]})
    assert message.text == longest + "x"
    assert message.text not in message.link_names


def test_an_item_leads_to_no_address_without_https(project: ProjectBuilder) -> None:
    project.template("hello", "greet.sms.j2", ITEMS)
    with pytest.raises(rendering.UnrenderableError, match=r"There is no link 'http://shop\.example'"):
        rendered("hello", variables={"items": [{"url": "http://shop.example"}]})


def test_a_voucher_is_printed_in_the_zone_of_the_journey(project: ProjectBuilder) -> None:
    voucher = IssuedVoucher("ABCDE-FGHJK", 15, MIDNIGHT)
    text = sms(project, '{{ voucher.code }} {{ voucher.expires_at | day }} {{ as_of | day("ja") }}', voucher=voucher)
    assert text == "ABCDE-FGHJK March 31 3月31日"


def test_a_voucher_of_hours_is_printed_with_its_time(project: ProjectBuilder) -> None:
    voucher = IssuedVoucher("ABCDE-FGHJK", None, MIDNIGHT.replace(hour=18, minute=5), gift="a tote bag")
    words = '{{ voucher.gift }} {{ voucher.expires_at | moment }} {{ voucher.expires_at | moment("ja") }}'
    assert sms(project, words, voucher=voucher) == "a tote bag March 31, 18:05 3月31日 18:05"


def test_a_template_prints_only_what_its_voucher_gives(project: ProjectBuilder) -> None:
    project.sms_journey(sms="Hi", step=', voucher=Voucher(gift="a tote bag", valid_days=7)')
    project.template(
        "hello", "greet.sms.j2", "a {{ voucher.gift }} {{ voucher.starts_at | day }} STOP\n{{ voucher.amount }}"
    )
    assert mistake() == (
        "include/templates/hello/greet.sms.j2:2: The step's voucher has no amount. "
        "It gives code, expires_at, gift, starts_at."
    )


def test_html_is_escaped_and_text_is_not(project: ProjectBuilder) -> None:
    email_journey(project)
    message = rendered("letter", Customer("x", '<b>"O\'Neil" & co</b>'))
    assert "<p>&lt;b&gt;&#34;O&#39;Neil&#34; &amp; co&lt;/b&gt;</p>" in message.html
    assert message.text.startswith('<b>"O\'Neil" & co</b>: http')
    assert message.subject == 'Hi <b>"O\'Neil" & co</b>, news'


def test_a_line_break_in_a_name_never_starts_another_header(project: ProjectBuilder) -> None:
    email_journey(project)
    message = rendered("letter", Customer("x", "Eve\r\nBcc: all@example.com\u2029x"))
    assert message.subject == "Hi Eve Bcc: all@example.com x, news"


def test_front_matter_is_not_part_of_the_page(project: ProjectBuilder) -> None:
    email_journey(project, HTML.replace("\n", "\r\n"))
    message = rendered("letter")
    assert message.html.strip().startswith("<html>")
    assert "subject" not in message.html
    assert message.subject == "Hi Aiko, news"


def test_the_fingerprint_changes_with_words_layouts_and_variants_only(project: ProjectBuilder) -> None:
    journey = journeys.load("hello").journey

    def sha() -> str:
        return rendering.template_sha(journey, journey.steps[0])

    first = sha()
    assert sha() == first
    project.template("hello", "other.sms.j2", "x")
    assert sha() == first
    seen = {first}
    for folder, name in (("hello", "greet.sms.j2"), ("hello", "greet.ja.sms.j2"), ("layouts", "marketing.sms.j2")):
        project.template(folder, name, "changed")
        seen.add(sha())
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- shop", "include/templates/links.yaml: The list of link targets is no list of names."),
        ("shop: http://shop.example/", "include/templates/links.yaml: The link 'shop' does not start with https://."),
        ("shop: javascript:alert(1)", "include/templates/links.yaml: The link 'shop' does not start with https://."),
        ("shop: [", "include/templates/links.yaml: The list of link targets cannot be read."),
    ],
)
def test_a_link_leads_to_an_https_address(project: ProjectBuilder, text: str, said: str) -> None:
    project.write("include/templates/links.yaml", text)
    project.template("hello", "greet.sms.j2", '{{ link("shop") }}')
    assert said.split(": ", 1)[1] in mistake()


def test_an_email_goes_out_with_both_parts_and_the_way_out(
    project: ProjectBuilder, shop: Shop, sandbox: SandboxClient
) -> None:
    email_journey(project)
    shop.customer("aiko", first_name="Ai\r\nko <b>", email="aiko@example.com")
    shop.customer("no_consent", email="no@example.com", email_consent=False)
    declared = journeys.load("letter")
    context = runs.for_day(declared.journey, date(2026, 3, 31), declared.zone)
    done = stages.run_all(context, senders.sandbox_channel)
    assert done["steps"] == {"news": {"accepted": 1, "skipped: no_consent": 1}}
    (received,) = sandbox.messages()
    assert received["to_address"] == "aiko@example.com"
    assert received["subject"] == "Hi Ai ko <b>, news"
    assert "ko &lt;b&gt;</p>" in received["html"]
    headers = received["headers"]
    assert headers["List-Unsubscribe"].startswith("<http://links.test/u/")
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
