"""Links in messages: short codes on our own domain that lead to stored targets only (M-03, M-04, threat T5)."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from lifecycle import database, settings
from lifecycle.errors import LifecycleError
from lifecycle.journey import unknown_name

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

UNSUBSCRIBE = "unsubscribe"
# The entry of `links.yaml` that a customer's own link leads to, with the place of their code in it.
REFERRAL = "referral"
_CODE_PLACE = "{code}"
_ADDRESS = "https://"
# What is longer is printed as it is, and nobody counts who follows it: it would not fit into the index of links.
_LONGEST_ADDRESS = 2_000
# 12 letters are 71 bits: enough for a page that only shows; unsubscribing takes 24 letters, 142 bits (threat T3).
_CODE_BYTES = 9
_TOKEN_BYTES = 18
# Letters and figures only: what ends with a sign is cut short by programs that look for links in a text. Two letters
# stand for two figures of the digest each, which costs a tenth of a bit.
_LETTERS_FOR_SIGNS = b"zZ"


@lru_cache(maxsize=4)
def _key(configured: str, home: Path) -> bytes:
    if configured:
        return configured.encode()
    return _stored_key(home / "secret_key")


def _stored_key(path: Path) -> bytes:
    """The generated key; whoever links the file in first wins, so that two processes agree."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_bytes()


def code(message_id: str, name: str) -> str:
    """The code of a link: the same message and name always give the same one, and nobody without the key can guess it."""
    return code_maker()(message_id, name)


def keyed_hash(text: str) -> bytes:
    """A hash that nobody without the key can compute; texts of another purpose start with another word."""
    key = hashlib.blake2b(_key(settings.secret_key(), settings.home())).digest()
    return hashlib.blake2b(text.encode(), key=key, digest_size=16).digest()


def url(message_id: str, name: str) -> str:
    """The address that goes into the message."""
    return f"{prefix(name, base_url())}{code(message_id, name)}"


def prefix(name: str, our_address: str) -> str:
    """What the addresses of a link start with, whoever they are for."""
    return f"{our_address}/{'u' if name == UNSUBSCRIBE else 'l'}/"


def code_maker() -> Callable[[str, str], str]:
    """`code`, with the key read once for many messages.

    A code is a keyed BLAKE2b digest (RFC 7693) of the message's id and the link's name.
    """
    key = _key(settings.secret_key(), settings.home())
    keyed = hashlib.blake2b(key=hashlib.sha256(key).digest(), digest_size=_TOKEN_BYTES, person=b"link")

    def made(message_id: str, name: str) -> str:
        digest = keyed.copy()
        digest.update(f"{message_id} {name}".encode())
        taken = digest.digest() if name == UNSUBSCRIBE else digest.digest()[:_CODE_BYTES]
        return b64encode(taken, _LETTERS_FOR_SIGNS).decode()

    return made


def base_url() -> str:
    """Where customers reach the receiver.

    Raises:
        LifecycleError: real providers are spoken to, and nothing says where customers reach us.
    """
    configured = settings.public_url()
    if configured:
        return configured
    if settings.is_live():
        hint = "Set it to the https address of the receiver"
        raise LifecycleError("LIFECYCLE_LIVE=yes needs LIFECYCLE_PUBLIC_URL", hint=hint)
    from lifecycle import stack

    return stack.receiver_url() or f"http://127.0.0.1:{stack.RECEIVER_PORT}"


def is_shortened(name: str) -> bool:
    """Whether a link gets a code; all but an address that is too long to be kept."""
    return len(name) <= _LONGEST_ADDRESS


