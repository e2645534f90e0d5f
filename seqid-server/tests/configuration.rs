//! Every setting, from every source.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod running;

use std::path::Path;
use std::process::Command;

use running::{Ended, program, run};

/// A setting: its key, its variable, its default, values at the edge of what is allowed, values beyond it, and words
/// of the message then.
struct Setting {
    key: &'static str,
    variable: &'static str,
    default: &'static str,
    allowed: &'static [&'static str],
    refused: &'static [&'static str],
    message: &'static str,
}

const SETTINGS: [Setting; 21] = [
    Setting {
        key: "port",
        variable: "PORT",
        default: "8080",
        allowed: &["0", "1", "65535"],
        refused: &["65536", "-1", "http", "80.5", " 80", "0x50"],
        message: "a whole number from 0 to 65535",
    },
    Setting {
        key: "grpc_port",
        variable: "GRPC_PORT",
        default: "9090",
        allowed: &["0", "1", "65535", "off"],
        refused: &["65536", "-1", "OFF", "none"],
        message: "a whole number from 0 to 65535, or off",
    },
    Setting {
        key: "bind",
        variable: "SEQID_BIND",
        default: "127.0.0.1",
        allowed: &["127.0.0.1", "0.0.0.0", "::", "::1", "10.0.0.255"],
        refused: &["localhost", "127.0.0.1:80", "10.0.0.256", "*"],
        message: "an IP address",
    },
    Setting {
        key: "log_level",
        variable: "LOG_LEVEL",
        default: "info",
        allowed: &[
            "error",
            "warn",
            "info",
            "debug",
            "trace",
            "off",
            "INFO",
            "info,seqid_http=debug",
            "hyper=off",
        ],
        refused: &["loud", "inof", "info,loud", "seqid_http=loud"],
        message: "error, warn, info, debug, trace or off",
    },
    Setting {
        key: "log_format",
        variable: "SEQID_LOG_FORMAT",
        default: "json",
        allowed: &["text", "json"],
        refused: &["JSON", "xml"],
        message: "text or json",
    },
    Setting {
        key: "data",
        variable: "SEQID_DATA",
        default: "seqid-data",
        allowed: &["x", "/var/lib/seqid", "a folder"],
        refused: &[],
        message: "a path",
    },
    Setting {
        key: "db_host",
        variable: "DB_HOST",
        default: "",
        allowed: &["localhost", "db.example.com", "10.0.0.1", "/run/postgresql"],
        refused: &[],
        message: "a host name, an address or a folder with a socket",
    },
    Setting {
        key: "db_port",
        variable: "DB_PORT",
        default: "5432",
        allowed: &["1", "65535"],
        refused: &["0", "65536", "postgres"],
        message: "a whole number from 1 to 65535",
    },
    Setting {
        key: "db_name",
        variable: "DB_NAME",
        default: "seqid",
        allowed: &["erp"],
        refused: &[],
        message: "the name of a database",
    },
    Setting {
        key: "db_user",
        variable: "DB_USER",
        default: "seqid",
        allowed: &["erp"],
        refused: &[],
        message: "the name of a role",
    },
    Setting {
        key: "db_sslmode",
        variable: "DB_SSLMODE",
        default: "",
        allowed: &[
            "disable",
            "allow",
            "prefer",
            "require",
            "verify-ca",
            "verify-full",
        ],
        refused: &["on", "tls", "true"],
        message: "disable, allow, prefer, require, verify-ca or verify-full",
    },
    Setting {
        key: "db_readers",
        variable: "SEQID_DB_READERS",
        default: "4",
        allowed: &["1", "64"],
        refused: &["0", "65", "many"],
        message: "a whole number from 1 to 64",
    },
    Setting {
        key: "db_timeout_ms",
        variable: "SEQID_DB_TIMEOUT_MS",
        default: "10000",
        allowed: &["100", "600000"],
        refused: &["99", "600001", "10s"],
        message: "a whole number from 100 to 600000",
    },
    Setting {
        key: "redis_unfenced",
        variable: "REDIS_UNFENCED",
        default: "false",
        // The other needs a server.
        allowed: &["false"],
        refused: &["yes", "1", "True"],
        message: "true or false",
    },
    Setting {
        key: "time_zone",
        variable: "SEQID_TIME_ZONE",
        default: "UTC",
        allowed: &["UTC", "Asia/Jakarta", "America/Argentina/Buenos_Aires"],
        refused: &["Mars/Olympus", "+07:00", "WIB"],
        message: "a time zone such as Asia/Jakarta",
    },
    Setting {
        key: "implicit",
        variable: "SEQID_IMPLICIT",
        default: "always",
        allowed: &["always", "until_first_definition", "never"],
        refused: &["Always", "yes", "true"],
        message: "always, until_first_definition or never",
    },
    Setting {
        key: "allow_repeats",
        variable: "SEQID_ALLOW_REPEATS",
        default: "true",
        allowed: &["true", "false"],
        refused: &["yes", "1", "True"],
        message: "true or false",
    },
    Setting {
        key: "key_retention_days",
        variable: "SEQID_KEY_RETENTION_DAYS",
        default: "30",
        allowed: &["1", "36500"],
        refused: &["0", "36501", "-1", "30d"],
        message: "a whole number from 1 to 36500",
    },
    Setting {
        key: "deadline_ms",
        variable: "SEQID_DEADLINE_MS",
        default: "10000",
        allowed: &["1", "600000"],
        refused: &["0", "600001", "10s"],
        message: "a whole number from 1 to 600000",
    },
    Setting {
        key: "events_file",
        variable: "SEQID_EVENTS_FILE",
        default: "",
        allowed: &["events.jsonl", "/var/log/seqid/events.jsonl"],
        refused: &[],
        message: "a path",
    },
    Setting {
        key: "shutdown_seconds",
        variable: "SEQID_SHUTDOWN_SECONDS",
        default: "30",
        allowed: &["0", "3600"],
        refused: &["-1", "3601", "30s"],
        message: "a whole number from 0 to 3600",
    },
];

