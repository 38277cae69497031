"""Skeletons: a template taken apart into the words everybody reads and the places where a person's own words go.

Most of an email is the same for everybody, and most of the rest is the same for many. So the constant words are read
once, and what a place prints is remembered by the few values it depends on. The words are those that Jinja prints,
because every place is compiled and run by Jinja itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from markupsafe import escape

from lifecycle import links, rendering
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from jinja2 import Environment, Template, nodes
    from jinja2.runtime import Context

    from lifecycle.rendering import EmailTemplates, Recipient, SharedValues

# So many different people's words of one place are remembered, if they are short: names repeat, lists hardly ever do.
_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 200

# Branches with more constant words than this divide people; with less, each person's own words hold them.
_LONG_BRANCHES = 300

_RECORDS = ("customer", "voucher")
# What everybody's message has in common, and what differs from message to message and is never worth remembering.
_SHARED_NAMES = {"sender_name", "postal_address", "range", "dict"}
_OWN_NAMES = {"link", "referral_link", "unsubscribe_url", "cycler", "joiner", "namespace"}
_RANDOM_FILTERS = {"random"}
_NOT_ALONE = ("super", "self", "caller")
# What stands before the name of a segment's column among the leaves.
_COLUMN = "column "


class CannotTakeApartError(Exception):
    """The template does more than print words and choose between them; it is rendered as a whole."""


@dataclass(frozen=True, eq=False)
class Place:
    """Somewhere in a template where people may read different words.

    With `link_name` the words are the code of that link; otherwise `template` prints them, and they depend on what
    `leaves` names alone (None: on more than can be named). `field_name` is set where a field that is not empty is
    printed as it is.
    """

    link_name: str = ""
    template: Template | None = None
    leaves: tuple[str, ...] | None = None
    field_name: str = ""
    is_escaped: bool = False
    is_one_line: bool = False

    def words(self, person: Person) -> str:
        """What the person reads here.

        Raises:
            UnrenderableError: the template asks for something this person does not have.
        """
        assert self.template
        words = "".join(rendering.printed(self.template, person.context(self.template)))
        return " ".join(words.split()) if self.is_one_line else words


@dataclass
class _Choice:
    """An `if` with its `elif`s and its `else`: the branch of the first test that is true, or the last one."""

    tests: list[_Test]
    branches: list[_Parts]


_Parts: TypeAlias = "list[str | Place | _Choice]"


class _Printed:
    """Places whose words Jinja prints for each person anew."""

    def __init__(self, places: list[Place]) -> None:
        self._places = places

    def words(self, person: Person) -> list[str]:
        return [place.words(person) for place in self._places]


class _Remembered:
    """Places whose words depend on the same values: printed once for all people who have them in common."""

    def __init__(self, leaves: tuple[str, ...], places: list[Place]) -> None:
        self._key = _key_of(leaves)
        self._places = places
        self._known: dict[Any, list[str]] = {}

    def words(self, person: Person) -> list[str]:
        try:
            key = self._key(person.recipient)
        except AttributeError:
            # This person has no voucher, for example: let Jinja say what that means.
            return [place.words(person) for place in self._places]
        found = self._known.get(key)
        if found is None:
            found = [place.words(person) for place in self._places]
            if len(self._known) < _MOST_REMEMBERED and sum(map(len, found)) <= _LONGEST_REMEMBERED:
                self._known[key] = found
        return found


def _printer_of(place: Place) -> _Printed | _Remembered:
    return _Printed([place]) if place.leaves is None else _Remembered(place.leaves, [place])


class _Field:
    """A place that prints a field: a text that is there is printed as it is, and Jinja says what anything else means."""

    def __init__(self, place: Place) -> None:
        self._read = attrgetter(place.field_name)
        self._is_escaped = place.is_escaped
        self._otherwise = _printer_of(place)

    def words(self, person: Person) -> str:
        try:
            value = self._read(person.recipient)
        except AttributeError:
            value = None
        if type(value) is not str or not value:
            return self._otherwise.words(person)[0]
        return escape(value) if self._is_escaped else value


class _Test:
    """A place that prints a word when the test of an `if` is true, and nothing when it is not."""

    def __init__(self, place: Place) -> None:
        self._outcome = _printer_of(place)

    def is_true(self, person: Person) -> bool:
        return bool(self._outcome.words(person)[0])


class Frame:
    """What those read who take the same branches of a message: constant words, and numbers where their own words go."""

    def __init__(self, parts: list[list[str | Place]]) -> None:
        places = [part for its_parts in parts for part in its_parts if isinstance(part, Place)]
        links_first = [place for place in places if place.link_name]
        fields = [place for place in places if place.field_name]
        rest = [place for place in places if not place.link_name and not place.field_name]
        alone = [place for place in rest if place.leaves is None]
        alike: dict[tuple[str, ...], list[Place]] = {}
        for place in rest:
            if place.leaves is not None:
                alike.setdefault(place.leaves, []).append(place)
        self._link_names = [place.link_name for place in links_first]
        self._fields = [_Field(place) for place in fields]
        self._others = [*(_Remembered(leaves, its_places) for leaves, its_places in alike.items()), _Printed(alone)]
        in_order = [*links_first, *fields, *(place for group in alike.values() for place in group), *alone]
        numbers = {place: number for number, place in enumerate(in_order)}
        constant = "".join(part for its_parts in parts for part in its_parts if isinstance(part, str))
        self.constant_bytes = len(constant.encode(errors="replace"))
        self.parts: list[list[str | int]] = [
            [numbers[part] if isinstance(part, Place) else part for part in its_parts] for its_parts in parts
        ]

    def words(self, person: Person) -> list[str]:
        """A person's own words, in the order of their numbers.

        Raises:
            UnrenderableError: the template asks for something this person does not have.
        """
        words: list[str] = [person.code(name) for name in self._link_names]
        words += [field.words(person) for field in self._fields]
        for group in self._others:
            words += group.words(person)
        return words


class Person:
    """One recipient while their message is printed; `codes` holds by name the codes of the links it uses so far."""

    __slots__ = ("_contexts", "_make_code", "_shared", "codes", "recipient")

    def __init__(self, recipient: Recipient, shared: SharedValues, make_code: Callable[[str, str], str]) -> None:
        self.recipient = recipient
        self._shared = shared
        self._make_code = make_code
        self._contexts: dict[str | None, Context] = {}
        self.codes = {links.UNSUBSCRIBE: make_code(recipient.message_id, links.UNSUBSCRIBE)}

    def code(self, name: str) -> str:
        """The code of a link, which the message uses from now on."""
        found = self.codes.get(name)
        if found is None:
            found = self.codes[name] = self._make_code(self.recipient.message_id, name)
        return found

    def values(self) -> dict[str, Any]:
        """Everything the templates may use."""

        def url(name: str) -> str:
            return f"{links.prefix(name, self._shared.base_url)}{self.code(name)}"

        return rendering.message_values(self._shared, self.recipient, url)

    def context(self, template: Template) -> Context:
        """The values as Jinja takes them, made once for all places of a template, and only if one needs them."""
        found = self._contexts.get(template.name)
        if found is None:
            found = self._contexts[template.name] = rendering.context(template, self.values())
        return found


class Skeleton:
    """An email taken apart: subject, HTML and text."""

    def __init__(self, email: EmailTemplates, shared: SharedValues) -> None:
        """Take an email apart.

        Raises:
            CannotTakeApartError: a template does more than print words and choose between them.
        """
        self._parts = [
            [_of_line(email.subject, email.subject_line)],
            list(_Workbench(email.page.environment, shared).parts_of(str(email.page.name))),
            list(_Workbench(email.text.environment, shared).parts_of(str(email.text.name))),
        ]
        self._has_choices = any(isinstance(part, _Choice) for parts in self._parts for part in parts)
        self._frames: dict[tuple[int, ...], Frame] = {}

    def frame(self, person: Person) -> Frame:
        """The words along the branches that a person takes; one object for all who take the same ones.

        Raises:
            UnrenderableError: a test asks for something this person does not have.
        """
        branches: tuple[int, ...] = ()
        if self._has_choices:
            branches = tuple(taken for parts in self._parts for taken in _taken(parts, person))
        if branches not in self._frames:
            left = iter(branches)
            self._frames[branches] = Frame([list(_along(parts, left)) for parts in self._parts])
        return self._frames[branches]


@lru_cache(maxsize=64)
def taken_apart(email: EmailTemplates, shared: SharedValues) -> Skeleton | None:
    """The skeleton of an email, or None when its templates do more than a skeleton can."""
    try:
        return Skeleton(email, shared)
    except (CannotTakeApartError, RecursionError):
        return None


def _of_line(template: Template, line: str) -> Place:
    """A template of one line; white space in it becomes one space each."""
    return Place(template=template, leaves=_leaves(template.environment.parse(line)), is_one_line=True)


def _taken(parts: _Parts, person: Person) -> Iterator[int]:
    for part in parts:
        if isinstance(part, _Choice):
            tests = enumerate(part.tests)
            taken = next((index for index, test in tests if test.is_true(person)), len(part.tests))
            yield taken
            yield from _taken(part.branches[taken], person)


def _along(parts: _Parts, branches: Iterator[int]) -> Iterator[str | Place]:
    for part in parts:
        if isinstance(part, _Choice):
            yield from _along(part.branches[next(branches)], branches)
        else:
            yield part


class _Workbench:
    """Takes templates apart: follows `extends`, `block` and `include`, and compiles each place by itself."""

    def __init__(self, environment: Environment, shared: SharedValues) -> None:
        self._environment = environment
        self._shared = shared

    def parts_of(self, name: str, blocks: dict[str, tuple[str, nodes.Block]] | None = None) -> Iterator[Any]:
        """The parts of a template; `blocks` are those that templates extending it put in place of its own."""
        from jinja2 import TemplateError, nodes

        try:
            assert self._environment.loader
            source, _, _ = self._environment.loader.get_source(self._environment, name)
            tree = self._environment.parse(source, name)
        except (TemplateError, UnicodeDecodeError):
            raise CannotTakeApartError from None
        known = {block.name: (name, block) for block in tree.find_all(nodes.Block)} | (blocks or {})
        extends = [index for index, node in enumerate(tree.body) if isinstance(node, nodes.Extends)]
        if not extends:
            yield from self._parts(tree.body, name, known)
            return
        # What stands after `extends` is printed nowhere unless it is a block.
        yield from self._parts(tree.body[: extends[0]], name, known)
        for node in tree.body[extends[0] + 1 :]:
            if not isinstance(node, (nodes.Output, nodes.Block)):
                raise CannotTakeApartError
        extended: Any = tree.body[extends[0]]
        yield from self.parts_of(_constant(extended.template), known)

    def _parts(self, body: list[nodes.Node], owner: str, blocks: dict[str, tuple[str, nodes.Block]]) -> Iterator[Any]:
        from jinja2 import nodes

        for node in body:
            if isinstance(node, nodes.Output):
                for printed in node.nodes:
                    yield from self._printed(printed, owner)
            elif isinstance(node, nodes.Block):
                of_template, block = blocks[node.name]
                yield from self._parts(block.body, of_template, blocks)
            elif isinstance(node, nodes.Include) and node.with_context and not node.ignore_missing:
                yield from self.parts_of(_constant(node.template))
            elif isinstance(node, nodes.If) and _is_long(node):
                yield self._choice(node, owner, blocks)
            elif (isinstance(node, nodes.If) and not node.find(nodes.Block)) or isinstance(node, nodes.For):
                yield self._place(node, owner)
            else:
                raise CannotTakeApartError

    def _choice(self, node: nodes.If, owner: str, blocks: dict[str, tuple[str, nodes.Block]]) -> _Choice:
        from jinja2 import nodes

        tests, branches = [], []
        for branch in (node, *node.elif_):
            # Printed as a word or as nothing, so that it can be remembered like any other place.
            test = nodes.CondExpr(branch.test, nodes.Const("true"), nodes.Const(""), lineno=branch.lineno)
            tests.append(_Test(self._place(nodes.Output([test], lineno=branch.lineno), owner)))
            branches.append(list(self._parts(branch.body, owner, blocks)))
        branches.append(list(self._parts(node.else_, owner, blocks)))
        return _Choice(tests, branches)

    def _printed(self, node: nodes.Node, owner: str) -> Iterator[str | Place]:
        from jinja2 import nodes

        if isinstance(node, nodes.TemplateData):
            yield node.data
            return
        link_name = _link_name(node)
        if not link_name:
            yield self._place(nodes.Output([node], lineno=node.lineno), owner, _field_name(node))
            return
        try:
            links.target(self._shared.journey_name, link_name) if link_name != links.UNSUBSCRIBE else None
        except LifecycleError:
            raise CannotTakeApartError from None
        yield self._as_printed(links.prefix(link_name, self._shared.base_url), owner)
        yield Place(link_name=link_name)

    def _as_printed(self, words: str, owner: str) -> str:
        return str(escape(words)) if self._escapes(owner) else words

    def _escapes(self, owner: str) -> bool:
        choose = self._environment.autoescape
        return choose(owner) if callable(choose) else choose

    def _place(self, node: nodes.Node, owner: str, field_name: str = "") -> Place:
        from jinja2 import Template, nodes

        tree = nodes.Template([node], lineno=1)
        tree.set_environment(self._environment)
        if any(found.name in _NOT_ALONE for found in tree.find_all(nodes.Name)) or tree.find(nodes.Block):
            raise CannotTakeApartError
        leaves = _leaves(tree)
        code = self._environment.compile(tree, owner, owner)
        template = Template.from_code(self._environment, code, {})
        return Place(template=template, leaves=leaves, field_name=field_name, is_escaped=self._escapes(owner))


def _is_long(node: nodes.If) -> bool:
    """Whether it is worth a request of its own for each branch, so that nobody's own words have to hold it."""
    from jinja2 import nodes

    return sum(len(data.data) for data in node.find_all(nodes.TemplateData)) > _LONG_BRANCHES


