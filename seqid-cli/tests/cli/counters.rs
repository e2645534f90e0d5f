//! `status`, `list`, `reset`, `sync`, `gaps`, `define`, `preview`, `parse`.

use std::fs;

use serde_json::{Value, json};

use crate::running::Place;

#[test]
fn status_says_what_comes_next() {
    for place in Place::both() {
        place.prints(&["batch", "INV", "4"]);
        let text = place.prints(&["status", "INV"]);
        assert!(text.contains("next id      INV-005\n"), "{text}");
        assert!(text.contains("last number  4\n"), "{text}");
        let of_period = place.run(&["status", "INV", "--period", "2026-03"]);
        of_period.told(1, &["2026-03"]);
        assert_eq!(
            place
                .run(&["status", "INV", "--period", "all", "--date", "2026-03-01"])
                .code,
            Some(2)
        );
    }
}

#[test]
fn lists_have_a_row_or_a_line_for_each() {
    for place in Place::both() {
        for (prefix, format) in [("A", "A-{yyyy}-{seq}"), ("B", "B-{yyyy}-{seq}")] {
            place.prints(&["define", prefix, "--format", format, "--reset", "year"]);
        }
        for date in ["2025-05-05", "2026-05-05", "2027-05-05"] {
            place.prints(&["next", "A", "--date", date]);
        }
        let text = place.prints(&["list"]);
        assert!(text.starts_with("PREFIX") && text.lines().count() == 3, "{text}");
        let text = place.prints(&["list", "A"]);
        assert!(text.starts_with("PERIOD") && text.lines().count() == 4, "{text}");
        let lines = place.prints(&["list", "A", "--json"]);
        let periods = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["period"].clone());
        assert_eq!(periods.collect::<Vec<_>>(), ["2025", "2026", "2027"]);
        assert_eq!(place.prints(&["--tenant", "acme", "list", "--json"]), "");
    }
}

