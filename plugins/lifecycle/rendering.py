"""Rendering: a template and a person become the words of a message (C-01, C-02).

Templates run in Jinja's immutable sandbox; an unknown variable is an error and so is an empty value that is printed,
so nobody ever reads "Hi None". HTML is escaped, text and SMS are not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle import links, settings, sms
from lifecycle.errors import LifecycleError
from lifecycle.journey import Sms, unknown_name
from lifecycle.vouchers import IssuedVoucher

if TYPE_CHECKING:
    from jinja2 import Environment, Template, Undefined, nodes
    from jinja2.runtime import Context

    from lifecycle.journey import Journey, Step

# As in `template_limits`, which loads Jinja.
MAX_BYTES = 200_000
# With or without the mark that some editors put in front; in an SMS it would double the price.
_ENCODING = "utf-8-sig"
_FRONT_MATTER = re.compile(r"\A---\n(?P<lines>.*?\n)---\n", re.DOTALL)


# In Japanese no space stands around it.
_STOP = re.compile("(?<![A-Za-z])STOP(?![A-Za-z])")
_ADDRESS = re.compile(r"https?://[^\s\"'<>)]+|(?:javascript|vbscript|data):[^\s\"'<>)]{0,40}", re.IGNORECASE)


class UnrenderableError(Exception):
    """A template does not work for one person; the text names the template's mistake, never the person."""


# Not frozen: a frozen one takes four times as long to make, and one is made for every message. Templates cannot set fields.
@dataclass(slots=True)
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


@dataclass(slots=True)
class Recipient:
    """Everything one message is rendered from. `as_of` is in the journey's zone; `variables` are segment columns.

    `may_offer` says whether the person wants marketing on the message's channel (A-12).
    """

    message_id: str
    customer: Customer
    as_of: datetime
    variables: dict[str, Any] = field(default_factory=dict)
    voucher: IssuedVoucher | None = None
    # The code of the customer's link for friends, when the template prints that.
    referral_key: str | None = None
    may_offer: bool = True


@dataclass(frozen=True)
class RenderedMessage:
    """The words of a message and the names of the links they use. An SMS has only `text`."""

    text: str
    link_names: frozenset[str]
    subject: str = ""
    html: str = ""


BASE_VARIABLES = {
    "customer",
    "voucher",
    "as_of",
    "link",
    "referral_link",
    "unsubscribe_url",
    "sender_name",
    "postal_address",
    "locale",
    "may_offer",
}
_OPTIONAL_FIELDS = {entry.name for entry in fields(Customer)} - {"customer_id"}
KNOWN_FIELDS = {
    "customer": {entry.name for entry in fields(Customer)},
    "voucher": {entry.name for entry in fields(IssuedVoucher)},
}
_RECORD_FIELDS = {record: {entry.name for entry in fields(record)} for record in (Customer, IssuedVoucher)}


def render(journey: Journey, step: Step, recipient: Recipient) -> RenderedMessage:
    """The message of a step for one person.

    Raises:
        UnrenderableError: the template asks for something this person does not have.
    """
    if step.message.channel == "sms":
        text, codes = SmsPrinter(journey, step).printed(recipient)
        return RenderedMessage(text=text, link_names=frozenset(codes))
    used: set[str] = set()
    shared = shared_values(journey.name)
    values = message_values(shared, recipient, shared.url_of(recipient.message_id, used))
    email = email_templates(f"{journey.name}/{step.message.template}", recipient.customer.locale)
    html, text = _render(email.page, values), _render(email.text, values)
    subject = one_line(email.subject, values)
    # Last, because each of the three may ask for links.
    return RenderedMessage(text=text, link_names=frozenset(used), subject=subject, html=html)