impl Setting {
    fn flag(&self) -> String {
        format!("--{}", self.key.replace('_', "-"))
    }
}

fn check_config(folder: &Path) -> Command {
    let mut command = program(folder);
    command.env_remove("GRPC_PORT").arg("check-config");
    command
}

#[track_caller]
fn in_effect(ended: &Ended) -> toml::Table {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended
        .stdout
        .parse()
        .unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
}

/// The value of a key as text.
#[track_caller]
fn value(ended: &Ended, key: &str) -> String {
    match in_effect(ended).get(key) {
        None => String::new(),
        Some(toml::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn write(folder: &Path, text: &str) {
    std::fs::write(folder.join("seqid.toml"), text).unwrap();
}

#[test]
fn everything_has_a_default() {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(&mut check_config(folder.path()));
    for setting in SETTINGS {
        assert_eq!(value(&ended, setting.key), setting.default, "{}", setting.key);
    }
    assert!(
        !folder.path().join("seqid-data").exists(),
        "to look changes nothing"
    );
}

#[test]
fn what_is_allowed_is_taken_from_every_source() {
    let folder = tempfile::tempdir().unwrap();
    for setting in SETTINGS {
        for text in setting.allowed {
            let by_variable = run(check_config(folder.path()).env(setting.variable, text));
            assert_eq!(value(&by_variable, setting.key), *text);
            let by_flag = run(check_config(folder.path()).args([&setting.flag(), *text]));
            assert_eq!(value(&by_flag, setting.key), *text);
            write(
                folder.path(),
                &format!("{} = {}", setting.key, toml::Value::from(*text)),
            );
            let by_file = run(check_config(folder.path()).args(["--config", "seqid.toml"]));
            assert_eq!(value(&by_file, setting.key), *text);
        }
    }
}

#[test]
fn what_is_not_allowed_is_refused_under_the_name_by_which_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    for setting in SETTINGS {
        for text in setting.refused {
            let quoted = format!("{text:?}");
            let by_variable = run(check_config(folder.path()).env(setting.variable, text));
            by_variable.refused(&[&format!("{} is {quoted}", setting.variable), setting.message]);
            let by_flag = run(check_config(folder.path()).arg(format!("{}={text}", setting.flag())));
            by_flag.refused(&[&format!("{} is {quoted}", setting.flag()), setting.message]);
            write(
                folder.path(),
                &format!("{} = {}", setting.key, toml::Value::from(*text)),
            );
            let by_file = run(check_config(folder.path()).args(["--config", "seqid.toml"]));
            by_file.refused(&[
                &format!("{} in seqid.toml is {quoted}", setting.key),
                setting.message,
            ]);
        }
    }
}

#[test]
fn a_flag_comes_before_a_variable_before_the_file_before_the_default() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "port = 3\nbind = \"::1\"");
    let port = |command: &mut Command| value(&run(command), "port");
    let command = || {
        let mut command = check_config(folder.path());
        command.env("SEQID_CONFIG", "seqid.toml");
        command
    };
    assert_eq!(port(&mut command()), "3");
    assert_eq!(port(command().env("PORT", "2")), "2");
    assert_eq!(port(command().env("PORT", "2").args(["--port", "1"])), "1");
    assert_eq!(port(command().env("PORT", "").env("SEQID_CONFIG", "")), "8080");
    assert_eq!(
        port(command().env("PORT", "")),
        "3",
        "an empty variable counts as unset"
    );
    assert_eq!(value(&run(command().env("PORT", "2")), "bind"), "::1");
}

