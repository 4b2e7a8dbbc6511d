// What a scene with a light looks like: sun with shadows, light of sky and ground, patterns, highlights, a sky that
// fades to the horizon. Compiled after `geometry.wgsl` and `pattern.wgsl`; scenes without a light never come here.
//
// As in `geometry.wgsl`, everything that a fragment needs is flat. Light, up and shadow map are handed to it in the
// frame that its hit is found in: the object's own, or the camera's for triangles.

struct Light {
    // Sun, then how dark shadows are.
    sun: vec4<f32>,
    // Mean of the light of sky and ground, then the radius in which shadows are cast, metres.
    ambient: vec4<f32>,
    // Half of the difference between sky and ground.
    tilt: vec4<f32>,
    horizon: vec4<f32>,
    // Rows that take a point of the camera frame to the shadow map: x and y from -1 to 1, depth from 0 to 1 away from
    // the sun.
    shadow_from_camera: array<vec4<f32>, 3>,
}

struct Look {
    // Second linear colour of the pattern, then its repetitions in a metre.
    color: vec4<f32>,
    specular: f32,
    // Exponent of the highlight.
    sharpness: f32,
    // Layer of the image.
    layer: f32,
    // 1 if it casts a shadow.
    casts: f32,
}

// Texels on a side of a tile's shadow map; the outermost ones stay empty, so that nothing beyond is in shadow.
override SHADOW_SIDE: f32 = 128.0;
// Whether things of this pipeline have a highlight.
override GLOSS: bool = false;

@group(1) @binding(0) var<storage, read> looks: array<Look>;
@group(1) @binding(1) var<storage, read> lights: array<Light>;

// How far off its surface a point asks whether it is lit, texels of the shadow map: edges don't shade themselves.
const LIFT: f32 = 1.0;
// Light up to here is shown as it is; above, it is compressed so that nothing clips before it is twice as far from 1.
const SHOULDER: f32 = 0.5;

struct ShadowRows {
    x: vec4<f32>,
    y: vec4<f32>,
    z: vec4<f32>,
}

// What takes a point of the object's frame to texels of its tile's shadow map, and depth.
fn shadow_rows(light: Light, m: array<vec4<f32>, 3>) -> ShadowRows {
    let s = light.shadow_from_camera;
    let x = s[0].x * m[0] + s[0].y * m[1] + s[0].z * m[2] + vec4(0.0, 0.0, 0.0, s[0].w);
    let y = s[1].x * m[0] + s[1].y * m[1] + s[1].z * m[2] + vec4(0.0, 0.0, 0.0, s[1].w);
    let z = s[2].x * m[0] + s[2].y * m[1] + s[2].z * m[2] + vec4(0.0, 0.0, 0.0, s[2].w);
    let scale = 0.5 * SHADOW_SIDE - 1.0;
    let middle = vec4(0.0, 0.0, 0.0, 0.5 * SHADOW_SIDE);
    return ShadowRows(scale * x + middle, scale * y + middle, z);
}

// The shadow map's first texel of a tile.
fn shadow_corner(tile: u32) -> vec2<f32> {
    return SHADOW_SIDE * cell_of(tile);
}