class SmsPrinter:
    """Prints the SMS of a step for one person after the other; files and settings are read once for all of them."""

    def __init__(self, journey: Journey, step: Step) -> None:
        self._stem = f"{journey.name}/{step.message.template}"
        self._shared = shared_values(journey.name)
        self._pinned = pinned_environment()
        self._make_code = links.code_maker()
        self._templates: dict[str | None, Template] = {}
        # Media have a price of their own, whatever the words.
        self._max_parts = step.message.max_parts if isinstance(step.message, Sms) and not step.message.media else None

    def printed(self, recipient: Recipient) -> tuple[str, dict[str, str]]:
        """The text, and by name the codes of the links it uses.

        Raises:
            UnrenderableError: the template asks for something this person does not have.
        """
        codes: dict[str, str] = {}

        def url(name: str) -> str:
            if name not in codes:
                codes[name] = self._make_code(recipient.message_id, name)
            return f"{links.prefix(name, self._shared.base_url)}{codes[name]}"

        locale = recipient.customer.locale
        if locale not in self._templates:
            self._templates[locale] = template_for(self._stem, ".sms.j2", locale, pinned=self._pinned)
        text = one_line(self._templates[locale], message_values(self._shared, recipient, url))
        self._require_affordable(text)
        return text, codes

    def _require_affordable(self, text: str) -> None:
        # No letter takes more than two units: most messages need not be measured.
        if self._max_parts is None or 2 * len(text) <= sms.JOINED_PART_UNITS["UCS-2"] * self._max_parts:
            return
        parts = sms.measure(text).parts
        if parts > self._max_parts:
            raise UnrenderableError(f"{self._stem}: {parts} SMS parts, and max_parts is {self._max_parts}")


def render_page(name: str, values: dict[str, Any], locale: str | None = None) -> str:
    """A web page of the receiver, such as a landing page, by its path below `include/templates` without `.j2`."""
    stem, suffix = name.split(".", 1)
    return _render(template_for(stem, f".{suffix}.j2", locale), values)


def template_for(stem: str, suffix: str, locale: str | None, *, pinned: Environment | None = None) -> Template:
    """The template in the person's language when there is one: `survey.ja.sms.j2` beats `survey.sms.j2`."""
    from jinja2 import TemplateError

    folder = settings.templates_folder()
    used = pinned or environment(folder)
    names = [f"{stem}.{tag}{suffix}" for tag in _locale_tags(locale)] + [f"{stem}{suffix}"]
    name = next((name for name in names if (folder / name).is_file()), names[-1])
    try:
        return used.get_template(name)
    except (TemplateError, UnicodeDecodeError) as error:
        raise template_error(error, folder / name) from None


