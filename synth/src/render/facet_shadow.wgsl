// Triangles in the shadow pass. They have no middle as shapes have in `shadow.wgsl`: what is kept is their surface, a
// texel's slope deeper, so that it does not shade itself.

struct FacetCaster {
    @builtin(position) position: vec4<f32>,
    // Over texels (x, y, 1): depth.
    @location(0) @interpolate(flat) depth: vec3<f32>,
    @location(1) @interpolate(flat) corner: vec2<f32>,
}

// Most texels' worth of depth that a surface is kept deeper.
const BIAS_MAX: f32 = 4.0;

fn in_shadow_map(rows: ShadowRows, index: u32) -> vec3<f32> {
    let at = vec4(corners[index].position, 1.0);
    return vec3(dot(rows.x, at), dot(rows.y, at), dot(rows.z, at));
}

@vertex
fn facet_vertex_shadow(@builtin(vertex_index) vertex: u32, @builtin(instance_index) index: u32) -> FacetCaster {
    let instance = instances[index];
    let which = vertex % 3u;
    let first = u32(instance.half_extents.x) + vertex - which;
    let rows = shadow_rows(lights[instance.tile], instance.camera_from_object);
    let points = array(in_shadow_map(rows, first), in_shadow_map(rows, first + 1u), in_shadow_map(rows, first + 2u));
    let normal = cross(points[1] - points[0], points[2] - points[0]);
    var out: FacetCaster;
    out.position = shadow_position(vec2(0.0), instance.tile);
    if f32(vertex) >= instance.half_extents.y || looks[index].casts == 0.0 {
        return out;
    }
    out.corner = shadow_corner(instance.tile);
    out.position = shadow_position(round(points[which].xy * SUBPIXELS) / SUBPIXELS, instance.tile);
    // Seen edge-on, it hides nothing; its vertices may be those of others.
    out.depth = vec3(0.0, 0.0, 1.0);
    if abs(normal.z) < 1e-6 {
        return out;
    }
    let slope = -normal.xy / normal.z;
    let bias = min(abs(slope.x) + abs(slope.y), BIAS_MAX / SHADOW_SIDE);
    out.depth = vec3(slope, points[0].z - dot(slope, points[0].xy) + bias);
    return out;
}

@fragment
fn cast_facet_shadow(caster: FacetCaster) -> @builtin(frag_depth) f32 {
    let texel = floor(caster.position.xy) - caster.corner + 0.5;
    if any(texel < vec2(1.0)) || any(texel > vec2(SHADOW_SIDE - 1.0)) {
        discard;
    }
    return clamp(dot(caster.depth, vec3(texel, 1.0)), 0.0, 1.0);
}
