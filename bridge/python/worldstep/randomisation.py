"""Ranges that truth draws the physics of its episodes from, as the server takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from worldstep.errors import WorldstepError

Randomisation = Mapping[str, float | Sequence[float]]
"""Ranges that physics is drawn from, by name: see `make_vec`."""


def ranges_map(randomisation: Randomisation) -> dict[str, Any]:
    """Give ranges as the server takes them: `[low, high]`, also of one number; whole ones for latency."""
    ranges: dict[str, Any] = {}
    for name, given in randomisation.items():
        kind = int if name == "latency" else float
        try:
            if name == "difficulty":
                ranges[name] = float(given)  # type: ignore[arg-type]
                continue
            pair = list(given) if isinstance(given, Iterable) else [given, given]
            ranges[name] = [kind(value) for value in pair]
            if isinstance(given, str) or ranges[name] != pair:
                raise ValueError("not what it was given as")
        except (TypeError, ValueError) as error:
            raise WorldstepError(f"randomisation of {name} is {given!r}, expected (low, high)") from error
        if len(pair) != 2:
            raise WorldstepError(f"randomisation of {name} is {given!r}, expected (low, high)")
    return ranges
