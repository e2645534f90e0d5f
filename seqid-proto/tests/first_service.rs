//! Stubs that were made from the first service's proto file read what is written here, and are read.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use prost::Message;

/// The messages of the first service, as its stubs have them.
mod first {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct GetNextRequest {
        #[prost(string, tag = "1")]
        pub(super) prefix: String,
        #[prost(string, tag = "2")]
        pub(super) client_id: String,
        #[prost(string, tag = "3")]
        pub(super) correlation_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct GetNextResponse {
        #[prost(string, tag = "1")]
        pub(super) id: String,
        #[prost(string, tag = "2")]
        pub(super) prefix: String,
        #[prost(int64, tag = "3")]
        pub(super) number: i64,
        #[prost(string, tag = "4")]
        pub(super) issued_at: String,
        #[prost(string, tag = "5")]
        pub(super) event_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct GetNextBatchRequest {
        #[prost(string, tag = "1")]
        pub(super) prefix: String,
        #[prost(int32, tag = "2")]
        pub(super) count: i32,
        #[prost(string, tag = "3")]
        pub(super) client_id: String,
        #[prost(string, tag = "4")]
        pub(super) correlation_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct GetNextBatchResponse {
        #[prost(string, repeated, tag = "1")]
        pub(super) ids: Vec<String>,
        #[prost(string, tag = "2")]
        pub(super) prefix: String,
        #[prost(int64, tag = "3")]
        pub(super) first: i64,
        #[prost(int64, tag = "4")]
        pub(super) last: i64,
        #[prost(int32, tag = "5")]
        pub(super) count: i32,
        #[prost(string, tag = "6")]
        pub(super) issued_at: String,
        #[prost(string, tag = "7")]
        pub(super) batch_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ResetCounterRequest {
        #[prost(string, tag = "1")]
        pub(super) prefix: String,
        #[prost(int64, tag = "2")]
        pub(super) new_value: i64,
        #[prost(string, tag = "3")]
        pub(super) reason: String,
        #[prost(string, tag = "4")]
        pub(super) client_id: String,
        #[prost(string, tag = "5")]
        pub(super) correlation_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ResetCounterResponse {
        #[prost(bool, tag = "1")]
        pub(super) success: bool,
        #[prost(string, tag = "2")]
        pub(super) message: String,
        #[prost(int64, tag = "3")]
        pub(super) old_value: i64,
        #[prost(int64, tag = "4")]
        pub(super) new_value: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct GetStatusRequest {
        #[prost(string, tag = "1")]
        pub(super) prefix: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct GetStatusResponse {
        #[prost(string, tag = "1")]
        pub(super) prefix: String,
        #[prost(int64, tag = "2")]
        pub(super) current_counter: i64,
        #[prost(bool, tag = "3")]
        pub(super) is_active: bool,
        #[prost(string, tag = "4")]
        pub(super) last_generated: String,
        #[prost(int64, tag = "5")]
        pub(super) total_generated: i64,
    }
}

/// What the other side reads of a message.
fn read<T: Message + Default>(message: &impl Message) -> T {
    T::decode(message.encode_to_vec().as_slice()).unwrap()
}

#[test]
fn their_requests_are_read_here() {
    let next: seqid_proto::GetNextRequest = read(&first::GetNextRequest {
        prefix: "INV".into(),
        client_id: "erp".into(),
        correlation_id: "c-1".into(),
    });
    assert_eq!(
        next,
        seqid_proto::GetNextRequest {
            prefix: "INV".into(),
            client_id: "erp".into(),
            request_id: "c-1".into(),
            ..Default::default()
        }
    );
    let batch: seqid_proto::GetNextBatchRequest = read(&first::GetNextBatchRequest {
        prefix: "INV".into(),
        count: 5,
        client_id: "erp".into(),
        correlation_id: "c-1".into(),
    });
    assert_eq!(
        (batch.count, batch.client_id.as_str(), batch.request_id.as_str()),
        (5, "erp", "c-1")
    );
    let reset: seqid_proto::ResetCounterRequest = read(&first::ResetCounterRequest {
        prefix: "INV".into(),
        new_value: 1000,
        reason: "Year reset".into(),
        client_id: "erp".into(),
        correlation_id: "c-1".into(),
    });
    assert_eq!((reset.new_value, reset.reason.as_str()), (1000, "Year reset"));
    assert_eq!(
        (reset.client_id.as_str(), reset.request_id.as_str()),
        ("erp", "c-1")
    );
    let status: seqid_proto::GetStatusRequest = read(&first::GetStatusRequest { prefix: "INV".into() });
    assert_eq!(status.prefix, "INV");
}

#[test]
fn our_answers_are_read_there() {
    let next: first::GetNextResponse = read(&seqid_proto::GetNextResponse {
        id: "INV-001".into(),
        prefix: "INV".into(),
        number: i64::MAX,
        issued_at: "2026-03-07T10:00:00.000000Z".into(),
        request_id: "r".into(),
        period: "all".into(),
        mode: "gapless".into(),
        ..Default::default()
    });
    assert_eq!(
        next,
        first::GetNextResponse {
            id: "INV-001".into(),
            prefix: "INV".into(),
            number: i64::MAX,
            issued_at: "2026-03-07T10:00:00.000000Z".into(),
            event_id: "r".into(),
        }
    );
    let batch: first::GetNextBatchResponse = read(&seqid_proto::GetNextBatchResponse {
        ids: vec!["INV-001".into(), "INV-002".into()],
        prefix: "INV".into(),
        first: 1,
        last: 2,
        count: 2,
        issued_at: "2026-03-07T10:00:00.000000Z".into(),
        request_id: "r".into(),
        step: 1,
        ..Default::default()
    });
    assert_eq!(
        (batch.ids.len(), batch.first, batch.last, batch.count),
        (2, 1, 2, 2)
    );
    assert_eq!(batch.batch_id, "r");
    let reset: first::ResetCounterResponse = read(&seqid_proto::ResetCounterResponse {
        success: true,
        message: "done".into(),
        old_value: 1,
        new_value: 1000,
        replayed: true,
        ..Default::default()
    });
    assert_eq!((reset.success, reset.old_value, reset.new_value), (true, 1, 1000));
    let status: first::GetStatusResponse = read(&seqid_proto::GetStatusResponse {
        prefix: "INV".into(),
        current_counter: 41,
        is_active: true,
        total_generated: 41,
        max: 99,
        ..Default::default()
    });
    assert_eq!((status.current_counter, status.is_active), (41, true));
    assert_eq!((status.last_generated.as_str(), status.total_generated), ("", 41));
}
