//! The schema files of `schemas/`: made of the types that are written, and compared with what is there.

mod foreign;

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

pub(crate) use self::foreign::{EntryContent, PlannedCache, PrunePlan, UnreadableName};
use super::{
    copy, diff, doctor, du, explain, graph, inspect, login, ls, merge, optimize, prune, repair, rm, specs, verify,
};
use crate::messages;

/// A document, by the word before the version in its `schema`.
struct Document {
    name: &'static str,
    make: fn(SchemaGenerator) -> Schema,
}

const DOCUMENTS: [Document; 19] = [
    Document { name: "copy", make: root::<copy::report::Copies> },
    Document { name: "diff", make: root::<diff::report::Differences> },
    Document { name: "doctor", make: root::<doctor::report::Report> },
    Document { name: "du", make: root::<du::report::Usage> },
    Document { name: "error", make: root::<messages::Document<'_>> },
    Document { name: "explain", make: root::<explain::report::Report> },
    Document { name: "graph", make: root::<graph::report::Document<'_>> },
    Document { name: "inspect", make: root::<inspect::report::Inspection<'_>> },
    Document { name: "login", make: root::<login::report::LoggedIn> },
    Document { name: "logout", make: root::<login::report::LoggedOut> },
    Document { name: "ls", make: root::<ls::Listing> },
    Document { name: "merge", make: root::<merge::report::Merge> },
    Document { name: "optimize", make: root::<optimize::report::Optimization> },
    Document { name: "prune", make: root::<prune::report::Pruned> },
    Document { name: "prune-plan", make: root::<prune::file::PlanFile> },
    Document { name: "repair", make: root::<repair::report::Repair> },
    Document { name: "rm", make: root::<rm::report::Removal> },
    Document { name: "specs", make: root::<specs::Document> },
    Document { name: "verify", make: root::<verify::report::Verification> },
];

fn root<T: JsonSchema>(generator: SchemaGenerator) -> Schema {
    generator.into_root_schema_for::<T>()
}

/// The file of a document. Readers of an older version of the program find fields that they do not know, so none is forbidden.
fn file(document: &Document) -> String {
    let Document { name, make } = document;
    let mut schema = make(SchemaSettings::draft2020_12().for_serialize().into_generator()).to_value();
    let title = format!("buildcache.{name}/v1");
    schema["title"] = json!(title);
    schema["properties"]["schema"]["const"] = json!(title);
    format!("{schema:#}\n")
}

/// A type of another crate, which is a text of one form in a document.
macro_rules! text {
    ($name:ident, $description:literal, $pattern:literal) => {
        pub(crate) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $description, "pattern": $pattern })
            }
        }
    };
}

text!(Digest, "A digest as the OCI image spec has it.", "^sha(256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})$");
text!(
    DiffId,
    "The digest of a layer's uncompressed tar.",
    "^sha(256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})$"
);
text!(Timestamp, "A time as RFC 3339 has it.", "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+)$");

mod tests;
