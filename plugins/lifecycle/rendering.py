"""Rendering: a template and a person become the words of a message (C-01, C-02).

Templates run in Jinja's immutable sandbox; an unknown variable is an error and so is an empty value that is printed,
so nobody ever reads "Hi None". HTML is escaped, text and SMS are not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle import links, settings
from lifecycle.errors import LifecycleError
from lifecycle.journey import unknown_name
from lifecycle.vouchers import IssuedVoucher

if TYPE_CHECKING:
    from jinja2 import Environment, Template, nodes

    from lifecycle.journey import Journey, Step

MAX_BYTES = 200_000
_FRONT_MATTER = re.compile(r"\A---\n(?P<lines>.*?\n)---\n", re.DOTALL)


class UnrenderableError(Exception):
    """A template does not work for one person; the text names the template's mistake, never the person."""


@dataclass(frozen=True)
class Customer:
    """What a template may print about a person. Everything but the id may be empty."""

    customer_id: str
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    country: str | None = None
    city: str | None = None
    locale: str | None = None
    timezone: str | None = None
    birthday: date | None = None


@dataclass(frozen=True)
class Recipient:
    """Everything one message is rendered from. `as_of` is in the journey's zone; `variables` are segment columns."""

    message_id: str
    customer: Customer
    as_of: datetime
    variables: dict[str, Any] = field(default_factory=dict)
    voucher: IssuedVoucher | None = None


@dataclass(frozen=True)
class RenderedMessage:
    """The words of a message and the names of the links they use. An SMS has only `text`."""

    text: str
    link_names: frozenset[str]
    subject: str = ""
    html: str = ""


BASE_VARIABLES = {"customer", "voucher", "as_of", "link", "unsubscribe_url", "sender_name", "postal_address", "locale"}
_OPTIONAL_FIELDS = {entry.name for entry in fields(Customer)} - {"customer_id"}
_KNOWN_FIELDS = {
    "customer": {entry.name for entry in fields(Customer)},
    "voucher": {entry.name for entry in fields(IssuedVoucher)},
}


def render(journey: Journey, step: Step, recipient: Recipient) -> RenderedMessage:
    """The message of a step for one person.

    Raises:
        UnrenderableError: the template asks for something this person does not have.
    """
    used: set[str] = set()
    values = _values(journey, recipient, used)
    stem = f"{journey.name}/{step.message.template}"
    locale = recipient.customer.locale
    if step.message.channel == "sms":
        text = " ".join(_render(template_for(stem, ".sms.j2", locale), values).split())
        return RenderedMessage(text=text, link_names=frozenset(used))
    page = template_for(stem, ".email.html.j2", locale)
    html = _render(page, values)
    text = _render(template_for(stem, ".email.txt.j2", locale), values)
    return RenderedMessage(text=text, link_names=frozenset(used), subject=_subject(page, values), html=html)


def render_page(name: str, values: dict[str, Any], locale: str | None = None) -> str:
    """A web page of the receiver, such as a landing page, by its path below `include/templates` without `.j2`."""
    stem, suffix = name.split(".", 1)
    return _render(template_for(stem, f".{suffix}.j2", locale), values)


def template_for(stem: str, suffix: str, locale: str | None) -> Template:
    """The template in the person's language when there is one: `survey.ja.sms.j2` beats `survey.sms.j2`."""
    from jinja2 import TemplateError

    folder = settings.templates_folder()
    names = [f"{stem}.{tag}{suffix}" for tag in _locale_tags(locale)] + [f"{stem}{suffix}"]
    name = next((name for name in names if (folder / name).is_file()), names[-1])
    try:
        return environment(folder).get_template(name)
    except (TemplateError, UnicodeDecodeError) as error:
        raise template_error(error, folder / name) from None


