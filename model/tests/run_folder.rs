//! A training's folder tells people what was trained, on what, and how it went.
#![allow(clippy::unwrap_used, missing_docs)]

mod toy;

use worldstep_model::train::{Budget, Row, Stage, TrainError, TrainOptions, train_on};

#[test]
fn the_folder_tells_options_curves_and_how_to_do_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let clips = toy::clips(8, 20, 1);
    let mut options = TrainOptions::new("out/clips", dir.path());
    options.budget = Budget::Steps { tokenizer: 30, dynamics: 7 };
    (options.batch, options.validation_batches, options.log_every) = (2, 1, 3);
    let summary = train_on(&clips, &options, &mut |_| ()).unwrap();
    let text = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();

    let config: serde_json::Value = serde_json::from_str(&text("config.json")).unwrap();
    assert_eq!(config["datasets"][0]["hash"], clips.hash.as_str());
    assert_eq!(config["budget"]["steps"]["tokenizer"], 30);
    assert_eq!((&config["ema_decay"], &config["schedule"]["decay"]), (&0.999.into(), &0.2.into()));

    let rows: Vec<Row> =
        text("curves.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps = |wanted| {
        let step = |row: &Row| match row {
            Row::Step(row) if row.stage == wanted => Some(row.step),
            _ => None,
        };
        rows.iter().filter_map(step).collect::<Vec<_>>()
    };
    assert_eq!(steps(Stage::Tokenizer), [3, 6, 9, 12, 15, 18, 21, 24, 27, 30]);
    assert_eq!(steps(Stage::Dynamics), [3, 6, 7], "the last steps have a row too");
    let Row::Step(first) = &rows[0] else { panic!("{rows:?}") };
    assert!(first.learning_rate > 0.0 && first.frames_per_s > 0.0 && first.gradient_norm.is_some());
    let weighed = [("l1", 0.5), ("l2", 2.0), ("worst_pixel", 0.02)];
    let part = |name: &str| first.parts.iter().find(|part| part.0 == name).unwrap().1;
    let sum: f32 = weighed.iter().map(|(name, weight)| part(name) * weight).sum();
    assert!((sum - first.loss).abs() < 1e-4, "{first:?}");
    let known = |row: &Row| match row {
        Row::Step(row) => row.parts.iter().any(|part| part.0 == "free_flight"),
        Row::Validation(row) => row.parts.iter().any(|part| part.0 == "free_flight"),
    };
    assert!(!rows.iter().any(known), "these clips tell nothing of physics, so its losses were not measured");
    let validations = rows.iter().filter(|row| matches!(row, Row::Validation(_))).count();
    assert_eq!(validations, summary.record.validation.len());

    let page = text("curves.html");
    assert!(page.contains("<h2>tokenizer</h2>") && page.contains("<h2>dynamics</h2>"));
    let best = summary.record.best(Stage::Dynamics).unwrap();
    let card = text("README.md");
    assert!(card.contains("--steps 30,7") && card.contains(&format!("{:.4}", best.loss)), "{card}");
}

#[test]
fn impossible_options_are_named_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let refusal = |change: fn(&mut TrainOptions)| {
        let mut options = TrainOptions::new("unused", &out);
        change(&mut options);
        let error = train_on(&toy::clips(4, 20, 1), &options, &mut |_| ()).unwrap_err();
        assert!(matches!(error, TrainError::Option { .. }), "{error}");
        assert!(!out.exists());
        error.to_string()
    };
    let minutes = Budget::Minutes { minutes: f64::NAN, tokenizer_share: 0.3 };
    let refusals = [
        (refusal(|options| options.ema_decay = 1.0), "ema decay is 1"),
        (refusal(|options| options.schedule.warmup = -0.5), "warmup is -0.5"),
        (refusal(|options| options.batch = 0), "batch is 0"),
        (refusal(|options| options.log_every = 0), "log every is 0"),
        (refusal(|options| options.precision = worldstep_model::precision::Precision::Bf16), "choose f32"),
    ];
    for (message, expected) in refusals {
        assert!(message.contains(expected), "{message}");
    }
    let mut options = TrainOptions::new("unused", &out);
    options.budget = minutes;
    assert!(train_on(&toy::clips(4, 20, 1), &options, &mut |_| ()).is_err());
}
