use std::fmt;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Something a second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Nothing but a number.
    Plain,
}

impl Unit {
    fn show(self, figure: f64) -> String {
        let scale: &[(f64, &str)] = match self {
            Self::PerSecond => &[(1e6, " M/s"), (1e3, " k/s"), (1.0, " /s")],
            Self::Seconds => &[(1.0, " s"), (1e-3, " ms"), (1e-6, " us"), (1e-9, " ns")],
            Self::Bytes => &[(1048576.0, " MiB"), (1024.0, " KiB"), (1.0, " B")],
            Self::Plain => &[(1.0, "")],
        };
        let smallest = scale[scale.len() - 1];
        let (one, name) = *scale
            .iter()
            .find(|(one, _)| figure.abs() >= *one)
            .unwrap_or(&smallest);
        let scaled = figure / one;
        let places = match scaled.abs() {
            100.0.. => 0,
            10.0.. => 1,
            _ => 2,
        };
        format!("{scaled:.places$}{name}")
    }
}

/// What a ratio, or a figure without a baseline, should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bar {
    /// This much or more.
    AtLeast(f64),
    /// This much or less.
    AtMost(f64),
}

impl Bar {
    fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bar) => figure >= bar,
            Self::AtMost(bar) => figure <= bar,
        }
    }

    fn verdict(self, figure: f64) -> String {
        let met = if self.is_met(figure) { "met" } else { "MISSED" };
        format!("bar {self}: {met}")
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bar) => write!(f, ">= {bar}"),
            Self::AtMost(bar) => write!(f, "<= {bar}"),
        }
    }
}

/// What a bench prints at its end.
#[derive(Debug)]
pub struct Table {
    title: String,
    lines: Vec<[String; 5]>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            lines: Vec::new(),
        }
    }

    /// Puts seqid's figures beside those of the baseline, taken in the same rounds: the medians, then the median of
    /// the ratios of the rounds and in what range the middle half of them lies.
    pub fn compare(&mut self, name: &str, unit: Unit, ours: &[f64], baseline: &[f64], bar: Option<Bar>) {
        // A disk may change its pace between rounds: then the ratio of the medians is one of two paces.
        let ratios: Vec<f64> = ours
            .iter()
            .zip(baseline)
            .map(|(ours, baseline)| ours / baseline)
            .collect();
        let [low, ratio, high] = [25.0, 50.0, 75.0].map(|percent| percentile(&ratios, percent));
        self.lines.push([
            name.to_owned(),
            unit.show(percentile(ours, 50.0)),
            format!("baseline {}", unit.show(percentile(baseline, 50.0))),
            format!("ratio {ratio:.2} ({low:.2}..{high:.2})"),
            bar.map_or_else(String::new, |bar| bar.verdict(ratio)),
        ]);
    }

    /// Adds a figure that has no baseline.
    pub fn figure(&mut self, name: &str, unit: Unit, figure: f64, bar: Option<Bar>) {
        self.lines.push([
            name.to_owned(),
            unit.show(figure),
            String::new(),
            String::new(),
            bar.map_or_else(String::new, |bar| bar.verdict(figure)),
        ]);
    }

    /// Prints it.
    #[expect(clippy::print_stdout, reason = "the table is what a bench is run for")]
    pub fn print(&self) {
        println!("\n{self}");
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |at: usize| self.lines.iter().map(|line| line[at].len()).max().unwrap_or(0);
        let [name, ours, baseline, ratio] = [width(0), width(1), width(2), width(3)];
        writeln!(f, "{}", self.title)?;
        for line in &self.lines {
            let text = format!(
                "  {:<name$}  {:>ours$}  {:<baseline$}  {:<ratio$}  {}",
                line[0], line[1], line[2], line[3], line[4]
            );
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// The figure that so many in a hundred do not exceed; 0 of none.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the place lies in the slice, and no slice has 2^52 members"
)]
pub fn percentile(figures: &[f64], percent: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = (percent / 100.0 * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_figures() {
        let figures = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(percentile(&figures, 0.0), 1.0);
        assert_eq!(percentile(&figures, 50.0), 3.0);
        assert_eq!(percentile(&figures, 100.0), 5.0);
        assert_eq!(percentile(&[], 50.0), 0.0);
    }

    #[test]
    fn figures_are_shown_in_the_unit_that_leaves_three_digits() {
        assert_eq!(Unit::PerSecond.show(137_400.0), "137 k/s");
        assert_eq!(Unit::Seconds.show(0.001_234), "1.23 ms");
        assert_eq!(Unit::Seconds.show(0.0), "0.00 ns");
        assert_eq!(Unit::Bytes.show(2048.0), "2.00 KiB");
        assert_eq!(Unit::Plain.show(63.94), "63.9");
    }

    #[test]
    fn a_missed_bar_is_told_from_one_that_is_met() {
        let mut table = Table::new("title");
        table.compare(
            "64 callers",
            Unit::PerSecond,
            &[137e3],
            &[190e3],
            Some(Bar::AtLeast(0.5)),
        );
        table.compare("one", Unit::Seconds, &[2.0], &[1.0], Some(Bar::AtMost(1.3)));
        let text = table.to_string();
        assert!(
            text.contains("137 k/s  baseline 190 k/s  ratio 0.72 (0.72..0.72)  bar >= 0.5: met"),
            "{text}"
        );
        assert!(
            text.contains("ratio 2.00 (2.00..2.00)  bar <= 1.3: MISSED"),
            "{text}"
        );
    }
}
