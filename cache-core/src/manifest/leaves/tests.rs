//! Joining leaves, recognising joining records, and when BuildKit loses links.

use super::*;
use crate::manifest::LayerResult;
use crate::model::Timestamp;

fn record(key: &str, inputs: &[&[i64]]) -> CacheRecord {
    let link = |&link: &i64| RecordLink { selector: String::new(), link };
    let inputs = inputs.iter().map(|input| input.iter().map(link).collect()).collect();
    CacheRecord { key: CacheKey::from(key), inputs, ..CacheRecord::default() }
}

fn joining(links: &[i64]) -> CacheRecord {
    CacheRecord { key: joining_key(), ..record("", &[links]) }
}

fn joined(mut records: Vec<CacheRecord>) -> Vec<CacheRecord> {
    records.extend(joining_record(&records));
    records
}

fn parted(mut records: Vec<CacheRecord>) -> Vec<CacheRecord> {
    let count = records.len();
    assert_eq!(part_leaves(&mut records), records.len() < count);
    records
}

#[test]
fn the_key_is_the_one_that_is_documented() {
    let key = "sha256:cf21469cec91291cf525e51fac7f05e2ba17fee4bedab3161fa9cfe0f702c655";
    assert_eq!(joining_key(), CacheKey::from(key));
}

#[test]
fn several_leaves_are_alternatives_of_one_input_of_the_last_record() {
    let two = vec![record("a", &[]), record("b", &[&[0]]), record("c", &[&[0]])];
    assert_eq!(joined(two.clone()), [two, vec![joining(&[1, 2])]].concat());
}

#[test]
fn one_leaf_is_not_joined_and_a_random_key_is_no_leaf() {
    for records in [
        vec![],
        vec![record("a", &[])],
        vec![record("a", &[]), record("b", &[&[0], &[0]])],
        vec![record("a", &[]), record("random:x", &[])],
    ] {
        assert_eq!(joined(records.clone()), records);
    }
}

#[test]
fn joining_is_reversible_and_idempotent() {
    let records = vec![record("a", &[]), record("b", &[&[0]]), record("c", &[&[0]])];
    let once = joined(records.clone());
    assert_eq!(joined(once.clone()), once);
    assert_eq!(parted(once), records);
    // A joining record that is joined by another one is not a leaf either.
    let twice = [records.clone(), vec![joining(&[1, 2]), record("d", &[]), joining(&[3, 4])]].concat();
    assert_eq!(parted(twice), [records, vec![record("d", &[])]].concat());
}

#[test]
fn links_move_where_a_joining_record_stood_in_the_middle() {
    let records = vec![joining(&[1, 3]), record("b", &[&[2], &[9]]), record("a", &[]), record("c", &[&[2], &[-1]])];
    let expected = vec![record("b", &[&[1], &[9]]), record("a", &[]), record("c", &[&[1], &[-1]])];
    assert_eq!(parted(records), expected);
}

#[test]
fn a_record_that_something_depends_on_joins_nothing() {
    let result = LayerResult { layer: 0, created_at: Timestamp::ZERO };
    let with_result = CacheRecord { results: vec![result], ..joining(&[0]) };
    for records in [
        vec![record("a", &[]), with_result],
        vec![record("a", &[]), joining(&[0]), record("b", &[&[1]])],
        vec![joining(&[0])],
        vec![joining(&[7])],
        vec![record("a", &[]), joining(&[])],
        vec![record("random:x", &[]), joining(&[0])],
        vec![CacheRecord { inputs: Vec::new(), ..joining(&[]) }],
    ] {
        assert_eq!(parted(records.clone()), records);
    }
}

#[test]
fn leaves_that_share_a_record_of_many_links_are_split() {
    let fork = vec![record("a", &[]), record("b", &[&[0]]), record("c", &[&[0]])];
    assert_eq!(split_leaves(&fork), None);
    let apart = vec![record("a", &[]), record("b", &[&[0], &[0]]), record("c", &[]), record("d", &[&[2], &[2]])];
    assert_eq!(split_leaves(&apart), None);
    // The walk from d meets a twice: by b and by d itself.
    let split = vec![record("a", &[]), record("b", &[&[0]]), record("c", &[&[0]]), record("d", &[&[1], &[0]])];
    assert_eq!(split_leaves(&split), Some(2));
    assert_eq!(split_leaves(&joined(split)), None);
}
