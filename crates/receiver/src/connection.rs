//! Accepting connections, and knowing when one has to go.
//!
//! Every connection is a task. It ends when its client closes it, when it has been idle or alive for too
//! long, or when the receiver stops; each time the client is told first (GOAWAY, `Connection: close`) and
//! calls in flight may finish, so a well-behaved client loses nothing.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use forebay_pipeline::{Budget, Throttle};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::Answer;
use crate::endpoint::{Connection, Listener};
use crate::http::framing::{Ambiguity, Watched};

/// Connections of one endpoint at a time: what half the budget could pay for, within these bounds.
const CONNECTIONS: RangeInclusive<usize> = 64..=8192;
/// What an idle connection holds, about.
const CONNECTION_MEMORY: usize = 32 << 10;
/// Flow control: a request of 200 KB, or several at once, must not wait for window updates.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Few pieces per message; beyond this it makes no difference.
const MAX_FRAME: u32 = 64 << 10;
/// Answers are small; more than this waits for the client to take them.
const SEND_BUFFER: usize = 64 << 10;
/// What an export needs is a tenth of it.
const MAX_HEADERS: u32 = 16 << 10;
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a connection gets to take its last answers after its last call is done.
const LINGER: Duration = Duration::from_secs(1);
/// A pause when the system has no file descriptors or memory left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may live. None is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// Without a call in flight.
    pub(crate) idle: Option<Duration>,
    /// In all; every connection gets up to a tenth more or less, so that they do not all reconnect at once.
    pub(crate) age: Option<Duration>,
    /// For calls in flight to finish, once it has to end.
    pub(crate) grace: Option<Duration>,
}

/// When to end, and who is still there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    /// No new connections; those that are end gracefully.
    pub(crate) stop: CancellationToken,
    /// Everything ends now.
    pub(crate) cut: CancellationToken,
    /// Connections and their calls.
    pub(crate) tasks: TaskTracker,
    /// What calls are handing on, which goes on without them.
    pub(crate) deliveries: TaskTracker,
}

/// Everything about the connections of one endpoint.
pub(crate) struct Endpoint<S> {
    pub(crate) listener: Listener,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) protocol: auto::Builder<Tracked>,
    pub(crate) lifetime: Lifetime,
    pub(crate) life: Life,
    /// More are closed at once.
    pub(crate) max_connections: usize,
    pub(crate) service: Arc<S>,
}

/// What answers the calls of a connection.
pub(crate) trait Serve: Send + Sync + 'static {
    /// `call` is to be dropped with the answer.
    fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
        call: Call,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>> + Send;
}

/// Spawns what hyper wants to be spawned, the calls of HTTP/2, so that they can be awaited.
/// They need not be cut: a call whose connection is gone ends by itself.
#[derive(Clone)]
pub(crate) struct Tracked(TaskTracker);

/// Calls in flight on one connection.
#[derive(Debug)]
struct Activity {
    calls: AtomicUsize,
    opened: Instant,
    /// When the last call was done, in milliseconds after `opened`.
    quiet_since: AtomicU64,
    /// Told when a call wants the connection to end at once.
    cut: Notify,
}

/// One call in flight.
#[derive(Debug)]
pub(crate) struct Call {
    activity: Arc<Activity>,
    /// Of the connection that it came on.
    pub(crate) ambiguity: Ambiguity,
    /// The address of the client; there is none at a Unix socket.
    pub(crate) client: Option<IpAddr>,
}

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

