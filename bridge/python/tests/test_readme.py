"""The README's Python runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_lines_of_python_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    assert 'engine="dream"' in blocks[0]
    assert "randomisation=" in blocks[1]
    # One after the other, as they are read; fewer steps show the same.
    program = "\n".join(blocks).replace("range(100)", "range(5)")
    assert "range(5)" in program
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
