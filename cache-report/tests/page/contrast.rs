//! The contrast of text in both themes is at least 4.5 to 1, as in WCAG 2.2.

use std::collections::BTreeMap;

use cache_report::{Report, ReportedCache, render};

use super::{cache, now};

/// The colours of text and its background.
const PAIRS: [(&str, &str); 25] = [
    ("text", "page"),
    ("text", "panel"),
    ("quiet", "page"),
    ("quiet", "panel"),
    ("quiet", "share2"),
    ("link", "page"),
    ("bad", "page"),
    ("warn", "page"),
    ("good", "page"),
    ("good", "share2"),
    ("text", "share1"),
    ("text", "share2"),
    ("on-age2", "share3"),
    ("on-age1", "share4"),
    ("on-age0", "share5"),
    ("on-bar", "hit"),
    ("on-bar", "ran"),
    ("on-bar", "failed"),
    ("on-bar", "idle"),
    ("on-age0", "age0"),
    ("on-age1", "age1"),
    ("on-age2", "age2"),
    ("on-age3", "age3"),
    ("on-age4", "age4"),
    ("on-age-none", "age-none"),
];

/// The colours of each theme, the light one first.
fn themes(page: &str) -> Vec<BTreeMap<&str, [f64; 3]>> {
    let blocks = page.split(":root {").skip(1).map(|block| block.split('}').next().unwrap());
    blocks
        .map(|block| {
            let pairs = block.split(';').filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
            pairs.filter(|(_, hex)| hex.len() == 6).map(|(name, hex)| (name, rgb(hex))).collect()
        })
        .collect()
}

fn rgb(hex: &str) -> [f64; 3] {
    [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0)
}

fn luminance(colour: [f64; 3]) -> f64 {
    let linear = colour.map(|part| if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

#[test]
fn both_themes_have_contrast() {
    let cache = cache(2, 2, "x");
    let page = render(&Report::new(vec![ReportedCache::new("main", &cache)], now()));
    let themes = themes(&page);
    assert_eq!(themes.len(), 2);
    for (theme, name) in themes.iter().zip(["light", "dark"]) {
        for (text, ground) in PAIRS {
            let (a, b) = (luminance(theme[text]), luminance(theme[ground]));
            let ratio = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(ratio >= 4.5, "{name}: {text} on {ground} is {ratio:.2}");
        }
    }
}
