// Antialiasing: colours are drawn twice as wide and high, one fragment a sample, and four of them averaged by
// `resolve.wgsl`. (Multisampled targets would do the same, but cost a software driver twice the time.)
struct Sample {
    // The pixel's first corner within its tile.
    pixel: vec2<f32>,
    // Where the sample lies within the tile, pixels.
    place: vec2<f32>,
}

// The sample that is drawn at a position of the target, in the tile whose first pixel is at `corner`.
fn sample_in_tile(position: vec4<f32>, corner: vec2<f32>) -> Sample {
    let fine = floor(position.xy);
    let pixel = floor(0.5 * fine);
    let part = fine - 2.0 * pixel;
    // Vulkan's standard pattern of four: each has a row and a column of its own.
    let x = fract(0.375 + 0.5 * part.x) - 0.25 * part.y;
    let y = 0.125 + 0.25 * (part.x + 2.0 * part.y);
    return Sample(pixel - corner, pixel - corner + vec2(x, y));
}

struct Shaded {
    @location(0) color: vec4<f32>,
    @builtin(frag_depth) depth: f32,
}

@fragment
fn shade(@builtin(position) position: vec4<f32>, thing: Thing) -> Shaded {
    let sample = sample_in_tile(position, thing.corner);
    let solid = solid_of(thing);
    let hit = trace(solid, ray_through(solid, sample.place));
    if is_outside(sample.pixel) || hit.depth <= NEAR {
        discard;
    }
    let ambient = mix(0.30, 0.55, 0.5 + 0.5 * dot(hit.normal, thing.up));
    let diffuse = 0.65 * max(dot(hit.normal, thing.light), 0.0);
    return Shaded(vec4(thing.color * (ambient + diffuse), 1.0), NEAR / hit.depth);
}

@fragment
fn shade_sky(@builtin(position) position: vec4<f32>, thing: Thing) -> @location(0) vec4<f32> {
    if is_outside(sample_in_tile(position, thing.corner).pixel) {
        discard;
    }
    return vec4(thing.color, 1.0);
}
