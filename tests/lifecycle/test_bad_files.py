"""Every bad SQL file, template and declaration we know of, and the test of its outcome.

The numbers are those of the list the product was planned with. Cases without a test elsewhere have theirs below.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from tests.lifecycle.test_analyst_sql import PICKED, file_of
from tests.lifecycle.test_analyst_sql import folder as folder
from tests.lifecycle.test_bad_inputs import require_tests
from tests.lifecycle.test_delivery import Desk, ScriptedProvider
from tests.lifecycle.test_delivery import desk as desk
from tests.lifecycle.test_journey import declared as declared_as
from tests.lifecycle.test_journey import mistake as declaration_mistake
from tests.lifecycle.test_rendering import email_journey, mistake, rendered, sms
from tests.lifecycle.test_rendering import project as project
from tests.project_builder import ProjectBuilder

from lifecycle import checks, database, journeys, links, rendering, stages
from lifecycle.errors import LifecycleError
from lifecycle.rendering import Customer, UnrenderableError

HERE = "test_bad_files.py"
SQL = "test_analyst_sql.py"
ACCEPTED = f"{SQL}::test_it_is_accepted"
REFUSED = f"{SQL}::test_it_is_refused_in_one_line"
ALONE = f"{SQL}::test_without_any_check_a_file_neither_writes_nor_commits_nor_stays"
WORDS = "test_rendering.py"
BOMBS = "test_template_limits.py::test_a_bomb_is_one_line_and_takes_no_time"
MISTAKE = "test_journey.py::test_a_mistake_is_one_line_with_file_line_and_hint"
CASES: dict[int, tuple[str, list[str]]] = {
    1: ("two statements", [REFUSED]),
    2: ("a closing semicolon", [ACCEPTED]),
    3: ("a comment on the last line", [ACCEPTED]),
    4: ("insert, update, delete", [REFUSED, f"{SQL}::test_the_reader_may_neither_write_nor_read_past_the_contract"]),
    5: ("a delete inside `with`", [REFUSED]),
    6: ("commit, set transaction", [REFUSED, ALONE, f"{HERE}::test_no_command_of_a_session_is_a_segment"]),
    7: ("a longer timeout", [ALONE, f"{HERE}::test_no_command_of_a_session_is_a_segment"]),
    8: ("files and other servers", [REFUSED, ALONE, f"{HERE}::test_no_command_of_a_session_is_a_segment"]),
    9: ("sleep and endless recursion", [REFUSED, f"{SQL}::test_a_file_that_runs_too_long_is_ended"]),
    10: ("no customer_id", [REFUSED]),
    11: ("a column twice", [REFUSED]),
    12: ("a row without a customer", [f"{SQL}::test_a_row_without_a_required_value_is_refused"]),
    13: ("a customer twice", [f"{HERE}::test_a_segment_that_fails_late_plans_nobody"]),
    14: ("ids of another type", [f"{SQL}::test_ids_of_any_type_become_text"]),
    15: ("a percent sign", [ACCEPTED]),
    16: ("parameters and Jinja", [REFUSED, f"{HERE}::test_a_parameter_is_named_with_its_place"]),
    17: ("empty files and other encodings", [ACCEPTED, REFUSED]),
    18: ("unknown tables and columns", [REFUSED]),
    19: ("the clock", [REFUSED]),
    20: ("nobody where there is always somebody", ["test_approvals.py::test_nobody_where_there_is_always_somebody_waits"]),
    21: ("everybody", ["test_approvals.py::test_a_first_run_passes_up_to_the_cap",
                       "test_approvals.py::test_four_times_the_usual_waits_and_nobody_of_it_is_planned_or_entered"]),
    22: ("an error in a late row", [f"{SQL}::test_an_error_in_a_late_row_is_one_line",
                                    f"{HERE}::test_a_segment_that_fails_late_plans_nobody"]),
    23: ("an advisory lock", [f"{HERE}::test_no_command_of_a_session_is_a_segment"]),
    24: ("a view replaced between plan and send", [f"{HERE}::test_a_view_replaced_since_the_plan_changes_no_decision"]),
    25: ("a session in another zone", [f"{HERE}::test_the_zone_of_the_session_changes_nothing"]),
    26: ("an unknown variable", [f"{WORDS}::test_a_mistake_in_a_template_is_one_line_with_its_place"]),
    27: ("None", [f"{WORDS}::test_what_a_person_does_not_have_is_never_printed"]),
    28: ("a way out of the sandbox", [f"{WORDS}::test_no_template_breaks_out_of_its_sandbox"]),
    29: ("work without end", [BOMBS]),
    30: ("words without end", [BOMBS]),
    31: ("a syntax error", [f"{WORDS}::test_a_mistake_in_a_template_is_one_line_with_its_place"]),
    32: ("no subject, text or way out", [f"{WORDS}::test_an_email_without_a_subject_is_refused",
                                         f"{HERE}::test_marketing_that_nobody_can_refuse_is_refused",
                                         f"{HERE}::test_an_email_needs_both_parts"]),
    33: ("line breaks in a header", [f"{WORDS}::test_a_line_break_in_a_name_never_starts_another_header"]),
    34: ("HTML in a name", [f"{WORDS}::test_html_is_escaped_and_text_is_not"]),
    35: ("Jinja in a name", [f"{WORDS}::test_a_name_is_never_run_as_a_template"]),
    36: ("an SMS of too many parts", [f"{HERE}::test_an_sms_of_too_many_parts_is_left_out",
                                      "test_sms.py::test_a_body_is_measured_as_it_is_billed"]),
    37: ("addresses of anybody", [f"{HERE}::test_an_address_that_is_written_out_is_one_we_know",
                                  f"{WORDS}::test_a_link_leads_to_an_https_address"]),
    38: ("letters that mislead", [f"{HERE}::test_odd_letters_of_a_name_reach_nobody_else",
                                  "test_csv_import.py::test_a_bad_value_is_refused"]),
    39: ("no words in that language", [f"{WORDS}::test_the_variant_of_a_persons_language_wins"]),
    40: ("a picture inside a template", [f"{HERE}::test_a_template_as_large_as_a_picture_is_refused"]),
    41: ("words changed since the plan", [f"{HERE}::test_the_version_that_is_sent_is_the_one_that_is_kept"]),
    42: ("an unknown key", ["test_journey.py::test_a_mistake_of_python_is_one_line_too"]),
    43: ("steps in another order", [f"{HERE}::test_of_two_steps_due_on_a_day_the_later_one_goes"]),
    44: ("a name twice, a step renamed", ["test_journey.py::test_a_journey_is_named_like_its_file", MISTAKE,
                                          f"{HERE}::test_a_renamed_step_messages_nobody_again_that_day"]),
    45: ("a cycle", [f"{HERE}::test_a_template_that_contains_itself_is_refused"]),
    46: ("durations that are none", [MISTAKE, f"{HERE}::test_a_duration_that_is_none_is_one_line"]),
    47: ("files that are missing or elsewhere", [MISTAKE, "test_journey.py::test_a_link_out_of_the_folder_is_refused"]),
    48: ("traps of YAML", [f"{HERE}::test_a_trap_of_yaml_is_one_line"]),
    49: ("a schedule that never comes", [f"{HERE}::test_a_schedule_that_never_comes_is_one_line"]),
    50: ("no goal file", [MISTAKE]),
    51: ("a cap below the steps", ["test_policy.py::test_the_cap_counts_the_messages_of_its_days",
                                   f"{HERE}::test_of_two_steps_due_on_a_day_the_later_one_goes"]),
    52: ("quiet hours all day, and across midnight", [
        "test_quiet_hours.py::test_quiet_hours_that_make_no_sense_are_refused",
        "test_quiet_hours.py::test_no_instant_of_any_zone_is_moved_into_the_quiet_hours"]),
    53: ("late sooner than the next run", [f"{HERE}::test_a_duration_that_is_none_is_one_line"]),
    54: ("percentages that are none", [MISTAKE]),
    55: ("a journey removed with people in it", [f"{HERE}::test_a_removed_journey_sends_nothing_and_is_named"]),
}  # fmt: skip


@pytest.mark.parametrize("number", sorted({*range(1, 56), *CASES}))
def test_every_case_has_a_test_that_exists(number: int) -> None:
    require_tests(number, *CASES[number])


# --- SQL files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "set statement_timeout = 0", "set transaction read write", "begin", "rollback", "reset role", "set role postgres",
        "copy (select 1) to '/tmp/x'", "notify somebody", "lock table shop.orders", "truncate imported.orders",
        "select set_config('statement_timeout', '0', false) as customer_id, 1 as anchor",
        *(
            f"{PICKED} where {call} is not null"
            for call in (
                "pg_advisory_lock(1)", "pg_try_advisory_xact_lock(1)", "pg_read_file('x')", "pg_ls_dir('.')",
                "lo_export(1, '/tmp/x')", "lo_import('/etc/passwd')", "dblink('', 'select 1')",
                "dblink_exec('', 'drop table x')", "pg_terminate_backend(1)", "pg_notify('x', 'y')", "nextval('x')",
                "pg_reload_conf()", "txid_current()",
            )
        ),
    ],
)  # fmt: skip
def test_no_command_of_a_session_is_a_segment(folder: Path, text: str) -> None:
    with pytest.raises(LifecycleError) as error:
        file_of(folder, text).check()
    said = str(error.value)
    assert re.match(r"who\.sql:1(:\d+)?: (The statement is \w+, not SELECT|\w+\(\) is not for segments)\. ", said), said
    assert "\n" not in said


@pytest.mark.parametrize("parameter", [":day", "%(day)s", "$1", "?"])
def test_a_parameter_is_named_with_its_place(folder: Path, parameter: str) -> None:
    with pytest.raises(
        LifecycleError, match=r"^who\.sql:2:\d+: The parameter .* is never filled\. Write as_of\(\) for"
    ):
        file_of(folder, f"{PICKED}\nwhere signed_up_at < {parameter}").check()


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("(1.0 / (6000 - g))::text", "division by zero"),
        ("case g when 6000 then null else g::text end", "A row has no customer_id"),
        ("(g % 6000)::text", "with anchor a comes twice"),
    ],
)
def test_a_segment_that_fails_late_plans_nobody(desk: Desk, column: str, said: str) -> None:
    """More than one chunk of rows has been taken by then, and some of it was written."""
    desk.project.segment(
        "hello", "all", f"select {column} as customer_id, 'a' as anchor from generate_series(1, 6001) as g"
    )
    with pytest.raises(LifecycleError, match=re.escape(said)):
        desk.plan()
    assert desk.all("select count(*) from lifecycle.audiences") == [(0,)]
    assert desk.all("select count(*) from lifecycle.messages") == [(0,)]


def test_a_view_replaced_since_the_plan_changes_no_decision(desk: Desk) -> None:
    for name in ("ana", "ben", "cleo"):
        desk.shop.order(name, date(2026, 3, 1))
    desk.project.segment(
        "hello", "all", "select orders.customer_id, orders.currency as anchor\nfrom shop.orders as orders"
    )
    desk.plan()
    desk.execute("alter view shop.orders rename column currency to money")
    assert desk.send(ScriptedProvider()) == {"accepted": 3}
    with pytest.raises(LifecycleError, match=r"all\.sql:1:\d+: Postgres says: column orders\.currency does not exist"):
        desk.plan()


def test_the_zone_of_the_session_changes_nothing(desk: Desk) -> None:
    """A timestamp without a zone means the wall clock of the journey, whatever the server's is."""
    desk.shop.order("ana", date(2026, 3, 1), ordered_at="2026-03-01T00:00:00Z")
    desk.shop.order("ben", date(2026, 3, 1), ordered_at="2026-02-28T23:59:59Z")
    desk.project.segment(
        "hello",
        "all",
        "select customer_id, 'a' as anchor, ordered_at::date as city from shop.orders "
        "where ordered_at >= timestamp '2026-03-01 00:00' and ordered_at::date = date '2026-03-01'",
    )
    (name,) = desk.all("select current_database()")[0]
    desk.execute(f"alter database {name} set timezone = 'Pacific/Kiritimati'")
    desk.execute(f"alter database {name} set datestyle = 'german, dmy'")
    database.disconnect()
    desk.plan()
    assert desk.all("select customer_id, variables->>'city' from lifecycle.audiences") == [("ana", "2026-03-01")]


