//! Keys as files, in the certificate format of ZPL that `zmq.auth` of Python and `zcert` of C read.

use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::SecurityError;

/// A key's bytes.
pub type PublicKey = [u8; 32];

/// Characters of a key in Z85.
const KEY_CHARS: usize = 40;
/// A key file has a few hundred bytes.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// Both halves of a key.
#[derive(Clone)]
pub struct KeyPair {
    public: PublicKey,
    secret: [u8; 32],
}

/// Never tells the secret half.
impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyPair").field("public", &encode(&self.public)).finish_non_exhaustive()
    }
}

impl KeyPair {
    /// A new pair.
    ///
    /// # Errors
    /// [`SecurityError::NoCurve`] if libzmq cannot.
    pub fn generate() -> Result<Self, SecurityError> {
        super::check_curve()?;
        let pair = zmq::CurveKeyPair::new()?;
        Ok(Self { public: pair.public_key, secret: pair.secret_key })
    }

    /// The half that everybody may know.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The half that only its owner may know.
    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// The public half in Z85, as it may be passed on in a message.
    pub fn public_text(&self) -> String {
        encode(&self.public)
    }

    /// Writes `NAME.key` (public, for everybody to read) and `NAME.key_secret` (for its owner only) into `folder`, and
    /// gives their paths.
    ///
    /// # Errors
    /// [`SecurityError::Exists`] if one of them is there already (nothing is written then), [`SecurityError::Name`].
    pub fn write(&self, folder: &Path, name: &str) -> Result<(PathBuf, PathBuf), SecurityError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(allowed) {
            return Err(SecurityError::Name { name: name.to_owned() });
        }
        let (public, secret) =
            (folder.join(format!("{name}.key")), folder.join(format!("{name}.key_secret")));
        fs::create_dir_all(folder).map_err(|source| file_error(folder, source))?;
        if public.exists() {
            return Err(SecurityError::Exists { path: public });
        }
        let public_line = format!("    public-key = \"{}\"\n", encode(&self.public));
        let secret_line = format!("    secret-key = \"{}\"\n", encode(&self.secret));
        let head = "# Secret key: whoever has this file is its owner to every server. Pass on the .key file instead.\n";
        write_new(&secret, 0o600, &format!("{head}metadata\ncurve\n{public_line}{secret_line}"))?;
        let head =
            "# Public key: servers admit its owner when this file lies in their --allow-clients folder.\n";
        write_new(&public, 0o644, &format!("{head}metadata\ncurve\n{public_line}")).inspect_err(|_| {
            let _ = fs::remove_file(&secret);
        })?;
        Ok((public, secret))
    }

    /// Reads both halves from a secret key file.
    ///
    /// # Errors
    /// [`SecurityError::NoKey`] if they are not in there, [`SecurityError::Exposed`] if others can read it.
    pub fn read(path: &Path) -> Result<Self, SecurityError> {
        let (text, mode) = read_file(path)?;
        let no_key = |message| SecurityError::NoKey { path: path.to_owned(), message };
        let secret = key_of(&text, "secret-key").ok_or_else(|| no_key("holds no secret key"))?;
        let public = key_of(&text, "public-key").ok_or_else(|| no_key("holds no public key"))?;
        if mode & 0o077 != 0 {
            return Err(SecurityError::Exposed { path: path.to_owned() });
        }
        Ok(Self { public, secret })
    }
}

/// The public key in the file at `path`.
///
/// # Errors
/// [`SecurityError::NoKey`] if there is none.
pub fn read_public_key(path: &Path) -> Result<PublicKey, SecurityError> {
    let message = "holds no public key";
    key_of(&read_file(path)?.0, "public-key")
        .ok_or_else(|| SecurityError::NoKey { path: path.to_owned(), message })
}

/// A server's public key, given as its 40 characters or as the path of its file.
///
/// # Errors
/// As [`read_public_key`].
pub fn server_key_from(path_or_text: &str) -> Result<PublicKey, SecurityError> {
    match decode(path_or_text) {
        Some(key) if !Path::new(path_or_text).exists() => Ok(key),
        _ => read_public_key(Path::new(path_or_text)),
    }
}

