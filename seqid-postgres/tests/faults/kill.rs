//! Killed, paused and cut off under load: what clients saw must agree with what the database says afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seqid_testkit::history::RowKind;
use seqid_testkit::servers::PostgresServer;

use crate::bureau::Bureau;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A test that met nothing of what it is for has shown nothing.
#[track_caller]
fn require_some(lost_answers: u64) {
    assert!(lost_answers > 0, "no answer was lost");
}

/// So many rounds, and more until an answer was lost, but not for ever.
fn rounds(bureau: &Bureau, least: u64) -> impl Iterator<Item = u64> {
    (0..least + 30).take_while(move |round| *round < least || bureau.unknown() == 0)
}

#[test]
fn a_server_that_is_killed_under_load_loses_nothing_that_was_answered() {
    let mut server = PostgresServer::start().unwrap();
    let database = Arc::new(server.database().unwrap());
    let bureau = Bureau::open(&database, TIMEOUT);
    for round in rounds(&bureau, 10) {
        // Somewhere in a stream of answers, elsewhere each time.
        bureau.until_issued(20 + round * 5);
        server.kill().unwrap();
        server.start_again().unwrap();
    }
    bureau.until_issued(50);
    let unknown = bureau.unknown();
    let evidence = bureau.close(&database);
    require_some(unknown);
    let expired = |row: &seqid_testkit::history::Row| row.kind == RowKind::Expired;
    assert!(evidence.rows.iter().any(expired), "nothing expired");
}

/// Ends sessions of seqid, those that commit if there are any, until it is told to stop.
fn cut_off(database: &seqid_testkit::servers::Database, stop: &AtomicBool) {
    // A batch of statements for each start of psql.
    let one = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'seqid' \
               AND query ~ '^COMMIT' AND state = 'active' LIMIT 1; SELECT pg_sleep(0.002);";
    let any = "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity \
               WHERE application_name = 'seqid' ORDER BY random() LIMIT 1) a; SELECT pg_sleep(0.02);";
    let batch = format!("{}{any}", one.repeat(20));
    while !stop.load(Ordering::Relaxed) {
        database.psql(&batch).unwrap();
    }
}

#[test]
fn sessions_that_are_ended_all_the_time_lose_nothing_that_was_answered() {
    let server = PostgresServer::start().unwrap();
    let database = Arc::new(server.database().unwrap());
    let bureau = Bureau::open(&database, TIMEOUT);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| cut_off(&database, &stop));
        let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut rounds = 0;
            // Few commits are met on a machine that is busy, but one must be.
            while bureau.unknown() < if rounds < 40 { 5 } else { 1 } && rounds < 1_000 {
                bureau.until_issued(50);
                rounds += 1;
            }
            bureau.until_issued(250);
        }));
        stop.store(true, Ordering::Relaxed);
        served.unwrap();
    });
    bureau.until_issued(50);
    let unknown = bureau.unknown();
    bureau.close(&database);
    require_some(unknown);
}

#[test]
fn an_instance_that_dies_in_mid_flight_leaves_nothing_half_done() {
    let server = PostgresServer::start().unwrap();
    let database = Arc::new(server.database().unwrap());
    let mut bureau = Bureau::open(&database, TIMEOUT);
    for round in 0..9 {
        bureau.until_issued(25 + u64::try_from(round).unwrap() * 4);
        bureau.replace(round % 3);
    }
    bureau.until_issued(50);
    let lost = bureau.lost();
    bureau.close(&database);
    require_some(lost);
}

#[test]
fn a_server_that_stands_still_is_given_up_and_served_from_when_it_goes_on() {
    let mut server = PostgresServer::start().unwrap();
    let database = Arc::new(server.database().unwrap());
    let bureau = Bureau::open(&database, Duration::from_millis(500));
    for round in rounds(&bureau, 4) {
        bureau.until_issued(30 + round * 7);
        server.pause().unwrap();
        bureau.until_failed(12);
        server.resume().unwrap();
    }
    bureau.until_issued(50);
    let unknown = bureau.unknown();
    bureau.close(&database);
    require_some(unknown);
}
