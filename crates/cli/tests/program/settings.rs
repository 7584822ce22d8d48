//! Flag over environment over file over default, seen from outside.

use crate::harness::{Cicada, Finished, Folder};

#[test]
fn a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default() {
    let folder = Folder::new();
    folder.write("cicada.toml", "port = 5001\ntimeout = 3\nmapping-attempts = 7\n");
    let ended = Cicada::new("settings --config cicada.toml -p 5003")
        .variable("CICADA_PORT", "5002")
        .variable("CICADA_TIMEOUT", "4")
        .folder(&folder)
        .finish()
        .succeeded();
    assert_in_force(&ended, "port", "5003", "flag");
    assert_in_force(&ended, "timeout", "4", "environment");
    assert_in_force(&ended, "mapping-attempts", "7", "file");
    assert_in_force(&ended, "overlay", "ring", "default");
}

#[test]
fn the_file_itself_may_be_named_by_the_environment() {
    let folder = Folder::new();
    folder.write("cicada.toml", "overlay = 'tree'\n");
    let ended = Cicada::new("settings").variable("CICADA_CONFIG", "cicada.toml").folder(&folder).finish().succeeded();
    assert_in_force(&ended, "overlay", "tree", "file");
    assert_in_force(&ended, "config", "cicada.toml", "environment");
}

#[test]
fn switches_and_lists_come_from_the_environment_too() {
    let ended = Cicada::new("settings")
        .variable("CICADA_NO_PORT_MAPPING", "yes")
        .variable("CICADA_JOIN", "localhost:1,localhost:2")
        .finish()
        .succeeded();
    assert_in_force(&ended, "no-port-mapping", "yes", "environment");
    assert_in_force(&ended, "join", "localhost:1", "environment");
}

#[test]
fn json_is_one_object_a_line() {
    let ended = Cicada::new("settings --json --join a:1").finish().succeeded();
    assert!(ended.stdout.len() > 10);
    let join = "{\"key\":\"join\",\"values\":[\"a:1\"],\"source\":\"flag\"}";
    assert!(ended.stdout.iter().any(|line| line == join), "{ended:#?}");
}

#[test]
fn an_unknown_key_is_refused_naming_the_key_and_the_file() {
    let folder = Folder::new();
    folder.write("cicada.toml", "prot = 5001\n");
    let ended = Cicada::new("--config cicada.toml").folder(&folder).finish();
    ended.failed(2, "cicada.toml: unknown key `prot`").in_one_line();
}

#[test]
fn a_wrong_value_is_refused_naming_where_it_stands() {
    let folder = Folder::new();
    folder.write("cicada.toml", "port = 80\n");
    let ended = Cicada::new("--config cicada.toml").folder(&folder).finish();
    ended.failed(2, "cicada.toml: key `port`: ").in_one_line();
    let ended = Cicada::new("").variable("CICADA_PORT", "80").finish();
    ended.failed(2, "variable CICADA_PORT: ").in_one_line();
}

#[test]
fn a_missing_file_is_named() {
    Cicada::new("--config ./gone.toml").finish().failed(2, "./gone.toml").in_one_line();
}

#[test]
fn a_secret_given_twice_by_the_environment_is_refused() {
    let ended = Cicada::new("settings")
        .variable("CICADA_SWARM_SECRET", "sixteen bytes and more")
        .variable("CICADA_SWARM_SECRET_FILE", "secret")
        .finish();
    ended.failed(2, "CICADA_SWARM_SECRET and CICADA_SWARM_SECRET_FILE").in_one_line();
}

fn assert_in_force(ended: &Finished, key: &str, value: &str, source: &str) {
    let line = ended.stdout.iter().find(|line| line.split_whitespace().next() == Some(key));
    let words: Vec<&str> = line.expect(key).split_whitespace().collect();
    assert!(words.contains(&value) && words.last() == Some(&source), "{words:?}");
}
