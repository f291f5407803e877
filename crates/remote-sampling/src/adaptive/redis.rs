//! Gateways that meet in Redis: each leaves its counts there, under a key that expires, and reads all others'.

use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Client, RedisError, pipe};
use tokio::time::timeout;

use super::fleet::Heard;

/// Where Redis is.
#[derive(Clone, Debug)]
pub(crate) struct RedisConfig {
    pub(crate) client: Client,
    /// What keys begin with.
    pub(crate) prefix: String,
}

/// See the module.
pub(crate) struct Redis {
    config: RedisConfig,
    instance: String,
    expires_after: Duration,
    /// None until it is needed, and after a failure.
    connection: Option<MultiplexedConnection>,
}

/// How long Redis may take.
const TIMEOUT: Duration = Duration::from_secs(2);

impl Redis {
    /// Counts of this instance, which expire when they are not left again in time.
    pub(crate) fn new(config: &RedisConfig, instance: u64, expires_after: Duration) -> Self {
        let instance = format!("{instance:016x}");
        Self { config: config.clone(), instance, expires_after, connection: None }
    }

    /// Leaves a document and returns those that are there.
    pub(crate) async fn exchange(&mut self, own: Bytes) -> Heard {
        let connection = self.connection.take();
        match timeout(TIMEOUT, self.try_exchange(connection, own)).await {
            Ok(Ok((connection, documents))) => {
                self.connection = Some(connection);
                Ok(documents)
            }
            Ok(Err(error)) => Err(format!("redis: {error}")),
            Err(_) => Err(format!("redis: no answer within {TIMEOUT:?}")),
        }
    }

    async fn try_exchange(
        &self,
        connection: Option<MultiplexedConnection>,
        own: Bytes,
    ) -> Result<(MultiplexedConnection, Vec<Bytes>), RedisError> {
        let mut connection = match connection {
            Some(connection) => connection,
            None => self.config.client.get_multiplexed_async_connection().await?,
        };
        let instances = format!("{}:instances", self.config.prefix);
        let expires_after = u64::try_from(self.expires_after.as_millis()).unwrap_or(u64::MAX);
        let mut telling = pipe();
        telling.pset_ex(self.key(&self.instance), &*own, expires_after).ignore();
        telling.sadd(&instances, &self.instance).ignore();
        let (members,): (Vec<String>,) = telling.smembers(&instances).query_async(&mut connection).await?;
        let mut reading = pipe();
        members.iter().for_each(|member| {
            reading.get(self.key(member));
        });
        let found: Vec<Option<Vec<u8>>> = reading.query_async(&mut connection).await?;
        let gone: Vec<_> = members
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(member, _)| member)
            .collect();
        if !gone.is_empty() {
            pipe().srem(&instances, &gone).ignore().query_async::<()>(&mut connection).await?;
        }
        Ok((connection, found.into_iter().flatten().map(Bytes::from).collect()))
    }

    fn key(&self, instance: &str) -> String {
        format!("{}:counts:{instance}", self.config.prefix)
    }
}

#[cfg(test)]
mod tests;
