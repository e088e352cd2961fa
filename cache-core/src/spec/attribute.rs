//! The attributes of specs as data, for help, completion and documentation.

/// An attribute that specs of one kind take.
///
/// ```
/// use cache_core::spec::{Attribute, Values};
///
/// const REGION: Attribute = Attribute {
///     name: "region",
///     about: "where the bucket is",
///     is_required: true,
///     variable: Some("AWS_REGION"),
///     ..Attribute::PLAIN
/// };
/// assert!(REGION.on_import && REGION.on_export);
/// assert_eq!(REGION.values, Values::Text);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// The name, in small letters.
    pub name: &'static str,
    /// What it means, as half a sentence.
    pub about: &'static str,
    /// The values that it can have.
    pub values: Values,
    /// The default, as text for people; `None` if there is none, or if it is obvious.
    pub default: Option<&'static str>,
    /// The environment variable that stands in for it.
    pub variable: Option<&'static str>,
    /// Whether a spec without it, and without its variable, is refused.
    pub is_required: bool,
    /// Whether the spec of a cache to read takes it.
    pub on_import: bool,
    /// Whether the spec of a place to write takes it.
    pub on_export: bool,
}

/// What the value of an attribute can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Values {
    /// Any text.
    Text,
    /// A boolean of Go: `true`, `false`, `1`, `0` and their like.
    Bool,
    /// A duration of Go, like `24h` or `1h30m`.
    Duration,
    /// An integer.
    Number,
    /// A directory on this machine.
    Directory,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A secret: the text itself, `@FILE` for a file that holds it, or `env:NAME` for a variable.
    Secret,
}

impl Attribute {
    /// An attribute of any text that both sides take, to which a name and a meaning have to be added.
    pub const PLAIN: Self = Self {
        name: "",
        about: "",
        values: Values::Text,
        default: None,
        variable: None,
        is_required: false,
        on_import: true,
        on_export: true,
    };
}
