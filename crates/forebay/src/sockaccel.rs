//! Connections on this node without the TCP stack: the extension `sockaccel`, and the commands that try it out.

mod bench;
mod commands;
mod config;
mod extension;
mod metrics;

pub(crate) use self::commands::{Command, command};
pub(crate) use self::config::SockaccelConfig;
pub(crate) use self::extension::Sockaccel;