# --- templates ----------------------------------------------------------------------------------------------------------


def test_marketing_that_nobody_can_refuse_is_refused(project: ProjectBuilder) -> None:
    project.template("hello", "greet.sms.j2", "Hello. This is NONSTOP news")
    assert mistake() == (
        "include/templates/hello/greet.sms.j2:1: The message has no way out: there is no word STOP. "
        'Start it with {% extends "layouts/marketing.sms.j2" %}, or print it yourself.'
    )
    project.template("hello", "greet.sms.j2", "Hello {{ unsubscribe_url }}")
    project.template("hello", "greet.ja.sms.j2", "こんにちは")
    assert "greet.ja.sms.j2:1: The message has no way out" in mistake()
    email_journey(project, "---\nsubject: News\n---\n<p>x</p>")
    assert "news.email.html.j2:1: The message has no way out: there is no unsubscribe_url" in mistake("letter")
    email_journey(project, text="no link")
    assert "news.email.txt.j2:1: The message has no way out" in mistake("letter")


def test_a_message_about_an_order_needs_no_way_out(project: ProjectBuilder) -> None:
    project.sms_journey(sms="Your order is here", more=', kind="transactional"')
    journey = journeys.load("hello").journey
    rendering.check_templates(journey, journey.steps[0], ["customer_id", "anchor"])


