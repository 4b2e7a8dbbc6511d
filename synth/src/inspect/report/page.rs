use std::fmt::Write as _;
use std::path::Path;

use worldstep_env::record::EventKind;
use worldstep_env::scene::SEMANTIC_CLASSES;

use super::ReportOptions;
use super::charts::{bars, grid, histogram};
use super::gather::{Gathered, PARAMETERS_MAX};
use super::html::{escape, number, png_uri, words};
use super::paint::{class_color, css};
use super::timeline::mark;
use super::{sheet, wheel};
use crate::clips::SynthError;
use crate::inspect::Dataset;
use crate::lerobot::set_hash;

const STYLE: &str = include_str!("style.css");

/// The whole page.
pub fn whole(dir: &Path, overview: &[(Dataset, Gathered)], sections: &[String]) -> String {
    let name = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy();
    let clips: usize = overview.iter().map(|(dataset, _)| dataset.episodes.len()).sum();
    let frames: usize = overview.iter().map(|(_, gathered)| gathered.frames).sum();
    let seconds: f64 =
        overview.iter().map(|(dataset, gathered)| gathered.frames as f64 / f64::from(dataset.fps)).sum();
    let cards = [
        (overview.len().to_string(), if overview.len() == 1 { "scenario" } else { "scenarios" }),
        (clips.to_string(), "clips"),
        (frames.to_string(), "frames"),
        (number(seconds), "seconds"),
    ];
    let cards: String = cards
        .iter()
        .map(|(value, what)| format!("<div class=card><strong>{value}</strong><span>{what}</span></div>"))
        .collect();
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport \
         content=\"width=device-width,initial-scale=1\"><title>{0} · dataset report</title><style>{STYLE}</style>\
         </head><body><header><h1>{0}</h1><p>A physics dataset written by Worldstep, read back from its files.</p>\
         <div class=cards>{cards}</div></header><main>{1}{2}{3}</main></body></html>\n",
        escape(&name),
        table(overview),
        legend(overview),
        sections.concat(),
    )
}

/// One line a dataset, and what happens in all of them.
fn table(overview: &[(Dataset, Gathered)]) -> String {
    let mut out = String::from(
        "<section><h2>Overview</h2><div class=wide><table class=overview><tr><th scope=col>scenario</th><th \
         scope=col>clips</th><th scope=col>frames</th><th scope=col>accepted</th><th scope=col>most rejected \
         for</th><th scope=col>outcomes</th><th scope=col>splits</th></tr>",
    );
    for (dataset, gathered) in overview {
        let (attempts, accepted) = gathered.attempts();
        let worst = gathered.rejected.iter().max_by_key(|(_, count)| **count);
        let listed = |counts: &std::collections::BTreeMap<String, usize>| {
            counts.iter().map(|(name, n)| format!("{} {n}", words(name))).collect::<Vec<_>>().join(" · ")
        };
        let _ = write!(
            out,
            "<tr><th scope=row><a href=\"#{0}\">{0}</a></th><td class=n>{1}</td><td class=n>{2}</td><td class=n \
             title=\"{3} of {attempts} attempts\">{4:.0}%</td><td>{5}</td><td>{6}</td><td>{7}</td></tr>",
            escape(&dataset.scenario().id),
            dataset.episodes.len(),
            gathered.frames,
            gathered.units,
            100.0 * accepted,
            worst.map_or("–".to_owned(), |(reason, count)| format!("{} ({count})", escape(&words(reason)))),
            if gathered.outcomes.is_empty() { "–".to_owned() } else { escape(&listed(&gathered.outcomes)) },
            escape(&listed(&gathered.splits)),
        );
    }
    out.push_str("</table></div>");
    let kinds: Vec<String> = EventKind::ALL.iter().map(|kind| kind.name().to_owned()).collect();
    let rows: Vec<(String, Vec<usize>)> = overview
        .iter()
        .map(|(dataset, gathered)| {
            let count = |kind: &EventKind| gathered.events.get(kind.name()).copied().unwrap_or(0);
            (dataset.scenario().id.clone(), EventKind::ALL.iter().map(count).collect())
        })
        .collect();
    out.push_str(&grid("Events by scenario", &kinds, &rows));
    out.push_str("</section>");
    out
}

/// What the colours and signs of the contact sheets mean.
fn legend(overview: &[(Dataset, Gathered)]) -> String {
    let mut out = String::from("<section class=legend><h2>How to read the contact sheets</h2><ul>");
    let (pixels, side) = wheel::legend();
    if let Ok(uri) = png_uri(&pixels, side, side) {
        let _ = write!(
            out,
            "<li><img src=\"{uri}\" width={side} height={side} alt=\"colour wheel of flow directions\"> flow: hue is \
             the direction in the picture, strength the length, white no motion</li>"
        );
    }
    out.push_str(
        "<li>rgb: box and number of each moving instance; axes of its pose (x red, y green, z blue); <b \
         class=contact>contacts</b> with the impulse on the second body, <b class=force>applied forces</b></li>\
         <li>depth: near is bright; normals: x, y, z of the camera's frame as red, green, blue; coordinates: place \
         within the object as red, green, blue</li><li>time line: band is the visible share, bars are contact \
         impulses",
    );
    for kind in EventKind::ALL {
        let (color, sign) = mark(kind);
        let _ = write!(out, ", <b style=\"color:{color}\">{sign}</b> {}", words(kind.name()));
    }
    out.push_str("; thin lines are the frames shown</li>");
    if overview.iter().any(|(dataset, _)| dataset.info.channels.iter().any(|channel| channel == "semantic")) {
        out.push_str("<li class=classes>classes: ");
        for (class, name) in SEMANTIC_CLASSES.iter().enumerate().skip(1) {
            let color = css(class_color(class as u16));
            let _ = write!(out, "<span><i style=\"background:{color}\"></i>{}</span> ", words(name));
        }
        out.push_str("</li>");
    }
    out.push_str("</ul></section>");
    out
}

