use std::path::Path;

use rayon::prelude::*;
use worldstep_env::dataset::InstanceLabel;

use super::sensor::expose;
use super::{SynthError, Trajectory};
use crate::lerobot::{Clip, Column, Facts, Feature, ImageChannel, Source};
use crate::render::{Frames, Moment, RenderConfig, Renderer, View};

/// Pixels of one pass: as many tiles as make up about this many, so that an atlas takes the same memory at any size.
const PASS_PIXELS: usize = 64 * 64 * 64;
/// Most bytes of one clip's images before encoding. Two clips are in memory at a time.
const CLIP_BYTES_MAX: usize = 4 << 30;

/// Draws whole clips: all frames of a camera as tiles of one batch, flow from the rows before and after.
pub struct Artist<'a> {
    renderer: Renderer,
    features: &'a [Feature],
    slots: &'a [InstanceLabel],
    side: usize,
    frames: Frames,
}

/// The renderer for clips with frames of `side` pixels, and of the pictures in `textures`.
///
/// # Errors
/// As [`Renderer::new`] and [`Renderer::with_pictures`].
pub fn clip_renderer(side: u32, textures: Option<&Path>) -> Result<Renderer, SynthError> {
    let tiles = (PASS_PIXELS / (side * side) as usize).max(1);
    let config = RenderConfig { tiles, width: side, height: side };
    Ok(match textures {
        Some(folder) => Renderer::with_pictures(config, folder)?,
        None => Renderer::new(config)?,
    })
}

impl<'a> Artist<'a> {
    /// An artist for the dataset with these features and slots.
    pub fn new(renderer: Renderer, features: &'a [Feature], slots: &'a [InstanceLabel]) -> Self {
        let side = renderer.config().width as usize;
        Self { renderer, features, slots, side, frames: Frames::default() }
    }

    /// `trajectory` with its pixels, as the dataset's columns.
    ///
    /// # Errors
    /// [`SynthError::Render`] if drawing fails, [`SynthError::Scenario`] if the trajectory does not fit the dataset.
    pub fn draw(&mut self, trajectory: &Trajectory, facts: Facts) -> Result<Clip, SynthError> {
        self.check_size(trajectory)?;
        let slots = slots_of(trajectory, self.slots)?;
        let mut columns = Vec::with_capacity(self.features.len());
        let mut drawn = None;
        for feature in self.features {
            columns.push(match feature.source {
                Source::Position => continue,
                Source::Image(channel, camera) => {
                    if drawn != Some(camera) {
                        self.look(trajectory, camera)?;
                        drawn = Some(camera);
                    }
                    take_images(&mut self.frames, channel, self.side)
                }
                source => numbers(trajectory, source, &slots, self.side as u32),
            });
        }
        Ok(Clip {
            facts,
            len: trajectory.len,
            columns,
            contacts: trajectory.contacts.clone(),
            forces: trajectory.forces.clone(),
            events: trajectory.events.clone(),
        })
    }

    /// Draws all rows of one camera.
    fn look(&mut self, trajectory: &Trajectory, camera: usize) -> Result<(), SynthError> {
        let channels: Vec<_> = self
            .features
            .iter()
            .filter_map(|feature| match feature.source {
                Source::Image(channel, of) if of == camera => Some(channel),
                _ => None,
            })
            .collect();
        if trajectory.cameras.len() <= camera * (trajectory.len + 1) {
            return Err(misfit(trajectory, format!("it has no camera {camera}")));
        }
        let moment = |t: usize| Moment {
            camera: trajectory.cameras_at(t)[camera],
            poses: trajectory.poses_at(t),
            soft_vertices: trajectory.soft_at(t),
        };
        let views: Vec<_> = (0..trajectory.len)
            .map(|t| View {
                scene: &trajectory.scene,
                now: moment(t),
                next: Some(moment(t + 1)),
                previous: t.checked_sub(1).map(moment),
            })
            .collect();
        self.renderer.render(&views, ImageChannel::drawn(&channels), &mut self.frames)?;
        expose(&mut self.frames.rgb, self.side, trajectory.sensor, (trajectory.seed, camera));
        Ok(())
    }

    fn check_size(&self, trajectory: &Trajectory) -> Result<(), SynthError> {
        let pixel_bytes: usize = self
            .features
            .iter()
            .map(|feature| match feature.source {
                Source::Image(channel, _) => channel.coding().pixel_bytes(),
                _ => 0,
            })
            .sum();
        let bytes = trajectory.len * self.side * self.side * pixel_bytes;
        if bytes <= CLIP_BYTES_MAX {
            return Ok(());
        }
        let message = format!(
            "a clip of {} frames of {} pixels takes {} MB of images, {} at most; ask for smaller frames or fewer \
             channels",
            trajectory.len,
            self.side,
            bytes >> 20,
            CLIP_BYTES_MAX >> 20
        );
        Err(SynthError::Options { message })
    }
}

