//! Numbers of leased sequences that a client holds: what it hands out, and what the audit says of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use seqid_client::{Client, ClientBuilder, InvalidClient};
use seqid_core::clock::{Seed, SystemClock};
use seqid_core::event::{Event, EventKind, Origin};
use seqid_core::mark::NumberState;
use seqid_core::names::{Label, Number, Reason, Reference};
use seqid_core::numbering::{
    AuditRequest, CounterSelector, DefineRequest, DrawRequest, Gap, Page, ResetRequest,
};
use seqid_core::{Code, DefinitionSpec, IdempotencyKey, Issuer, Leased, MemoryStore, Numbering, Tenant};

use crate::hall::{Instance, PATIENCE, draw, issuer, next_number, prefix};

const MOST: u32 = 64;

/// A service with the sequence `INV`, and a client that may hold numbers.
async fn served(definition: &str) -> (Arc<Issuer>, Instance, Client) {
    let name = Label::new("an-instance").unwrap();
    let store = Leased::new(MemoryStore::default(), name, Arc::new(SystemClock), Seed(1));
    let issuer = Arc::new(Issuer::new(Arc::new(store)));
    let spec: DefinitionSpec = serde_json::from_str(definition).unwrap();
    issuer.define(DefineRequest::new(prefix(), spec)).await.unwrap();
    let instance = Instance::open(Arc::clone(&issuer) as _).await;
    let client = holding(&instance);
    (issuer, instance, client)
}

const LEASED: &str = r#"{"format":"INV-{seq}","mode":"leased"}"#;

fn builder(instance: &Instance) -> ClientBuilder {
    let client = Client::builder().endpoint(instance.url()).patience(PATIENCE);
    client.local_leases(MOST)
}

fn holding(instance: &Instance) -> Client {
    builder(instance).build().unwrap()
}

/// Draws until the client holds numbers. Answers those that it handed out.
async fn draw_until_held(client: &Client, issuer: &Issuer) -> Vec<u64> {
    let mut numbers = Vec::new();
    loop {
        numbers.push(draw(client).await.unwrap());
        if next_number(issuer).await.unwrap() - 1 > numbers.len() as u64 {
            return numbers;
        }
    }
}

async fn gaps(issuer: &Issuer) -> Vec<Gap> {
    let page = Page {
        after: None,
        limit: Page::LARGEST,
    };
    issuer
        .gaps(CounterSelector::new(prefix()), page)
        .await
        .unwrap()
        .gaps
}

/// The numbers that are void, with the reason that this client gives.
async fn voided(issuer: &Issuer) -> Vec<u64> {
    let mut numbers = Vec::new();
    for gap in gaps(issuer).await {
        assert_eq!(gap.state, NumberState::Voided);
        assert_eq!(
            gap.reason.unwrap().as_str(),
            "not used by the client that drew it"
        );
        numbers.extend(gap.run.numbers().map(Number::get));
    }
    numbers
}

async fn events(issuer: &Issuer, kind: EventKind) -> Vec<Event> {
    let mut request = AuditRequest::new(Tenant::default());
    request.kinds = vec![kind];
    request.limit = 1_000;
    let page = issuer.audit(request).await.unwrap();
    page.events.into_iter().map(|recorded| recorded.event).collect()
}

#[tokio::test]
async fn what_is_handed_out_is_issued_and_what_is_left_is_voided_at_a_clean_stop() {
    let (issuer, _instance, client) = served(LEASED).await;
    let handed_out = draw_until_held(&client, &issuer).await;
    client.give_back().await.unwrap();
    let last = next_number(&*issuer).await.unwrap() - 1;
    let unused: Vec<u64> = (1..=last).filter(|number| !handed_out.contains(number)).collect();
    assert!(!unused.is_empty());
    assert_eq!(voided(&issuer).await, unused);
    // Nothing is voided twice, and the client goes on.
    client.give_back().await.unwrap();
    assert_eq!(events(&issuer, EventKind::Voided).await.len(), 1);
    assert_eq!(draw(&client).await.unwrap(), last + 1);
}

