//! Idempotency keys over crashes and years.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use seqid_core::clock::{Clock, ManualClock, SystemClock};
use seqid_core::command::{Act, Command, Draw, Reply};
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::event::{Fingerprint, Keyed, Origin};
use seqid_core::line::{Line, LineParts, Version};
use seqid_core::names::Tenant;
use seqid_core::store::{CounterStore, DefinitionStore};
use seqid_core::{Definition, IdempotencyKey};
use seqid_sqlite::SqliteConfig;

use crate::child::killed_after;
use crate::office::{Office, block_on, name};

/// How many keys a segment has.
const SEGMENT: u64 = 131_072;

/// Draws of a sequence that is defined, as commands.
pub(crate) struct Keys {
    line: Arc<Line>,
    origin: Arc<Origin>,
}

impl Keys {
    pub(crate) fn of(office: &Office, prefix: &str) -> Self {
        let sequence = SequenceKey::new(Tenant::default(), name(prefix));
        let record = block_on(office.store.sequence(&sequence)).unwrap().unwrap();
        let spec = record.versions[0].spec.clone();
        let definition =
            Definition::check(&sequence.tenant, &sequence.prefix, spec, &Default::default()).unwrap();
        let date = "2026-03-07".parse().unwrap();
        let (scope, fields) = definition
            .resolve(&Default::default(), &Default::default())
            .unwrap();
        let key = CounterKey::new(sequence, scope, definition.period(date).unwrap());
        let version = Version {
            number: 1,
            definition,
        };
        let (head, opened) = (version.clone(), version);
        let line = Line::new(LineParts {
            key,
            head,
            opened,
            date,
            fields,
        })
        .unwrap();
        Self {
            line: Arc::new(line),
            origin: Arc::default(),
        }
    }

    pub(crate) fn command(&self, key: u64) -> Command {
        let draw = Draw {
            line: Arc::clone(&self.line),
            count: 1,
            reference: None,
            relates_to: None,
            hold: None,
        };
        let key = IdempotencyKey::new(&format!("key {key}")).unwrap();
        let keyed = Keyed::new(self.line.key().sequence(), key, Fingerprint([7; 16]));
        Command::new(Act::Draw(draw), Arc::clone(&self.origin)).with_key(Some(keyed))
    }

    /// Draws under the keys of these numbers, which they are given in turn.
    #[track_caller]
    fn draw(&self, office: &Office, numbers: std::ops::Range<u64>) {
        let numbers: Vec<u64> = numbers.collect();
        for part in numbers.chunks(1_024) {
            let commands = part.iter().map(|key| self.command(*key)).collect();
            for (key, reply) in part.iter().zip(block_on(office.store.apply(commands))) {
                match reply.unwrap() {
                    Reply::Granted(granted) => assert_eq!(granted.run.first.get(), *key),
                    reply => panic!("{reply:?}"),
                }
            }
        }
    }

    /// Each of these keys is answered with its number.
    #[track_caller]
    fn are_known(&self, office: &Office, keys: impl IntoIterator<Item = u64>) {
        let keys: Vec<u64> = keys.into_iter().collect();
        for part in keys.chunks(1_024) {
            let commands = part.iter().map(|key| self.command(*key)).collect();
            for (key, reply) in part.iter().zip(block_on(office.store.apply(commands))) {
                match reply.unwrap() {
                    Reply::Replayed(event) => assert_eq!(event.run.unwrap().first.get(), *key),
                    reply => panic!("key {key}: {reply:?}"),
                }
            }
        }
    }
}

/// Draws the first number, without a key.
fn begin(file: &Path) -> (Office, Keys) {
    let office = Office::open(file);
    assert_eq!(office.draw("INV").unwrap(), 1);
    let keys = Keys::of(&office, "INV");
    (office, keys)
}

fn segments(file: &Path) -> (u64, u64) {
    let count = "SELECT (SELECT count(*) FROM segment), (SELECT count(*) FROM segment_part)";
    let connection = Connection::open(file).unwrap();
    let counts: (i64, i64) = connection
        .query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    (counts.0.cast_unsigned(), counts.1.cast_unsigned())
}