impl<S: Serve> Endpoint<S> {
    /// Accepts until the receiver stops.
    pub(crate) async fn run(self) {
        let Self { listener, tls, protocol, lifetime, life, max_connections, service } = self;
        let protocol = Arc::new(protocol);
        let room = Arc::new(Semaphore::new(max_connections));
        let logged = Throttle::new();
        while let Some(accepted) = life.stop.run_until_cancelled(listener.accept()).await {
            let (io, client) = match accepted {
                Ok(accepted) => accepted,
                // The client of this connection is gone; others are waiting.
                Err(error) if is_of_the_connection(&error) => continue,
                Err(error) => {
                    if let Some(withheld) = logged.pass() {
                        tracing::warn!(endpoint = %listener, %error, withheld, "cannot accept a connection");
                    }
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(room) = Arc::clone(&room).try_acquire_owned() else {
                if let Some(withheld) = logged.pass() {
                    tracing::warn!(
                        endpoint = %listener,
                        withheld,
                        "closed a connection: {max_connections} are open"
                    );
                }
                continue;
            };
            let (tls, protocol, service) = (tls.clone(), Arc::clone(&protocol), Arc::clone(&service));
            let stop = life.stop.clone();
            let connection = async move {
                if let Some(Some(io)) = stop.run_until_cancelled(secure(io, tls)).await {
                    serve(io, client, &protocol, service, lifetime, &stop).await;
                }
                drop(room);
            };
            life.tasks.spawn(life.cut.clone().run_until_cancelled_owned(connection));
        }
    }
}

/// Errors of `accept` that say nothing about the next connection.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput)
}

async fn secure(io: Box<dyn Connection>, tls: Option<TlsAcceptor>) -> Option<Box<dyn Connection>> {
    let Some(tls) = tls else { return Some(io) };
    match timeout(HANDSHAKE_TIMEOUT, tls.accept(io)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

async fn serve<S: Serve>(
    io: Box<dyn Connection>,
    client: Option<IpAddr>,
    protocol: &auto::Builder<Tracked>,
    service: Arc<S>,
    lifetime: Lifetime,
    stop: &CancellationToken,
) {
    let activity = Activity::new();
    let ambiguity = Ambiguity::default();
    let io = TokioIo::new(Watched::new(io, ambiguity.clone()));
    let calls = Arc::clone(&activity);
    // The service's future as it is: wrapped in another one it would take twice the room.
    let answer = hyper::service::service_fn(move |request| {
        let call = Call::begin(Arc::clone(&calls), ambiguity.clone(), client);
        Arc::clone(&service).serve(request, call)
    });
    let connection = protocol.serve_connection(io, answer);
    tokio::pin!(connection);
    let ended = tokio::select! {
        result = connection.as_mut() => Ok(result),
        () = activity.expires(lifetime) => Err(lifetime.grace),
        // Then the receiver's own deadline bounds what is in flight.
        () = stop.cancelled() => Err(None),
        () = activity.cut.notified() => Err(Some(Duration::ZERO)),
    };
    let result = match ended {
        Ok(result) => result,
        Err(grace) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                result = connection.as_mut() => result,
                () = activity.is_quiet_for(LINGER) => Ok(()),
                () = elapsed(grace) => Ok(()),
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}

impl Activity {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            calls: AtomicUsize::new(0),
            opened: Instant::now(),
            quiet_since: AtomicU64::new(0),
            cut: Notify::new(),
        })
    }

    /// Returns when the connection has been idle or alive for too long.
    async fn expires(&self, lifetime: Lifetime) {
        let age = lifetime.age.map(|age| age.mul_f64(0.9 + 0.2 * fastrand::f64()));
        let idle = async {
            match lifetime.idle {
                Some(idle) => self.is_quiet_for(idle).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = elapsed(age) => {}
            () = idle => {}
        }
    }

    /// Returns when from now on there has been no call in flight for `limit`.
    ///
    /// Looks now and then rather than being told: calls come and go by the thousand.
    async fn is_quiet_for(&self, limit: Duration) {
        let begun = Instant::now();
        loop {
            let now = Instant::now();
            let quiet_since = self.opened + Duration::from_millis(self.quiet_since.load(Ordering::Acquire));
            let until = quiet_since.max(begun) + limit;
            if self.calls.load(Ordering::Acquire) > 0 {
                sleep(limit).await;
            } else if until <= now {
                return;
            } else {
                sleep_until(until).await;
            }
        }
    }
}

async fn elapsed(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => std::future::pending().await,
    }
}

impl Call {
    fn begin(activity: Arc<Activity>, ambiguity: Ambiguity, client: Option<IpAddr>) -> Self {
        activity.calls.fetch_add(1, Ordering::AcqRel);
        Self { activity, ambiguity, client }
    }

    /// Ends the connection at once, for a client that does not take what it is sent.
    pub(crate) fn cut_connection(&self) {
        self.activity.cut.notify_one();
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let since_opened = u64::try_from(self.activity.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.activity.quiet_since.store(since_opened, Ordering::Release);
        self.activity.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How many connections an endpoint may have.
pub(crate) fn most(budget: &Budget) -> usize {
    (budget.limit() / 2 / CONNECTION_MEMORY).clamp(*CONNECTIONS.start(), *CONNECTIONS.end())
}

/// A builder with the bounds that hold for HTTP/2 at every endpoint, whose timers are tokio's.
pub(crate) fn protocol(life: &Life, max_concurrent_streams: u32) -> auto::Builder<Tracked> {
    let mut builder = auto::Builder::new(Tracked(life.tasks.clone()));
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEADERS)
        .max_concurrent_streams(max_concurrent_streams);
    builder
}
