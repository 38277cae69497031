"""The picture of a replay: how many messages per day, stacked by step, as PNG or as a web page that needs nothing else."""

from __future__ import annotations

import io
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle import as_of, rendering, settings
from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from lifecycle.journey import Journey
    from lifecycle.replay import ReplayRow

# Told apart by people who see few colours, too (Okabe and Ito).
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#7f7f7f")
_INK, _FAINT = "#1d2433", "#d9dee8"


class ReplayPicture:
    """Counts a replay while it goes from day to day, and draws it at the end.

    Raises:
        LifecycleError: the file is neither `.png` nor `.html`, or its folder does not exist.
    """

    def __init__(self, journey: Journey, first: date, last: date, path: Path) -> None:
        if path.suffix not in (".png", ".html"):
            raise LifecycleError(f"{path} is no picture", hint="Name a file that ends in .png or .html")
        if not path.absolute().parent.is_dir():
            raise LifecycleError(f"The folder {path.parent} does not exist", hint="Create it, or name another file")
        self._journey, self._days, self._path = journey, as_of.days_between(first, last), path
        self._people = {step.name: Counter[date]() for step in journey.steps}

    def watching(self, rows: Iterable[ReplayRow]) -> Iterator[ReplayRow]:
        """The rows as they come; whoever is due or would be sent to is counted on the way."""
        for row in rows:
            if row.outcome in ("due", "would_send", "held"):
                self._people[row.step][row.run_day] += 1
            yield row

    def write(self) -> None:
        """Draw it."""
        if self._path.suffix == ".png":
            self._path.write_bytes(self._drawn("png"))
            return
        # Without the XML declaration, which a page must not hold in its middle.
        drawing = self._drawn("svg").decode()
        page = {"title": self._title(), "steps": self._totals(), "drawing": drawing[drawing.index("<svg") :]}
        self._path.write_text(rendering.render_page("pages/replay.page.html", page), encoding="utf-8")

    def _title(self) -> str:
        return f"{self._journey.name}: messages per day, {self._days[0]} to {self._days[-1]}"

    def _totals(self) -> list[tuple[str, str]]:
        return [(name, f"{people.total():,}") for name, people in self._people.items()]

    def _drawn(self, form: str) -> bytes:
        os.environ.setdefault("MPLCONFIGDIR", str(settings.home() / "matplotlib"))
        # It looks through the machine's fonts once, and says so.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        # Text stays text in the page, and the same replay gives the same file.
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": "lifecycle", "font.size": 11, "text.color": _INK}):
            figure = Figure(figsize=(12, 5), dpi=150, layout="constrained")
            axes = figure.subplots()
            self._stack(axes)
            self._label(figure, axes)
            drawn = io.BytesIO()
            figure.savefig(drawn, format=form, metadata={"Date": None} if form == "svg" else None)
        return drawn.getvalue()

    def _stack(self, axes: Any) -> None:
        below = [0] * len(self._days)
        # Single days are told apart while there are few of them; later the gaps would only flicker.
        width = 0.9 if len(self._days) <= 120 else 1.0
        for number, (name, people) in enumerate(self._people.items()):
            heights = [people[day] for day in self._days]
            colour = _COLOURS[number % len(_COLOURS)]
            label = f"{name} ({people.total():,})"
            axes.bar(self._days, heights, width, bottom=below, color=colour, label=label, linewidth=0)
            below = [one + other for one, other in zip(below, heights, strict=True)]

    def _label(self, figure: Any, axes: Any) -> None:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
        from matplotlib.ticker import MaxNLocator, StrMethodFormatter

        axes.set_title(self._title(), loc="left", fontsize=14, fontweight="bold", pad=12)
        axes.set_ylabel("people per day")
        locator = AutoDateLocator(minticks=4, maxticks=12)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.margins(x=0.01)
        axes.grid(axis="y", color=_FAINT)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, colors=_INK)
        axes.spines[["top", "right", "left"]].set_visible(False)
        # Beside the bars, in the order in which they are stacked.
        figure.legend(
            *(part[::-1] for part in axes.get_legend_handles_labels()), loc="outside right upper", frameon=False
        )
