"""Price books: dated YAML files in `prices/`, each figure with its source; nothing is online."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from chaos.errors import RecordError

PRICES = Path(__file__).parent / "prices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One figure of a book: per hour, per GB and month, or per GB, by where it stands."""

    price: float
    source: str  # title and date
    up_to_gb: float | None = None  # the end of a volume tier; None: no end


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """A price book. GB are 10^9 bytes."""

    name: str
    date: str  # of the newest figure; each source has its own
    provider: str
    currency: str
    hours_per_month: float
    instances: Mapping[str, Price]  # per hour
    storage: Mapping[str, Price]  # per GB and month
    cross_zone_each_side: Price
    cross_region: Price
    cross_region_pairs: Mapping[frozenset[str], Price]
    internet: Sequence[Price]  # tiers by monthly volume, ascending
    path: Path

    @property
    def title(self) -> str:
        """Name and date, for results and pages."""
        return f"{self.name}, {self.date}"

    def between_regions(self, one: str, other: str) -> Price:
        """Price of a GB between two regions; they need not be known to the book."""
        return self.cross_region_pairs.get(frozenset((one, other)), self.cross_region)

    def internet_cost(self, gb: float) -> float:
        """Price of `gb` a month to the internet, through the tiers."""
        total, done = 0.0, 0.0
        for tier in self.internet:
            end = gb if tier.up_to_gb is None else min(gb, tier.up_to_gb)
            total += max(0.0, end - done) * tier.price
            done = max(done, end)
        return total

    def nearest(self, instance: str) -> str:
        """The known instance most like this name, or ''."""
        return next(iter(difflib.get_close_matches(instance, self.instances, n=1)), "")


def books() -> list[Book]:
    """Every shipped price book, newest first."""
    return sorted((read_book(p) for p in PRICES.glob("*.yaml")), key=lambda b: b.date, reverse=True)


@cache
def read_book(path: Path) -> Book:
    """The price book in `path`; RecordError when it is not one."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _book(data, path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecordError(f"the price book {path} cannot be read: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(
            f"the price book {path} is not written as expected: {error!r}",
            fix=f"take {PRICES.name}/ in analysis/cost as an example",
        ) from None


def _book(data: Mapping[str, Any], path: Path) -> Book:
    sources = {
        key: f"{source['title']}, {source['date']}" for key, source in data["sources"].items()
    }

    def price(entry: Mapping[str, Any]) -> Price:
        figure = float(entry["price"])
        if figure < 0:
            raise ValueError(f"a price below zero: {figure}")
        return Price(price=figure, source=sources[entry["source"]], up_to_gb=entry.get("up_to_gb"))

    transfer = data["transfer"]
    return Book(
        name=str(data["name"]),
        date=str(data["date"]),
        provider=str(data["provider"]),
        currency=str(data["currency"]),
        hours_per_month=float(data["hours_per_month"]),
        instances={key: price(entry) for key, entry in data["instances"].items()},
        storage={key: price(entry) for key, entry in data["storage"].items()},
        cross_zone_each_side=price(transfer["cross_zone_each_side"]),
        cross_region=price(transfer["cross_region"]),
        cross_region_pairs={frozenset(e["between"]): price(e) for e in transfer["pairs"]},
        internet=[price(entry) for entry in transfer["internet"]],
        path=path,
    )
