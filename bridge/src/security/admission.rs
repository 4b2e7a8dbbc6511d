//! Whose keys are admitted: those in a folder, read again as time goes by.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SecurityError;
use super::key_file::{PublicKey, encode, file_error, read_public_key};

/// Age at which what was read of the folder is read anew before anybody is judged by it.
const STALE: Duration = Duration::from_secs(1);
/// Keys that a folder may hold.
const KEYS_MAX: usize = 4096;
/// Time between two lines about the same peer.
const QUIET: Duration = Duration::from_secs(60);
/// Peers that are remembered so as not to repeat a line.
const PEERS_MAX: usize = 256;

/// The keys of a folder's `*.key` files.
#[derive(Clone, Debug)]
pub struct AllowedKeys {
    folder: PathBuf,
    keys: BTreeSet<PublicKey>,
    read_at: Option<Duration>,
}

impl AllowedKeys {
    /// Reads the folder.
    ///
    /// # Errors
    /// [`SecurityError`] names the file that holds no key.
    pub fn read(folder: &Path) -> Result<Self, SecurityError> {
        let keys = public_keys(folder)?.into_iter().collect::<Result<_, _>>()?;
        Ok(Self { folder: folder.to_owned(), keys, read_at: None })
    }

    /// Whether `key` is admitted at `now`. Files that hold no key admit nobody, a folder that has gone nobody at all.
    pub fn admits(&mut self, key: &PublicKey, now: Duration) -> bool {
        if self.read_at.is_none_or(|at| now >= at + STALE) {
            self.keys = public_keys(&self.folder).into_iter().flatten().flatten().collect();
            self.read_at = Some(now);
        }
        self.keys.contains(key)
    }

    /// The folder, for messages.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

type KeyResults = Vec<Result<PublicKey, SecurityError>>;

fn public_keys(folder: &Path) -> Result<KeyResults, SecurityError> {
    let entries = fs::read_dir(folder).map_err(|source| file_error(folder, source))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let keys = paths.filter(|path| path.extension().is_some_and(|extension| extension == "key"));
    Ok(keys.take(KEYS_MAX).map(|path| read_public_key(&path)).collect())
}

/// Says who was refused, but not at the pace at which a refused client tries again.
#[derive(Debug, Default)]
pub struct RefusalLog {
    /// When each peer was last named, and how often it has come since.
    peers: BTreeMap<(String, PublicKey), (Duration, u64)>,
}

impl RefusalLog {
    /// The line to log, if one is due.
    pub fn refused(&mut self, address: &str, key: &PublicKey, now: Duration) -> Option<String> {
        self.peers.retain(|_, (at, repeats)| *repeats > 0 || now < *at + QUIET);
        let peer = (address.to_owned(), *key);
        if let Some((at, repeats)) = self.peers.get_mut(&peer) {
            *repeats += 1;
            if now < *at + QUIET {
                return None;
            }
        } else if self.peers.len() >= PEERS_MAX {
            // A peer that makes keys up fills no disk; it is heard of again when others have been forgotten.
            self.peers.retain(|_, (at, _)| now < *at + QUIET);
            if self.peers.len() >= PEERS_MAX {
                return None;
            }
        }
        let repeats = self.peers.insert(peer, (now, 0)).map_or(0, |(_, repeats)| repeats);
        let start: String = encode(key).chars().take(8).collect();
        let often = if repeats > 1 { format!(", {repeats} times") } else { String::new() };
        Some(format!("refused a client at {address}{often}: its key {start}… is not among the allowed ones"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::security::KeyPair;

    const S: Duration = Duration::from_secs(1);

    fn public(pair: &KeyPair) -> PublicKey {
        pair.public().try_into().unwrap()
    }

    #[test]
    fn keys_are_added_and_revoked_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let (first_file, _) = first.write(folder.path(), "first").unwrap();
        let mut allowed = AllowedKeys::read(folder.path()).unwrap();
        assert!(allowed.admits(&public(&first), S));
        assert!(!allowed.admits(&public(&second), S));
        second.write(folder.path(), "second").unwrap();
        fs::remove_file(first_file).unwrap();
        assert!(allowed.admits(&public(&second), 2 * S));
        assert!(!allowed.admits(&public(&first), 2 * S));
    }

    #[test]
    fn a_damaged_file_is_named_at_the_start_and_admits_nobody_later() {
        let folder = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate().unwrap();
        pair.write(folder.path(), "good").unwrap();
        let mut allowed = AllowedKeys::read(folder.path()).unwrap();
        fs::write(folder.path().join("bad.key"), "curve\n").unwrap();
        let error = AllowedKeys::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("bad.key"), "{error}");
        assert!(allowed.admits(&public(&pair), S), "the others are admitted as before");
        drop(folder);
        assert!(!allowed.admits(&public(&pair), 2 * S), "no folder, no clients");
    }

    #[test]
    fn a_client_that_tries_again_and_again_is_one_line_a_minute() {
        let mut log = RefusalLog::default();
        let lines: Vec<_> = (0..1200).filter_map(|i| log.refused("10.0.0.7", &[1; 32], S / 10 * i)).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("10.0.0.7") && lines[0].contains(&encode(&[1; 32])[..8]));
        assert!(lines[1].contains("600 times"), "{lines:?}");
        assert!(log.refused("10.0.0.8", &[1; 32], 120 * S).is_some(), "another peer is another line");
    }

    #[test]
    fn a_peer_that_makes_keys_up_is_bounded() {
        let mut log = RefusalLog::default();
        let key = |i: u32| std::array::from_fn(|at| i.to_le_bytes().get(at).copied().unwrap_or(0));
        let lines = (0..10_000).filter_map(|i| log.refused("10.0.0.7", &key(i), S)).count();
        assert_eq!((lines, log.peers.len()), (PEERS_MAX, PEERS_MAX));
    }
}
