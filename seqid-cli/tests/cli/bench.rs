//! `bench`: its figures add up.

use std::fs;

use serde_json::Value;

use crate::running::Place;

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

#[test]
fn the_figures_add_up_and_the_numbers_are_real() {
    for place in Place::both() {
        let report = place.json(&[
            "bench",
            "--callers",
            "4",
            "--duration",
            "1s",
            "--batch",
            "3",
            "--plot",
            "load.svg",
        ]);
        let draws = count(&report["draws"]);
        assert!(draws > 0, "{report}");
        let points = report["points"].as_array().unwrap();
        assert_eq!(
            points.iter().map(|point| count(&point["draws"])).sum::<u64>(),
            draws
        );
        assert!(points.iter().map(|point| count(&point["ms"])).is_sorted());
        assert_eq!(count(&points.last().unwrap()["ms"]), count(&report["elapsed_ms"]));
        assert!(
            count(&report["load_ms"]) >= 1_000 && count(&report["elapsed_ms"]) >= count(&report["load_ms"])
        );
        assert_eq!(count(&report["numbers"]), 3 * draws);
        assert_eq!(count(&report["latency_us"]["count"]), draws);
        let waits =
            ["min", "p50", "p90", "p99", "p999", "max"].map(|name| count(&report["latency_us"][name]));
        assert!(waits[0] >= 1 && waits.is_sorted(), "{waits:?}");
        let seconds = report["elapsed_ms"].as_f64().unwrap() / 1_000.0;
        let rate = report["draws_per_second"].as_f64().unwrap();
        assert!((rate * seconds / draws as f64 - 1.0).abs() < 0.01, "{report}");
        assert_eq!(report["failed"], serde_json::json!({}));

        // The first draw is made to see whether the request is right.
        let status = place.json(&["status", "BENCH"]);
        assert_eq!(count(&status["last_number"]), 3 * (draws + 1));
        let svg = fs::read_to_string(place.folder().join("load.svg")).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}

#[test]
fn people_get_a_summary_and_keys_are_sent_where_they_are_asked_for() {
    let place = Place::service();
    let text = place.prints(&[
        "bench",
        "LOAD",
        "--callers",
        "2",
        "--duration",
        "1s",
        "--with-keys",
    ]);
    assert!(text.contains("2 callers on LOAD of http://"), "{text}");
    assert!(text.contains("a second") && text.contains("p99 "), "{text}");
    let event = place.json(&["audit", "LOAD", "--limit", "1"]);
    assert!(event["idempotency_key"].is_string(), "{event}");
    Place::file()
        .run(&["bench", "--with-keys"])
        .told(2, &["--with-keys"]);
}

#[test]
fn what_cannot_be_drawn_is_no_load() {
    let place = Place::service();
    place.prints(&[
        "define",
        "S",
        "--format",
        "S{branch}-{seq:3}",
        "--scope",
        "branch",
    ]);
    place.run(&["bench", "S"]).told(1, &["branch"]);
}
