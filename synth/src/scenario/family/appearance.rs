//! Colours, patterns, light, sky and camera of a clip.

use std::collections::BTreeMap;

use rand::RngExt as _;
use worldstep_env::{Camera, CameraMotion, CameraRig, Light, Surface, Texture};

use super::build::{Built, Materials, triple};
use super::file::{BodyFile, ColorFile, Motion, RegionFile};
use super::parameters::ValueScope;
use crate::scenario::randomisation::{Palette, TextureKind};

/// How a body looks.
pub(in crate::scenario) struct Appearance {
    pub color_linear: [f32; 3],
    pub surface: Surface,
}

impl Appearance {
    /// Draws the looks of `body`, whose smallest extent is `extent` metres.
    pub fn draw(
        materials: &mut Materials<'_>,
        body: &BodyFile,
        name: &str,
        extent: f32,
    ) -> Result<Self, String> {
        let role = match &body.color {
            Some(ColorFile::Role(role)) => role.as_str(),
            _ => default_role(body),
        };
        let color_linear = match &body.color {
            Some(ColorFile::Linear(color)) => {
                note_color(materials, name, *color);
                *color
            }
            _ => Self::color(materials, role, name).map_err(|e| format!("bodies.{}.{e}", body.name))?,
        };
        Ok(Self { color_linear, surface: Self::surface(materials, (role, name), extent, color_linear) })
    }

    /// Draws a colour of `role`.
    pub fn color(materials: &mut Materials<'_>, role: &str, name: &str) -> Result<[f32; 3], String> {
        let colors = &materials.randomisation.colors;
        let Some(Palette { hue, saturation, value }) = colors.roles.get(role) else {
            let known: Vec<_> = colors.roles.keys().map(String::as_str).collect();
            return Err(format!("color: {role:?} is unknown; there are {}", known.join(", ")));
        };
        // Not recorded: what they give is.
        let draw = |part: &str, range: &crate::scenario::range::Range| {
            if colors.enabled {
                range.sample(&mut materials.draws.stream(&format!("look.{name}.{part}")))
            } else {
                range.middle()
            }
        };
        let rgb = linear_of_hsv([draw("hue", hue), draw("saturation", saturation), draw("value", value)]);
        note_color(materials, name, rgb);
        Ok(rgb)
    }

    /// Draws highlight and pattern.
    pub fn surface(
        materials: &mut Materials<'_>,
        (role, name): (&str, &str),
        extent: f32,
        color: [f32; 3],
    ) -> Surface {
        let (groups, draws) = (materials.randomisation, &mut *materials.draws);
        let shine = &groups.materials;
        let specular = draws.draw(&format!("look.{name}.specular"), &shine.specular, shine.enabled) as f32;
        let roughness = draws.draw(&format!("look.{name}.roughness"), &shine.roughness, shine.enabled) as f32;
        let textures = &groups.textures;
        let ground = role == "ground";
        let chance = if ground { textures.ground_chance } else { textures.chance };
        let mut stream = draws.stream(&format!("look.{name}.texture"));
        let patterned = textures.enabled && stream.random_range(0.0..1.0) < chance;
        let kind = (patterned && !textures.kinds.is_empty())
            .then(|| textures.kinds[stream.random_range(0..textures.kinds.len())]);
        draws.note(&format!("look.{name}.texture"), kind.map_or(0.0, |kind| f64::from(kind as u8 + 1)));
        let Some(kind) = kind else { return Surface { texture: Texture::Plain, specular, roughness } };
        let cell = if ground { &textures.ground_cell } else { &textures.cell };
        let cell = draws.draw(&format!("look.{name}.cell"), cell, true) as f32;
        let size_m = if ground { cell } else { cell * extent };
        draws.note(&format!("look.{name}.cell_m"), f64::from(size_m));
        let contrast = draws.draw(&format!("look.{name}.contrast"), &textures.contrast, true) as f32;
        let color_linear = color.map(|channel| (channel * contrast).min(1.0));
        let texture = match kind {
            TextureKind::Checker => Texture::Checker { color_linear, size_m },
            TextureKind::Stripes => Texture::Stripes { color_linear, size_m },
            TextureKind::Dots => Texture::Dots { color_linear, size_m },
            TextureKind::Noise => Texture::Noise { color_linear, size_m },
            TextureKind::Image => {
                let index = draws.draw(&format!("look.{name}.image"), &textures.image, true) as u32;
                Texture::Image { index, size_m }
            }
        };
        Surface { texture, specular, roughness }
    }
}

