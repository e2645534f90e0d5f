//! Whatever is done to a server, no number is given twice.
#![cfg(unix)]

mod lender;

use std::time::Duration;

use lender::{AUTHORITY, Held, Lender, connect, connect_with, counter, counter_of};
use seqid_core::chain::Authority;
use seqid_core::clock::Seed;
use seqid_core::store::Certainty;
use seqid_redis::{Closed, Drawn, Fault, Fence, Fenced, Grant, OpenError, RedisConfig, Refused, Seeded};
use seqid_testkit::servers::RedisServer;

/// A server with a counter that numbers 1 to 3 were drawn from.
async fn begun() -> (RedisServer, Fenced, Lender, Held) {
    // What is killed has its data on the disk.
    let server = RedisServer::start_with(&[("appendfsync", "always")]).expect("it starts");
    let fenced = connect(&server.url()).await;
    let mut lender = Lender::new(counter(), 1);
    let mut held = lender.lend(&fenced, 100).await;
    assert_eq!(held.take(&fenced, 3).await, 1);
    (server, fenced, lender, held)
}

fn key(server: &RedisServer, what: &str) -> String {
    let keys = server.cli(&["KEYS", what]).expect("it answers");
    assert_eq!(keys.lines().count(), 1, "{keys}");
    keys
}

async fn goes_on_above(fenced: &Fenced, lender: &mut Lender, drawn: u64) {
    let mut held = lender.lend(fenced, 100).await;
    assert!(held.take(fenced, 1).await > drawn);
}

/// Why nothing can be drawn.
async fn fence(held: &mut Held, fenced: &Fenced) -> Fence {
    match held.try_take(fenced, 1).await {
        Drawn::Fenced(refused) => refused.fence,
        other => panic!("it was to be fenced, but: {other:?}"),
    }
}

#[track_caller]
fn fence_of(seeded: &Seeded) -> Fence {
    match seeded {
        Seeded::Fenced(refused) => refused.fence,
        other => panic!("it was to be fenced, but: {other:?}"),
    }
}

#[tokio::test]
async fn numbers_follow_one_another_up_to_the_end_of_the_range() {
    let (_server, fenced, _, mut held) = begun().await;
    assert_eq!(held.take(&fenced, 1).await, 4);
    assert_eq!(held.take(&fenced, 90).await, 5);
    assert_eq!(
        held.try_take(&fenced, 10).await,
        Drawn::RangeEnd { next: 95, end: 101 }
    );
    assert_eq!(held.take(&fenced, 6).await, 95);
    assert_eq!(
        held.try_take(&fenced, 1).await,
        Drawn::RangeEnd { next: 101, end: 101 }
    );
}

#[tokio::test]
async fn a_range_is_extended_once_and_not_after_its_end() {
    let (_server, fenced, _, mut held) = begun().await;
    let counter = counter();
    let extend = async |from, to| fenced.extend(&counter, 1, from, to).await.unwrap();
    assert_eq!(extend(101, 201).await, Seeded::Done { before: false });
    assert_eq!(extend(101, 201).await, Seeded::Done { before: true });
    assert_eq!(held.take(&fenced, 150).await, 4);
    assert_eq!(fence_of(&extend(101, 301).await), Fence::Range);
    assert_eq!(held.take(&fenced, 47).await, 154);
    assert_eq!(
        fenced.close(&counter, 1, held.floor).await.unwrap(),
        Closed::Done { next: 201 }
    );
    // The durable store has gone on from 201 meanwhile.
    assert_eq!(fence_of(&extend(201, 301).await), Fence::Closed);
}

#[tokio::test]
async fn flushall_leads_to_a_new_epoch() {
    let (server, fenced, mut lender, mut held) = begun().await;
    server.cli(&["FLUSHALL"]).unwrap();
    assert_eq!(held.try_take(&fenced, 1).await, Drawn::Missing);
    goes_on_above(&fenced, &mut lender, 3).await;
}

