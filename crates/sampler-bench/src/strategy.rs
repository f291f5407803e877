//! Strategies: Forebay configurations, of agents beside the services, of a gateway behind them, or of both.
//!
//! Those that come along are families, each with a knob (a percentage, a rate): the members that are compared and those
//! between which a slider moves are made by the same functions.

use std::fmt::Write as _;

use forebay::embedded::{EmbedError, Program};
use serde::{Deserialize, Serialize};

use crate::{Placement, Workload};

/// One way to sample.
#[derive(Clone, Debug)]
pub struct Strategy {
    /// What it is called.
    pub name: String,
    /// What it does, in a sentence.
    pub about: String,
    /// Of which family it is which member.
    pub knob: Option<Knob>,
    /// The share of the traces that it was asked for.
    pub budget: Option<f64>,
    /// Where agents run.
    pub placement: Placement,
    /// What agents run.
    pub agent: Option<Program>,
    /// What all of them send to.
    pub gateway: Option<Program>,
}

/// What distinguishes the members of a family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Knob {
    /// The family.
    pub family: String,
    /// What is turned: `sampling_percentage`.
    pub parameter: String,
    /// To where.
    pub value: f64,
}

/// What of a workload one knows before one chooses a strategy for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Traces that begin in a second.
    pub traces_per_second: f64,
    /// Spans in a second.
    pub spans_per_second: f64,
    /// What one in twenty traces takes longer than, in milliseconds: where a dashboard would tell one to draw the line.
    pub slow_ms: u64,
    /// How long a decision about a trace would wait, in seconds: as in every example.
    pub decision_wait: u64,
}

/// Strategies that differ in a percentage.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The member with a percentage.
    pub member: fn(&Traffic, f64) -> Result<Strategy, EmbedError>,
    /// Whether [`Traffic::slow_ms`] and [`Traffic::decision_wait`] matter to it.
    pub has_symptoms: bool,
}

impl Traffic {
    /// That of a workload.
    #[must_use]
    pub fn of(workload: &Workload) -> Self {
        let seconds = workload.seconds().max(1.0);
        let mut durations: Vec<_> = workload.population.traces.iter().map(crate::Trace::seconds).collect();
        durations.sort_by(f64::total_cmp);
        let slow = durations.get(durations.len() * 19 / 20).copied().unwrap_or(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration of traces")]
        let slow_ms = (slow * 1e3).ceil() as u64;
        Self {
            traces_per_second: durations.len() as f64 / seconds,
            spans_per_second: workload.spans() as f64 / seconds,
            slow_ms: slow_ms.max(1),
            decision_wait: DECISION_WAIT,
        }
    }
}

/// The strategies that are compared unless others are given.
///
/// # Errors
/// Never, unless a configuration here is not one.
pub fn builtin(traffic: &Traffic) -> Result<Vec<Strategy>, EmbedError> {
    let mut all = vec![keep_all()?];
    for mode in MODES {
        for percentage in [1.0, 5.0, 10.0] {
            all.push(head(mode, percentage)?);
        }
    }
    all.push(rate_limited(traffic, 10.0)?);
    all.push(tail(traffic, 5.0)?);
    all.push(adaptive_percentage(traffic, 10.0)?);
    all.push(adaptive_throughput(traffic, 10.0)?);
    all.push(rules(10.0)?);
    all.push(head_then_tail(traffic, 25.0)?);
    all.push(retroactive(traffic, 5.0)?);
    all.push(retroactive_economical(traffic, 5.0)?);
    all.push(head_then_retroactive(traffic, 25.0)?);
    Ok(all)
}

/// The members of the families between which sliders move.
///
/// # Errors
/// As [`builtin`].
pub fn sweep(traffic: &Traffic) -> Result<Vec<Strategy>, EmbedError> {
    let members = |percentage| FAMILIES.iter().map(move |family| (family.member)(traffic, percentage));
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0].into_iter().flat_map(members).collect()
}

