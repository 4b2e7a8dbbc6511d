//! Where a ray enters a box, sphere, cylinder or capsule about the origin: parameter and outward unit normal.
//!
//! A ray that starts inside enters behind its start, at a parameter below zero.

use bevy::math::DVec3;

/// Whether the line through `offset` (from the sphere's centre) along `direction` comes within `radius`.
pub fn ray_near_sphere(offset: DVec3, direction: DVec3, radius: f64) -> bool {
    offset.cross(direction).length_squared() <= radius * radius * direction.length_squared() * (1.0 + 1e-9)
}

/// Box with half extents `half`.
pub fn enter_box(origin: DVec3, direction: DVec3, half: DVec3) -> Option<(f64, DVec3)> {
    let (mut enter, mut leave) = (f64::NEG_INFINITY, f64::INFINITY);
    let mut normal = DVec3::ZERO;
    for axis in 0..3 {
        if direction[axis] == 0.0 {
            if origin[axis].abs() > half[axis] {
                return None;
            }
            continue;
        }
        let sign = direction[axis].signum();
        let first = (-sign * half[axis] - origin[axis]) / direction[axis];
        let second = (sign * half[axis] - origin[axis]) / direction[axis];
        if first > enter {
            enter = first;
            normal = DVec3::ZERO;
            normal[axis] = -sign;
        }
        leave = leave.min(second);
    }
    (enter <= leave).then_some((enter, normal))
}

/// Sphere.
pub fn enter_sphere(origin: DVec3, direction: DVec3, radius: f64) -> Option<(f64, DVec3)> {
    let squared = direction.length_squared();
    let closest = -origin.dot(direction) / squared;
    let chord = radius * radius - (origin + closest * direction).length_squared();
    if chord < 0.0 {
        return None;
    }
    let depth = closest - (chord / squared).sqrt();
    Some((depth, (origin + depth * direction) / radius))
}

/// Cylinder along z.
pub fn enter_cylinder(
    origin: DVec3,
    direction: DVec3,
    radius: f64,
    half_height: f64,
) -> Option<(f64, DVec3)> {
    let (enter_side, leave_side) = cross_tube(origin, direction, radius)?;
    let (enter_cap, leave_cap) = if direction.z == 0.0 {
        if origin.z.abs() > half_height {
            return None;
        }
        (f64::NEG_INFINITY, f64::INFINITY)
    } else {
        let sign = direction.z.signum();
        ((-sign * half_height - origin.z) / direction.z, (sign * half_height - origin.z) / direction.z)
    };
    let enter = enter_side.max(enter_cap);
    if enter > leave_side.min(leave_cap) {
        return None;
    }
    let normal = if enter_cap > enter_side {
        DVec3::new(0.0, 0.0, -direction.z.signum())
    } else {
        ((origin + enter * direction) / radius).with_z(0.0)
    };
    Some((enter, normal))
}

/// Capsule along z; `half_height` is half of the distance between the half spheres' centres.
pub fn enter_capsule(origin: DVec3, direction: DVec3, radius: f64, half_height: f64) -> Option<(f64, DVec3)> {
    let center = DVec3::new(0.0, 0.0, half_height);
    let ends =
        [enter_sphere(origin - center, direction, radius), enter_sphere(origin + center, direction, radius)];
    let side = cross_tube(origin, direction, radius)
        .map(|(enter, _)| (enter, ((origin + enter * direction) / radius).with_z(0.0)))
        .filter(|(enter, _)| (origin.z + enter * direction.z).abs() <= half_height);
    ends.into_iter().flatten().chain(side).min_by(|a, b| a.0.total_cmp(&b.0))
}

/// Where a line enters and leaves an endless cylinder along z.
fn cross_tube(origin: DVec3, direction: DVec3, radius: f64) -> Option<(f64, f64)> {
    let (across, offset) = (direction.truncate(), origin.truncate());
    let squared = across.length_squared();
    if squared == 0.0 {
        return (offset.length_squared() <= radius * radius).then_some((f64::NEG_INFINITY, f64::INFINITY));
    }
    let closest = -offset.dot(across) / squared;
    let chord = radius * radius - (offset + closest * across).length_squared();
    if chord < 0.0 {
        return None;
    }
    let half = (chord / squared).sqrt();
    Some((closest - half, closest + half))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(hit: Option<(f64, DVec3)>, depth: f64, normal: DVec3) {
        let hit = hit.unwrap_or((f64::NAN, DVec3::NAN));
        assert!((hit.0 - depth).abs() < 1e-12 && hit.1.distance(normal) < 1e-12, "{hit:?}");
    }

    #[test]
    fn rays_along_an_axis_enter_where_the_surface_is() {
        let (from_above, from_left) = (DVec3::new(0.1, 0.0, 5.0), DVec3::new(-5.0, 0.0, 0.3));
        near(enter_box(from_above, DVec3::NEG_Z, DVec3::new(1.0, 2.0, 3.0)), 2.0, DVec3::Z);
        near(enter_cylinder(from_above, DVec3::NEG_Z, 1.0, 2.0), 3.0, DVec3::Z);
        near(enter_cylinder(from_left, DVec3::X, 1.0, 2.0), 4.0, DVec3::NEG_X);
        near(enter_capsule(from_left, DVec3::X, 1.0, 2.0), 4.0, DVec3::NEG_X);
        near(enter_capsule(DVec3::new(0.0, 0.0, 5.0), DVec3::NEG_Z, 1.0, 2.0), 2.0, DVec3::Z);
        near(enter_sphere(DVec3::new(-5.0, 0.0, 0.0), DVec3::new(2.0, 0.0, 0.0), 1.0), 2.0, DVec3::NEG_X);
    }

    #[test]
    fn points_of_entry_lie_on_the_surface_and_face_the_ray() {
        for i in 0..200 {
            let turn = f64::from(i) * 0.731;
            let origin = 6.0 * DVec3::new(turn.cos(), turn.sin(), (turn * 0.37).sin());
            let aim = DVec3::new((turn * 1.3).sin(), (turn * 1.7).cos(), (turn * 2.1).sin());
            let direction = aim - origin;
            if let Some((t, normal)) = enter_capsule(origin, direction, 0.6, 0.8) {
                let at = origin + t * direction;
                let axis = DVec3::new(0.0, 0.0, at.z.clamp(-0.8, 0.8));
                assert!((at.distance(axis) - 0.6).abs() < 1e-9 && normal.dot(direction) <= 0.0);
                assert!((normal - (at - axis) / 0.6).length() < 1e-9);
            }
            if let Some((t, normal)) = enter_cylinder(origin, direction, 0.6, 0.8) {
                let at = origin + t * direction;
                let (side, cap) = (at.truncate().length() - 0.6, at.z.abs() - 0.8);
                assert!(side.max(cap).abs() < 1e-9 && normal.dot(direction) <= 0.0);
            }
            let half = DVec3::new(0.5, 0.7, 0.9);
            if let Some((t, normal)) = enter_box(origin, direction, half) {
                let excess = (origin + t * direction).abs() - half;
                assert!(excess.max_element().abs() < 1e-9 && normal.dot(direction) < 0.0);
            }
        }
    }
}
