//! The simulator as its users run it: experiments, their results in files, traces that are replayed, plays.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Cicada, Finished, Folder, PATIENCE};

/// Small enough for a test.
const SMALL: &str = "sim --peers 16 --count 40 --duration 2s";

fn finish(arguments: &str, folder: &Folder) -> Finished {
    Cicada::new(arguments).folder(folder).finish()
}

/// What a run prints with --json.
fn object(arguments: &str) -> Value {
    let ended = Cicada::new(&format!("{arguments} --json")).finish().succeeded();
    assert_eq!(ended.stdout.len(), 1, "{ended:#?}");
    serde_json::from_str(&ended.stdout[0]).expect("one JSON object")
}

/// A row of the summary.
fn row<'a>(ended: &'a Finished, name: &str) -> &'a str {
    let line = ended.stdout.iter().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no row {name}: {ended:#?}")).trim()
}

#[test]
fn a_summary_says_what_was_right_and_the_same_seed_says_the_same() {
    let run = |seed| {
        let mut ended = Cicada::new(&format!("{SMALL} --seed {seed}")).finish().succeeded();
        assert!(ended.stdout.pop().is_some_and(|line| line.starts_with("real time")), "{ended:#?}");
        ended
    };
    let first = run(7);
    assert_eq!(first.stdout[0], "16 peers on a ring, 40 lookups, seed 7");
    assert!(row(&first, "joined").starts_with("16 of 16 in "));
    assert!(row(&first, "tables right").starts_with("after "));
    assert_eq!(row(&first, "right lookups"), "40 of 40, 100.00 %");
    for name in ["peers asked", "latency", "sent", "events"] {
        assert!(row(&first, name).contains(|letter: char| letter.is_ascii_digit()), "{name}");
    }
    assert_eq!(first.stdout, run(7).stdout);
    assert_ne!(first.stdout, run(8).stdout);
}

#[test]
fn every_workload_runs_on_both_overlays_and_prints_one_json_object() {
    for overlay in ["ring", "tree"] {
        for (workload, count) in [("lookups", 40), ("messages", 40), ("broadcasts", 3)] {
            let said = object(&format!("sim --peers 16 --duration 2s --overlay {overlay} --workload {workload} --count {count}"));
            assert_eq!((&said["ended"], &said["joined"], &said["settled"]["right"]), (&true.into(), &16.into(), &true.into()), "{said}");
            assert_eq!((&said["right"], &said["of"]), (&count.into(), &count.into()), "{said}");
            assert_eq!((said["overlay"].as_str(), said["workload"].as_str()), (Some(overlay), Some(workload)));
            assert!(said["latency_s"]["p95"].as_f64() > Some(0.0) && said["bytes_per_peer_s"].as_f64() > Some(0.0), "{said}");
            assert_eq!(said["broadcasts"]["reached"].as_u64(), (workload == "broadcasts").then_some(3 * 15), "{said}");
        }
    }
}

#[test]
fn all_flags_go_together_and_a_file_says_the_same_as_flags() {
    let flags = "--overlay tree --latency 10ms..30ms --loss 1% --churn 30s --crash 0.25 --adversaries 0.1:drop --adversaries 10%:misroute \
                 --workload messages --duplicates 2 --payload 100 --seed 3 --jitter 5ms --bursts 30%:5s:300ms --uplink 1M:64k --downlink 2M \
                 --links 12";
    let mut by_flags = object(&format!("{SMALL} {flags}"));
    assert_eq!((&by_flags["crashed"], &by_flags["adversaries"]), (&4.into(), &4.into()), "{by_flags}");
    assert!(by_flags["right"].as_u64() > Some(0), "{by_flags}");
    let folder = Folder::new();
    let file = "[sim]\npeers = 16\ncount = 40\nduration = 2\noverlay = 'tree'\nlatency = '10ms..30ms'\nloss = 0.01\nchurn = '30s'\n\
                crash = 0.25\nadversaries = ['0.1:drop', '0.1:misroute']\nworkload = 'messages'\nduplicates = 2\npayload = 100\nseed = 3\n\
                jitter = '5ms'\nbursts = '0.3:5s:300ms'\nuplink = '1000000:64000'\ndownlink = '2000k'\nlinks = 12\n";
    folder.write("plan.toml", file);
    let ended = finish("sim --config plan.toml --json", &folder).succeeded();
    let mut by_file: Value = serde_json::from_str(&ended.stdout[0]).expect("one JSON object");
    for said in [&mut by_flags, &mut by_file] {
        said["real"] = Value::Null;
    }
    assert_eq!(by_flags, by_file);
}

