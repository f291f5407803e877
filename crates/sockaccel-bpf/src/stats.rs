//! What the programs have counted.

/// What is counted. The kernel's side has the same list (`bpf/sockaccel.h`), in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Counter {
    /// Sockets that have been considered for redirection.
    SocketsTracked,
    /// Of those, sockets that have been closed.
    SocketsClosed,
    /// Of those, sockets that have been released: their peer is elsewhere, or both directions are TCP again.
    SocketsEvicted,
    /// Sockets that were not considered: another program has them, or the kernel excludes their kind.
    SocketsRefused,
    /// Sockets that were not considered because there were too many.
    SocketsOver,
    /// Directions that began to be redirected.
    DirectionsRedirected,
    /// Directions that stay TCP: their first message did not find the peer.
    DirectionsMissed,
    /// Redirected directions that went back to TCP because the receiver does not read.
    DemotedUnread,
    /// Redirected directions that went back to TCP because the kernel did not redirect.
    DemotedFailed,
    /// Redirected directions that went back to TCP because something was sent past the program.
    DemotedBypassed,
    /// Redirected directions that went back to TCP because acceleration was switched off.
    DemotedDisabled,
    /// Redirected directions that went back to TCP because their sender uses `SO_ZEROCOPY`.
    DemotedZerocopy,
    /// Redirected directions that went back to TCP because it is better at their large messages.
    DemotedBulk,
    /// Redirected directions that went back to TCP because the other direction of the connection has.
    DemotedPeer,
    /// Redirected directions whose sender has been closed.
    DirectionsEnded,
    /// Messages (system calls that send) that were redirected.
    MessagesRedirected,
    /// Their bytes.
    BytesRedirected,
    /// Messages of considered sockets that went by TCP.
    MessagesPassed,
    /// Their bytes.
    BytesPassed,
    /// Attempts to have the kernel encrypt a connection that may be redirected; they were answered as by a kernel
    /// that cannot.
    KtlsRefused,
}

/// The counters at one moment, as far as that goes: they are read one after another while the programs run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats([u64; Counter::ALL.len()]);

impl Counter {
    /// All counters.
    pub const ALL: [Self; 20] = [
        Self::SocketsTracked,
        Self::SocketsClosed,
        Self::SocketsEvicted,
        Self::SocketsRefused,
        Self::SocketsOver,
        Self::DirectionsRedirected,
        Self::DirectionsMissed,
        Self::DemotedUnread,
        Self::DemotedFailed,
        Self::DemotedBypassed,
        Self::DemotedDisabled,
        Self::DemotedZerocopy,
        Self::DemotedBulk,
        Self::DemotedPeer,
        Self::DirectionsEnded,
        Self::MessagesRedirected,
        Self::BytesRedirected,
        Self::MessagesPassed,
        Self::BytesPassed,
        Self::KtlsRefused,
    ];

    /// The ways back to TCP.
    const DEMOTIONS: [Self; 7] = [
        Self::DemotedUnread,
        Self::DemotedFailed,
        Self::DemotedBypassed,
        Self::DemotedDisabled,
        Self::DemotedZerocopy,
        Self::DemotedBulk,
        Self::DemotedPeer,
    ];
}

impl Stats {
    /// Reads each counter by `read`.
    pub(crate) fn read<E>(mut read: impl FnMut(Counter) -> Result<u64, E>) -> Result<Self, E> {
        let mut values = [0; Counter::ALL.len()];
        for (value, counter) in values.iter_mut().zip(Counter::ALL) {
            *value = read(counter)?;
        }
        Ok(Self(values))
    }

    /// The value of a counter.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).copied().unwrap_or_default()
    }

    /// Sockets that are considered now.
    #[must_use]
    pub fn sockets(&self) -> u64 {
        let gone = self.get(Counter::SocketsClosed) + self.get(Counter::SocketsEvicted);
        self.get(Counter::SocketsTracked).saturating_sub(gone)
    }

    /// Directions that are redirected now.
    #[must_use]
    pub fn redirected(&self) -> u64 {
        let demoted: u64 = Counter::DEMOTIONS.into_iter().map(|reason| self.get(reason)).sum();
        let gone = demoted + self.get(Counter::DirectionsEnded);
        self.get(Counter::DirectionsRedirected).saturating_sub(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_count_the_same_things_in_the_same_order() {
        let header = include_str!("../bpf/sockaccel.h");
        let (_, list) = header.split_once("enum counter {").unwrap();
        let names: Vec<_> = list
            .lines()
            .filter_map(|line| line.split_once(',').map(|(name, _)| name.trim().replace('_', "")))
            .filter(|name| name != "COUNTERS")
            .collect();
        let ours: Vec<_> = Counter::ALL.iter().map(|counter| format!("{counter:?}").to_uppercase()).collect();
        assert_eq!(ours, names);
        assert!(Counter::ALL.iter().enumerate().all(|(row, &counter)| counter as usize == row));
    }

    #[test]
    fn what_is_live_is_what_began_and_has_not_ended() {
        let stats = Stats::read(|counter| match counter {
            Counter::SocketsTracked => Ok::<_, ()>(10),
            Counter::SocketsClosed | Counter::SocketsEvicted => Ok(2),
            Counter::DirectionsRedirected => Ok(7),
            Counter::DemotedUnread | Counter::DemotedZerocopy | Counter::DirectionsEnded => Ok(1),
            _ => Ok(0),
        });
        let stats = stats.unwrap();
        assert_eq!((stats.sockets(), stats.redirected()), (6, 4));
    }
}
