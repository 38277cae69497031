"""What goes wrong, said in one line that a person can act on."""

from __future__ import annotations

from pathlib import Path


class LifecycleError(Exception):
    """A mistake the user can mend: one line with file, line, what is wrong and how to mend it.

    `str(error)` reads `file:line:column: what. Hint.`; parts that are unknown are left out. The command line prints it
    and exits with code 2; a Dag file that raises it shows the same line as its import error.
    """

    def __init__(
        self,
        what: str,
        *,
        hint: str = "",
        file: Path | str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        self.what = what.rstrip(".")
        self.hint = hint.rstrip(".")
        self.file = shown_path(file) if file else ""
        self.line = line
        self.column = column
        super().__init__(self._one_line())

    def _one_line(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        text = _sentence(f"{place}: {self.what}" if place else self.what)
        return f"{text} {_sentence(self.hint)}" if self.hint else text


def _sentence(text: str) -> str:
    return text if text.endswith(("?", "!")) else f"{text}."


class TryAgainError(LifecycleError):
    """Nothing is wrong with the declaration: something outside did not answer, and trying again is safe."""


def shown_path(path: Path | str) -> str:
    """The path as the user would type it: relative to the current folder when it lies below it."""
    path = Path(path)
    if not path.is_absolute():
        return str(path)
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
