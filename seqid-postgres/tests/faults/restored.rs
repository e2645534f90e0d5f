//! Databases that went back in time, and copies.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use seqid_core::event::{EventKind, Recorded};
use seqid_core::names::Reason;
use seqid_core::numbering::{Numbering, ReserveRequest, SettleRequest};
use seqid_core::store::{Certainty, CounterStore, StoreError};
use seqid_postgres::{OpenError, PostgresConfig, Recovery, RecoveryReport, Restored, recover};
use seqid_testkit::servers::{Database, PostgresServer};
use tempfile::TempDir;

use crate::office::{Office, name, require_clean};
use crate::open::until_gone;

/// A configuration with a state file.
struct Instance {
    folder: TempDir,
}

impl Instance {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn at(&self, url: &str) -> PostgresConfig {
        url.parse::<PostgresConfig>().unwrap().state_file(self.state())
    }

    async fn open(&self, url: &str) -> Office {
        Office::try_open(self.at(url)).await.unwrap()
    }

    /// Why a database is refused, which leaves the state file as it was.
    async fn refused(&self, url: &str) -> Restored {
        let before = std::fs::read(self.state()).unwrap();
        let error = Office::try_open(self.at(url)).await.unwrap_err();
        assert_eq!(std::fs::read(self.state()).unwrap(), before);
        match error {
            OpenError::Restored { how, .. } => how,
            error => panic!("{error:?}"),
        }
    }
}

fn recovery(margin: u64) -> Recovery {
    let mut recovery = Recovery::new(Reason::new("restored from a backup").unwrap());
    recovery.margin = margin;
    recovery.actor = Some("ann".parse().unwrap());
    recovery
}

async fn accept(config: &PostgresConfig, margin: u64) -> RecoveryReport {
    recover(config, &recovery(margin)).await.unwrap()
}

/// The data folder of a server that is down.
struct Backup(TempDir);

