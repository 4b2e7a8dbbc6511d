//! The report as one HTML page that needs nothing beside itself.

mod chart;
mod film;
mod markup;
mod physics;
mod pictures;
mod simulator;

use self::markup::{escape, optional, percent};
use super::report::{EvalReport, SetReport};

const STYLE: &str = include_str!("style.css");

/// What the page is about.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// What is dreamt, and by what: the page's title.
    pub title: String,
    /// Where the weights and clips are from.
    pub origin: String,
}

/// The whole page.
pub fn page(report: &EvalReport, subject: &Subject) -> String {
    let mut sets: Vec<_> = report.sets.iter().collect();
    sets.sort_by_key(|(name, _)| *name != "val");
    let cards = sets.first().map_or_else(String::new, |(_, set)| cards(set));
    let films: String = report.rollouts.iter().map(film::film).collect();
    let films = if films.is_empty() {
        String::new()
    } else {
        format!(
            "<section><h2>Truth beside dream</h2><p class=note>Each dream begins after {} true frames and is given the \
             true actions; codes are {}. Differences are drawn from white (none) to black.</p>{films}</section>",
            report.context_frames,
            if report.temperature > 0.0 {
                format!("drawn at temperature {}", report.temperature)
            } else {
                "the likeliest ones".to_owned()
            }
        )
    };
    let sections: String = sets.iter().map(|(name, set)| section(name, set)).collect();
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport \
         content=\"width=device-width,initial-scale=1\"><title>{0} · evaluation</title><style>{STYLE}</style></head>\
         <body><header><h1>{0}</h1><p>{1}</p>{cards}</header><main>{films}{sections}</main></body></html>\n",
        escape(&subject.title),
        escape(&subject.origin),
    )
}

/// The figures that one looks for first.
fn cards(set: &SetReport) -> String {
    let foreground = |arm: &str| set.pictures.arms.get(arm)?.at.get(&16)?.as_ref()?.psnr_db.foreground;
    let gain = foreground("model").zip(foreground("copy_last")).map(|(model, copy)| model - copy);
    let dream = set.physics.as_ref().and_then(|physics| physics.sources.get("probe_on_dream"));
    let gravity = dream.and_then(|dream| dream.gravity).map(|gravity| gravity.relative_error);
    let permanence = dream.and_then(|dream| {
        let row = dream.permanence.iter().find(|row| row.hidden_frames == [11, 20])?;
        row.placed
    });
    let ending = set.simulator.termination_dreamt.and_then(|dreamt| dreamt.accuracy.f1);
    let collapsed = set.simulator.drift.as_ref().map(|drift| drift.collapsed_share);
    let steps = set.simulator.drift.as_ref().map_or(0, |drift| drift.steps);
    let cards = [
        (set.clips.to_string(), "clips".to_owned()),
        (
            gain.map_or("–".to_owned(), |gain| format!("{gain:+.2} dB")),
            "foreground over copy-last at 16 steps".to_owned(),
        ),
        (
            gravity.map_or("–".to_owned(), |error| format!("{:+.1}%", 100.0 * error)),
            "error of the gravity seen in the dream".to_owned(),
        ),
        (percent(permanence), "back in place after 11–20 hidden frames".to_owned()),
        (optional(ending), "F1 of dreamt ends of episodes".to_owned()),
        (percent(collapsed), format!("of dreams of {steps} steps collapsed")),
        (
            optional(set.simulator.reward.as_ref().map(|reward| reward.one_step_mae)),
            "mean reward error, one step".to_owned(),
        ),
    ];
    let card = |(value, what): &(String, String)| {
        format!("<div class=card><strong>{}</strong><span>{}</span></div>", escape(value), escape(what))
    };
    format!("<div class=cards>{}</div>", cards.iter().map(card).collect::<String>())
}

fn section(name: &str, set: &SetReport) -> String {
    let (title, note) = match name {
        "val" => (
            "Held-out seeds",
            "Clips of the same kind as the training clips, from seeds that were never learned from.",
        ),
        "test_combination" => {
            ("Held-out combinations", "Clips with combinations of factors that training never sees.")
        }
        "test_horizon" => ("Longer horizons", "Clips longer than those that were learned from."),
        other => (other, ""),
    };
    format!(
        "<section><h2>{}: pictures</h2><p class=note>{note} {} clips.</p>{}</section>{}<section><h2>{0}: simulator</h2>{}\
         </section>",
        escape(title),
        set.clips,
        pictures::pictures(&set.pictures),
        set.physics.as_ref().map_or_else(String::new, |physics| {
            format!("<section><h2>{}: physics</h2>{}</section>", escape(title), physics::physics(physics))
        }),
        simulator::simulator(&set.simulator),
    )
}
