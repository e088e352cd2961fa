//! Which vertices of a log are steps, and the parts of their names.

use super::log::Vertex;

/// What a vertex is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A step of the build, which a cache can have.
    Step,
    /// Where a build starts: files of the client, an image, a repository, an address.
    Source(Source),
    /// The import of a cache.
    Import,
    /// Other work: definitions, exports, credentials.
    Other,
}

/// What kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Files of the client; their key is never stored, only their content's.
    Files,
    /// An image.
    Image,
    /// A repository or an address.
    Remote,
}

/// How the name of an import's vertex begins.
const IMPORT: &str = "importing cache manifest from ";
/// The text in brackets before internal work of BuildKit.
const INTERNAL: &str = "internal";
/// How the name of a client's files ends.
const LOAD: &str = "load from client";
/// How the name of a repository or an address begins.
const REMOTE: [&str; 5] = ["http://", "https://", "git://", "ssh://", "git@"];

pub(super) fn kind(vertex: &Vertex, is_used: bool) -> Kind {
    let name = vertex.name.as_str();
    let command = command(name);
    if command.starts_with(IMPORT) {
        return Kind::Import;
    }
    if !vertex.inputs.is_empty() {
        return Kind::Step;
    }
    if is_image(name, command) {
        return Kind::Source(Source::Image);
    }
    if stage(name).is_some_and(|stage| stage.place.is_some()) && !is_remote(command) {
        return Kind::Step;
    }
    if !is_used {
        return Kind::Other;
    }
    let is_files = brackets(name).is_some_and(|(inner, _)| is_internal(inner))
        || name.starts_with("local://")
        || command.ends_with(LOAD);
    Kind::Source(if is_files { Source::Files } else { Source::Remote })
}

/// A base image, or a named context that is one: `[context base] docker.io/library/alpine`.
fn is_image(name: &str, command: &str) -> bool {
    let is_context = || brackets(name).is_some_and(|(inner, _)| inner.split(' ').any(|word| word == "context"));
    command.starts_with("FROM ")
        || command.starts_with("OCI load")
        || command.starts_with("docker-image://")
        || (is_context() && !command.starts_with("load ") && !is_remote(command))
}

/// An address or a repository, also one that an `ADD` names.
fn is_remote(command: &str) -> bool {
    let is_address = |word: &str| REMOTE.iter().any(|scheme| word.starts_with(scheme));
    match command.strip_prefix("ADD ") {
        Some(rest) => rest.split_whitespace().any(is_address),
        None => is_address(command),
    }
}

/// The part of a name in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage<'a> {
    /// The stage, with the platform before it if there are several.
    pub(super) name: &'a str,
    /// `2/4`, if the name has it.
    pub(super) place: Option<&'a str>,
}

/// `[linux/arm64 build 2/4] RUN make` is of `linux/arm64 build`.
pub(super) fn stage(name: &str) -> Option<Stage<'_>> {
    let (inner, _) = brackets(name).filter(|(inner, _)| !is_internal(inner))?;
    match inner.rsplit_once(' ') {
        Some((name, place)) if is_place(place) => Some(Stage { name, place: Some(place) }),
        _ => Some(Stage { name: inner, place: None }),
    }
}

/// The Dockerfile instruction of a vertex, without its platform: `[linux/arm64 build 2/4] RUN make` becomes
/// `[build 2/4] RUN`. The text after it may contain arguments of the platform, and is kept only for a name without a
/// position.
pub(super) fn without_platform(name: &str) -> String {
    let Some((inner, rest)) = brackets(name) else { return name.to_owned() };
    let is_platform = |word: &str| word.contains('/') && !is_place(word);
    let words: Vec<&str> = inner.split(' ').filter(|word| !is_platform(word)).collect();
    let has_place = words.last().is_some_and(|word| is_place(word));
    let rest = if has_place { instruction(name) } else { rest };
    format!("[{}] {rest}", words.join(" "))
}

/// `2/4`.
fn is_place(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('/').is_some_and(|(n, of)| is_number(n) && is_number(of))
}

/// The text in brackets at the start of a name, and the rest.
fn brackets(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix('[')?.split_once("] ")
}

/// Where several targets are built at once, buildx puts the target's name first: `[app internal]`.
fn is_internal(inner: &str) -> bool {
    inner.rsplit(' ').next() == Some(INTERNAL)
}

/// Whether a copy is made beside its base, to be laid upon it.
pub(super) fn is_link(name: &str) -> bool {
    let flags = command(name).split_whitespace().skip(1).take_while(|word| word.starts_with("--"));
    flags.into_iter().any(|flag| flag == "--link" || flag.starts_with("--link="))
}

