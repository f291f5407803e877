//! Rules files: a sampler for each environment, of rules or of one piece.

use forebay_config::{Node, Table};

use crate::condition::{self, Condition};
use crate::output::{Processor, list, map, string};
use crate::samplers;

/// The environment that all others are unless they are named.
const DEFAULT: &str = "__default__";

/// Reads a rules file: the rules of each environment, the default one first.
pub(crate) fn read(table: &Table<'_>) -> Vec<Processor> {
    if table
        .require("RulesVersion", table.integer::<i64>("RulesVersion", ..))
        .is_some_and(|version| version != 2)
    {
        table.error(
            "RulesVersion",
            "only version 2 can be read: Refinery's own `convert` makes it of older ones",
        );
    }
    let mut processors = Vec::new();
    let Some(samplers) = table.require("Samplers", table.table("Samplers")) else { return processors };
    for (environment, cursor) in samplers.entries() {
        let Some(sampler) = cursor.table() else { continue };
        let rules = read_environment(&sampler);
        if environment == DEFAULT {
            processors.insert(0, Processor { name: None, rules });
        } else {
            let note = format!(
                "has nearly an equivalent: Refinery knows the environment by its key; give the processor \
                 `adaptive_tail_sampling/{}` a pipeline with the traces of {environment}",
                component_name(&environment)
            );
            cursor.warning(note);
            processors.push(Processor { name: Some(component_name(&environment)), rules });
        }
    }
    processors
}

/// The name of a component that an environment's name makes.
fn component_name(environment: &str) -> String {
    environment.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

fn read_environment(table: &Table<'_>) -> Vec<Node> {
    let Some(sampler) = table.table("RulesBasedSampler") else {
        let sampler = table.require("DeterministicSampler", samplers::read(table));
        let rule = |sampler| map([("name", string("all")), ("sampler", sampler)]);
        return sampler.map(rule).into_iter().collect();
    };
    if sampler.bool("CheckNestedFields") == Some(true) {
        sampler.warning("CheckNestedFields", "has no equivalent: JSON in attributes is text");
    }
    let mut names = Vec::<String>::new();
    let (mut rules, mut is_whole) = (Vec::new(), false);
    for (number, rule) in (1..).zip(sampler.tables("Rules")) {
        if is_whole {
            rule.warning("Name", "is never asked, as the one before is for all traces; it is left out");
            // Which of its settings are unknown does not matter.
            rule.entries();
            continue;
        }
        let name = unique(&rule.string("Name").unwrap_or_else(|| format!("rule {number}")), &names);
        if let Some((rule, for_all)) = read_rule(&rule, &name) {
            names.push(name);
            rules.push(rule);
            is_whole = for_all;
        }
    }
    if !is_whole {
        // What no rule is for is kept.
        let name = string(&unique("otherwise", &names));
        rules.push(map([("name", name), ("sampler", samplers::one_of(1))]));
    }
    rules
}

/// The name that rules have to have: a new one, that does not begin with an underscore.
fn unique(name: &str, taken: &[String]) -> String {
    let name = Some(name.trim_start_matches('_')).filter(|name| !name.is_empty()).unwrap_or("rule");
    let is_free = |name: &String| !taken.contains(name);
    let numbered = (2..).map(|number| format!("{name} ({number})"));
    std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

/// Reads a rule, and whether it is for all traces; `None` if there is no equivalent.
fn read_rule(table: &Table<'_>, name: &str) -> Option<(Node, bool)> {
    let conditions: Vec<_> = table.tables("Conditions").iter().map(condition::read).collect();
    let on_one_span = table.choice_or("Scope", &[("trace", false), ("span", true)], false);
    let sampler = read_sampler(table);
    let Some(conditions) = conditions.into_iter().collect::<Option<Vec<_>>>() else {
        table.warning("Name", "is left out: one of its conditions has no equivalent");
        return None;
    };
    let conditions = if on_one_span { joined(conditions) } else { conditions };
    let for_all = conditions.is_empty();
    let mut entries = vec![("name", string(name))];
    if !for_all {
        entries.push(("conditions", list(conditions.iter().map(|condition| string(&condition.source)))));
    }
    entries.push(("sampler", sampler));
    Some((map(entries), for_all))
}

/// Conditions that one span has to satisfy, but for those on the root, as one.
fn joined(conditions: Vec<Condition>) -> Vec<Condition> {
    let (mut joined, of_spans): (Vec<_>, Vec<_>) =
        conditions.into_iter().partition(|condition| condition.of_root);
    match of_spans.len() {
        0 => {}
        1 => joined.extend(of_spans),
        _ => {
            let sources: Vec<_> =
                of_spans.iter().map(|condition| format!("({})", condition.source)).collect();
            joined.push(Condition { of_root: false, source: sources.join(" and ") });
        }
    }
    joined
}

/// A sampler goes before `Drop`, and that before a rate.
fn read_sampler(table: &Table<'_>) -> Node {
    let sampler = table.table("Sampler").and_then(|table| samplers::read(&table));
    let drops = table.bool_or("Drop", false);
    let rate = table.integer("SampleRate", ..);
    sampler.unwrap_or_else(|| {
        if !drops && rate.is_none() {
            table.warning(
                "Name",
                "has neither a sampler nor a rate: Refinery drops what it is for, and so is done here",
            );
        }
        samplers::one_of(if drops { 0 } else { rate.unwrap_or(0) })
    })
}