/// The families.
pub const FAMILIES: [Family; 10] = [
    Family { member: |_, percentage| head("equalizing", percentage), has_symptoms: false },
    Family { member: rate_limited, has_symptoms: false },
    Family { member: tail, has_symptoms: true },
    Family { member: adaptive_percentage, has_symptoms: true },
    Family { member: adaptive_throughput, has_symptoms: true },
    Family { member: |_, percentage| rules(percentage), has_symptoms: false },
    Family { member: head_then_tail, has_symptoms: true },
    Family { member: retroactive, has_symptoms: true },
    Family { member: retroactive_economical, has_symptoms: true },
    Family { member: head_then_retroactive, has_symptoms: true },
];

const DECISION_WAIT: u64 = 10;
const MODES: [&str; 3] = ["hash_seed", "proportional", "equalizing"];
/// Where agents find the gateway; in a simulation there is no other.
const AGENT: &str = "{coordinators: {endpoints: ['gateway:4319'], tls: {insecure: true}}}";
const COORDINATOR: &str = "yaml:{extensions: {retroactive_coordinator: }, processors: {tail_sampling: {coordinator: \
                           retroactive_coordinator}}, service: {extensions: [retroactive_coordinator]}}";
const FINGERPRINT: &str = r#"["resource.attributes[\"service.name\"]", "root.attributes[\"http.route\"]"]"#;

impl Strategy {
    fn new(name: String, about: String) -> Self {
        Self {
            name,
            about,
            knob: None,
            budget: None,
            placement: Placement::default(),
            agent: None,
            gateway: None,
        }
    }

    fn with_knob(self, family: &str, parameter: &str, value: f64) -> Self {
        Self {
            knob: Some(Knob { family: family.to_owned(), parameter: parameter.to_owned(), value }),
            ..self
        }
    }

    fn at_gateway(self, processor: &str, settings: &str) -> Result<Self, EmbedError> {
        Ok(Self { gateway: Some(program(&[(processor, settings)])?), ..self })
    }

    fn at_agents(self, processor: &str, settings: &str) -> Result<Self, EmbedError> {
        Ok(Self { agent: Some(program(&[(processor, settings)])?), ..self })
    }

    /// Agents that sample retroactively, after other `processors`, and a gateway with these settings of `tail_sampling`.
    fn retroactive(self, processors: &[(&str, &str)], decider: &str) -> Result<Self, EmbedError> {
        let gateway = format!("yaml:{}", with_processors(&[("tail_sampling", decider)]));
        Ok(Self {
            agent: Some(program(&[processors, &[("retroactive_sampling", AGENT)]].concat())?),
            gateway: Some(Program::read([&gateway, COORDINATOR])?),
            ..self
        })
    }

    /// Its configurations as YAML, for people.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut text = String::new();
        for (tier, program) in [("agents", &self.agent), ("gateway", &self.gateway)] {
            if let Some(program) = program {
                // Writing to a string does not fail.
                let _ = writeln!(text, "# {tier}\n{}", program.yaml().trim_end());
            }
        }
        text
    }
}

/// A configuration with these processors.
fn program(processors: &[(&str, &str)]) -> Result<Program, EmbedError> {
    Program::read([format!("yaml:{}", with_processors(processors))])
}

fn with_processors(processors: &[(&str, &str)]) -> String {
    let names: Vec<_> = processors.iter().map(|(name, _)| *name).collect();
    let settings: Vec<_> = processors.iter().map(|(name, settings)| format!("{name}: {settings}")).collect();
    let (names, settings) = (names.join(", "), settings.join(", "));
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: }}}}}}\nprocessors: {{{settings}}}\nexporters: {{nop: }}\n\
         service: {{pipelines: {{traces: {{receivers: [otlp], processors: [{names}], exporters: [nop]}}}}}}"
    )
}

fn keep_all() -> Result<Strategy, EmbedError> {
    let strategy = Strategy::new("keep-all".to_owned(), "Everything is sent and stored.".to_owned());
    Ok(Strategy { gateway: Some(program(&[])?), ..strategy })
}

fn head(mode: &str, percentage: f64) -> Result<Strategy, EmbedError> {
    let name = format!("head-{}-{percentage}%", mode.trim_end_matches("_seed"));
    let about = format!("Agents keep {percentage} % of the traces by their random number (mode `{mode}`).");
    let settings = format!("{{mode: {mode}, sampling_percentage: {percentage}}}");
    let strategy = Strategy { budget: Some(percentage / 100.0), ..Strategy::new(name, about) };
    strategy
        .with_knob(&format!("head ({mode})"), "sampling_percentage", percentage)
        .at_agents("probabilistic_sampler", &settings)
}

