//! `buildcache`: flags, glue and reports over the crates of this workspace.

fn main() {}
