//! What may be accelerated.

/// Which connections are accelerated, and within which bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Connections to these ports, at most 1,024 together with [`Self::mesh_ports`]. Without any, nothing is
    /// accelerated.
    pub ports: Vec<u16>,
    /// The ports at which a proxy takes connections that the kernel has redirected to it: 15001 and 15006 for Istio,
    /// 4140 and 4143 for Linkerd. If there are any, the two ends of a connection may disagree about the server's port.
    pub mesh_ports: Vec<u16>,
    /// How much a receiver may leave unread before its sender goes back to TCP for the rest of the connection, in
    /// bytes. A message that is under way may exceed it by its own length.
    pub max_inflight_bytes: u64,
    /// Only sockets of the network namespace with this cookie (`SO_NETNS_COOKIE`); of all namespaces by default.
    pub network_namespace: Option<u64>,
    /// How many sockets may be accelerated at the same time; others stay TCP.
    pub max_sockets: u32,
    /// Attach to a kernel that has failed the self-test's questions of safety, but not of function.
    pub allow_unsafe_kernel: bool,
}

impl Options {
    /// Most ports of [`Self::ports`] and [`Self::mesh_ports`] together.
    pub const MAX_PORTS: usize = 1024;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ports: Vec::new(),
            mesh_ports: Vec::new(),
            // TCP takes over without loss as long as this fits into the largest receive buffer, 6 MiB by default.
            max_inflight_bytes: 4 << 20,
            network_namespace: None,
            max_sockets: 131_072,
            allow_unsafe_kernel: false,
        }
    }
}
