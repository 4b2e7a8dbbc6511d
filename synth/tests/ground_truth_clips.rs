//! Ground truth is exact on simulated clips too: deforming bodies, cameras that are worn and cameras that
//! follow, held against rays cast without a renderer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulated;

use bevy::math::{DVec2, DVec3};
use worldstep_env::{Camera, CameraMotion, Shape};
use worldstep_synth::annotate::{Eye, Hit, RayCaster};
use worldstep_synth::clips::Trajectory;
use worldstep_synth::{Channels, Frames, Moment, RenderConfig, Renderer, Scenario, View};

const SIDE: u32 = 80;
const PIXELS: usize = (SIDE * SIDE) as usize;
/// Seeds among which a clip whose camera follows is looked for; a tenth of clips have one.
const SEEDS_MAX: u64 = 60;

fn simulate(family: &str, seed: u64) -> Trajectory {
    simulated::clip(&Scenario::find(family).unwrap(), seed)
}

/// A clip at one of its rows, as one of its cameras sees it.
struct Picture<'a> {
    clip: &'a Trajectory,
    row: usize,
    camera: usize,
    frames: Frames,
}

impl<'a> Picture<'a> {
    fn draw(renderer: &mut Renderer, clip: &'a Trajectory, row: usize, camera: usize) -> Self {
        let moment = |row: usize| Moment {
            camera: clip.cameras_at(row)[camera],
            poses: clip.poses_at(row),
            soft_vertices: clip.soft_at(row),
        };
        let view = View {
            scene: &clip.scene,
            now: moment(row),
            next: Some(moment(row + 1)),
            previous: Some(moment(row - 1)),
        };
        let mut frames = Frames::default();
        renderer.render(&[view], Channels::All, &mut frames).unwrap();
        Self { clip, row, camera, frames }
    }

    fn camera(&self, row: usize) -> Camera {
        self.clip.cameras_at(row)[self.camera]
    }

    fn caster(&self, row: usize) -> RayCaster {
        RayCaster::new(&self.clip.scene, self.clip.poses_at(row), self.clip.soft_at(row))
    }

    /// What a place in the picture, in pixels, shows at `row`.
    fn cast(&self, caster: &RayCaster, row: usize, place: DVec2) -> Option<Hit> {
        let k = self.camera(row).intrinsics(SIDE, SIDE).map(f64::from);
        let slope = (place - DVec2::new(k[2], k[5])) / k[0];
        caster.cast(&Eye::new(&self.camera(row)).ray(slope))
    }

    fn name(&self) -> String {
        let (clip, row, camera) = (self.clip, self.row, self.camera);
        format!("{} {}, row {row}, camera {camera}", clip.scenario, clip.seed)
    }

    /// Ids, depth, normals and coordinates against rays; the pixels on soft things that were compared.
    fn agrees_with_rays(&self) -> usize {
        let (caster, eye) = (self.caster(self.row), Eye::new(&self.camera(self.row)));
        let (mut differ, mut loose, mut compared, mut soft) = (0, 0, 0, 0);
        for pixel in 0..PIXELS {
            let hit = self.cast(&caster, self.row, center(pixel));
            let id = hit.map_or(0, |hit| self.clip.scene.instances[hit.instance].id);
            if id != self.frames.instance[pixel] {
                differ += 1;
                continue;
            }
            let Some(hit) = hit else { continue };
            let depth = f64::from(self.frames.depth[pixel]);
            let point = vector(&self.frames.coordinates, pixel);
            let facing = eye.turn_from_world(hit.normal).z.abs().max(1e-2);
            let slack = 1e-4 * depth.max(1.0) / facing;
            // Where a fold lies on another, either may be the nearer one.
            let same =
                (depth - hit.depth).abs() < slack && (point - hit.object_point).length() < 10.0 * slack;
            loose += usize::from(!same);
            compared += 1;
            soft += usize::from(is_soft(self.clip, hit.instance));
        }
        let name = self.name();
        assert!(differ < PIXELS / 100, "{name}: {differ} pixels show something else");
        assert!(loose < compared / 200, "{name}: {loose} of {compared} pixels are off");
        assert!(compared > PIXELS / 4, "{name}: only {compared} pixels show something");
        soft
    }

