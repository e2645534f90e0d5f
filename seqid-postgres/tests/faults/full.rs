//! No room: on the disk, or for another connection.

use std::any::type_name;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use seqid_core::store::{Certainty, CounterStore, StoreError};
use seqid_postgres::PostgresConfig;
use seqid_testkit::servers::PostgresServer;

use sqlx::{Connection, PgConnection};

use crate::office::{Office, issued, require_clean};

const TEST: &str = "SEQID_FAULTS_TEST";
const FOLDER: &str = "SEQID_FAULTS_FOLDER";

/// What lies on the small disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lies {
    Tablespace,
    WholeServer,
}

impl Lies {
    fn size(self) -> &'static str {
        match self {
            Self::Tablespace => "24m",
            Self::WholeServer => "150m",
        }
    }
}

/// Runs `body` in a process of its own, with a small file system that nobody else sees: as root, or in a user namespace
/// and, because PostgreSQL does not run as root, in one within it.
fn with_small_disk<F: FnOnce(&Path)>(lies: Lies, body: F) {
    let path = type_name::<F>().trim_end_matches("::{{closure}}");
    let test = path.split_once("::").unwrap().1;
    if std::env::var(TEST).is_ok_and(|of| of == test) {
        return body(Path::new(&std::env::var(FOLDER).unwrap()));
    }
    let mount = format!(
        r#"mount -t tmpfs -o size={} none "${FOLDER}" && exec "$@""#,
        lies.size()
    );
    let mount = &*mount;
    let as_root = vec!["-m", "sh", "-c", mount, "mount"];
    let mut as_anyone = vec!["-rm", "sh", "-c", mount, "mount"];
    as_anyone.extend(["unshare", "--map-user=1000", "--map-group=1000"]);
    let folder = tempfile::tempdir().unwrap();
    let run = |options: &[&str], program: PathBuf, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(options).arg(program).args(arguments);
        command.env(TEST, test).env(FOLDER, folder.path());
        if lies == Lies::WholeServer {
            command.env("TMPDIR", folder.path());
        }
        command
    };
    let works = |options: &&Vec<&str>| {
        let tried = run(options, "true".into(), &[]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let options = [as_root, as_anyone];
    let options = options.iter().find(works).expect(
        "`unshare` must be installed (util-linux), and either the user be root or user namespaces be allowed",
    );
    let arguments = ["--exact", test, "--nocapture"];
    let ended = run(options, std::env::current_exe().unwrap(), &arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

/// Draws until there is no room, and answers the last number.
async fn fill(office: &Office, begin: u64) -> u64 {
    let mut last = begin;
    loop {
        match office.draw("INV").await {
            Ok(number) => {
                assert_eq!(number, last + 1);
                last = number;
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Full(_)), "{error:?}");
                return last;
            }
        }
    }
}

#[test]
fn draws_on_a_full_disk_are_refused_and_go_on_by_themselves_once_there_is_room() {
    with_small_disk(Lies::Tablespace, |folder| {
        let server = PostgresServer::start().unwrap();
        let place = folder.join("tablespace");
        fs::create_dir(&place).unwrap();
        let of = fs::metadata(server.data_folder()).unwrap();
        chown(&place, Some(of.uid()), Some(of.gid())).unwrap();
        let made = format!(
            "CREATE TABLESPACE small LOCATION '{}'; CREATE DATABASE erp TABLESPACE small",
            place.display()
        );
        server.psql("postgres", &made).unwrap();
        let url = server.url("erp");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let office = Office::open(&url).await;
            let ballast = folder.join("ballast");
            let mut last = office.draw_many("INV", 10).await;
            for _ in 0..3 {
                // What is left has room for some draws.
                fill_all_but(&ballast, 64 << 10);
                last = fill(&office, last).await;
                for _ in 0..5 {
                    let error = office.draw_keyed("INV", "full").await.unwrap_err();
                    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
                    assert_eq!(error.certainty(), Certainty::NotIssued);
                }
                assert_eq!(issued(&office.audit().await, "INV").len() as u64, last);
                fs::remove_file(&ballast).unwrap();
                last += 1;
                assert_eq!(
                    office.draw("INV").await.unwrap(),
                    last,
                    "nothing was lost, and nothing skipped"
                );
            }
            assert_eq!(
                issued(&office.audit().await, "INV"),
                (1..=last).collect::<Vec<_>>()
            );
            require_clean(&url).await;
        });
    });
}

