//! OTLP in: the Collector's `otlp` receiver over gRPC and HTTP.
//!
//! A request is read once, into one buffer of its own size, within its limit and the process's byte
//! budget; there it is checked and handed to the pipelines as bytes. What is wrong with a request is
//! answered in the words of the OTLP specification: bad data is not to be sent again, a bad span among
//! good ones is a partial success, and whatever there is no room for right now is waited for a moment and
//! then refused with a delay after which to come back.
//!
//! A [`Server`] has the same connections and bounds for what others answer: [`Unary`] calls,
//! [`Streams`] and [`Get`] requests.
//!
//! Nothing that a client does can hold memory or a connection for ever: bodies, heads and handshakes have
//! deadlines, decoders stop at the limit of what they may write, and connections and streams are counted.

mod activation;
mod answer;
mod auth;
mod body;
mod config;
mod connection;
mod endpoint;
mod grpc;
mod http;
mod inflate;
mod intake;
mod metrics;
mod receiver;
mod reject;
mod server;
#[cfg(test)]
mod tests;

pub use activation::{inherit_sockets, unused_sockets};
pub use auth::BearerTokens;
pub use config::{GrpcConfig, HttpConfig, OtlpConfig, OtlpHttpConfig};
pub use endpoint::{Endpoint, EndpointError};
pub use grpc::streaming::{Incoming, Outgoing, Received, StalledError, Streams};
pub use grpc::unary::Unary;
pub use http::get::Get;
pub use receiver::{OtlpReceiver, Outputs};
pub use server::{Server, StartError};
