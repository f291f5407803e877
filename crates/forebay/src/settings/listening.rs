//! Who listens where. Two that want one address are a mistake that can be told before anything is bound.

use forebay_config::{Diagnostics, Place};
use forebay_receiver::Endpoint;

/// An endpoint that something listens on, and where that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listening {
    /// The endpoint.
    pub(crate) endpoint: Endpoint,
    /// The setting.
    pub(crate) place: Place,
}

/// Reports every one that wants what another before it has.
pub(super) fn check(all: &[Listening], diagnostics: &Diagnostics) {
    for (index, Listening { endpoint, place }) in all.iter().enumerate() {
        let Some(earlier) = all[..index].iter().find(|earlier| earlier.endpoint.clashes_with(endpoint))
        else {
            continue;
        };
        let (taken, by) = (&earlier.endpoint, earlier.place.path());
        let position = diagnostics
            .position(&earlier.place)
            .map_or_else(String::new, |position| format!(" ({position})"));
        let clash = place.error(format!("`{endpoint}` is taken: `{by}` is `{taken}`"));
        diagnostics.add(clash.help(format!("choose another address here or at `{by}`{position}")));
    }
}