def _constant(node: nodes.Node) -> str:
    from jinja2 import nodes

    if not isinstance(node, nodes.Const) or not isinstance(node.value, str):
        raise CannotTakeApartError
    return node.value


def _link_name(node: nodes.Node) -> str:
    """The link whose address an expression is, or nothing."""
    from jinja2 import nodes

    if isinstance(node, nodes.Name) and node.name == "unsubscribe_url":
        return links.UNSUBSCRIBE
    if not isinstance(node, nodes.Call) or not isinstance(node.node, nodes.Name) or node.node.name != "link":
        return ""
    if len(node.args) != 1 or node.kwargs or node.dyn_args or node.dyn_kwargs:
        return ""
    first = node.args[0]
    return first.value if isinstance(first, nodes.Const) and isinstance(first.value, str) else ""


def _field_name(node: nodes.Node) -> str:
    """The field that an expression prints as it is whenever it is not empty, or nothing."""
    from jinja2 import nodes

    first = node.left if isinstance(node, nodes.Or) else node
    if not isinstance(first, nodes.Getattr) or not isinstance(first.node, nodes.Name):
        return ""
    record, name = first.node.name, first.attr
    return f"{record}.{name}" if name in rendering.KNOWN_FIELDS.get(record, ()) else ""


def _leaves(tree: nodes.Template) -> tuple[str, ...] | None:
    """What a piece of a template depends on, such as `customer.city`, or None when it cannot be named."""
    from jinja2 import meta, nodes

    if any(tree.find(kind) for kind in (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        return None
    if any(found.name in _RANDOM_FILTERS for found in tree.find_all(nodes.Filter)):
        return None
    names = meta.find_undeclared_variables(tree) - _SHARED_NAMES
    if names & _OWN_NAMES or any(_is_used_as_a_whole(tree, name) for name in names.intersection(_RECORDS)):
        return None
    return tuple(leaf for name in sorted(names) for leaf in _leaves_of(tree, name))


def _is_used_as_a_whole(tree: nodes.Template, record: str) -> bool:
    from jinja2 import nodes

    uses = sum(found.name == record for found in tree.find_all(nodes.Name))
    return uses > len(_fields(tree, record))


def _fields(tree: nodes.Template, record: str) -> list[str]:
    from jinja2 import nodes

    return [
        found.attr
        for found in tree.find_all(nodes.Getattr)
        if isinstance(found.node, nodes.Name) and found.node.name == record
    ]


def _leaves_of(tree: nodes.Template, name: str) -> list[str]:
    if name in _RECORDS:
        return [f"{name}.{attribute}" for attribute in sorted(set(_fields(tree, name)))]
    return [{"locale": "customer.locale", "as_of": "as_of", "may_offer": "may_offer"}.get(name, f"{_COLUMN}{name}")]


def _key_of(leaves: tuple[str, ...]) -> Callable[[Recipient], Any]:
    """Values as a key that is only equal where they print alike: 1, 1.0 and true are equal to Python."""
    readers = [_reader(leaf) for leaf in leaves]
    if len(readers) == 1:
        only = readers[0]
        return lambda recipient: _comparable(only(recipient))
    return lambda recipient: tuple([_comparable(read(recipient)) for read in readers])


def _reader(leaf: str) -> Callable[[Recipient], Any]:
    if not leaf.startswith(_COLUMN):
        return attrgetter(leaf)
    name = leaf.removeprefix(_COLUMN)
    return lambda recipient: recipient.variables.get(name)


def _comparable(value: Any) -> Any:
    return value if type(value) is str else (type(value), repr(value))