/// `key` in Z85.
pub(super) fn encode(key: &[u8; 32]) -> String {
    // 32 bytes are a multiple of 4, which is all that is asked for.
    zmq::z85_encode(key).unwrap_or_default()
}

/// The inverse of [`encode`]; libzmq itself takes characters that are none of Z85.
fn decode(text: &str) -> Option<[u8; 32]> {
    let is_plain = text.len() == KEY_CHARS && text.is_ascii();
    let key: [u8; 32] = zmq::z85_decode(text).ok().filter(|_| is_plain)?.try_into().ok()?;
    (encode(&key) == text).then_some(key)
}

fn key_of(text: &str, name: &str) -> Option<[u8; 32]> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.trim().strip_prefix('='))?;
    decode(value.trim().trim_matches(['"', '\'']))
}

/// Text and permissions of a file.
fn read_file(path: &Path) -> Result<(String, u32), SecurityError> {
    let read = || {
        let mut text = String::new();
        let file = fs::File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok((text, mode))
    };
    read().map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::InvalidData => {
            SecurityError::NoKey { path: path.to_owned(), message: "is no key file" }
        }
        _ => file_error(path, source),
    })
}

fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), SecurityError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        // Whatever the umask has made of it.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => SecurityError::Exists { path: path.to_owned() },
        _ => file_error(path, source),
    })
}

pub(super) fn file_error(path: &Path, source: io::Error) -> SecurityError {
    SecurityError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_pair_comes_back_from_its_files_and_the_secret_one_is_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate().unwrap();
        let (public, secret) = pair.write(&folder.path().join("keys"), "robot-lab").unwrap();
        assert_eq!((mode(&public), mode(&secret)), (0o644, 0o600));
        assert_eq!(read_public_key(&public).unwrap(), pair.public);
        let read = KeyPair::read(&secret).unwrap();
        assert_eq!((read.public, read.secret), (pair.public, pair.secret));
        assert!(!fs::read_to_string(&public).unwrap().contains(&encode(&pair.secret)));
        assert!(!format!("{pair:?}").contains(&encode(&pair.secret)), "{pair:?}");
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate().unwrap();
        let (public, secret) = pair.write(folder.path(), "a").unwrap();
        let before = fs::read(&secret).unwrap();
        for left in [&public, &secret] {
            let error = KeyPair::generate().unwrap().write(folder.path(), "a").unwrap_err();
            assert!(matches!(error, SecurityError::Exists { .. }), "{error}");
            fs::remove_file(left).unwrap();
            assert!(left != &public || fs::read(&secret).unwrap() == before);
        }
        assert!(!public.exists(), "no half of a pair is left behind");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "../a", "a/b", ".", "a b"] {
            let error = KeyPair::generate().unwrap().write(folder.path(), name).unwrap_err();
            assert!(matches!(error, SecurityError::Name { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn a_secret_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (_, secret) = KeyPair::generate().unwrap().write(folder.path(), "a").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o640)).unwrap();
        let error = KeyPair::read(&secret).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn files_without_the_key_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (public, _) = KeyPair::generate().unwrap().write(folder.path(), "a").unwrap();
        let garbage = folder.path().join("garbage");
        fs::write(&garbage, [0xff; 100]).unwrap();
        let short = folder.path().join("short");
        fs::write(&short, "curve\n    public-key = \"abc\"\n").unwrap();
        assert!(KeyPair::read(&public).unwrap_err().to_string().contains("holds no secret key"));
        for path in [&garbage, &short, &folder.path().join("missing")] {
            let error = read_public_key(path).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
    }

    #[test]
    fn a_servers_key_is_given_as_text_or_as_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate().unwrap();
        let (public, _) = pair.write(folder.path(), "a").unwrap();
        assert_eq!(server_key_from(&pair.public_text()).unwrap(), pair.public);
        assert_eq!(server_key_from(public.to_str().unwrap()).unwrap(), pair.public);
        let misspelt = pair.public_text().replace(|c: char| c.is_ascii_alphanumeric(), "~");
        assert!(server_key_from(&misspelt).is_err());
    }
}
