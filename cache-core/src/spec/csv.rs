//! One line of CSV as the clients of BuildKit read it.

use super::invalid;
use crate::error::{Error, Result};

/// Go's `csvvalue`: fields parted by commas, quotes only around a whole field, `""` for a quote in one.
pub(super) fn fields(line: &str) -> Result<Vec<String>> {
    let line = line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let column = line.len() - rest.len() + 1;
        let (field, tail) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted, column + 1)?,
            None => bare_field(rest, column)?,
        };
        fields.push(field);
        match tail {
            Some(tail) => rest = tail,
            None => return Ok(fields),
        }
    }
}

/// A field and what follows the comma after it, if there is one.
type Field<'a> = (String, Option<&'a str>);

fn bare_field(text: &str, column: usize) -> Result<Field<'_>> {
    let (field, tail) = text.split_once(',').map_or((text, None), |(field, tail)| (field, Some(tail)));
    match field.find('"') {
        Some(at) => Err(csv_error(column + at, "bare \" in non-quoted-field")),
        None => Ok((field.to_owned(), tail)),
    }
}

fn quoted_field(text: &str, column: usize) -> Result<Field<'_>> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let at =
            rest.find('"').ok_or_else(|| csv_error(column + text.len(), "extraneous or missing \" in quoted-field"))?;
        field.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.chars().next() {
            None => return Ok((field, None)),
            Some(',') => return Ok((field, Some(&rest[1..]))),
            Some('"') => {
                field.push('"');
                rest = &rest[1..];
            }
            Some(_) => {
                let at = column + text.len() - rest.len() - 1;
                return Err(csv_error(at, "extraneous or missing \" in quoted-field"));
            }
        }
    }
}

fn csv_error(column: usize, message: &str) -> Error {
    invalid(format!("parse error on line 1, column {column}: {message}"))
}
