"""A quick yes to a JSON body that a schema takes.

`jsonschema` explains well and slowly: half a second for a mail to 500 people. The same schema, compiled into plain
functions once, says yes in a few milliseconds. Whatever gets no quick yes is left to `jsonschema`, which has the last
word, so a doubt costs time and never changes a verdict.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

Check = Callable[[Any], bool]
Schema = dict[str, Any]

_NOTES = {"$schema", "$defs", "title", "description"}
_WORDS_OF_TEXT = {"minLength", "maxLength", "pattern"}
_WORDS_OF_LIST = {"minItems", "maxItems", "uniqueItems", "items"}
_WORDS_OF_OBJECT = {"required", "properties", "additionalProperties", "propertyNames"}
_IMPLY_TYPE = {"string": _WORDS_OF_TEXT, "array": _WORDS_OF_LIST, "object": _WORDS_OF_OBJECT}
_ANY_LENGTH = 2**63


def compiled(schema: Schema) -> Check:
    """Whether a value certainly fits the schema.

    Raises:
        ValueError: the schema uses a word that is not known here, which must not be passed over.
    """
    return _Compiler(schema.get("$defs", {})).check(schema)


class _Compiler:
    """Each method turns some words of a schema into one function; all words about one type become one together."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions
        self._named: dict[str, Check] = {}

    def check(self, schema: Schema) -> Check:
        """One function for all words of a schema."""
        words = schema.keys() - _NOTES
        checks: list[Check] = []
        for known, compile_words in self._groups():
            if words & known:
                checks.append(compile_words(schema))
                words -= known
        if words - {"type"}:
            raise ValueError(f"No quick check for {', '.join(sorted(words))}")
        if "type" in words and not _IMPLY_TYPE.get(schema["type"], set()) & schema.keys():
            checks.insert(0, _type(schema["type"]))
        return checks[0] if len(checks) == 1 else lambda value: all([check(value) for check in checks])  # noqa: C419

    def _groups(self) -> list[tuple[set[str], Callable[[Schema], Check]]]:
        return [
            ({"$ref"}, self._ref),
            (_WORDS_OF_TEXT, _text),
            (_WORDS_OF_LIST, self._list),
            (_WORDS_OF_OBJECT, self._object),
            ({"enum", "const"}, _choice),
            ({"not"}, self._opposite),
        ]

    def _ref(self, schema: Schema) -> Check:
        name = schema["$ref"].removeprefix("#/$defs/")
        if name not in self._named:
            self._named[name] = self.check(self._definitions[name])
        return self._named[name]

    def _object(self, schema: Schema) -> Check:
        required = frozenset(schema.get("required", ()))
        known = {name: self.check(part) for name, part in schema.get("properties", {}).items()}
        others = self._others(schema.get("additionalProperties", True))
        names = self._names(schema.get("propertyNames"))

        def fits(value: Any) -> bool:
            if type(value) is not dict or not required <= value.keys() or not names(value):
                return False
            for name, inner in value.items():
                check = known.get(name, others)
                if check is not None and not check(inner):
                    return False
            return True

        return fits

    def _others(self, schema: Schema | bool) -> Check | None:
        if isinstance(schema, bool):
            return None if schema else lambda _: False
        return self.check(schema)

    def _names(self, schema: Schema | None) -> Check:
        """The same few names come again and again, so each is looked at once."""
        if schema is None:
            return lambda _: True
        check = functools.lru_cache(maxsize=4096)(self.check(schema))
        return lambda value: all(map(check, value))

    def _list(self, schema: Schema) -> Check:
        least, most = schema.get("minItems", 0), schema.get("maxItems", _ANY_LENGTH)
        check = self.check(schema["items"]) if "items" in schema else lambda _: True
        is_set = schema.get("uniqueItems", False)

        def fits(value: Any) -> bool:
            if type(value) is not list or not least <= len(value) <= most or not all(map(check, value)):
                return False
            return not is_set or _are_different_texts(value)

        return fits

    def _opposite(self, schema: Schema) -> Check:
        """Only of a pattern: a quick no is a doubt, and the opposite of a doubt is no yes."""
        if set(schema["not"]) != {"pattern"}:
            raise ValueError("No quick check for the opposite of more than a pattern")
        search = re.compile(schema["not"]["pattern"]).search
        return lambda value: type(value) is str and search(value) is None


def _type(name: str) -> Check:
    kind = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}[name]
    return lambda value: type(value) is kind


def _text(schema: Schema) -> Check:
    least, most = schema.get("minLength", 0), schema.get("maxLength", _ANY_LENGTH)
    search = re.compile(schema.get("pattern", "")).search
    return lambda value: type(value) is str and least <= len(value) <= most and search(value) is not None


def _choice(schema: Schema) -> Check:
    allowed = schema.get("enum", [schema.get("const")])
    return lambda value: type(value) is str and value in allowed


def _are_different_texts(values: list[Any]) -> bool:
    return all(type(value) is str for value in values) and len(set(values)) == len(values)