fn default_role(body: &BodyFile) -> &'static str {
    match body.motion {
        Motion::Dynamic => "hero",
        Motion::Kinematic => "actor",
        Motion::Fixed => "support",
    }
}

/// Writes a colour down.
pub(in crate::scenario) fn note_color(materials: &mut Materials<'_>, name: &str, rgb: [f32; 3]) {
    for (channel, value) in ["r", "g", "b"].into_iter().zip(rgb) {
        materials.draws.note(&format!("look.{name}.color_{channel}"), f64::from(value));
    }
}

/// Linear RGB of hue (turns), saturation and value of sRGB.
fn linear_of_hsv([hue, saturation, value]: [f64; 3]) -> [f32; 3] {
    let channel = |offset: f64| {
        let k = (offset + hue * 6.0).rem_euclid(6.0);
        let srgb = value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        let linear = if srgb <= 0.040_45 { srgb / 12.92 } else { libm::pow((srgb + 0.055) / 1.055, 2.4) };
        linear as f32
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

/// The box that matters.
#[derive(Clone, Copy, Debug)]
pub(in crate::scenario) struct Region {
    pub center: [f32; 3],
    pub half: [f32; 3],
}

impl Region {
    /// The region of a family, with its drawn values.
    pub fn evaluate(file: &RegionFile, values: &BTreeMap<String, f64>) -> Result<Self, String> {
        let scope = ValueScope { values, repeated: None };
        let center = triple(&file.center, &scope, "region.center")?;
        let half = triple(&file.size, &scope, "region.size")?.map(|extent| 0.5 * extent);
        if half.iter().any(|half| *half <= 0.0) {
            return Err("region.size: expected three positive lengths".to_owned());
        }
        Ok(Self { center, half })
    }

    /// Half of the diagonal.
    pub fn radius(&self) -> f32 {
        self.half.iter().map(|half| half * half).sum::<f32>().sqrt()
    }

    /// A camera that looks at the middle from `azimuth` and `elevation` (radians), as near as all corners allow.
    fn camera(&self, [azimuth, elevation]: [f64; 2], fov: f64, margin: f64) -> (Camera, f32) {
        let out = [
            libm::cos(elevation) * libm::cos(azimuth),
            libm::cos(elevation) * libm::sin(azimuth),
            libm::sin(elevation),
        ];
        let right = [-libm::sin(azimuth), libm::cos(azimuth), 0.0];
        let up = [
            -libm::sin(elevation) * libm::cos(azimuth),
            -libm::sin(elevation) * libm::sin(azimuth),
            libm::cos(elevation),
        ];
        let reach = libm::tan(0.5 * fov) * (1.0 - margin);
        let mut distance = 0.1;
        for corner in 0..8 {
            let sign = |axis: usize| if corner >> axis & 1 == 0 { -1.0 } else { 1.0 };
            let offset = [0, 1, 2].map(|axis| sign(axis) * f64::from(self.half[axis]));
            let along = |axis: [f64; 3]| axis.iter().zip(offset).map(|(a, b)| a * b).sum::<f64>();
            let across = along(right).abs().max(along(up).abs());
            distance = f64::max(distance, across / reach + along(out));
        }
        let place = |axis: usize| self.center[axis] + (out[axis] * distance) as f32;
        let camera = Camera::new([place(0), place(1), place(2).max(0.05)], self.center, fov as f32);
        (camera, distance as f32)
    }
}

/// The azimuth from which the main camera looks, radians.
pub(in crate::scenario) type Azimuth = f64;

/// Sets camera, light and sky.
pub(in crate::scenario) fn stage(
    materials: &mut Materials<'_>,
    built: &mut Built,
    region: &Region,
) -> Result<Azimuth, String> {
    let azimuth = cameras(materials, built, region)?;
    light_and_sky(materials, built, region, azimuth);
    Ok(azimuth)
}

fn cameras(materials: &mut Materials<'_>, built: &mut Built, region: &Region) -> Result<Azimuth, String> {
    let (file, ranges) = (&materials.file.camera, &materials.randomisation.camera);
    let draws = &mut *materials.draws;
    let spread = |draws: &mut crate::scenario::range::Draws, name: &str, base: f64, range| {
        let offset = draws.draw(name, range, ranges.enabled) * file.spread;
        draws.note(name, base + offset);
        (base + offset).to_radians()
    };
    let azimuth = spread(draws, "camera.azimuth", file.azimuth, &ranges.azimuth);
    let elevation = spread(draws, "camera.elevation", file.elevation, &ranges.elevation);
    let fov = draws.draw("camera.fov", &ranges.fov, ranges.enabled).to_radians();
    let margin = draws.draw("camera.margin", &ranges.margin, ranges.enabled);
    let elevation = elevation.clamp(0.02, 1.5);
    draws.note("camera.elevation", elevation.to_degrees());
    let (camera, distance) = region.camera([azimuth, elevation], fov, margin);
    draws.note("camera.distance", f64::from(distance));
    draws.note("camera.height", f64::from(camera.position[2]));
    let choice = draws.stream("camera.motion").random_range(0.0..1.0);
    let moves = file.moves && ranges.enabled;
    let body = |name: &String| {
        built.names.bodies.get(name).copied().ok_or(format!("camera: there is no body {name:?}"))
    };
    let (motion, kind) = match &file.track {
        _ if moves && choice < ranges.orbit_chance => {
            let rate = draws.draw("camera.orbit_rate", &ranges.orbit_rate, true) as f32;
            (CameraMotion::Orbit { rate }, 1.0)
        }
        Some(name) if moves && choice < ranges.orbit_chance + ranges.track_chance => {
            (CameraMotion::Track { instance: body(name)? as u32 }, 2.0)
        }
        _ => (CameraMotion::Fixed, 0.0),
    };
    draws.note("camera.motion", kind);
    let mut extra = Vec::new();
    for rig in &materials.file.cameras {
        let (camera, motion) = match &rig.mount {
            Some(mount) => {
                let camera = Camera {
                    position: mount.position,
                    target: mount.target,
                    up: mount.up,
                    fov_y: mount.fov.to_radians(),
                };
                (camera, CameraMotion::Mounted { instance: body(&mount.body)? as u32 })
            }
            None => {
                let place = [rig.azimuth.to_radians(), rig.elevation.to_radians().clamp(0.02, 1.55)];
                (region.camera(place, fov, margin).0, CameraMotion::Fixed)
            }
        };
        extra.push(CameraRig { name: rig.name.clone(), camera, motion });
    }
    let scene = built.world.scene_mut();
    (scene.camera, scene.camera_motion, scene.extra_cameras) = (camera, motion, extra);
    Ok(azimuth)
}

fn light_and_sky(materials: &mut Materials<'_>, built: &mut Built, region: &Region, azimuth: Azimuth) {
    let (ranges, sky) = (&materials.randomisation.light, &materials.randomisation.sky);
    let draws = &mut *materials.draws;
    let mut light = |name: &str, range| draws.draw(&format!("light.{name}"), range, ranges.enabled);
    let turn = azimuth + light("azimuth", &ranges.azimuth).to_radians();
    let height = light("elevation", &ranges.elevation).to_radians();
    let (sun, ambient) = (light("sun", &ranges.sun) as f32, light("ambient", &ranges.ambient) as f32);
    let (warmth, shadow) = (light("warmth", &ranges.warmth) as f32, light("shadow", &ranges.shadow) as f32);
    let tint = [1.0 + 0.06 * warmth, 1.0, 1.0 - 0.1 * warmth];
    let mut draw = |name: &str, range| draws.draw(&format!("sky.{name}"), range, sky.enabled);
    let color = [draw("hue", &sky.hue), draw("saturation", &sky.saturation), draw("value", &sky.value)];
    let haze = draw("haze", &sky.haze) as f32;
    let zenith = linear_of_hsv(color);
    let plain = Light::default();
    let scaled = |color: [f32; 3], factor: f32| color.map(|channel| channel * factor);
    let scene = built.world.scene_mut();
    scene.sky_linear = zenith;
    scene.light_direction = [
        (libm::cos(height) * libm::cos(turn)) as f32,
        (libm::cos(height) * libm::sin(turn)) as f32,
        libm::sin(height) as f32,
    ];
    scene.light = Some(Light {
        sun_linear: [0, 1, 2].map(|i| plain.sun_linear[i] * sun * tint[i]),
        sky_linear: scaled(plain.sky_linear, ambient),
        ground_linear: scaled(plain.ground_linear, ambient),
        horizon_linear: zenith.map(|channel| channel + (0.92 - channel) * haze),
        shadow,
        shadow_center: region.center,
        shadow_radius: region.radius() * 1.25,
    });
}