def target(journey_name: str, name: str) -> str | None:
    """Where a link leads: None for a landing page (`<name>.page.html.j2` of the journey), else an address.

    A name that is an https address itself, such as that of a recommended product, leads there.

    Raises:
        LifecycleError: there is neither a landing page nor an entry in `links.yaml` of that name.
    """
    if name.startswith(_ADDRESS):
        return name
    if name == UNSUBSCRIBE or landing_page(journey_name, name).is_file():
        return None
    if name == REFERRAL:
        raise LifecycleError("link() does not know whose link it is", hint="Print {{ referral_link }}")
    targets = _targets(settings.templates_folder() / "links.yaml")
    if name not in targets:
        known = [
            *targets,
            *(path.name.split(".")[0] for path in landing_page(journey_name, "*").parent.glob("*.page.html.j2")),
        ]
        raise unknown_name("link", name, known)
    return targets[name]


def referral_url(code_key: str) -> str:
    """The address that a customer passes on to friends, by the code in it."""
    return f"{base_url()}/r/{code_key}"


def referral_target(code_key: str) -> str:
    """Where somebody who comes by a customer's link is led: the entry `referral` of `links.yaml`, with the code.

    Raises:
        LifecycleError: there is no such entry, or it has no place for the code.
    """
    path = settings.templates_folder() / "links.yaml"
    address = _targets(path).get(REFERRAL, "")
    if _CODE_PLACE not in address:
        hint = f"Write {REFERRAL}: https://shop.example/welcome?ref={_CODE_PLACE}"
        raise LifecycleError("Nothing says where referral links lead", hint=hint, file=path)
    return address.replace(_CODE_PLACE, code_key)


def require_known_host(address: str) -> None:
    """Refuse an address on a host that no entry of `links.yaml` leads to: pictures come from where links lead.

    Raises:
        LifecycleError: the host is none of them.
    """
    path = settings.templates_folder() / "links.yaml"
    hosts = sorted({urlsplit(known).hostname or "" for known in _targets(path).values()})
    if urlsplit(address).hostname not in hosts:
        hint = f"Known: {', '.join(hosts)}; another one is allowed by an entry in {path.name}"
        raise LifecycleError(f"{address} is on a host that no link leads to", hint=hint)


def landing_page(journey_name: str, name: str) -> Path:
    """The template of a landing page."""
    return settings.templates_folder() / journey_name / f"{name}.page.html.j2"


@lru_cache(maxsize=4)
def _targets(path: Path) -> dict[str, str]:
    import yaml

    try:
        tree = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError):
        raise LifecycleError(
            "The list of link targets cannot be read", hint="Write name: https://...", file=path
        ) from None
    if tree is None:
        return {}
    if not isinstance(tree, yaml.MappingNode):
        raise LifecycleError("The list of link targets is no list of names", hint="Write name: https://...", file=path)
    # The words as they are written: to YAML `no` is false, and the later of two equal names wins silently.
    targets: dict[str, str] = {}
    for name, address in tree.value:
        line = name.start_mark.line + 1
        if name.value in targets:
            raise LifecycleError(f"The link {name.value!r} is there twice", hint="Keep one", file=path, line=line)
        if not isinstance(address, yaml.ScalarNode) or not address.value.startswith(_ADDRESS):
            what = f"The link {name.value!r} does not start with https://"
            raise LifecycleError(what, hint="Correct it", file=path, line=line)
        targets[str(name.value)] = address.value
    return targets


class UsedLink(NamedTuple):
    """A link that a message of a journey uses, and its code."""

    message_id: str
    journey_name: str
    name: str
    code: str


def keep(connection: Connection, used: list[UsedLink]) -> None:
    """Store the links that messages use, so that the receiver knows where each code leads."""
    if not used:
        return
    names = sorted({(link.journey_name, link.name) for link in used})
    numbers = {found: str(number) for number, found in enumerate(names, start=1)}
    database.run(
        connection,
        "engine/links/keep.sql",
        codes=",".join([link.code for link in used]),
        message_ids=",".join([link.message_id for link in used]),
        target_numbers=",".join([numbers[link.journey_name, link.name] for link in used]),
        names=[name for _, name in names],
        target_urls=[target(journey_name, name) for journey_name, name in names],
    )
