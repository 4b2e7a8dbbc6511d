use super::chart::{Curve, chart};
use super::markup::{escape, number, optional, percent, table};
use crate::eval::simulator::{Accuracy, DreamtEndings, Drift, DriftBlock, RewardErrors, SimulatorReport};

/// Colours of objects in charts, in turn.
const COLORS: [&str; 4] = ["model", "constant_velocity", "tokenizer", "perturbed_truth"];

/// Rewards and ends, drift, surprise.
pub fn simulator(report: &SimulatorReport) -> String {
    let drift = report.drift.as_ref().map_or_else(String::new, drift);
    let surprise = report.surprise.as_ref().map_or_else(String::new, |surprise| {
        let rows: Vec<_> = surprise
            .by_kind
            .iter()
            .map(|(kind, of)| (escape(kind), of.pairs, [of.accuracy, of.accuracy_by_peak]))
            .chain([("all".to_owned(), surprise.pairs, [surprise.accuracy, surprise.accuracy_by_peak])])
            .map(|(kind, pairs, [mean, peak])| {
                (kind, vec![pairs.to_string(), percent(Some(mean)), percent(Some(peak))])
            })
            .collect();
        let columns = ["pairs", "the impossible clip surprises more", "by its most surprising frame"];
        table("Violation of expectation", &columns.map(str::to_owned), &rows)
    });
    let rewards = report.reward.as_ref().map_or_else(String::new, rewards);
    let ends = report.termination_one_step.as_ref().zip(report.termination_dreamt.as_ref());
    let ends = ends.map_or_else(String::new, |ends| endings(ends, report.termination_threshold));
    rewards + &ends + &drift + &surprise
}

fn rewards(reward: &RewardErrors) -> String {
    let bands = reward.dreamt_mae.iter().map(|(band, error)| (format!("dreamt, to {band} ahead"), *error));
    let all = [
        ("one step".to_owned(), Some(reward.one_step_mae)),
        ("always the median".to_owned(), Some(reward.constant_mae)),
    ];
    let all: Vec<(String, Option<f64>)> = all
        .into_iter()
        .chain(bands)
        .chain([
            ("return of a clip".to_owned(), reward.dreamt_return_mae),
            ("correlation of its mean".to_owned(), reward.dreamt_reward_correlation),
        ])
        .collect();
    let columns: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
    let cells = all.iter().map(|(_, value)| optional(*value)).collect();
    table("Reward: mean absolute error", &columns, &[("reward".to_owned(), cells)])
}

fn endings((one, dreamt): (&Accuracy, &DreamtEndings), threshold: f32) -> String {
    let columns = ["F1", "precision", "recall", "ends", "time error, frames", "late, frames", "missed"];
    let accuracy = |accuracy: &Accuracy| {
        [accuracy.f1, accuracy.precision, accuracy.recall]
            .map(optional)
            .into_iter()
            .chain([accuracy.events.to_string()])
    };
    let none = ["–".to_owned(), "–".to_owned(), "–".to_owned()];
    let timing =
        [optional(dreamt.time_error_frames), optional(dreamt.late_frames), dreamt.missed.to_string()];
    let rows = [
        ("one step ahead of true frames".to_owned(), accuracy(one).chain(none).collect()),
        (
            format!("in dreams, within {} frames", dreamt.tolerance_frames),
            accuracy(&dreamt.accuracy).chain(timing).collect(),
        ),
    ];
    let title = format!("Ends of episodes, above a probability of {threshold:.2}");
    table(&title, &columns.map(str::to_owned), &rows)
}

fn drift(drift: &Drift) -> String {
    let curve = |color: &str, thin: bool, of: &dyn Fn(&DriftBlock) -> Option<f64>| Curve {
        color: color.to_owned(),
        thin,
        points: drift.blocks.iter().filter_map(|block| Some([block.from_step as f64, of(block)?])).collect(),
    };
    let beside = |title: &str, of: &dyn Fn(&DriftBlock) -> Option<f64>| {
        let truth = of(&drift.truth);
        chart(title, &[curve("model", false, of), curve("truth", true, &|_| truth)])
    };
    let objects: Vec<&String> = drift.truth.found.iter().flat_map(|found| found.keys()).collect();
    let found: Vec<Curve> = objects
        .iter()
        .zip(COLORS.iter().cycle())
        .flat_map(|(name, color)| {
            let of = |block: &DriftBlock| block.found.as_ref()?.get(*name).copied();
            let truth = of(&drift.truth);
            [curve(color, false, &of), curve(color, true, &|_| truth)]
        })
        .collect();
    let legend: String = objects
        .iter()
        .zip(COLORS.iter().cycle())
        .map(|(name, color)| {
            format!("<span><span class=key style=\"--c:var(--{color})\"></span>{} found</span>", escape(name))
        })
        .collect();
    format!(
        "<h3>Drift</h3><p class=note>{} dreams of {} steps under random actions; ends of episodes are passed over, so that \
         much of this is beyond what was learned. Dashed: true frames. Uncertainty grew by a factor of {} from the first \
         block to the last, {} of the dreams collapsed.</p><div class=legend>{legend}</div><div class=charts>{}{}{}{}</div>",
        drift.dreams,
        drift.steps,
        number(drift.uncertainty_growth),
        percent(Some(drift.collapsed_share)),
        beside("Uncertainty, nats", &|block| Some(block.uncertainty)),
        beside("Patches never seen at their place, share", &|block| Some(block.strange_patches)),
        beside("Change from frame to frame, grey levels", &|block| Some(block.change)),
        chart("Share of frames in which the probe finds an object", &found),
    )
}
