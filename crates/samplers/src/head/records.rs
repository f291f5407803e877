//! `probabilistic_sampler` over the log records of a request.
//!
//! A log record has no trace state. What samplers know of it stands in two attributes, as the Collector writes
//! them: `sampling.threshold` and `sampling.randomness`, with the values of `th` and `rv`.

use std::borrow::Cow;

use forebay_otlp::attribute::{AnyValue, Attribute, LOG_ATTRIBUTES, attribute_messages};
use forebay_otlp::threshold::{ProbabilityError, Threshold};
use forebay_otlp::{LogIndex, LogRecord, SpanPiece, Splicer, with_attribute, without_attribute};
use forebay_ottl::as_string;
use memchr::memmem::Finder;

use super::Sampled;
use super::config::ProbabilisticConfig;
use super::rule::{Incoming, Item, Key, Rule, Stamp};
use super::verdict::{Counts, Fault, Leaving, Priority, Verdict};

/// Chooses log records by their trace's randomness, or by a hash of it or of an attribute.
#[derive(Debug)]
pub struct RecordSampler {
    rule: Rule,
    fail_closed: bool,
    /// Whether mode `hash_seed` hashes the trace ids that there are.
    hashes_trace_id: bool,
    precision: u32,
    /// The attributes that matter.
    names: Names<Option<Finder<'static>>>,
    /// What most kept records leave with, encoded.
    usual: Option<(Stamp, Vec<u8>)>,
}

/// One thing for each attribute that matters.
#[derive(Clone, Copy, Debug, Default)]
struct Names<T> {
    threshold: T,
    randomness: T,
    /// `from_attribute`
    key: T,
    /// `sampling_priority`
    priority: T,
}

const THRESHOLD: &str = "sampling.threshold";
const RANDOMNESS: &str = "sampling.randomness";

impl RecordSampler {
    /// A sampler with these settings.
    ///
    /// # Errors
    /// When the percentage is not zero and below 2^-56.
    pub fn new(config: &ProbabilisticConfig) -> Result<Self, ProbabilityError> {
        let &ProbabilisticConfig { mode, sampling_percentage, sampling_precision, hash_seed, .. } = config;
        let rule = Rule::new(mode, sampling_percentage, sampling_precision, hash_seed)?;
        let finder = |name: &str| (!name.is_empty()).then(|| Finder::new(name.as_bytes()).into_owned());
        Ok(Self {
            usual: rule.usual_stamp().map(|stamp| (stamp, stamp.attributes())),
            fail_closed: config.fail_closed,
            hashes_trace_id: config.hashes_trace_id,
            precision: sampling_precision,
            names: Names {
                threshold: finder(THRESHOLD),
                randomness: finder(RANDOMNESS),
                key: finder(&config.from_attribute).filter(|_| rule.hashes()),
                priority: finder(&config.sampling_priority),
            },
            rule,
        })
    }

    /// Chooses among the records of a request and stamps those that are kept.
    #[must_use]
    pub fn sample(&self, request: &[u8], index: &LogIndex) -> Sampled {
        // One search of the whole request is cheaper than one of each record's attributes.
        let names = self.names.as_ref().map(|name| name.as_ref().filter(|name| name.find(request).is_some()));
        let mut counts = Counts::default();
        let mut splicer = Splicer::default();
        for record in &index.records {
            let body = index.body(request, record);
            let found = names.find(body);
            let verdict = self.decide(record, &found);
            counts.add(&verdict);
            if let Some(leaving) = verdict.leaving {
                let piece = self.piece(leaving, body, &found);
                splicer.push(index.envelopes.resource_number(record.envelope), record.envelope, piece);
            }
        }
        let items = splicer.items();
        Sampled { request: splicer.finish_indexed(request, &index.envelopes), items, counts }
    }

    fn decide(&self, record: &LogRecord, found: &Names<Option<AnyValue<'_>>>) -> Verdict {
        let hashed_id = record.trace_id.filter(|_| self.hashes_trace_id);
        let attribute = found.key.map(text).filter(|value| !value.is_empty());
        let key = hashed_id.map(Key::TraceId).or_else(|| attribute.as_deref().map(Key::Attribute));
        let priority = found.priority.and_then(|value| self.priority(value));
        let item = Item { trace_id: record.trace_id, key };
        self.rule.decide(item, incoming(found), priority, self.fail_closed)
    }

