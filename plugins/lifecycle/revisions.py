"""Revisions: files of the project as git knows them, to see what a change in the working tree does."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lifecycle import settings
from lifecycle.errors import LifecycleError

_SECONDS = 20


def commit(revision: str) -> str:
    """The full sha of a revision such as `origin/main`, `HEAD~1` or `v1.2`.

    Raises:
        LifecycleError: the project is no git checkout, or git knows no such revision.
    """
    root = settings.project_root()
    if _git("rev-parse", "--show-toplevel") is None:
        hint = "Clone the project with git, or compare two outputs of lifecycle audience"
        raise LifecycleError(f"{root} is not a git checkout", hint=hint)
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not found:
        hint = "Fetch it first, or give a branch, a tag or a sha; git log --oneline shows them"
        raise LifecycleError(f"git knows no revision {revision!r}", hint=hint)
    return found.decode().strip()


def file_at(revision: str, path: Path) -> bytes | None:
    """A file of the project as it was at a revision; None when it was not there, or when git cannot say."""
    if not path.is_relative_to(settings.project_root()):
        return None
    return _git("show", "--end-of-options", f"{revision}:./{_shown(path)}")


def shown_at(revision: str, path: Path) -> Path:
    """How git itself names a file of a revision, for messages about it."""
    return Path(f"{revision}:{_shown(path)}")


def changed_files(revision: str, folder: Path) -> list[Path]:
    """The files of a folder that differ from a revision, those that git does not know yet included."""
    if not folder.is_dir():
        return []
    listed = [
        _git("diff", "--name-only", "--relative", "-z", "--diff-filter=d", revision, "--", str(folder)),
        _git("ls-files", "--others", "--exclude-standard", "-z", "--", str(folder)),
    ]
    names = {name for part in listed for name in (part or b"").decode().split("\0") if name}
    return sorted(settings.project_root() / name for name in names)


def _shown(path: Path) -> str:
    return path.relative_to(settings.project_root()).as_posix()


def _git(*words: str) -> bytes | None:
    """What git answers from the top of the project; None when it refuses, is not there, or takes too long."""
    try:
        done = subprocess.run(
            ["git", "-C", str(settings.project_root()), *words], capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
