//! Who may connect from other machines: CURVE keys in files, and the doorkeeper that knows whose are admitted.
//!
//! CurveZMQ encrypts every message and proves to each side that the other holds the secret half of its key. Whose key
//! that is, the server asks a handler (ZAP, RFC 27) that admits the keys of a folder and nobody else.

mod admission;
mod doorkeeper;
mod key_file;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use doorkeeper::Doorkeeper;
pub use key_file::{KeyPair, PublicKey, read_public_key, server_key_from};

use admission::AllowedKeys;

/// Path of the client's secret key file, where no other is given.
pub const CLIENT_KEY_VARIABLE: &str = "WORLDSTEP_CLIENT_KEY";
/// The server's public key, or the path of its file, where no other is given.
pub const SERVER_KEY_VARIABLE: &str = "WORLDSTEP_SERVER_KEY";

/// Why keys cannot be had or used.
#[derive(Debug, Error)]
pub enum SecurityError {
    /// libzmq was built without CURVE.
    #[error(
        "this libzmq has no CURVE encryption: install one that was built with libsodium (Debian and Ubuntu: apt install libzmq3-dev)"
    )]
    NoCurve,
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file would be overwritten.
    #[error("{path} exists: whoever uses it would be locked out; choose another --name or --out", path = path.display())]
    Exists {
        /// Which one.
        path: PathBuf,
    },
    /// A file is no key file, or lacks the key that is needed.
    #[error("{path} {message}; `worldstep keys --out DIR` makes NAME.key (public) and NAME.key_secret", path = path.display())]
    NoKey {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        message: &'static str,
    },
    /// A secret key that other users of the machine can read.
    #[error("{path} can be read by other users of this machine: chmod 600 {path}", path = path.display())]
    Exposed {
        /// Which one.
        path: PathBuf,
    },
    /// The name of a key pair is no file name.
    #[error("{name:?} is no name for a key pair, expected letters, digits, - and _, for instance robot-lab")]
    Name {
        /// The name asked for.
        name: String,
    },
    /// Only one of the two keys that a client needs.
    #[error(
        "a client needs two keys, and {missing} is missing: the server's public key (NAME.key or its 40 characters) and its own secret one (NAME.key_secret)"
    )]
    HalfOfThem {
        /// Name of the one that is missing.
        missing: &'static str,
    },
    /// libzmq refused.
    #[error("cannot use CURVE: {0}")]
    Socket(#[from] zmq::Error),
}

/// A server's own keys, and the folder with those of its clients.
#[derive(Debug)]
pub struct CurveServer {
    keys: KeyPair,
    allowed: AllowedKeys,
}

impl CurveServer {
    /// Reads the server's secret key file and the folder of its clients' public ones (`*.key`).
    ///
    /// # Errors
    /// [`SecurityError`] names the file and what was expected.
    pub fn load(secret_key: &Path, allow_clients: &Path) -> Result<Self, SecurityError> {
        check_curve()?;
        let allowed = AllowedKeys::read(allow_clients)?;
        Ok(Self { keys: KeyPair::read(secret_key)?, allowed })
    }

    /// Makes `socket` one that only admitted clients can talk to. The doorkeeper has to stand before it is bound, and
    /// as long as it is open.
    ///
    /// # Errors
    /// [`SecurityError::Socket`].
    pub fn secure(&self, socket: &zmq::Socket) -> Result<(), SecurityError> {
        socket.set_curve_server(true)?;
        socket.set_curve_secretkey(self.keys.secret())?;
        // Asks the doorkeeper whoever comes.
        socket.set_zap_domain(doorkeeper::DOMAIN)?;
        Ok(())
    }

    /// Starts the doorkeeper of all sockets of `context`; it stands until it is dropped.
    ///
    /// # Errors
    /// [`SecurityError::Socket`].
    pub fn doorkeeper(&self, context: &zmq::Context) -> Result<Doorkeeper, SecurityError> {
        Doorkeeper::start(context, self.allowed.clone())
    }
}

/// What a client needs to reach a server that asks for keys.
#[derive(Clone, Debug)]
pub struct CurveClient {
    server: PublicKey,
    keys: KeyPair,
}

impl CurveClient {
    /// `server_key` is the server's public key, as 40 characters or as the path of its file; `client_key` is the path
    /// of the client's secret key file.
    ///
    /// # Errors
    /// [`SecurityError`] names the file and what was expected.
    pub fn load(server_key: &str, client_key: &Path) -> Result<Self, SecurityError> {
        check_curve()?;
        Ok(Self { server: server_key_from(server_key)?, keys: KeyPair::read(client_key)? })
    }

    /// As the environment variables [`SERVER_KEY_VARIABLE`] and [`CLIENT_KEY_VARIABLE`] say; `None` if neither is set.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`SecurityError::HalfOfThem`].
    pub fn from_environment() -> Result<Option<Self>, SecurityError> {
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (read(SERVER_KEY_VARIABLE), read(CLIENT_KEY_VARIABLE)) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(SecurityError::HalfOfThem { missing: CLIENT_KEY_VARIABLE }),
            (None, Some(_)) => Err(SecurityError::HalfOfThem { missing: SERVER_KEY_VARIABLE }),
            (Some(server), Some(client)) => Self::load(&server, Path::new(&client)).map(Some),
        }
    }

    /// Makes `socket` one that talks to this server only; before it connects.
    ///
    /// # Errors
    /// What libzmq refuses.
    pub fn secure(&self, socket: &zmq::Socket) -> Result<(), zmq::Error> {
        socket.set_curve_serverkey(&self.server)?;
        socket.set_curve_publickey(self.keys.public())?;
        socket.set_curve_secretkey(self.keys.secret())
    }
}

fn check_curve() -> Result<(), SecurityError> {
    if zmq::has("curve") == Some(true) { Ok(()) } else { Err(SecurityError::NoCurve) }
}