def test_an_email_needs_both_parts(project: ProjectBuilder) -> None:
    email_journey(project)
    (project.folder / "include/templates/letter/news.email.txt.j2").unlink()
    with pytest.raises(
        LifecycleError, match=r"letter\.py:11: Journey 'letter' names .*news\.email\.txt\.j2, which does"
    ):
        journeys.load("letter")


@pytest.mark.parametrize(
    ("name", "parts"),
    [("a" * 918, None), ("a" * 919, 7), ("a" * 917 + "€", 7), ("a" * 401 + "’", None), ("ё" * 403, 7)],
)
def test_an_sms_of_too_many_parts_is_left_out(project: ProjectBuilder, name: str, parts: int | None) -> None:
    """One letter outside the alphabet of phones doubles the price, and nobody pays more than was declared."""
    template = '{{ customer.first_name or "" }}'
    if parts is None:
        assert sms(project, template, Customer("x", name)) == name
        return
    with pytest.raises(UnrenderableError, match=f"hello/greet: {parts} SMS parts, and max_parts is 6"):
        sms(project, template, Customer("x", name))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://shop.example/", "http://shop.example/ is no https address. Name the link in links.yaml and write"),
        ("javascript:alert(1)", "javascript:alert(1 is no https address"),
        ("JavaScript:alert", "JavaScript:alert is no https address"),
        ("data:image/png;base64,AAAA", "data:image/png;base64,AAAA is no https address"),
        ("https://evil.example/x", "https://evil.example/x is on a host that no link leads to. Known: shop.example"),
        ("https://shop.example@evil.example/", "https://shop.example@evil.example/ is on a host that no link leads to"),
    ],
)
def test_an_address_that_is_written_out_is_one_we_know(project: ProjectBuilder, address: str, said: str) -> None:
    project.template("hello", "greet.sms.j2", f"STOP\n<a href='{address}'>x</a>")
    assert mistake().startswith(f"include/templates/hello/greet.sms.j2:2: {said}")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("\u202eokiA", "\u202eokiA"),
        ("A\u200biko\ufeff", "A\u200biko\ufeff"),
        ("Z" + "\u0335" * 90, "Z" + "\u0335" * 90),
    ],
)
def test_odd_letters_of_a_name_reach_nobody_else(project: ProjectBuilder, name: str, read: str) -> None:
    """A name is the person's own; it is sent to them alone, on one line, and never longer than was declared."""
    assert sms(project, '{{ customer.first_name or "x" }}', Customer("x", name)) == read
    email_journey(project)
    assert rendered("letter", Customer("x", name)).subject == f"Hi {read}, news"
    with pytest.raises(UnrenderableError, match="SMS parts"):
        sms(project, '{{ customer.first_name or "x" }}', Customer("x", name * 100))


