//! Pages as an HTML parser reads them.

use cache_ops::{BuildLog, ConsultedCache, Content, LogLimits, explain};
use cache_report::{Dead, Report, ReportedCache, render};
use scraper::{Html, Selector};

use super::{cache, now};

/// Names that are markup, end an attribute, a comment, a script or a style, or change the direction of text.
const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</title></style></script><!--",
    "' onmouseover='alert(1)",
    "a\u{0}\u{1b}[31m\u{202e}\u{fffe}b",
    "{{7*7}} &lt; &amp;",
];

fn parsed(page: &str) -> Html {
    let html = Html::parse_document(page);
    assert!(html.errors.is_empty(), "{:?}", html.errors);
    html
}

fn count(html: &Html, selector: &str) -> usize {
    html.select(&Selector::parse(selector).unwrap()).count()
}

#[test]
fn a_page_is_valid_and_shows_every_record() {
    for records in [1, 2, 50, 1_000] {
        let cache = cache(records, 7, "x");
        let html = parsed(&render(&Report::new(vec![ReportedCache::new("main", &cache)], now())));
        assert_eq!(count(&html, ".record"), records);
        assert_eq!(count(&html, "details.cache"), 1);
    }
}

#[test]
fn ten_thousand_records_are_shown_and_the_page_is_small() {
    let cache = cache(12_000, 9, "x");
    let page = render(&Report::new(vec![ReportedCache::new("main", &cache)], now()));
    assert!(page.len() < 5 << 20, "{} bytes", page.len());
    let html = parsed(&page);
    assert_eq!(count(&html, ".record"), 10_000);
    assert!(page.contains("2000 records are left out"));
    assert!(count(&html, ".treemap g.layer") <= 401);
}

/// Browsers nest at most 512 elements. A chain is shown as a row, and the depth of branches is limited.
#[test]
fn the_longest_chain_nests_no_deeper_than_a_browser_allows() {
    for branch in [usize::MAX, 2] {
        let cache = cache(5_000, branch, "x");
        let html = parsed(&render(&Report::new(vec![ReportedCache::new("main", &cache)], now())));
        let deepest =
            html.select(&Selector::parse(".record").unwrap()).map(|element| element.ancestors().count()).max();
        assert!(deepest.unwrap() < 300, "{deepest:?}");
    }
}

#[test]
fn hostile_names_stay_text() {
    for name in HOSTILE {
        let cache = cache(5, 3, name);
        let other = super::cache(5, 3, "other");
        let caches = vec![ReportedCache::new(name, &cache), ReportedCache::new(name, &other)];
        let page = render(&Report::new(caches, now()).with_dead(Dead::new(3, 4_096)));
        let html = parsed(&page);
        assert_eq!((count(&html, "script"), count(&html, "style"), count(&html, "img")), (1, 1, 0), "{name}");
        assert_eq!(count(&html, "[onerror], [onmouseover]"), 0, "{name}");
        assert!(!page.contains(['\u{0}', '\u{1b}', '\u{202e}', '\u{fffe}']));
        let row = Selector::parse("#caches tbody th").unwrap();
        let shown: String = html.select(&row).next().unwrap().text().collect();
        assert_eq!(shown, name.replace(['\u{0}', '\u{1b}', '\u{202e}', '\u{fffe}'], "\u{fffd}"));
    }
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let cache = cache(20, 4, "x");
    let page = render(&Report::new(vec![ReportedCache::new("main", &cache)], now()));
    let html = parsed(&page);
    assert_eq!(count(&html, "[src], link, iframe, object, [href^='http']"), 0);
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn caches_that_share_are_compared() {
    let (a, b) = (cache(20, 4, "x"), cache(40, 4, "x"));
    let caches = vec![ReportedCache::new("a", &a), ReportedCache::new("b", &b), ReportedCache::new("c", &a)];
    let html = parsed(&render(&Report::new(caches, now())));
    assert_eq!(count(&html, ".matrix tbody tr"), 3);
    assert_eq!(count(&html, ".matrix tbody td.same"), 3);
    let full = Selector::parse(".matrix tbody tr:first-child td.share5").unwrap();
    assert_eq!(html.select(&full).map(|cell| cell.text().collect::<String>()).collect::<Vec<_>>(), ["100%", "100%"]);
}

#[test]
fn a_build_is_shown_with_causes_steps_and_a_time_line() {
    let fixture =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/explain/source-file-changed");
    let log = std::fs::read(fixture.join("new.rawjson")).unwrap();
    let log = BuildLog::read(log.as_slice(), &LogLimits::default()).unwrap();
    let old = cache(5, 3, "x");
    let found = explain(&[ConsultedCache::imported("old", Content::Cache(&old))], None, Some(&log)).unwrap();
    let report = Report::new(vec![ReportedCache::new("old", &old)], now());
    let html = parsed(&render(&report.with_explanation(&found)));
    assert_eq!(count(&html, ".causes > li"), found.causes.len());
    assert_eq!(count(&html, "table.steps tbody tr"), found.steps.len());
    assert_eq!(count(&html, ".timeline g"), found.steps.len());
    assert_eq!(count(&html, "nav a[href='#build']"), 1);
}

#[test]
fn the_page_is_accessible_to_screen_readers() {
    let cache = cache(20, 4, "x");
    let html = parsed(&render(&Report::new(vec![ReportedCache::new("main", &cache)], now())));
    assert_eq!(
        (count(&html, "html[lang]"), count(&html, "main"), count(&html, "h1"), count(&html, "a.skip")),
        (1, 1, 1, 1)
    );
    assert_eq!(count(&html, "svg:not([aria-label])"), 0);
    assert_eq!(count(&html, "th:not([scope])"), 0);
    assert_eq!(count(&html, "label[for='find']"), 1);
    assert_eq!(count(&html, ".wide:not([tabindex])"), 0, "what scrolls can be reached with the keyboard");
}
