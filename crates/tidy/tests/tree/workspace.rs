//! What cargo says about the workspace, as JSON.

use std::process::Command;

use serde_json::Value;

use crate::tree::root;

/// The packages of the workspace in `directory`, without their dependencies' packages. Needs no
/// network.
pub(crate) fn packages(directory: &str) -> Vec<Value> {
    let answer = ask(directory, &["--no-deps", "--offline"]);
    list(&answer.expect("cargo can read the workspace"))
}

/// The packages of the workspace and all that they are built from.
///
/// Asks about every platform; where that needs packages which are neither here nor to be had, about
/// this platform alone.
pub(crate) fn packages_with_dependencies() -> Vec<Value> {
    let this_platform = ["--offline", "--filter-platform", this_platform()];
    let answer = ask(".", &[]).or_else(|_| ask(".", &this_platform));
    list(&answer.expect("cargo can read the workspace and its dependencies"))
}

/// A field that is text, or nothing.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// A field that is a list, or nothing.
pub(crate) fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

fn ask(directory: &str, arguments: &[&str]) -> Result<Value, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1"])
        .args(arguments)
        .current_dir(root().join(directory))
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn list(answer: &Value) -> Vec<Value> {
    items(answer, "packages").to_vec()
}

fn this_platform() -> &'static str {
    // Licences differ by operating system at most, so these stand for their families.
    if cfg!(windows) {
        "x86_64-pc-windows-msvc"
    } else if cfg!(target_os = "macos") {
        "aarch64-apple-darwin"
    } else {
        "x86_64-unknown-linux-gnu"
    }
}
