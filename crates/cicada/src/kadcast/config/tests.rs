use super::*;

fn refused(change: impl FnOnce(&mut Config)) -> String {
    let mut config = Config::default();
    change(&mut config);
    config.check().expect_err("this cannot be").to_string()
}

#[test]
fn the_defaults_are_those_of_the_crate_and_can_be() {
    let config = Config::default();
    config.check().unwrap();
    let text = toml::to_string(&config).unwrap();
    // The specification, section 10; durations as texts for people.
    for line in [
        "public_address = \"127.0.0.1:9000\"",
        "bootstrapping_nodes = []",
        "auto_propagate = true",
        "channel_size = 1000",
        "recursive_discovery = true",
        "version = \"0.0.1\"",
        "version_match = \"*\"",
        "node_ttl = \"30s\"",
        "node_evict_after = \"5s\"",
        "bucket_ttl = \"1h\"",
        "min_peers = 3",
        "udp_recv_buffer_size = 5000000",
        "udp_send_retry_interval = \"5ms\"",
        "udp_send_retry_count = 3",
        "blocklist_refresh_interval = \"10s\"",
        "min_repair_packets_per_block = 5",
        "mtu = 1300",
        "cache_ttl = \"1m\"",
        "cache_prune_every = \"30s\"",
        "max_udp_len = 10485760",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(
        !text.contains("kadcast_id") && !text.contains("listen_address") && !text.contains("udp_send_backoff_timeout"),
        "None is left out"
    );
}

#[test]
fn a_configuration_comes_back_from_toml_as_it_was_and_every_field_may_be_left_out() {
    let config = Config {
        kadcast_id: Some(7),
        listen_address: Some("[::]:9000".to_owned()),
        bootstrapping_nodes: vec!["seed.example:9000".to_owned()],
        ..Config::default()
    };
    assert_eq!(toml::from_str::<Config>(&toml::to_string(&config).unwrap()).unwrap(), config);
    assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
    let given = "bootstrapping_nodes = ['10.0.0.1:9000']\n[bucket]\nnode_ttl = '1m 30s'\n[cicada]\nk = 40\n";
    let read: Config = toml::from_str(given).unwrap();
    assert_eq!((read.bucket.node_ttl, read.bucket.min_peers, read.cicada.k), (Duration::from_secs(90), 3, 40));
}

#[test]
fn what_cannot_be_is_refused_naming_the_field() {
    let text = |text: &str| Some(text.to_owned());
    let cases: [(&str, String); 22] = [
        ("public_address: \"localhost:9000\"", refused(|config| config.public_address = "localhost:9000".into())),
        ("public_address: 0.0.0.0:9000: nobody", refused(|config| config.public_address = "0.0.0.0:9000".into())),
        ("public_address: 0.1.2.3:9000: Kadcast has no way", refused(|config| config.public_address = "0.1.2.3:9000".into())),
        ("public_address: 224.0.0.1:9000", refused(|config| config.public_address = "224.0.0.1:9000".into())),
        (
            "public_address: port 0",
            refused(|config| {
                config.public_address = "127.0.0.1:0".into();
                config.listen_address = text("127.0.0.1:9000");
            }),
        ),
        ("listen_address: \"9000\"", refused(|config| config.listen_address = text("9000"))),
        ("listen_address: [::1]:9000 cannot serve", refused(|config| config.listen_address = text("[::1]:9000"))),
        (
            "bootstrapping_nodes: entry 1, \"seed\", is not host:port",
            refused(|config| config.bootstrapping_nodes = vec!["a:1".into(), "seed".into()]),
        ),
        ("bootstrapping_nodes: entry 0, \"::1:9000\"", refused(|config| config.bootstrapping_nodes = vec!["::1:9000".into()])),
        ("bootstrapping_nodes: entry 0, \"a:0\", has port 0", refused(|config| config.bootstrapping_nodes = vec!["a:0".into()])),
        ("channel_size: 0", refused(|config| config.channel_size = 0)),
        ("version: ", refused(|config| config.version = "1.2".into())),
        ("version_match: ", refused(|config| config.version_match = "about two".into())),
        ("network.udp_send_retry_count: 0", refused(|config| config.network.udp_send_retry_count = 0)),
        ("network.udp_recv_buffer_size: 1000", refused(|config| config.network.udp_recv_buffer_size = Some(1000))),
        ("fec.encoder.mtu: 20000", refused(|config| config.fec.encoder.mtu = 20_000)),
        ("fec.encoder.fec_redundancy: NaN", refused(|config| config.fec.encoder.fec_redundancy = f32::NAN)),
        ("fec.decoder.max_udp_len: 1 ", refused(|config| config.fec.decoder.max_udp_len = 1)),
        ("cicada.k: 0", refused(|config| config.cicada.k = 0)),
        ("cicada.beta: 21", refused(|config| config.cicada.beta = 21)),
        ("cicada.loss: 0.6", refused(|config| config.cicada.loss = 0.6)),
        ("bucket.node_ttl: ", refused(|config| config.bucket.node_ttl = Duration::ZERO)),
    ];
    for (wanted, said) in cases {
        assert!(said.starts_with(wanted), "wanted {wanted:?}, said {said:?}");
    }
}

#[test]
fn both_families_are_served_by_the_unspecified_v6_address_only() {
    let config = |listen: &str, public: &str| Config {
        listen_address: Some(listen.to_owned()),
        public_address: public.to_owned(),
        ..Config::default()
    };
    for (listen, public) in [("[::]:9000", "192.0.2.1:9000"), ("[::]:9000", "[2001:db8::1]:9000"), ("0.0.0.0:9000", "192.0.2.1:9000")] {
        config(listen, public).check().unwrap();
    }
    assert!(config("0.0.0.0:9000", "[2001:db8::1]:9000").check().is_err());
}

#[test]
fn the_machine_gets_what_was_configured() {
    let config = Config {
        kadcast_id: Some(9),
        version: "1.258.772-rc.1".to_owned(),
        cicada: CicadaConfig { k: 100, alpha: 5, beta: 7, loss: 0.0, ..CicadaConfig::default() },
        ..Config::default()
    };
    let settings = config.checked().unwrap().settings;
    assert_eq!((settings.network, settings.bucket_size, settings.lookup_width, settings.delegates), (9, 100, 5, 7));
    assert_eq!(settings.version, Version { major: 1, minor: 258, patch: 772 });
    assert_eq!(settings.limits.object_bytes, 10_485_759, "the longest that the crate takes");
    assert_eq!(settings.redundancy.repair_symbols(78), 11, "without a loss to make up for, as the crate: f = 0.15");
    let with_loss = Config::default().checked().unwrap().settings;
    assert!(with_loss.redundancy.repair_symbols(78) > 20);
}
