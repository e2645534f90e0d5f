use std::fmt::{self, Display, Write as _};

use seqid_core::gap_report::{GapSummary, Head};
use seqid_core::mark::NumberState;
use seqid_core::numbering::Gap;
use seqid_core::time::Timestamp;

use super::sheet::Sheet;

/// A page to be printed and signed. The totals stand at its end, as they are known only there.
pub(super) struct Page;

/// Nothing but the style sheet of this page, by its hash. A test says what the hash must be.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
     style-src 'sha256-hyaYmHHjQMLqnn7bt6x31IUZPNhEjqnI0XRYVZDxlJU='; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("../../assets/gaps.css");

impl Sheet for Page {
    fn begin(&mut self, out: &mut String, head: &Head) {
        let status = &head.status;
        let scope: Vec<String> = status
            .scope
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        let (prefix, period) = (Escaped(status.prefix.as_str()), status.period.to_string());
        let days = match (status.period.first(), status.period.last()) {
            (Some(first), Some(last)) => format!("{period} ({first} to {last})"),
            _ => period.clone(),
        };
        let next = status
            .next_number
            .map_or("none, the counter has ended".to_owned(), |next| next.to_string());
        // Writing to a string does not fail.
        let _ = write!(
            out,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Gap report {prefix} {0}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<h1>Gap report {prefix}</h1>\n<table class=\"facts\">\n",
            Escaped(&period),
        );
        let facts = [
            ("Sequence", status.prefix.to_string()),
            ("Period", days),
            (
                "Scope",
                if scope.is_empty() {
                    "none".into()
                } else {
                    scope.join(", ")
                },
            ),
            ("Guarantee", status.mode.as_str().to_owned()),
            ("First number", head.start.to_string()),
            ("Step", head.step.to_string()),
            ("Next number", next),
            ("Generation", status.generation.to_string()),
            (
                "Made",
                format!("{} UTC by seqid {}", Second(head.at), env!("CARGO_PKG_VERSION")),
            ),
        ];
        for (name, value) in facts {
            let _ = writeln!(
                out,
                "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>",
                Escaped(&value)
            );
        }
        out.push_str(
            "</table>\n<h2>Numbers that were not plainly issued</h2>\n<table class=\"gaps\">\n<thead>\n<tr>\
             <th class=\"n\">Numbers</th><th class=\"c\">Count</th><th class=\"i\">Ids</th><th class=\"s\">State</th>\
             <th>Reason</th><th class=\"r\">Reference, reservation</th><th class=\"d\">Document date</th>\
             <th class=\"a\">Recorded (UTC)</th><th class=\"b\">Actor, request</th></tr>\n</thead>\n<tbody>\n",
        );
    }

    fn gap(&mut self, out: &mut String, head: &Head, gap: &Gap) {
        let run = gap.run;
        let ends = |first: &dyn Display, last: &dyn Display| {
            if run.count == 1 {
                first.to_string()
            } else {
                format!("{first} \u{2013} {last}")
            }
        };
        let mut numbers = ends(&run.first, &run.last());
        if gap.generation != head.status.generation {
            let _ = write!(numbers, " (generation {})", gap.generation);
        }
        let ids = match (&gap.first_id, &gap.last_id) {
            (Some(first), Some(last)) => ends(first, last),
            _ => String::new(),
        };
        let _ = write!(
            out,
            "<tr><td class=\"n\">{numbers}</td><td class=\"c\">{}</td><td>{}</td><td>{}</td><td>{}</td>",
            run.count,
            Escaped(&ids),
            gap.state.as_str(),
            Escaped(gap.reason.as_ref().map_or("", |reason| reason.as_str())),
        );
        let until = gap
            .expires_at
            .filter(|_| gap.state == NumberState::Reserved)
            .map(|until| format!("until {}", Second(until)));
        lines(
            out,
            &[
                gap.reference.as_ref().map(ToString::to_string),
                gap.reservation.map(|id| id.to_string()),
                until,
            ],
        );
        let date = gap.date.map(|date| date.to_string()).unwrap_or_default();
        let _ = write!(out, "<td>{date}</td><td>{}</td>", Second(gap.at));
        lines(
            out,
            &[
                gap.actor.as_ref().map(ToString::to_string),
                gap.request_id.as_ref().map(ToString::to_string),
            ],
        );
        out.push_str("</tr>\n");
    }

    fn end(&mut self, out: &mut String, _: &Head, summary: &GapSummary) {
        let title = match summary.to {
            Some(to) => format!("Numbers {} to {to}", summary.from),
            None => "No number was offered yet".to_owned(),
        };
        let _ = write!(
            out,
            "</tbody>\n</table>\n<section>\n<h2>Summary</h2>\n<table class=\"sum\">\n<caption>{title}</caption>\n\
             <tr><th scope=\"row\">issued</th><td>{}</td></tr>\n",
            summary.issued
        );
        for state in NumberState::ALL {
            let _ = writeln!(
                out,
                "<tr><th scope=\"row\">{}</th><td>{}</td></tr>",
                state.as_str(),
                summary.of(state)
            );
        }
        let _ = write!(
            out,
            "<tr class=\"total\"><th scope=\"row\">total</th><td>{}</td></tr>\n</table>\n\
             <p class=\"sign\"><span>Date</span><span>Signature</span></p>\n</section>\n</body>\n</html>\n",
            summary.count
        );
    }
}

/// A cell with one line for each text that is there.
fn lines(out: &mut String, texts: &[Option<String>]) {
    let texts: Vec<String> = texts
        .iter()
        .flatten()
        .map(|text| Escaped(text).to_string())
        .collect();
    let _ = write!(out, "<td>{}</td>", texts.join("<br>"));
}

/// An instant to the second, as people read it.
struct Second(Timestamp);

impl Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(&text.split('.').next().unwrap_or(&text).replace('T', " "))
    }
}

/// A text that is only a text in HTML.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => f.write_char(other),
        })
    }
}