#[test]
fn counters_are_moved_and_the_gaps_say_why() {
    for place in Place::both() {
        place.prints(&["batch", "INV", "4"]);
        let text = place.prints(&["reset", "INV", "10", "--reason", "forms begin with 10"]);
        assert_eq!(text, "INV all: next is 10, was 5\n");
        let text = place.prints(&["sync", "INV", "19", "--reason", "old system"]);
        assert_eq!(text, "INV all: next is 20, was 10\n");
        let moved = place.json(&["sync", "INV", "19"]);
        assert_eq!(
            (&moved["next_number"], &moved["next_id"]),
            (&json!(20), &json!("INV-020"))
        );
        place
            .run(&["reset", "INV", "1", "--reason", "again"])
            .told(1, &["repeat"]);

        let text = place.prints(&["gaps", "INV"]);
        assert!(text.contains("INV-005  INV-009  5      skipped"), "{text}");
        assert!(
            text.ends_with("1 to 19: 19 numbers, issued 4, skipped 5, external 10.\n"),
            "{text}"
        );
        let report = place.json(&["gaps", "INV"]);
        let count = |member: &str| report["summary"][member].as_u64().unwrap();
        assert_eq!(
            count("issued") + count("skipped") + count("external"),
            count("count")
        );
        assert_eq!(report["gaps"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn repeats_are_accepted_where_nobody_forbids_them() {
    let place = Place::file();
    place.prints(&["batch", "INV", "2"]);
    let reset = ["reset", "INV", "1", "--reason", "training is over"];
    place.run(&reset).told(1, &["repeat"]);
    assert_eq!(
        place.run(&[&reset[..], &["--accept-repeats"]].concat()).code,
        Some(0)
    );
    assert_eq!(place.prints(&["next", "INV"]), "INV-001\n");
    let place = Place::service();
    place.prints(&["batch", "INV", "2"]);
    place
        .run(&[&reset[..], &["--accept-repeats"]].concat())
        .told(1, &["SEQID_ALLOW_REPEATS"]);
}

#[test]
fn a_definition_is_checked_and_saved() {
    for place in Place::both() {
        let definition = [
            "define",
            "INV",
            "--format",
            "INV-{yyyy}-{seq:5}",
            "--reset",
            "year",
            "--max",
            "99999",
        ];
        let checked = place.json(&[&definition[..], &["--check"]].concat());
        assert_eq!(
            (&checked["saved"], &checked["created"]),
            (&json!(false), &json!(true))
        );
        let year = checked["first_id"].as_str().unwrap()[4..8].to_owned();
        assert_eq!(checked["last_id"], format!("INV-{year}-99999"));
        let text = place.prints(&[&definition[..], &["--check"]].concat());
        assert!(
            text.contains(&format!("last id         INV-{year}-99999\n")),
            "{text}"
        );
        assert!(text.starts_with("INV: the definition can be saved\n"), "{text}");
        assert_eq!(place.prints(&["list", "--json"]), "", "a check saves nothing");

        assert!(place.prints(&definition).starts_with("INV is defined\n"));
        assert!(
            place
                .prints(&definition)
                .starts_with("INV is defined so already, by version 1\n")
        );
        let change = [
            "define",
            "INV",
            "--format",
            "INV-{yyyy}-{seq:6}",
            "--reset",
            "year",
        ];
        place.run(&change).told(1, &["--if-version"]);
        place
            .run(&[&change[..], &["--if-version", "7"]].concat())
            .told(1, &["version"]);
        let text = place.prints(&[&change[..], &["--if-version", "1"]].concat());
        assert!(text.starts_with("INV has version 2 now"), "{text}");
    }
}

#[test]
fn every_reason_against_a_definition_is_told() {
    for place in Place::both() {
        let wrong = [
            "define",
            "INV",
            "--format",
            "INV-{seq:5}",
            "--reset",
            "year",
            "--scope",
            "branch",
            "--check",
        ];
        place
            .run(&wrong)
            .told(1, &["period-not-printed", "scope-not-printed"]);
        let problem = place.run(&[&wrong[..], &["--json"]].concat()).problem();
        assert_eq!(problem["code"], "definition-refused");
        assert_eq!(problem["errors"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn a_file_has_the_members_and_flags_come_before_it() {
    for place in Place::both() {
        let file = place.folder().join("sinv.toml");
        fs::write(
            &file,
            "format = \"{branch}/{fy}/{seq:4}\"\nreset = \"fiscal_year\"\nfiscal_year_start = \"04-01\"\n\
             scope = [\"branch\"]\nmax = 99\n",
        )
        .unwrap();
        let file = file.to_str().unwrap();
        let defined = place.json(&["define", "SINV", "--from", file, "--max", "500"]);
        assert_eq!(
            (&defined["max"], &defined["definition"]["reset"]),
            (&json!(500), &json!("fiscal_year"))
        );
        let id = place.prints(&["next", "SINV", "--scope", "branch=DEL", "--date", "2026-04-01"]);
        assert_eq!(id, "DEL/2026-27/0001\n");
        for (text, word) in [
            ("format = ", "TOML"),
            ("reset = \"year\"", "format"),
            ("format = \"{seq}\"\ncolour = 1", "colour"),
            ("format = 7", "string"),
        ] {
            fs::write(place.folder().join("wrong.toml"), text).unwrap();
            place
                .run(&["define", "X", "--from", "wrong.toml"])
                .told(2, &[word]);
        }
        place
            .run(&["define", "X", "--from", "missing.toml"])
            .told(2, &["cannot read missing.toml"]);
        place.run(&["define", "X"]).told(2, &["--format"]);
    }
}

#[test]
fn ids_are_previewed_and_read_back() {
    for place in Place::both() {
        place.prints(&[
            "define",
            "INV",
            "--format",
            "INV-{yyyy}-{seq:5}",
            "--reset",
            "year",
        ]);
        let preview = ["preview", "INV", "--number", "42", "--date", "2027-01-01"];
        assert_eq!(place.prints(&preview), "INV-2027-00042\n");
        let text = place.prints(&["parse", "INV-2027-00042"]);
        assert!(
            text.contains("number      42\n") && text.contains("period      2027\n"),
            "{text}"
        );
        place.run(&["parse", "no-id"]).told(1, &["not an id"]);
        let draft = [
            "preview",
            "NEW",
            "--format",
            "{branch}{seq:2}",
            "--reset",
            "never",
            "--number",
            "7",
        ];
        place.run(&draft).told(1, &["branch"]);
        assert_eq!(
            place.prints(&["preview", "NEW", "--format", "N{seq:2}", "--number", "7"]),
            "N07\n"
        );
        assert_eq!(
            place.prints(&["list", "--json"]).lines().count(),
            1,
            "a preview defines nothing"
        );
    }
}
