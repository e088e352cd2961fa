//! What is planned to go wrong.

use hyper::Method;

/// A fault, and the requests it is for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Any of them when there is none.
    method: Option<Method>,
    /// A part of the path.
    path: String,
    /// How many requests go well before the first fault.
    after: usize,
    times: usize,
    fault: Fault,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The answer is this status, with a wait in seconds and a body.
    Answer(u16, Option<u64>, &'static str),
    /// The answer leads elsewhere, with this status.
    Redirect(u16, String),
    /// The answer is 401, with this challenge.
    Challenge(String),
    /// The connection closes without an answer.
    Drop,
    /// Nothing is done and nothing answered before the test [releases](super::Server::release) it.
    Hold,
    /// It is done, and the connection closes without an answer.
    DropAnswer,
    /// The connection closes after so many bytes of the answer's body.
    DropAfter(usize),
    /// The body ends after so many bytes, as if that was all.
    Truncate(usize),
    /// A byte of the body is another one.
    Corrupt(usize),
    /// The body never ends.
    Endless,
    /// The answer is this status, with a body that never ends.
    EndlessError(u16),
    /// The body comes byte by byte, 20 in a second.
    Trickle,
    /// The body stops after so many bytes, and the connection stays.
    StallAfter(usize),
    /// The request is answered as if it asked for no range.
    NoRange,
    /// The answer does not say which range it is.
    UntoldRange,
    /// The answer says that it begins a byte later.
    OtherRange,
    /// The body comes in gzip.
    Gzip,
    /// The answer says that the body is in gzip.
    GzipInName,
    /// The answer says that the whole is a byte shorter.
    Shorter,
}

impl Plan {
    /// One fault, with the first request of this method whose path has this part.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>, fault: Fault) -> Self {
        Self { method: Some(method), path: path.into(), after: 0, times: 1, fault }
    }

    /// The same fault with every request.
    #[must_use]
    pub fn everywhere(fault: Fault) -> Self {
        Self { method: None, path: String::new(), after: 0, times: usize::MAX, fault }
    }

    /// The same fault with every request of this method whose path has this part.
    #[must_use]
    pub fn always(method: Method, path: impl Into<String>, fault: Fault) -> Self {
        Self::new(method, path, fault).times(usize::MAX)
    }

    /// So many faults, one after the other.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// The first so many requests go well.
    #[must_use]
    pub fn after(self, after: usize) -> Self {
        Self { after, ..self }
    }
}

impl Fault {
    /// Whether it takes the place of an answer; the others spoil one that is good.
    pub(super) fn is_instead(&self) -> bool {
        match self {
            Self::Answer(..) | Self::Redirect(..) | Self::Challenge(_) | Self::EndlessError(_) => true,
            fault => matches!(fault, Self::Drop | Self::Hold | Self::NoRange),
        }
    }
}

/// Takes the fault of one of both kinds for a request off the plans.
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
