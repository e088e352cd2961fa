//! A page in a real browser, if there is one: there are no errors, the tree opens, and the search works.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use cache_ops::{ConsultedCache, Content, explain};
use cache_report::{Report, ReportedCache, render};

use super::{cache, now};

/// Opens folded parts, searches, and writes the result into the page's title.
const USE: &str = r#"<script>
addEventListener("load", () => {
  const seen = [];
  const tree = document.querySelector("details.cache");
  tree.open = true;
  seen.push(tree.querySelector(".record").getBoundingClientRect().height > 0 ? "open" : "closed");
  const find = document.getElementById("find");
  seen.push(find.closest(".search").hidden ? "no search" : "search");
  find.value = "RUN x 42";
  find.dispatchEvent(new Event("search"));
  seen.push(document.getElementById("found").textContent);
  const shown = [...document.querySelectorAll(".record")].filter((record) => record.getBoundingClientRect().height > 0);
  seen.push(shown.some((record) => record.classList.contains("match")) ? "visible" : "hidden");
  find.value = "";
  find.dispatchEvent(new Event("search"));
  seen.push(document.querySelectorAll(".match").length);
  document.title = seen.join(", ");
});
</script></body>"#;

fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name))).find(|file| file.is_file())
}

/// The page's elements after its scripts have run, and the output of the console.
fn open(browser: &PathBuf, page: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    std::fs::write(&file, page).unwrap();
    let output = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Writes the time in which the page opened into its title.
const TIME: &str = r#"<script>
addEventListener("load", () => setTimeout(() => {
  document.title = Math.ceil(performance.getEntriesByType("navigation")[0].loadEventEnd);
}));
</script></body>"#;

/// Shows the page in the width of a telephone with all parts opened, and writes what is too wide into the title.
const NARROW: &str = r#"<!DOCTYPE html><title></title><iframe id="page" width="400" height="800" srcdoc="PAGE"></iframe><script>
addEventListener("load", () => {
  const inner = document.getElementById("page").contentDocument;
  for (const folded of inner.querySelectorAll("details")) folded.open = true;
  const scrolls = (element) => element.closest(".wide") !== null;
  const wide = [...inner.querySelectorAll("main *, header *")].filter((element) => !scrolls(element))
    .filter((element) => element.getBoundingClientRect().right > inner.documentElement.clientWidth && !element.closest(".skip"));
  const { scrollWidth, clientWidth } = inner.documentElement;
  document.title = (scrollWidth > clientWidth ? "sticks out:" : "fits") + wide.slice(0, 3).map((element) => " " + element.outerHTML.slice(0, 60)).join();
});
</script>"#;

fn title(elements: &str) -> &str {
    elements.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap_or_default()
}

/// The best of three runs, since the machine may be busy.
#[test]
fn ten_thousand_records_open_in_a_second() {
    let Some(browser) = browser() else {
        eprintln!("skipped: there is no Chromium on PATH");
        return;
    };
    let cache = cache(10_000, 9, "x");
    let page = render(&Report::new(vec![ReportedCache::new("main", &cache)], now())).replacen("</body>", TIME, 1);
    let times = (0..3).map(|_| title(&open(&browser, &page).0).parse::<u64>().unwrap());
    let best = times.min().unwrap();
    assert!(best < 1_000, "{best} ms");
}

#[test]
fn a_browser_shows_the_page_without_errors_and_its_search_finds() {
    let Some(browser) = browser() else {
        eprintln!("skipped: there is no Chromium on PATH");
        return;
    };
    let cache = cache(1_000, 7, "x");
    let page = render(&Report::new(vec![ReportedCache::new("main", &cache)], now()));
    let (elements, console) = open(&browser, &page.replacen("</body>", USE, 1));
    let errors: Vec<&str> = console.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(title(&elements), "open, search, 11 records, visible, 0", "RUN x 42, and 420 to 429");
}

#[test]
fn nothing_is_wider_than_a_narrow_page() {
    let Some(browser) = browser() else {
        eprintln!("skipped: there is no Chromium on PATH");
        return;
    };
    let name = "type=local,src=/builds/of/a/team/with/long/names/and/a/folder/for/each/of/its/branches,tag=main";
    let old = cache(20, 4, "x");
    let mut edited = old.config().clone();
    edited.records[1].key = cache_core::Digest::sha256(b"another step").into();
    let new = cache_core::CacheManifest::new(edited, old.blobs().to_vec());
    let found = explain(&[ConsultedCache::imported(name, Content::Cache(&old))], Some(&new), None).unwrap();
    let proof = |cause: &cache_ops::CauseGroup| !cache_report::words::evidence(&cause.cause).is_empty();
    assert!(found.causes.iter().any(proof), "{:?}", found.causes);
    let caches = [(name, &old), ("new", &new)].map(|(name, cache)| ReportedCache::new(name, cache));
    let page = render(&Report::new(caches.into(), now()).with_explanation(&found));
    let text = page.replace('&', "&amp;").replace('"', "&quot;");
    let (elements, _) = open(&browser, &NARROW.replacen("PAGE", &text, 1));
    assert_eq!(title(&elements), "fits");
}