#[tokio::test]
async fn an_emptied_server_answers_late_messages() {
    let (server, fenced, mut lender, held) = begun().await;
    let grant = lender.grant(&fenced, 100).await;
    server.cli(&["FLUSHALL"]).unwrap();
    assert_eq!(
        fenced.close(&counter(), 1, held.floor).await.unwrap(),
        Closed::Missing
    );
    assert_eq!(
        fence_of(&fenced.extend(&counter(), 1, 101, 201).await.unwrap()),
        Fence::Epoch
    );
    assert_eq!(
        fence_of(&fenced.seed(&counter(), &grant).await.unwrap()),
        Fence::Offer
    );
}

#[tokio::test]
async fn a_deleted_counter_leads_to_a_new_epoch() {
    let (server, fenced, mut lender, mut held) = begun().await;
    server.cli(&["DEL", &key(&server, "*:c:*")]).unwrap();
    assert_eq!(held.try_take(&fenced, 1).await, Drawn::Missing);
    goes_on_above(&fenced, &mut lender, 3).await;
}

#[tokio::test]
async fn a_lower_number_set_by_hand_is_refused() {
    let (server, fenced, mut lender, mut held) = begun().await;
    server.cli(&["HSET", &key(&server, "*:c:*"), "n", "1"]).unwrap();
    assert_eq!(fence(&mut held, &fenced).await, Fence::Checksum);
    server.cli(&["SET", &key(&server, "*:c:*"), "1"]).unwrap();
    assert_eq!(fence(&mut held, &fenced).await, Fence::Type);
    goes_on_above(&fenced, &mut lender, 3).await;
}

#[tokio::test]
async fn an_old_value_in_the_same_history_is_not_as_the_process_left_it() {
    let (server, fenced, mut lender, mut held) = begun().await;
    let key = key(&server, "*:c:*");
    let mut newcomer = Held {
        floor: 0,
        ..held.clone()
    };
    server.cli(&["COPY", &key, "kept"]).unwrap();
    assert_eq!(held.take(&fenced, 5).await, 4);
    server.cli(&["COPY", "kept", &key, "REPLACE"]).unwrap();
    // Neither one who saw the later numbers nor one who saw none.
    assert_eq!(fence(&mut held, &fenced).await, Fence::Memory);
    assert_eq!(fence(&mut newcomer, &fenced).await, Fence::Memory);
    for floor in [held.floor, 0] {
        let closed = fenced.close(&counter(), 1, floor).await.unwrap();
        let Closed::Fenced(refused) = closed else {
            panic!("{closed:?}")
        };
        assert_eq!(refused.fence, Fence::Memory);
    }
    let extended = fenced.extend(&counter(), 1, 101, 201).await.unwrap();
    assert_eq!(fence_of(&extended), Fence::Memory);
    goes_on_above(&fenced, &mut lender, 8).await;
}

#[tokio::test]
async fn a_seed_is_not_taken_again_by_a_key_from_before_it() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let mut lender = Lender::new(counter(), 1);
    let grant = lender.grant(&fenced, 100).await;
    server.cli(&["SAVE"]).unwrap();
    fenced.seed(&counter(), &grant).await.unwrap();
    let mut held = Held {
        counter: counter(),
        epoch: 1,
        floor: 0,
    };
    held.take(&fenced, 5).await;
    // The same process loads what it had before the seed.
    server.cli(&["DEBUG", "RELOAD", "NOSAVE"]).unwrap();
    assert_eq!(held.try_take(&fenced, 1).await, Drawn::Missing);
    let late = fenced.seed(&counter(), &grant).await.unwrap();
    assert_eq!(fence_of(&late), Fence::Offer);
    goes_on_above(&fenced, &mut lender, 100).await;
}

