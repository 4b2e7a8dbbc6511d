"""When an environment that has ended starts anew.

Gymnasium has had `AutoresetMode` since 1.1; under 1.0 the same names and values are defined here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gymnasium.vector import AutoresetMode
else:
    try:
        from gymnasium.vector import AutoresetMode
    except ImportError:
        from enum import Enum

        class AutoresetMode(Enum):
            """The autoreset modes of Gymnasium 1.1 and later."""

            NEXT_STEP = "NextStep"
            SAME_STEP = "SameStep"
            DISABLED = "Disabled"


__all__ = ["AutoresetMode"]