fn rate_limited(traffic: &Traffic, percentage: f64) -> Result<Strategy, EmbedError> {
    let rate = rounded(traffic.traces_per_second * percentage / 100.0);
    let about =
        format!("The gateway lets {rate} traces a second through, which is {percentage} % on average.");
    Strategy {
        budget: Some(percentage / 100.0),
        ..Strategy::new(format!("rate-limited-{percentage}%"), about)
    }
    .with_knob("rate limit", "traces_per_second", rate)
    .at_gateway("rate_limiting_sampler", &format!("{{traces_per_second: {rate}}}"))
}

/// The policies that catch what is slow or fails.
fn symptoms(traffic: &Traffic) -> String {
    format!(
        "{{name: errors, type: status_code, status_code: {{status_codes: [ERROR]}}}}, \
         {{name: slow, type: latency, latency: {{threshold_ms: {}}}}}",
        traffic.slow_ms
    )
}

fn tail_sampling(traffic: &Traffic, policies: &str) -> String {
    format!("{{decision_wait: {}s, policies: [{policies}]}}", traffic.decision_wait)
}

/// Those, and a percentage of the others.
fn symptoms_and_floor(traffic: &Traffic, percentage: f64) -> String {
    format!(
        "{}, {{name: floor, type: probabilistic, probabilistic: {{sampling_percentage: {percentage}}}}}",
        symptoms(traffic)
    )
}

fn tail(traffic: &Traffic, floor: f64) -> Result<Strategy, EmbedError> {
    let about = format!(
        "The gateway keeps traces with errors, those slower than {} ms, and {floor} % of the others.",
        traffic.slow_ms
    );
    Strategy::new(format!("tail-{floor}%"), about)
        .with_knob("tail", "sampling_percentage", floor)
        .at_gateway("tail_sampling", &tail_sampling(traffic, &symptoms_and_floor(traffic, floor)))
}

fn retroactive(traffic: &Traffic, floor: f64) -> Result<Strategy, EmbedError> {
    let about = format!(
        "Agents hold spans and send evidence of them; the gateway names the traces with errors, those slower than {} ms, \
         and {floor} % of the others, and agents send these to the store.",
        traffic.slow_ms
    );
    Strategy::new(format!("retroactive-{floor}%"), about)
        .with_knob("retroactive", "sampling_percentage", floor)
        .retroactive(&[], &tail_sampling(traffic, &symptoms_and_floor(traffic, floor)))
}

fn retroactive_economical(traffic: &Traffic, floor: f64) -> Result<Strategy, EmbedError> {
    let about = format!(
        "The same as `retroactive-{floor}%`, but agents send no evidence that could not change the verdict, and all are \
         named what is kept."
    );
    let decider = tail_sampling(traffic, &symptoms_and_floor(traffic, floor));
    Strategy::new(format!("retroactive-economical-{floor}%"), about)
        .with_knob("retroactive (economical)", "sampling_percentage", floor)
        .retroactive(&[], &decider.replacen('{', "{evidence: economical, ", 1))
}

fn adaptive_percentage(traffic: &Traffic, goal: f64) -> Result<Strategy, EmbedError> {
    let about = format!(
        "The gateway keeps traces with errors, slow ones, and {goal} % of the spans, shared out among kinds of traces."
    );
    let policy = format!(
        "{{name: budget, type: adaptive_percentage, adaptive_percentage: {{goal_percentage: {goal}, \
         algorithm: water_filling, fingerprint_attributes: {FINGERPRINT}}}}}"
    );
    Strategy::new(format!("adaptive-percentage-{goal}%"), about)
        .with_knob("adaptive percentage", "goal_percentage", goal)
        .at_gateway("tail_sampling", &tail_sampling(traffic, &format!("{}, {policy}", symptoms(traffic))))
}

