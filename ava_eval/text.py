"""Numbers in text."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """``1 row``, ``2 rows``, ``3 boxes``."""
    plural = noun + ("es" if noun.endswith("x") else "s")
    return f"{number} {noun if number == 1 else plural}"


def number(value: float) -> str:
    """Four decimals; a dash where there is no number."""
    return "-" if value != value else f"{value:.4f}"
