//! What addresses of all protocols have in common.

use http::uri::Authority;

/// Checks the parts of an authority that the parser of URIs lets pass, and says whether it has a port.
///
/// # Errors
/// What is wrong, to be put after the endpoint.
pub(crate) fn has_port(authority: &Authority) -> Result<bool, &'static str> {
    if authority.as_str().contains('@') {
        return Err("has credentials, which belong into `headers`");
    }
    if authority.host().is_empty() {
        return Err("names no host");
    }
    match authority.as_str()[authority.host().len()..].strip_prefix(':') {
        None => Ok(false),
        Some(port) if port.parse::<u16>().is_ok_and(|port| port != 0) => Ok(true),
        Some(_) => Err("has a port that is not a number from 1 to 65535"),
    }
}