#[test]
fn jitter_bursts_and_narrow_lines_make_messages_late() {
    let stretch = |weather: &str| {
        let said = object(&format!("{SMALL} --workload messages --latency 20ms --payload 2000 {weather}"));
        assert_eq!(said["bounds_broken"], Value::Null, "{said}");
        said["stretch"]["mean"].as_f64().expect("messages have a stretch")
    };
    let clear = stretch("");
    assert!((0.99..4.0).contains(&clear), "control: some hops of 20 ms each: {clear}");
    for weather in ["--jitter 30ms", "--bursts 50%:1s:1s", "--uplink 50k", "--downlink 50k:16k", "--links 4"] {
        let late = stretch(weather);
        assert!(late > clear * 1.05, "{weather}: {late} against {clear}");
    }
}

#[test]
fn tables_and_curves_are_written_where_asked() {
    let folder = Folder::new();
    finish("sim --peers 16 --workload broadcasts --count 3 --duration 2s --csv out/tables --plots out/curves", &folder).succeeded();
    let read = |name: &str| fs::read_to_string(folder.path().join("out").join(name)).expect(name);
    let operations = read("tables/operations.csv");
    let lines: Vec<&str> = operations.lines().collect();
    assert_eq!(lines.len(), 1 + 3, "{operations}");
    let columns = lines[0].split(',').count();
    assert!(lines.iter().all(|line| line.split(',').count() == columns), "{operations}");
    assert!(lines[1].starts_with("0,0.000,right,"), "{operations}");
    assert!(read("tables/coverage.csv").lines().last().is_some_and(|line| line.ends_with(",1.000000")));
    assert!(read("tables/cost.csv").lines().any(|line| line.starts_with("task,")));
    assert!(read("tables/summary.csv").lines().any(|line| line == "complete,\"3 of 3, 100.00 %\""));
    for name in ["latency", "hops", "coverage"] {
        let curve = read(&format!("curves/{name}.svg"));
        assert!(curve.starts_with("<svg ") && curve.trim_end().ends_with("</svg>") && curve.contains("<text"), "{name}");
    }
    finish(&format!("{SMALL} --csv lookups --plots lookups"), &folder).succeeded();
    assert!(folder.path().join("lookups/latency.svg").exists());
    assert!(!folder.path().join("lookups/coverage.svg").exists(), "lookups cover nothing");
}

#[test]
fn a_trace_is_replayed_line_by_line_and_a_changed_line_is_named() {
    let folder = Folder::new();
    for level in ["events", "packets"] {
        finish(&format!("sim --peers 6 --count 5 --duration 1s --crash 0.2 --seed 9 --trace run --trace-level {level}"), &folder)
            .succeeded();
        // What is set elsewhere does not count: the trace says all that it follows from.
        let replayed = Cicada::new("sim replay run").variable("CICADA_SEED", "1").variable("CICADA_LOSS", "0.5").folder(&folder);
        let said = replayed.finish().succeeded().stdout;
        assert!(said[0].starts_with("the same ") && said[0].ends_with(" lines"), "{said:?}");
    }
    let trace = fs::read_to_string(folder.path().join("run")).expect("the trace was written");
    let lines: Vec<&str> = trace.lines().collect();
    let changed = lines.len() / 2;
    let with = |line: &str| [&lines[..changed], &[line], &lines[changed + 1..]].concat().join("\n") + "\n";
    folder.write("changed", with("t=1.000000 somebody: dances"));
    finish("sim replay changed", &folder)
        .failed(1, &format!("changed:{}: recorded is `t=1.000000 somebody: dances`", changed + 1))
        .in_one_line();
    let said = finish("sim replay changed --json", &folder).stdout;
    assert!(said[0].starts_with(&format!("{{\"same\":false,\"line\":{},", changed + 1)), "{said:?}");
    folder.write("shorter", lines[..changed].join("\n") + "\n");
    finish("sim replay shorter", &folder).failed(1, &format!("shorter:{}: recorded is ``", changed + 1)).in_one_line();
    let longer = trace.replace("---- the end", "t=99.000000 somebody: dances\n---- the end");
    folder.write("longer", longer);
    finish("sim replay longer", &folder).failed(1, "recorded is `t=99.000000 somebody: dances`").in_one_line();
    folder.write("other", trace.replace("seed = \"9\"", "seed = \"10\""));
    finish("sim replay other", &folder).failed(1, "other:").in_one_line();
}

#[test]
fn what_is_no_trace_is_refused_with_its_place() {
    let folder = Folder::new();
    finish("sim --peers 4 --count 2 --duration 1s --trace run", &folder).succeeded();
    let trace = fs::read_to_string(folder.path().join("run")).expect("the trace was written");
    let cases = [
        ("empty", String::new(), "empty:1: not a trace"),
        ("text", "Once upon a time\n".to_owned(), "text:1: not a trace"),
        ("newer", trace.replacen("version 1", "version 2", 1), "newer:1: a trace of version 2; this program reads version 1"),
        ("key", trace.replace("peers = ", "pears = "), "key: unknown key `sim.pears`"),
        ("value", trace.replace("peers = \"4\"", "peers = \"x\""), "value: key `sim.peers`: invalid value 'x'"),
        ("toml", trace.replace("peers = \"4\"", "peers = \"4"), "toml: line 3: "),
        ("headless", "cicada trace, version 1\n[sim]\n".to_owned(), "headless:"),
    ];
    for (name, text, part) in cases {
        folder.write(name, text);
        finish(&format!("sim replay {name}"), &folder).failed(2, part).in_one_line();
    }
    folder.write("bytes", [0xff, 0xfe, 0, 1, 2, 3]);
    finish("sim replay bytes", &folder).failed(2, "bytes:1: not a trace").in_one_line();
    finish("sim replay gone", &folder).failed(2, "gone: ").in_one_line();
}

