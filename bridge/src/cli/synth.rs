use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use worldstep_synth::{SynthOptions, write_dataset};

use super::{SynthArgs, print_json, progress, stop_flag};

/// Clips between lines where there is no terminal for a progress bar.
const LINE_EVERY_CLIPS: usize = 50;

/// Records a dataset.
pub fn run(args: &SynthArgs) -> Result<()> {
    let mut options = SynthOptions::new(&args.scenario, args.clips as usize, &args.out);
    options.seed = args.seed;
    options.resume = args.resume;
    options.stop = stop_flag()?;
    let bar = progress::bar(args.clips, "clips");
    let start = Instant::now();
    let mut next_line = LINE_EVERY_CLIPS;
    let summary = write_dataset(&options, &mut |at| {
        bar.set_length(at.clips_total as u64);
        bar.set_position(at.clips_done as u64);
        bar.set_message(format!("{} {} frames", at.scenario, at.frames));
        if at.clips_done >= next_line {
            next_line = at.clips_done + LINE_EVERY_CLIPS;
            let line = format!("{}/{} clips, {} frames", at.clips_done, at.clips_total, at.frames);
            progress::line_if_hidden(&bar, &line);
        }
    })?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    if summary.interrupted {
        eprintln!("stopped with a valid dataset of {} clips; --resume goes on", summary.clips());
    }
    let hash = summary.datasets.iter().map(|dataset| dataset.hash.as_str()).collect::<Vec<_>>().join("+");
    if args.json.json {
        let datasets: Vec<_> = summary
            .datasets
            .iter()
            .map(|dataset| {
                json!({
                    "scenario": dataset.scenario,
                    "path": dataset.path,
                    "clips": dataset.clips,
                    "frames": dataset.frames,
                    "content_hash": dataset.hash,
                })
            })
            .collect();
        return print_json(&json!({
            "clips": summary.clips(),
            "frames": summary.frames(),
            "content_hash": hash,
            "seconds": seconds,
            "interrupted": summary.interrupted,
            "datasets": datasets,
        }));
    }
    eprintln!(
        "{} clips, {} frames in {seconds:.1} s, content hash {hash}",
        summary.clips(),
        summary.frames()
    );
    Ok(())
}