/// The instruction in a vertex's name, without stage and without `LINK`.
pub(super) fn command(name: &str) -> &str {
    let rest = brackets(name).map_or(name, |(_, rest)| rest);
    rest.strip_prefix("LINK ").unwrap_or(rest)
}

/// The instruction's first word: `RUN`, `COPY`, `WORKDIR`.
pub(super) fn instruction(name: &str) -> &str {
    command(name).split_whitespace().next().unwrap_or("")
}

/// The paths that a `COPY` or `ADD` takes, or that a bind mount shows, as the name has them.
pub(super) fn paths(name: &str) -> Vec<&str> {
    let words: Vec<&str> = command(name).split_whitespace().collect();
    match words.split_first() {
        Some((&("COPY" | "ADD"), rest)) => {
            let paths: Vec<&str> = rest.iter().filter(|word| !word.starts_with("--")).copied().collect();
            paths.split_last().map_or(Vec::new(), |(_, sources)| sources.to_vec())
        }
        Some((&"RUN", rest)) => {
            let mounts =
                rest.iter().take_while(|word| word.starts_with("--")).filter_map(|word| word.strip_prefix("--mount="));
            mounts.filter_map(bind_source).collect()
        }
        _ => Vec::new(),
    }
}

/// The path of the source that a bind mount shows; without `source` all of it.
fn bind_source(mount: &str) -> Option<&str> {
    let value = |keys: &[&str]| {
        mount
            .split(',')
            .find_map(|field| field.split_once('=').filter(|(key, _)| keys.contains(key)).map(|(_, value)| value))
    };
    matches!(value(&["type"]), None | Some("bind")).then(|| value(&["source", "src"]).unwrap_or("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_into_stage_and_command() {
        let name = "[linux/arm64 build 2/4] RUN make";
        assert_eq!(stage(name), Some(Stage { name: "linux/arm64 build", place: Some("2/4") }));
        assert_eq!((command(name), instruction(name)), ("RUN make", "RUN"));
        assert_eq!(without_platform(name), "[build 2/4] RUN");
        assert_eq!(without_platform("[internal] load build context"), "[internal] load build context");
        assert_eq!(command("[a 1/2] LINK COPY --link x /y"), "COPY --link x /y");
        assert_eq!(stage("[internal] load build context"), None);
        assert_eq!(stage("exporting cache"), None);
        assert_eq!(stage("[context img] OCI load"), Some(Stage { name: "context img", place: None }));
    }

    /// As BuildKit's Dockerfile frontend and buildx name them, with the target first where several are built.
    #[test]
    fn sources_are_recognised_by_their_names() {
        let kind = |name: &str, is_used| {
            let log = format!(r#"{{"vertexes":[{{"digest":"{}","name":"{name}"}}]}}"#, cache_core::Digest::sha256(b""));
            let log = crate::explain::BuildLog::read(log.as_bytes(), &crate::explain::LogLimits::default()).unwrap();
            kind(&log.vertices[0], is_used)
        };
        for (name, expected) in [
            ("[internal] load build context", Kind::Source(Source::Files)),
            ("[app internal] load build context", Kind::Source(Source::Files)),
            ("[context more] load from client", Kind::Source(Source::Files)),
            ("[build 1/3] FROM docker.io/library/alpine", Kind::Source(Source::Image)),
            ("[app linux/arm64 build 1/3] FROM docker.io/library/alpine", Kind::Source(Source::Image)),
            ("[context base] docker.io/library/alpine:latest", Kind::Source(Source::Image)),
            ("[app context base] OCI load from client", Kind::Source(Source::Image)),
            ("[context more] https://example.com/x.tar", Kind::Source(Source::Remote)),
            ("[build 2/3] ADD https://example.com/x /x", Kind::Source(Source::Remote)),
            ("[app 1/2] WORKDIR /app", Kind::Step),
        ] {
            assert_eq!(kind(name, true), expected, "{name}");
        }
        assert_eq!(kind("[app] importing cache manifest from ghcr.io/me/app", false), Kind::Import);
        assert_eq!(kind("[app] exporting cache to registry", false), Kind::Other);
        assert_eq!(kind("[app internal] load metadata for docker.io/library/alpine", false), Kind::Other);
    }

    #[test]
    fn paths_are_those_that_a_step_reads() {
        assert_eq!(paths("[a 1/2] COPY --from=b --chmod=755 one two /dst/"), ["one", "two"]);
        assert_eq!(
            paths("[a 1/2] RUN --mount=type=bind,source=tests,target=/t --mount=type=cache,target=/c make -C x"),
            ["tests"]
        );
        assert_eq!(paths("[a 1/2] RUN --mount=target=/src make"), ["."]);
        assert!(paths("[a 1/2] WORKDIR /app").is_empty() && paths("COPY").is_empty());
    }
}
