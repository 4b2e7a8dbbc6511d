use blake3::Hasher;
use worldstep_env::policy::PolicyKind;
use worldstep_env::{Buffer, Pose, Scene, Velocity};

/// Everything that one clip records, as raw arrays; row `t` is what was seen, what was done, and what that caused.
#[derive(Clone, Debug)]
pub struct Episode {
    /// Position in the dataset.
    pub index: usize,
    /// Seed of the reset.
    pub seed: u64,
    /// Behaviour.
    pub policy: PolicyKind,
    /// Shapes, colours, camera.
    pub scene: Scene,
    /// Rows.
    pub len: usize,
    /// `len × height × width × 3`.
    pub rgb: Vec<u8>,
    /// `len × height × width`, metres.
    pub depth: Vec<f32>,
    /// `len × height × width`.
    pub instance: Vec<u16>,
    /// `len × state`.
    pub state: Vec<f32>,
    /// `len × action`.
    pub action: Vec<f32>,
    /// `len`.
    pub reward: Vec<f32>,
    /// `len`.
    pub terminated: Vec<bool>,
    /// `len`.
    pub truncated: Vec<bool>,
    /// `len`.
    pub success: Vec<bool>,
    /// `len × K × 7`: xyz, quaternion xyzw.
    pub pose: Vec<f32>,
    /// `len × K × 6`: linear, angular.
    pub velocity: Vec<f32>,
}

impl Episode {
    /// An episode without rows.
    pub fn new(index: usize, seed: u64, policy: PolicyKind, scene: Scene) -> Self {
        Self {
            index,
            seed,
            policy,
            scene,
            len: 0,
            rgb: Vec::new(),
            depth: Vec::new(),
            instance: Vec::new(),
            state: Vec::new(),
            action: Vec::new(),
            reward: Vec::new(),
            terminated: Vec::new(),
            truncated: Vec::new(),
            success: Vec::new(),
            pose: Vec::new(),
            velocity: Vec::new(),
        }
    }

    /// Appends the world's present state to the row under way.
    pub fn push_world(&mut self, poses: &[Pose], velocities: &[Velocity]) {
        for pose in poses {
            self.pose.extend(pose.position);
            self.pose.extend(pose.quat_xyzw);
        }
        for velocity in velocities {
            self.velocity.extend(velocity.linear);
            self.velocity.extend(velocity.angular);
        }
    }

    /// Appends the action in row `lane` of `actions`, `width` values wide, to the row under way.
    pub fn push_action(&mut self, actions: &Buffer, lane: usize, width: usize) {
        let row = lane * width..(lane + 1) * width;
        match actions {
            Buffer::F32(values) => self.action.extend(&values[row]),
            Buffer::I64(values) => self.action.extend(values[row].iter().map(|value| *value as f32)),
            Buffer::U8(values) => self.action.extend(values[row].iter().map(|value| f32::from(*value))),
        }
    }

    /// BLAKE3 over everything recorded, hexadecimal: raw values, so that no encoder is in it.
    pub fn content_hash(&self) -> String {
        let mut hasher = Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(&self.seed.to_le_bytes());
        part(self.policy.name().as_bytes());
        part(&self.rgb);
        part(bytemuck::cast_slice(&self.depth));
        part(bytemuck::cast_slice(&self.instance));
        for values in [&self.state, &self.action, &self.reward, &self.pose, &self.velocity] {
            part(bytemuck::cast_slice(values));
        }
        for flags in [&self.terminated, &self.truncated, &self.success] {
            let bytes: Vec<u8> = flags.iter().map(|flag| u8::from(*flag)).collect();
            part(&bytes);
        }
        let ids: Vec<u16> = self.scene.instances.iter().map(|instance| instance.id).collect();
        part(bytemuck::cast_slice(&ids));
        part(bytemuck::cast_slice(&self.scene.camera.world_from_camera()));
        part(bytemuck::bytes_of(&self.scene.camera.fov_y));
        hasher.finalize().to_hex().to_string()
    }
}
