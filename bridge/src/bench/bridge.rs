use std::path::Path;
use std::time::Duration;

use worldstep_env::EnvError;

use super::Row;

/// .
///
/// # Errors
/// .
pub fn bridge(_models: Option<&Path>, _time: Duration) -> Result<Vec<Row>, EnvError> {
    Ok(Vec::new())
}
