use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use worldstep_bridge::security::KeyPair;

use super::{Json, print_json, print_text};

#[derive(Args)]
pub struct KeysArgs {
    /// Folder for the two files; made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Whose keys they are; the files are NAME.key (public) and NAME.key_secret.
    #[arg(long, default_value = "client")]
    name: String,
    #[command(flatten)]
    json: Json,
}

/// Makes a key pair, and says what to do with its halves.
pub fn run(args: &KeysArgs) -> Result<()> {
    let pair = KeyPair::generate()?;
    let (public, secret) = pair.write(&args.out, &args.name)?;
    if args.json.json {
        return print_json(&json!({"public": public, "secret": secret, "public_key": pair.public_text()}));
    }
    print_text(&format!(
        "{}: public, for the other side\n{}: secret, stays on this machine\n",
        public.display(),
        secret.display(),
    ))
}