#[tokio::test]
async fn a_process_that_loads_an_old_dump_gives_nothing_of_it() {
    let (server, fenced, mut lender, mut held) = begun().await;
    let mut newcomer = Held {
        floor: 0,
        ..held.clone()
    };
    let former = fenced.server(counter().bucket()).await.unwrap().history;
    server.cli(&["SAVE"]).unwrap();
    assert_eq!(held.take(&fenced, 5).await, 4);
    server.cli(&["DEBUG", "RELOAD", "NOSAVE"]).unwrap();
    assert_eq!(
        fenced.server(counter().bucket()).await.unwrap().history,
        former,
        "the history is the same"
    );
    assert_eq!(fence(&mut newcomer, &fenced).await, Fence::Memory);
    assert_eq!(fence(&mut held, &fenced).await, Fence::Memory);
    goes_on_above(&fenced, &mut lender, 8).await;
}

#[tokio::test]
async fn functions_that_were_flushed_are_given_again_and_remember_nothing() {
    let (server, fenced, mut lender, mut held) = begun().await;
    server.cli(&["SCRIPT", "FLUSH"]).unwrap();
    assert_eq!(held.take(&fenced, 1).await, 4);
    server.cli(&["FUNCTION", "FLUSH"]).unwrap();
    assert_eq!(fence(&mut held, &fenced).await, Fence::Memory);
    goes_on_above(&fenced, &mut lender, 4).await;
}

#[tokio::test]
async fn another_release_beside_this_one_draws_from_ranges_of_its_own() {
    let (server, fenced, mut lender, mut held) = begun().await;
    // All of this library under other names: what another release would be.
    let list = server.cli(&["FUNCTION", "LIST", "WITHCODE"]).unwrap();
    let at = list.find("#!lua").unwrap();
    let text = list[at..].to_owned();
    let name = text["#!lua name=".len()..].lines().next().unwrap().to_owned();
    server
        .cli(&["FUNCTION", "LOAD", &text.replace(&name, "seqid_other")])
        .unwrap();
    let keys = [
        key(&server, "*:bucket"),
        key(&server, "*:events"),
        key(&server, "*:c:*"),
    ];
    let authority = AUTHORITY.to_string();
    let mut command = vec!["FCALL", "seqid_other_draw", "3"];
    command.extend(keys.iter().map(String::as_str));
    command.extend([&authority, "1000", "1", "1", "1", "0", "none"]);
    let answer = server.cli(&command).unwrap();
    assert!(answer.starts_with("fenced\nmemory"), "{answer}");
    assert_eq!(held.take(&fenced, 1).await, 4);
    goes_on_above(&fenced, &mut lender, 4).await;
}

#[tokio::test]
async fn a_restart_is_another_history_with_its_data_and_without() {
    let (mut server, fenced, mut lender, mut held) = begun().await;
    let bucket = counter().bucket();
    let former = fenced.server(bucket).await.unwrap();
    server.kill().unwrap();
    let mut retired = fenced.draw(bucket, &[held.draw(1)]).await.unwrap_err();
    server.start_again().unwrap();
    // The connection that was there is never used again.
    while fenced.server(bucket).await.unwrap().history == former.history {
        retired = fenced.draw(bucket, &[held.draw(1)]).await.unwrap_err();
    }
    println!("meanwhile: {retired}");
    assert_eq!(fence(&mut held, &fenced).await, Fence::History);
    let closed = fenced.close(&counter(), 1, 0).await.unwrap();
    assert!(
        matches!(
            closed,
            Closed::Fenced(Refused {
                fence: Fence::History,
                ..
            })
        ),
        "{closed:?}"
    );
    goes_on_above(&fenced, &mut lender, 3).await;

    server.start_empty().unwrap();
    let fenced = connect(&server.url()).await;
    assert_eq!(held.try_take(&fenced, 1).await, Drawn::Missing);
    goes_on_above(&fenced, &mut lender, 103).await;
}