def template_sha(journey: Journey, step: Step) -> str:
    """A fingerprint of every file a step's message is made of, so that a sent message names its words' version."""
    folder = settings.templates_folder()
    files = sorted((folder / journey.name).glob(f"{step.message.template}.*")) + sorted((folder / "layouts").glob("*"))
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def check_templates(journey: Journey, step: Step, columns: list[str]) -> None:
    """Refuse templates that cannot work for everybody: bad syntax, unknown names or fields, unknown links.

    Raises:
        LifecycleError: the first mistake, with file, line and hint. `columns` are the segment's.
    """
    from jinja2 import TemplateError

    folder = settings.templates_folder()
    known = BASE_VARIABLES | set(columns)
    for path in template_variants(journey, step):
        try:
            source = path.read_text(encoding="utf-8")
            tree = environment(folder).parse(source)
            environment(folder).get_template(str(path.relative_to(folder)))
        except (TemplateError, UnicodeDecodeError) as error:
            raise template_error(error, path) from None
        _check_names(tree, path, known)
        _check_fields(tree, path, has_voucher=step.voucher is not None)
        _check_links(tree, path, journey)


def template_variants(journey: Journey, step: Step) -> list[Path]:
    """Every file of a step's message, the required ones and the locale variants; a missing subject is refused."""
    folder = settings.templates_folder() / journey.name
    found: list[Path] = []
    for suffix in step.message.suffixes:
        found += sorted(folder.glob(f"{step.message.template}{suffix}")) + sorted(
            folder.glob(f"{step.message.template}.*{suffix}")
        )
    for path in found:
        if path.name.endswith(".email.html.j2") and "subject" not in front_matter(path.read_text(encoding="utf-8")):
            raise LifecycleError(
                "The email has no subject", hint="Start the file with ---, subject: ..., ---", file=path, line=1
            )
    return found


def front_matter(source: str) -> dict[str, str]:
    """The `name: value` lines between the two `---` at the top of an email template."""
    match = _FRONT_MATTER.match(source)
    lines = match["lines"].splitlines() if match else []
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def template_error(error: Exception, path: Path) -> LifecycleError:
    """What is wrong with a template, with its line."""
    from jinja2 import TemplateNotFound, TemplateSyntaxError

    if isinstance(error, TemplateSyntaxError):
        named = Path(error.filename) if error.filename else path
        return LifecycleError(f"Template: {error.message}", hint="Mend the template", file=named, line=error.lineno)
    if isinstance(error, TemplateNotFound):
        return LifecycleError(f"Template: {error.name} does not exist", hint="Create it or correct the name", file=path)
    return LifecycleError(f"Template: {error}", hint="Mend the template", file=path)


