//! `specs`: lists every attribute of the types in this build.

use std::fmt::Write as _;

use cache_core::spec::{Attribute, Values};
use cache_core::{Digest, Timestamp};
use cache_ops::ExportOptions;
use serde::Serialize;

use crate::args::SpecsArgs;
use crate::exit::{Exit, Failure};
use crate::output::{self, Report};
use crate::session::Session;

const RULES: &str = "\
A spec is one argument: type=KIND,NAME=VALUE,… as --cache-to and --cache-from of buildx take it.
HOST/REPOSITORY:TAG alone is type=registry,ref=HOST/REPOSITORY:TAG.
A value with a comma stands in quotes with its name: 'type=local,\"src=a,b\"'.
A SECRET can be kept elsewhere: @FILE reads a file, env:NAME a variable.
";

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct SpecsDocument {
    /// What this document is.
    schema: &'static str,
    /// The types that are built in.
    types: Vec<Type>,
    /// Those that every destination takes.
    destinations: Vec<AttributeReport>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Type {
    /// What stands behind `type=`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What a spec of this type can have.
    attributes: Vec<AttributeReport>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct AttributeReport {
    /// Its name.
    name: &'static str,
    /// What it means.
    about: &'static str,
    /// `TEXT`, `BOOL`, `DURATION`, `NUMBER`, `DIR`, `SECRET`, or the values divided by `|`.
    values: String,
    /// What counts without it.
    default: Option<&'static str>,
    /// The variable that is read without it.
    variable: Option<&'static str>,
    /// Whether a spec without it is refused.
    is_required: bool,
    /// Whether it counts where a cache is read.
    on_import: bool,
    /// Whether it counts where a cache is written.
    on_export: bool,
}

pub(super) fn run(session: &Session, args: &SpecsArgs) -> Result<Exit, Failure> {
    let all = || session.backends.facts();
    if let Some(kind) = args.kind.as_deref().filter(|kind| all().all(|facts| facts.kind != *kind)) {
        let kinds: Vec<&str> = session.backends.kinds().collect();
        return Err(Failure::usage(format!("there is no type {kind:?}; there are {}", kinds.join(", "))));
    }
    let wanted = all().filter(|facts| args.kind.as_deref().is_none_or(|kind| kind == facts.kind));
    let types = wanted.map(|facts| Type { kind: facts.kind, attributes: reports(facts.attributes) }).collect();
    let destinations = reports(&ExportOptions::ATTRIBUTES);
    output::print(session, &SpecsDocument { schema: "buildcache.specs/v1", types, destinations })?;
    Ok(Exit::Done)
}

fn reports(attributes: &[Attribute]) -> Vec<AttributeReport> {
    let report = |attribute: &Attribute| AttributeReport {
        name: attribute.name,
        about: attribute.about,
        values: values(attribute.values),
        default: attribute.default,
        variable: attribute.variable,
        is_required: attribute.is_required,
        on_import: attribute.on_import,
        on_export: attribute.on_export,
    };
    attributes.iter().map(report).collect()
}

fn values(values: Values) -> String {
    match values {
        Values::Bool => "BOOL".to_owned(),
        Values::Duration => "DURATION".to_owned(),
        Values::Number => "NUMBER".to_owned(),
        Values::Directory => "DIR".to_owned(),
        Values::OneOf(values) => values.join("|"),
        Values::Secret => "SECRET".to_owned(),
        _ => "TEXT".to_owned(),
    }
}

impl Report for SpecsDocument {
    fn table(&self, _: Timestamp, _: bool) -> String {
        let mut text = RULES.to_owned();
        for Type { kind, attributes } in &self.types {
            let _ = write!(text, "\ntype={kind}\n{}", lines(attributes));
        }
        let _ = write!(text, "\nevery destination\n{}", lines(&self.destinations));
        text
    }

    fn digests(&self) -> Vec<Digest> {
        Vec::new()
    }
}

fn lines(attributes: &[AttributeReport]) -> String {
    attributes.iter().map(|attribute| format!("{}\n", attribute.line())).collect()
}

impl AttributeReport {
    fn line(&self) -> String {
        let side = match (self.on_import, self.on_export) {
            (true, false) => Some("to read only".to_owned()),
            (false, true) => Some("to write only".to_owned()),
            _ => None,
        };
        let notes = [
            self.is_required.then(|| "required".to_owned()),
            side,
            self.default.map(|default| format!("default: {default}")),
            self.variable.map(|variable| format!("env: {variable}")),
        ];
        let notes: String = notes.into_iter().flatten().map(|note| format!(" [{note}]")).collect();
        format!("  {:<32}  {}{notes}", format!("{}={}", self.name, self.values), self.about)
    }
}
