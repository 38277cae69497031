"""A mistake in a declaration is one line with file, line and hint, and no other journey suffers from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.project_builder import ProjectBuilder

from lifecycle import checks, journeys
from lifecycle.errors import LifecycleError
from lifecycle.journey import Journey, Sms, Step, Voucher

LINE = ProjectBuilder.DECLARED_ON


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectBuilder:
    """A throw-away project that holds the real ladder and one small journey, in use as the current folder."""
    monkeypatch.setenv("LIFECYCLE_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    project = ProjectBuilder(tmp_path, with_reactivation=True)
    project.sms_journey("hello")
    return project


def declared(**changes: str) -> str:
    """The declaration of a journey that works, with some of its parts changed."""
    step = {"name": '"greet"', "segment": '"all.sql"', "message": 'Sms("greet")'}
    step = {**step, **{name[5:]: value for name, value in changes.items() if name.startswith("step_")}}
    one_step = "Step(" + ", ".join(f"{name}={value}" for name, value in step.items()) + ")"
    parts = {"name": '"hello"', "steps": f"[{one_step}]"}
    parts = {**parts, **{name: value for name, value in changes.items() if not name.startswith("step_")}}
    return "Journey(" + ", ".join(f"{name}={value}" for name, value in parts.items()) + ")"


def mistake(project: ProjectBuilder, declaration: str) -> str:
    """The line a person reads about a declaration of the journey `hello`."""
    project.dag("hello", declaration)
    with pytest.raises(LifecycleError) as error:
        journeys.load("hello")
    return str(error.value)


def test_a_declaration_without_mistakes_loads_with_the_zone_of_its_schedule(project: ProjectBuilder) -> None:
    project.dag("hello", declared(), zone="Asia/Tokyo")
    found = journeys.load("hello")
    assert (found.journey.name, found.zone, found.journey.line) == ("hello", "Asia/Tokyo", LINE)


FOLDER = "include/sql/journeys/hello"
MISTAKES = [
    pytest.param(
        {"step_segment": '"al.sql"'},
        f"Journey 'hello' names {FOLDER}/al.sql, which does not exist. Did you mean all.sql.",
        id="a file that is spelled wrong",
    ),
    pytest.param(
        {"step_segment": '"zzzzz.txt"'},
        f"Journey 'hello' names {FOLDER}/zzzzz.txt, which does not exist. "
        "Create it, or correct the name in the declaration.",
        id="a file that nothing resembles",
    ),
    pytest.param(
        {"step_message": 'Email("greet")'},
        "Journey 'hello' names include/templates/hello/greet.email.html.j2, which does not exist. "
        "Create it, or correct the name in the declaration.",
        id="an email that has no template",
    ),
    pytest.param(
        {"step_segment": '"../../../../../../../../etc/passwd"'},
        f"'../../../../../../../../etc/passwd' leaves the folder of the journey. Name a file in {FOLDER}.",
        id="a path that climbs out",
    ),
    pytest.param(
        {"step_segment": '"/etc/passwd"'},
        f"'/etc/passwd' leaves the folder of the journey. Name a file in {FOLDER}.",
        id="an absolute path",
    ),
    pytest.param(
        {"step_message": 'Sms("../reactivation/survey")'},
        "'../reactivation/survey.sms.j2' leaves the folder of the journey. Name a file in include/templates/hello.",
        id="a template of another journey",
    ),
    *(
        pytest.param(
            {"step_message": f'Sms("greet", media={url!r})'},
            f"Sms media={url!r} makes no sense. Write it as https://host/picture.jpg.",
            id=f"the picture {url}",
        )
        for url in (
            "http://shop.example/a.jpg",
            "https:///a.jpg",
            "https://ana:word@shop.example/a.jpg",
            "https://shop.example:8443/a.jpg",
            "https://shop.example/a b.jpg",
            "https://shop.example\\@evil.example/a.jpg",
            "https://shöp.example/a.jpg",
            "javascript:alert(1)",
            "a.jpg",
            "",
        )
    ),
    pytest.param(
        {"step_message": 'Sms("greet", media=["https://shop.example/a.jpg"] * 11)'},
        "Sms with 11 media makes no sense. Give up to 10.",
        id="eleven pictures",
    ),
    *(
        pytest.param(
            {"step_message": f'Sms("greet", valid_for={value})'},
            "makes no sense. Give a duration of up to ten hours, as in pendulum.duration(hours=4).",
            id=f"valid for {value}",
        )
        for value in ("pendulum.duration(hours=11)", "pendulum.duration()", "pendulum.duration(hours=-1)", "4")
    ),
    pytest.param({"goal": 'Goal("won.sql")'}, "names include/sql/journeys/hello/won.sql, which", id="a missing goal"),
    pytest.param({"steps": "[]"}, "Journey 'hello' has no steps. Give at least one Step(...).", id="no steps"),
    pytest.param(
        {"steps": '[Step("a", "all.sql", Sms("greet")), Step("a", "all.sql", Sms("greet"))]'},
        "Journey 'hello' has two steps named 'a'. Give every step its own name.",
        id="two steps of one name",
    ),
    *(
        pytest.param(
            {"step_name": repr(name)},
            f"The step name {name!r} is not usable. Use small letters, digits and _, starting with a letter.",
            id=f"the step name {name!r}",
        )
        for name in ("Greet", "1st", "", "a/b", "a b", "naïve", "a" * 64, 5)
    ),
    pytest.param(
        {"name": '"hi there"'},
        "The journey name 'hi there' is not usable. Use small letters, digits and _, starting with a letter.",
        id="a journey name with a space",
    ),
    *(
        pytest.param(
            {"holdout_percent": value},
            f"Journey 'hello' has holdout_percent={value}. Give a whole number from 0 to 50.",
            id=f"holdout_percent={value}",
        )
        for value in ("51", "-1", "2.5", "True", "'5'", "None")
    ),
    *(
        pytest.param(
            {"step_voucher": f"Voucher(percent_off={percent}, valid_days={days})"},
            hint,
            id=f"Voucher({percent}, {days})",
        )
        for percent, days, hint in (
            ("0", "14", "Voucher percent_off=0 makes no sense. Give a whole number from 1 to 100."),
            ("101", "14", "Voucher percent_off=101 makes no sense. Give a whole number from 1 to 100."),
            ("12.5", "14", "Voucher percent_off=12.5 makes no sense. Give a whole number from 1 to 100."),
            ("'15'", "14", "Voucher percent_off='15' makes no sense. Give a whole number from 1 to 100."),
            ("15", "0", "Voucher valid_days=0 makes no sense. Give a number of days from 1 to 3660."),
        )
    ),
    *(
        pytest.param({"step_voucher": f"Voucher({arguments})"}, f"Voucher {said}", id=f"Voucher({arguments})")
        for arguments, said in (
            (
                "valid_days=14",
                "that gives nothing makes no sense. Give one of percent_off, amount_cents, free_shipping",
            ),
            ("15, 14, gift='a bag'", "that gives several things makes no sense. Give one of percent_off, amount_cents"),
            (
                "percent_off=15",
                "with no end makes no sense. Give one of valid_days=14 and valid_for=timedelta(hours=24)",
            ),
            (
                "15, 14, valid_for=pendulum.duration(hours=1)",
                "with valid_days and valid_for makes no sense. Give one of",
            ),
            (
                "15, valid_for=pendulum.duration(seconds=59)",
                "valid_for=Duration(seconds=59) makes no sense. Give whole",
            ),
            ("15, valid_for=24", "valid_for=24 makes no sense. Give whole seconds, from a minute to 3660 days"),
            (
                "amount_cents=500, valid_days=14",
                "currency=None makes no sense. Give three capitals, as in currency='USD'",
            ),
            ("amount_cents=0, currency='USD', valid_days=14", "amount_cents=0 makes no sense. Give a whole number of"),
            ("15, 14, currency='USD'", "currency='USD' makes no sense. It belongs to amount_cents; leave it out"),
            ("gift=' ', valid_days=14", "gift=' ' makes no sense. Name the thing, as in gift='a tote bag'"),
            ("free_shipping='yes', valid_days=14", "free_shipping='yes' makes no sense. Give True, or leave it out"),
            ("15, 14, pool='Spring Sale'", "pool='Spring Sale' makes no sense. Use small letters, digits and _"),
        )
    ),
    pytest.param(
        {"goal": 'Goal("all.sql", within_days=0)'},
        "Journey 'hello' has a goal within_days=0. Give a number of days from 1 to 365.",
        id="a goal within no days",
    ),
    pytest.param(
        {"entry": '"always"'},
        "Journey 'hello' has entry='always'. Give \"none\" or \"at_their_age\".",
        id="an entry policy nobody knows",
    ),
    pytest.param(
        {"ends_with": 'Suppress("all.sql", channel="push", reason="sunset")'},
        "Journey 'hello' ends with the channel 'push'. Give \"email\" or \"sms\".",
        id="a channel nobody knows",
    ),
    pytest.param(
        {"ends_with": 'Suppress("all.sql", channel="sms", reason="unsubscribed")'},
        "Journey 'hello' ends with the reason 'unsubscribed'. Give a short word of your own, such as \"sunset\".",
        id="an end that poses as a refusal",
    ),
]


@pytest.mark.parametrize(("changes", "line"), MISTAKES)
def test_a_mistake_is_one_line_with_file_line_and_hint(
    project: ProjectBuilder, changes: dict[str, str], line: str
) -> None:
    said = mistake(project, declared(**changes))
    assert said.startswith(f"dags/hello.py:{LINE}: ")
    assert line in said
    assert "\n" not in said


def test_a_link_out_of_the_folder_is_refused(project: ProjectBuilder) -> None:
    (project.folder / FOLDER / "out.sql").symlink_to("/etc/passwd")
    assert "'out.sql' leaves the folder" in mistake(project, declared(step_segment='"out.sql"'))


def test_a_journey_is_named_like_its_file(project: ProjectBuilder) -> None:
    project.segment("goodbye", "all")
    project.template("goodbye", "greet.sms.j2", "Bye")
    said = mistake(project, declared(name='"goodbye"'))
    assert said == (
        f"dags/hello.py:{LINE}: Journey 'goodbye' lives in hello.py. Name the file goodbye.py, or the journey 'hello'."
    )


@pytest.mark.parametrize(
    ("declaration", "said"),
    [
        (declared(holdout_percnt="5"), "unexpected keyword argument 'holdout_percnt'"),
        (declared(step_sgment='"all.sql"'), "unexpected keyword argument 'sgment'"),
        ("Journey()", "missing 2 required positional arguments"),
        ("Jorney()", "NameError: name 'Jorney' is not defined"),
        ("Journey(", "Not valid Python: '(' was never closed"),
        ("exit(3)", "SystemExit: 3"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ('"no journey"', "AttributeError: 'str' object has no attribute 'name'"),
    ],
)
def test_a_mistake_of_python_is_one_line_too(project: ProjectBuilder, declaration: str, said: str) -> None:
    line = mistake(project, declaration)
    assert line.startswith(f"dags/hello.py:{LINE}: ") or "AttributeError" in line
    assert said in line
    assert "\n" not in line


def test_a_journey_outside_a_dag_is_refused(project: ProjectBuilder) -> None:
    text = (project.folder / "dags/hello.py").read_text()
    project.write("dags/hello.py", text.split("with DAG(")[0])
    with pytest.raises(LifecycleError, match=r"hello\.py:11: The journey has no tasks in a Dag\. Write: with DAG"):
        journeys.load("hello")


def test_a_dag_file_that_says_nothing_of_a_journey_is_none(project: ProjectBuilder) -> None:
    project.write("dags/deferred_messages.py", "from lifecycle import DAG_DEFAULTS, add_deferred_sending\n")
    assert "hello" in journeys.names()
    assert "deferred_messages" not in journeys.names()


def test_a_wrong_zone_or_time_of_day_is_refused(project: ProjectBuilder) -> None:
    text = (project.folder / "dags/hello.py").read_text()
    project.write("dags/hello.py", text.replace('tz="Europe/London")', 'tz="Europe/Londn")', 1))
    with pytest.raises(LifecycleError, match=r"There is no time zone 'Europe/Londn'\. Did you mean 'Europe/London'"):
        journeys.load("hello")
    project.write("dags/hello.py", text.replace('"10:00"', '"25:00"'))
    with pytest.raises(LifecycleError, match=r"daily\('25:00'\) is not a time of day"):
        journeys.load("hello")


def test_other_journeys_are_unaffected_by_a_broken_one(project: ProjectBuilder, database_url: str) -> None:
    project.dag("hello", declared(holdout_percent="99"))
    project.sms_journey("goodbye")
    found = [str(problem) for problem in checks.problems()]
    assert found == [f"dags/hello.py:{LINE}: Journey 'hello' has holdout_percent=99. Give a whole number from 0 to 50."]
    assert journeys.load("reactivation").journey.name == "reactivation"
    assert checks.problems("goodbye") == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("helo/greet", "There is no journey 'helo'. Did you mean 'hello'."),
        ("zzz/greet", "There is no journey 'zzz'. Known: hello, reactivation."),
        ("../hello/greet", "There is no journey '..'. Known: hello, reactivation."),
        ("hello/gret", f"dags/hello.py:{LINE}: There is no step 'gret'. Did you mean 'greet'."),
        ("hello", "'hello' names no step. Write one of: hello/greet."),
    ],
)
def test_a_name_that_does_not_exist_is_answered_with_the_nearest(project: ProjectBuilder, path: str, said: str) -> None:
    with pytest.raises(LifecycleError) as error:
        journeys.load_step(path)
    assert str(error.value) == said


def test_a_declaration_in_a_test_names_the_test(project: ProjectBuilder) -> None:
    with pytest.raises(LifecycleError) as error:
        Journey("hello", [Step("greet", "all.sql", Sms("greet"), Voucher(percent_off=500, valid_days=1))])
    assert error.value.file.endswith("test_journey.py")
    assert error.value.line is not None


def test_a_lateness_may_be_a_duration_of_pendulum() -> None:
    """It is a timedelta, as Dag files have it at hand."""
    import pendulum

    assert Step("a", segment="a.sql", message=Sms("a"), max_lateness=pendulum.duration(days=2)).max_lateness.days == 2
    with pytest.raises(LifecycleError, match="max_lateness"):
        Step("a", segment="a.sql", message=Sms("a"), max_lateness=pendulum.duration(hours=36))