#[tokio::test]
async fn concurrent_callers_never_share_a_number_and_few_draws_are_sent() {
    let (issuer, _instance, client) = served(LEASED).await;
    draw(&client).await.unwrap();
    let callers: Vec<_> = (0..32)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut numbers = Vec::new();
                for _ in 0..100 {
                    let issued = client.draw(DrawRequest::new(prefix())).await.unwrap();
                    let number = issued.run.first.get();
                    assert_eq!((issued.run.count, issued.ids), (1, vec![format!("INV-{number}")]));
                    assert!(numbers.last().is_none_or(|last| *last < number));
                    numbers.push(number);
                }
                numbers
            })
        })
        .collect();
    let mut numbers = BTreeSet::from([1]);
    for caller in callers {
        numbers.extend(caller.await.unwrap());
    }
    assert_eq!(numbers.len(), 3_201);
    client.give_back().await.unwrap();
    let voided: BTreeSet<u64> = voided(&issuer).await.into_iter().collect();
    assert!(numbers.is_disjoint(&voided));
    let all: BTreeSet<u64> = (1..next_number(&*issuer).await.unwrap()).collect();
    assert_eq!(numbers.union(&voided).copied().collect::<BTreeSet<_>>(), all);
    let draws = events(&issuer, EventKind::Issued).await;
    assert!(draws.len() < 1_000, "{} draws for 3201 numbers", draws.len());
    assert!(
        draws
            .iter()
            .all(|event| event.run.unwrap().count <= u64::from(MOST))
    );
}

#[test]
fn after_a_crash_what_was_held_stays_issued_to_the_client_and_is_never_given_out_again() {
    let service = tokio::runtime::Runtime::new().unwrap();
    let (issuer, instance, _) = service.block_on(served(LEASED));
    let crashing = tokio::runtime::Runtime::new().unwrap();
    // Runs bear keys of their own, whatever draws do: only so are they recorded under the name of the client.
    let client = crashing.block_on(async { builder(&instance).keys(false).build().unwrap() });
    let origin = || Origin {
        client: Some(Label::new("till-7").unwrap()),
        ..Origin::default()
    };
    let runs = async || {
        let mut issued = events(&issuer, EventKind::Issued).await;
        issued.retain(|event| event.run.unwrap().count > 1);
        issued
    };
    crashing.block_on(async {
        // One who has just been given the first number of a run leaves the others.
        while runs().await.is_empty() {
            let mut request = DrawRequest::new(prefix());
            request.origin = origin();
            client.draw(request).await.unwrap();
        }
    });
    // The runtime is gone at once, and with it whoever could void anything.
    crashing.shutdown_background();
    drop(client);
    service.block_on(async {
        let before = events(&issuer, EventKind::Voided).await;
        let run = runs().await.remove(0);
        assert_eq!(run.origin.client, origin().client);
        assert!(run.key.is_some());
        let last = run.run.unwrap().last().get();
        assert!(draw(&holding(&instance)).await.unwrap() > last);
        assert_eq!(events(&issuer, EventKind::Voided).await, before);
    });
}

#[tokio::test]
async fn whoever_drops_the_last_clone_gives_back_too() {
    let (issuer, _instance, client) = served(LEASED).await;
    let handed_out = draw_until_held(&client, &issuer).await;
    drop(client);
    wait_for_voided(&issuer, handed_out.len()).await;
}

#[tokio::test]
async fn what_nobody_draws_for_a_second_is_voided() {
    let (issuer, _instance, client) = served(LEASED).await;
    let handed_out = draw_until_held(&client, &issuer).await;
    wait_for_voided(&issuer, handed_out.len()).await;
    let next = next_number(&*issuer).await.unwrap();
    assert_eq!(draw(&client).await.unwrap(), next);
}

