struct Labelled {
    // Instance id, metric depth.
    @location(0) id_depth: vec2<f32>,
    @builtin(frag_depth) depth: f32,
}

@fragment
fn label(@builtin(position) position: vec4<f32>, thing: Thing) -> Labelled {
    let pixel = pixel_in_tile(position, thing);
    let hit = trace(thing, pixel + 0.5);
    if is_outside(pixel) || hit.depth <= NEAR {
        discard;
    }
    return Labelled(vec2(thing.color_id.w, hit.depth), NEAR / hit.depth);
}
