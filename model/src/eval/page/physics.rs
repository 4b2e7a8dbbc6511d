use super::markup::{escape, number, optional, percent, table, words};
use crate::eval::physics::{PhysicsReport, SourceReport};

/// Sources in the order that they are named in.
const SOURCES: [&str; 9] = [
    "probe_on_truth",
    "probe_on_tokenizer",
    "probe_on_dream",
    "probe_on_shuffled_actions",
    "probe_on_perturbed_truth",
    "readout",
    "copy_last",
    "constant_velocity",
    "perturbed_truth",
];

/// The probe's own errors, then every measure by source.
pub fn physics(report: &PhysicsReport) -> String {
    let sources: Vec<(&str, &SourceReport)> =
        SOURCES.iter().filter_map(|name| Some((*name, report.sources.get(*name)?))).collect();
    let fitted = if report.probe.fitted_on_train { "training" } else { "these very" };
    format!(
        "<p class=note>A probe reads objects from single frames: the likelihood of each pixel's colour, the place where \
         most of it lies, and least squares from there to the world. It was fitted on {} {fitted} frames. The rows “probe on \
         truth” say what it gets wrong itself; the readout is the model's own, and no pictures are needed for it and for \
         what follows it.</p>{}{}{}{}{}{}",
        report.probe.fitted_on_frames,
        probe(report),
        permanence(&sources),
        laws(&sources, &report.falling),
        state(&sources),
        collisions(&sources),
        lost(&sources),
    )
}

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// One row a source, as long as one of them has a cell that is no dash.
fn by_source(
    caption: &str,
    names: &[String],
    sources: &[(&str, &SourceReport)],
    cells: impl Fn(&SourceReport) -> Vec<String>,
) -> String {
    let rows: Vec<_> = sources.iter().map(|(name, source)| (escape(&words(name)), cells(source))).collect();
    let empty = rows.iter().all(|(_, cells)| cells.iter().all(|cell| cell == "–"));
    if empty { String::new() } else { table(caption, names, &rows) }
}

fn probe(report: &PhysicsReport) -> String {
    let row = |(name, error): (&String, &crate::eval::physics::ProbeError)| {
        let cells = vec![
            percent(error.found_when_whole),
            percent(error.found_when_hidden),
            optional(error.pixels_median),
            optional(error.pixels_rms),
            optional(error.metres_median),
            optional(error.metres_rms),
            error.frames.to_string(),
        ];
        (escape(name), cells)
    };
    let names = columns(&[
        "found when whole",
        "found when hidden",
        "median, pixels",
        "rms, pixels",
        "median, m",
        "rms, m",
        "frames",
    ]);
    table("The probe on true frames", &names, &report.probe.objects.iter().map(row).collect::<Vec<_>>())
}

fn permanence(sources: &[(&str, &SourceReport)]) -> String {
    let lengths: Vec<([usize; 2], usize)> = sources
        .first()
        .map(|(_, source)| source.permanence.iter().map(|row| (row.hidden_frames, row.occlusions)))
        .into_iter()
        .flatten()
        .filter(|(_, occlusions)| *occlusions > 0)
        .collect();
    let names: Vec<String> = lengths
        .iter()
        .flat_map(|([least, most], count)| {
            [
                format!("{least}–{most} hidden ({count}): unseen"),
                "found again".to_owned(),
                "in place".to_owned(),
            ]
        })
        .collect();
    by_source("Object permanence, by frames hidden", &names, sources, |source| {
        let rows = lengths
            .iter()
            .filter_map(|(length, _)| source.permanence.iter().find(|row| row.hidden_frames == *length));
        rows.flat_map(|row| [row.unseen_while_hidden, row.found, row.placed].map(percent)).collect()
    })
}

fn laws(sources: &[(&str, &SourceReport)], falling: &[String]) -> String {
    let names = columns(&[
        "gravity, m/s²",
        "error",
        "quartiles",
        "windows",
        "flight residual, m",
        "penetration, mean m",
        "deepest m",
        "deeper than r/10",
    ]);
    let caption = if falling.is_empty() {
        "Penetration (nothing falls freely here)".to_owned()
    } else {
        format!("Gravity, free flight ({}), penetration", falling.join(", "))
    };
    by_source(&caption, &names, sources, |source| {
        let gravity = source.gravity;
        let quartiles = gravity.map(|g| g.quartiles_m_s2.map(number).join("…"));
        let penetration = source.penetration;
        vec![
            optional(gravity.map(|g| g.m_s2)),
            gravity.map_or("–".to_owned(), |g| format!("{:+.1}%", 100.0 * g.relative_error)),
            quartiles.unwrap_or("–".to_owned()),
            gravity.map_or("–".to_owned(), |g| format!("{} of {}", g.windows, g.windows_tried)),
            optional(source.free_flight_residual_m),
            optional(penetration.map(|p| p.mean_m)),
            optional(penetration.map(|p| p.deepest_m)),
            penetration.map_or("–".to_owned(), |p| format!("{:.1}%", 100.0 * p.deep_share)),
        ]
    })
}

fn state(sources: &[(&str, &SourceReport)]) -> String {
    let bands: Vec<usize> = sources
        .first()
        .map(|(_, source)| source.state.iter().filter(|(_, row)| row.samples > 0).map(|(band, _)| *band))
        .into_iter()
        .flatten()
        .collect();
    let columns = |what: &str| bands.iter().map(|band| format!("{what}, to {band}")).collect::<Vec<_>>();
    let position = by_source("Distance from the true place, metres", &columns("m"), sources, |source| {
        bands.iter().map(|band| optional(source.state.get(band).and_then(|row| row.position_m))).collect()
    });
    let names = [columns("momentum"), columns("energy")].concat();
    let relative = by_source("Error of momentum and energy by their true size", &names, sources, |source| {
        let momentum = bands.iter().map(|band| source.state.get(band).and_then(|row| row.momentum_relative));
        let energy = bands.iter().map(|band| source.state.get(band).and_then(|row| row.energy_relative));
        momentum.chain(energy).map(percent).collect()
    });
    position + &relative
}

fn collisions(sources: &[(&str, &SourceReport)]) -> String {
    let names =
        columns(&["in truth", "found", "precision", "time error, frames", "late, frames", "outcome agrees"]);
    by_source("Collisions in sight", &names, sources, |source| {
        source.collisions.map_or_else(
            || vec!["–".to_owned(); 6],
            |c| {
                vec![
                    c.truth.to_string(),
                    percent(Some(c.found)),
                    percent(c.precision),
                    optional(c.time_error_frames),
                    optional(c.late_frames),
                    percent(c.outcome_agreement),
                ]
            },
        )
    })
}

fn lost(sources: &[(&str, &SourceReport)]) -> String {
    let objects: Vec<&String> =
        sources.first().map_or_else(Vec::new, |(_, source)| source.lost.keys().collect());
    let names: Vec<String> =
        objects.iter().flat_map(|name| [format!("{name}: median steps"), "never".to_owned()]).collect();
    by_source("Steps until an object in sight is off by more than its radius", &names, sources, |source| {
        let of = |name: &&String| source.lost.get(*name).copied().flatten();
        objects
            .iter()
            .map(of)
            .flat_map(|lost| {
                let steps = lost.map_or("–".to_owned(), |lost| lost.median_steps.to_string());
                [steps, percent(lost.map(|lost| lost.never_share))]
            })
            .collect()
    })
}
