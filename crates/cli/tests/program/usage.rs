//! Help, version and completions.

use crate::harness::Cicada;

#[test]
fn help_shows_examples_the_script_language_and_the_exit_status() {
    let help = Cicada::new("--help").finish().succeeded().stdout.join("\n");
    for part in [
        "cicada --interface localhost -p 49611 --no-port-mapping --join localhost:49610 others.conf",
        "BCAST data...",
        "Exit status:",
        "--mapping-attempts <N>",
        "CICADA_PORT",
        "./demo",
    ] {
        assert!(help.contains(part), "{part:?} is missing: {help}");
    }
}

#[test]
fn every_command_has_help() {
    for command in ["demo", "sim", "kadcast", "keygen", "status", "lookup", "send", "cast", "settings", "completions"] {
        let by_flag = Cicada::new(&format!("{command} --help")).finish().succeeded();
        let by_command = Cicada::new(&format!("help {command}")).finish().succeeded();
        assert_eq!(by_flag.stdout, by_command.stdout);
        assert!(by_flag.stdout.iter().any(|line| line.starts_with("Usage: cicada ")), "{by_flag:#?}");
    }
}

#[test]
fn completions_are_there_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = Cicada::new(&format!("completions {shell}")).finish().succeeded();
        let script = ended.stdout.join("\n");
        assert!(script.contains("mapping-attempts") && script.contains("keygen"), "{shell}");
    }
}

#[test]
fn the_version_is_the_package_s() {
    let ended = Cicada::new("--version").finish().succeeded();
    assert_eq!(ended.stdout, [format!("cicada {}", env!("CARGO_PKG_VERSION"))]);
}