#[tokio::test]
async fn an_old_dump_is_another_history_and_its_offers_are_void() {
    let mut server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let mut lender = Lender::new(counter(), 1);
    let grant = lender.grant(&fenced, 100).await;
    let with_offer = server.dump().unwrap();
    assert_eq!(
        fenced.seed(&counter(), &grant).await.unwrap(),
        Seeded::Done { before: false }
    );

    server.start_with_dump(&with_offer).unwrap();
    let fenced = connect(&server.url()).await;
    // A seed that was delayed, and one that helps.
    assert_eq!(
        fence_of(&fenced.seed(&counter(), &grant).await.unwrap()),
        Fence::History
    );
    // The lender makes sure that the offer is a new one.
    goes_on_above(&fenced, &mut lender, 100).await;
}

#[tokio::test]
async fn an_offer_is_stable_until_it_is_answered_or_spent() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let open = async |spent: Option<&str>| fenced.open(&counter(), spent).await.unwrap().unwrap().offer;
    let first = open(None).await;
    assert_eq!(open(None).await, first);
    let other = connect(&server.url()).await;
    assert_eq!(other.open(&counter(), None).await.unwrap().unwrap().offer, first);
    assert_ne!(open(Some(&first)).await, first);
}

#[tokio::test]
async fn an_offer_seeds_once_whoever_helps() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let mut lender = Lender::new(counter(), 1);
    let grant = lender.grant(&fenced, 10).await;
    let helper = connect(&server.url()).await;
    assert_eq!(
        helper.seed(&counter(), &grant).await.unwrap(),
        Seeded::Done { before: false }
    );
    let mut held = Held {
        counter: counter(),
        epoch: 1,
        floor: 0,
    };
    assert_eq!(held.take(&fenced, 4).await, 1);
    assert_eq!(
        fenced.seed(&counter(), &grant).await.unwrap(),
        Seeded::Done { before: true }
    );
    assert_eq!(held.take(&fenced, 1).await, 5);

    // Guarding by the epoch alone would seed the same range again.
    server.cli(&["FLUSHALL"]).unwrap();
    fenced.open(&counter(), None).await.unwrap().unwrap();
    assert_eq!(
        fence_of(&fenced.seed(&counter(), &grant).await.unwrap()),
        Fence::Offer
    );
    let later = Grant { epoch: 2, ..grant };
    assert_eq!(
        fence_of(&fenced.seed(&counter(), &later).await.unwrap()),
        Fence::Offer
    );
}

#[tokio::test]
async fn a_lower_epoch_neither_seeds_nor_draws() {
    let (_server, fenced, mut lender, mut held) = begun().await;
    let late = lender.grant(&fenced, 10).await;
    lender.lend(&fenced, 10).await;
    assert_eq!(
        fence_of(&fenced.seed(&counter(), &late).await.unwrap()),
        Fence::Epoch
    );
    let Drawn::Fenced(refused) = held.try_take(&fenced, 1).await else {
        panic!("it was drawn in a former epoch")
    };
    // All else is right: whoever cannot reach the durable store may go on in this epoch.
    assert_eq!((refused.fence, refused.epoch), (Fence::Epoch, Some(3)));
    assert_eq!((refused.next, refused.end), (Some(111), Some(121)));
}

#[tokio::test]
async fn a_closed_epoch_gives_no_number_and_says_where_it_ended() {
    let (_server, fenced, mut lender, mut held) = begun().await;
    let close = async |epoch, floor| fenced.close(&counter(), epoch, floor).await.unwrap();
    assert!(matches!(
        close(2, 0).await,
        Closed::Fenced(Refused {
            fence: Fence::Epoch,
            ..
        })
    ));
    assert_eq!(close(1, 4).await, Closed::Done { next: 4 });
    assert_eq!(close(1, 0).await, Closed::Done { next: 4 });
    assert_eq!(fence(&mut held, &fenced).await, Fence::Closed);
    goes_on_above(&fenced, &mut lender, 3).await;
}

#[tokio::test]
async fn a_range_of_another_version_is_not_drawn_from() {
    let (_server, fenced, _, held) = begun().await;
    let mut draw = held.draw(1);
    draw.version = 2;
    let drawn = fenced.draw(held.counter.bucket(), &[draw]).await.unwrap();
    assert_eq!(drawn, [Drawn::StaleVersion { version: 1 }]);
}

