// What covers a thing, in its own frame: patterns that are computed, and pictures. Each fades to its mean where it is
// finer than a pixel, so that nothing shimmers.

const PATTERN_NONE: u32 = 0u;
const PATTERN_CHECKER: u32 = 1u;
const PATTERN_STRIPES: u32 = 2u;
const PATTERN_DOTS: u32 = 3u;
const PATTERN_NOISE: u32 = 4u;
const PATTERN_IMAGE: u32 = 5u;

// The pattern that this pipeline draws; one pipeline a pattern.
override PATTERN: u32 = PATTERN_NONE;

// Radius of a dot, distances of two dots.
const DOT_RADIUS: f32 = 0.3;

@group(2) @binding(2) var images: texture_2d_array<f32>;
@group(2) @binding(3) var image_sampler: sampler;

// A place on a surface.
struct Spot {
    // Object frame, metres.
    point: vec3<f32>,
    normal: vec3<f32>,
    // What a sample sees of the surface, metres.
    width: f32,
}

// A square wave between -1 and 1 that changes sign at whole numbers, seen through a window of `width`.
fn bands(u: vec3<f32>, width: vec3<f32>) -> vec3<f32> {
    let distance = 2.0 * abs(fract(0.5 * u - 0.25) - 0.5) - 0.5;
    let fade = clamp(1.5 - 0.75 * width, vec3(0.0), vec3(1.0));
    return fade * clamp(2.0 * distance / width, vec3(-1.0), vec3(1.0));
}

// The face of a cube around the thing that looks the same way, and where on it the spot lies.
fn box_map(spot: Spot) -> vec2<f32> {
    let n = abs(spot.normal);
    let p = spot.point;
    let s = select(vec3(-1.0), vec3(1.0), spot.normal >= vec3(0.0));
    let side = select(vec2(-s.y * p.x, -p.z), vec2(s.x * p.y, -p.z), n.x > n.y);
    return select(side, vec2(s.z * p.x, -p.y), n.z >= max(n.x, n.y));
}

fn hash(cell: vec3<i32>) -> f32 {
    let c = vec3<u32>(cell);
    var h = c.x * 0x8da6b343u ^ c.y * 0xd8163841u ^ c.z * 0xcb1ab31fu;
    h = (h ^ (h >> 15u)) * 0x2c1b3c6du;
    h = h ^ (h >> 13u);
    return f32(h & 0xffffu) / 65535.0;
}

// Smooth noise between 0 and 1 with blotches of size 1.
fn noise(place: vec3<f32>) -> f32 {
    let cell = floor(place);
    let part = place - cell;
    let f = part * part * (3.0 - 2.0 * part);
    let c = vec3<i32>(cell);
    let x00 = mix(hash(c), hash(c + vec3(1, 0, 0)), f.x);
    let x10 = mix(hash(c + vec3(0, 1, 0)), hash(c + vec3(1, 1, 0)), f.x);
    let x01 = mix(hash(c + vec3(0, 0, 1)), hash(c + vec3(1, 0, 1)), f.x);
    let x11 = mix(hash(c + vec3(0, 1, 1)), hash(c + vec3(1, 1, 1)), f.x);
    return mix(mix(x00, x10, f.y), mix(x01, x11, f.y), f.z);
}

// Share of the second colour at a spot, when the pattern repeats `rate` times in a metre.
fn second_share(spot: Spot, rate: f32) -> f32 {
    let width = spot.width * rate;
    // Just below the surface, as a face may lie where two cells meet; and along its normal a surface has no extent.
    let inside = rate * spot.point - 0.01 * spot.normal;
    let widths = width * sqrt(max(1.0 - spot.normal * spot.normal, vec3(0.0))) + 0.001;
    if PATTERN == PATTERN_CHECKER {
        let signs = bands(inside, widths);
        return 0.5 + 0.5 * signs.x * signs.y * signs.z;
    } else if PATTERN == PATTERN_STRIPES {
        return 0.5 + 0.5 * bands(2.0 * inside, 2.0 * widths).x;
    } else if PATTERN == PATTERN_DOTS {
        let off = length(fract(rate * box_map(spot)) - 0.5);
        let dots = clamp((DOT_RADIUS - off) / width + 0.5, 0.0, 1.0);
        return mix(dots, 3.14159 * DOT_RADIUS * DOT_RADIUS, clamp(2.0 * width - 0.6, 0.0, 1.0));
    } else {
        let coarse = mix(noise(inside), 0.5, clamp(width - 0.4, 0.0, 1.0));
        let fine = mix(noise(2.7 * inside + 13.7), 0.5, clamp(2.7 * width - 0.4, 0.0, 1.0));
        let sum = 0.65 * coarse + 0.35 * fine;
        return smoothstep(0.2, 0.8, sum);
    }
}

// The colour at a spot: `second` has the pattern's other colour and its repetitions in a metre.
fn cover(spot: Spot, base: vec3<f32>, second: vec4<f32>, layer: f32) -> vec3<f32> {
    if PATTERN == PATTERN_IMAGE {
        let texels = spot.width * second.a * f32(textureDimensions(images).x);
        let level = log2(max(texels, 1.0));
        let place = second.a * box_map(spot);
        return base * textureSampleLevel(images, image_sampler, place, i32(u32(layer) % textureNumLayers(images)), level).rgb;
    }
    return mix(base, second.rgb, second_share(spot, second.a));
}
