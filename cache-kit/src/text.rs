//! Text from servers and libraries, made safe to show.

/// The longest text that is shown, in characters.
const MOST_SHOWN: usize = 400;

/// The text on one line, cut after 400 characters, without anything that may be a signed URL.
///
/// ```
/// use cache_kit::one_line;
///
/// assert_eq!(one_line("no\n  such https://a/b?sig=c"), "no such REDACTED");
/// ```
#[must_use]
pub fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let shown = words.map(|word| if word.contains("sig=") { "REDACTED" } else { word });
    let line = shown.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