#[tokio::test]
async fn another_authority_is_refused() {
    let (server, fenced, _, mut held) = begun().await;
    let config: RedisConfig = server.url().parse().unwrap();
    let stranger = Fenced::connect(config, Authority([8; 16]), Seed(1))
        .await
        .unwrap();
    assert_eq!(fence(&mut held, &stranger).await, Fence::Authority);
    let refused = stranger.open(&counter(), None).await.unwrap().unwrap_err();
    assert_eq!(refused.fence, Fence::Authority);
    let closed = stranger.close(&counter(), 1, 0).await.unwrap();
    assert!(matches!(
        closed,
        Closed::Fenced(Refused {
            fence: Fence::Authority,
            ..
        })
    ));
    // Nor when only the marker was written anew.
    let marker = key(&server, "*:bucket");
    server
        .cli(&["SET", &marker, &Authority([8; 16]).to_string()])
        .unwrap();
    assert_eq!(fence(&mut held, &stranger).await, Fence::Authority);
    server.cli(&["SET", &marker, &AUTHORITY.to_string()]).unwrap();
    assert_eq!(held.take(&fenced, 1).await, 4);
}

#[tokio::test]
async fn a_full_stream_stops_drawing_until_it_is_drained() {
    let server = RedisServer::start().unwrap();
    let config: RedisConfig = server.url().parse().unwrap();
    let fenced = connect_with(config.largest_stream(2)).await;
    let mut held = Lender::new(counter(), 1).lend(&fenced, 100).await;
    let draws = [held.draw(1), held.draw(1), held.draw(1)];
    let drawn = fenced.draw(held.counter.bucket(), &draws).await.unwrap();
    assert_eq!(drawn[2], Drawn::StreamFull { entries: 2 });

    let events = fenced.events(held.counter.bucket());
    let page = events.older_than(Duration::ZERO, None, 10).await.unwrap();
    let ids: Vec<_> = page
        .entries
        .iter()
        .map(|entry| entry.as_ref().unwrap().id.clone())
        .collect();
    assert_eq!(events.remove(&page.history, &ids).await.unwrap(), 2);
    assert_eq!(held.take(&fenced, 1).await, 3);
}

#[tokio::test]
async fn numbers_beyond_2_to_the_53_are_exact() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    for first in [
        (1 << 53) - 2,
        999_999_998,
        9_999_999_999_999_999,
        i64::MAX as u64 - 12,
    ] {
        let counter = counter_of("BIG", &first.to_string());
        let mut held = Lender::new(counter.clone(), first).lend(&fenced, 12).await;
        assert_eq!(held.take(&fenced, 1).await, first);
        assert_eq!(held.take(&fenced, 1).await, first + 1);
        assert_eq!(held.take(&fenced, 9).await, first + 2);
        let end = Drawn::RangeEnd {
            next: first + 11,
            end: first + 12,
        };
        assert_eq!(held.try_take(&fenced, 2).await, end);
        assert_eq!(held.take(&fenced, 1).await, first + 11);
        held.floor += 1;
        assert_eq!(fence(&mut held, &fenced).await, Fence::Floor);
    }
    let last = counter_of("BIG", "last");
    let mut held = Lender::new(last.clone(), 1).lend(&fenced, 1).await;
    let far = Drawn::RangeEnd { next: 1, end: 2 };
    assert_eq!(held.try_take(&fenced, u64::MAX).await, far);
}

