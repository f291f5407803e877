//! Against a real server, where there is one.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use super::*;

/// A server of its own, in a directory of its own.
struct Server {
    process: Child,
    directory: tempfile::TempDir,
}

impl Server {
    /// None where there is no `redis-server`.
    fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let started = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--dir"])
            .arg(directory.path())
            .arg("--unixsocket")
            .arg(directory.path().join("redis.sock"))
            .stdout(Stdio::null())
            .spawn();
        match started {
            Ok(process) => Some(Self { process, directory }),
            Err(error) => {
                // To be seen although the test passes, which hides what macros print.
                writeln!(std::io::stderr(), "SKIPPED: there is no redis-server: {error}").unwrap();
                None
            }
        }
    }

    fn gateway(&self, instance: u64, expires_after: Duration) -> Redis {
        let socket = self.directory.path().join("redis.sock");
        let client = Client::open(format!("redis+unix://{}", socket.display())).unwrap();
        Redis::new(&RedisConfig { client, prefix: "test".to_owned() }, instance, expires_after)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Exchanges until the server is there and the documents are as wanted.
async fn until(gateway: &mut Redis, own: &'static str, wanted: &[&str]) {
    let exchanging = async {
        loop {
            let heard = gateway.exchange(own.into()).await;
            let mut heard: Vec<_> = heard.unwrap_or_default();
            heard.sort();
            if heard == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), exchanging).await.expect("the documents in time");
}

#[tokio::test]
async fn gateways_hear_each_other_and_those_that_are_gone_expire() {
    let Some(server) = Server::start() else { return };
    let mut lasting = server.gateway(1, Duration::from_secs(60));
    let mut passing = server.gateway(2, Duration::from_millis(300));
    until(&mut lasting, "a", &["a"]).await;
    until(&mut passing, "b", &["a", "b"]).await;
    until(&mut lasting, "c", &["c"]).await;
    let members: Vec<String> = pipe()
        .smembers("test:instances")
        .query_async(lasting.connection.as_mut().unwrap())
        .await
        .map(|(members,)| members)
        .unwrap();
    assert_eq!(members, ["0000000000000001"], "what is gone leaves no name behind");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let client = Client::open(format!("redis+unix://{}/none", directory.path().display())).unwrap();
    let mut redis = Redis::new(&RedisConfig { client, prefix: String::new() }, 1, Duration::from_secs(1));
    assert!(redis.exchange(Bytes::new()).await.unwrap_err().starts_with("redis: "));
}
