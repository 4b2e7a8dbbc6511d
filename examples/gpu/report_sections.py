"""What the report's page says of each kind of stage, as HTML."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svg_chart import Chart, Series, short

Row = dict[str, Any]
# What stands where there is no value.
NOTHING = "\N{EN DASH}"
# What is held against the truth, and its name in the evaluation.
ARMS = (("model", "model"), ("last frame, repeated", "copy_last"), ("other actions", "shuffled_actions"))
# Horizons of the evaluation that the page shows, frames ahead.
HORIZONS = ("1", "4", "8", "16")
ALL_VIEWS = ("channels", "light")
OURS = "Worldstep"
ENGINE = "Worldstep's step engine"
# Points that a training curve is drawn of at most.
CURVE_POINTS = 400


@dataclass
class Share:
    """A share of a whole, 0 to 1, that is shown as a bar too."""

    value: float


def cell(value: Any) -> str:
    """One value of a table, as HTML; a dash for what is not there."""
    if value is None:
        return NOTHING
    if isinstance(value, Share):
        width = 100 * min(max(value.value, 0.0), 1.0)
        return f'{value.value:.1%} <span class="share"><i style="width:{width:.1f}%"></i></span>'
    return html.escape(short(value) if isinstance(value, float) else str(value))


def table(head: list[str], rows: list[list[Any]]) -> str:
    """A table whose first column names the rows."""
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr><th>{cell(row[0])}</th>{''.join(f'<td>{cell(value)}</td>' for value in row[1:])}</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def charts(figures: list[str]) -> str:
    """Figures side by side, where there is room."""
    drawn = "".join(figures)
    return f'<div class="charts">{drawn}</div>' if drawn else ""


def any_rows(found: Row) -> str:
    """Every row of a bench as it is."""
    rows = [
        [
            ", ".join(f"{value}" for name, value in row["case"].items() if name != "task"),
            row["metric"].replace("_", " "),
            row["value"],
            row["unit"],
            row["peer"],
        ]
        for row in found["rows"]
        if row["metric"] != "skipped"
    ]
    return table(["case", "what", "value", "unit", "peer"], rows)


def doctor(found: Row) -> str:
    """What the machine has."""
    return table(["part", "found"], [[row.get("part"), row.get("detail")] for row in found["findings"]])


def dream(found: Row) -> str:
    """Rates by number of environments, of the environment and of its step engine beside PyTorch."""
    cells: dict[tuple[str, int], dict[tuple[str, str], float]] = {}
    for row in found["rows"]:
        case = row["case"]
        who = row["peer"] or (ENGINE if case.get("part") else OURS)
        cells.setdefault((case["obs"], case["envs"]), {})[who, row["metric"]] = row["value"]
    return charts(_dream_charts(cells)) + _dream_table(cells)


Cells = dict[tuple[str, int], dict[tuple[str, str], float]]


def _dream_charts(cells: Cells) -> list[str]:
    whose = list(
        dict.fromkeys(who for at in cells.values() for who, metric in at if metric == "env_steps_per_s")
    )
    figures = []
    for obs in dict.fromkeys(obs for obs, _ in cells):
        lines = [
            Series(
                who,
                [
                    (envs, at[who, "env_steps_per_s"])
                    for (observed, envs), at in cells.items()
                    if observed == obs and (who, "env_steps_per_s") in at
                ],
            )
            for who in whose
        ]
        chart = Chart("environments", "env-steps/s", lines, log_x=True, log_y=True)
        figures.append(chart.figure(f"Dreams of {obs}"))
    return figures


def _dream_table(cells: Cells) -> str:
    peers = list(dict.fromkeys(who for at in cells.values() for who, _ in at if who not in (OURS, ENGINE)))
    head = ["observation, environments", "env-steps/s", "median ms", "p99 ms", "p99/median", "step engine/s"]
    rows = []
    for (obs, envs), at in cells.items():
        p50, p99 = at.get((OURS, "step_ms_p50")), at.get((OURS, "step_ms_p99"))
        row = [f"{obs}, {envs:,}", at.get((OURS, "env_steps_per_s")), p50, p99]
        row += [p99 / p50 if p50 and p99 else None, at.get((ENGINE, "env_steps_per_s"))]
        for peer in peers:
            row += [at.get((peer, "env_steps_per_s")), at.get((peer, "env_steps_per_s_ratio"))]
        rows.append(row)
    return table([*head, *(name for peer in peers for name in (f"{peer}/s", "ratio"))], rows)


def numerics(found: Row) -> str:
    """How far the device is from the processor, and how far it may be."""
    rows = []
    for row in found["rows"]:
        case = row["case"]
        most = case.get("tolerance")
        verdict = None if most is None else "within" if row["value"] <= most else "too far"
        which = ", ".join(str(case[name]) for name in ("preset", "size", "products") if name in case)
        rows.append([f"{which}: {row['metric'].replace('_', ' ')}", row["value"], most, row["unit"], verdict])
    return table(["what", "apart", "at most", "unit", ""], rows)


def training(found: Row, folder: Path) -> str:
    """Steps and losses, with the curves that lie beside the model."""
    record, rows = found.get("training", {}), _curve_rows(folder / "curves.jsonl")
    facts, figures = [], []
    for stage in ("tokenizer", "dynamics"):
        steps = [row for row in rows if row.get("stage") == stage and row["row"] == "step"]
        checks = [row for row in rows if row.get("stage") == stage and row["row"] == "validation"]
        best = min((row["loss"] for row in checks), default=None)
        facts.append(
            [
                stage,
                record.get(f"{stage}_steps"),
                record.get(f"{stage}_seconds"),
                steps[-1]["loss"] if steps else None,
                best,
                steps[-1]["frames_per_s"] if steps else None,
            ]
        )
        losses = [
            Series("training", [(row["step"], row["loss"]) for row in _thinned(steps)]),
            Series("validation", [(row["step"], row["loss"]) for row in checks], dots=True),
        ]
        figures.append(Chart("step", "loss", losses, log_y=True).figure(f"Loss of the {stage}"))
    head = ["network", "steps", "seconds", "last loss", "best validation", "frames/s"]
    return charts(figures) + table(head, facts)


def _curve_rows(path: Path) -> list[Row]:
    """Rows of a training's record; the last one may be cut off, and a folder may be gone."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def _thinned(rows: list[Row]) -> list[Row]:
    every = -(-len(rows) // CURVE_POINTS) or 1
    return rows[::every]


def profile(found: Row) -> str:
    """Where the time of a training step goes."""
    parts: dict[str, dict[str, float]] = {}
    for row in found["rows"]:
        if "part" in row["case"]:
            parts.setdefault(row["case"]["part"], {})[row["metric"]] = row["value"]
    whole = parts.get("step", {}).get("time")
    rows = [
        [
            name.replace("_", " "),
            at.get("time"),
            Share(at["time"] / whole) if whole and "time" in at and name != "step" else None,
            at.get("flop"),
            at.get("flop_per_s"),
        ]
        for name, at in parts.items()
    ]
    shares = [row for row in found["rows"] if row["metric"] == "batch_share"]
    told = ", ".join(f"{row['value']:.1%} with feed {row['case'].get('feed')}" for row in shares)
    note = f"<p>Share of a step that goes into its batch: {html.escape(told)}.</p>" if told else ""
    return note + table(["part", "ms", "share", "GFLOP", "GFLOP/s"], rows)


def kernels(found: Row) -> str:
    """Each kernel of the step engine: its time, and how near it is to what the device can do."""
    rows: dict[str, dict[str, Any]] = {}
    for row in found["rows"]:
        at = rows.setdefault(row["case"].get("kernel", "all"), {})
        at[row["metric"]] = row["value"]
        if row["metric"] == "time":
            at["unit"] = row["unit"]

    def share(at: dict[str, Any], metric: str) -> Share | None:
        return Share(at[metric]) if metric in at else None

    product, copy = rows.pop("largest product", {}), rows.pop("largest copy", {})
    note = ""
    if "arithmetic" in product and "bandwidth" in copy:
        note = (
            f"<p>A large product reaches {product['arithmetic']:,.1f} TFLOP/s, a large copy "
            f"{copy['bandwidth']:,.0f} GB/s: shares are of these.</p>"
        )
    listed = sorted(rows.items(), key=lambda item: -item[1].get("time", 0.0))
    return note + table(
        ["kernel", "time", "unit", "of peak arithmetic", "of peak bandwidth"],
        [
            [
                name,
                at.get("time"),
                at.get("unit"),
                share(at, "arithmetic_share"),
                share(at, "bandwidth_share"),
            ]
            for name, at in listed
        ],
    )


def render(found: Row) -> str:
    """Views per second by number of views."""
    views = [row for row in found["rows"] if row["metric"] == "views_per_s" and not row["peer"]]
    figures = []
    for size in dict.fromkeys(row["case"]["size"] for row in views):
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in views:
            case = row["case"]
            if case["size"] == size:
                name = ", ".join(str(case[what]) for what in ALL_VIEWS)
                lines.setdefault(name, []).append((case["tiles"], row["value"]))
        series = [Series(name, points) for name, points in lines.items()]
        chart = Chart("views at once", "views/s", series, log_x=True, log_y=True)
        figures.append(chart.figure(f"Views of {size}x{size}"))
    return charts(figures) + any_rows(found)


def evaluation(found: Row) -> str:
    """How long the model foresees what moves, and what it says of rewards and ends."""
    told = found["psnr_db"]

    def foreground(who: str, horizon: str) -> float | None:
        return (told.get(who, {}).get(horizon) or {}).get("foreground")

    rows: list[list[Any]] = []
    for name, who in ARMS:
        rows.append([f"{name}, dB", *(foreground(who, horizon) for horizon in HORIZONS)])
    gains = [(foreground("model", horizon), foreground("copy_last", horizon)) for horizon in HORIZONS]
    rows.append(["gain, dB", *(None if a is None or b is None else f"{a - b:+.1f}" for a, b in gains)])
    reward, ends = cell(found.get("reward_mae")), cell(found.get("termination_f1"))
    head = ["foreground, frames ahead", *HORIZONS]
    return (
        table(head, rows)
        + f"<p>{cell(found.get('clips'))} clips; error of the reward {reward}, F1 of ends {ends}.</p>"
    )