def test_a_template_as_large_as_a_picture_is_refused(project: ProjectBuilder) -> None:
    project.template("hello", "greet.sms.j2", f"STOP {'x' * rendering.MAX_BYTES}")
    assert mistake() == (
        "include/templates/hello/greet.sms.j2: Template: longer than 200000 bytes. "
        "Link to pictures instead of writing them into the template."
    )


def test_the_version_that_is_sent_is_the_one_that_is_kept(desk: Desk) -> None:
    desk.plan()
    planned = desk.all("select distinct template_sha from lifecycle.messages")
    desk.project.template("hello", "greet.sms.j2", "Other words {{ unsubscribe_url }}")
    provider = ScriptedProvider()
    desk.send(provider)
    assert {message.body.split(" http")[0] for message in provider.received} == {"Other words"}
    sent = desk.all("select distinct template_sha from lifecycle.messages")
    assert sent == [(rendering.template_sha(desk.journey, desk.step),)] != planned


@pytest.mark.parametrize("words", ['{% extends "hello/greet.sms.j2" %}', '{% include "hello/greet.sms.j2" %}'])
def test_a_template_that_contains_itself_is_refused(project: ProjectBuilder, words: str) -> None:
    project.template("hello", "greet.sms.j2", words)
    assert mistake() == "include/templates/hello/greet.sms.j2:1: hello/greet.sms.j2 contains itself. Name another file."


