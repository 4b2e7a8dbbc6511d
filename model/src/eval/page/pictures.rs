use super::chart::{Curve, chart};
use super::markup::{keyed, optional, table};
use crate::eval::pictures::{HORIZONS, PictureReport, PictureRow};

/// Arms in the order that they are named in.
const ARMS: [&str; 6] =
    ["model", "copy_last", "constant_velocity", "shuffled_actions", "tokenizer", "perturbed_truth"];

type Measure = (&'static str, fn(&PictureRow) -> Option<f64>);
const MEASURES: [Measure; 8] = [
    ("PSNR, foreground, dB", |row| row.psnr_db.foreground),
    ("PSNR, frame, dB", |row| row.psnr_db.frame),
    ("PSNR, what the action moves, dB", |row| row.psnr_db.actuated),
    ("SSIM, foreground", |row| row.ssim.foreground),
    ("SSIM, frame", |row| row.ssim.frame),
    ("Feature distance, foreground", |row| row.feature_distance.foreground),
    ("Feature distance, frame", |row| row.feature_distance.frame),
    ("Feature distance, what the action moves", |row| row.feature_distance.actuated),
];
/// Beyond this a curve is drawn along the edge: what is as good as equal would press all others together.
const DRAWN_MAX: f64 = 50.0;
/// Measures that are drawn.
const DRAWN: [usize; 4] = [0, 2, 3, 5];

/// Curves by steps ahead, and every measure at the reported ones.
pub fn pictures(report: &PictureReport) -> String {
    let arms: Vec<&str> = ARMS.into_iter().filter(|arm| report.arms.contains_key(*arm)).collect();
    let legend: String = arms.iter().map(|arm| format!("<span>{}</span>", keyed(arm))).collect();
    let charts: String = DRAWN.iter().map(|measure| drawn(report, &arms, MEASURES[*measure])).collect();
    let columns: Vec<String> = HORIZONS
        .iter()
        .map(|horizon| {
            let clips = report.clips_at_horizon.get(horizon).copied().unwrap_or(0);
            format!("{horizon} ahead ({clips} clips)")
        })
        .collect();
    let tables: String = MEASURES
        .iter()
        .map(|(title, of)| {
            let cell = |arm: &str, horizon: &usize| {
                optional(report.arms[arm].at.get(horizon).and_then(|row| row.as_ref()).and_then(of))
            };
            let row = |arm: &&str| (keyed(arm), HORIZONS.iter().map(|horizon| cell(arm, horizon)).collect());
            table(title, &columns, &arms.iter().map(row).collect::<Vec<_>>())
        })
        .collect();
    format!(
        "<p class=note>The tokenizer is the ceiling of any dream that goes through its codes; perturbed truth, the same \
         episode after everything was displaced by a millimetre, is the ceiling that chaos sets. Constant velocity moves \
         the true silhouettes on. Foreground is where something that moves is, or was when last seen.</p>\
         <div class=legend>{legend}</div><div class=charts>{charts}</div><h3>By steps ahead</h3><div class=tables>{tables}</div>{}\
         <p class=note>Feature distance: {}; it stands where others have LPIPS. Fréchet distance: windows of {} frames, {} \
         values each; it stands where others have FVD, and can only be compared with itself.</p>",
        frechet(report, &arms),
        report.feature_net,
        report.frechet_window_frames,
        report.frechet_dimension,
    )
}

fn drawn(report: &PictureReport, arms: &[&str], (title, of): Measure) -> String {
    let curve = |arm: &&str| Curve {
        color: (*arm).to_owned(),
        thin: matches!(*arm, "tokenizer" | "perturbed_truth"),
        points: report.arms[*arm]
            .curve
            .iter()
            .filter_map(|(step, row)| Some([*step as f64, of(row)?.min(DRAWN_MAX)]))
            .collect(),
    };
    chart(title, &arms.iter().map(curve).collect::<Vec<_>>())
}

fn frechet(report: &PictureReport, arms: &[&str]) -> String {
    let samples = |horizon: &usize| {
        arms.iter().filter_map(|arm| report.arms[*arm].frechet.get(horizon)).map(|row| row.samples).max()
    };
    let columns: Vec<String> = HORIZONS[1..]
        .iter()
        .flat_map(|horizon| {
            let windows = samples(horizon).unwrap_or(0);
            [format!("to {horizon}, frame ({windows} windows)"), format!("to {horizon}, foreground")]
        })
        .collect();
    let row = |arm: &&str| {
        let cells = HORIZONS[1..].iter().flat_map(|horizon| {
            let row = report.arms[*arm].frechet.get(horizon).copied().unwrap_or_default();
            [optional(row.frame), optional(row.foreground)]
        });
        (keyed(arm), cells.collect())
    };
    table("Fréchet distance", &columns, &arms.iter().map(row).collect::<Vec<_>>())
}
