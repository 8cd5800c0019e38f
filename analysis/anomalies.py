"""The names of broken promises, of all checkers in one table: what each counts and rules out.

One table, so that the documentation, the attribution and the dashboard say the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from analysis.checkers import KINDS
from analysis.checkers.kinds import Kind

BY_NAME: Mapping[tuple[str, str], Kind] = {(kind.property, kind.name): kind for kind in KINDS}
