//! Common mistakes in specs: a path, a registry alone, a URL, a reference with attributes, attributes without a type.
//! The error names the spec that was probably meant.

use std::path::Path;

use cache_core::CacheSpec;
use cache_core::seams::BackendFacts;
use cache_ops::{Backends, ExportOptions};

use crate::exit::Failure;

/// URL schemes of other tools, and what each of them stands for.
const SCHEMES: [(&str, Meant); 9] = [
    ("docker://", Meant::Registry),
    ("https://", Meant::Registry),
    ("http://", Meant::PlainRegistry),
    ("oci-archive:", Meant::Archive),
    ("docker-archive:", Meant::Archive),
    ("oci-layout://", Meant::Directory),
    ("oci:", Meant::Directory),
    ("file://", Meant::Directory),
    ("s3://", Meant::Bucket),
];

/// Files of a directory with an OCI layout.
const LAYOUT_FILES: [&str; 2] = ["index.json", "oci-layout"];

/// The kind of place that a URL names.
#[derive(Debug, Clone, Copy)]
enum Meant {
    Registry,
    PlainRegistry,
    Directory,
    Archive,
    Bucket,
}

/// Parses a spec by buildx's rules. Common mistakes are found first, since these rules would read them as something
/// else.
///
/// # Errors
/// A usage failure whose hint is the spec that was probably meant.
pub(crate) fn parse(argument: &str, backends: &Backends) -> Result<CacheSpec, Failure> {
    let mistakes = [path, host, url, reference].into_iter().find_map(|mistake| mistake(argument));
    if let Some(failure) = mistakes.or_else(|| kind(argument, backends)) {
        return Err(failure);
    }
    argument.parse().map_err(|error: cache_core::Error| {
        let failure = Failure::from(error);
        match typed(argument, backends) {
            Some(spec) => failure.with_hint(format!("did you mean {spec}?")),
            None => failure,
        }
    })
}

/// Finds a path: no repository begins with a dot or a slash, and the name of an existing directory, or of a layout's
/// file, is hardly meant as a repository.
fn path(argument: &str) -> Option<Failure> {
    if argument.contains(['=', ',']) {
        return None;
    }
    let is_written_as_path = argument.starts_with(['.', '/', '~']);
    let is_directory = || !argument.is_empty() && Path::new(argument).is_dir();
    (is_written_as_path || is_directory() || layout_of(argument).is_some())
        .then(|| meant(&format!("{argument:?} is a path, and no spec"), &directory(argument)))
}

/// Finds a registry without a repository (`localhost:5000`), which these rules read as an official image with a tag.
fn host(argument: &str) -> Option<Failure> {
    let (name, port) = argument.trim_end_matches('/').split_once(':')?;
    let is_name = (name.contains('.') || name == "localhost") && !name.contains(['=', ',', '/']);
    let is_port = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    (is_name && is_port).then(|| {
        let failure = Failure::usage(format!("{argument:?} is a registry without a repository"));
        failure.with_hint(format!("name a repository of it: {name}:{port}/REPOSITORY:TAG"))
    })
}

fn url(argument: &str) -> Option<Failure> {
    let is_scheme = |(scheme, _): &&(&str, Meant)| argument.starts_with(scheme);
    let (scheme, meaning) = SCHEMES.iter().find(is_scheme)?;
    let rest = argument.strip_prefix(scheme)?;
    // The part before `@` in a URL may be a password.
    let rest = rest.rsplit_once('@').filter(|(user, _)| !user.contains('/')).map_or(rest, |(_, rest)| rest);
    let spec = match meaning {
        Meant::Registry => CacheSpec::new("registry").with("ref", rest),
        Meant::PlainRegistry => CacheSpec::new("registry").with("ref", rest).with("registry.insecure", "true"),
        Meant::Archive => {
            let failure = Failure::usage(format!("a spec has no {scheme}"));
            return Some(failure.with_hint("unpack the archive, and name its directory: type=local,src=DIR"));
        }
        Meant::Directory => match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => directory(path).with("tag", tag),
            _ => directory(rest),
        },
        Meant::Bucket => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let spec = CacheSpec::new("s3").with("bucket", bucket).with("region", "REGION");
            if prefix.is_empty() { spec } else { spec.with("prefix", format!("{}/", prefix.trim_end_matches('/'))) }
        }
    };
    Some(meant(&format!("a spec has no {scheme}"), &spec))
}