/// The instance of the scene that is in each slot.
fn slots_of(trajectory: &Trajectory, slots: &[InstanceLabel]) -> Result<Vec<Option<usize>>, SynthError> {
    let instances = &trajectory.scene.instances;
    let of = |label: &InstanceLabel| instances.iter().position(|instance| instance.id == label.id);
    let found: Vec<_> = slots.iter().map(of).collect();
    if found.iter().flatten().count() == instances.len() {
        return Ok(found);
    }
    let ids: Vec<_> = instances.iter().map(|instance| instance.id).collect();
    let known: Vec<_> = slots.iter().map(|label| label.id).collect();
    Err(misfit(trajectory, format!("its instances are {ids:?}, the scenario's are {known:?}")))
}

fn misfit(trajectory: &Trajectory, message: String) -> SynthError {
    SynthError::Scenario { scenario: trajectory.scenario.clone(), seed: trajectory.seed, message }
}

/// Moves one channel's images out of `frames`; the values of a pixel go to planes below each other.
fn take_images(frames: &mut Frames, channel: ImageChannel, side: usize) -> Column {
    let values = match channel {
        ImageChannel::Rgb => return Column::U8(std::mem::take(&mut frames.rgb)),
        ImageChannel::Instance => return Column::U16(std::mem::take(&mut frames.instance)),
        ImageChannel::Semantic => return Column::U16(std::mem::take(&mut frames.semantic)),
        ImageChannel::Depth => return Column::F32(std::mem::take(&mut frames.depth)),
        ImageChannel::Normal => &mut frames.normal,
        ImageChannel::FlowForward => &mut frames.flow_forward,
        ImageChannel::FlowBackward => &mut frames.flow_backward,
        ImageChannel::Coordinates => &mut frames.coordinates,
    };
    let planes = channel.coding().values();
    let mut stacked = vec![0.0; values.len()];
    stacked.par_chunks_exact_mut(side * side).enumerate().for_each(|(at, plane)| {
        let (image, first) = (at / planes * planes * side * side, at % planes);
        for (i, value) in plane.iter_mut().enumerate() {
            *value = values[image + i * planes + first];
        }
    });
    Column::F32(stacked)
}

fn numbers(trajectory: &Trajectory, source: Source, slots: &[Option<usize>], side: u32) -> Column {
    let len = trajectory.len;
    let cameras = |of: &dyn Fn(&worldstep_env::Camera) -> Vec<f32>, camera: usize| {
        Column::F32((0..len).flat_map(|t| of(&trajectory.cameras_at(t)[camera])).collect())
    };
    match source {
        Source::State => Column::F32(trajectory.state.clone()),
        Source::Action => Column::F32(trajectory.action.clone()),
        Source::Reward => Column::F32(trajectory.reward.clone()),
        Source::Terminated => Column::Bool(trajectory.terminated.clone()),
        Source::Truncated => Column::Bool(trajectory.truncated.clone()),
        Source::Done => {
            let both = trajectory.terminated.iter().zip(&trajectory.truncated);
            Column::Bool(both.map(|(terminated, truncated)| *terminated || *truncated).collect())
        }
        Source::Success => Column::Bool(trajectory.success.clone()),
        Source::Intrinsics(camera) => cameras(&|eye| eye.intrinsics(side, side).to_vec(), camera),
        Source::WorldFromCamera(camera) => cameras(&|eye| eye.world_from_camera().to_vec(), camera),
        Source::Pose => by_slot(len, slots, &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], |t, i| {
            let pose = trajectory.poses_at(t)[i];
            [pose.position.as_slice(), &pose.quat_xyzw].concat()
        }),
        Source::Velocity => by_slot(len, slots, &[0.0; 6], |t, i| {
            let velocity = trajectory.velocities_at(t)[i];
            [velocity.linear, velocity.angular].concat()
        }),
        Source::Visibility => {
            let instances = trajectory.scene.instances.len();
            by_slot(len, slots, &[0.0], |t, i| vec![trajectory.visibility[t * instances + i]])
        }
        Source::InstanceId => {
            let id = |slot: &Option<usize>| slot.map_or(0, |i| i64::from(trajectory.scene.instances[i].id));
            Column::I64(slots.iter().map(id).collect::<Vec<_>>().repeat(len))
        }
        Source::Image(..) | Source::Position => Column::F32(Vec::new()),
    }
}

/// `of(t, i)` for each row `t` and the instance `i` of each slot, `empty` for slots without one.
fn by_slot(
    len: usize,
    slots: &[Option<usize>],
    empty: &[f32],
    of: impl Fn(usize, usize) -> Vec<f32>,
) -> Column {
    let mut values = Vec::with_capacity(len * slots.len() * empty.len());
    for t in 0..len {
        for slot in slots {
            match slot {
                Some(i) => values.extend(of(t, *i)),
                None => values.extend(empty),
            }
        }
    }
    Column::F32(values)
}
