//! Which vertices of a log are steps, and what their names say.

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
    /// Anything else that takes time: definitions, exports, credentials.
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

/// The name that an import's vertex starts with.
const IMPORT: &str = "importing cache manifest from ";

pub(super) fn kind(vertex: &Vertex, is_used: bool) -> Kind {
    let name = vertex.name.as_str();
    if name.starts_with(IMPORT) {
        return Kind::Import;
    }
    if !vertex.inputs.is_empty() {
        return Kind::Step;
    }
    let command = command(name);
    if command.starts_with("FROM ") || command.contains("OCI load from client") || name.starts_with("docker-image://") {
        return Kind::Source(Source::Image);
    }
    if stage(name).is_some_and(|stage| stage.place.is_some()) && !is_remote(command) {
        return Kind::Step;
    }
    if !is_used {
        return Kind::Other;
    }
    let is_files =
        name.starts_with("[internal]") || name.starts_with("local://") || command.contains("load from client");
    Kind::Source(if is_files { Source::Files } else { Source::Remote })
}

fn is_remote(command: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@"].iter().any(|scheme| command.starts_with(scheme))
}

/// The part of a name in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage<'a> {
    /// The stage, with the platform before it where there are several.
    pub(super) name: &'a str,
    /// `2/4`, where it is said.
    pub(super) place: Option<&'a str>,
}

/// `[linux/arm64 build 2/4] RUN make` is of `linux/arm64 build`.
pub(super) fn stage(name: &str) -> Option<Stage<'_>> {
    let (inner, _) = name.strip_prefix('[')?.split_once(']')?;
    if inner == "internal" {
        return None;
    }
    let is_place = |text: &str| {
        let parts = text.split_once('/');
        parts.is_some_and(|(n, of)| {
            [n, of].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        })
    };
    match inner.rsplit_once(' ') {
        Some((name, place)) if is_place(place) => Some(Stage { name, place: Some(place) }),
        _ => Some(Stage { name: inner, place: None }),
    }
}

/// The instruction in a vertex's name, without stage and without `LINK`.
pub(super) fn command(name: &str) -> &str {
    let rest = name.strip_prefix('[').and_then(|rest| rest.split_once("] ")).map_or(name, |(_, rest)| rest);
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

/// What of its source a bind mount shows; without `source` all of it.
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
    fn names_are_taken_apart() {
        let name = "[linux/arm64 build 2/4] RUN make";
        assert_eq!(stage(name), Some(Stage { name: "linux/arm64 build", place: Some("2/4") }));
        assert_eq!((command(name), instruction(name)), ("RUN make", "RUN"));
        assert_eq!(command("[a 1/2] LINK COPY --link x /y"), "COPY --link x /y");
        assert_eq!(stage("[internal] load build context"), None);
        assert_eq!(stage("exporting cache"), None);
        assert_eq!(stage("[context img] OCI load"), Some(Stage { name: "context img", place: None }));
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
