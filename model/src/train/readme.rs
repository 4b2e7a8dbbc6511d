use std::fmt::Write as _;

use super::objective::ObjectiveOptions;
use super::optimizer::Optimizer;
use super::options::{Budget, Stage, TrainOptions};
use super::physics::PhysicsOptions;
use crate::model::{ModelCard, Validation};

/// The model card of a trained model: what it is, what it learned from, how well, and how to make it again.
pub fn markdown(card: &ModelCard, parameters: usize, options: &TrainOptions) -> String {
    let record = &card.training;
    let tasks = card.task_names();
    let mut text = format!(
        "# {tasks} · {}\n\n\
         A world model of {tasks} that `worldstep train` made: a tokenizer (frames ↔ codes) and a dynamics \
         (codes and action → next codes, reward, termination, object states). {parameters} weights.\n\n\
         ## Data\n\n\
         {} clips with {} frames of the split `train`, {} pixels, from {}: content hash `{}`, seed {}.{}\n\n\
         ## Sizes\n\n\
         | part | width | layers | heads | key and value heads | hidden |\n|---|---|---|---|---|---|\n",
        card.config.preset.name(),
        record.clips,
        record.frames,
        card.config.frame,
        data(options).map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", "),
        record.dataset_hash,
        record.dataset_seed,
        match record.from.as_str() {
            "" => String::new(),
            from => format!(" Fine-tuned from weights `{from}`."),
        },
    );
    let config = &card.config;
    for (name, stack) in
        [("encoder", &config.encoder), ("decoder", &config.decoder), ("dynamics", &config.dynamics)]
    {
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} |",
            stack.width, stack.layers, stack.heads, stack.kv_heads, stack.hidden
        );
    }
    let _ = write!(
        text,
        "\nThe dynamics looks back on {} frames and tracks: {}.\n\n## Training\n\n{}\n",
        config.context_frames,
        tracked(card),
        training(card, options),
    );
    text + &reproduction(options)
}

fn data(options: &TrainOptions) -> impl Iterator<Item = String> {
    options.data.iter().map(|path| path.display().to_string())
}

fn tracked(card: &ModelCard) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in card.tasks.iter().flat_map(|task| &task.objects) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn training(card: &ModelCard, options: &TrainOptions) -> String {
    let record = &card.training;
    let mut text = String::from(
        "| stage | steps | seconds | best validation loss | at step | last |\n|---|---|---|---|---|---|\n",
    );
    for stage in [Stage::Tokenizer, Stage::Dynamics] {
        let (steps, seconds) = record.spent(stage);
        let last = record.validation.iter().rev().find(|validation| validation.stage == stage);
        let loss = |found: Option<&Validation>| found.map_or("–".to_owned(), |v| format!("{:.4}", v.loss));
        let best = record.best(stage);
        let _ = writeln!(
            text,
            "| {} | {steps} | {seconds:.0} | {} | {} | {} |",
            stage.name(),
            loss(best),
            best.map_or("–".to_owned(), |best| best.step.to_string()),
            loss(last),
        );
    }
    let schedule = options.schedule;
    let _ = write!(
        text,
        "\nThe weights are an exponential moving average over steps (decay {}); {}. {} with gradients clipped to norm 1; \
         the learning rate rises over {} of a stage and falls over the last {}. Products in {}, device {}, seed {}.\n\n\
         Validation loss is the training loss on the same frames and windows of the split `val` each time. It says which \
         weights are best, not how good the dream is: `worldstep eval` does. Curves: [curves.html](curves.html), \
         [curves.jsonl](curves.jsonl); all options: [config.json](config.json).\n",
        record.ema_decay,
        if record.validation.is_empty() {
            "nothing was validated, so they are the last ones"
        } else {
            "of each stage those with the best validation loss are kept"
        },
        match record.optimizer {
            Optimizer::AdamW => "AdamW",
            Optimizer::Muon => "Muon (AdamW outside the blocks' matrices)",
        },
        schedule.warmup,
        schedule.decay,
        options.precision.name(),
        options.device.name(),
        options.seed,
    );
    for task in card.tasks.iter().filter(|task| task.termination_threshold.is_some()) {
        let _ = write!(
            text,
            "\nA step of {} is taken to end the episode above a probability of {:.2}, which foretells the ends of the split \
             `val` best.\n",
            task.id,
            task.ends_above(),
        );
    }
    text
}

