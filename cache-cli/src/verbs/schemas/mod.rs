//! The files in `schemas/`: generated from the types of the documents, and compared with the files that exist.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;

use super::{
    copy, diff, doctor, du, explain, graph, inspect, login, ls, merge, optimize, prune, repair, rm, specs, verify,
};
use crate::messages;

/// A document; `name` is the word before the version in its `schema`.
struct SchemaFile {
    name: &'static str,
    make: fn(SchemaGenerator) -> Schema,
}

const DOCUMENTS: [SchemaFile; 19] = [
    SchemaFile { name: "copy", make: root::<copy::report::Copies> },
    SchemaFile { name: "diff", make: root::<diff::report::Differences> },
    SchemaFile { name: "doctor", make: root::<doctor::report::Report> },
    SchemaFile { name: "du", make: root::<du::report::Usage> },
    SchemaFile { name: "error", make: root::<messages::FailureDocument<'_>> },
    SchemaFile { name: "explain", make: root::<explain::report::Report> },
    SchemaFile { name: "graph", make: root::<graph::report::GraphDocument<'_>> },
    SchemaFile { name: "inspect", make: root::<inspect::report::Inspection<'_>> },
    SchemaFile { name: "login", make: root::<login::report::LoggedIn> },
    SchemaFile { name: "logout", make: root::<login::report::LoggedOut> },
    SchemaFile { name: "ls", make: root::<ls::Listing> },
    SchemaFile { name: "merge", make: root::<merge::report::Merge> },
    SchemaFile { name: "optimize", make: root::<optimize::report::Optimization> },
    SchemaFile { name: "prune", make: root::<prune::report::Pruned> },
    SchemaFile { name: "prune-plan", make: root::<prune::file::PlanFile> },
    SchemaFile { name: "repair", make: root::<repair::report::Repair> },
    SchemaFile { name: "rm", make: root::<rm::report::Removal> },
    SchemaFile { name: "specs", make: root::<specs::SpecsDocument> },
    SchemaFile { name: "verify", make: root::<verify::report::Verification> },
];

fn root<T: JsonSchema>(generator: SchemaGenerator) -> Schema {
    generator.into_root_schema_for::<T>()
}

/// The schema file of a document. It does not forbid unknown fields, since a reader may have an older schema.
fn file(document: &SchemaFile) -> String {
    let SchemaFile { name, make } = document;
    let mut schema = make(SchemaSettings::draft2020_12().for_serialize().into_generator()).to_value();
    let title = format!("buildcache.{name}/v1");
    schema["title"] = json!(title);
    schema["properties"]["schema"]["const"] = json!(title);
    format!("{schema:#}\n")
}

mod tests;
