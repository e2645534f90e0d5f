//! The report as a picture: two polylines and some texts, for which no library is needed.

use std::fmt::Write;
use std::time::Duration;

use super::rate;
use super::report::{PERCENTILES, Report};

/// The size of a chart, without its texts.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 180.0;
/// Where the charts begin.
const LEFT: f64 = 90.0;
const RATE_TOP: f64 = 60.0;
const WAIT_TOP: f64 = 310.0;

/// A mark on an axis: where between its ends, and its text.
type Tick = (f64, String);

/// An SVG document: how many draws a second over time, and what percentile of draws waited how long at most.
pub(super) fn svg(report: &Report) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        LEFT + WIDTH + 30.0,
        WAIT_TOP + HEIGHT + 50.0
    );
    text(&mut svg, (LEFT, 24.0), "start", &report.title());
    rates(&mut svg, report);
    waits(&mut svg, report);
    svg += "</svg>\n";
    svg
}

fn rates(svg: &mut String, report: &Report) {
    // What came after the load had ended is in the figures, and no rate of the load.
    let points = report.points.split_last().map_or(&[][..], |(_, load)| load);
    let mut before = Duration::ZERO;
    let mut rates = Vec::new();
    for point in points {
        rates.push((point.at.as_secs_f64(), rate(point.draws, point.at - before)));
        before = point.at;
    }
    let end = before.as_secs_f64().max(f64::MIN_POSITIVE);
    let top = rates.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
    let line: Vec<(f64, f64)> = rates.iter().map(|(at, rate)| (at / end, rate / top)).collect();
    let x = [(0.0, "0 s".to_owned()), (1.0, format!("{end:.1} s"))];
    let y = [(0.0, "0".to_owned()), (1.0, format!("{top:.0}"))];
    let title = format!("draws a second: {:.0} on average", report.draws_per_second());
    chart(svg, RATE_TOP, &title, &line, (&x, &y));
}

/// Percentiles lie the further apart the nearer they are to all, as the interest in them does.
fn waits(svg: &mut String, report: &Report) {
    let nines = |percentile: f64| -(1.0 - percentile.min(99.99) / 100.0).log10() / 4.0;
    let steps = (0..=80).map(|step| 100.0 * (1.0 - 10_f64.powf(-f64::from(step) / 20.0)));
    let waits: Vec<(f64, f64)> = steps
        .map(|percentile| (percentile, micros(report.wait(percentile))))
        .collect();
    let top = waits.iter().map(|(_, wait)| *wait).fold(1.0, f64::max);
    let line: Vec<(f64, f64)> = waits
        .iter()
        .map(|(percentile, wait)| (nines(*percentile), wait / top))
        .collect();
    let told = PERCENTILES.iter().filter(|(_, percentile)| *percentile < 100.0);
    let x: Vec<Tick> = told
        .map(|(_, percentile)| (nines(*percentile), format!("{percentile} %")))
        .collect();
    let y = [(0.0, "0".to_owned()), (1.0, format!("{top:.0} µs"))];
    chart(
        svg,
        WAIT_TOP,
        "what so many of the draws waited for at most",
        &line,
        (&x, &y),
    );
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a picture has fewer points than a float has digits"
)]
fn micros(wait: u64) -> f64 {
    wait as f64
}

/// A line within a frame. All places lie between 0 and 1.
fn chart(svg: &mut String, top: f64, title: &str, line: &[(f64, f64)], (x, y): (&[Tick], &[Tick])) {
    let across = |place: f64| LEFT + place * WIDTH;
    let up = |place: f64| top + HEIGHT - place * HEIGHT;
    text(svg, (LEFT, top - 10.0), "start", title);
    let _infallible = writeln!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#999\"/>"
    );
    for (place, label) in x {
        text(svg, (across(*place), top + HEIGHT + 18.0), "middle", label);
    }
    for (place, label) in y {
        text(svg, (LEFT - 8.0, up(*place) + 4.0), "end", label);
    }
    *svg += "<polyline fill=\"none\" stroke=\"#06c\" stroke-width=\"2\" points=\"";
    for (at, height) in line {
        let _infallible = write!(svg, "{:.1},{:.1} ", across(*at), up(*height));
    }
    *svg += "\"/>\n";
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _infallible = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}