fn reproduction(options: &TrainOptions) -> String {
    let budget = match options.budget {
        Budget::Minutes { minutes, tokenizer_share } => {
            format!("--minutes {minutes} --tokenizer-share {tokenizer_share}")
        }
        Budget::Steps { tokenizer, dynamics } => format!("--steps {tokenizer},{dynamics}"),
    };
    let out = options.out.display();
    let mut flags: String = data(options).map(|path| format!(" --data {path}")).collect();
    for weight in &options.mix {
        let _ = write!(flags, " --mix {}={}", weight.name, weight.weight);
    }
    let _ = options.task.iter().try_for_each(|task| write!(flags, " --task {task}"));
    let _ = options.lerobot.iter().try_for_each(|file| write!(flags, " --lerobot-config {}", file.display()));
    let _ = options
        .from
        .iter()
        .try_for_each(|from| write!(flags, " --from {} --rate {}", from.display(), options.rate));
    if options.rate != 1.0 && options.from.is_none() {
        let _ = write!(flags, " --rate {}", options.rate);
    }
    let mut note = "";
    if options.objective != ObjectiveOptions::default() {
        flags += " --objective objective.json";
        note = "`objective.json` holds what [config.json](config.json) has under `objective`. ";
    }
    if options.physics.is_off() {
        flags += " --physics off";
    } else if options.physics != PhysicsOptions::default() {
        let _ = write!(flags, " --physics {}", options.physics);
    }
    let first = data(options).next().unwrap_or_default();
    let schedule = options.schedule;
    format!(
        "\n## Again\n\n```\nworldstep train{flags} --out {out} --preset {} --stage {} {budget} \\\n    \
         --seed {} --batch {} --ema-decay {} --warmup {} --decay {} --device {} --precision {} \\\n    --optimizer {} --validations {}\n\
         worldstep eval --model {out} --data {first}\n```\n\n\
         {note}A budget of steps on a processor with as many cores gives the same weights to the bit; one of minutes, or a GPU, \
         does not.\n",
        options.preset.name(),
        options.stages.name(),
        options.seed,
        options.batch,
        options.ema_decay,
        schedule.warmup,
        schedule.decay,
        options.device.name(),
        options.precision.name(),
        options.optimizer.name(),
        options.validations,
    )
}

#[cfg(test)]
pub(super) mod tests {
    use worldstep_env::Space;

    use super::*;
    use crate::action::ActionCoding;
    use crate::config::Preset;
    use crate::model::{TaskCard, TrainingRecord};

    pub(in crate::train) fn card() -> ModelCard {
        let task = TaskCard {
            id: "Toy-v0".to_owned(),
            actions: ActionCoding::new(&Space::Discrete { n: 3, start: 0 }),
            objects: vec!["ball".to_owned()],
            object_mean: vec![0.0; 6],
            object_scale: vec![1.0; 6],
            termination_threshold: None,
        };
        let training =
            TrainingRecord { clips: 7, dataset_hash: "feed".to_owned(), ..TrainingRecord::default() };
        ModelCard { training, ..ModelCard::new(Preset::Nano, vec![task]) }
    }

    #[test]
    fn the_card_tells_the_data_the_best_validation_and_the_command() {
        let mut card = card();
        let validation = |step, loss| Validation { stage: Stage::Dynamics, step, seconds: 1.0, loss };
        card.training.validation = vec![validation(40, 0.25), validation(80, 0.5)];
        let mut options = TrainOptions::new("out/clips", "out/model");
        options.budget = Budget::Steps { tokenizer: 30, dynamics: 90 };
        let text = markdown(&card, 123, &options);
        for wanted in [
            "Toy-v0",
            "123 weights",
            "7 clips",
            "`feed`",
            "| dynamics | 96 | 4 |",
            "| 0.2500 | 40 | 0.5000 |",
            "--data out/clips --out out/model",
            "--steps 30,90",
            "those with the best validation",
        ] {
            assert!(text.contains(wanted), "no {wanted:?} in\n{text}");
        }
        for silent in ["--objective", "--physics", "--rate"] {
            assert!(!text.contains(silent), "{silent} is as by default:\n{text}");
        }
        options.objective.reward_weight = 2.0;
        options.physics.momentum = 0.5;
        options.rate = 0.5;
        let text = markdown(&card, 123, &options);
        let changed = options.physics.to_string();
        for wanted in ["--objective objective.json", "under `objective`", &changed, "--rate 0.5"] {
            assert!(text.contains(wanted), "no {wanted:?} in\n{text}");
        }
        options.physics = PhysicsOptions::OFF;
        assert!(markdown(&card, 123, &options).contains("--physics off"));
        card.training.validation.clear();
        assert!(markdown(&card, 123, &options).contains("nothing was validated"));
    }
}
