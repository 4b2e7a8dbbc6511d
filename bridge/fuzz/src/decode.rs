//! Any bytes as a message: nothing panics, and what is understood is written again as it was.

use worldstep_bridge::wire::{Header, Op, Parts, Reply, Request};

/// Reads `bytes` as the golden files are read (each part has its length as u32 in front) and decodes the message as a
/// request and as a reply.
///
/// # Panics
/// If something that was decoded is not encoded as it came.
pub fn decode(bytes: &[u8]) {
    let parts = parts(bytes);
    let salvaged = Header::salvage(&parts);
    let Ok(header) = Header::decode(&parts) else { return };
    assert_eq!((header.session, header.seq), (salvaged.session, salvaged.seq));
    assert_eq!(header.encode(), parts[0]);
    if let Ok(request) = Request::decode(&header, &parts[1..]) {
        check(&parts, request.encode(header), |parts| {
            let header = Header::decode(parts).unwrap();
            Request::decode(&header, &parts[1..]).unwrap().encode(header)
        });
    }
    if let Ok(reply) = Reply::decode(&header, &parts[1..]) {
        check(&parts, reply.encode(&header), |parts| {
            let header = Header::decode(parts).unwrap();
            Reply::decode(&header, &parts[1..]).unwrap().encode(&header)
        });
    }
}

/// Bytes are compared, not values: a NaN differs from itself.
fn check(came: &Parts, encoded: Parts, again: impl Fn(&Parts) -> Parts) {
    assert_eq!(again(&encoded), encoded, "decoding what was encoded changes it");
    let op = Header::decode(came).unwrap().op;
    // MessagePack has several ways to write a number, and a reset leaves the seeds that are not given open.
    let is_unique = !matches!(op, Op::Hello | Op::Make | Op::Metrics | Op::Error | Op::Reset)
        || (came.len() == 1 && op != Op::Reset);
    assert!(!is_unique || encoded == plain(came), "{op:?} has two encodings");
}

/// Only of rows does a reply say where the observations are.
fn plain(came: &Parts) -> Parts {
    let header = Header::decode(came).unwrap();
    let says_nothing = header.reply && !matches!(header.op, Op::Reset | Op::Step | Op::Load);
    let (shared, after) = (header.shared && !says_nothing, header.after && !header.reply);
    let header = Header { shared, after, ..header };
    std::iter::once(header.encode()).chain(came[1..].iter().cloned()).collect()
}

fn parts(mut bytes: &[u8]) -> Parts {
    let mut parts = Parts::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (part, rest) = rest.split_at((u32::from_le_bytes(*length) as usize).min(rest.len()));
        parts.push(part.to_vec());
        bytes = rest;
    }
    parts
}
