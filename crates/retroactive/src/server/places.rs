//! Places for agents: so many may be connected, wherever they come from.
//!
//! Agents choose their ids, so one host may come under any number of them. When all places are taken, the client that has
//! most of them gives one up to a client that has fewer (max-min fairness): others cannot keep anybody out, however many
//! they are. What gives way is the youngest, since the older ones have told more.
//!
//! A client is an IPv4 address or the /64 of an IPv6 address; agents behind one proxy, or at a Unix socket, are one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tokio::sync::Notify;

/// Places, some of which are taken.
#[derive(Debug)]
pub(super) struct Places {
    limit: usize,
    taken: Mutex<Taken>,
}

/// A place for as long as it is there, unless it has to be given up before.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    client: Client,
    wanted: Arc<Notify>,
}

/// All places are taken, and no client has more of them than this one would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{limit} agents are connected, {own} of them from there: let some go to another coordinator")]
pub(super) struct FullError {
    limit: usize,
    own: usize,
}

/// Who has places; none is whoever is at a Unix socket.
type Client = Option<IpAddr>;

#[derive(Debug, Default)]
struct Taken {
    /// The places of each client, the oldest first.
    by_client: HashMap<Client, Vec<Arc<Notify>>>,
    all: usize,
}

impl Places {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: Mutex::default() })
    }

    /// A place for an agent from this address.
    ///
    /// # Errors
    /// When none can be had.
    pub(super) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Place, FullError> {
        let client = address.map(network);
        let mut taken = self.taken();
        if taken.all >= self.limit {
            let own = taken.by_client.get(&client).map_or(0, Vec::len);
            let most = taken.by_client.values_mut().max_by_key(|places| places.len());
            // Who has one more than the newcomer would leave with would come back for it.
            let most = most.filter(|places| places.len() > own + 1);
            let youngest = most.and_then(Vec::pop).ok_or(FullError { limit: self.limit, own })?;
            youngest.notify_one();
            taken.all -= 1;
        }
        let wanted = Arc::new(Notify::new());
        taken.by_client.entry(client).or_default().push(Arc::clone(&wanted));
        taken.all += 1;
        Ok(Place { places: Arc::clone(self), client, wanted })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Returns when the place has been given to somebody else.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        let Some(places) = taken.by_client.get_mut(&self.client) else { return };
        let before = places.len();
        places.retain(|place| !Arc::ptr_eq(place, &self.wanted));
        let (freed, is_empty) = (before - places.len(), places.is_empty());
        if is_empty {
            taken.by_client.remove(&self.client);
        }
        taken.all -= freed;
    }
}

/// What one client may have many addresses of counts as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn address(address: &str) -> Client {
        Some(address.parse().unwrap())
    }

    #[tokio::test]
    async fn who_has_most_gives_its_youngest_to_who_has_fewer() {
        let places = Places::new(4);
        let many: Vec<_> = (0..4).map(|_| places.take(address("10.0.0.1")).unwrap()).collect();
        assert_eq!(places.take(address("10.0.0.1")).unwrap_err(), FullError { limit: 4, own: 4 });
        let _few = [(); 2].map(|()| places.take(address("10.0.0.2")).unwrap());
        for (place, is_wanted) in many.iter().zip([false, false, true, true]) {
            assert_eq!(timeout(Duration::ZERO, place.wanted()).await.is_ok(), is_wanted);
        }
        assert_eq!(places.take(address("10.0.0.2")).unwrap_err(), FullError { limit: 4, own: 2 });
        let _another = places.take(None).unwrap();
    }

    #[test]
    fn places_are_free_once_they_are_left_and_each_counts_once() {
        let places = Places::new(2);
        let given_up = [(); 2].map(|()| places.take(address("10.0.0.1")).unwrap());
        let other = places.take(address("10.0.0.2")).unwrap();
        drop(given_up);
        assert_eq!(places.taken().all, 1);
        let again = places.take(address("10.0.0.2")).unwrap();
        assert!(places.take(address("10.0.0.2")).is_err());
        drop((other, again));
        let taken = places.taken();
        assert_eq!((taken.all, taken.by_client.len()), (0, 0));
    }

    #[test]
    fn addresses_that_one_client_has_are_one() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:0:0:1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(!same("10.0.0.1", "10.0.0.2"));
    }
}