#[test]
fn a_flag_may_stand_on_either_side_of_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let before = run(program(folder.path())
        .env("PORT", "2")
        .args(["--port", "1", "check-config"]));
    assert_eq!(value(&before, "port"), "1");
    let after = run(program(folder.path())
        .env("PORT", "2")
        .args(["check-config", "--port", "1"]));
    assert_eq!(value(&after, "port"), "1");
}

#[test]
fn an_empty_flag_is_no_value() {
    let folder = tempfile::tempdir().unwrap();
    run(check_config(folder.path()).args(["--data", ""])).refused(&["--data is \"\"", "a path"]);
    run(check_config(folder.path()).args(["--events-file", ""])).refused(&["--events-file is \"\""]);
}

#[test]
fn only_a_loopback_address_is_lenient_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    for (bind, implicit, repeats) in [
        ("127.0.0.1", "always", "true"),
        ("::1", "always", "true"),
        ("0.0.0.0", "never", "false"),
    ] {
        let ended = run(check_config(folder.path()).env("SEQID_BIND", bind));
        assert_eq!(
            (value(&ended, "implicit"), value(&ended, "allow_repeats")),
            (implicit.into(), repeats.into())
        );
    }
    let told = run(check_config(folder.path())
        .env("SEQID_BIND", "::")
        .args(["--implicit=always"]));
    assert_eq!(value(&told, "implicit"), "always");
}

#[test]
fn what_is_printed_can_be_used_as_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let odd = "a \"folder\" \\ # of=odd\tname";
    let printed = run(check_config(folder.path())
        .env("SEQID_DATA", odd)
        .env("PORT", "7"));
    write(folder.path(), &printed.stdout);
    let read = run(check_config(folder.path()).args(["--config", "seqid.toml"]));
    assert_eq!(in_effect(&read), in_effect(&printed));
    assert_eq!(value(&read, "data"), odd);
    assert!(printed.stdout.contains("port = 7  # PORT"), "{}", printed.stdout);
    assert!(
        printed.stdout.contains("time_zone = \"UTC\"  # default"),
        "{}",
        printed.stdout
    );
    assert!(
        read.stdout.contains("port = 7  # port in seqid.toml"),
        "{}",
        read.stdout
    );
}

#[test]
fn an_unknown_key_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "prot = 8080");
    let ended = run(check_config(folder.path()).args(["--config", "seqid.toml"]));
    ended.refused(&["seqid.toml: the key \"prot\" does not exist", "port"]);
    write(folder.path(), "[http]\nport = 8080");
    run(check_config(folder.path()).args(["--config", "seqid.toml"])).refused(&["\"http\""]);
    write(folder.path(), "port = [8080]");
    run(check_config(folder.path()).args(["--config", "seqid.toml"])).refused(&["port in seqid.toml is"]);
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(check_config(folder.path()).args(["--config", "nowhere.toml"]))
        .refused(&["--config", "nowhere.toml"]);
    run(check_config(folder.path()).env("SEQID_CONFIG", "x.toml")).refused(&["SEQID_CONFIG", "x.toml"]);
    write(folder.path(), "port = = 8080");
    run(check_config(folder.path()).args(["--config", "seqid.toml"])).refused(&["seqid.toml", "line 1"]);
}