@lru_cache(maxsize=4)
def environment(folder: Path) -> Environment:
    """The sandboxed Jinja environment of a template folder."""
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class FrontMatterLoader(FileSystemLoader):
        """Hides the front matter in a comment, so that line numbers stay true."""

        def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
            source, filename, is_fresh = super().get_source(environment, template)
            return _FRONT_MATTER.sub(_commented, source), filename, is_fresh

    made = ImmutableSandboxedEnvironment(
        loader=FrontMatterLoader(str(folder)),
        undefined=StrictUndefined,
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        finalize=_refuse_none,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    made.filters["day"] = _day
    return made


def _commented(match: re.Match[str]) -> str:
    return "{#" + "\n" * match[0].count("\n") + "#}"


def _refuse_none(value: Any) -> Any:
    if value is None:
        raise UnrenderableError("an empty value would be printed; give it a fallback with `or`")
    return value


def _day(value: datetime | date, locale: str = "en") -> str:
    """A day as people of a language write it: 5 March, 3月5日."""
    from babel.dates import format_skeleton

    return format_skeleton("MMMMd", value, locale=locale, tzinfo=getattr(value, "tzinfo", None))


def _values(journey: Journey, recipient: Recipient, used: set[str]) -> dict[str, Any]:
    used.add(links.UNSUBSCRIBE)
    return {**recipient.variables, **page_values(journey.name, recipient, used)}


def page_values(journey_name: str, recipient: Recipient, used: set[str]) -> dict[str, Any]:
    """What every template may use; the names of the links it asks for are added to `used`."""

    def link(name: str) -> str:
        links.target(journey_name, name)
        used.add(name)
        return links.url(recipient.message_id, name)

    return {
        "customer": recipient.customer,
        "voucher": recipient.voucher,
        "as_of": recipient.as_of,
        "locale": (_locale_tags(recipient.customer.locale) or ["en"])[-1],
        "link": link,
        "unsubscribe_url": links.url(recipient.message_id, links.UNSUBSCRIBE),
        "sender_name": settings.sender_name(),
        "postal_address": settings.postal_address(),
    }


def _render(template: Template, values: dict[str, Any]) -> str:
    from jinja2 import TemplateError

    try:
        text = template.render(values)
    except (TemplateError, LifecycleError, TypeError, ValueError, ArithmeticError) as error:
        raise UnrenderableError(f"{template.name}: {_without_values(error)}") from None
    if len(text.encode()) > MAX_BYTES:
        raise UnrenderableError(f"{template.name}: longer than {MAX_BYTES} bytes")
    return text


def _without_values(error: Exception) -> str:
    """Jinja's own words name variables and attributes; those of other errors may quote a person's data."""
    from jinja2 import UndefinedError

    return str(error) if isinstance(error, (UndefinedError, LifecycleError)) else type(error).__name__


def _subject(page: Template, values: dict[str, Any]) -> str:
    source = Path(str(page.filename)).read_text(encoding="utf-8")
    # A subject is a header, not HTML: not escaped, and on one line whatever a name contains.
    line = environment(settings.templates_folder()).from_string(front_matter(source)["subject"])
    return " ".join(_render(line, values).split())


def _locale_tags(locale: str | None) -> list[str]:
    if not locale:
        return []
    tag = locale.replace("_", "-")
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", tag):
        return []
    return [tag, tag.split("-")[0].lower()]


def _check_names(tree: nodes.Template, path: Path, known: set[str]) -> None:
    from jinja2 import meta, nodes

    unknown = (
        meta.find_undeclared_variables(tree) - known - {"range", "namespace", "dict", "cycler", "joiner", "lipsum"}
    )
    for node in tree.find_all(nodes.Name):
        if node.name in unknown:
            raise unknown_name("variable", node.name, sorted(known), file=path, line=node.lineno)


def _check_fields(tree: nodes.Template, path: Path, *, has_voucher: bool) -> None:
    from jinja2 import nodes

    for node in tree.find_all(nodes.Getattr):
        if not isinstance(node.node, nodes.Name) or node.node.name not in _KNOWN_FIELDS:
            continue
        owner = node.node.name
        if owner == "voucher" and not has_voucher:
            hint = "Add voucher=Voucher(...) to the step, or leave it out of the words"
            raise LifecycleError("The step gives no voucher", hint=hint, file=path, line=node.lineno)
        if node.attr not in _KNOWN_FIELDS[owner]:
            raise unknown_name(f"{owner} field", node.attr, sorted(_KNOWN_FIELDS[owner]), file=path, line=node.lineno)
    for output in tree.find_all(nodes.Output):
        for node in output.nodes:
            if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == "customer":
                _check_has_fallback(node, path)


def _check_has_fallback(node: nodes.Getattr, path: Path) -> None:
    if node.attr in _OPTIONAL_FIELDS:
        raise LifecycleError(
            f"customer.{node.attr} may be empty",
            hint=f'Give it a fallback: {{{{ customer.{node.attr} or "..." }}}}',
            file=path,
            line=node.lineno,
        )


def _check_links(tree: nodes.Template, path: Path, journey: Journey) -> None:
    from jinja2 import nodes

    for node in tree.find_all(nodes.Call):
        if not isinstance(node.node, nodes.Name) or node.node.name != "link":
            continue
        first = node.args[0] if node.args else None
        if not isinstance(first, nodes.Const):
            raise LifecycleError('link() takes one name, as in link("shop")', file=path, line=node.lineno)
        try:
            links.target(journey.name, first.value)
        except LifecycleError as error:
            raise LifecycleError(error.what, hint=error.hint, file=path, line=node.lineno) from None