#[tokio::test]
async fn each_counter_of_a_call_has_its_own_answer() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let branches = ["a", "b", "c", "d"].map(|branch| counter_of("INV", branch));
    let [a, b, c, d] = branches;
    let a = Lender::new(a, 1).lend(&fenced, 10).await;
    let b = Lender::new(b, 1000).lend(&fenced, 2).await;
    let mut of_other_epoch = Lender::new(c, 1).lend(&fenced, 10).await;
    of_other_epoch.epoch = 9;
    let never_opened = Held {
        counter: d,
        ..a.clone()
    };
    let draws = [&a, &b, &of_other_epoch, &never_opened, &a].map(|held| held.draw(3));
    let drawn = fenced.draw(a.counter.bucket(), &draws).await.unwrap();
    let first = |drawn: &Drawn| match drawn {
        Drawn::Granted { first, .. } => Some(first.get()),
        _ => None,
    };
    assert_eq!(
        drawn.iter().map(first).collect::<Vec<_>>(),
        [Some(1), None, None, None, Some(4)]
    );
    assert_eq!(
        drawn[1],
        Drawn::RangeEnd {
            next: 1000,
            end: 1002
        }
    );
    assert!(matches!(
        drawn[2],
        Drawn::Fenced(Refused {
            fence: Fence::Epoch,
            ..
        })
    ));
    assert_eq!(drawn[3], Drawn::Missing);
}

#[tokio::test]
async fn a_writable_replica_gives_no_number() {
    let (server, fenced, mut lender, mut held) = begun().await;
    let grant = lender.grant(&fenced, 10).await;
    // Of a primary that is not there: it keeps its data and its history, and only its role has changed.
    let nobody = (server.port() - 1).to_string();
    server.cli(&["CONFIG", "SET", "replica-read-only", "no"]).unwrap();
    server.cli(&["REPLICAOF", server.host(), &nobody]).unwrap();
    assert_eq!(fence(&mut held, &fenced).await, Fence::Role);
    let refused = Fenced::connect(server.url().parse().unwrap(), AUTHORITY, Seed(1)).await;
    assert!(matches!(refused, Err(OpenError::Replica { .. })), "{refused:?}");

    // The connection leads to a replica and is not used again; one that has not noticed it yet is refused by the script.
    server.cli(&["REPLICAOF", "NO", "ONE"]).unwrap();
    let unaware = connect(&server.url()).await;
    server.cli(&["REPLICAOF", server.host(), &nobody]).unwrap();
    assert_eq!(
        fence_of(&unaware.seed(&counter(), &grant).await.unwrap()),
        Fence::Role
    );
}

#[tokio::test]
async fn a_promoted_replica_is_another_history() {
    let (server, fenced, mut lender, mut held) = begun().await;
    let of = format!("{} {}", server.host(), server.port());
    let replica = RedisServer::start_with(&[("replicaof", &of)]).unwrap();
    while replica.cli(&["EXISTS", &key(&server, "*:c:*")]).unwrap() != "1" {
        std::thread::yield_now();
    }
    replica.cli(&["REPLICAOF", "NO", "ONE"]).unwrap();
    let promoted = connect(&replica.url()).await;
    assert_eq!(fence(&mut held, &promoted).await, Fence::History);
    let closed = promoted.close(&counter(), 1, 0).await.unwrap();
    assert!(matches!(
        closed,
        Closed::Fenced(Refused {
            fence: Fence::History,
            ..
        })
    ));
    goes_on_above(&promoted, &mut lender, 3).await;
    drop(fenced);
}

#[tokio::test]
async fn the_first_replica_changes_the_history_and_leaves_no_gap() {
    let (server, _, mut lender, mut held) = begun().await;
    let of = format!("{} {}", server.host(), server.port());
    let replica = RedisServer::start_with(&[("replicaof", &of)]).unwrap();
    while replica.info("master_link_status").unwrap() != "up" {
        std::thread::yield_now();
    }
    let fenced = connect(&server.url()).await;
    assert_eq!(fence(&mut held, &fenced).await, Fence::History);
    let closed = fenced.close(&counter(), 1, held.floor).await.unwrap();
    assert_eq!(closed, Closed::Done { next: 4 });
    goes_on_above(&fenced, &mut lender, 3).await;
}

