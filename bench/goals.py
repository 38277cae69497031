"""The goals, what was measured for each, and the line for machines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A number that has to be at least, at most or exactly something."""

    name: str
    words: str
    relation: str
    wanted: float
    digits: int

    def held(self, measured: float) -> bool:
        """Whether a measured number keeps the goal."""
        if self.relation == ">=":
            return measured >= self.wanted
        return measured <= self.wanted if self.relation == "<=" else measured == self.wanted

    def target(self) -> str:
        """Such as `>= 15,000`."""
        return f"{self.relation} {self.wanted:,g}"

    def shown(self, measured: float | None) -> str:
        """A measured number as the last line has it; a dash where nothing was measured."""
        return "-" if measured is None else f"{measured:.{self.digits}f}"


GOALS = (
    Goal("email_vs_naive_0ms", "emails, times the loop over the SDK, provider answers at once", ">=", 15, 1),
    Goal("email_vs_naive_80ms", "emails, times the loop over the SDK, provider answers after 80 ms", ">=", 300, 1),
    Goal("email_per_s", "emails a second", ">=", 15_000, 0),
    Goal("sms_vs_sdk", "SMS, share of the bare SDK's speed in as many threads", ">=", 0.8, 2),
    Goal("sms_vs_naive_80ms", "SMS, times the loop over the SDK, provider answers after 80 ms", ">=", 25, 1),
    Goal("plan_vs_insert", "planning with every rule, times a bare INSERT ... SELECT", "<=", 5, 2),
    Goal("replan_inserted", "messages added by planning again", "=", 0, 0),
    Goal("ladder_day_1m_s", "seconds for a day of the ladder, up to the queue", "<=", 2, 2),
    Goal("recommendations_100k_s", "seconds of the four recommendation files for 100,000 buyers", "<=", 30, 2),
    Goal("check_s", "seconds to check every file of the repository", "<=", 10, 2),
    Goal("rss_mb", "MB of memory of a sending process at most", "<=", 120, 0),
)


def table(measured: dict[str, float]) -> list[tuple[str, str, str, str]]:
    """Goal, wanted, measured and `yes` or `NO`, for each goal that was measured."""
    return [
        (
            goal.words,
            goal.target(),
            goal.shown(measured[goal.name]),
            "yes" if goal.held(measured[goal.name]) else "NO",
        )
        for goal in GOALS
        if goal.name in measured
    ]


def last_line(measured: dict[str, float]) -> str:
    """The line for machines: `bench: name=value ...`."""
    return "bench: " + " ".join(f"{goal.name}={goal.shown(measured.get(goal.name))}" for goal in GOALS)
