use seqid_proto::{
    ArchiveSequenceRequest, DefineSequenceRequest, ListSequenceVersionsRequest, ListSequencesRequest, Page,
    PreviewRequest,
};

use crate::desk::{Desk, failure, told};

fn define(definition: &str) -> DefineSequenceRequest {
    DefineSequenceRequest {
        prefix: "INV".into(),
        definition: definition.into(),
        ..DefineSequenceRequest::default()
    }
}

#[tokio::test]
async fn a_definition_is_the_json_of_rest() {
    let desk = Desk::open().await;
    let mut client = desk.client.clone();
    let defined = client
        .define_sequence(define(
            r#"{"format":"INV-{yyyy}-{seq:5}","reset":"year","max":"99999"}"#,
        ))
        .await
        .unwrap()
        .into_inner();
    assert!(defined.created && defined.saved);
    let sequence = defined.sequence.unwrap();
    assert_eq!(
        (sequence.version, sequence.max, sequence.longest),
        (1, 99_999, Some(14))
    );
    assert!(
        sequence.definition.contains(r#""mode":"gapless""#),
        "{}",
        sequence.definition
    );
    let mut change = define(r#"{"format":"INV-{yyyy}-{seq:6}","reset":"year"}"#);
    let required = client.define_sequence(change.clone()).await.unwrap_err();
    assert_eq!(
        told(&required),
        (
            tonic::Code::FailedPrecondition,
            "version-required".into(),
            "no".into()
        )
    );
    change.if_version = Some(7);
    let stale = client.define_sequence(change.clone()).await.unwrap_err();
    assert_eq!(told(&stale).0, tonic::Code::Aborted);
    change.if_version = Some(1);
    client.define_sequence(change).await.unwrap();
    let versions = ListSequenceVersionsRequest {
        prefix: "INV".into(),
        ..ListSequenceVersionsRequest::default()
    };
    let versions = client
        .list_sequence_versions(versions)
        .await
        .unwrap()
        .into_inner()
        .versions;
    let changes: Vec<_> = versions[1]
        .changes
        .iter()
        .map(|change| change.member.as_str())
        .collect();
    assert_eq!(changes, ["format", "max", "largest_gap"]);
    assert_eq!(versions[1].changes[0].before, r#""INV-{yyyy}-{seq:5}""#);
    let archive = ArchiveSequenceRequest {
        prefix: "INV".into(),
        reason: "replaced".into(),
        ..ArchiveSequenceRequest::default()
    };
    let archived = client.archive_sequence(archive).await.unwrap().into_inner();
    assert!(archived.sequence.unwrap().archived && !archived.repeated);
    assert_eq!(told(&desk.next("INV").await.unwrap_err()).1, "sequence-archived");
}

#[tokio::test]
async fn what_is_wrong_with_a_definition_is_told_with_its_place() {
    let desk = Desk::open().await;
    let mut client = desk.client.clone();
    for (definition, code, pointer) in [
        (
            r#"{"format":"{yyyy}-{seq:4}","reset":"month"}"#,
            "definition-refused",
            "/format",
        ),
        (
            r#"{"format":"{seq}","pad":5}"#,
            "invalid-request",
            "/definition/pad",
        ),
        (
            r#"{"format":"{seq}","max":-1}"#,
            "invalid-request",
            "/definition/max",
        ),
        (r#"["{seq}"]"#, "invalid-request", "/definition"),
        (r#"{"format":"{seq}"} x"#, "invalid-request", "/definition"),
        ("", "invalid-request", "/definition"),
    ] {
        let refused = client.define_sequence(define(definition)).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{definition}");
        let failure = failure(&refused);
        assert_eq!(
            (failure.code.as_str(), failure.errors[0].pointer.as_str()),
            (code, pointer)
        );
    }
}

#[tokio::test]
async fn a_definition_is_previewed_unsaved() {
    let desk = Desk::open().await;
    let preview = PreviewRequest {
        definition: r#"{"format":"{prefix}/{yyyy}/{seq:4}"}"#.into(),
        number: Some(42),
        date: "2027-01-01".into(),
        ..PreviewRequest::default()
    };
    let preview = desk.client.clone().preview(preview).await.unwrap().into_inner();
    assert_eq!(preview.id.as_deref(), Some("PREFIX/2027/0042"));
}

#[tokio::test]
async fn lists_come_in_parts() {
    let desk = Desk::open().await;
    for prefix in ["A", "B", "C"] {
        desk.next(prefix).await.unwrap();
    }
    let mut client = desk.client.clone();
    let mut list = ListSequencesRequest {
        page: Some(Page {
            limit: Some(2),
            after: None,
        }),
        ..ListSequencesRequest::default()
    };
    let part = client.list_sequences(list.clone()).await.unwrap().into_inner();
    let prefixes: Vec<_> = part
        .sequences
        .iter()
        .map(|sequence| sequence.prefix.as_str())
        .collect();
    assert_eq!(prefixes, ["A", "B"]);
    list.page = Some(Page {
        limit: None,
        after: part.next,
    });
    let part = client.list_sequences(list.clone()).await.unwrap().into_inner();
    assert_eq!((part.sequences[0].prefix.as_str(), part.next), ("C", None));
    list.page = Some(Page {
        limit: Some(1_001),
        after: None,
    });
    let refused = client.list_sequences(list).await.unwrap_err();
    assert_eq!(failure(&refused).errors[0].pointer, "/page/limit");
}
