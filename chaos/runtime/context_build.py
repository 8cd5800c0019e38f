"""Images that a Compose file builds: a folder of the user's, with a Dockerfile of theirs.

Built as ours are, and known by content: the same files, arguments and target are never built twice.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.utils import exclude_paths

from chaos.errors import ImageError
from chaos.runtime.base_image import BASE
from chaos.runtime.image_build import Recipe
from chaos.systems.compose.project import Build

_FROM = re.compile(
    r"^\s*FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE | re.MULTILINE
)
INLINE = ".aftershock.Dockerfile"  # where a Dockerfile stands that the Compose file has itself


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRecipe(Recipe):
    """One service's `build:`; `name` is `compose-SERVICE`."""

    how: Build

    @property
    def dockerfile(self) -> str:
        """The text of its Dockerfile."""
        if self.how.text is not None:
            return self.how.text
        try:
            return (self.root / self.how.dockerfile).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            said = getattr(error, "strerror", None) or error
            raise ImageError(f"{self.root / self.how.dockerfile} cannot be read: {said}") from None

    @property
    def content(self) -> str:
        """12 hex digits over what is sent to the engine, and what is asked of it."""
        asked = json.dumps([self.how.text, self.how.dockerfile, self.how.target,
                            sorted(self.how.arguments.items())])  # fmt: skip
        return hashlib.sha256((self._content() + asked).encode()).hexdigest()[:12]

    @property
    def again(self) -> str:
        """The command that builds it without us."""
        return f"docker build {self.root}"

    def bases(self) -> list[str]:
        """What its stages begin with: no stage of its own, and nothing that an argument names."""
        stages: set[str] = set()
        found = []
        for name, stage in _FROM.findall(self.dockerfile):
            if name not in stages and name not in ("scratch", BASE) and "$" not in name:
                tagged = ":" in name.rpartition("/")[2] or "@" in name
                found.append(name if tagged else f"{name}:latest")
            stages.add(stage)
        return list(dict.fromkeys(found))

    def options(self) -> dict[str, Any]:
        """Which Dockerfile of the context, and which of its stages."""
        file = self.how.dockerfile if self.how.text is None else INLINE
        return {"dockerfile": file, "target": self.how.target or ""}

    def arguments(self) -> dict[str, str]:
        """`args:`."""
        return dict(self.how.arguments)

    def _more(self, tar: tarfile.TarFile) -> None:
        if self.how.text is None:
            return
        data = self.how.text.encode()
        entry = tarfile.TarInfo(INLINE)
        entry.size, entry.mode = len(data), 0o644
        tar.addfile(entry, io.BytesIO(data))

    def _files(self) -> list[Path]:
        """All but what .dockerignore leaves out."""
        ignore = self.root / ".dockerignore"
        try:
            patterns = ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else []
            wanted = [line for line in map(str.strip, patterns) if line and line[0] != "#"]
            found = exclude_paths(str(self.root), wanted, dockerfile=self.how.dockerfile)
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise ImageError(f"{self.root} cannot be read as a build context: {error}") from None
        paths = (self.root / name for name in found)
        return sorted(path for path in paths if path.is_symlink() or path.is_file())


def recipes(builds: Mapping[str, Build]) -> dict[str, Recipe]:
    """How each image is built, by what stands for its reference: `compose-SERVICE`."""
    return {
        name: ContextRecipe(name=name, root=how.context, how=how) for name, how in builds.items()
    }
