"""What was measured is kept in the cache, so that a measurement goes on where it was interrupted."""

import hashlib
import json
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from medsr_course import runtime

_PACKAGE = Path(__file__).parent.parent


def code(modules: Iterable[str]) -> str:
    """Returns a checksum of modules of this package, ``"physics/grid"``, and of the libraries below them."""
    digest = hashlib.sha256(b"".join((_PACKAGE / f"{name}.py").read_bytes() for name in modules))
    for name in ("numpy", "scipy", "scikit-image", "PyWavelets", "onnxruntime"):
        try:
            digest.update(f"{name} {version(name)}".encode())
        except PackageNotFoundError:
            continue
    return digest.hexdigest()


class Kept:
    """Results on one scan, in a file of the cache under the hash of all that they depend on; ``fresh`` forgets them."""

    def __init__(self, depends: bytes, fresh: bool = False) -> None:
        self._path = runtime.cache_dir() / "leaderboard" / f"{hashlib.sha256(depends).hexdigest()[:20]}.json"
        try:
            self._known = {} if fresh else json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}

    def get(self, key: str, measure: Callable[[], Any]) -> Any:
        """Returns what is kept under a key, else measures it and keeps it; anything that JSON can hold."""
        if key not in self._known:
            self._known[key] = measure()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            runtime.write_text(self._path, json.dumps(self._known))
        return self._known[key]
