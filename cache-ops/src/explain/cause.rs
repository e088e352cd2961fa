//! Why a step ran although there was a cache.

use cache_core::{CacheKey, Digest};

/// Why a step missed, with the objects that prove it. Records are named by their keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The files that a step reads have changed: other content under the same step.
    FilesChanged {
        /// The paths or addresses, as the step names them.
        paths: Vec<String>,
        /// The content's keys in this build.
        content: Vec<CacheKey>,
        /// The content's keys that the imported cache has for this step.
        instead: Vec<CacheKey>,
    },
    /// The step itself has changed, on the same inputs.
    StepChanged {
        /// The parts that may have changed.
        parts: Vec<Part>,
        /// The steps that the imported cache has on the same inputs.
        instead: Vec<CacheKey>,
    },
    /// The step was added: the imported cache continues without it, or ends here.
    StepAdded {
        /// The step that the imported cache has in its place; it comes later now.
        before: Option<CacheKey>,
    },
    /// Steps before this one were removed.
    StepRemoved {
        /// The removed steps, in order.
        removed: Vec<CacheKey>,
    },
    /// The step was moved.
    StepMoved {
        /// The step that was in its place.
        instead: CacheKey,
    },
    /// The base image has changed, or its platform has.
    BaseChanged {
        /// Its name in the log.
        name: String,
        /// Its keys in this build.
        keys: Vec<CacheKey>,
        /// The keys of the image that the imported cache has here.
        instead: Vec<CacheKey>,
    },
    /// An input of the step missed, so the step's key changed too.
    Follows,
    /// The imported cache has the step's record, but no result for it.
    NotStored(NotStored),
    /// The imported cache has a result whose blobs its store has lost.
    Lost {
        /// The blobs.
        blobs: Vec<Digest>,
    },
    /// A cache that the build did not import has the result.
    Elsewhere {
        /// That cache.
        cache: String,
    },
    /// A cache has the result, but was not imported, or not completely.
    NotImported {
        /// That cache.
        cache: String,
        /// Why.
        why: NotImported,
    },
    /// The build asked for the step to run.
    AskedFor(AskedFor),
    /// The cache has the record and the result, but BuildKit did not use it.
    ShouldHaveHit {
        /// The records that have a result.
        records: Vec<CacheKey>,
    },
    /// The cause is unknown.
    Unknown,
}

/// The part of a step that may have changed.
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

/// Why a record has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotStored {
    /// The cache holds the results of the last stage only: `mode=min`.
    Min,
    /// It holds only the records of an image: an inline cache.
    Inline,
    /// Single results are missing: dropped, or of another target.
    Dropped,
    /// The step starts from nothing, and BuildKit never stores the results of such a step.
    Root,
}

/// Why a cache did not help.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotImported {
    /// There is no cache.
    Absent,
    /// It cannot be read, with the error.
    Unreadable(String),
    /// BuildKit could not import it, with its error.
    Failed(String),
    /// The config or the manifest is over 1 MiB.
    TooLarge(u64),
    /// The log shows no import.
    NotAsked,
    /// It has several leaves: BuildKit v0.25 to v0.32 finds a different part of it each time.
    SeveralLeaves(usize),
    /// It is one of this many imported caches that share steps: BuildKit v0.25 to v0.32 then loses hits.
    SideBySide(usize),
}

/// How the build asked for the step to run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AskedFor {
    /// `--no-cache`.
    NoCache,
    /// `--no-cache-filter` of this stage.
    NoCacheFilter(String),
    /// The step reads a secret or an SSH agent, or its key changes with every build, so no cache has it.
    NeverTheSame,
}

impl Cause {
    /// The cause's name in reports.
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

    /// Whether the step still has its old key, so that its dependants do not miss because of it.
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

    /// What steps with a common reason have in common, so that the reason is reported once.
    pub(super) fn shared(&self) -> Option<CommonTrait> {
        match self {
            Self::NotStored(_) | Self::ShouldHaveHit { .. } => Some(CommonTrait::Kind(self.as_str())),
            Self::FilesChanged { content, .. } if content.is_empty() => None,
            Self::FilesChanged { .. }
            | Self::BaseChanged { .. }
            | Self::Elsewhere { .. }
            | Self::NotImported { .. }
            | Self::AskedFor(_)
            | Self::Lost { .. } => Some(CommonTrait::Cause(self.clone())),
            _ => None,
        }
    }
}

/// What steps can have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum CommonTrait {
    /// The kind of cause.
    Kind(&'static str),
    /// All of the cause.
    Cause(Cause),
    /// The kind of cause, and the instruction: it is one of the Dockerfile, for several platforms.
    Instruction(&'static str, String),
}

impl Part {
    /// The part's name in reports.
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
