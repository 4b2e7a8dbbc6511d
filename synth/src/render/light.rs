//! What the sun, the sky and a thing's surface are to `full.wgsl`: one [`LightData`] a tile, one [`LookData`] an
//! instance. Only batches with a scene that has a [`Light`] fill and upload them.

use bevy::math::Vec3;
use bytemuck::{Pod, Zeroable};
use worldstep_env::scene::semantic_class;
use worldstep_env::{Instance, Light, Scene, Texture};

use super::camera_frame::CameraFrame;

/// `Light` of `full.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct LightData {
    sun: [f32; 4],
    ambient: [f32; 4],
    tilt: [f32; 4],
    horizon: [f32; 4],
    shadow_from_camera: [[f32; 4]; 3],
}

/// `Look` of `full.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct LookData {
    color: [f32; 3],
    rate: f32,
    specular: f32,
    sharpness: f32,
    layer: f32,
    casts: f32,
}

/// Radius of the sphere of shadows of a light that casts none, metres: any but zero.
const RADIUS_WITHOUT_SHADOWS: f32 = 1.0;
/// Exponents of the sharpest and of the broadest highlight.
const SHARPNESS: (f32, f32) = (300.0, 4.0);

impl LightData {
    pub fn new(scene: &Scene, light: &Light, camera: &CameraFrame) -> Self {
        let (sky, ground) = (Vec3::from(light.sky_linear), Vec3::from(light.ground_linear));
        let radius = if casts_shadows(light) { light.shadow_radius } else { RADIUS_WITHOUT_SHADOWS };
        let shadow = if casts_shadows(light) { light.shadow.min(1.0) } else { 0.0 };
        Self {
            sun: Vec3::from(light.sun_linear).extend(shadow).to_array(),
            ambient: (0.5 * (sky + ground)).extend(radius).to_array(),
            tilt: (0.5 * (sky - ground)).extend(0.0).to_array(),
            horizon: Vec3::from(light.horizon_linear).extend(0.0).to_array(),
            shadow_from_camera: shadow_rows(scene, light, radius, camera),
        }
    }
}

/// Whether anything is drawn into the shadow map of a scene with this light.
pub(super) fn casts_shadows(light: &Light) -> bool {
    light.shadow > 0.0 && light.shadow_radius > 0.0
}

/// Rows that take the camera frame to the shadow map. They are fixed to the light's sphere, not to what the camera
/// sees, so that shadows of still things are still.
fn shadow_rows(scene: &Scene, light: &Light, radius: f32, camera: &CameraFrame) -> [[f32; 4]; 3] {
    let down = -Vec3::from(scene.light_direction).normalize_or(Vec3::Z);
    let across = down.cross(if down.z.abs() < 0.99 { Vec3::Z } else { Vec3::X }).normalize();
    let along = down.cross(across);
    let eye = camera.position - Vec3::from(light.shadow_center);
    let row = |axis: Vec3, scale: f32, offset: f32| {
        (scale * (camera.camera_from_world * axis)).extend(scale * axis.dot(eye) + offset).to_array()
    };
    [row(across, 1.0 / radius, 0.0), row(along, 1.0 / radius, 0.0), row(down, 0.5 / radius, 0.5)]
}

impl LookData {
    /// How `instance` looks under `light`.
    pub fn new(instance: &Instance, light: &Light) -> Self {
        let surface = &instance.surface;
        let (color, size_m, index) = match surface.texture {
            Texture::Plain => ([0.0; 3], 1.0, 0),
            Texture::Checker { color_linear, size_m }
            | Texture::Stripes { color_linear, size_m }
            | Texture::Dots { color_linear, size_m }
            | Texture::Noise { color_linear, size_m } => (color_linear, size_m, 0),
            Texture::Image { index, size_m } => ([0.0; 3], size_m, index),
        };
        let (sharp, broad) = SHARPNESS;
        let roughness = surface.roughness.clamp(0.0, 1.0);
        // The ground is what shadows fall on; to draw it as the sun sees it would cost more than all else.
        let is_ground = Some(instance.semantic) == semantic_class("ground");
        Self {
            color,
            rate: if size_m > 0.0 { 1.0 / size_m } else { 0.0 },
            specular: surface.specular.clamp(0.0, 1.0) * (1.0 - 0.7 * roughness),
            sharpness: sharp * (broad / sharp).powf(roughness),
            layer: index as f32,
            casts: f32::from(u8::from(casts_shadows(light) && !is_ground)),
        }
    }
}