impl Backup {
    fn take(server: &PostgresServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&server.data_folder(), &folder.path().join("data"));
        Self(folder)
    }

    fn put_back(&self, server: &PostgresServer) {
        std::fs::remove_dir_all(server.data_folder()).unwrap();
        copy(&self.0.path().join("data"), &server.data_folder());
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-Rp").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[tokio::test]
async fn a_copy_of_a_server_that_went_its_own_way_is_noticed_by_what_it_lacks() {
    let mut server = PostgresServer::start().unwrap();
    let database = server.database().unwrap();
    let instance = Instance::new();
    let office = instance.open(&database.url()).await;
    office.draw_many("INV", 3).await;
    let copy = server.copy_to_new_server().unwrap();
    // The server was started anew for it.
    while office.draw("INV").await.is_err() {}
    let last = office.draw_many("INV", 3).await;
    office.close().await;
    let behind = copy.url(database.name());
    assert!(matches!(instance.refused(&behind).await, Restored::Behind { .. }));
    instance.open(&database.url()).await.close().await;

    // Who has no state file cannot know. The events of both would have the same names.
    let report = accept(&instance.at(&behind), 10).await;
    assert_eq!((report.incarnation, report.counters), (2, 1));
    let office = instance.open(&behind).await;
    let next = office.draw("INV").await.unwrap();
    assert!(next > last, "{next} was given out by the server that was copied");
    assert_eq!(next, 14, "three, and the margin");
    office.close().await;
    instance.open(&behind).await.close().await;
    require_clean(&behind).await;
    // And the other one is now the stranger.
    assert!(matches!(
        instance.refused(&database.url()).await,
        Restored::Behind { .. }
    ));
    drop(copy);
}

/// A store that ran while its server was put back by some draws: the server, the store, what was reserved and given out.
struct PutBack {
    server: PostgresServer,
    database: Database,
    instance: Instance,
    office: Office,
    given: u64,
    /// The events that were there before.
    lost: Vec<Recorded>,
}

impl PutBack {
    async fn new() -> Self {
        let mut server = PostgresServer::start().unwrap();
        let database = server.database().unwrap();
        let instance = Instance::new();
        let office = instance.open(&database.url()).await;
        office.draw_many("INV", 5).await;
        office.draw_many("CN", 2).await;
        server.stop().unwrap();
        let backup = Backup::take(&server);
        server.start_again().unwrap();
        while office.draw("INV").await.is_err() {}
        let given = office.draw_many("INV", 5).await;
        let lost = office.audit().await;
        server.stop().unwrap();
        backup.put_back(&server);
        server.start_again().unwrap();
        Self {
            server,
            database,
            instance,
            office,
            given,
            lost,
        }
    }
}

#[tokio::test]
async fn a_running_store_notices_that_its_server_was_put_back() {
    let put_back = PutBack::new().await;
    let (url, office) = (put_back.database.url(), &put_back.office);
    for _ in 0..3 {
        let error = office.draw("INV").await.unwrap_err();
        assert!(matches!(error, StoreError::Restored(_)), "{error:?}");
        assert_eq!(error.certainty(), Certainty::NotIssued);
        let error = office.draw_keyed("CN", "k").await.unwrap_err();
        assert!(matches!(error, StoreError::Restored(_)), "{error:?}");
        assert!(
            matches!(
                office.store.counter(&counter_key()).await,
                Err(StoreError::Restored(_))
            ),
            "nothing is read from it either"
        );
    }
    let sql = "SELECT max(next) FROM seqid.counter";
    assert_eq!(put_back.database.psql(sql).unwrap(), "6", "nothing was written");
    // Nor is it served after a restart.
    put_back.office.close().await;
    assert!(matches!(
        put_back.instance.refused(&url).await,
        Restored::Behind { .. }
    ));
}

#[tokio::test]
async fn a_store_that_rests_notices_what_another_gave_out() {
    let mut server = PostgresServer::start().unwrap();
    let database = server.database().unwrap();
    let resting = Instance::new();
    let (busy, rests) = (
        Instance::new().open(&database.url()).await,
        resting.open(&database.url()).await,
    );
    busy.draw_many("INV", 3).await;
    server.stop().unwrap();
    let backup = Backup::take(&server);
    server.start_again().unwrap();
    while busy.draw("INV").await.is_err() {}
    let last = busy.draw_many("INV", 3).await;
    // Each number is an event of its own.
    let seen = format!(" {last} ");
    let began = std::time::Instant::now();
    while !std::fs::read_to_string(resting.state()).is_ok_and(|state| state.contains(&seen)) {
        assert!(began.elapsed().as_secs() < 120, "it does not look");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    server.stop().unwrap();
    backup.put_back(&server);
    server.start_again().unwrap();
    let error = rests.draw("INV").await.unwrap_err();
    assert!(matches!(error, StoreError::Restored(_)), "{error:?}");
}

fn counter_key() -> seqid_core::counter::CounterKey {
    let sequence = crate::office::sequence("INV");
    seqid_core::counter::CounterKey::new(sequence, Default::default(), seqid_core::period::Period::ALL)
}

#[tokio::test]
async fn a_database_that_was_accepted_gives_no_number_again() {
    let put_back = PutBack::new().await;
    let PutBack {
        mut server,
        database,
        instance,
        office,
        given,
        lost,
    } = put_back;
    let url = database.url();
    let config = instance.at(&url);
    office.close().await;
    let report = accept(&config, 20).await;
    assert_eq!((report.incarnation, report.counters), (2, 2));
    let office = instance.open(&url).await;
    let next = office.draw("INV").await.unwrap();
    assert!(next > given, "{next} after {given}");
    assert_eq!((next, office.draw("CN").await.unwrap()), (26, 23));
    let events = office.audit().await;
    let moved: Vec<_> = events
        .iter()
        .filter(|recorded| recorded.event.kind == EventKind::Recovered)
        .collect();
    assert_eq!(moved.len(), 2);
    for recorded in &moved {
        let event = &recorded.event;
        assert_eq!((event.epoch, event.run.unwrap().count), (2, 20));
        assert_eq!(event.reason.as_ref().unwrap().as_str(), "restored from a backup");
        assert_eq!(event.origin.actor.as_ref().unwrap().as_str(), "ann");
    }
    let after = moved[0].position;
    assert!(
        events
            .iter()
            .filter(|recorded| recorded.position >= after)
            .all(|recorded| recorded.event.epoch == 2 && lost.iter().all(|lost| lost.id != recorded.id)),
        "events have names of their own"
    );
    // A second time, from what was accepted: a new epoch again.
    let refused = recover(&config, &recovery(0)).await.unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
    assert_eq!(office.draw("INV").await.unwrap(), 27, "nothing was changed");
    office.close().await;
    until_gone(&database).await;
    assert_eq!(accept(&config, 0).await.incarnation, 3);
    let office = instance.open(&url).await;
    assert_eq!(office.draw("INV").await.unwrap(), 28);
    office.close().await;
    require_clean(&url).await;
    // What was accepted stays so after a crash.
    server.kill().unwrap();
    server.start_again().unwrap();
    let office = instance.open(&url).await;
    assert_eq!(office.draw("INV").await.unwrap(), 29);
    office.audit().await;
}

#[tokio::test]
async fn nothing_is_recovered_where_there_is_nothing() {
    let database = PostgresServer::shared().database().unwrap();
    let config: PostgresConfig = database.url().parse().unwrap();
    let error = recover(&config, &recovery(0)).await.unwrap_err();
    assert!(matches!(error, OpenError::Empty { .. }), "{error:?}");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'seqid'";
    assert_eq!(database.psql(schemas).unwrap(), "0");
}

/// Writes a database into another one, as `pg_dump | psql` does.
fn dump(server: &PostgresServer, from: &Database, into: &Database) {
    let program = |name: &str, database: &Database| {
        let mut command = Command::new(server.program_folder().join(name));
        command
            .arg("-h")
            .arg(server.socket_folder())
            .args(["-p", &server.port().to_string(), "-U", server.user()])
            .args(["-d", database.name()]);
        command
    };
    let mut dump = program("pg_dump", from).stdout(Stdio::piped()).spawn().unwrap();
    let restored = program("psql", into)
        .args(["-Xq", "-v", "ON_ERROR_STOP=1"])
        .stdin(dump.stdout.take().unwrap())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(dump.wait().unwrap().success() && restored.success());
}

#[tokio::test]
async fn a_dump_is_a_copy_and_whole_once_it_is_accepted() {
    let server = PostgresServer::shared();
    let (database, other) = (server.database().unwrap(), server.database().unwrap());
    let instance = Instance::new();
    let office = instance.open(&database.url()).await;
    office.draw_many("INV", 3).await;
    let reserve = async |office: &Office| {
        let draw = seqid_core::numbering::DrawRequest::new(name("RES"));
        let request = ReserveRequest::new(draw, std::time::Duration::from_secs(600));
        office.issuer.reserve(request).await.unwrap().reservation
    };
    let (kept, held) = (reserve(&office).await, reserve(&office).await);
    office.issuer.settle(SettleRequest::confirm(kept)).await.unwrap();
    assert_eq!(office.draw_keyed("INV", "k").await.unwrap(), (4, false));
    office.close().await;
    dump(server, &database, &other);
    assert_eq!(instance.refused(&other.url()).await, Restored::Copied);
    let error = Office::try_open(other.url().parse().unwrap()).await.unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Restored {
                how: Restored::Copied,
                ..
            }
        ),
        "without a state file too: {error:?}"
    );
    assert_eq!(
        other.psql("SELECT max(next) FROM seqid.counter").unwrap(),
        "5",
        "nothing was written"
    );
    // Verifying needs no permission.
    require_clean(&other.url()).await;
    let config: PostgresConfig = other.url().parse().unwrap();
    assert_eq!(accept(&config, 5).await.counters, 2);
    let office = Office::open(&other.url()).await;
    assert_eq!(office.draw("INV").await.unwrap(), 10);
    assert_eq!(office.draw_keyed("INV", "k").await.unwrap(), (4, true));
    let settled = office.issuer.settle(SettleRequest::confirm(held)).await.unwrap();
    assert_eq!(settled.numbers.run.first.get(), 2);
    office.audit().await;
    office.close().await;
    require_clean(&other.url()).await;
    // The first one is what it was.
    let office = instance.open(&database.url()).await;
    assert_eq!(office.draw("INV").await.unwrap(), 5);
}

