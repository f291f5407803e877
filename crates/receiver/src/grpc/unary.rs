//! Unary calls of other services than OTLP's: one message in, one message out.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_pipeline::Budget;
use http::{Request, Response, request};
use hyper::body::Incoming;
use tonic::Status;

use super::{coding, failure, is_call, not_grpc, receive, status, success};
use crate::answer::Answer;
use crate::body::{Allowance, Pieces};
use crate::config::GrpcConfig;
use crate::connection::{Call, Serve};

/// What answers unary calls.
pub trait Unary: Send + Sync + 'static {
    /// Answers the call of `method` (`/package.Service/Method`) with a message.
    ///
    /// # Errors
    /// The status to answer instead; [`tonic::Code::Unimplemented`] if there is no such method.
    fn call(&self, method: &str, message: Bytes) -> impl Future<Output = Result<Bytes, Status>> + Send;
}

/// A [`Unary`] behind an endpoint.
pub(crate) struct Methods<S> {
    service: S,
    allowance: Allowance,
    /// How long a message may take to arrive.
    read_timeout: Option<Duration>,
}

impl<S> Methods<S> {
    pub(crate) fn new(service: S, config: &GrpcConfig, budget: &Budget) -> Self {
        let allowance = Allowance::new(budget.clone(), config.max_recv_msg_size, "max_recv_msg_size_mib");
        Self { service, allowance, read_timeout: config.read_timeout }
    }
}

impl<S: Unary> Methods<S> {
    async fn answer(&self, head: &request::Parts, body: Incoming) -> Response<Answer> {
        let received = async {
            let coding = coding(&head.headers)?;
            let _memory = self.allowance.enter().await?;
            receive(&self.allowance, coding, Pieces::new(body), self.read_timeout).await
        };
        let payload = match received.await {
            Ok(payload) => payload,
            Err(reject) => return failure(&reject),
        };
        match self.service.call(head.uri.path(), payload.bytes).await {
            Ok(message) => success(&message),
            Err(error) => status(&error),
        }
    }
}

impl<S: Unary> Serve for Methods<S> {
    async fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
        call: Call,
    ) -> Result<Response<Answer>, Infallible> {
        let _call = call;
        let (head, body) = request.into_parts();
        Ok(if is_call(&head) { self.answer(&head, body).await } else { not_grpc() })
    }
}
