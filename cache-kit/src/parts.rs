//! [`list_parts`]: splits a long list of blobs into parts that can be read at the same time.

/// The first digits of digests; each makes a part.
const DIGITS: &str = "0123456789abcdef";
/// A page that ends before this digest has less than a 32nd of all blobs.
const MANY: &str = "sha256:08";

/// How many parts of a list are read at once.
pub const LISTS: usize = DIGITS.len();

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPart {
    /// The prefix of the keys.
    pub prefix: String,
    /// The last key of the first page, if it is in this part.
    pub after: Option<String>,
}

/// The parts that are left after a first page that is not the last. In the keys, digests follow `prefix`; a key that
/// has no digest may be in no part.
///
/// `None` if one list takes no more requests than parts, or if the page is not in order, so that it is unknown what is
/// left.
#[must_use]
pub fn list_parts<'a>(prefix: &str, first: impl Iterator<Item = &'a str>) -> Option<Vec<ListPart>> {
    let mut last = "";
    for key in first {
        if key <= last {
            return None;
        }
        last = key;
    }
    // Digests are spread evenly: the part of them that the page has come past is the part that it has.
    if last.is_empty() || *last >= *format!("{prefix}{MANY}") {
        return None;
    }
    let part = |prefix: String| {
        let after = last.starts_with(&prefix).then(|| last.to_owned());
        (after.is_some() || *last < *prefix).then_some(ListPart { prefix, after })
    };
    let sha256 = DIGITS.chars().map(|digit| format!("{prefix}sha256:{digit}"));
    let others = ["sha384:", "sha512:"].map(|algorithm| format!("{prefix}{algorithm}"));
    Some(sha256.chain(others).filter_map(part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts that are left after a page of blobs with digests that begin like this.
    fn parts(begins: &[&str]) -> Option<Vec<ListPart>> {
        let keys: Vec<String> = begins.iter().map(|begin| format!("p/sha256:{begin:0<64}")).collect();
        list_parts("p/", keys.iter().map(String::as_str))
    }

    #[test]
    fn the_rest_of_a_long_list_is_split_by_digit() {
        let parts = parts(&["00", "04", "07"]).unwrap();
        assert_eq!(parts.len(), 18);
        let after = Some(format!("p/sha256:{:0<64}", "07"));
        assert_eq!(parts[0], ListPart { prefix: "p/sha256:0".to_owned(), after });
        assert!(parts[1..].iter().all(|part| part.after.is_none()));
        assert_eq!((parts[15].prefix.as_str(), parts[17].prefix.as_str()), ("p/sha256:f", "p/sha512:"));
    }

    #[test]
    fn a_short_list_and_one_in_no_order_are_read_in_one_go() {
        assert_eq!(parts(&["00", "08"]), None);
        assert_eq!(parts(&["07", "00"]), None);
        assert_eq!(parts(&["07", "07"]), None);
        assert_eq!(parts(&[]), None);
    }

    #[test]
    fn a_first_page_before_all_digests_leaves_all_parts() {
        let parts = list_parts("p/", ["p/other"].into_iter()).unwrap();
        assert!(parts.len() == 18 && parts.iter().all(|part| part.after.is_none()));
    }
}
