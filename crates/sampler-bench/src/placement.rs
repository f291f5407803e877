//! Which agent a service instance sends to.

use std::fmt;
use std::num::{NonZero, ParseIntError};
use std::str::FromStr;

use crate::Workload;
use crate::population::number;

/// Where agents run, and thereby which spans of a trace are at one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// One beside each service instance, as a sidecar.
    #[default]
    Instance,
    /// One for all instances of a service.
    Service,
    /// So many, which service instances are spread over, as over the nodes of a cluster.
    Nodes(NonZero<u32>),
}

impl Placement {
    /// For each service instance, the number of its agent; agents are numbered from 0.
    #[must_use]
    pub fn agents(self, workload: &Workload) -> Vec<u32> {
        let instances = workload.services.len();
        match self {
            Self::Instance => (0..number(instances)).collect(),
            Self::Service => workload.services.clone(),
            Self::Nodes(nodes) => (0..number(instances)).map(|instance| instance % nodes).collect(),
        }
    }
}

impl FromStr for Placement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "instance" => Ok(Self::Instance),
            "service" => Ok(Self::Service),
            nodes => nodes
                .parse()
                .map(Self::Nodes)
                .map_err(|_: ParseIntError| "expected `instance`, `service` or a number of nodes".to_owned()),
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance => f.write_str("instance"),
            Self::Service => f.write_str("service"),
            Self::Nodes(nodes) => nodes.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(placement: &str) -> Vec<u32> {
        let workload = Workload { services: vec![0, 0, 1, 0], ..Workload::default() };
        placement.parse::<Placement>().unwrap().agents(&workload)
    }

    #[test]
    fn agents_are_for_instances_services_or_nodes() {
        assert_eq!(agents("instance"), [0, 1, 2, 3]);
        assert_eq!(agents("service"), [0, 0, 1, 0]);
        assert_eq!(agents("3"), [0, 1, 2, 0]);
        for text in ["instance", "service", "3"] {
            assert_eq!(text.parse::<Placement>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn there_is_at_least_one_node() {
        assert!("0".parse::<Placement>().is_err());
        assert!("pod".parse::<Placement>().unwrap_err().contains("`service`"));
    }
}
