//! Why a request is not accepted, in the words of both protocols.

use std::time::Duration;

use forebay_pipeline::{OverBudget, Refusal};
use http::StatusCode;
use tonic::Code;

/// When to come back, where nobody knows better.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A request that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) kind: Kind,
    /// For the client, and for the log.
    pub(crate) message: String,
    /// When to come back; none means never.
    pub(crate) retry_after: Option<Duration>,
}

/// What decides the status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was sent is not OTLP, or downstream says that it never will be acceptable.
    BadData,
    /// Beyond a limit of size.
    TooLarge,
    /// No room now.
    Overloaded,
    /// The body did not arrive in time.
    TooSlow,
    /// The client went away while its body was read.
    Gone,
    /// A content coding that is not spoken here.
    UnknownCoding,
    /// A content type that is not spoken here.
    UnknownContent,
    /// Nothing is served under this name.
    NotServed,
    /// Something other than POST.
    WrongMethod,
    /// None or several messages in a unary call.
    Cardinality,
}

impl Reject {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    pub(crate) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(Kind::BadData, message)
    }

    /// No room in the budget now.
    pub(crate) fn overloaded(over: OverBudget) -> Self {
        Self { retry_after: Some(RETRY_DELAY), ..Self::new(Kind::Overloaded, over.to_string()) }
    }

    /// Beyond `limit` bytes, which the configuration calls `key`.
    pub(crate) fn too_large(what: &str, limit: usize, key: &str) -> Self {
        Self::new(Kind::TooLarge, format!("{what} is larger than the limit of {limit} bytes (`{key}`)"))
    }
}

impl Kind {
    /// The gRPC status; the specification's table of retryable codes decides between similar ones.
    pub(crate) fn code(self) -> Code {
        match self {
            Self::BadData => Code::InvalidArgument,
            Self::TooLarge => Code::ResourceExhausted,
            Self::Overloaded => Code::Unavailable,
            Self::TooSlow => Code::DeadlineExceeded,
            Self::Gone => Code::Cancelled,
            Self::UnknownCoding
            | Self::UnknownContent
            | Self::NotServed
            | Self::WrongMethod
            | Self::Cardinality => Code::Unimplemented,
        }
    }

    /// The HTTP status.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::BadData | Self::Gone | Self::Cardinality => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownCoding | Self::UnknownContent => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotServed => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

impl From<Refusal> for Reject {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Permanent(message) => Self::bad_data(message),
            Refusal::Retryable { message, after } => Self {
                retry_after: Some(after.unwrap_or(RETRY_DELAY)),
                ..Self::new(Kind::Overloaded, message)
            },
        }
    }
}