#[tokio::test]
async fn the_state_file_of_another_database_is_refused_and_nothing_is_made() {
    let server = PostgresServer::shared();
    let (database, empty, other) = (
        server.database().unwrap(),
        server.database().unwrap(),
        server.database().unwrap(),
    );
    let instance = Instance::new();
    let office = instance.open(&database.url()).await;
    office.draw_many("INV", 3).await;
    office.close().await;
    let office = Office::open(&other.url()).await;
    office.draw_many("INV", 3).await;
    office.close().await;
    assert_eq!(instance.refused(&empty.url()).await, Restored::Other);
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'seqid'";
    assert_eq!(empty.psql(schemas).unwrap(), "0");
    assert_eq!(instance.refused(&other.url()).await, Restored::Other);
    let office = instance.open(&database.url()).await;
    assert_eq!(office.draw("INV").await.unwrap(), 4);
}

#[tokio::test]
async fn a_state_file_that_cannot_be_read_keeps_the_store_closed() {
    let database = PostgresServer::shared().database().unwrap();
    let instance = Instance::new();
    std::fs::write(instance.state(), "7").unwrap();
    let error = Office::try_open(instance.at(&database.url())).await.unwrap_err();
    assert!(matches!(error, OpenError::StateFile { .. }), "{error:?}");
    assert_eq!(std::fs::read(instance.state()).unwrap(), b"7");
    std::fs::remove_file(instance.state()).unwrap();
    assert_eq!(instance.open(&database.url()).await.draw("INV").await.unwrap(), 1);
}
