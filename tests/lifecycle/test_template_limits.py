"""Templates that would keep a machine busy or fill its memory end at once, and those of every day do not notice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.lifecycle.test_rendering import project as project
from tests.lifecycle.test_rendering import sms
from tests.project_builder import ProjectBuilder

from lifecycle import rendering, template_limits
from lifecycle.rendering import UnrenderableError

BOMBS = {
    "loops in loops": ("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}", "rounds of loops"),
    "a loop that prints": ("{% for i in range(99999) %}x{% endfor %}", "rounds of loops"),
    "a macro that calls itself twice": (
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}", "rounds of loops"),
    "a macro that never ends": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
    "a text times a number": ("{{ 'x' * 9999999999 }}", "more than 200000 places"),
    "a list times a number": ("{{ ([1] * 9999999999) | length }}", "more than 200000 places"),
    "a power": ("{{ 9 ** 999999999 }}", "a number that is too large"),
    "squares of squares": (
        "{% set n = namespace(x=9) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}", "a number that is"),
    "doubling by ~": (
        "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}", "more than 200000"),
    "doubling by +": (
        "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}", "more than 200000"),
    "doubling by printing": (
        "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}",
        "longer than 200000 bytes"),
    "a padded number": ("{{ '%999999999d' % 1 }}", "a format that pads"),
    "a padded number by a filter": ("{{ '%999999999d' | format(1) }}", "a format that pads"),
    "a padded text": ("{{ '{:>999999999}'.format(1) }}", "a format that pads"),
    "a centred text": ("{{ 'x' | center(999999999) }}", "a number above 1000"),
    "a centred text by a method": ("{{ 'x'.center(999999999) }}", "a number above 1000"),
    "an indented text": ("{{ 'x' | indent(999999999, true) }}", "a number above 1000"),
    "a text in place of each letter": ("{{ ('x' * 90000).replace('x', 'x' * 90000) }}", "more than 200000"),
    "the same by a filter": ("{{ ('x' * 90000) | replace('x', 'x' * 90000) }}", "more than 200000"),
    "a text between many": ("{{ range(90000) | list | join('x' * 90000) }}", "more than 200000"),
    "words without end": ("{{ lipsum(99999) }}", "'lipsum' is undefined"),
}  # fmt: skip


@pytest.mark.parametrize(("template", "said"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_one_line_and_takes_no_time(project: ProjectBuilder, template: str, said: str) -> None:
    # The first one loads Airflow.
    assert sms(project, "Hi") == "Hi"
    started = time.process_time()
    with pytest.raises(UnrenderableError) as error:
        sms(project, template)
    assert str(error.value).startswith("hello/greet.sms.j2: ")
    assert said in str(error.value)
    # Defused, each takes milliseconds; going off, minutes or all memory.
    assert time.process_time() - started < 10


def test_each_rendering_has_its_own_budget(project: ProjectBuilder) -> None:
    words = "{% for i in range(6000) %}{% endfor %}Hi"
    assert [sms(project, words) for _ in range(3)] == ["Hi"] * 3


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{% for i in range(3) %}{{ loop.index }} of {{ loop.length }}{{ '' if loop.last else ', ' }}{% endfor %}",
         "1 of 3, 2 of 3, 3 of 3"),
        ("{% for i in [] %}x{% else %}none{% endfor %}", "none"),
        ("{% for key, value in {'a': 1}.items() if value %}{{ key }}{{ value }}{% endfor %}", "a1"),
        ("{{ 2 * 3 + 4 ** 2 }} {{ '-' * 3 }} {{ 7 % 4 }} {{ '%s!' % 'a' }}", "22 --- 3 a!"),
        ("{{ 'a' ~ 1 ~ 'b' }} {{ ['a', 'b'] | join(', ') }} {{ 'abc' | replace('b', 'x') }} {{ 'abc'.replace('b', '') }}",
         "a1b a, b axc ac"),
        ("{{ '%.2f' | format(1.5) }} {{ '{:.1f}'.format(2.25) }} {{ 'x' | center(3) }}", "1.50 2.2 x"),
        ("{% macro cents(amount) %}{{ amount / 100 }}{% endmacro %}{{ cents(1250000) }}", "12500.0"),
    ],
)  # fmt: skip
def test_templates_of_every_day_do_not_notice(project: ProjectBuilder, template: str, text: str) -> None:
    assert sms(project, template) == text


def test_a_text_in_html_stays_escaped(project: ProjectBuilder, tmp_path: Path) -> None:
    project.template(
        "pages", "mine.html.j2", "{{ '<b>' ~ sign }}{{ [sign] | join('<') }}{{ sign | replace('x', '<') }}"
    )
    assert rendering.render_page("pages/mine.html", {"sign": "<x"}) == "&lt;b&gt;&lt;x&lt;x&lt;&lt;"


def test_both_modules_mean_the_same_size() -> None:
    assert template_limits.MAX_BYTES == rendering.MAX_BYTES
