//! In what order the triangles of a mesh are handed to the device, so that few corners are looked at more than once.
//!
//! All that a fragment knows of its triangle comes from the first of its vertices; of the other two only the place
//! matters. So each triangle leads with a corner that no other one leads with, where there is one, and shares the
//! others with its neighbours: about one vertex a triangle in place of three. A software driver shades vertices on one
//! thread alone, and that is what meshes cost most.

/// Appends three vertices a triangle to `out`. Vertex `3 t + k` is corner `k` of triangle `t`; corners are below
/// `corner_count`.
pub(super) fn append_shared(triangles: &[[u32; 3]], corner_count: usize, out: &mut Vec<u32>) {
    const NONE: u32 = u32::MAX;
    let mut vertex_of = vec![NONE; corner_count];
    let vertices = |t: usize| 3 * t as u32;
    let leads: Vec<usize> = triangles
        .iter()
        .enumerate()
        .map(|(t, triangle)| {
            let Some(k) = triangle.iter().position(|corner| vertex_of[*corner as usize] == NONE) else {
                return 0;
            };
            vertex_of[triangle[k] as usize] = vertices(t) + k as u32;
            k
        })
        .collect();
    for (t, triangle) in triangles.iter().enumerate() {
        for (k, corner) in triangle.iter().enumerate() {
            let vertex = &mut vertex_of[*corner as usize];
            // Nobody leads with it, so it is looked at for its place alone.
            *vertex = if *vertex == NONE { vertices(t) + k as u32 } else { *vertex };
        }
    }
    for ((t, triangle), lead) in triangles.iter().enumerate().zip(leads) {
        let shared = |k: usize| vertex_of[triangle[(lead + k) % 3] as usize];
        out.extend([vertices(t) + lead as u32, shared(1), shared(2)]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::append_shared;

    /// Squares of a grid, two triangles each.
    fn grid(n: u32) -> Vec<[u32; 3]> {
        let squares = (0..n).flat_map(|j| (0..n).map(move |i| j * (n + 1) + i));
        squares.flat_map(|a| [[a, a + 1, a + n + 2], [a, a + n + 2, a + n + 1]]).collect()
    }

    #[test]
    fn each_triangle_leads_with_its_own_corner_and_keeps_its_corners_in_turn() {
        let triangles = grid(7);
        let mut vertices = Vec::new();
        append_shared(&triangles, 64, &mut vertices);
        for (t, (triangle, drawn)) in triangles.iter().zip(vertices.chunks_exact(3)).enumerate() {
            let corner = |vertex: u32| triangles[vertex as usize / 3][vertex as usize % 3];
            assert_eq!(drawn[0] as usize / 3, t);
            let lead = drawn[0] as usize % 3;
            let expected = [0, 1, 2].map(|k| triangle[(lead + k) % 3]);
            assert_eq!([drawn[0], drawn[1], drawn[2]].map(corner), expected);
        }
    }

    #[test]
    fn about_one_vertex_a_triangle_is_looked_at() {
        let triangles = grid(24);
        let mut vertices = Vec::new();
        append_shared(&triangles, 625, &mut vertices);
        let distinct: BTreeSet<_> = vertices.iter().collect();
        assert!(distinct.len() <= triangles.len() + 30, "{} of {}", distinct.len(), triangles.len());
    }
}
