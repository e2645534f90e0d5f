//! The first column of comma-separated values (RFC 4180). Lines may end in LF alone.

use seqid_core::Code;

use crate::problem::Problem;

/// The values of the first column with the lines on which they stand, from 1. Empty lines and a header `id` are left
/// out.
pub(super) fn first_column(body: &[u8]) -> Result<Vec<(String, usize)>, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let line = 1 + body[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        malformed(line, "is not UTF-8")
    })?;
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut column = Vec::new();
    let mut line = 1;
    while !rest.is_empty() {
        let begin = line;
        let mut first = None;
        loop {
            let (value, after) = field(rest, begin)?;
            line += rest[..rest.len() - after.len()].matches('\n').count();
            first.get_or_insert(value);
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = end_of_record(after, line)?;
                    break;
                }
            }
        }
        line += 1;
        let value = first.unwrap_or_default();
        let is_header = column.is_empty() && begin == 1 && value.eq_ignore_ascii_case("id");
        if !value.is_empty() && !is_header {
            column.push((value, begin));
        }
    }
    Ok(column)
}

/// A field without its quotes, and what follows it.
fn field(text: &str, line: usize) -> Result<(String, &str), Problem> {
    let Some(mut quoted) = text.strip_prefix('"') else {
        let end = text.find([',', '\n', '\r']).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        return Ok((value.to_owned(), after));
    };
    let mut value = String::new();
    loop {
        let end = quoted
            .find('"')
            .ok_or_else(|| malformed(line, "has a quote that is not closed"))?;
        value.push_str(&quoted[..end]);
        quoted = &quoted[end + 1..];
        match quoted.strip_prefix('"') {
            Some(more) => {
                value.push('"');
                quoted = more;
            }
            None => return Ok((value, quoted)),
        }
    }
}

fn end_of_record(text: &str, line: usize) -> Result<&str, Problem> {
    if text.is_empty() {
        return Ok(text);
    }
    text.strip_prefix("\r\n")
        .or_else(|| text.strip_prefix('\n'))
        .ok_or_else(|| {
            malformed(
                line,
                "has something behind a closing quote, or a lone carriage return",
            )
        })
}

fn malformed(line: usize, what: &str) -> Problem {
    Problem::new(Code::MalformedBody, format!("line {line} of the CSV {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn column(text: &str, expected: &[(&str, usize)]) {
        let found = first_column(text.as_bytes()).unwrap();
        let found: Vec<_> = found.iter().map(|(id, line)| (id.as_str(), *line)).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn the_first_column_is_read_with_its_lines() {
        column("", &[]);
        column("A\nB", &[("A", 1), ("B", 2)]);
        column("id\r\nA\r\n\r\nB\r\n", &[("A", 2), ("B", 4)]);
        column("\u{feff}ID,name\nA,x\nB,\"y, z\"\n", &[("A", 2), ("B", 3)]);
        column(
            "\"A\",\"two\nlines\"\n\"B \"\"b\"\"\"\n",
            &[("A", 1), ("B \"b\"", 3)],
        );
        column("A\nid\n", &[("A", 1), ("id", 2)]);
    }

    #[test]
    fn what_is_not_csv_is_refused_with_its_line() {
        for (text, expected) in [
            (&b"A\n\"B"[..], "line 2 of the CSV has a quote that is not closed"),
            (b"A\nB\xff", "line 2 of the CSV is not UTF-8"),
            (
                b"\"A\"x\n",
                "line 1 of the CSV has something behind a closing quote, or a lone carriage return",
            ),
        ] {
            let problem = first_column(text).unwrap_err();
            assert_eq!(
                (problem.code, problem.cause()),
                (Code::MalformedBody, expected.to_owned())
            );
        }
    }
}
