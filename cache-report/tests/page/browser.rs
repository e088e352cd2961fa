//! A page in a real browser, where there is one: no error, a tree that opens, a search that finds.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use cache_report::{Report, ReportedCache, render};

use super::{cache, now};

/// Opens what is folded, searches, and writes what it sees into the page's title.
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

/// The page's elements after its scripts have run, and what the console said.
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

/// Writes how long the page took to open into its title.
const TIME: &str = r#"<script>
addEventListener("load", () => setTimeout(() => {
  document.title = Math.ceil(performance.getEntriesByType("navigation")[0].loadEventEnd);
}));
</script></body>"#;

fn title(elements: &str) -> &str {
    elements.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap_or_default()
}

/// The best of three: other programs may be at work too.
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
