//! A service that is asked over TLS. The certificates are those of the tests of seqid-client.

use crate::running::{run, seqid};

#[cfg(feature = "tls")]
use crate::running::Place;

#[test]
fn a_file_without_certificates_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "nothing").unwrap();
    let mut command = seqid();
    command.args(["next", "INV", "--url", "http://127.0.0.1:1", "--ca-file"]);
    run(command.arg(&path)).told(2, &["--ca-file: ", "BEGIN CERTIFICATE"]);
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_build_without_tls_says_how_to_get_it() {
    let ended = run(seqid().args(["next", "INV", "--url", "https://127.0.0.1:1"]));
    ended.told(2, &["--url: ", "built without", "feature `tls`"]);
}

#[cfg(feature = "tls")]
#[test]
fn a_service_is_asked_over_tls_where_its_certificate_is_vouched_for() {
    let place = Place::service();
    let service = place.served();
    let url = service.encrypted(
        include_str!("../../../seqid-client/tests/behaviour/certificates/service.pem"),
        include_str!("../../../seqid-client/tests/behaviour/certificates/service-key.pem"),
    );
    let certificates = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../seqid-client/tests/behaviour/certificates"
    );
    let next = |authority: &str| {
        let mut command = seqid();
        command
            .env("SEQID_URL", &url)
            .env("SEQID_CA_FILE", format!("{certificates}/{authority}"));
        run(command.args(["next", "INV", "--timeout", "3s"]))
    };
    let drawn = next("authority.pem");
    assert_eq!(
        (drawn.code, drawn.stdout.as_str()),
        (Some(0), "INV-001\n"),
        "{drawn:?}"
    );
    next("other-authority.pem").told(3, &["UnknownIssuer", "Nothing was issued"]);
    assert_eq!(place.json(&["status", "INV"])["next_number"], 2);
}