# --- declarations -------------------------------------------------------------------------------------------------------

TWO_STEPS = 'Journey(name="hello", steps=[Step("first", "all.sql", Sms("greet")), Step("{}", "all.sql", Sms("greet"))])'


def test_of_two_steps_due_on_a_day_the_later_one_goes(desk: Desk) -> None:
    """Steps that do not rise meet on one day: a person gets one of them, and reads why not the other."""
    desk.project.template("hello", "greet.sms.j2", "Hi {{ unsubscribe_url }}")
    desk.project.dag("hello", TWO_STEPS.format("second"))
    context = Desk(desk.project, desk.shop).context
    done = stages.run_all(context, lambda _: ScriptedProvider())
    assert done["steps"] == {"first": {"skipped: superseded": 3}, "second": {"accepted": 3}}


def test_a_renamed_step_messages_nobody_again_that_day(desk: Desk) -> None:
    desk.plan()
    assert desk.send(ScriptedProvider()) == {"accepted": 3}
    desk.project.template("hello", "greet.sms.j2", "Hi {{ unsubscribe_url }}")
    desk.project.dag("hello", 'Journey(name="hello", steps=[Step("renamed", "all.sql", Sms("greet"))])')
    renamed = Desk(desk.project, desk.shop)
    provider = ScriptedProvider()
    stages.run_all(renamed.context, lambda _: provider)
    assert provider.received == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "max_lateness=datetime.timedelta(0)",
            "max_lateness=datetime.timedelta(0) makes no sense. Give 1 to 366 whole",
        ),
        ("max_lateness=datetime.timedelta(hours=12)", "makes no sense. Give 1 to 366 whole days"),
        ("max_lateness=datetime.timedelta(days=-1)", "makes no sense. Give 1 to 366 whole days"),
        ("max_lateness='30 dayz'", "max_lateness='30 dayz' makes no sense. Give 1 to 366 whole days"),
        ("max_lateness='P1M'", "max_lateness='P1M' makes no sense"),
        ("max_lateness=30", "max_lateness=30 makes no sense"),
        ("when_late='maybe'", 'when_late=\'maybe\' makes no sense. Give "skip" or "send".'),
    ],
)
def test_a_duration_that_is_none_is_one_line(project: ProjectBuilder, more: str, said: str) -> None:
    file = project.dag("hello", declared_as(step_message=f'Sms("greet"), {more}'))
    file.write_text(file.read_text().replace("import pendulum", "import datetime; import pendulum"))
    with pytest.raises(LifecycleError) as error:
        journeys.load("hello")
    assert str(error.value).startswith("dags/hello.py:11: Step ")
    assert said in str(error.value)


