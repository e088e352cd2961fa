//! The parts of `${{ … }}` that the recipes and the action use: names, literals, `==`, `!=`, `!`, `&&` and `||`.

use serde_json::Value;

/// Replaces every expression in the text by its value.
pub(super) fn fill(text: &str, contexts: &Value) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once("${{") {
        let (expression, after) = tail.split_once("}}").expect("an expression ends");
        filled += before;
        filled += &shown(&value(expression, contexts));
        rest = after;
    }
    filled + rest
}

/// Whether a condition is true; `${{ }}` around it is optional.
pub(super) fn holds(condition: &str, contexts: &Value) -> bool {
    let bare = condition.trim();
    let bare = bare.strip_prefix("${{").and_then(|bare| bare.strip_suffix("}}")).unwrap_or(bare);
    is_true(&value(bare, contexts))
}

fn value(expression: &str, contexts: &Value) -> Value {
    let mut last = Value::Null;
    for alternative in expression.split("||") {
        last = Value::Bool(true);
        for part in alternative.split("&&") {
            last = compared(part.trim(), contexts);
            if !is_true(&last) {
                break;
            }
        }
        if is_true(&last) {
            break;
        }
    }
    last
}

fn compared(text: &str, contexts: &Value) -> Value {
    if let Some((left, right)) = text.split_once("==") {
        return Value::Bool(shown(&atom(left.trim(), contexts)) == shown(&atom(right.trim(), contexts)));
    }
    if let Some((left, right)) = text.split_once("!=") {
        return Value::Bool(shown(&atom(left.trim(), contexts)) != shown(&atom(right.trim(), contexts)));
    }
    match text.strip_prefix('!') {
        Some(text) => Value::Bool(!is_true(&atom(text.trim(), contexts))),
        None => atom(text, contexts),
    }
}

fn atom(text: &str, contexts: &Value) -> Value {
    if let Some(literal) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        return literal.into();
    }
    match text {
        "true" | "always()" => return true.into(),
        "false" => return false.into(),
        _ => {}
    }
    // An unknown name is empty, as on GitHub.
    text.split('.').try_fold(contexts, |value, name| value.get(name)).cloned().unwrap_or_default()
}

fn is_true(value: &Value) -> bool {
    !matches!(shown(value).as_str(), "" | "false" | "0")
}

/// A value as text.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn expressions_are_those_of_github() {
    let contexts = serde_json::json!({ "github": { "event": { "number": 7 } }, "inputs": { "run": "", "a": "true" } });
    assert_eq!(fill("pr-${{ github.event.number }}-${{ github.nothing }}", &contexts), "pr-7-");
    assert_eq!(fill("${{ inputs.run || 'none' }}", &contexts), "none");
    assert!(holds("inputs.a == 'true' && !inputs.run", &contexts));
    assert!(!holds("${{ inputs.run != '' }}", &contexts));
}