/// Writes a file that leaves so many bytes of room.
fn fill_all_but(path: &Path, room: u64) {
    let mut file = fs::File::create(path).unwrap();
    while file.write_all(&[0; 4 << 10]).is_ok() {}
    file.set_len(file.metadata().unwrap().len() - room).unwrap();
}

#[test]
fn a_server_whose_whole_disk_is_full_loses_nothing_that_was_answered() {
    with_small_disk(Lies::WholeServer, |folder| {
        // It stops when it cannot write its log.
        let logs = [("max_wal_size", "32MB"), ("min_wal_size", "32MB")];
        let mut server = PostgresServer::start_with(&logs).unwrap();
        let database = server.database().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let office = Office::open(&database.url()).await;
            office.draw_many("INV", 10).await;
            let ballast = folder.join("ballast");
            fill_all_but(&ballast, 256 << 10);
            let mut answered = Vec::new();
            let mut refused = Vec::new();
            for n in 0..400 {
                let key = format!("key-{n}");
                match office.draw_keyed("INV", &key).await {
                    Ok((number, replayed)) => {
                        assert!(!replayed);
                        answered.push((key, number));
                    }
                    Err(StoreError::Full(_) | StoreError::Unavailable(_)) => refused.push(key),
                    Err(StoreError::Unknown(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
                // Each takes 16 MB of log.
                if database.psql("SELECT pg_switch_wal()").is_err() {
                    break;
                }
            }
            assert!(database.psql("SELECT 1").is_err(), "it has room for all that");
            let error = office.draw("INV").await.unwrap_err();
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            fs::remove_file(&ballast).unwrap();
            server.kill().unwrap();
            server.start_again().unwrap();
            let next = office.draw("INV").await.unwrap();
            assert!(answered.iter().all(|(_, number)| *number < next));
            for (key, number) in answered {
                assert_eq!(office.draw_keyed("INV", &key).await.unwrap(), (number, true));
            }
            for key in refused {
                let (_, replayed) = office.draw_keyed("INV", &key).await.unwrap();
                assert!(!replayed, "it was said that {key} was not issued");
            }
            office.audit().await;
            require_clean(&database.url()).await;
        });
    });
}

#[tokio::test]
async fn where_others_have_all_connections_draws_are_refused_until_they_go() {
    let server = PostgresServer::start_with(&[
        ("max_connections", "8"),
        ("superuser_reserved_connections", "1"),
        ("max_wal_senders", "0"),
    ])
    .unwrap();
    let database = server.database().unwrap();
    server
        .psql(
            "postgres",
            &format!(
                "CREATE ROLE clerk LOGIN PASSWORD 'password'; GRANT CREATE ON DATABASE {} TO clerk",
                database.name()
            ),
        )
        .unwrap();
    let url = database.url().replace("//postgres:", "//clerk:");
    let config: PostgresConfig = url.parse().unwrap();
    let office = Office::try_open(config.lanes(1)).await.unwrap();
    assert_eq!(office.draw("INV").await.unwrap(), 1);
    let mut held = Vec::new();
    hold_all(&url, &mut held).await;
    // The one that it has goes on serving; it is lost, and there is no other.
    assert_eq!(office.draw("INV").await.unwrap(), 2);
    let ended =
        "SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity WHERE application_name = 'seqid'";
    assert_eq!(server.psql("postgres", ended).unwrap(), "t");
    hold_all(&url, &mut held).await;
    for _ in 0..3 {
        let error = office.draw_keyed("INV", "k").await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert_eq!(error.certainty(), Certainty::NotIssued);
    }
    let error = Office::try_open(url.parse().unwrap()).await.unwrap_err();
    assert!(
        matches!(error, seqid_postgres::OpenError::Database { .. }),
        "{error:?}"
    );
    drop(held);
    // The server notices that they are gone a moment later.
    let number = loop {
        match office.draw_keyed("INV", "k").await {
            Ok((number, _)) => break number,
            Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}"),
        }
    };
    assert_eq!(number, 3);
    assert_eq!(issued(&office.audit().await, "INV"), [1, 2, 3]);
    office.store.close().await.unwrap();
    require_clean(&url).await;
}

/// Takes all connections that there are.
async fn hold_all(url: &str, held: &mut Vec<PgConnection>) {
    while let Ok(session) = PgConnection::connect(url).await {
        held.push(session);
    }
}
