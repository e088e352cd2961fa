//! Sizes, ages, counts and columns, as people read them.

use std::time::Duration;

use bytesize::ByteSize;
use cache_core::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Bytes in binary units: `1.2 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// How long before `now` a time was, in one unit; a time to come is `0s`.
pub(crate) fn age(time: Timestamp, now: Timestamp) -> String {
    let seconds = u64::try_from(now.unix_seconds().saturating_sub(time.unix_seconds())).unwrap_or(0);
    match seconds {
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        HOUR..DAY => format!("{}h", seconds / HOUR),
        _ => format!("{}d", seconds / DAY),
    }
}

/// A time and its age; `-` where it is not known.
pub(crate) fn time_and_age(time: Option<Timestamp>, now: Timestamp) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{time} ({} ago)", age(time, now)))
}

/// How long something took.
pub(crate) fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..MINUTE => format!("{:.1}s", time.as_secs_f64()),
        MINUTE..HOUR => format!("{}m{}s", seconds / MINUTE, seconds % MINUTE),
        _ => format!("{}h{}m", seconds / HOUR, seconds % HOUR / MINUTE),
    }
}

/// A number and its noun: `1 blob`, `2 blobs`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Foreign text without what could drive the terminal, or show another text than it is.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Characters that change the direction of others, or that nobody sees
/// ([Unicode TR 36](https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing)).
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Columns under a header; the last one is not padded.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// A column's name and how its cells stand.
#[derive(Clone, Copy)]
pub(crate) enum Column {
    /// Text.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

impl Column {
    fn name(self) -> &'static str {
        let (Self::Left(name) | Self::Right(name)) = self;
        name
    }
}

impl Table {
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    fn widths(&self) -> Vec<usize> {
        let width = |at: usize| self.rows.iter().filter_map(move |row| row.get(at)).map(|cell| cell.chars().count());
        let columns = self.columns.iter().enumerate();
        columns.map(|(at, column)| width(at).max().unwrap_or(0).max(column.name().len())).collect()
    }

    fn line(&self, cells: &[&str], widths: &[usize]) -> String {
        let mut line = String::new();
        for (at, ((cell, width), column)) in cells.iter().zip(widths).zip(&self.columns).enumerate() {
            line.push_str(if at == 0 { "" } else { "  " });
            // Not by a format's width, which ends at 65,535.
            let room = " ".repeat(width.saturating_sub(cell.chars().count()));
            match column {
                Column::Left(_) => line.extend([cell, room.as_str()]),
                Column::Right(_) => line.extend([room.as_str(), cell]),
            }
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let widths = self.widths();
        let header: Vec<&str> = self.columns.iter().map(|column| column.name()).collect();
        f.write_str(&self.line(&header, &widths))?;
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            f.write_str(&self.line(&cells, &widths))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_with_one_decimal() {
        let cases = [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_288_490_189, "1.2 GiB")];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn ages_have_one_unit() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = time("2026-11-23T12:00:00Z");
        let cases = [
            ("2026-11-23T11:59:18Z", "42s"),
            ("2026-11-23T11:10:00Z", "50m"),
            ("2026-11-22T13:00:00Z", "23h"),
            ("2026-11-16T12:00:00+00:00", "7d"),
            ("2026-11-23T13:00:00Z", "0s"),
        ];
        for (at, text) in cases {
            assert_eq!(age(time(at), now), text);
        }
    }

    #[test]
    fn durations_show_two_units_at_most() {
        let cases = [(1_500, "1.5s"), (90_000, "1m30s"), (7_260_000, "2h1m")];
        for (millis, text) in cases {
            assert_eq!(elapsed(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn columns_line_up_and_no_line_ends_in_blanks() {
        let mut table = Table::new([Column::Left("NAME"), Column::Right("SIZE"), Column::Left("AGE")]);
        table.row(["latest".to_owned(), size(5), String::new()]);
        table.row(["x".to_owned(), size(2048), "3d".to_owned()]);
        assert_eq!(table.to_string(), "NAME       SIZE  AGE\nlatest      5 B\nx       2.0 KiB  3d\n");
    }

    #[test]
    fn a_cell_may_be_longer_than_any_width_of_a_format() {
        let mut table = Table::new([Column::Left("NAME"), Column::Right("SIZE")]);
        table.row(["x".repeat(70_000), size(5)]);
        table.row(["y".to_owned(), size(5)]);
        assert!(table.to_string().lines().all(|line| line.len() == 70_000 + "  SIZE".len()));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31m\nb é"), "a\\u{1b}[31m\\nb é");
    }

    #[test]
    fn text_cannot_look_like_another_one() {
        assert_eq!(printable("main\u{202e}txt\u{2066}\u{200b} عربي"), "main\\u{202e}txt\\u{2066}\\u{200b} عربي");
    }
}
