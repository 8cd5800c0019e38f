"""What is wrong in a file, and where: the value that every check returns, and how it is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.errors import SpecError

OPTION = "--set "  # what the path of a Mark begins with when the text is an option's value


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place in a text. Lines and columns count from 1; `width` is in columns, at least 1."""

    path: str  # the file as the user named it, or "--set rate=5/s"
    line: int
    column: int
    width: int
    text: str  # the whole source line, without its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to say about a file; `line` and `column` are 0 when it concerns the whole file."""

    path: str
    line: int
    column: int
    message: str
    fix: str = ""
    severity: str = "error"  # error | note
    excerpt: str = ""  # the source line with a caret below it

    def where(self) -> str:
        """`file:line:col`; the file or the `--set` option alone where that says it all."""
        alone = not self.line or self.path.startswith(OPTION)
        return self.path if alone else f"{self.path}:{self.line}:{self.column}"

    def render(self) -> str:
        """`file:line:col: message`, the line with a caret, and what to do."""
        lines = [f"{self.where()}: {self.message}"]
        if self.excerpt:
            lines.append(self.excerpt)
        if self.fix:
            lines.append(f"→ {self.fix}")
        return "\n".join(lines)


class SpecProblems(SpecError):
    """Everything that is wrong in a file, at once; `findings` in the order of the text."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(dict.fromkeys(findings))
        first = self.findings[0]
        if len(self.findings) == 1:
            super().__init__(
                f"{first.where()}: {first.message}", fix=first.fix, detail=first.excerpt
            )
        else:
            super().__init__(
                f"{first.path}: {len(self.findings)} problems",
                detail="\n".join(finding.render() for finding in self.findings),
            )


def finding_at(mark: Mark, message: str, *, fix: str = "", severity: str = "error") -> Finding:
    """A finding that shows the line of `mark` with a caret under the place."""
    return Finding(
        path=mark.path,
        line=mark.line,
        column=mark.column,
        message=message,
        fix=fix,
        severity=severity,
        excerpt="" if mark.path.startswith(OPTION) else _excerpt(mark),
    )


_WIDEST = 100


def _excerpt(mark: Mark) -> str:
    """The source line, cut to a window around the place if it is long, and carets below it."""
    start = 0 if mark.column <= _WIDEST - 20 else mark.column - 40
    text = "".join(c if c.isprintable() else " " for c in mark.text)
    gutter = f"  {mark.line} | "
    window = text[start : start + _WIDEST]
    offset = mark.column - 1 - start
    carets = "^" * max(1, min(mark.width, len(window) - offset))
    return f"{gutter}{window}\n{' ' * (len(gutter) - 2)}| {' ' * offset}{carets}"