fn adaptive_throughput(traffic: &Traffic, percentage: f64) -> Result<Strategy, EmbedError> {
    // The key takes whole numbers.
    let goal = (traffic.spans_per_second * percentage / 100.0).round().max(1.0);
    let about = format!(
        "The gateway keeps traces with errors, slow ones, and {goal} spans a second ({percentage} % on average), shared \
         out among kinds of traces."
    );
    let policy = format!(
        "{{name: budget, type: adaptive_throughput, adaptive_throughput: {{goal_throughput: {goal}, \
         algorithm: water_filling, fingerprint_attributes: {FINGERPRINT}}}}}"
    );
    Strategy::new(format!("adaptive-throughput-{percentage}%"), about)
        .with_knob("adaptive throughput", "goal_throughput", goal)
        .at_gateway("tail_sampling", &tail_sampling(traffic, &format!("{}, {policy}", symptoms(traffic))))
}

fn rules(goal: f64) -> Result<Strategy, EmbedError> {
    let about = format!(
        "The gateway keeps traces with errors by a first rule and by a second one {goal} % of the other spans, shared \
         out among kinds of traces by moving averages: Refinery's engine."
    );
    let failures = "{name: failures, conditions: [span.status.code == STATUS_CODE_ERROR], sampler: {type: always_sample}}";
    let others = format!(
        "{{name: others, sampler: {{type: adaptive_percentage, goal_percentage: {goal}, \
         fingerprint_attributes: {FINGERPRINT}}}}}"
    );
    Strategy::new(format!("rules-{goal}%"), about)
        .with_knob("rules", "goal_percentage", goal)
        .at_gateway("adaptive_tail_sampling", &format!("{{rules: [{failures}, {others}]}}"))
}

/// The percentage that is kept of what a head sampler before has let through and nothing else keeps.
const FLOOR_BEHIND_HEAD: f64 = 20.0;

fn head_settings(percentage: f64) -> String {
    format!("{{mode: equalizing, sampling_percentage: {percentage}}}")
}

fn head_then_tail(traffic: &Traffic, percentage: f64) -> Result<Strategy, EmbedError> {
    let about = format!(
        "Agents keep {percentage} % of the traces by their random number; of these the gateway keeps those with errors, \
         slow ones, and {FLOOR_BEHIND_HEAD} % of the others."
    );
    Strategy::new(format!("head-{percentage}%+tail"), about)
        .with_knob("head + tail", "sampling_percentage", percentage)
        .at_agents("probabilistic_sampler", &head_settings(percentage))?
        .at_gateway("tail_sampling", &tail_sampling(traffic, &symptoms_and_floor(traffic, FLOOR_BEHIND_HEAD)))
}

fn head_then_retroactive(traffic: &Traffic, percentage: f64) -> Result<Strategy, EmbedError> {
    let about = format!(
        "Agents keep {percentage} % of the traces by their random number and hold them; the gateway names those with \
         errors, slow ones, and {FLOOR_BEHIND_HEAD} % of the others."
    );
    Strategy::new(format!("head-{percentage}%+retroactive"), about)
        .with_knob("head + retroactive", "sampling_percentage", percentage)
        .retroactive(
            &[("probabilistic_sampler", &head_settings(percentage))],
            &tail_sampling(traffic, &symptoms_and_floor(traffic, FLOOR_BEHIND_HEAD)),
        )
}

/// To three decimal places, and not to zero.
fn rounded(value: f64) -> f64 {
    ((value * 1e3).round() / 1e3).max(0.001)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAFFIC: Traffic =
        Traffic { traces_per_second: 12.0, spans_per_second: 100.0, slow_ms: 250, decision_wait: 10 };

    #[test]
    fn what_comes_along_has_no_mistakes_and_names_of_its_own() {
        let mut all = builtin(&TRAFFIC).unwrap();
        assert!(all.len() >= 14, "{}", all.len());
        all.extend(
            sweep(&TRAFFIC)
                .unwrap()
                .into_iter()
                .filter(|member| all.iter().all(|strategy| strategy.name != member.name))
                .collect::<Vec<_>>(),
        );
        let mut names: Vec<_> = all.iter().map(|strategy| strategy.name.clone()).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(all.iter().all(|strategy| strategy.agent.is_some() || strategy.gateway.is_some()));
    }

    #[test]
    fn a_strategy_shows_its_configurations() {
        let yaml = head_then_tail(&TRAFFIC, 25.0).unwrap().yaml();
        assert!(yaml.contains("# agents") && yaml.contains("# gateway"), "{yaml}");
        assert!(yaml.contains("threshold_ms: 250"), "{yaml}");
    }
}
