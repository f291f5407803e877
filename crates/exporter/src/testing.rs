//! A backend for tests over real sockets: remembers what it gets and answers by a script.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use forebay_otlp::wire::put_bytes;
use forebay_pipeline::{Batch, Budget, Consumer, Signal, Telemetry};
use futures_util::stream;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::ExporterContext;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) version: Version,
    pub(crate) path: String,
    pub(crate) authority: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What to answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
    hang: bool,
    goodbye: bool,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap(), ..Self::default() }
    }

    /// Never answers.
    pub(crate) fn hang() -> Self {
        Self { hang: true, ..Self::default() }
    }

    /// Sends GOAWAY after the answer and closes the connection when all is done.
    pub(crate) fn goodbye(mut self) -> Self {
        self.goodbye = true;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn trailer(mut self, name: &'static str, value: &str) -> Self {
        self.trailers.get_or_insert_default().insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = bytes.into();
        self
    }
}

/// Answers requests until it is dropped.
pub(crate) struct Backend {
    pub(crate) address: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    finally: Answer,
    seen: Mutex<Vec<Seen>>,
}

impl Backend {
    /// Listens at `address`; answers by `answers`, then always `finally`.
    pub(crate) async fn at(
        address: &str,
        tls: Option<rustls::ServerConfig>,
        answers: impl IntoIterator<Item = Answer>,
        finally: Answer,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Shared::new(answers, finally);
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let task = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                // Dropped with this task, which closes the connections.
                let mut connections = tokio::task::JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
                    connections.spawn(async move {
                        match acceptor {
                            None => shared.serve(stream).await,
                            Some(acceptor) => {
                                if let Ok(stream) = acceptor.accept(stream).await {
                                    shared.serve(stream).await;
                                }
                            }
                        }
                    });
                }
            }
        });
        Self { address, shared, task }
    }

    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>, finally: Answer) -> Self {
        Self::at("127.0.0.1:0", None, answers, finally).await
    }

    pub(crate) fn at_socket(path: &Path, finally: Answer) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let shared = Shared::new([], finally);
        let task = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(Arc::clone(&shared).serve(stream));
                }
            }
        });
        Self { address: path.display().to_string(), shared, task }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Stops listening and closes all connections.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn new(answers: impl IntoIterator<Item = Answer>, finally: Answer) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), finally, seen: Mutex::default() })
    }

    async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(self: Arc<Self>, stream: S) {
        let leaving = Arc::new(Notify::new());
        let service = service_fn({
            let leaving = Arc::clone(&leaving);
            move |request| Arc::clone(&self).answer(request, Arc::clone(&leaving))
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            _ = &mut connection => {}
            () = leaving.notified() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        leaving: Arc<Notify>,
    ) -> Result<Response<impl http_body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.seen.lock().unwrap().push(Seen {
            version: head.version,
            path: head.uri.path_and_query().unwrap().to_string(),
            authority: head.uri.authority().map(ToString::to_string),
            headers: head.headers,
            body,
        });
        let answer = self.answers.lock().unwrap().pop_front();
        let answer = answer.unwrap_or_else(|| self.finally.clone());
        if answer.hang {
            std::future::pending::<()>().await;
        }
        if answer.goodbye {
            leaving.notify_one();
        }
        let body = (!answer.body.is_empty()).then_some(Frame::data(answer.body));
        let frames = body.into_iter().chain(answer.trailers.map(Frame::trailers)).map(Ok);
        let mut response = Response::new(StreamBody::new(stream::iter(frames)));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

pub(crate) fn context() -> ExporterContext {
    ExporterContext { budget: Budget::new(1 << 30), telemetry: Telemetry::new() }
}

/// How long the tests' shutdowns may take.
pub(crate) const GRACE: Duration = Duration::from_secs(20);

/// Ends an exporter, which may take [`GRACE`].
pub(crate) async fn shut_down(exporter: &(impl Consumer + ?Sized)) {
    exporter.shutdown(Instant::now() + GRACE).await;
}

/// A trace request of `items` spans with `size` bytes of name each.
pub(crate) fn spans(items: usize, size: usize) -> Batch {
    let mut scope = Vec::new();
    for item in 0..items {
        let mut span = Vec::new();
        put_bytes(&mut span, 1, &(item as u128 + 1).to_be_bytes());
        put_bytes(&mut span, 2, &(item as u64 + 1).to_be_bytes());
        put_bytes(&mut span, 5, &vec![b'x'; size]);
        put_bytes(&mut scope, 2, &span);
    }
    let mut resource = Vec::new();
    put_bytes(&mut resource, 2, &scope);
    let mut request = Vec::new();
    put_bytes(&mut request, 1, &resource);
    Batch::new(Signal::Traces, Bytes::from(request), items)
}

/// Sends one batch and everything else that is queued; says how many spans were delivered, rejected and
/// given up.
pub(crate) async fn fate(
    exporter: &Arc<dyn Consumer>,
    context: &ExporterContext,
    id: &str,
    batch: Batch,
) -> [u64; 3] {
    exporter.consume(batch).await.unwrap();
    shut_down(exporter.as_ref()).await;
    let ledger = context.telemetry.ledger(&format!("exporter/{id}"), Signal::Traces);
    assert_eq!(ledger.buffered.get(), 0);
    let lost = ledger.dropped("retries_exhausted").get() + ledger.dropped("shutdown").get();
    [ledger.outgoing.get(), ledger.dropped("rejected").get(), lost]
}

/// A certificate authority with a certificate for a server at 127.0.0.1 and one for a client, as PEM.
pub(crate) struct Pki {
    pub(crate) ca: String,
    pub(crate) server: (String, String),
    pub(crate) client: (String, String),
}

impl Pki {
    pub(crate) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(params, key);
        let leaf = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        Self { ca, server: leaf("127.0.0.1"), client: leaf("client") }
    }

    /// A server's settings; with `clients` it asks for a certificate of this authority.
    pub(crate) fn server(&self, clients: bool, alpn: &[&[u8]]) -> rustls::ServerConfig {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = CertificateDer::from_pem_slice(self.server.0.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.server.1.as_bytes()).unwrap();
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if clients {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(self.ca.as_bytes()).unwrap()).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        config
    }

    /// The `tls:` mapping of a client.
    pub(crate) fn client(&self, certificate: bool) -> String {
        let quoted = |pem: &str| pem.replace('\n', "\\n");
        let mut yaml = format!("ca_pem: \"{}\"", quoted(&self.ca));
        if certificate {
            let (certificate, key) = (quoted(&self.client.0), quoted(&self.client.1));
            yaml += &format!(", cert_pem: \"{certificate}\", key_pem: \"{key}\"");
        }
        format!("{{{yaml}}}")
    }
}