def pinned_environment() -> Environment:
    """The environment with all templates as they are now: it does not look for newer ones, which saves many messages time."""
    folder = settings.templates_folder()
    return _environment_of(folder, tuple(sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*.j2"))))


@lru_cache(maxsize=4)
def _environment_of(folder: Path, versions: tuple[tuple[str, int], ...]) -> Environment:
    return environment(folder).overlay(auto_reload=False)


@dataclass(frozen=True)
class EmailTemplates:
    """The three templates of an email in one language."""

    page: Template
    text: Template
    subject: Template
    subject_line: str


def email_templates(stem: str, locale: str | None, *, pinned: Environment | None = None) -> EmailTemplates:
    """The templates of an email for a person of that language."""
    from jinja2 import TemplateError

    page = template_for(stem, ".email.html.j2", locale, pinned=pinned)
    text = template_for(stem, ".email.txt.j2", locale, pinned=pinned)
    file = Path(str(page.filename))
    try:
        line = front_matter(_source(file))["subject"]
        subject = _subject_template(settings.templates_folder(), line)
    except TemplateError as error:
        raise template_error(error, file) from None
    return EmailTemplates(page, text, subject, line)


@lru_cache(maxsize=256)
def _subject_template(folder: Path, line: str) -> Template:
    # A subject is a header, not HTML: not escaped, and on one line whatever a name contains.
    return environment(folder).from_string(line)


def template_sha(journey: Journey, step: Step) -> str:
    """A fingerprint of every file a step's message is made of, so that a sent message names its words' version."""
    folder = settings.templates_folder()
    files = sorted((folder / journey.name).glob(f"{step.message.template}.*")) + sorted((folder / "layouts").glob("*"))
    digest = hashlib.sha256()
    for path in filter(Path.is_file, files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def check_templates(
    journey: Journey, step: Step, columns: Collection[str], lists: Mapping[str, Collection[str]] | None = None
) -> None:
    """Refuse templates that cannot work for everybody: bad syntax, unknown names or fields, unknown links.

    `columns` are the segment's; `lists` says what the items of each list have.

    Raises:
        LifecycleError: the first mistake, with file, line and hint.
    """
    known = BASE_VARIABLES | set(columns) | set(lists or ())
    for path in template_variants(journey, step):
        _check_template(path, journey, known, step.voucher.printable if step.voucher else frozenset(), lists or {})
        if journey.kind == "marketing" or _offers(path):
            _require_way_out(path)
    for address in step.message.media_urls if isinstance(step.message, Sms) else ():
        try:
            links.require_known_host(address)
        except LifecycleError as error:
            raise LifecycleError(error.what, hint=error.hint, file=journey.file, line=journey.line) from None


def prints(journey: Journey, step: Step, name: str) -> bool:
    """Whether any template of a step, or what it is built on, asks for a variable."""
    return name in _asked_for(pinned_environment(), tuple(template_variants(journey, step)))


def asks_for(template: Template, name: str) -> bool:
    """Whether a template, or what it is built on, asks for a variable."""
    return name in _asked_for(pinned_environment(), (Path(str(template.filename)),))


# The environment is another one as soon as a template is.
@lru_cache(maxsize=64)
def _asked_for(_: Environment, paths: tuple[Path, ...]) -> frozenset[str]:
    from jinja2 import meta

    trees = [tree for path in paths for _, tree in _with_layouts(path)]
    return frozenset[str]().union(*map(meta.find_undeclared_variables, trees))


def require_ready(journey: Journey, step: Step) -> None:
    """Make sure that a step can be rendered at all, before anybody's message is claimed for it.

    Raises:
        LifecycleError: a template does not load, or nothing says where links lead to.
    """
    links.base_url()
    for path in template_variants(journey, step):
        for _ in _with_layouts(path):
            pass


def check_pages(journey: Journey) -> None:
    """Refuse landing pages that cannot work; a click on their link is all that a page knows (M-04).

    Raises:
        LifecycleError: the first mistake, with file, line and hint.
    """
    voucher_fields = frozenset[str]().union(*(step.voucher.printable for step in journey.steps if step.voucher))
    for path in sorted((settings.templates_folder() / journey.name).glob("*.page.html.j2")):
        _check_template(path, journey, BASE_VARIABLES | {"is_answered"}, voucher_fields, {})


def _check_template(
    path: Path,
    journey: Journey,
    known: set[str],
    voucher_fields: frozenset[str],
    lists: Mapping[str, Collection[str]],
) -> None:
    for file, tree in _with_layouts(path):
        _check_names(tree, file, known)
        _check_fields(tree, file, voucher_fields)
        _check_items(tree, file, lists)
        _check_links(tree, file, journey)
        _check_addresses(tree, file)


def _offers(path: Path) -> bool:
    """Whether a message about an order fills the block that only those read who want offers (A-12)."""
    from jinja2 import nodes

    blocks = (block for _, tree in _with_layouts(path) for block in tree.find_all(nodes.Block))
    return any(block.name == "offer" and block.body for block in blocks)


def _require_way_out(path: Path) -> None:
    """Refuse marketing that nobody can refuse: an email without the unsubscribe page, an SMS without STOP (H-08)."""
    from jinja2 import nodes

    trees = [tree for _, tree in _with_layouts(path)]
    if any(name.name == "unsubscribe_url" for tree in trees for name in tree.find_all(nodes.Name)):
        return
    is_sms = path.name.endswith(".sms.j2")
    if is_sms and any(_STOP.search(words.data) for tree in trees for words in tree.find_all(nodes.TemplateData)):
        return
    what, layout = (
        ("word STOP", "sms") if is_sms else ("unsubscribe_url", path.name.split(".", 1)[1].removesuffix(".j2"))
    )
    hint = f'Start it with {{% extends "layouts/marketing.{layout}.j2" %}}, or print it yourself'
    raise LifecycleError(f"The message has no way out: there is no {what}", hint=hint, file=path, line=1)


def _with_layouts(path: Path) -> Iterator[tuple[Path, nodes.Template]]:
    """A template and everything it extends, includes or imports, each once."""
    from jinja2 import TemplateError, meta

    folder = settings.templates_folder()
    waiting, seen = [str(path.relative_to(folder))], set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        _require_sane_size(folder / name)
        try:
            environment(folder).get_template(name)
            tree = environment(folder).parse((folder / name).read_text(encoding=_ENCODING))
        except (TemplateError, UnicodeDecodeError) as error:
            # A layout that is missing is the mistake of the file that names it.
            raise template_error(error, folder / name if (folder / name).is_file() else path) from None
        yield folder / name, tree
        named = [found for found in meta.find_referenced_templates(tree) if found]
        if name in named:
            raise LifecycleError(f"{name} contains itself", hint="Name another file", file=folder / name, line=1)
        waiting += [found for found in named if found not in seen]


def _require_sane_size(path: Path) -> None:
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        hint = "Link to pictures instead of writing them into the template"
        raise LifecycleError(f"Template: longer than {MAX_BYTES} bytes", hint=hint, file=path)


def template_variants(journey: Journey, step: Step) -> list[Path]:
    """Every file of a step's message, the required ones and the locale variants; a missing subject is refused."""
    folder = settings.templates_folder() / journey.name
    found: list[Path] = []
    for suffix in step.message.suffixes:
        found += sorted(folder.glob(f"{step.message.template}{suffix}")) + sorted(
            folder.glob(f"{step.message.template}.*{suffix}")
        )
    for path in found:
        if path.name.endswith(".email.html.j2") and not front_matter(_source(path)).get("subject"):
            raise LifecycleError(
                "The email has no subject", hint="Start the file with ---, subject: ..., ---", file=path, line=1
            )
    return found


def _source(path: Path) -> str:
    try:
        return path.read_text(encoding=_ENCODING)
    except UnicodeDecodeError as error:
        raise template_error(error, path) from None


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
    if isinstance(error, UnicodeDecodeError):
        line = error.object[: error.start].count(b"\n") + 1
        return LifecycleError("Template: not UTF-8", hint="Save it as UTF-8", file=path, line=line)
    if isinstance(error, TemplateNotFound):
        return LifecycleError(f"Template: {error.name} does not exist", hint="Create it or correct the name", file=path)
    return LifecycleError(f"Template: {error}", hint="Mend the template", file=path)


@lru_cache(maxsize=4)
def environment(folder: Path) -> Environment:
    """The sandboxed Jinja environment of a template folder."""
    from jinja2 import FileSystemLoader, StrictUndefined

    from lifecycle.template_limits import LimitedEnvironment

    class NeverNone(LimitedEnvironment):
        """Hands templates `Empty` for None, so that neither a filter nor `~` turns it into the word None."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            # Fields of our own records are safe, and asking costs more than all the rest of a short message.
            if attribute in _RECORD_FIELDS.get(type(obj), ()):
                return _or_empty(getattr(obj, attribute), attribute)
            return _or_empty(super().getattr(obj, attribute), attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            return _or_empty(super().getitem(obj, argument), argument)

    class FrontMatterLoader(FileSystemLoader):
        """Hides the front matter in a comment, so that line numbers stay true."""

        def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
            source, filename, is_fresh = super().get_source(environment, template)
            return _FRONT_MATTER.sub(_commented, source), filename, is_fresh

    made = NeverNone(
        loader=FrontMatterLoader(str(folder), encoding=_ENCODING),
        undefined=StrictUndefined,
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        finalize=_refuse_none,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    made.filters["day"] = _day
    made.filters["moment"] = _moment
    made.tests["none"] = lambda value: value is None or isinstance(value, _empty())
    return made


@lru_cache(maxsize=1)
def _empty() -> type[Undefined]:
    """What templates see instead of None: false in `if` and `or`, an error as soon as it would be printed."""
    from jinja2 import StrictUndefined

    class Empty(StrictUndefined):
        __slots__ = ()

        def __bool__(self) -> bool:
            return False

    return Empty


def _or_empty(value: Any, name: object) -> Any:
    return _empty()(f"{name} is empty; give it a fallback with `or`") if value is None else value


def _commented(match: re.Match[str]) -> str:
    return "{#" + "\n" * match[0].count("\n") + "#}"


def _refuse_none(value: Any) -> Any:
    if value is None:
        raise UnrenderableError("an empty value would be printed; give it a fallback with `or`")
    if isinstance(value, str) and len(value) > MAX_BYTES:
        raise UnrenderableError(f"longer than {MAX_BYTES} bytes")
    return value


def _day(value: datetime | date, locale: str = "en") -> str:
    """A day as people of a language write it: 5 March, 3月5日."""
    return _written_day(date(value.year, value.month, value.day), locale)


# A batch of messages prints the same few days again and again, and the first time takes longer than the whole message.
@lru_cache(maxsize=1024)
def _written_day(day: date, locale: str) -> str:
    from babel.dates import format_skeleton

    return format_skeleton("MMMMd", day, locale=locale)


def _moment(value: datetime, locale: str = "en") -> str:
    """A day and the time of the day: March 5, 18:30, 3月5日 18:30."""
    return _written_moment(value.replace(second=0, microsecond=0, tzinfo=None), locale)


@lru_cache(maxsize=1024)
def _written_moment(moment: datetime, locale: str) -> str:
    from babel.dates import format_skeleton, get_datetime_format

    day = _written_day(moment.date(), locale)
    return str(get_datetime_format("short", locale=locale)).format(format_skeleton("Hm", moment, locale=locale), day)


def message_values(shared: SharedValues, recipient: Recipient, url: Callable[[str], str]) -> dict[str, Any]:
    """Everything the templates of a message may use; `url` gives the address of a link by its name."""
    columns = {name: _or_empty(value, name) for name, value in recipient.variables.items()}
    return {**columns, **shared.of(recipient, url)}


def page_values(journey_name: str, recipient: Recipient, used: set[str]) -> dict[str, Any]:
    """What every template may use; the names of the links it asks for are added to `used`."""
    shared = shared_values(journey_name)
    return shared.of(recipient, shared.url_of(recipient.message_id, used))


@dataclass(frozen=True)
class SharedValues:
    """What the messages of a journey have in common, read once however many there are.

    `base_url` is where customers reach us; `known` holds the names of links that were found to lead somewhere.
    """

    journey_name: str
    sender_name: str
    postal_address: str
    base_url: str
    known: set[str] = field(default_factory=set, compare=False)

    def of(self, recipient: Recipient, url: Callable[[str], str]) -> dict[str, Any]:
        """What every template may use for one person; `url` gives the address of a link by its name."""

        def link(name: str) -> str:
            if name not in self.known:
                links.target(self.journey_name, name)
                self.known.add(name)
            return url(name) if links.is_shortened(name) else name

        return {
            "customer": recipient.customer,
            "voucher": recipient.voucher,
            "as_of": recipient.as_of,
            "locale": (_locale_tags(recipient.customer.locale) or ("en",))[-1],
            "link": link,
            "referral_link": self._referral_link(recipient),
            "unsubscribe_url": url(links.UNSUBSCRIBE),
            "may_offer": recipient.may_offer,
            "sender_name": self.sender_name,
            "postal_address": self.postal_address,
        }

    def _referral_link(self, recipient: Recipient) -> Any:
        key = recipient.referral_key
        return _or_empty(key and f"{self.base_url}/r/{key}", "referral_link")

    def url_of(self, message_id: str, used: set[str]) -> Callable[[str], str]:
        """The addresses of a message's links by name; the names asked for are added to `used`."""
        make_code = links.code_maker()

        def url(name: str) -> str:
            used.add(name)
            return f"{links.prefix(name, self.base_url)}{make_code(message_id, name)}"

        return url


def shared_values(journey_name: str) -> SharedValues:
    """What the messages of a journey have in common."""
    return SharedValues(journey_name, settings.sender_name(), settings.postal_address(), links.base_url())


def pieces(template: Template, values: dict[str, Any]) -> list[str]:
    """What a template prints for one person: its own constant texts and the personal ones, in order.

    Raises:
        UnrenderableError: the template asks for something this person does not have, or prints too much.
    """
    made = printed(template, context(template, values))
    require_length(template, made)
    return made


def printed(template: Template, its_context: Context) -> list[str]:
    """What a template prints in a context, however long that is.

    Raises:
        UnrenderableError: the template asks for something the context does not have.
    """
    from lifecycle import template_limits

    template_limits.start()
    try:
        return list(template.root_render_func(its_context))
    except UnrenderableError as error:
        raise UnrenderableError(f"{template.name}: {error}") from None
    except Exception as error:  # noqa: BLE001 - whatever a template does to one person harms nobody else
        raise UnrenderableError(f"{template.name}: {_without_values(error)}") from None


def context(template: Template, values: dict[str, Any]) -> Context:
    """What `template.new_context` makes, without reading the globals one by one: all templates have the same ones."""
    used = template.environment
    return used.context_class(used, {**used.globals, **values}, template.name, template.blocks)


def require_length(template: Template, made: list[str]) -> None:
    """Refuse what is too long to be sent.

    Raises:
        UnrenderableError: together they are longer than MAX_BYTES.
    """
    # A character takes four bytes at most, so that most messages need not be encoded to be measured.
    if sum(map(len, made)) * 4 > MAX_BYTES and len("".join(made).encode(errors="replace")) > MAX_BYTES:
        raise UnrenderableError(f"{template.name}: longer than {MAX_BYTES} bytes")


def _render(template: Template, values: dict[str, Any]) -> str:
    return "".join(pieces(template, values))


def one_line(template: Template, values: dict[str, Any]) -> str:
    """What a template prints, with every run of white space as one space."""
    return " ".join(_render(template, values).split())


def _without_values(error: Exception) -> str:
    """Jinja's own words name variables and attributes; those of other errors may quote a person's data."""
    from jinja2 import UndefinedError

    from lifecycle.template_limits import TooMuchWorkError

    quotes_nobody = (UndefinedError, LifecycleError, TooMuchWorkError)
    return str(error) if isinstance(error, quotes_nobody) else type(error).__name__


@lru_cache(maxsize=1024)
def _locale_tags(locale: str | None) -> tuple[str, ...]:
    if not locale:
        return ()
    tag = locale.replace("_", "-")
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", tag):
        return ()
    return tag, tag.split("-")[0].lower()


def _check_names(tree: nodes.Template, path: Path, known: set[str]) -> None:
    from jinja2 import meta, nodes

    unknown = meta.find_undeclared_variables(tree) - known - {"range", "namespace", "dict", "cycler", "joiner"}
    for node in tree.find_all(nodes.Name):
        if node.name in unknown:
            raise unknown_name("variable", node.name, sorted(known), file=path, line=node.lineno)


def _check_fields(tree: nodes.Template, path: Path, voucher_fields: frozenset[str]) -> None:
    from jinja2 import nodes

    for node in tree.find_all(nodes.Getattr):
        if not isinstance(node.node, nodes.Name) or node.node.name not in KNOWN_FIELDS:
            continue
        owner = node.node.name
        if owner == "voucher" and not voucher_fields:
            hint = "Add voucher=Voucher(...) to the step, or leave it out of the words"
            raise LifecycleError("The step gives no voucher", hint=hint, file=path, line=node.lineno)
        if node.attr not in KNOWN_FIELDS[owner]:
            raise unknown_name(f"{owner} field", node.attr, sorted(KNOWN_FIELDS[owner]), file=path, line=node.lineno)
        if owner == "voucher" and node.attr not in voucher_fields:
            hint = f"It gives {', '.join(sorted(voucher_fields))}"
            raise LifecycleError(f"The step's voucher has no {node.attr}", hint=hint, file=path, line=node.lineno)
    known_to_be_there = _asked_for_first(tree)
    for output in tree.find_all(nodes.Output):
        for node in output.nodes:
            for printed in _fields_printed(node):
                if printed.attr in _OPTIONAL_FIELDS and (id(output), printed.attr) not in known_to_be_there:
                    raise LifecycleError(
                        f"customer.{printed.attr} may be empty",
                        hint=f'Give it a fallback: {{{{ customer.{printed.attr} or "..." }}}}',
                        file=path,
                        line=printed.lineno,
                    )


def _check_items(tree: nodes.Template, path: Path, lists: Mapping[str, Collection[str]]) -> None:
    """Refuse `{% for item in recommendations %}` that prints what no item has."""
    from jinja2 import nodes

    for loop in tree.find_all(nodes.For):
        source = loop.iter.node if isinstance(loop.iter, nodes.Getitem) else loop.iter
        if not isinstance(source, nodes.Name) or source.name not in lists or not isinstance(loop.target, nodes.Name):
            continue
        has = sorted(lists[source.name])
        for node in loop.find_all(nodes.Getattr):
            if isinstance(node.node, nodes.Name) and node.node.name == loop.target.name and node.attr not in has:
                raise unknown_name(f"{source.name} field", node.attr, has, file=path, line=node.lineno)


def _asked_for_first(tree: nodes.Template) -> set[tuple[int, str]]:
    """The outputs inside `{% if customer.first_name %}` and the like, with the field that is there for sure."""
    from jinja2 import nodes

    found = set()
    for branch in tree.find_all(nodes.If):
        for asked in _fields_printed(branch.test):
            for inside in branch.body:
                outputs = [inside] if isinstance(inside, nodes.Output) else inside.find_all(nodes.Output)
                found |= {(id(output), asked.attr) for output in outputs}
    return found


def _fields_printed(node: nodes.Node) -> Iterator[nodes.Getattr]:
    """The customer's fields that an expression prints as they are, through a filter or glued together with `~`."""
    from jinja2 import nodes

    if isinstance(node, nodes.Concat):
        for part in node.nodes:
            yield from _fields_printed(part)
    elif isinstance(node, nodes.Filter) and node.name not in ("default", "d") and node.node:
        yield from _fields_printed(node.node)
    elif isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == "customer":
        yield node


def _check_addresses(tree: nodes.Template, path: Path) -> None:
    """Refuse addresses that are written out and lead nowhere we know: they cannot be counted, and may be anybody's."""
    from jinja2 import nodes

    for words in tree.find_all(nodes.TemplateData):
        for found in _ADDRESS.finditer(words.data):
            line = words.lineno + words.data[: found.start()].count("\n")
            if not found[0].lower().startswith("https:"):
                hint = 'Name the link in links.yaml and write link("name")'
                raise LifecycleError(f"{found[0]} is no https address", hint=hint, file=path, line=line)
            try:
                links.require_known_host(found[0])
            except LifecycleError as error:
                raise LifecycleError(error.what, hint=error.hint, file=path, line=line) from None


def _check_links(tree: nodes.Template, path: Path, journey: Journey) -> None:
    from jinja2 import nodes

    for node in tree.find_all(nodes.Call):
        if not isinstance(node.node, nodes.Name) or node.node.name != "link":
            continue
        first = node.args[0] if node.args else None
        if isinstance(first, nodes.Getattr) and first.attr == "url":
            continue
        if not isinstance(first, nodes.Const):
            what = 'link() takes one name, as in link("shop"), or the address of an item, as in link(item.url)'
            raise LifecycleError(what, file=path, line=node.lineno)
        try:
            links.target(journey.name, first.value)
        except LifecycleError as error:
            raise LifecycleError(error.what, hint=error.hint, file=path, line=node.lineno) from None