/// Until every number but those that were handed out is void.
async fn wait_for_voided(issuer: &Issuer, handed_out: usize) {
    let left = next_number(issuer).await.unwrap() - 1 - handed_out as u64;
    let voids = async {
        while (voided(issuer).await.len() as u64) < left {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, voids).await.unwrap();
    assert_eq!(voided(issuer).await.len() as u64, left);
}

#[tokio::test]
async fn what_the_audit_is_to_have_by_itself_is_drawn_by_itself() {
    let (issuer, _instance, client) = served(LEASED).await;
    draw_until_held(&client, &issuer).await;
    let plain = || DrawRequest::new(prefix());
    let keyed = plain().key(IdempotencyKey::new("order-1").unwrap());
    let mut referenced = plain();
    referenced.reference = Some(Reference::new("order-2").unwrap());
    let mut named = plain();
    named.origin.request = Some(Label::new("request-3").unwrap());
    for request in [keyed, referenced, named, plain().count(3)] {
        let next = next_number(&*issuer).await.unwrap();
        let issued = client.draw(request.clone()).await.unwrap();
        assert!(
            issued.run.first.get() >= next,
            "{request:?} was given what was held"
        );
        assert_eq!(issued.run.count, request.count.map_or(1, u64::from));
        assert_eq!(issued.reference, request.reference);
    }
    let again = plain().key(IdempotencyKey::new("order-1").unwrap());
    assert!(client.draw(again).await.unwrap().replayed);
}

#[tokio::test]
async fn a_sequence_of_another_mode_is_drawn_one_by_one() {
    let instance = Instance::open(issuer()).await;
    let client = holding(&instance);
    for number in 1..=50 {
        assert_eq!(draw(&client).await.unwrap(), number);
        assert_eq!(next_number(&client).await, Some(number + 1));
    }
}

#[tokio::test]
async fn the_last_numbers_of_a_counter_are_handed_out_to_the_end() {
    let (issuer, _instance, client) = served(r#"{"format":"INV-{seq}","mode":"leased","max":100}"#).await;
    let mut numbers = BTreeSet::new();
    let exhausted = loop {
        match draw(&client).await {
            Ok(number) => assert!(numbers.insert(number)),
            Err(error) => break error,
        }
    };
    assert_eq!(exhausted.code(), Code::Exhausted);
    let voided: BTreeSet<u64> = voided(&issuer).await.into_iter().collect();
    assert_eq!(numbers.len() + voided.len(), 100);
    assert!(numbers.is_disjoint(&voided));
}

#[tokio::test]
async fn numbers_of_another_generation_are_left_alone() {
    let (issuer, instance, client) = served(LEASED).await;
    let before = draw_until_held(&client, &issuer).await.len();
    let reason = Reason::new("a test").unwrap();
    let mut reset = ResetRequest::new(CounterSelector::new(prefix()), Number::new(1).unwrap(), reason);
    reset.repeats_accepted = true;
    issuer.reset(reset).await.unwrap();
    let voided = events(&issuer, EventKind::Voided).await;
    let other = crate::hall::client(&instance);
    for number in 1..=2 * before as u64 + u64::from(MOST) {
        assert_eq!(draw(&other).await.unwrap(), number);
    }
    client.give_back().await.unwrap();
    assert_eq!(events(&issuer, EventKind::Voided).await, voided);
}

#[tokio::test]
async fn a_client_holds_two_to_ten_thousand_numbers() {
    let client = |most| {
        let client = Client::builder()
            .endpoint("http://127.0.0.1:1")
            .local_leases(most);
        client.build()
    };
    for most in [2, 10_000] {
        assert!(client(most).is_ok());
    }
    for wrong in [0, 1, 10_001] {
        assert!(matches!(client(wrong), Err(InvalidClient::LocalLeases { most }) if most == wrong));
    }
}