/// Finds a reference that is followed by attributes (`host/app:cache,mode=max`). A bare reference takes none.
fn reference(argument: &str) -> Option<Failure> {
    let (first, rest) = argument.split_once(',')?;
    let is_reference = !first.contains(['=', '"']) && first.contains('/') && rest.contains('=');
    if !is_reference {
        return None;
    }
    // The attributes go through the parser, which knows the ones that are secrets.
    let spec = format!("type=registry,ref={first},{rest}").parse().ok()?;
    Some(meant("a reference with attributes needs its type", &spec))
}

/// Finds a type alone (`s3`), which these rules read as the name of an official image.
fn kind(argument: &str, backends: &Backends) -> Option<Failure> {
    let kind = backends.kinds().find(|kind| *kind == argument)?;
    Some(meant(&format!("{kind} is a type, and no spec"), &CacheSpec::new(kind)))
}

/// Adds the type to attributes without one (`bucket=b,region=r`), if they fit exactly one type.
fn typed(argument: &str, backends: &Backends) -> Option<CacheSpec> {
    let name = |field: &str| field.split_once('=').map_or(field, |(name, _)| name).to_lowercase();
    let names: Vec<String> = argument.split(',').map(name).collect();
    let takes = |facts: &BackendFacts, name: &String| {
        facts.attributes.iter().chain(&ExportOptions::ATTRIBUTES).any(|attribute| attribute.name == name)
    };
    let mut kinds = backends.facts().filter(|facts| names.iter().all(|name| takes(facts, name)));
    match (kinds.next(), kinds.next()) {
        (Some(facts), None) => format!("type={},{argument}", facts.kind).parse().ok(),
        _ => None,
    }
}

/// The spec of a directory, or of the one that holds this file of a layout.
fn directory(path: &str) -> CacheSpec {
    CacheSpec::new("local").with("src", layout_of(path).unwrap_or(path))
}

/// The directory of a layout, if this is the path of one of its files.
fn layout_of(file: &str) -> Option<&str> {
    let path = Path::new(file);
    let name = path.file_name()?.to_str()?;
    if !LAYOUT_FILES.contains(&name) || !path.is_file() {
        return None;
    }
    let directory = path.parent()?.to_str()?;
    Some(if directory.is_empty() { "." } else { directory })
}

fn meant(message: &str, spec: &CacheSpec) -> Failure {
    Failure::usage(message).with_hint(format!("did you mean {spec}?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn parse(argument: &str) -> Result<CacheSpec, Failure> {
        super::parse(argument, &Backends::new())
    }

    fn hint(argument: &str) -> String {
        let failure = parse(argument).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        failure.hint.unwrap_or_default()
    }

    #[test]
    fn common_mistakes_name_the_spec_that_was_meant() {
        for (argument, spec) in [
            ("./cache", "type=local,src=./cache"),
            ("/abs/cache", "type=local,src=/abs/cache"),
            ("../cache", "type=local,src=../cache"),
            // A directory of this crate, where its tests run.
            ("src", "type=local,src=src"),
            ("docker://host:5000/app:cache", "type=registry,ref=host:5000/app:cache"),
            ("oci:layout", "type=local,src=layout"),
            ("oci:dir/layout:v1", "type=local,src=dir/layout,tag=v1"),
            ("http://localhost:5000/app:cache", "type=registry,ref=localhost:5000/app:cache,registry.insecure=true"),
            ("s3://bucket", "type=s3,bucket=bucket,region=REGION"),
            ("s3://bucket/a/b", "type=s3,bucket=bucket,prefix=a/b/,region=REGION"),
            ("host/app:cache,mode=min", "type=registry,mode=min,ref=host/app:cache"),
        ] {
            assert_eq!(hint(argument), format!("did you mean {spec}?"), "{argument}");
        }
    }

    #[test]
    fn a_registry_alone_needs_a_repository() {
        for argument in ["127.0.0.1:5000", "localhost:5000", "registry.example.com:443/"] {
            let registry = argument.trim_end_matches('/');
            assert_eq!(hint(argument), format!("name a repository of it: {registry}/REPOSITORY:TAG"));
        }
    }

    #[test]
    fn specs_without_a_mistake_are_not_changed() {
        for argument in [
            "type=local,src=./cache",
            "host/app:cache",
            "app",
            "app:5000",
            "localhost:5000/app",
            "type=registry,ref=host/app",
        ] {
            assert_eq!(parse(argument).unwrap(), argument.parse().unwrap());
        }
    }

    #[test]
    fn no_hint_repeats_a_secret() {
        for argument in ["docker://user:hush@host/app", "host/app,secret_access_key=hush", "https://me:hush@host/x:y"] {
            let failure = parse(argument).unwrap_err();
            assert!(!format!("{failure:?}").contains("hush"), "{argument}");
        }
    }
}
