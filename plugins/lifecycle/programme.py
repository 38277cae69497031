"""What a loyalty programme is: earning rules, the rewards that points buy, and tiers. Standard library only.

Declared in a Dag file next to its schedule, like a journey, and checked when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from lifecycle import settings
from lifecycle.errors import LifecycleError
from lifecycle.journey import Voucher, check_name, is_whole, place_of_declaration, require_file_named, unknown_name

_MOST = 1_000_000_000_000


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
class Tier:
    """A tier of a programme, what takes one there, and what it gives (L-08).

    Whoever earned `from_points`, or spent `from_spend_cents` (hundredths, whatever the currency), in the `tier_days` of the
    programme is in it. `percent_off` and `free_shipping` are for the shop to give; `draw_entries` for draws.
    """

    name: str
    from_points: int | None = None
    from_spend_cents: int | None = None
    percent_off: int | None = None
    free_shipping: bool = False
    draw_entries: int = 0

    def __post_init__(self) -> None:
        """Refuse a tier that nobody, or everybody, is in, and benefits that no shop means."""
        check_name("tier", self.name)
        if self.from_points is None and self.from_spend_cents is None:
            raise self._wrong("asks for nothing", "Give from_points=1000, from_spend_cents=50_000, or both")
        numbers = (
            ("from_points", self.from_points, 1, _MOST),
            ("from_spend_cents", self.from_spend_cents, 1, _MOST),
            ("percent_off", self.percent_off, 1, 100),
            ("draw_entries", self.draw_entries, 0, 1_000),
        )
        for name, value, least, most in numbers:
            if value is not None and not is_whole(value, least, most):
                raise self._wrong(f"has {name}={value!r}", f"Give a whole number from {least} to {most}")
        if not isinstance(self.free_shipping, bool):
            raise self._wrong(f"has free_shipping={self.free_shipping!r}", "Give True, or leave it out")

    def _wrong(self, what: str, hint: str) -> LifecycleError:
        file, line = place_of_declaration()
        return LifecycleError(f"Tier {self.name!r} {what}", hint=hint, file=file, line=line)


@dataclass(frozen=True)
class Programme:
    """A loyalty programme. `rules` are files in `include/sql/loyalty/`, one SELECT each: fact -> points.

    `tiers` go from the lowest to the highest. They look back over `tier_days` local days, and a tier holds for whole days:
    what happens on a day moves somebody at the midnight that ends it, and what is `tier_days` old at the midnight after.

    Raises:
        LifecycleError: a name is wrong, comes twice, or a file is missing; the line names the Dag file.
    """

    name: str
    rules: tuple[str, ...]
    rewards: tuple[Reward, ...] = ()
    tiers: tuple[Tier, ...] = ()
    tier_days: int = 365
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
        named = (
            ("rule", list(self.rules)),
            ("reward", [reward.name for reward in self.rewards]),
            ("tier", [tier.name for tier in self.tiers]),
        )
        for noun, names in named:
            for name in names:
                if names.count(name) > 1:
                    raise self._wrong(f"has two {noun}s {name!r}", "Name each once")
        for rule in self.rules:
            if not self.rule_path(rule).is_file():
                known = [path.stem for path in self.rule_path(rule).parent.glob("*.sql")]
                raise unknown_name("earning rule", rule, known, file=file, line=line)
        self._check_tiers()

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

    @property
    def is_spend_counted(self) -> bool:
        """Whether a tier asks what somebody spent."""
        return any(tier.from_spend_cents is not None for tier in self.tiers)

    def _check_tiers(self) -> None:
        if not is_whole(self.tier_days, 1, 3660):
            raise self._wrong(f"has tier_days={self.tier_days!r}", "Give a number of days from 1 to 3660")
        for lower, higher in pairwise(self.tiers):
            for name in ("from_points", "from_spend_cents"):
                least, more = getattr(lower, name), getattr(higher, name)
                if (least is None) != (more is None):
                    what = f"has {name} in one of the tiers {lower.name!r} and {higher.name!r} alone"
                    raise self._wrong(what, "Let all tiers ask for the same: points, spend, or both")
                if least is not None and more <= least:
                    what = f"has the tier {higher.name!r} with {name}={more} above {lower.name!r} with {least}"
                    raise self._wrong(what, "List tiers from the lowest to the highest, each asking for more")

    def _wrong(self, what: str, hint: str) -> LifecycleError:
        return LifecycleError(f"Programme {self.name!r} {what}", hint=hint, file=self.file, line=self.line)
