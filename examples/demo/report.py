"""Draws the demo's report: one self-contained HTML page."""

import base64
import io
from pathlib import Path

import jinja2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {"shipped": "#0b7a75", "fresh": "#e39f2f", "copy_last": "#8a8a8a", "shuffled_actions": "#b23a48"}
LABELS = {
    "shipped": "shipped nano",
    "fresh": "nano trained just now",
    "copy_last": "copy the last frame",
    "shuffled_actions": "shipped, another clip's actions",
}


def write(path: Path, summary: dict, by_horizon: dict, pictures: list[Path]) -> None:
    """Writes the page: PSNR at every horizon by name, and animated PNGs of truth beside dream."""
    template = jinja2.Environment(autoescape=True).from_string(
        Path(__file__).with_name("report.html.jinja").read_text()
    )
    page = template.render(
        summary=summary,
        labels=LABELS,
        pictures=[(picture.stem, base64.b64encode(picture.read_bytes()).decode()) for picture in pictures],
        curves=curves(by_horizon),
        throughput=throughput(summary["env_steps_per_s"]),
    )
    path.write_text(page)


def curves(by_horizon: dict) -> str:
    """PSNR against horizon for the whole frame, the foreground, and what the action moves."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), constrained_layout=True)
    regions = {"frame": "whole frame", "foreground": "foreground", "actuated": "what the action moves"}
    for axis, (region, title) in zip(axes, regions.items(), strict=True):
        for name, label in LABELS.items():
            rows = sorted((int(horizon), row.get(region)) for horizon, row in by_horizon[name].items())
            points = [(horizon, value) for horizon, value in rows if value is not None]
            if points:
                axis.plot(*zip(*points, strict=True), marker=".", label=label, color=COLOURS[name])
        axis.set(title=title, xlabel="frames ahead", xticks=[1, 8, 16, 32])
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("PSNR, dB")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return svg(figure)


def throughput(env_steps_per_s: dict) -> str:
    """Env-steps/s of both engines through the bridge, on a logarithmic axis."""
    figure, axis = plt.subplots(figsize=(6, 1.9), constrained_layout=True)
    names = list(env_steps_per_s)
    bars = axis.barh(names, [env_steps_per_s[name] for name in names], color="#0b7a75", height=0.6)
    axis.bar_label(bars, fmt="{:,.0f}", padding=4)
    axis.set(xscale="log", xlabel="env-steps/s")
    axis.margins(x=0.25)
    axis.invert_yaxis()
    axis.spines[["top", "right"]].set_visible(False)
    return svg(figure)


def svg(figure: plt.Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True)
    plt.close(figure)
    page = text.getvalue()
    return page[page.index("<svg") :]