    /// What a record asks for by a percentage; whatever is no number of at least 0 says nothing.
    fn priority(&self, value: AnyValue<'_>) -> Option<Priority> {
        let percentage = match value {
            #[expect(clippy::cast_precision_loss, reason = "beyond a hundred all are one")]
            AnyValue::Int(number) => number as f64,
            AnyValue::Double(number) => number,
            _ => return None,
        };
        if percentage == 0.0 {
            return Some(Priority::Drop);
        }
        let probability = if percentage > 100.0 { 1.0 } else { percentage / 100.0 };
        Threshold::from_probability(probability, self.precision).ok().map(Priority::Keep)
    }

    /// The record as it leaves.
    fn piece<'a>(
        &'a self,
        leaving: Leaving,
        body: &'a [u8],
        found: &Names<Option<AnyValue<'_>>>,
    ) -> SpanPiece<'a> {
        let is_new = found.threshold.is_none() && found.randomness.is_none();
        let rewritten = |message| SpanPiece { suffix: Cow::Owned(message), ..SpanPiece::default() };
        match leaving {
            Leaving::Stamped(stamp) if is_new => {
                let suffix = match &self.usual {
                    Some((usual, fields)) if *usual == stamp => Cow::Borrowed(fields.as_slice()),
                    _ => Cow::Owned(stamp.attributes()),
                };
                SpanPiece { suffix, ..SpanPiece::verbatim(body) }
            }
            Leaving::Stamped(stamp) => rewritten(stamp.onto(body)),
            Leaving::WithoutThreshold => rewritten(without_attribute(body, LOG_ATTRIBUTES, THRESHOLD)),
            Leaving::AsItCame => SpanPiece::verbatim(body),
        }
    }
}

impl<T> Names<T> {
    fn as_ref(&self) -> Names<&T> {
        let Self { threshold, randomness, key, priority } = self;
        Names { threshold, randomness, key, priority }
    }

    fn map<U>(self, mut change: impl FnMut(T) -> U) -> Names<U> {
        Names {
            threshold: change(self.threshold),
            randomness: change(self.randomness),
            key: change(self.key),
            priority: change(self.priority),
        }
    }
}

impl Names<Option<&Finder<'_>>> {
    /// The values of these attributes in a record; of attributes with one key the first counts, as upstream.
    fn find<'a>(&self, body: &'a [u8]) -> Names<Option<AnyValue<'a>>> {
        let mut found = Names::default();
        let names = self.map(|name| name.map(Finder::needle));
        let wanted = [names.threshold, names.randomness, names.key, names.priority];
        if wanted.iter().all(Option::is_none) {
            return found;
        }
        let attributes = attribute_messages(body, LOG_ATTRIBUTES).filter_map(|message| {
            Attribute::parse_if(message, |key| wanted.contains(&Some(key))).ok().flatten()
        });
        for Attribute { key, value } in attributes {
            let places = [&mut found.threshold, &mut found.randomness, &mut found.key, &mut found.priority];
            for (place, name) in places.into_iter().zip(wanted) {
                if name == Some(key) {
                    place.get_or_insert(value);
                }
            }
        }
        found
    }
}

impl Stamp {
    /// The attributes of a record that had neither of them.
    fn attributes(self) -> Vec<u8> {
        self.onto(&[])
    }

    /// A record with these in place of whatever it had.
    fn onto(self, record: &[u8]) -> Vec<u8> {
        let stamped = with_attribute(record, LOG_ATTRIBUTES, THRESHOLD, &self.threshold.to_string());
        match self.randomness {
            Some(randomness) => with_attribute(&stamped, LOG_ATTRIBUTES, RANDOMNESS, &randomness.to_string()),
            None => stamped,
        }
    }
}

/// What a record says of sampling; values that are no text, or empty, say nothing.
fn incoming(found: &Names<Option<AnyValue<'_>>>) -> Result<Incoming, Fault> {
    let text = |value: Option<AnyValue<'_>>| match value {
        Some(AnyValue::String(text)) if !text.is_empty() => {
            str::from_utf8(text).map(|text| Some(text.to_owned())).map_err(|_| Fault::Malformed)
        }
        _ => Ok(None),
    };
    let threshold = text(found.threshold)?.map(|text| text.parse()).transpose();
    let randomness = text(found.randomness)?.map(|text| text.parse()).transpose();
    match (threshold, randomness) {
        (Ok(threshold), Ok(randomness)) => Ok(Incoming { threshold, randomness }),
        _ => Err(Fault::Malformed),
    }
}

/// The bytes of a value that are hashed: bytes as they are, anything else as text.
fn text(value: AnyValue<'_>) -> Cow<'_, [u8]> {
    match value {
        AnyValue::Bytes(bytes) => Cow::Borrowed(bytes),
        value => as_string(value),
    }
}

#[cfg(test)]
mod tests;