#[tokio::test]
async fn a_primary_that_was_a_replica_meanwhile_cannot_close() {
    let server = RedisServer::start().unwrap();
    let of = format!("{} {}", server.host(), server.port());
    let behind = RedisServer::start_with(&[("replicaof", &of)]).unwrap();
    while behind.info("master_link_status").unwrap() != "up" {
        std::thread::yield_now();
    }
    let fenced = connect(&server.url()).await;
    let mut held = Lender::new(counter(), 1).lend(&fenced, 100).await;
    assert_eq!(held.take(&fenced, 3).await, 1);
    // It is left behind with the first three numbers, and given back to the primary, which goes on with its data.
    while behind.cli(&["HGET", &key(&server, "*:c:*"), "n"]).unwrap() != "4" {
        std::thread::yield_now();
    }
    behind.cli(&["REPLICAOF", "NO", "ONE"]).unwrap();
    assert_eq!(held.take(&fenced, 2).await, 4);
    drop(fenced);
    server
        .cli(&["REPLICAOF", behind.host(), &behind.port().to_string()])
        .unwrap();
    while server.info("master_link_status").unwrap() != "up" {
        std::thread::yield_now();
    }
    server.cli(&["REPLICAOF", "NO", "ONE"]).unwrap();
    // The same process, again a primary: but what it holds is what the other had.
    let fenced = connect(&server.url()).await;
    let closed = fenced.close(&counter(), 1, 0).await.unwrap();
    assert!(
        matches!(
            closed,
            Closed::Fenced(Refused {
                fence: Fence::Memory,
                ..
            })
        ),
        "{closed:?} {held:?}"
    );
}

#[tokio::test]
async fn a_retired_history_is_never_used_again() {
    let (mut server, fenced, mut lender, held) = begun().await;
    let bucket = held.counter.bucket();
    let history = fenced.server(bucket).await.unwrap().history;
    fenced.retire(counter().bucket(), &history, 0);
    let draw = async || fenced.draw(bucket, &[held.draw(1)]).await.unwrap_err();
    // Until it has connected again, and found the same server.
    loop {
        let fault = draw().await;
        assert_eq!(fault.certainty(), Certainty::NotIssued, "{fault}");
        if matches!(&fault, Fault::Away(error) if matches!(**error, OpenError::Retired { .. })) {
            break;
        }
        tokio::task::yield_now().await;
    }
    server.kill().unwrap();
    server.start_again().unwrap();
    assert_ne!(fenced.server(bucket).await.unwrap().history, history);
    goes_on_above(&fenced, &mut lender, 3).await;
}

#[tokio::test]
async fn an_idle_counter_takes_less_than_500_bytes() {
    const COUNTERS: u64 = 100_000;
    /// One above a power of two, where the tables of Lua have just doubled.
    const REMEMBERED: u64 = 4_097;
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let first = (1 << 62) + 1;
    let mut held = Lender::new(counter(), first).lend(&fenced, 10_000).await;
    assert_eq!(held.take(&fenced, 1).await, first);
    let used = |field: &str| server.info(field).unwrap().parse::<u64>().unwrap();
    let before = used("used_memory");
    // Counters like this one, under names as long as its own.
    let copy = "for i = 1, ARGV[1] do \
                redis.call('COPY', KEYS[1], KEYS[1]:sub(1, -33) .. string.format('%032x', i)) end";
    let name = key(&server, "*:c:*");
    server
        .cli(&["EVAL", copy, "1", &name, &COUNTERS.to_string()])
        .unwrap();
    assert_eq!(server.cli(&["DBSIZE"]).unwrap(), (COUNTERS + 3).to_string());
    let of_keys = (used("used_memory") - before) / COUNTERS;

    let before = used("used_memory_vm_functions");
    for n in 0..REMEMBERED {
        let counter = counter_of("INV", &n.to_string());
        Lender::new(counter, first).lend(&fenced, 10_000).await;
    }
    let of_memory = (used("used_memory_vm_functions") - before) / REMEMBERED;
    println!("a counter has {of_keys} bytes in its key, and {of_memory} in the memory of the functions");
    assert!(
        of_keys + of_memory < 500,
        "{of_keys} and {of_memory} bytes a counter"
    );
}