    /// Follows the flow to the row beside: the ray there meets the same point of the same thing, unless
    /// something is in front of it. The pixels that were followed, and those of them on soft things.
    fn flow_leads_there(&self, to: usize) -> [usize; 2] {
        let flow = if to > self.row { &self.frames.flow_forward } else { &self.frames.flow_backward };
        let (now, there) = (self.caster(self.row), self.caster(to));
        let (mut followed, mut lost, mut soft) = (0, 0, 0);
        for pixel in 0..PIXELS {
            let Some(hit) = self.cast(&now, self.row, center(pixel)) else { continue };
            if self.clip.scene.instances[hit.instance].id != self.frames.instance[pixel] {
                continue;
            }
            let moved = DVec2::new(flow[2 * pixel].into(), flow[2 * pixel + 1].into());
            let point = vector(&self.frames.coordinates, pixel);
            let met = self.cast(&there, to, center(pixel) + moved);
            let arrived = met.filter(|met| met.instance == hit.instance);
            let facing = arrived.map_or(1.0, |met| {
                met.normal.dot(Eye::new(&self.camera(to)).ray(DVec2::ZERO).direction).abs().max(1e-2)
            });
            match arrived {
                Some(met) if (met.object_point - point).length() < 2e-3 / facing => {
                    followed += 1;
                    soft += usize::from(is_soft(self.clip, hit.instance));
                }
                _ => lost += 1,
            }
        }
        let name = self.name();
        assert!(lost < (followed + lost) / 10, "{name} to {to}: {lost} lost, {followed} followed");
        [followed, soft]
    }
}

fn is_soft(clip: &Trajectory, instance: usize) -> bool {
    matches!(clip.scene.instances[instance].shape, Shape::Soft { .. })
}

fn center(pixel: usize) -> DVec2 {
    let side = SIDE as usize;
    DVec2::new((pixel % side) as f64 + 0.5, (pixel / side) as f64 + 0.5)
}

fn vector(values: &[f32], pixel: usize) -> DVec3 {
    DVec3::from_array(std::array::from_fn(|i| values[3 * pixel + i].into()))
}

fn renderer() -> Renderer {
    Renderer::new(RenderConfig { tiles: 1, width: SIDE, height: SIDE }).unwrap()
}

#[test]
fn soft_things_are_where_rays_meet_them_and_flow_follows_as_they_bend() {
    let mut renderer = renderer();
    for family in ["soft-cube", "cloth-over-obstacle", "rope"] {
        let clip = simulate(family, 2);
        let (mut soft, mut followed) = (0, 0);
        for row in [clip.len / 4, clip.len / 2] {
            let picture = Picture::draw(&mut renderer, &clip, row, 0);
            soft += picture.agrees_with_rays();
            for to in [row + 1, row - 1] {
                followed += picture.flow_leads_there(to)[1];
            }
        }
        assert!(soft > 60 && followed > 60, "{family}: {soft} soft pixels, {followed} followed");
    }
}

#[test]
fn cameras_that_are_worn_and_cameras_that_follow_see_what_rays_meet() {
    let mut renderer = renderer();
    let arm = simulate("arm-pushing", 1);
    let worn =
        arm.scene.extra_cameras.iter().position(|rig| matches!(rig.motion, CameraMotion::Mounted { .. }));
    let worn = 1 + worn.expect("arm-pushing has a camera at its wrist");
    let follows = (0..SEEDS_MAX)
        .map(|seed| simulate("mobile-base-pushing", seed))
        .find(|clip| matches!(clip.scene.camera_motion, CameraMotion::Track { .. }))
        .expect("a tenth of clips have a camera that follows");
    for (clip, camera) in [(&arm, worn), (&arm, 0), (&follows, 0)] {
        let row = clip.len / 2;
        let picture = Picture::draw(&mut renderer, clip, row, camera);
        picture.agrees_with_rays();
        let [forward, _] = picture.flow_leads_there(row + 1);
        let [backward, _] = picture.flow_leads_there(row - 1);
        assert!(forward > 1_000 && backward > 1_000, "{}: {forward}, {backward}", picture.name());
    }
    assert_ne!(arm.cameras_at(0)[worn], arm.cameras_at(arm.len / 2)[worn], "the wrist does not move");
    assert_ne!(follows.cameras_at(0)[0], follows.cameras_at(follows.len / 2)[0], "nothing is followed");
}
