//! The page on reservations says what is true: its requests are sent, and its answers compared.

use std::time::Duration;

use seqid_core::clock::{Clock, ManualClock};
use serde_json::Value;

use crate::{Answer, Api, api_with_clock};

const PAGE: &str = include_str!("../../../docs/reservations.md");

#[tokio::test]
async fn every_request_of_the_page_is_answered_as_it_says() {
    let (api, clock) = api_with_clock();
    let mut reader = Reader::default();
    for (language, block) in blocks() {
        match language {
            "sh" => reader.run(&api, &clock, block).await,
            "json" => reader.compare(block),
            _ => {}
        }
    }
    assert!(reader.sent > 10 && reader.compared > 8);
}

/// The fenced blocks of the page, with their language.
fn blocks() -> impl Iterator<Item = (&'static str, &'static str)> {
    let fenced = PAGE.split("```").skip(1).step_by(2);
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
        let path = word(after("localhost:8080").unwrap());
        let body = after("-d ").map_or(String::new(), quoted);
        let headers: Vec<String> = line.split("-H ").skip(1).map(quoted).collect();
        let headers: Vec<_> = headers
            .iter()
            .map(|header| header.split_once(": ").unwrap())
            .collect();
        let answer = api.call(&method, &path, &headers, &body).await;
        if let Some(reservation) = answer.json()["reservation"].as_str() {
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
