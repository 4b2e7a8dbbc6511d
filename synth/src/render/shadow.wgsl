// The shadow pass: every tile's things as the sun sees them, into a depth map. Compiled after `full.wgsl`.
//
// A texel keeps the middle of the nearest thing, half-way between where sunlight would enter and leave it, not its
// surface: lit faces are far in front of it and faces in shadow far behind, so that no bias is needed, and a shadow
// touches the thing that casts it.

struct Caster {
    @builtin(position) position: vec4<f32>,
    // The ray of texel (x, y): x·step_x + y·step_y + origin, along `ray`, object frame.
    @location(0) @interpolate(flat) step_x: vec3<f32>,
    @location(1) @interpolate(flat) step_y: vec3<f32>,
    @location(2) @interpolate(flat) origin: vec3<f32>,
    @location(3) @interpolate(flat) ray: vec3<f32>,
    @location(4) @interpolate(flat) half_extents: vec3<f32>,
    @location(5) @interpolate(flat) corner: vec2<f32>,
}

// Clip position of a texel of a tile's shadow map.
fn shadow_position(texel: vec2<f32>, tile: u32) -> vec4<f32> {
    let size = SHADOW_SIDE * vec2(f32(atlas.columns), f32(atlas.rows));
    let ndc = 2.0 * (shadow_corner(tile) + texel) / size - 1.0;
    return vec4(ndc.x, -ndc.y, 0.5, 1.0);
}

@vertex
fn vertex_shadow(@builtin(vertex_index) vertex: u32, @builtin(instance_index) index: u32) -> Caster {
    let instance = instances[index];
    let rows = shadow_rows(lights[instance.tile], instance.camera_from_object);
    let half = instance.half_extents;
    let middle = vec2(rows.x.w, rows.y.w);
    var reach = vec2(dot(abs(rows.x.xyz), half), dot(abs(rows.y.xyz), half));
    if SHAPE == SHAPE_SPHERE {
        reach = vec2(length(rows.x.xyz), length(rows.y.xyz)) * half.x;
    }
    let low = clamp(middle - reach - 1.0, vec2(1.0), vec2(SHADOW_SIDE - 1.0));
    let high = clamp(middle + reach + 1.0, vec2(1.0), vec2(SHADOW_SIDE - 1.0));
    let across = vec2(f32(vertex % 2u), f32(vertex / 2u)) * looks[index].casts;
    var out: Caster;
    out.position = shadow_position(mix(low, high, across), instance.tile);
    out.step_x = rows.x.xyz / dot(rows.x.xyz, rows.x.xyz);
    out.step_y = rows.y.xyz / dot(rows.y.xyz, rows.y.xyz);
    out.ray = rows.z.xyz / dot(rows.z.xyz, rows.z.xyz);
    out.origin = -(rows.x.w * out.step_x + rows.y.w * out.step_y + rows.z.w * out.ray);
    out.half_extents = half;
    out.corner = shadow_corner(instance.tile);
    return out;
}

// Where a ray enters and leaves a shape; it misses if it would leave before.
fn span_box(origin: vec3<f32>, ray: vec3<f32>, half: vec3<f32>) -> vec2<f32> {
    let a = (-half - origin) / ray;
    let b = (half - origin) / ray;
    let enter = min(a, b);
    let leave = max(a, b);
    return vec2(max(enter.x, max(enter.y, enter.z)), min(leave.x, min(leave.y, leave.z)));
}

fn span_sphere(origin: vec3<f32>, ray: vec3<f32>, radius: f32) -> vec2<f32> {
    let squared = dot(ray, ray);
    let closest = -dot(origin, ray) / squared;
    let miss = origin + closest * ray;
    let chord = radius * radius - dot(miss, miss);
    let half = sqrt(max(chord, 0.0) / squared);
    return select(vec2(1.0, 0.0), vec2(closest - half, closest + half), chord >= 0.0);
}

fn span_cylinder(origin: vec3<f32>, ray: vec3<f32>, radius: f32, half_height: f32) -> vec2<f32> {
    let squared = dot(ray.xy, ray.xy);
    let closest = -dot(origin.xy, ray.xy) / squared;
    let miss = origin.xy + closest * ray.xy;
    let chord = radius * radius - dot(miss, miss);
    let half = sqrt(max(chord, 0.0) / squared);
    let a = (-half_height - origin.z) / ray.z;
    let b = (half_height - origin.z) / ray.z;
    let span = vec2(max(closest - half, min(a, b)), min(closest + half, max(a, b)));
    return select(vec2(1.0, 0.0), span, chord >= 0.0);
}

// A capsule is a cylinder and two balls, and convex: the first way in, the last way out.
fn span_capsule(origin: vec3<f32>, ray: vec3<f32>, radius: f32, half_height: f32) -> vec2<f32> {
    let end = vec3(0.0, 0.0, half_height);
    let a = span_cylinder(origin, ray, radius, half_height);
    let b = span_sphere(origin - end, ray, radius);
    let c = span_sphere(origin + end, ray, radius);
    let far = vec2(1e9, -1e9);
    let first = select(far, a, a.x <= a.y);
    let second = select(far, b, b.x <= b.y);
    let third = select(far, c, c.x <= c.y);
    return vec2(min(first.x, min(second.x, third.x)), max(first.y, max(second.y, third.y)));
}

@fragment
fn cast_shadow(caster: Caster) -> @builtin(frag_depth) f32 {
    let texel = floor(caster.position.xy) - caster.corner + 0.5;
    let origin = texel.x * caster.step_x + texel.y * caster.step_y + caster.origin;
    let ray = select(caster.ray, vec3(1e-7), abs(caster.ray) < vec3(1e-7));
    let half = caster.half_extents;
    var span: vec2<f32>;
    if SHAPE == SHAPE_BOX {
        span = span_box(origin, ray, half);
    } else if SHAPE == SHAPE_SPHERE {
        span = span_sphere(origin, ray, half.x);
    } else if SHAPE == SHAPE_CYLINDER {
        span = span_cylinder(origin, ray, half.x, half.z);
    } else {
        span = span_capsule(origin, ray, half.x, half.z - half.x);
    }
    if span.x > span.y {
        discard;
    }
    return clamp(0.5 * (span.x + span.y), 0.0, 1.0);
}
