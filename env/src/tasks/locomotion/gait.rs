use std::f32::consts::TAU;

/// A gait: every joint is drawn by a spring and a damper to an angle that swings with one clock and answers the torso's
/// lean. Found by the cross-entropy method: `cargo run --release -p worldstep-env --example tune_gait -- TASK`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gait {
    /// Swings in a second.
    pub frequency: f32,
    /// Action for each radian that a joint is away from where it should be.
    pub stiffness: f32,
    /// Action for each rad/s of a joint.
    pub damping: f32,
    /// One a joint, in the order of the actions.
    pub swings: &'static [Swing],
}

/// Where one joint should be: offset, amplitude (rad), phase (turns), and rad for each rad of the torso's forward lean
/// and for each rad/s of it.
pub type Swing = [f32; 5];

impl Gait {
    /// Appends the actions at `time` seconds into the episode; `lean` is the torso's forward lean and its rate, `joints`
    /// positions and speeds.
    pub fn act(&self, time: f32, lean: [f32; 2], joints: &[[f32; 2]], out: &mut Vec<f32>) {
        self.act_with(self.swings, time, lean, joints, out);
    }

    /// [`act`](Self::act) with other swings, for looking for better ones.
    pub fn act_with(
        &self,
        swings: &[Swing],
        time: f32,
        lean: [f32; 2],
        joints: &[[f32; 2]],
        out: &mut Vec<f32>,
    ) {
        out.extend(swings.iter().zip(joints).map(|(swing, [position, speed])| {
            let [offset, amplitude, phase, by_lean, by_rate] = *swing;
            let clock = (TAU * (self.frequency * time + phase)).sin();
            let wanted = offset + amplitude * clock + by_lean * lean[0] + by_rate * lean[1];
            (self.stiffness * (wanted - position) - self.damping * speed).clamp(-1.0, 1.0)
        }));
    }
}