@pytest.mark.parametrize("value", ["0", "11", "'4'", "True", "2.5"])
def test_a_number_of_parts_that_is_none_is_one_line(project: ProjectBuilder, value: str) -> None:
    said = declaration_mistake(project, declared_as(step_message=f'Sms("greet", max_parts={value})'))
    assert said == f"dags/hello.py:11: Sms max_parts={value} makes no sense. Give a whole number from 1 to 10."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "shop: https://a.example/\nshop: https://b.example/",
            "links.yaml:2: The link 'shop' is there twice. Keep one.",
        ),
        ("a: 08:00", "links.yaml:1: The link 'a' does not start with https://"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "links.yaml:1: The link 'a' does not start with https://"),
        ("a: !!python/object/apply:os.system ['id']", "links.yaml:1: The link 'a' does not start with https://"),
        ("a: *nobody", "links.yaml: The list of link targets cannot be read"),
    ],
)
def test_a_trap_of_yaml_is_one_line(project: ProjectBuilder, text: str, said: str) -> None:
    project.write("include/templates/links.yaml", text)
    with pytest.raises(LifecycleError, match=re.escape(said)):
        links.target("hello", "a")


def test_a_link_may_be_called_no(project: ProjectBuilder) -> None:
    project.write("include/templates/links.yaml", "no: https://shop.example/no\non: https://shop.example/on\n")
    assert [links.target("hello", name) for name in ("no", "on")] == [
        "https://shop.example/no",
        "https://shop.example/on",
    ]


@pytest.mark.parametrize(
    ("schedule", "said"),
    [('CronTriggerTimetable("0 10 30 2 *", timezone="UTC")',
      "The schedule '0 10 30 2 *' never comes. Give a day that exists."),
     ("'0 10 30 2 *'", "The schedule '0 10 30 2 *' never comes. Give a day that exists."),
     ("'0 25 * * *'", "The schedule '0 25 * * *' is no cron line"),
     ("'whenever'", "The schedule 'whenever' is no cron line")],
)  # fmt: skip
def test_a_schedule_that_never_comes_is_one_line(project: ProjectBuilder, schedule: str, said: str) -> None:
    file = project.folder / "dags/hello.py"
    text = file.read_text().replace('daily("10:00", tz="Europe/London")', schedule)
    file.write_text(text.replace("import pendulum", "import pendulum\nfrom airflow.sdk import CronTriggerTimetable"))
    with pytest.raises(LifecycleError) as error:
        journeys.load("hello")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_removed_journey_sends_nothing_and_is_named(desk: Desk) -> None:
    desk.plan()
    (desk.project.folder / "dags" / "hello.py").unlink()
    desk.project.sms_journey("other")
    assert [str(problem) for problem in checks.problems()] == []
    with pytest.raises(LifecycleError, match=r"There is no journey 'hello'\. Known: other"):
        journeys.load("hello")
    assert set(desk.states().values()) == {("queued", None)}
