"""What a loyalty programme is: earning rules, and the rewards that points buy. Standard library only.

Declared in a Dag file next to its schedule, like a journey, and checked when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lifecycle import settings
from lifecycle.errors import LifecycleError
from lifecycle.journey import Voucher, check_name, place_of_declaration, require_file_named, unknown_name


@dataclass(frozen=True)
class Reward:
    """What so many points buy: a voucher, a product, or a donation to a charity the brand has chosen (L-02, L-05)."""

    name: str
    points: int
    voucher: Voucher | None = None
    product: str = ""
    charity: str = ""

    def __post_init__(self) -> None:
        """Refuse a reward that is none, or several at once."""
        check_name("reward", self.name)
        file, line = place_of_declaration()
        if not isinstance(self.points, int) or isinstance(self.points, bool) or self.points < 1:
            what = f"Reward {self.name!r} has points={self.points!r}"
            raise LifecycleError(what, hint="Give a whole number from 1 on", file=file, line=line)
        if sum(map(bool, (self.voucher, self.product, self.charity))) != 1:
            hint = "Give exactly one of voucher=, product=, charity="
            raise LifecycleError(f"Reward {self.name!r} gives nothing, or too much", hint=hint, file=file, line=line)

    @property
    def other_side(self) -> str:
        """Where the points go: a donation is a redemption with another payee (L-05)."""
        return f"donated/{self.charity}" if self.charity else "redeemed"


@dataclass(frozen=True)
class Programme:
    """A loyalty programme. `rules` are files in `include/sql/loyalty/`, one SELECT each: fact -> points.

    Raises:
        LifecycleError: a name is wrong, comes twice, or a file is missing; the line names the Dag file.
    """

    name: str
    rules: tuple[str, ...]
    rewards: tuple[Reward, ...] = ()
    file: Path = field(default=Path(), init=False, compare=False, repr=False)
    line: int = field(default=0, init=False, compare=False, repr=False)
    # The zone whose days are accrued and the days themselves; the tasks take them from the Dag.
    zone: str = field(default="", init=False, compare=False, repr=False)
    cron: str = field(default="", init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check everything that can be known without a database."""
        file, line = place_of_declaration()
        object.__setattr__(self, "file", file)
        object.__setattr__(self, "line", line)
        check_name("programme", self.name, file=file, line=line)
        require_file_named(self.name, "programme", file, line)
        for noun, names in (("rule", list(self.rules)), ("reward", [reward.name for reward in self.rewards])):
            for name in names:
                if names.count(name) > 1:
                    raise self._wrong(f"has two {noun}s {name!r}", "Name each once")
        for rule in self.rules:
            if not self.rule_path(rule).is_file():
                known = [path.stem for path in self.rule_path(rule).parent.glob("*.sql")]
                raise unknown_name("earning rule", rule, known, file=file, line=line)

    def schedule(self, cron: str, zone: str) -> None:
        """Remember the schedule of the Dag around the programme."""
        object.__setattr__(self, "zone", zone)
        object.__setattr__(self, "cron", cron)

    def rule_path(self, rule: str) -> Path:
        """Where an earning rule lives."""
        check_name("earning rule", rule, file=self.file, line=self.line)
        return settings.sql_folder() / "loyalty" / f"{rule}.sql"

    def reward(self, name: str) -> Reward:
        """The reward of that name."""
        for reward in self.rewards:
            if reward.name == name:
                return reward
        raise unknown_name("reward", name, [reward.name for reward in self.rewards], file=self.file, line=self.line)

    def _wrong(self, what: str, hint: str) -> LifecycleError:
        return LifecycleError(f"Programme {self.name!r} {what}", hint=hint, file=self.file, line=self.line)
