//! What several caches have in common.

use std::collections::{BTreeMap, HashMap, HashSet};

use cache_core::Digest;
use maud::{Markup, html};

use crate::caches::digest;
use crate::report::{Context, ReportedCache};
use crate::text::{clean, count, size};

/// How many caches the matrix has, the largest ones.
const SHOWN: usize = 60;

/// A cache in the matrix.
struct Column<'a> {
    cache: &'a ReportedCache<'a>,
    blobs: HashSet<Digest>,
    bytes: u64,
    /// Bytes that no other cache has.
    own: u64,
}

pub(crate) fn sharing(context: &Context<'_>) -> Markup {
    let caches = &context.report.caches;
    if caches.len() < 2 {
        return html! {};
    }
    let sizes: HashMap<Digest, u64> =
        caches.iter().flat_map(|cache| cache.manifest.blobs()).map(|blob| (blob.digest, blob.size)).collect();
    let columns = columns(caches, &sizes);
    let all: u64 = sizes.values().copied().fold(0, u64::saturating_add);
    let sum: u64 = caches.iter().map(|cache| cache.manifest.unique_bytes()).fold(0, u64::saturating_add);
    html! {
        section id="sharing" {
            h2 { "Sharing" }
            p { (count(caches.len(), "cache")) " with " (size(sum)) " together hold " (size(all)) " of different bytes." }
            @for equal in equal(caches) { p { "The same cache under " (count(equal.len(), "name")) ": " bdi { (equal.join(", ")) } } }
            @if caches.len() > SHOWN { p.quiet { "The " (SHOWN) " largest caches are shown; " (caches.len() - SHOWN) " are left out." } }
            div.wide tabindex="0" role="group" aria-label="Bytes that caches share" { (matrix(&columns, &sizes)) }
            p.quiet { "A cell says how much of the row's cache is in the column's one too, in percent. The stronger the colour, the more; an empty cell is nothing." }
        }
    }
}

fn columns<'a>(caches: &'a [ReportedCache<'a>], sizes: &HashMap<Digest, u64>) -> Vec<Column<'a>> {
    let mut holders: HashMap<Digest, usize> = HashMap::new();
    for blob in caches.iter().flat_map(|cache| cache.manifest.blobs()) {
        *holders.entry(blob.digest).or_default() += 1;
    }
    let column = |cache: &'a ReportedCache<'a>| {
        let blobs: HashSet<Digest> = cache.manifest.blobs().iter().map(|blob| blob.digest).collect();
        let own = bytes_of(blobs.iter().filter(|blob| holders.get(*blob) == Some(&1)), sizes);
        Column { cache, bytes: bytes_of(blobs.iter(), sizes), blobs, own }
    };
    let mut columns: Vec<Column<'a>> = caches.iter().map(column).collect();
    if columns.len() > SHOWN {
        columns.sort_by_key(|column| std::cmp::Reverse(column.bytes));
        columns.truncate(SHOWN);
    }
    columns
}

fn bytes_of<'a>(blobs: impl Iterator<Item = &'a Digest>, sizes: &HashMap<Digest, u64>) -> u64 {
    blobs.filter_map(|blob| sizes.get(blob)).fold(0, |sum, size| sum.saturating_add(*size))
}

/// Names of caches that are one and the same.
fn equal(caches: &[ReportedCache<'_>]) -> Vec<Vec<String>> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for cache in caches {
        if let Some(digest) = digest(cache.manifest) {
            names.entry(digest).or_default().push(clean(&cache.name));
        }
    }
    names.into_values().filter(|names| names.len() > 1).collect()
}

fn matrix(columns: &[Column<'_>], sizes: &HashMap<Digest, u64>) -> Markup {
    let is_narrow = columns.len() > 8;
    let names: Vec<String> = columns.iter().map(|column| clean(&column.cache.name)).collect();
    let common = common(&names);
    html! {
        table.matrix.narrow[is_narrow] {
            thead { tr {
                th scope="col" { "Cache" } th.number scope="col" { "Size" } th.number scope="col" { "Own" }
                @for (n, name) in names.iter().enumerate() { th.number scope="col" title=(name) { (n + 1) } }
            } }
            tbody {
                @for (n, row) in columns.iter().enumerate() {
                    tr {
                        th scope="row" title=(names[n]) { span.quiet { (n + 1) } " " bdi { @if common > 0 { "…" } (&names[n][common..]) } }
                        td.number { (size(row.bytes)) }
                        td.number { (size(row.own)) }
                        @for (m, column) in columns.iter().enumerate() {
                            @if n == m { td.number.same { "·" } } @else { (cell(row, column, sizes, is_narrow)) }
                        }
                    }
                }
            }
        }
    }
}

/// How many bytes the names begin with in common, up to where an attribute or a directory ends: a column is too narrow
/// for what tells nothing.
fn common(names: &[String]) -> usize {
    let Some((first, others)) = names.split_first() else { return 0 };
    let is_common = |end: &usize| others.iter().all(|name| name.starts_with(&first[..*end]) && name.len() > *end);
    let ends = first.char_indices().filter(|(_, sign)| matches!(sign, ',' | '=' | '/')).map(|(at, _)| at + 1);
    ends.filter(|end| *end < first.len()).take_while(is_common).last().unwrap_or(0)
}

/// The cell is empty if nothing is shared, so that shared bytes stand out; many columns have no room for a percent
/// sign.
fn cell(row: &Column<'_>, column: &Column<'_>, sizes: &HashMap<Digest, u64>, is_narrow: bool) -> Markup {
    let shared = bytes_of(row.blobs.iter().filter(|blob| column.blobs.contains(*blob)), sizes);
    let percent = if row.bytes == 0 { 0 } else { u128::from(shared) * 100 / u128::from(row.bytes) };
    let told = format!("{} of {} is in {}", size(shared), clean(&row.cache.name), clean(&column.cache.name));
    html! { td.number.(format!("share{}", percent.div_ceil(20))) title=(told) {
        @if shared > 0 { (percent) @if !is_narrow { "%" } }
    } }
}

#[cfg(test)]
mod tests {
    use super::common;

    #[test]
    fn the_common_start_of_names_ends_at_an_attribute_or_directory() {
        let common = |names: &[&str]| common(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(common(&["type=local,src=a,tag=branch-1", "type=local,src=a,tag=branch-2"]), 21);
        assert_eq!(common(&["src=dir/old", "src=dir/new", "src=dir/"]), 4, "no name becomes empty");
        assert_eq!(common(&["ä=é/1", "ä=é/2"]), "ä=é/".len());
        assert_eq!((common(&["one"]), common(&["a=", "a="]), common(&[])), (0, 0, 0));
    }
}
