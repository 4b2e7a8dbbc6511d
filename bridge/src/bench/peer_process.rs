use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use worldstep_env::EnvError;

use super::engine_error;

/// Another program that is asked one JSON object a line and answers with one.
pub struct PeerProcess {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl PeerProcess {
    /// Starts `command`, whose complaints are not heard.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if it does not start.
    pub fn start(command: &mut Command) -> Result<Self, EnvError> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(engine_error)?;
        let closed = || engine_error("no pipe to it");
        let stdin = process.stdin.take().ok_or_else(closed)?;
        let stdout = BufReader::new(process.stdout.take().ok_or_else(closed)?);
        Ok(Self { process, stdin, stdout })
    }

    /// Its answer, whenever that comes.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if it ended.
    pub fn ask(&mut self, question: &Value) -> Result<Value, EnvError> {
        writeln!(self.stdin, "{question}").map_err(engine_error)?;
        let mut line = String::new();
        self.stdout.read_line(&mut line).map_err(engine_error)?;
        serde_json::from_str(&line).map_err(|_| engine_error("it ended"))
    }
}

impl Drop for PeerProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn questions_are_answered_in_turn_until_it_ends() {
        let mut echo =
            PeerProcess::start(Command::new("sh").args(["-c", "read a; echo $a; read b; echo {}"])).unwrap();
        assert_eq!(echo.ask(&json!({ "size": 64 })).unwrap(), json!({ "size": 64 }));
        assert_eq!(echo.ask(&json!(2)).unwrap(), json!({}));
        assert!(echo.ask(&json!(3)).is_err());
        assert!(PeerProcess::start(&mut Command::new("/no/such/python")).is_err());
    }
}
