use super::*;
use flags::Overlay;
use std::time::Duration;

#[test]
fn the_definition_of_the_flags_is_sound() {
    Program::command().debug_assert();
}

#[test]
fn every_flag_has_an_environment_variable_of_its_name() {
    let program = Program::command();
    let commands = program.get_subcommands().chain([&program]);
    let mut seen = 0;
    for arg in commands.flat_map(clap::Command::get_arguments) {
        let Some(long) = arg.get_long().filter(|long| !["help", "version"].contains(long) && !is_said_each_time(arg)) else { continue };
        let variable = format!("CICADA_{}", long.replace('-', "_").to_uppercase());
        assert_eq!(arg.get_env().and_then(std::ffi::OsStr::to_str), Some(variable.as_str()), "--{long}");
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn without_anything_the_documented_defaults_are_in_force() {
    let program = program("", &[]);
    assert_eq!(program.run.port, 49610);
    assert_eq!(program.run.mapping_attempts, 5);
    assert_eq!(program.run.swarm.timeout, Duration::from_secs(10));
    assert_eq!(program.run.swarm.overlay, Overlay::Ring);
    assert_eq!(program.run.swarm.interface, "");
    assert!(program.run.swarm.join.is_empty());
    assert!(!program.run.no_port_mapping && !program.reporting.json && !program.reporting.debug && !program.reporting.stdout);
}

#[test]
fn the_documented_command_lines_read_as_documented() {
    let first = program("", &words("--interface localhost -p 49610 --no-port-mapping first.conf"));
    assert_eq!(first.run.swarm.interface, "localhost");
    assert_eq!(first.run.port, 49610);
    assert!(first.run.no_port_mapping);
    assert_eq!(first.run.runtime, Some("first.conf".into()));
    let keyed = program("", &words("-p 7001 --join 75.23.66.101:7000 --keys keylist.json"));
    assert_eq!(keyed.run.keys, Some("keylist.json".into()));
    assert_eq!(keyed.run.runtime, None);
}

#[test]
fn the_file_wins_over_the_default_and_a_flag_over_the_file() {
    let file = "port = 5000\ntimeout = 2.5\noverlay = 'tree'\nno-port-mapping = true\n";
    let from_file = program(file, &[]);
    assert_eq!(from_file.run.port, 5000);
    assert_eq!(from_file.run.swarm.timeout, Duration::from_millis(2500));
    assert_eq!(from_file.run.swarm.overlay, Overlay::Tree);
    assert!(from_file.run.no_port_mapping);
    let with_flags = program(file, &words("-p 6000 --overlay ring"));
    assert_eq!(with_flags.run.port, 6000);
    assert_eq!(with_flags.run.swarm.overlay, Overlay::Ring);
    assert_eq!(with_flags.run.swarm.timeout, Duration::from_millis(2500));
}

#[test]
fn a_list_of_entry_points_comes_from_one_source_as_a_whole() {
    let file = "join = ['a:1', 'b:2']";
    let join = |args: &str| -> Vec<String> {
        let joined = program(file, &words(args)).run.swarm.join;
        joined.iter().map(ToString::to_string).collect()
    };
    assert_eq!(join(""), ["a:1", "b:2"]);
    assert_eq!(join("--join c:3 --join d:4"), ["c:3", "d:4"]);
    assert_eq!(join("--join c:3,d:4"), ["c:3", "d:4"]);
}

#[test]
fn keys_reach_the_commands_and_a_command_s_table_wins_for_that_command() {
    let file = "join = ['a:1']\noverlay = 'tree'\njson = true\n[demo]\npeers = 32\n[status]\noverlay = 'ring'\n";
    let Some(Action::Demo(demo)) = program(file, &["demo"]).action else { panic!("demo was asked for") };
    assert_eq!((demo.peers, demo.overlay), (32, Overlay::Tree));
    let status = program(file, &["status"]);
    assert!(status.reporting.json);
    let Some(Action::Status(status)) = status.action else { panic!("status was asked for") };
    assert_eq!((status.swarm.overlay, status.swarm.join.len()), (Overlay::Ring, 1));
    assert_eq!(program(file, &[]).run.swarm.overlay, Overlay::Tree);
}

#[test]
fn reporting_flags_may_stand_before_and_after_the_command() {
    for args in ["--json demo", "demo --json"] {
        assert!(program("", &words(args)).reporting.json, "{args}");
    }
}

#[test]
fn a_wrong_file_is_refused_naming_the_key() {
    let wrong = [
        ("prot = 5000", "unknown key `prot`; there are "),
        ("force = true", "unknown key `force`"),
        ("config = 'x'", "unknown key `config`"),
        ("[demo]\nport = 5000", "unknown key `demo.port`; there are peers"),
        ("[dmeo]\npeers = 2", "unknown key `dmeo`"),
        ("[demo]\npeers = 1", "key `demo.peers`: invalid value '1'"),
        ("port = 80", "key `port`: invalid value '80' for '--port <N>': ports are 1025 to 65535, or 0"),
        ("port = [5000]", "key `port`: wanted: one value, not an array"),
        ("overlay = 'star'", "[possible values: ring, tree]"),
        ("timeout = 'soon'", "key `timeout`: "),
        ("json = 'yes'", "key `json`: wanted: true or false"),
        ("join = [1]", "key `join`: wanted: a list of texts, not an integer"),
        ("join = 'here'", "`here` has no port"),
        ("port = 5000\nport = 5001", "line 2: "),
        ("port = ", "line 1: "),
    ];
    for (text, part) in wrong {
        let error = File::parse(text).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
        assert!(!error.contains('\n'), "{text}: {error}");
    }
}

#[test]
fn flags_of_a_peer_before_a_command_are_refused_and_not_forgotten() {
    let matches = layered(&File::default(), words("-p 5000 demo")).unwrap();
    let error = refuse_misplaced(&matches).unwrap_err().to_string();
    assert!(error.contains("--port stands before the command `demo`: it does not go with `demo`"), "{error}");
    let matches = layered(&File::default(), words("--join a:1 status")).unwrap();
    let error = refuse_misplaced(&matches).unwrap_err().to_string();
    assert!(error.contains("write it after `status`"), "{error}");
    let matches = layered(&File::default(), words("first.conf demo")).unwrap();
    assert!(refuse_misplaced(&matches).is_err());
    let matches = layered(&File::default(), words("--json status --join a:1")).unwrap();
    assert!(refuse_misplaced(&matches).is_ok());
}

#[test]
fn a_script_named_like_a_command_is_reached_with_its_folder() {
    assert!(matches!(program("", &["demo"]).action, Some(Action::Demo(_))));
    assert_eq!(program("", &["./demo"]).run.runtime, Some("./demo".into()));
}

#[test]
fn each_setting_in_force_tells_where_it_comes_from() {
    let file = File::parse("port = 5000\nlog = 'warn'").unwrap();
    let matches = layered(&file, words("--timeout 3")).unwrap();
    let effective = effective(&matches, &file);
    let find = |key: &str| {
        let flag = effective.iter().find(|flag| flag.key == key).expect(key);
        (flag.values.join(","), flag.source)
    };
    assert_eq!(find("port"), ("5000".to_owned(), Source::File));
    assert_eq!(find("timeout"), ("3".to_owned(), Source::Flag));
    assert_eq!(find("overlay"), ("ring".to_owned(), Source::Default));
    assert_eq!(find("log"), ("warn".to_owned(), Source::File));
}

#[test]
fn debug_yields_only_to_a_log_level_from_a_source_at_least_as_strong() {
    let level = |file: &str, args: &str| {
        let file = File::parse(file).unwrap();
        let matches = layered(&file, words(args)).unwrap();
        let effective = effective(&matches, &file);
        log(&Program::from_arg_matches(&matches).unwrap(), &effective)
    };
    assert_eq!(level("", ""), None);
    assert_eq!(level("", "-d"), Some("debug".to_owned()));
    assert_eq!(level("log = 'warn'", "-d"), Some("debug".to_owned()));
    assert_eq!(level("debug = true", "--log warn"), Some("warn".to_owned()));
    assert_eq!(level("", "-d --log trace"), Some("trace".to_owned()));
}

#[test]
fn wrong_command_lines_are_refused() {
    for args in [
        "--no-such-flag",
        "-p 80",
        "-p 65536",
        "--timeout 0",
        "--timeout -1",
        "--timeout soon",
        "--join localhost",
        "--mapping-attempts 0",
        "--overlay star",
        "first.conf second.conf",
        "demo --peers 1",
        "send",
        "lookup",
        "keygen",
        "keygen --out here",
        "keygen me.key --out here",
        "keygen me.key --swarm",
        "keygen --pair localhost:49610",
        "keygen --pair somewhere localhost:49610",
        "keygen --pair localhost:49610 localhost:49611 --swarm",
        "completions tcsh-or-so",
    ] {
        assert!(layered(&File::default(), words(args)).is_err(), "{args}");
    }
}

#[test]
fn times_may_carry_a_unit() {
    let timeout =
        |text: &str| layered(&File::default(), vec!["--timeout", text]).map(|matches| matches.get_one::<Duration>("timeout").copied());
    for (text, milliseconds) in [("2.5", 2500), ("2.5s", 2500), ("500ms", 500), ("10m", 600_000), ("2h", 7_200_000)] {
        assert_eq!(timeout(text).unwrap(), Some(Duration::from_millis(milliseconds)), "{text}");
    }
    for text in ["10d", "s", "25h", "-1s", "1e999s", "1 0s"] {
        assert!(timeout(text).is_err(), "{text}");
    }
}

#[test]
fn a_plan_is_read_as_it_is_written_and_knows_nothing_of_results() {
    let settings = read(
        "cicada sim --peers 9 --adversaries 0.1:drop,5%:delay=20 --trace a\"b --csv c --json".split(' ').map(OsString::from).collect(),
    );
    let text = settings.unwrap().plan();
    assert!(text.starts_with("[sim]\n") && !text.contains("csv") && !text.contains("trace =") && !text.contains("json"), "{text}");
    let sim = planned(&text).unwrap();
    assert_eq!((sim.peers, sim.adversaries.len(), sim.trace), (9, 2, None));
    assert_eq!((sim.adversaries[1].share.per_million, sim.adversaries[1].kind.to_string()), (50_000, "delay=20".to_owned()));
}

fn program(file: &str, words: &[&str]) -> Program {
    let file = File::parse(file).expect("the file is right");
    let matches = layered(&file, words.to_vec()).expect("the command line is right");
    Program::from_arg_matches(&matches).expect("clap has checked it")
}

fn layered(file: &File, words: Vec<&str>) -> Result<ArgMatches, clap::Error> {
    let words = ["cicada"].into_iter().chain(words);
    file.beneath(Program::command()).try_get_matches_from(words)
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}
