//! Makes a sound config of one that may have dangling links and loops.

use cache_core::{CacheConfig, CacheKey, Digest, Timestamp};

use super::blobs::Verdicts;
use super::loops::{cut, reachable};
use crate::index::{has_result, keep_records, mark_above, parents_first};
use crate::optimize::DroppedResult;

/// A sound config, and what was dropped.
pub(super) struct Salvaged {
    pub(super) config: CacheConfig,
    pub(super) dropped: Vec<DroppedResult>,
    pub(super) dropped_records: Vec<CacheKey>,
}

/// Keeps the sound parts; `verdicts` tell which blobs are sound.
pub(super) fn salvage(config: &CacheConfig, verdicts: &Verdicts) -> Salvaged {
    let mut config = config.clone();
    let had_result: Vec<bool> = config.records.iter().map(has_result).collect();
    let dropped = drop_results(&mut config, verdicts);
    drop_links(&mut config);
    let reached = reachable(&config.records);
    cut(&mut config, &reached);
    let keep = keep(&config, &reached, had_result);
    let gone = config.records.iter().zip(&keep).filter(|(_, keep)| !**keep);
    let dropped_records = gone.map(|(record, _)| record.key.clone()).collect();
    Salvaged { config: keep_records(&config, &keep), dropped, dropped_records }
}

/// Drops the results that cannot be loaded.
fn drop_results(config: &mut CacheConfig, verdicts: &Verdicts) -> Vec<DroppedResult> {
    let sound = sound_layers(config, verdicts);
    let layers = &config.layers;
    let is_sound = |layer: i64| usize::try_from(layer).ok().and_then(|layer| sound.get(layer)).copied() == Some(true);
    let has_blob = |layer: i64| {
        let found = usize::try_from(layer).ok().and_then(|layer| layers.get(layer));
        found.is_some_and(|layer| verdicts.is_sound(&layer.blob))
    };
    let top = |layer: Option<i64>| -> Option<Digest> {
        layer.and_then(|layer| usize::try_from(layer).ok()).and_then(|layer| layers.get(layer)).map(|layer| layer.blob)
    };
    let mut dropped = Vec::new();
    for record in &mut config.records {
        let key = &record.key;
        let mut drop_result = |created_at: Timestamp, layer: Option<i64>| {
            dropped.push(DroppedResult { key: key.clone(), created_at, top: top(layer) });
            false
        };
        record.results.retain(|result| is_sound(result.layer) || drop_result(result.created_at, Some(result.layer)));
        record.chains.retain(|chain| {
            chain.layers.iter().all(|&layer| has_blob(layer))
                || drop_result(chain.created_at, chain.layers.last().copied())
        });
    }
    dropped
}

/// Which layers have only sound blobs down to the bottom.
fn sound_layers(config: &CacheConfig, verdicts: &Verdicts) -> Vec<bool> {
    let layers = &config.layers;
    let mut known: Vec<Option<bool>> = vec![None; layers.len()];
    let mut is_open = vec![false; layers.len()];
    for start in 0..layers.len() {
        let mut path = Vec::new();
        let mut at = i64::try_from(start).unwrap_or(-2);
        let mut is_sound = loop {
            let layer = usize::try_from(at).ok().filter(|&layer| layer < layers.len());
            match layer {
                None => break at == -1,
                Some(layer) if is_open[layer] => break false,
                Some(layer) => match known[layer] {
                    Some(is_sound) => break is_sound,
                    None => {
                        is_open[layer] = true;
                        path.push(layer);
                        at = layers[layer].parent;
                    }
                },
            }
        };
        for layer in path.into_iter().rev() {
            is_sound = is_sound && verdicts.is_sound(&layers[layer].blob);
            (known[layer], is_open[layer]) = (Some(is_sound), false);
        }
    }
    known.into_iter().map(|known| known == Some(true)).collect()
}

/// Drops links that lead to no record, or to one that BuildKit never stores.
fn drop_links(config: &mut CacheConfig) {
    let is_there: Vec<bool> = config.records.iter().map(|record| !record.key.is_random()).collect();
    let leads = |link: i64| usize::try_from(link).ok().and_then(|linked| is_there.get(linked)).copied() == Some(true);
    for input in config.records.iter_mut().flat_map(|record| &mut record.inputs) {
        input.retain(|link| leads(link.link));
    }
}

/// Which records are kept: those that lead to a sound result, those that never led to one, and their inputs.
fn keep(config: &CacheConfig, reached: &[bool], had_result: Vec<bool>) -> Vec<bool> {
    let records = &config.records;
    let order = parents_first(records, |n| reached[n]);
    let mut led = had_result;
    mark_above(records, &order, &mut led);
    let mut keep: Vec<bool> = records.iter().map(has_result).collect();
    mark_above(records, &order, &mut keep);
    for n in 0..records.len() {
        keep[n] = (keep[n] || !led[n]) && reached[n];
    }
    mark_above(records, &order, &mut keep);
    keep
}
