//! The evaluation on the terminal.

use std::fmt::Write as _;

use worldstep_model::eval::physics::{PhysicsReport, SourceReport};
use worldstep_model::eval::pictures::{HORIZONS, PictureReport, PictureRow};
use worldstep_model::eval::simulator::SimulatorReport;
use worldstep_model::eval::{EvalReport, SetReport};

/// Sources of physics that are told here; the page has all.
const SOURCES: [&str; 5] =
    ["probe_on_truth", "probe_on_perturbed_truth", "probe_on_dream", "readout", "constant_velocity"];
/// Width of a name and of a figure.
const NAME: usize = 26;
const FIGURE: usize = 10;

/// The report as text: a part for each set of clips.
pub fn summary(report: &EvalReport) -> String {
    let mut out = String::new();
    for (name, set) in &report.sets {
        let _ = writeln!(out, "# {name}: {} clips, {} frames of context", set.clips, report.context_frames);
        pictures(&set.pictures, &mut out);
        if let Some(physics) = &set.physics {
            self::physics(physics, &mut out);
        }
        simulator(set, &set.simulator, &mut out);
    }
    out
}

fn line(name: &str, cells: impl IntoIterator<Item = String>, out: &mut String) {
    let cells: String = cells.into_iter().map(|cell| format!("{cell:>FIGURE$}")).collect();
    let _ = writeln!(out, "{name:NAME$}{cells}");
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(
        || "–".to_owned(),
        |value| {
            if value != 0.0 && value.abs() < 0.01 { format!("{value:.1e}") } else { format!("{value:.3}") }
        },
    )
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |share| format!("{:.1}%", 100.0 * share))
}

fn pictures(report: &PictureReport, out: &mut String) {
    type Measure = (&'static str, fn(&PictureRow) -> Option<f64>);
    let measures: [Measure; 5] = [
        ("PSNR of the frame, dB", |row| row.psnr_db.frame),
        ("PSNR of the foreground, dB", |row| row.psnr_db.foreground),
        ("PSNR of the actuated, dB", |row| row.psnr_db.actuated),
        ("SSIM of the foreground", |row| row.ssim.foreground),
        ("feature distance of it", |row| row.feature_distance.foreground),
    ];
    for (title, of) in measures {
        line(title, HORIZONS.map(|horizon| format!("{horizon} ahead")), out);
        for (name, arm) in &report.arms {
            let cell =
                |horizon: &usize| figure(arm.at.get(horizon).and_then(|row| row.as_ref()).and_then(of));
            line(&format!("  {name}"), HORIZONS.iter().map(cell), out);
        }
    }
    line("Fréchet distance, frame", HORIZONS.map(|horizon| format!("to {horizon}")), out);
    for (name, arm) in &report.arms {
        let cell = |horizon: &usize| figure(arm.frechet.get(horizon).and_then(|row| row.frame));
        line(&format!("  {name}"), HORIZONS.iter().map(cell), out);
    }
}

fn physics(report: &PhysicsReport, out: &mut String) {
    let head = ["found", "hidden", "pixels", "metres"];
    line("probe on true frames", head.map(str::to_owned), out);
    for (name, error) in &report.probe.objects {
        let cells = [
            share(error.found_when_whole),
            share(error.found_when_hidden),
            figure(error.pixels_rms),
            figure(error.metres_rms),
        ];
        line(&format!("  {name}"), cells, out);
    }
    let head = ["gravity", "error", "placed 20", "off at", "found", "precise", "late", "outcome", "deep"];
    line("physics", head.map(str::to_owned), out);
    for name in SOURCES {
        if let Some(source) = report.sources.get(name) {
            line(&format!("  {name}"), laws(source), out);
        }
    }
}

fn laws(source: &SourceReport) -> [String; 9] {
    let permanence = source.permanence.iter().find(|row| row.hidden_frames == [11, 20]);
    let first_off = source.lost.values().flatten().map(|lost| lost.median_steps).min();
    let collisions = source.collisions;
    [
        figure(source.gravity.map(|gravity| gravity.m_s2)),
        share(source.gravity.map(|gravity| gravity.relative_error)),
        share(permanence.and_then(|row| row.placed)),
        first_off.map_or("–".to_owned(), |steps| steps.to_string()),
        share(collisions.map(|collisions| collisions.found)),
        share(collisions.and_then(|collisions| collisions.precision)),
        figure(collisions.and_then(|collisions| collisions.late_frames)),
        share(collisions.and_then(|collisions| collisions.outcome_agreement)),
        share(source.penetration.map(|penetration| penetration.deep_share)),
    ]
}

fn simulator(set: &SetReport, report: &SimulatorReport, out: &mut String) {
    if let Some(reward) = &report.reward {
        let _ = writeln!(
            out,
            "reward MAE {:.4} one step ahead ({:.4} for the median), return MAE {} over {} dreams",
            reward.one_step_mae,
            reward.constant_mae,
            figure(reward.dreamt_return_mae),
            set.clips,
        );
    }
    if let (Some(one), Some(dreamt)) = (&report.termination_one_step, &report.termination_dreamt) {
        let _ = writeln!(
            out,
            "termination F1 {} one step ahead ({} ends), {} in dreams, {} frames late on average",
            figure(one.f1),
            one.events,
            figure(dreamt.accuracy.f1),
            figure(dreamt.late_frames),
        );
    }
    if let Some(drift) = &report.drift {
        let _ = writeln!(
            out,
            "{} dreams of {} steps: {} collapsed, uncertainty grew by a factor of {:.2}",
            drift.dreams,
            drift.steps,
            share(Some(drift.collapsed_share)),
            drift.uncertainty_growth,
        );
    }
    if let Some(surprise) = &report.surprise {
        let _ = writeln!(
            out,
            "violation of expectation: {} of {} pairs surprise more where they are impossible",
            share(Some(surprise.accuracy)),
            surprise.pairs,
        );
    }
}
