use blake3::Hasher;

use super::clip::{Clip, Column};
use super::features::{Feature, Source};

/// BLAKE3 of a clip's raw values, hexadecimal; [`worldstep_env::dataset`] says of which, in what order.
///
/// `features` are the dataset's, to which the clip's columns belong.
pub fn content_hash(clip: &Clip, features: &[Feature]) -> String {
    let mut parts = Parts(Hasher::new());
    let recorded = features.iter().filter(|feature| feature.source != Source::Position);
    let mut columns: Vec<_> = recorded.zip(&clip.columns).collect();
    columns.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    for (feature, column) in columns {
        parts.add(feature.name.as_bytes());
        parts.add_column(column);
    }
    parts.add_tables(clip);
    parts.add_facts(clip);
    parts.0.finalize().to_hex().to_string()
}

/// BLAKE3 of a set's clip hashes in order, hexadecimal.
pub fn set_hash<'a>(hashes: impl Iterator<Item = &'a str>) -> String {
    let mut hasher = Hasher::new();
    for hash in hashes {
        hasher.update(hash.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

struct Parts(Hasher);

impl Parts {
    fn add(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn add_column(&mut self, column: &Column) {
        // Every platform that this runs on is little-endian; the cast is checked where it is not.
        const { assert!(cfg!(target_endian = "little")) };
        match column {
            Column::U8(values) => self.add(values),
            Column::U16(values) => self.add(bytemuck::cast_slice(values)),
            Column::F32(values) => self.add(bytemuck::cast_slice(values)),
            Column::I64(values) => self.add(bytemuck::cast_slice(values)),
            Column::Bool(values) => {
                let bytes: Vec<u8> = values.iter().map(|value| u8::from(*value)).collect();
                self.add(&bytes);
            }
        }
    }

    fn add_tables(&mut self, clip: &Clip) {
        let mut bytes = Vec::new();
        for (frame, contact) in &clip.contacts {
            bytes.extend(frame.to_le_bytes());
            bytes.extend([contact.a, contact.b].into_iter().flat_map(u16::to_le_bytes));
            bytes.extend(floats(&[
                &contact.point,
                &contact.normal,
                &contact.impulse,
                &[contact.penetration],
            ]));
        }
        self.add(&bytes);
        bytes.clear();
        for (frame, force) in &clip.forces {
            bytes.extend(frame.to_le_bytes());
            bytes.extend(force.id.to_le_bytes());
            bytes.extend(floats(&[&force.point, &force.force, &force.torque]));
        }
        self.add(&bytes);
        bytes.clear();
        for event in &clip.events {
            bytes.extend(event.frame.to_le_bytes());
            bytes.extend(event.kind.name().bytes());
            bytes.extend([event.a, event.b].into_iter().flat_map(u16::to_le_bytes));
            bytes.extend(event.value.to_le_bytes());
        }
        self.add(&bytes);
    }

    fn add_facts(&mut self, clip: &Clip) {
        let facts = &clip.facts;
        self.add(&facts.seed.to_le_bytes());
        let links = &facts.links;
        let texts = [
            &facts.scenario,
            &facts.policy,
            &facts.outcome,
            &facts.caption,
            &facts.parameters,
            &facts.scene,
            &facts.joints,
            &links.violation,
        ];
        for text in texts {
            self.add(text.as_bytes());
        }
        self.add(bytemuck::cast_slice(&facts.gravity));
        for values in &facts.physical {
            self.add(bytemuck::cast_slice(values));
        }
        let from_here = |index: Option<usize>| index.map_or(0, |index| index as i64 - facts.index as i64);
        let frame = links.branch_frame.map_or(-1, i64::from);
        for number in [from_here(links.branch_parent), frame, from_here(links.pair)] {
            self.add(&number.to_le_bytes());
        }
    }
}

/// Bytes of `vectors`, one after the other.
fn floats<'a>(vectors: &'a [&'a [f32]]) -> impl Iterator<Item = u8> + 'a {
    vectors.iter().flat_map(|values| values.iter().flat_map(|value| value.to_le_bytes()))
}
