use anyhow::{Result, bail};
use serde_json::json;
use worldstep_bridge::engines::{model_folder, shipped_models};
use worldstep_model::device::ComputeDevice;
use worldstep_synth::{RenderConfig, Renderer};

use super::{Json, print_json, print_text};

/// One line of the report.
struct Finding {
    part: &'static str,
    ok: bool,
    /// Whether pictures, dreams or other machines' clients are out without it: a GPU is not.
    needed: bool,
    detail: String,
}

/// Says what this machine can do, and what to install if not.
///
/// # Errors
/// If something that is needed is missing.
pub fn run(args: Json) -> Result<()> {
    let findings = [processor(), renderer(), libzmq(), weights(), cuda()];
    if args.json {
        let rows: Vec<_> = findings
            .iter()
            .map(|finding| json!({ "part": finding.part, "ok": finding.ok, "needed": finding.needed, "detail": finding.detail }))
            .collect();
        print_json(&json!({ "findings": rows }))?;
        return verdict(&findings);
    }
    let lines: String = findings
        .iter()
        .map(|finding| {
            let mark = if finding.ok { "ok" } else { "no" };
            format!("{mark:3} {:10} {}\n", finding.part, finding.detail)
        })
        .collect();
    print_text(&lines)?;
    verdict(&findings)
}

fn verdict(findings: &[Finding]) -> Result<()> {
    let missing: Vec<_> =
        findings.iter().filter(|finding| finding.needed && !finding.ok).map(|finding| finding.part).collect();
    if !missing.is_empty() {
        bail!("missing: {}", missing.join(", "));
    }
    Ok(())
}

fn processor() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Finding { part: "processor", ok: true, needed: true, detail: format!("{cores} cores") }
}

fn renderer() -> Finding {
    let finding = |ok, detail| Finding { part: "renderer", ok, needed: true, detail };
    match Renderer::new(RenderConfig { tiles: 1, width: 64, height: 64 }) {
        Ok(renderer) => finding(true, renderer.adapter_name().to_owned()),
        Err(error) => finding(false, error.to_string()),
    }
}

fn libzmq() -> Finding {
    let (major, minor, patch) = zmq::version();
    let ok = zmq::has("curve") == Some(true);
    let curve = if ok { "with CURVE" } else { "without CURVE: clients of this machine only" };
    Finding { part: "libzmq", ok, needed: true, detail: format!("{major}.{minor}.{patch} {curve}") }
}

fn weights() -> Finding {
    let found = shipped_models().map(|folder| (model_folder(&folder, None), folder));
    let (ok, detail) = match found {
        Some((Ok(_), folder)) => (true, format!("the dream's, in {}", folder.display())),
        Some((Err(error), _)) => (false, error.to_string()),
        None => (
            false,
            "none for the dream: set WORLDSTEP_MODEL to their folder, or give it with --model (worldstep train \
             makes some); truth needs none"
                .to_owned(),
        ),
    };
    Finding { part: "weights", ok, needed: true, detail }
}

fn cuda() -> Finding {
    let gpus: Vec<_> = std::fs::read_dir("/proc/driver/nvidia/gpus")
        .map(|entries| entries.filter_map(std::result::Result::ok).collect())
        .unwrap_or_default();
    let (ok, detail) = match (gpus.len(), ComputeDevice::from_name("cuda:0")) {
        (0, _) => (false, "no NVIDIA GPU; the dream runs on the processor".to_owned()),
        (found, Ok(_)) => (true, format!("{found} NVIDIA GPU(s), use --device cuda:0; {}", products())),
        (found, Err(error)) => (false, format!("{found} NVIDIA GPU(s), but {error}")),
    };
    Finding { part: "cuda", ok, needed: false, detail }
}

/// What makes large products on the first GPU.
#[cfg(feature = "cuda")]
fn products() -> String {
    match worldstep_model::cuda::without_cublas(0) {
        None => "large products by cuBLASLt".to_owned(),
        Some(why) => format!("large products by slower kernels of our own ({why})"),
    }
}

/// A build without CUDA makes none.
#[cfg(not(feature = "cuda"))]
fn products() -> &'static str {
    "this build has no products for it"
}
