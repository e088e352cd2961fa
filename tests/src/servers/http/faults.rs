//! Planned faults.

use hyper::Method;

/// A fault, and the requests that it applies to.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `None` for any method.
    method: Option<Method>,
    /// A part of the path.
    path: String,
    /// How many requests succeed before the first fault.
    after: usize,
    times: usize,
    fault: Fault,
}

/// A fault of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The answer has this status, `Retry-After` in seconds, and this body.
    Answer(u16, Option<u64>, &'static str),
    /// The answer is a redirect with this status.
    Redirect(u16, String),
    /// The answer is 401, with this challenge.
    Challenge(String),
    /// The connection closes without an answer.
    Drop,
    /// The request waits until the test [releases](super::Server::release) it.
    Hold,
    /// The request is executed, and the connection closes without an answer.
    DropAnswer,
    /// The connection closes after this many bytes of the body.
    DropAfter(usize),
    /// The body ends after this many bytes, as if that was all.
    Truncate(usize),
    /// This byte of the body is wrong.
    Corrupt(usize),
    /// The body never ends.
    Endless,
    /// The answer has this status, and a body that never ends.
    EndlessError(u16),
    /// The body is sent byte by byte, 20 per second.
    Trickle,
    /// The body stops after this many bytes, and the connection stays open.
    StallAfter(usize),
    /// The range of the request is ignored.
    NoRange,
    /// The answer does not say which range it is.
    UntoldRange,
    /// The answer claims to begin a byte later.
    OtherRange,
    /// The body is sent in gzip.
    Gzip,
    /// The answer wrongly claims that the body is in gzip.
    GzipInName,
    /// The answer claims that the whole is a byte shorter.
    Shorter,
}

impl Plan {
    /// A fault of the first request with this method whose path contains this part.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>, fault: Fault) -> Self {
        Self { method: Some(method), path: path.into(), after: 0, times: 1, fault }
    }

    /// The same fault for every request.
    #[must_use]
    pub fn everywhere(fault: Fault) -> Self {
        Self { method: None, path: String::new(), after: 0, times: usize::MAX, fault }
    }

    /// The same fault for every request with this method whose path contains this part.
    #[must_use]
    pub fn always(method: Method, path: impl Into<String>, fault: Fault) -> Self {
        Self::new(method, path, fault).times(usize::MAX)
    }

    /// Repeats the fault `times` times.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Lets the first `after` requests succeed.
    #[must_use]
    pub fn after(self, after: usize) -> Self {
        Self { after, ..self }
    }
}

impl Fault {
    /// Whether it replaces the answer; other faults change the answer of the service.
    pub(super) fn is_instead(&self) -> bool {
        match self {
            Self::Answer(..) | Self::Redirect(..) | Self::Challenge(_) | Self::EndlessError(_) => true,
            fault => matches!(fault, Self::Drop | Self::Hold | Self::NoRange),
        }
    }
}

/// Removes the next fault for a request from the plans: one that replaces the answer, or one that changes it.
pub(super) fn take(plans: &mut Vec<Plan>, method: &Method, path: &str, is_instead: bool) -> Option<Fault> {
    let is_for = |plan: &Plan| {
        let is_method = plan.method.as_ref().is_none_or(|planned| planned == method);
        is_method && path.contains(&plan.path) && plan.fault.is_instead() == is_instead
    };
    let at = plans.iter().position(is_for)?;
    let plan = &mut plans[at];
    if plan.after > 0 {
        plan.after -= 1;
        return None;
    }
    plan.times -= 1;
    let fault = plan.fault.clone();
    if plan.times == 0 {
        plans.remove(at);
    }
    Some(fault)
}
