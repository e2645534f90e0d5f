use seqid_proto::void_request::Target;
use seqid_proto::{
    Counter, Event, GetCheckpointRequest, ListGapsRequest, QueryAuditRequest, QueryAuditResponse,
    SyncRequest, VoidRequest,
};
use tonic::Streaming;

use crate::desk::{Desk, told};

async fn whole(mut parts: Streaming<QueryAuditResponse>) -> (Vec<Event>, Option<u64>) {
    let (mut events, mut next) = (Vec::new(), None);
    while let Some(part) = parts.message().await.unwrap() {
        events.extend(part.events);
        next = part.next;
    }
    (events, next)
}

fn numbers(events: &[Event]) -> Vec<i64> {
    events.iter().filter_map(|event| event.first).collect()
}

fn of(prefix: &str) -> QueryAuditRequest {
    QueryAuditRequest {
        prefix: prefix.into(),
        ..QueryAuditRequest::default()
    }
}

#[tokio::test]
async fn all_events_come_oldest_first_and_a_limit_makes_a_page() {
    let desk = Desk::open().await;
    for _ in 0..1_500 {
        desk.next("INV").await.unwrap();
    }
    let mut client = desk.client.clone();
    let (events, next) = whole(client.query_audit(of("INV")).await.unwrap().into_inner()).await;
    assert_eq!((numbers(&events), next), ((1..=1_500).collect(), None));
    let mut page = of("INV");
    page.limit = Some(2);
    let (events, next) = whole(client.query_audit(page.clone()).await.unwrap().into_inner()).await;
    assert_eq!(numbers(&events), [1_500, 1_499]);
    page.after = next;
    let (events, _) = whole(client.query_audit(page.clone()).await.unwrap().into_inner()).await;
    assert_eq!(numbers(&events), [1_498, 1_497]);
    page.oldest_first = true;
    page.after = Some(events[0].position);
    let (events, _) = whole(client.query_audit(page).await.unwrap().into_inner()).await;
    assert_eq!(numbers(&events), [1_499, 1_500]);
}

#[tokio::test]
async fn a_follower_gets_what_comes_until_the_stop() {
    let desk = Desk::open().await;
    desk.next("INV").await.unwrap();
    let mut follow = of("INV");
    follow.follow = true;
    follow.kinds = vec!["issued".into()];
    let mut parts = desk
        .client
        .clone()
        .query_audit(follow)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(numbers(&parts.message().await.unwrap().unwrap().events), [1]);
    desk.next("INV").await.unwrap();
    assert_eq!(numbers(&parts.message().await.unwrap().unwrap().events), [2]);
    desk.stop();
    assert_eq!(told(&parts.message().await.unwrap_err()).1, "draining");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_is_sent() {
    let desk = Desk::open().await;
    let mut client = desk.client.clone();
    let mut both = of("INV");
    (both.follow, both.limit) = (true, Some(1));
    let mut kind = of("INV");
    kind.kinds = vec!["sold".into()];
    let mut scope = of("");
    scope.period = Some("2026".into());
    for wrong in [both, kind, scope] {
        let refused = client.query_audit(wrong.clone()).await.unwrap_err();
        assert_eq!(told(&refused).1, "invalid-request", "{wrong:?}");
    }
}

#[tokio::test]
async fn gaps_are_told_with_their_report() {
    let desk = Desk::open().await;
    let mut client = desk.client.clone();
    let counter = Counter {
        prefix: "INV".into(),
        ..Counter::default()
    };
    desk.next("INV").await.unwrap();
    let void = VoidRequest {
        target: Some(Target::Id("INV-001".into())),
        reason: "printed twice".into(),
        ..VoidRequest::default()
    };
    client.void(void).await.unwrap();
    let sync = SyncRequest {
        counter: Some(counter.clone()),
        last_used: 10,
        ..SyncRequest::default()
    };
    client.sync(sync).await.unwrap();
    let mut list = ListGapsRequest {
        counter: Some(counter),
        ..ListGapsRequest::default()
    };
    let mut parts = client.list_gaps(list.clone()).await.unwrap().into_inner();
    let part = parts.message().await.unwrap().unwrap();
    assert_eq!(part.report.unwrap().offered, 10);
    let told: Vec<_> = part
        .gaps
        .iter()
        .map(|gap| (gap.first, gap.count, gap.state.as_str()))
        .collect();
    assert_eq!(told, [(1, 1, "voided"), (2, 9, "external")]);
    assert_eq!(parts.message().await.unwrap(), None);
    list.limit = Some(1);
    let mut parts = client.list_gaps(list.clone()).await.unwrap().into_inner();
    let part = parts.message().await.unwrap().unwrap();
    assert_eq!((part.gaps.len(), part.next.is_some()), (1, true));
    list.after = part.next;
    let mut parts = client.list_gaps(list).await.unwrap().into_inner();
    let part = parts.message().await.unwrap().unwrap();
    assert_eq!((part.gaps.len(), part.gaps[0].first), (1, 2));
    assert_eq!(desk.next_number("INV").await, Some(11));
}

#[tokio::test]
async fn a_checkpoint_is_a_line_of_json() {
    let desk = Desk::open().await;
    desk.next("INV").await.unwrap();
    let answer = desk
        .client
        .clone()
        .get_checkpoint(GetCheckpointRequest {})
        .await
        .unwrap();
    let line = answer.into_inner().checkpoint;
    assert!(
        seqid_core::checkpoint::Checkpoint::from_json(&line).is_ok(),
        "{line}"
    );
}
