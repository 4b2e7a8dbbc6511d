//! The one timing rule, end to end: row `t` holds the frame, the action taken on seeing it, and what that action
//! caused. Truth is rendered, written to disk by synth and read by the model's loader; an off-by-one anywhere fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use worldstep_model::data::{Clips, PIXEL_ACTUATED};
use worldstep_synth::{SynthOptions, write_dataset};

const SIDE: usize = 64;
const MOVE_COST: f32 = -0.005;

/// Mean image row of the paddle (small is high up) in frame `row`.
fn paddle_height(clips: &Clips, row: usize) -> f32 {
    let pixels = clips.classes(row).iter().enumerate().filter(|(_, class)| **class & PIXEL_ACTUATED != 0);
    let rows: Vec<_> = pixels.map(|(pixel, _)| (pixel / SIDE) as f32).collect();
    rows.iter().sum::<f32>() / rows.len() as f32
}

#[test]
fn rewards_and_frames_follow_the_action_of_their_own_row() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clips");
    write_dataset(&SynthOptions::new("CatchBehindScreen-v0", 12, &out), &mut |_| {}).unwrap();
    let clips = Clips::load(&out, None).unwrap();
    let (mut ups, mut downs) = (0, 0);
    for clip in &clips.ranges {
        for row in clip.start..clip.start + clip.len {
            let [stay, up, down] = *clips.action(row) else { panic!("three choices") };
            let last = row + 1 == clip.start + clip.len;
            // The reward is a known function of this row's action alone, but for the end's ±1.
            let effort = if stay == 1.0 { 0.0 } else { MOVE_COST };
            let outcome = clips.rewards[row] - effort;
            assert!(
                outcome.abs() < 1e-6 || (last && (outcome.abs() - 1.0).abs() < 1e-6),
                "row {row}: {outcome}"
            );
            assert_eq!(outcome.abs() > 0.5, clips.terminated[row], "row {row}");
            if last {
                continue;
            }
            let rise = paddle_height(&clips, row) - paddle_height(&clips, row + 1);
            // A step of the paddle is two pixels; the ball may hide a corner of it.
            if stay == 1.0 {
                assert!(rise.abs() < 1.0, "row {row}: told to stay, moved {rise} pixels");
            } else {
                assert!(rise * (up - down) > -1.0, "row {row}: up {up} down {down}, rose {rise} pixels");
                ups += u32::from(rise > 1.0);
                downs += u32::from(rise < -1.0);
            }
        }
    }
    assert!(ups > 20 && downs > 20, "the clips show the paddle moving both ways: {ups}, {downs}");
}