#[test]
fn what_names_a_database_is_checked_and_its_password_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let url = "postgres://erp:secret@db.example.com/numbers";
    let shown = run(check_config(folder.path())
        .env("DATABASE_URL", url)
        .env("DB_PASSWORD", "secret"));
    assert!(
        shown.stdout.contains("# database_url is set  # DATABASE_URL"),
        "{}",
        shown.stdout
    );
    assert!(
        shown.stdout.contains("# db_password is set  # DB_PASSWORD"),
        "{}",
        shown.stdout
    );
    let both = run(check_config(folder.path())
        .env("DATABASE_URL", url)
        .env("DB_HOST", "localhost"));
    both.refused(&["DATABASE_URL", "DB_HOST"]);
    let wrong = run(check_config(folder.path()).env("DATABASE_URL", "mysql://erp:secret@localhost"));
    wrong.refused(&["DATABASE_URL", "must be a URL such as postgres://"]);
    let tls = run(check_config(folder.path()).env("DATABASE_URL", format!("{url}?sslmode=verify-full")));
    if cfg!(feature = "tls") {
        assert_eq!(tls.code, Some(0), "{tls:?}");
    } else {
        tls.refused(&["feature `tls`"]);
    }
    for ended in [shown, both, wrong, tls] {
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn tls_to_redis_needs_a_build_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let check = |address: &str| run(check_config(folder.path()).env("REDIS_ADDR", address));
    let files = "?tls_ca=/etc/ca.pem&tls_cert=/etc/seqid.pem&tls_key=/etc/seqid.key";
    for scheme in ["rediss", "rediss-cluster"] {
        let ended = check(&format!("{scheme}://:secret@cache{files}"));
        if cfg!(feature = "redis-tls") {
            assert_eq!(ended.code, Some(0), "{ended:?}");
        } else {
            ended.refused(&["REDIS_ADDR", "feature `redis-tls`"]);
        }
        assert!(!format!("{ended:?}").contains("secret"), "{ended:?}");
    }
    check(&format!("redis://cache{files}")).refused(&["REDIS_ADDR", "tls_ca is for TLS", "rediss"]);
    if cfg!(feature = "redis-tls") {
        check("rediss://cache?tls_cert=a").refused(&["REDIS_ADDR", "tls_cert and tls_key"]);
    }
}

#[test]
fn redis_alone_is_given_nothing_that_it_cannot_serve() {
    let folder = tempfile::tempdir().unwrap();
    let check = |variables: &[(&str, &str)]| {
        let alone = [("REDIS_UNFENCED", "true")];
        run(check_config(folder.path())
            .envs(alone)
            .envs(variables.iter().copied()))
    };
    check(&[]).refused(&["REDIS_UNFENCED", "REDIS_ADDR"]);
    let server = ("REDIS_ADDR", "cache");
    assert_eq!(check(&[server]).code, Some(0));
    check(&[server, ("DATABASE_URL", "postgres://db/seqid")]).refused(&["REDIS_UNFENCED", "DATABASE_URL"]);
    for (variable, value) in [
        ("RABBITMQ_URL", "amqp://broker"),
        ("SEQID_EVENTS_FILE", "events.jsonl"),
        ("SEQID_CHECKPOINT_FILE", "checkpoints"),
    ] {
        check(&[server, (variable, value)]).refused(&["REDIS_UNFENCED", "no audit"]);
    }
}

#[test]
fn what_names_a_redis_server_is_checked_and_its_password_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let check = |variables: &[(&str, &str)]| run(check_config(folder.path()).envs(variables.iter().copied()));
    let url = "redis://erp:secret@cache.example.com:6379/2";
    let shown = check(&[
        ("REDIS_ADDR", url),
        ("REDIS_PASSWORD", "secret"),
        ("REDIS_DB", "3"),
    ]);
    for line in [
        "# redis_addr is set  # REDIS_ADDR",
        "# redis_password is set  # REDIS_PASSWORD",
        "redis_db = 3  # REDIS_DB",
    ] {
        assert!(shown.stdout.contains(line), "{}", shown.stdout);
    }
    let wrong = check(&[("REDIS_ADDR", "redis://erp:secret@one,two")]);
    wrong.refused(&["REDIS_ADDR", "redis-sentinel://"]);
    let database = check(&[("REDIS_ADDR", "cache"), ("REDIS_DB", "first")]);
    database.refused(&["REDIS_DB", "0 to 65535"]);
    let of_cluster = check(&[
        ("REDIS_ADDR", "redis-cluster://:secret@one,two"),
        ("REDIS_DB", "1"),
    ]);
    of_cluster.refused(&["REDIS_DB", "cluster"]);
    let alone = check(&[("REDIS_PASSWORD", "secret")]);
    alone.refused(&["REDIS_PASSWORD", "REDIS_ADDR"]);
    for ended in [shown, wrong, database, of_cluster, alone] {
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn a_database_that_is_not_there_keeps_the_service_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let mut start = program(folder.path());
    // Nobody listens on port 1.
    start
        .env("PORT", "0")
        .env("DB_HOST", "127.0.0.1")
        .env("DB_PORT", "1");
    run(start.env("DB_PASSWORD", "secret")).refused(&["no PostgreSQL server answers", "127.0.0.1:1"]);
}