/// What there is to say of one dataset.
///
/// # Errors
/// [`SynthError::Read`].
pub fn section(
    dataset: &Dataset,
    gathered: &Gathered,
    options: &ReportOptions,
) -> Result<String, SynthError> {
    let scenario = dataset.scenario();
    let mut out =
        format!("<section id=\"{0}\"><h2>{0}</h2>{1}", escape(&scenario.id), facts(dataset, gathered));
    out.push_str("<div class=columns>");
    out.push_str(&counts(gathered));
    out.push_str("</div>");
    let outcomes: Vec<String> = gathered.outcomes.keys().cloned().collect();
    let rows: Vec<(String, Vec<usize>)> = gathered
        .event_outcomes
        .iter()
        .map(|(kind, by_outcome)| {
            let count = |outcome: &String| by_outcome.get(outcome).copied().unwrap_or(0);
            ((*kind).to_owned(), outcomes.iter().map(count).collect())
        })
        .collect();
    out.push_str(&grid("Events by outcome", &outcomes, &rows));
    out.push_str("<h3>Clips</h3>");
    for index in sheet::pick(dataset, options.clips_drawn) {
        out.push_str(&sheet::clip(dataset, index, options.frames_drawn)?);
    }
    out.push_str(&distributions(gathered));
    out.push_str("</section>");
    Ok(out)
}

fn facts(dataset: &Dataset, gathered: &Gathered) -> String {
    let info = &dataset.info;
    let (attempts, accepted) = gathered.attempts();
    let cameras: Vec<&str> =
        info.cameras.iter().map(|name| if name.is_empty() { "main" } else { name.as_str() }).collect();
    let hash = set_hash(dataset.episodes.iter().map(|entry| entry.hash.as_str()));
    let rows = [
        (
            "clips",
            format!("{}, {} rows in all, {} a second", dataset.episodes.len(), gathered.frames, dataset.fps),
        ),
        ("accepted", format!("{} of {attempts} attempts, {:.1}%", gathered.units, 100.0 * accepted)),
        ("frames", format!("{0} × {0} pixels: {1}", info.frame_size, info.channels.join(", "))),
        ("cameras", cameras.join(", ")),
        (
            "instances",
            dataset.scenario().instances.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", "),
        ),
        ("seed", info.seed.to_string()),
        ("written by", format!("worldstep {}, drawn by {}", info.writer, info.driver)),
        ("content hash", hash),
    ];
    let rows: String =
        rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", escape(value))).collect();
    format!("<dl>{rows}</dl>")
}

fn counts(gathered: &Gathered) -> String {
    let sorted = |counts: &std::collections::BTreeMap<String, usize>| -> Vec<(String, usize)> {
        counts.iter().map(|(name, count)| (name.clone(), *count)).collect()
    };
    let table = |caption: &str, counts: &[(String, usize)]| {
        bars(caption, counts.iter().map(|(name, count)| (name.as_str(), *count)))
    };
    let rejected: Vec<(String, usize)> =
        gathered.rejected.iter().map(|(reason, count)| (reason.clone(), *count as usize)).collect();
    let attempts = [
        ("accepted", gathered.units),
        ("rejected for a fault", gathered.rejected.values().sum::<u64>() as usize),
        ("drawn again for balance", gathered.redrawn as usize),
    ];
    [
        table("Outcomes", &sorted(&gathered.outcomes)),
        bars("Events", gathered.events.iter().map(|(kind, count)| (*kind, *count))),
        bars("Attempts", attempts),
        table("Rejected attempts by reason", &rejected),
        table("Splits", &sorted(&gathered.splits)),
        table("Behaviours", &sorted(&gathered.policies)),
        bars("Links", gathered.links.iter().map(|(kind, count)| (*kind, *count))),
    ]
    .concat()
}

fn distributions(gathered: &Gathered) -> String {
    let mut out = format!(
        "<h3>Trajectories</h3><p class=note>Over {} clips; the line is the median.</p><div class=hists>",
        gathered.clips_read
    );
    out.push_str(&histogram("rows of a clip", "", &gathered.lengths));
    for (name, unit, values) in &gathered.trajectories {
        out.push_str(&histogram(name, unit, values));
    }
    out.push_str("</div>");
    if gathered.parameters.is_empty() {
        return out;
    }
    out.push_str("<h3>Sampled parameters</h3><div class=hists>");
    for (name, values) in gathered.parameters_shown() {
        out.push_str(&histogram(name, "", values));
    }
    out.push_str("</div>");
    let more = gathered.parameters.len().saturating_sub(PARAMETERS_MAX);
    if more > 0 {
        let _ = write!(out, "<p class=note>{more} more parameters are in meta/episodes.</p>");
    }
    out
}