#[test]
fn plays_go_as_written_or_the_line_is_named_at_which_they_do_not() {
    let folder = Folder::new();
    let play = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/plays/01_two_peers.txt")).expect("a play");
    folder.write("play.txt", &play);
    let said = finish("sim play play.txt", &folder).succeeded().stdout;
    assert_eq!(said.last().map(String::as_str), Some("It goes as written."));
    let at = 1 + play.lines().position(|line| line.starts_with("t=")).expect("something happens");
    let other: Vec<String> =
        play.lines().enumerate().map(|(number, line)| if number + 1 == at { "t=0 x".into() } else { line.into() }).collect();
    folder.write("other.txt", other.join("\n"));
    finish("sim play other.txt", &folder).failed(1, &format!("other.txt:{at}: written is `t=0 x`"));
    folder.write("wrong.txt", "world overlay=ring\npeer a\ndance a\n");
    finish("sim play wrong.txt", &folder).failed(2, "wrong.txt:3: no command: dance a").in_one_line();
    finish("sim play gone.txt", &folder).failed(2, "gone.txt: ").in_one_line();
}

#[test]
fn what_cannot_be_is_refused_in_one_line_with_its_place() {
    let folder = Folder::new();
    folder.write("torn.csv", "0,10\n10\n");
    folder.write("words.csv", "0,10\n10,far\n");
    folder.write("plan.toml", "[sim]\nloss = 2\n");
    for (arguments, part) in [
        ("sim --loss 1.5", "'--loss <SHARE>': wanted: a share"),
        ("sim --bursts 30%:5s", "'--bursts <SHARE:GOOD:BAD>': wanted: SHARE:GOOD:BAD"),
        ("sim --uplink 0", "'--uplink <RATE[:BUFFER]>': wanted: a number of bytes above 0"),
        ("sim --downlink 1M:x", "'--downlink <RATE[:BUFFER]>': wanted: a number of bytes above 0"),
        ("sim --crash 101%", "'--crash <SHARE>': wanted: a share"),
        ("sim --peers 1", "'--peers <N>'"),
        ("sim --churn 0", "'--churn <MEDIAN>': wanted: seconds"),
        ("sim --churn 10ms", "sessions with a median under 1s"),
        ("sim --crash 1", "two are to be left"),
        ("sim --adversaries drop", "wanted: SHARE:KIND"),
        ("sim --adversaries 0.1:sleep", "no adversary sleep; there are drop,"),
        ("sim --adversaries 0.6:drop,0.6:misroute", "two honest ones are to be left"),
        ("sim --workload dances", "'--workload <WORKLOAD>'"),
        ("sim --latency gone.csv", "--latency: gone.csv: "),
        ("sim --latency torn.csv", "--latency: torn.csv:2:1: 1 round trips in a row of a matrix of 2 rows"),
        ("sim --latency words.csv", "--latency: words.csv:2:4: not a number: far"),
        ("sim --latency 30ms..10ms", "no span lies between 30ms and 10ms"),
        ("sim --config plan.toml", "plan.toml: key `sim.loss`: "),
        ("sim --trace no/such/folder", "no/such/folder: "),
        ("sim --csv torn.csv", "torn.csv: "),
        ("sim --peers 5 replay run", "--peers stands before the command `replay`"),
    ] {
        finish(arguments, &folder).failed(2, part).in_one_line();
    }
}

#[test]
fn interrupted_it_tells_what_is_known_so_far() {
    let folder = Folder::new();
    let running = Cicada::new("sim --peers 40 --duration 20h --count 200000 --trace run").folder(&folder).start();
    let deadline = Instant::now() + PATIENCE;
    // What is written goes out in blocks: with the first the world is under way.
    while fs::metadata(folder.path().join("run")).map_or(0, |file| file.len()) == 0 {
        assert!(Instant::now() < deadline, "{running:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    running.signal("INT");
    let ended = running.finish().failed(130, "interrupted").in_one_line();
    assert!(row(&ended, "joined").contains(" of 40 in "));
    let replayed = finish("sim replay run", &folder).succeeded();
    assert!(replayed.stdout[0].starts_with("the same "), "{replayed:#?}");
}