#[test]
fn keys_are_known_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    assert_eq!(office.draw_keyed("INV", "a").unwrap(), (1, false));
    assert_eq!(office.draw_keyed("ORD", "a").unwrap(), (1, false));
    assert_eq!(office.draw_keyed("INV", "A").unwrap(), (2, false));
    office.close();
    let office = Office::open(&file);
    assert_eq!(office.draw_keyed("INV", "a").unwrap(), (1, true));
    assert_eq!(office.draw_keyed("ORD", "a").unwrap(), (1, true));
    assert_eq!(office.draw_keyed("INV", "A").unwrap(), (2, true));
    assert_eq!(office.draw_keyed("INV", "b").unwrap(), (3, false));
    office.audit();
}

/// One test, for it takes many keys: a crash in the middle of sealing, then sealed segments.
#[test]
fn keys_are_known_whether_they_are_in_memory_half_sealed_or_sealed() {
    let folder = killed_after(|folder| {
        let (office, keys) = begin(&folder.join("seqid.db"));
        keys.draw(&office, 2..SEGMENT + 5_000);
        office
    });
    let file = folder.path().join("seqid.db");
    let (whole, half) = segments(&file);
    assert!(
        whole == 0 && half > 0 && half < SEGMENT,
        "sealing had begun: {half}"
    );
    let office = Office::open(&file);
    assert_eq!(segments(&file), (0, 0), "what was half sealed is begun anew");
    let keys = Keys::of(&office, "INV");
    keys.are_known(
        &office,
        (2..SEGMENT + 5_000)
            .step_by(1_000)
            .chain([SEGMENT, SEGMENT + 4_999]),
    );
    keys.draw(&office, SEGMENT + 5_000..SEGMENT + SEGMENT / 2 + 10_000);
    assert_eq!(segments(&file).0, 1);
    let all = || {
        (2..SEGMENT + SEGMENT / 2 + 10_000)
            .step_by(999)
            .chain([2, SEGMENT, SEGMENT + SEGMENT / 2 + 9_999])
    };
    keys.are_known(&office, all());
    office.close();
    let office = Office::open(&file);
    keys.are_known(&office, all());
    assert_eq!(segments(&file).0, 1);
    let drawn = SEGMENT + SEGMENT / 2 + 9_999;
    assert_eq!(office.draw("INV").unwrap(), drawn + 1);
}

#[test]
fn a_key_is_forgotten_after_its_retention_and_not_before() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig::new(folder.path().join("seqid.db")).key_retention(10 * DAY);
    let begin = SystemClock.now();
    let clock = Arc::new(ManualClock::new(begin));
    let open = || Office::try_open_with(&config, clock.clone()).unwrap();
    let office = open();
    assert_eq!(office.draw_keyed("INV", "a").unwrap(), (1, false));
    clock.set(begin.saturating_add(10 * DAY));
    assert_eq!(office.draw_keyed("INV", "a").unwrap(), (1, true));
    office.close();
    let office = open();
    assert_eq!(office.draw_keyed("INV", "a").unwrap(), (1, true));
    clock.set(begin.saturating_add(10 * DAY + Duration::from_micros(1)));
    assert_eq!(office.draw_keyed("INV", "a").unwrap(), (2, false));
    assert_eq!(office.draw_keyed("INV", "a").unwrap(), (2, true));
    office.close();
    let office = open();
    assert_eq!(office.draw_keyed("INV", "a").unwrap(), (2, true));
    clock.set(begin.saturating_add(30 * DAY));
    assert_eq!(office.draw_keyed("INV", "a").unwrap(), (3, false));
}

#[test]
fn a_key_whose_answer_was_lost_in_a_crash_is_answered() {
    let folder = killed_after(|folder| {
        let office = Office::open(&folder.join("seqid.db"));
        office.draw_keyed("INV", "a").unwrap();
        office.draw_keyed("INV", "b").unwrap();
        office
    });
    let office = Office::open(&folder.path().join("seqid.db"));
    assert_eq!(office.draw_keyed("INV", "b").unwrap(), (2, true));
    assert_eq!(office.draw_keyed("INV", "a").unwrap(), (1, true));
    assert_eq!(office.draw_keyed("INV", "c").unwrap(), (3, false));
}
