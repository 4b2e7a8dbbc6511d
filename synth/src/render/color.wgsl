// Where in its pixel a sample of the 4× antialiasing lies (Vulkan's standard pattern).
fn sample_place(sample: u32) -> vec2<f32> {
    let s = f32(sample);
    return vec2(fract(0.375 + 0.5 * s) - select(0.0, 0.25, sample >= 2u), 0.125 + 0.25 * s);
}

struct Shaded {
    @location(0) color: vec4<f32>,
    @builtin(frag_depth) depth: f32,
}

@fragment
fn shade(
    @builtin(position) position: vec4<f32>,
    @builtin(sample_index) sample: u32,
    thing: Thing,
) -> Shaded {
    let pixel = pixel_in_tile(position, thing.corner);
    let solid = solid_of(thing);
    let hit = trace(solid, ray_through(solid, pixel + sample_place(sample)));
    if is_outside(pixel) || hit.depth <= NEAR {
        discard;
    }
    let ambient = mix(0.30, 0.55, 0.5 + 0.5 * dot(hit.normal, thing.up));
    let diffuse = 0.65 * max(dot(hit.normal, thing.light), 0.0);
    return Shaded(vec4(thing.color * (ambient + diffuse), 1.0), NEAR / hit.depth);
}

@fragment
fn shade_sky(@builtin(position) position: vec4<f32>, thing: Thing) -> @location(0) vec4<f32> {
    if is_outside(pixel_in_tile(position, thing.corner)) {
        discard;
    }
    return vec4(thing.color, 1.0);
}
