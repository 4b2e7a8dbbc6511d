// Averages the samples of `color.wgsl`, in linear light.

@group(0) @binding(0) var samples: texture_2d<f32>;

@vertex
fn cover(@builtin(vertex_index) vertex: u32) -> @builtin(position) vec4<f32> {
    return vec4(4.0 * f32(vertex % 2u) - 1.0, 4.0 * f32(vertex / 2u) - 1.0, 0.0, 1.0);
}

@fragment
fn resolve(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let first = 2 * vec2<i32>(position.xy);
    var sum = textureLoad(samples, first, 0);
    sum += textureLoad(samples, first + vec2(1, 0), 0);
    sum += textureLoad(samples, first + vec2(0, 1), 0);
    sum += textureLoad(samples, first + vec2(1, 1), 0);
    return 0.25 * sum;
}
