//! Columns under a header, no wider than the terminal.

use std::borrow::Cow;

use crate::text::printable;

/// The least width of a column of text, in characters.
const NARROWEST: usize = 12;
/// Spaces between columns.
const GAP: usize = 2;

/// Columns under a header; the last one is not padded.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// The width of the terminal, if it is known.
    room: Option<usize>,
}

/// A column's name, and how its cells are aligned.
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
        let room = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
        Self { columns: columns.into(), rows: Vec::new(), room }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    fn widths(&self) -> Vec<usize> {
        let width = |at: usize| self.rows.iter().filter_map(move |row| row.get(at)).map(|cell| cell.chars().count());
        let columns = self.columns.iter().enumerate();
        let widths = columns.map(|(at, column)| width(at).max().unwrap_or(0).max(column.name().len())).collect();
        self.fitted(widths)
    }

    /// Narrows the widest columns of text until a line fits. Columns of numbers keep their width.
    fn fitted(&self, mut widths: Vec<usize>) -> Vec<usize> {
        let Some(room) = self.room else { return widths };
        let gaps = GAP * widths.len().saturating_sub(1);
        let mut over = widths.iter().sum::<usize>().saturating_add(gaps).saturating_sub(room);
        while over > 0 {
            let texts = self.columns.iter().zip(&mut widths).filter(|(column, _)| matches!(column, Column::Left(_)));
            let Some((_, widest)) = texts.max_by_key(|(_, width)| **width).filter(|(_, width)| **width > NARROWEST)
            else {
                break;
            };
            *widest -= 1;
            over -= 1;
        }
        widths
    }

    fn line(&self, cells: &[&str], widths: &[usize]) -> String {
        let mut line = String::new();
        for (at, ((cell, width), column)) in cells.iter().zip(widths).zip(&self.columns).enumerate() {
            line.push_str(&" ".repeat(if at == 0 { 0 } else { GAP }));
            let cell = &*shortened(cell, *width);
            // Not by the width of a format, which is at most 65,535.
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

/// Shortens a text to its beginning and its end.
fn shortened(text: &str, width: usize) -> Cow<'_, str> {
    let length = text.chars().count();
    if length <= width {
        return Cow::Borrowed(text);
    }
    let kept = width.saturating_sub(1);
    let (head, tail) = (kept - kept / 3, kept / 3);
    let cut = text.chars().take(head).chain(['…']).chain(text.chars().skip(length - tail));
    Cow::Owned(cut.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::size;

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
    fn a_table_is_no_wider_than_the_terminal() {
        let mut table = Table::new([Column::Left("NAME"), Column::Left("DIGEST"), Column::Right("SIZE")]);
        table.row(["main".to_owned(), format!("sha256:{}", "ab".repeat(32)), size(5)]);
        table.room = Some(40);
        let header = format!("NAME  DIGEST{}SIZE", " ".repeat(24));
        assert_eq!(table.to_string(), header + "\nmain  sha256:abababababa…babababab   5 B\n");
        // A column stays readable even if the line does not fit.
        table.room = Some(10);
        assert!(table.to_string().lines().all(|line| line.chars().count() == 4 + 2 + 12 + 2 + 4));
    }
}
