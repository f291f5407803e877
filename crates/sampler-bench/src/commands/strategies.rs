//! Strategies by name: built in, or from files.

use forebay::embedded::Program;

use super::Error;
use crate::cli::StrategyArguments;
use crate::{Placement, Strategy, Traffic, builtin};

const FORM: &str = "expected NAME=GATEWAY.yaml, NAME=agent:AGENT.yaml or NAME=agent:AGENT.yaml,GATEWAY.yaml";

/// Those that are asked for; all that are built in if none is.
pub(super) fn chosen(arguments: &StrategyArguments, traffic: &Traffic) -> Result<Vec<Strategy>, Error> {
    let StrategyArguments { strategies: given, builtin: names, agents: placement } = arguments;
    let mut chosen = Vec::new();
    if given.is_empty() || !names.is_empty() {
        let is_meant =
            |strategy: &Strategy| names.is_empty() || names.iter().any(|name| strategy.name.contains(name));
        chosen.extend(builtin(traffic)?.into_iter().filter(is_meant));
    }
    for text in given {
        chosen.push(read(text)?);
    }
    chosen.iter_mut().for_each(|strategy| strategy.placement = *placement);
    if chosen.is_empty() {
        let known: Vec<_> = builtin(traffic)?.into_iter().map(|strategy| strategy.name).collect();
        return Err(format!("no built-in strategy is called so; there are {}", known.join(", ")).into());
    }
    Ok(chosen)
}

fn read(text: &str) -> Result<Strategy, Error> {
    let (name, files) = text.split_once('=').ok_or_else(|| format!("`{text}` is no strategy: {FORM}"))?;
    let (agent, gateway): (Vec<_>, Vec<_>) = files.split(',').partition(|file| file.starts_with("agent:"));
    let tier = |files: Vec<&str>| -> Result<Option<Program>, Error> {
        match files[..] {
            [] => Ok(None),
            [file] => Ok(Some(
                Program::read([file.trim_start_matches("agent:")])
                    .map_err(|error| format!("{name}: {error}"))?,
            )),
            _ => Err(format!("`{text}` has several configurations for one tier: {FORM}").into()),
        }
    };
    Ok(Strategy {
        name: name.to_owned(),
        about: files.to_owned(),
        knob: None,
        budget: None,
        placement: Placement::default(),
        agent: tier(agent)?,
        gateway: tier(gateway)?,
    })
}
