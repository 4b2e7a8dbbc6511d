use std::fmt::Write as _;

use super::curves::{Row, StepRow, ValidationRow};
use super::options::Stage;
use crate::chart::{Chart, Mark, Series, escaped, short};
use crate::model::ModelCard;

const STYLE: &str = include_str!("page.css");
/// Beyond this ratio of the largest to the smallest value a loss is drawn on a logarithmic scale.
const LOG_RATIO: f64 = 8.0;

/// The curves of a training as one page of HTML that loads nothing.
pub fn html(card: &ModelCard, rows: &[Row]) -> String {
    let title = format!("{} · {}", escaped(&card.task_names()), card.config.preset.name());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n{}",
        summary(card, rows),
    );
    for stage in [Stage::Tokenizer, Stage::Dynamics] {
        let (steps, validations) = of_stage(rows, stage);
        if steps.is_empty() && validations.is_empty() {
            continue;
        }
        let _ = write!(page, "<h2>{}</h2><div class=\"charts\">", stage.name());
        for (name, chart) in charts(&steps, &validations) {
            let svg = chart.svg();
            if !svg.is_empty() {
                let _ = writeln!(page, "<figure><figcaption>{name}</figcaption>{svg}</figure>");
            }
        }
        page += "</div>\n";
    }
    page + "</body></html>\n"
}

fn of_stage(rows: &[Row], wanted: Stage) -> (Vec<&StepRow>, Vec<&ValidationRow>) {
    let (mut steps, mut validations) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Row::Step(row) if row.stage == wanted => steps.push(row),
            Row::Validation(row) if row.stage == wanted => validations.push(row),
            _ => {}
        }
    }
    (steps, validations)
}

fn summary(card: &ModelCard, rows: &[Row]) -> String {
    let record = &card.training;
    let mut text = format!(
        "<p>{} clips, {} frames of dataset <code>{}</code>; seed {}.</p>\n<table><tr><th></th><th>steps</th>\
         <th>seconds</th><th>loss</th><th>best validation</th><th>at step</th><th>frames/s</th></tr>",
        record.clips, record.frames, record.dataset_hash, record.seed,
    );
    for stage in [Stage::Tokenizer, Stage::Dynamics] {
        let (steps, seconds) = record.spent(stage);
        let (rows, _) = of_stage(rows, stage);
        let last = |value: fn(&StepRow) -> f64| rows.last().map_or("–".to_owned(), |row| short(value(row)));
        let best = record.best(stage);
        let _ = write!(
            text,
            "<tr><th>{}</th><td>{steps}</td><td>{seconds:.0}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            stage.name(),
            last(|row| f64::from(row.loss)),
            best.map_or("–".to_owned(), |best| short(f64::from(best.loss))),
            best.map_or("–".to_owned(), |best| best.step.to_string()),
            last(|row| row.frames_per_s),
        );
    }
    text + "</table>\n"
}

fn charts(steps: &[&StepRow], validations: &[&ValidationRow]) -> Vec<(&'static str, Chart)> {
    let line = |name: &str, value: &dyn Fn(&StepRow) -> Option<f64>| Series {
        name: name.to_owned(),
        points: steps.iter().filter_map(|row| Some((row.step as f64, value(row)?))).collect(),
        mark: Mark::Line,
    };
    let validation = Series {
        name: "validation, averaged weights".to_owned(),
        points: validations.iter().map(|row| (row.step as f64, f64::from(row.loss))).collect(),
        mark: Mark::Dots,
    };
    let training = line("training", &|row| Some(f64::from(row.loss)));
    let mut terms: Vec<&str> = Vec::new();
    for (name, _) in steps.iter().flat_map(|row| &row.parts) {
        if !terms.contains(&name.as_str()) {
            terms.push(name);
        }
    }
    let term = |name: &&str| {
        line(name, &|row| row.parts.iter().find(|part| part.0 == *name).map(|part| f64::from(part.1)))
    };
    let terms = terms.iter().map(term).collect();
    vec![
        ("Loss", chart(vec![training, validation], true)),
        ("Terms of the loss, before their weights", chart(terms, true)),
        ("Learning rate", chart(vec![line("learning rate", &|row| Some(row.learning_rate))], false)),
        (
            "Norm of the gradients before clipping",
            chart(vec![line("norm", &|row| row.gradient_norm.map(f64::from))], true),
        ),
        ("Throughput", chart(vec![line("frames/s", &|row| Some(row.frames_per_s))], false)),
    ]
}

/// A chart over steps, its y logarithmic if it may be and the values span much.
fn chart(series: Vec<Series>, may_be_log: bool) -> Chart {
    let values = || series.iter().flat_map(|series| &series.points).map(|p| p.1).filter(|y| *y > 0.0);
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    Chart { x_name: "step".to_owned(), log: may_be_log && high > low * LOG_RATIO, series }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Validation;
    use crate::train::options::Stage;

    #[test]
    fn the_page_holds_its_own_style_and_asks_for_nothing() {
        let step = StepRow {
            stage: Stage::Tokenizer,
            step: 10,
            loss: 0.5,
            parts: vec![("l1".to_owned(), 0.4)],
            learning_rate: 1e-3,
            gradient_norm: None,
            frames_per_s: 800.0,
            seconds: 1.0,
        };
        let later = StepRow { step: 20, loss: 0.25, ..step.clone() };
        let mut card = super::super::readme::tests::card();
        let validation = Validation { stage: Stage::Tokenizer, step: 20, seconds: 2.0, loss: 0.125 };
        card.training.validation = vec![validation];
        let page = html(&card, &[Row::Step(step), Row::Step(later)]);
        for wanted in ["<svg", "Toy-v0 · nano", "0.125", "--series-1", "prefers-color-scheme", "l1"] {
            assert!(page.contains(wanted), "no {wanted}");
        }
        for unwanted in ["<script", "http", "src=", "@import", "url(", "NaN", "<h2>dynamics"] {
            assert!(!page.contains(unwanted), "{unwanted}");
        }
    }
}
