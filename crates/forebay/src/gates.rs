//! Feature gates: the Collector's switches, of which few have a meaning here.

/// The gates that do something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gates {
    /// `processor.tailsamplingprocessor.recordpolicy`: kept spans say which policy kept their trace.
    pub(crate) record_policy: bool,
}

const RECORD_POLICY: &str = "processor.tailsamplingprocessor.recordpolicy";
/// What the Collector does only behind a gate, and Forebay always.
const ALWAYS_ON: [&str; 4] = [
    "processor.tailsamplingprocessor.disableinvertdecisions",
    "processor.tailsamplingprocessor.metricstatcountbytessampled",
    "processor.tailsamplingprocessor.metricstatcountspanssampled",
    "processor.tailsamplingprocessor.usetracestate",
];

impl Gates {
    /// Reads `--feature-gates`; what has no meaning here is returned as well, to be warned about.
    #[must_use]
    pub(crate) fn parse(words: &[String]) -> (Self, Vec<&str>) {
        let mut gates = Self::default();
        let mut unknown = Vec::new();
        for word in words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()) {
            let (name, on) = match word.strip_prefix('-') {
                Some(name) => (name, false),
                None => (word.strip_prefix('+').unwrap_or(word), true),
            };
            match name {
                RECORD_POLICY => gates.record_policy = on,
                _ if on && ALWAYS_ON.contains(&name) => {}
                _ => unknown.push(name),
            }
        }
        (gates, unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_switched_and_unknown_ones_named() {
        let words = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let on = words(RECORD_POLICY);
        assert_eq!(Gates::parse(&on), (Gates { record_policy: true }, vec![]));
        let off = words(
            "+processor.tailsamplingprocessor.recordpolicy,-processor.tailsamplingprocessor.recordpolicy,x.y",
        );
        assert_eq!(Gates::parse(&off), (Gates::default(), vec!["x.y"]));
        let always = "processor.tailsamplingprocessor.usetracestate";
        assert_eq!(Gates::parse(&words(&format!("{always},-{always}"))), (Gates::default(), vec![always]));
    }
}
