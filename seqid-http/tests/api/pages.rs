//! The pages for users say what is true: their requests are sent, and their answers compared.

use std::time::Duration;

use seqid_core::clock::{Clock, ManualClock};
use serde_json::Value;

use crate::{Answer, Api, api_with_clock};

#[tokio::test]
async fn every_request_of_the_page_on_reservations_is_answered_as_it_says() {
    let reader = Reader::of(include_str!("../../../docs/reservations.md")).await;
    assert!(reader.sent > 10 && reader.compared > 8);
}

#[tokio::test]
async fn every_request_of_the_page_on_gaps_is_answered_as_it_says() {
    let reader = Reader::of(include_str!("../../../docs/gaps.md")).await;
    assert!(reader.sent > 8 && reader.compared > 1);
}

#[tokio::test]
async fn every_request_of_the_page_on_closing_is_answered_as_it_says() {
    let reader = Reader::of(include_str!("../../../docs/closing.md")).await;
    assert!(reader.sent > 12 && reader.compared > 8);
}

#[tokio::test]
async fn every_request_of_the_page_on_adoption_is_answered_as_it_says() {
    let reader = Reader::of(include_str!("../../../docs/adoption.md")).await;
    assert!(reader.sent > 5 && reader.compared > 4);
}

#[tokio::test]
async fn every_request_of_the_page_on_ranges_is_answered_as_it_says() {
    let reader = Reader::of(include_str!("../../../docs/ranges.md")).await;
    assert!(reader.sent > 11 && reader.compared > 6);
}

#[tokio::test]
async fn every_request_of_the_page_for_auditors_is_answered_as_it_says() {
    let reader = Reader::of(include_str!("../../../docs/auditor.md")).await;
    assert!(reader.sent > 11 && reader.compared > 3);
}

/// The fenced blocks of a page, with their language.
fn blocks(page: &str) -> impl Iterator<Item = (&str, &str)> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n'))
}

/// One who does what the page says.
#[derive(Default)]
struct Reader {
    reservation: String,
    last: Option<Answer>,
    sent: usize,
    compared: usize,
}

impl Reader {
    /// Who has done all that a page says.
    async fn of(page: &str) -> Self {
        let (api, clock) = api_with_clock();
        let mut reader = Self::default();
        for (language, block) in blocks(page) {
            match language {
                "sh" => reader.run(&api, &clock, block).await,
                "json" => reader.compare(block),
                _ => {}
            }
        }
        reader
    }

    async fn run(&mut self, api: &Api, clock: &ManualClock, block: &str) {
        for line in block.replace("\\\n", " ").lines() {
            match line.strip_prefix("sleep ") {
                Some(seconds) => {
                    let slept = Duration::from_secs(seconds.parse().unwrap());
                    clock.set(clock.now().saturating_add(slept));
                }
                None => self.send(api, line).await,
            }
        }
    }

    async fn send(&mut self, api: &Api, line: &str) {
        let line = line.replace("$R", &self.reservation);
        let after = |option: &str| line.split_once(option).map(|(_, rest)| rest);
        let word = |text: &str| text.split(' ').next().unwrap().to_owned();
        let quoted = |text: &str| {
            text.trim_start_matches('\'')
                .split('\'')
                .next()
                .unwrap()
                .to_owned()
        };
        let method = after("-X ").map_or("GET".to_owned(), word);
        let path = word(after("localhost:8080").unwrap()).replace('\'', "");
        let body = after("-d ").map_or(String::new(), quoted);
        let headers: Vec<String> = line.split("-H ").skip(1).map(quoted).collect();
        let headers: Vec<_> = headers
            .iter()
            .map(|header| header.split_once(": ").unwrap())
            .collect();
        let answer = api.call(&method, &path, &headers, &body).await;
        assert!(answer.status.as_u16() < 500, "{}", answer.text());
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let Some(reservation) = document["reservation"].as_str() {
            reservation.clone_into(&mut self.reservation);
        }
        self.last = Some(answer);
        self.sent += 1;
    }

    #[track_caller]
    fn compare(&mut self, block: &str) {
        let expected: Value = serde_json::from_str(block).unwrap();
        let answer = self.last.as_ref().unwrap();
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&answer.json()[name], value, "{name} of {}", answer.text());
        }
        self.compared += 1;
    }
}
