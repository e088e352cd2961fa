//! Why a step ran although a cache was there.

use cache_core::{CacheKey, Digest};

/// Why a step missed, with what proves it. Records are named by their keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// What a step takes from outside the build is not what it was: another content under the same step.
    FilesChanged {
        /// The paths or addresses, as the step names them.
        paths: Vec<String>,
        /// The content's keys in this build.
        content: Vec<CacheKey>,
        /// The content's keys that the imported cache has for this step.
        instead: Vec<CacheKey>,
    },
    /// The step itself is another one, on the same inputs.
    StepChanged {
        /// What of it can have changed.
        parts: Vec<Part>,
        /// The steps that the imported cache has on the same inputs.
        instead: Vec<CacheKey>,
    },
    /// The step is new: the imported cache goes on without it, or ends here.
    StepAdded {
        /// The step that the imported cache has in its place, and that comes later now.
        before: Option<CacheKey>,
    },
    /// Steps that came before this one are gone.
    StepRemoved {
        /// The steps that are gone, first one first.
        removed: Vec<CacheKey>,
    },
    /// The step is in another place among the steps around it.
    StepMoved {
        /// The step that was in its place.
        instead: CacheKey,
    },
    /// The image that the chain starts from is another one, or for another platform.
    BaseChanged {
        /// What the log calls it.
        name: String,
        /// Its keys in this build.
        keys: Vec<CacheKey>,
        /// The keys of the image that the imported cache has here.
        instead: Vec<CacheKey>,
    },
    /// Something the step works on missed, and with it the step's own key.
    Follows,
    /// The imported cache knows the step, and holds no result for it.
    NotStored(NotStored),
    /// The imported cache has a result whose blobs its store has lost.
    Lost {
        /// The blobs.
        blobs: Vec<Digest>,
    },
    /// A cache that the build did not import has it.
    Elsewhere {
        /// That cache.
        cache: String,
    },
    /// The cache has it and could not be imported, not all of it, or was not asked.
    NotImported {
        /// That cache.
        cache: String,
        /// Why.
        why: NotImported,
    },
    /// Whoever started the build wanted the step to run.
    AskedFor(AskedFor),
    /// Everything is there, and BuildKit did not take it.
    ShouldHaveHit {
        /// The records that have a result.
        records: Vec<CacheKey>,
    },
    /// What is known does not tell.
    Unknown,
}

/// What of a step can have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The command of a `RUN`, or its shell.
    Command,
    /// Its mounts.
    Mounts,
    /// Environment variables.
    Environment,
    /// Build arguments, which are environment too.
    BuildArgument,
    /// The user.
    User,
    /// The working directory.
    WorkingDirectory,
    /// The platform.
    Platform,
    /// The destination or the names of what is copied.
    Paths,
    /// Owner, permissions, `--link`, `--parents`, `--exclude`.
    CopyOptions,
}

/// Why there is a record without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotStored {
    /// The cache holds the results of the last stage only: `mode=min`.
    Min,
    /// It holds only the records of an image: an inline cache.
    Inline,
    /// A result is missing here and there: dropped, or of another target.
    Dropped,
    /// The step starts from nothing, and BuildKit never stores the results of such a step.
    Root,
}

/// Why a cache that is there did not help.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotImported {
    /// There is no cache.
    Absent,
    /// It cannot be read, in the words of who tried.
    Unreadable(String),
    /// BuildKit could not import it, in its words.
    Failed(String),
    /// The config or the manifest is over 1 MiB.
    TooLarge(u64),
    /// The log tells of no import.
    NotAsked,
    /// It has several leaves, of which BuildKit v0.25 to v0.32 loses hits at random.
    SeveralLeaves(usize),
    /// It was imported beside others that share steps with it, of which BuildKit v0.25 to v0.32 loses hits.
    SideBySide(usize),
}

/// How it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AskedFor {
    /// `--no-cache`.
    NoCache,
    /// `--no-cache-filter` of this stage.
    NoCacheFilter(String),
    /// The step reads a secret or an agent, or has a key that is never the same, and is in no cache.
    NeverTheSame,
}

impl Cause {
    /// The cause as reports show it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::FilesChanged { .. } => "files-changed",
            Self::StepChanged { .. } => "step-changed",
            Self::StepAdded { .. } => "step-added",
            Self::StepRemoved { .. } => "step-removed",
            Self::StepMoved { .. } => "step-moved",
            Self::BaseChanged { .. } => "base-changed",
            Self::Follows => "follows",
            Self::NotStored(_) => "known-not-stored",
            Self::Lost { .. } => "stored-but-lost",
            Self::Elsewhere { .. } => "in-another-place",
            Self::NotImported { .. } => "cannot-be-imported",
            Self::AskedFor(_) => "asked-for",
            Self::ShouldHaveHit { .. } => "should-have-hit",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the step has the key it had: what works on it does not miss because of it.
    pub(super) fn keeps_the_key(&self) -> bool {
        matches!(
            self,
            Self::NotStored(_)
                | Self::Lost { .. }
                | Self::NotImported { .. }
                | Self::AskedFor(_)
                | Self::ShouldHaveHit { .. }
        )
    }

    /// What steps have in common that have one reason between them, so that it is told once.
    pub(super) fn shared(&self) -> Option<Shared> {
        match self {
            Self::NotStored(_) | Self::ShouldHaveHit { .. } => Some(Shared::Kind(self.as_str())),
            Self::FilesChanged { content, .. } if content.is_empty() => None,
            Self::FilesChanged { .. }
            | Self::BaseChanged { .. }
            | Self::Elsewhere { .. }
            | Self::NotImported { .. }
            | Self::AskedFor(_)
            | Self::Lost { .. } => Some(Shared::Cause(self.clone())),
            _ => None,
        }
    }
}

/// What steps can have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Shared {
    /// The kind of cause.
    Kind(&'static str),
    /// All of the cause.
    Cause(Cause),
    /// The kind of cause, and the instruction: it is one of the Dockerfile, for several platforms.
    Instruction(&'static str, String),
}

impl Part {
    /// The part as reports show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Mounts => "mounts",
            Self::Environment => "environment",
            Self::BuildArgument => "build argument",
            Self::User => "user",
            Self::WorkingDirectory => "working directory",
            Self::Platform => "platform",
            Self::Paths => "destination or file names",
            Self::CopyOptions => "owner, permissions, --link or other flags",
        }
    }
}
