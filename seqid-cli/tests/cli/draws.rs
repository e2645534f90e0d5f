//! `next`, `batch`, `reserve`, `confirm`, `void`.

use serde_json::json;

use crate::running::Place;

#[test]
fn a_draw_prints_the_id_alone() {
    for place in Place::both() {
        let ended = place.run(&["next", "INV"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "INV-001\n"));
        assert!(ended.stderr.contains("defined by its first draw"), "{ended:?}");
        assert_eq!(
            place.prints(&["batch", "INV", "3"]),
            "INV-002\nINV-003\nINV-004\n"
        );
    }
}

#[test]
fn the_same_key_gets_the_same_number() {
    for place in Place::both() {
        let first = place.prints(&["next", "INV", "--key", "order-1"]);
        let again = place.run(&["next", "INV", "--key", "order-1"]);
        assert_eq!(again.stdout, first);
        assert!(again.stderr.contains("the key was used before"), "{again:?}");
        assert_eq!(place.prints(&["next", "INV"]), "INV-002\n");
        let other = place.run(&["batch", "INV", "2", "--key", "order-1"]);
        other.told(1, &["key"]);
    }
}

#[test]
fn a_document_has_its_date_scope_fields_and_reference() {
    for place in Place::both() {
        let format = ["--format", "{branch}/{clerk}/{yyyy}/{seq:4}", "--reset", "year"];
        place.prints(
            &[
                &["define", "SINV", "--scope", "branch", "--field", "clerk"][..],
                &format,
            ]
            .concat(),
        );
        let draw = [
            "next",
            "SINV",
            "--scope",
            "branch=DEL",
            "--field",
            "clerk=7",
            "--date",
            "2026-04-01",
            "--reference",
            "SO-1",
            "--relates-to",
            "SO-0",
        ];
        let issued = place.json(&draw);
        assert_eq!(issued["id"], "DEL/7/2026/0001");
        assert_eq!(issued["scope"], json!({"branch": "DEL"}));
        assert_eq!(
            (&issued["date"], &issued["reference"]),
            (&json!("2026-04-01"), &json!("SO-1"))
        );
        let event = place.json(&["audit", "SINV", "--kind", "issued", "--limit", "1"]);
        assert_eq!(
            (&event["relates_to"], &event["client"]),
            (&json!("SO-0"), &json!("seqid-cli"))
        );
        let twice = place.run(&["next", "SINV", "--scope", "branch=DEL", "--scope", "branch=BOM"]);
        twice.told(2, &["--scope", "more than once"]);
    }
}

#[test]
fn a_reservation_is_confirmed_or_voided_once() {
    for place in Place::both() {
        let text = place.prints(&["reserve", "INV", "--count", "2", "--ttl", "2h"]);
        assert!(text.contains("INV-001 to INV-002"), "{text}");
        let reservation = text.lines().next().unwrap().split_whitespace().last().unwrap();
        let held = place.json(&["confirm", reservation, "--reference", "SO-1"]);
        assert_eq!((&held["state"], &held["count"]), (&json!("confirmed"), &json!(2)));
        assert!(place.prints(&["confirm", reservation]).contains("confirmed"));
        let too_late = place.run(&["void", "--reservation", reservation, "--reason", "no"]);
        too_late.told(1, &["confirmed"]);

        let reserved = place.json(&["reserve", "INV"]);
        assert_eq!(reserved["id"], "INV-003");
        let reservation = reserved["reservation"].as_str().unwrap();
        let voided = place.json(&[
            "void",
            "--reservation",
            reservation,
            "--reason",
            "draft was dropped",
        ]);
        assert_eq!(
            (&voided["state"], &voided["reason"]),
            (&json!("voided"), &json!("draft was dropped"))
        );
    }
}

#[test]
fn numbers_and_ids_are_voided() {
    for place in Place::both() {
        place.prints(&["batch", "INV", "5"]);
        let voided = place.json(&[
            "void",
            "INV",
            "--number",
            "2",
            "--last",
            "3",
            "--reason",
            "lost forms",
        ]);
        assert_eq!(
            (&voided["first"], &voided["last"], &voided["count"]),
            (&json!(2), &json!(3), &json!(2))
        );
        let reason = ["--reason", "printed twice"];
        assert_eq!(
            place.prints(&[&["void", "--id", "INV-005"][..], &reason].concat()),
            "INV all: 5 void\n"
        );
        assert_eq!(
            place.prints(&[&["void", "--id", "INV-005"][..], &reason].concat()),
            "INV all: 5 void already\n"
        );
        for wrong in [
            &["void", "--reason", "nothing is named"][..],
            &["void", "--number", "1", "--reason", "no prefix"],
            &[
                "void", "INV", "--number", "1", "--id", "INV-001", "--reason", "both",
            ],
            &["void", "INV", "--number", "1"],
            &["void", "--reservation", "xyz", "--reason", "no reservation"],
        ] {
            assert_eq!(place.run(wrong).code, Some(2), "{wrong:?}");
        }
    }
}
