"""The report of `gpu_report.py` as one page of HTML that needs nothing beside itself."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import report_sections as sections

STYLE = """
:root {
  color-scheme: light dark;
  --back: #ffffff; --text: #1b1f24; --faint: #59636e; --grid: #dde1e6; --card: #f6f8fa;
  --series-1: #0969da; --series-2: #bc4c00; --series-3: #1a7f37;
  --series-4: #8250df; --series-5: #bf3989; --series-6: #7d6608;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #0d1117; --text: #e6edf3; --faint: #9198a1; --grid: #2a313c; --card: #151b23;
    --series-1: #58a6ff; --series-2: #f0883e; --series-3: #3fb950;
    --series-4: #bc8cff; --series-5: #f778ba; --series-6: #d4b106;
  }
}
body {
  margin: 0 auto; max-width: 1010px; padding: 24px; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif;
}
h1 { font-size: 22px; margin: 0 0 4px; }
h2 { font-size: 17px; margin: 32px 0 8px; }
h3 { font-size: 15px; margin: 18px 0 6px; }
p { margin: 4px 0 12px; color: var(--faint); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 4px 0 12px; }
th, td { padding: 3px 14px 3px 0; text-align: right; border-bottom: 1px solid var(--grid); }
thead th { font-weight: 600; color: var(--faint); vertical-align: bottom; }
th:first-child { text-align: left; font-weight: 500; white-space: nowrap; }
.doctor th, .doctor td { text-align: left; }
.share { display: inline-block; width: 80px; height: 8px; margin-left: 8px; background: var(--grid); }
.share i { display: block; height: 8px; background: var(--series-1); }
.charts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 14px; margin: 8px 0;
}
figure { margin: 0; padding: 12px; background: var(--card); border-radius: 8px; }
figcaption { font-weight: 600; margin-bottom: 4px; }
svg { display: block; width: 100%; height: auto; }
.grid { stroke: var(--grid); stroke-width: 1; }
.tick { fill: var(--faint); font: 11px system-ui, sans-serif; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.legend { margin: 6px 0 0; font-size: 13px; }
.legend span { margin-right: 14px; white-space: nowrap; }
.legend i { display: inline-block; margin-right: 6px; vertical-align: middle; }
.legend .bar { width: 12px; height: 3px; }
.legend .dot { width: 7px; height: 7px; border-radius: 50%; }
.missing { font-style: italic; }
details { margin: 4px 0; }
summary { cursor: pointer; }
pre { overflow-x: auto; font-size: 12px; background: var(--card); padding: 10px; border-radius: 8px; }
"""
MISSING = '<p class="missing">not yet measured</p>'
# Beginning of the stages' names → heading, and what is said of each result.
HEADINGS: list[tuple[str, str, Callable[[dict[str, Any]], str]]] = [
    ("doctor", "Machine", sections.doctor),
    ("bench-dream-", "Dreams a second", sections.dream),
    ("bench-rollouts", "Rollouts of a policy on the card", sections.any_rows),
    ("bench-kernels-", "Kernels of the step engine", sections.kernels),
    ("numerics-", "Numbers beside the processor's", sections.numerics),
    ("train-", "Training", sections.training),
    ("bench-train-", "Training beside PyTorch", sections.any_rows),
    ("bench-profile", "Where a training step's time goes", sections.profile),
    ("eval-", "Evaluation", sections.evaluation),
    ("bench-render", "Views a second", sections.render),
]


def page(
    title: str,
    names: list[str],
    results: dict[str, dict[str, Any]],
    summary: Callable[..., str],
    models: Path,
) -> str:
    """All results under their headings; stages of `names` that have none are said to be missing."""
    body = "".join(_section(heading, names, results, models) for heading in HEADINGS)
    raw = "".join(
        f"<details><summary><b>{html.escape(name)}</b> {result['seconds']:.0f} s · "
        f"{html.escape(summary(name, result))}</summary>"
        f"<pre>{html.escape(json.dumps(result['result'], indent=1))}</pre></details>"
        for name, result in results.items()
    )
    done = f"{len(results)} of {len(names)} stages are done."
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{html.escape(title)}</h1><p>{done}</p>{body}"
        f"<h2>All that was measured</h2>{raw}</body></html>\n"
    )


def _section(
    heading: tuple[str, str, Callable[..., str]],
    names: list[str],
    results: dict[str, dict[str, Any]],
    models: Path,
) -> str:
    begin, title, say = heading
    parts = []
    mine = [name for name in names if name == begin or (begin.endswith("-") and name.startswith(begin))]
    subjects = dict.fromkeys(name.partition("@")[0] for name in mine)
    for whole in subjects:
        subject = whole.removeprefix(begin) if begin.endswith("-") else ""
        under = f"<h3>{html.escape(subject)}</h3>" if subject else ""
        asked = [name for name in mine if name.partition("@")[0] == whole]
        done = [results[name]["result"] for name in asked if name in results]
        if done:
            # Parts of one bench, one for each number of environments, are shown as one.
            found = done[0] if len(done) == 1 else {"rows": [row for part in done for row in part["rows"]]}
            under += say(found, models / subject) if begin == "train-" else say(found)
        parts.append(under if len(done) == len(asked) else under + MISSING)
    return f'<section class="{begin.strip("-")}"><h2>{title}</h2>{"".join(parts) or MISSING}</section>'