#[test]
fn a_broker_is_named_by_a_url_that_nobody_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let shown = run(check_config(folder.path())
        .env("RABBITMQ_URL", "amqp://erp:secret@broker/books")
        .env("QUEUE_NAME", "erp.numbers"));
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(!shown.stdout.contains("secret"), "{}", shown.stdout);
    assert!(
        shown.stdout.contains("queue_name = \"erp.numbers\""),
        "{}",
        shown.stdout
    );
    let longest = "q".repeat(200);
    run(check_config(folder.path()).env("QUEUE_NAME", format!("{longest}q")))
        .refused(&["QUEUE_NAME", "1 to 200"]);
    in_effect(&run(check_config(folder.path()).env("QUEUE_NAME", &longest)));
    let wrong = run(check_config(folder.path()).env("RABBITMQ_URL", "http://erp:secret@broker"));
    wrong.refused(&["RABBITMQ_URL", "amqp://"]);
    assert!(!wrong.stderr.contains("secret"), "{}", wrong.stderr);
    let tls = run(check_config(folder.path()).env("RABBITMQ_URL", "amqps://broker"));
    if cfg!(feature = "amqp-tls") {
        in_effect(&tls);
    } else {
        tls.refused(&["RABBITMQ_URL", "amqp-tls"]);
    }
    run(check_config(folder.path()).env("RABBITMQ_URL", "amqp://broker?cacertfile=ca.pem"))
        .refused(&["RABBITMQ_URL", "cacertfile is for TLS"]);
    let misspelt = run(check_config(folder.path()).env("RABBITMQ_URL", "amqp://broker?cacert=ca.pem"));
    misspelt.refused(&["RABBITMQ_URL", "\"cacert\"", "cacertfile"]);
    run(check_config(folder.path())
        .env("RABBITMQ_URL", "amqp://broker")
        .env("SEQID_EVENTS_FILE", "events.jsonl"))
    .refused(&["RABBITMQ_URL", "SEQID_EVENTS_FILE", "set one"]);
}

#[test]
fn a_bound_on_what_waits_is_of_events_that_are_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let bounded = |most: &str| {
        let mut command = check_config(folder.path());
        command.env("SEQID_LARGEST_BACKLOG", most);
        command
    };
    run(&mut bounded("10")).refused(&["SEQID_LARGEST_BACKLOG", "RABBITMQ_URL", "SEQID_EVENTS_FILE"]);
    for (most, place) in [("1", "RABBITMQ_URL"), ("1000000000000", "SEQID_EVENTS_FILE")] {
        let shown = in_effect(&run(bounded(most).env(place, "amqp://broker")));
        assert_eq!(shown["largest_backlog"].to_string(), most);
    }
    for most in ["0", "1000000000001", "-1", "all"] {
        run(bounded(most).env("SEQID_EVENTS_FILE", "events.jsonl"))
            .refused(&["SEQID_LARGEST_BACKLOG", "1 to 1000000000000"]);
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "prot = 1\ndeadline_ms = 0");
    let ended = run(check_config(folder.path())
        .env("PORT", "x")
        .env("REDIS_ADDR", "y:z")
        .args(["--bind=z", "--config=seqid.toml"]));
    ended.refused(&[
        "PORT",
        "REDIS_ADDR",
        "--bind",
        "\"prot\"",
        "deadline_ms in seqid.toml",
    ]);
}

#[test]
fn help_names_every_variable_with_its_default() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(program(folder.path()).env("COLUMNS", "100").arg("--help"));
    assert_eq!(help.code, Some(0));
    // Wrapped lines are one again.
    let words = help.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for setting in SETTINGS {
        assert!(
            words.contains(&format!("{} <", setting.flag())),
            "{}",
            setting.key
        );
        assert!(
            words.contains(&format!("[env: {}]", setting.variable)),
            "{}",
            setting.variable
        );
        assert!(words.contains("[default: "), "{}", setting.default);
    }
    for default in [
        "8080",
        "9090",
        "127.0.0.1",
        "info",
        "seqid-data",
        "UTC",
        "30",
        "10000",
        "none",
    ] {
        assert!(words.contains(&format!("[default: {default}]")), "{default}");
    }
    assert!(words.contains("Exit codes: 0"));
}

#[test]
fn the_table_in_the_readme_is_complete() {
    let rows: Vec<&str> = include_str!("../README.md")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    for setting in SETTINGS {
        let row = format!("| `{}` | `{}` |", setting.variable, setting.key);
        let row = rows.iter().find(|found| found.starts_with(&row));
        let row = row.unwrap_or_else(|| panic!("{} has no row", setting.variable));
        let default = if setting.default.is_empty() {
            "none"
        } else {
            setting.default
        };
        assert!(row.contains(default), "{row}");
    }
}

#[test]
fn a_wrong_command_line_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["--nonsense"][..],
        &["nonsense"],
        &["recover"],
        &["backup"],
        &["recover", "--reason", ""],
    ] {
        let ended = run(program(folder.path()).args(arguments));
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
    }
}
