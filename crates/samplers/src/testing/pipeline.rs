//! What stands around a processor: a next component that does as it is told, and the accounts of a stage.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use forebay_otlp::Signal;
use forebay_pipeline::{Batch, BoxFuture, Consumer, Refusal, Telemetry};

use super::{Located, Span, decode};

/// The next component.
#[derive(Default)]
pub(crate) struct Downstream {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answer: Answer,
    taken: Vec<Batch>,
    asked: usize,
}

/// How batches are answered.
#[derive(Clone, Debug, Default)]
pub(crate) enum Answer {
    #[default]
    Take,
    Refuse {
        after: Option<Duration>,
    },
    Reject,
}

/// The accounts of one stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) incoming: i64,
    pub(crate) outgoing: i64,
    pub(crate) buffered: i64,
    pub(crate) dropped: BTreeMap<String, i64>,
}

impl Downstream {
    /// From now on, batches are answered like this.
    pub(crate) fn answer(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    /// The spans that were taken.
    pub(crate) fn located(&self) -> Vec<Located> {
        self.state
            .lock()
            .unwrap()
            .taken
            .iter()
            .flat_map(|batch| {
                let spans = decode(&batch.bytes);
                assert_eq!(spans.len(), batch.items);
                spans
            })
            .collect()
    }

    /// The spans that were taken.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.located().into_iter().map(|located| located.span).collect()
    }

    /// How many batches have been offered.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    /// Lets go of what was taken.
    pub(crate) fn clear(&self) {
        self.state.lock().unwrap().taken.clear();
    }
}

impl Consumer for Downstream {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let answer = {
                let mut state = self.state.lock().unwrap();
                state.asked += 1;
                if matches!(state.answer, Answer::Take) {
                    state.taken.push(batch);
                }
                state.answer.clone()
            };
            match answer {
                Answer::Take => Ok(()),
                Answer::Refuse { after } => Err(Refusal::Retryable { message: "full".to_owned(), after }),
                Answer::Reject => Err(Refusal::Permanent("wrong".to_owned())),
            }
        })
    }
}

/// A trace request.
pub(crate) fn batch(request: Vec<u8>) -> Batch {
    let items = decode(&request).len();
    Batch::new(Signal::Traces, request.into(), items)
}

impl Account {
    /// What the metrics say of a stage.
    pub(crate) fn of(telemetry: &Telemetry, stage: &str) -> Self {
        let mut account = Self::default();
        for family in telemetry.registry().gather() {
            for metric in family.get_metric() {
                let label = |name| {
                    metric.get_label().iter().find(|label| label.name() == name).map(|label| label.value())
                };
                if label("stage") != Some(stage) {
                    continue;
                }
                // A metric is one or the other.
                #[expect(clippy::cast_possible_truncation, reason = "counts of spans in a test")]
                let value = (metric.get_counter().get_value() + metric.get_gauge().get_value()) as i64;
                match family.name() {
                    "forebay_stage_incoming_items" => account.incoming = value,
                    "forebay_stage_outgoing_items" => account.outgoing = value,
                    "forebay_stage_buffered_items" => account.buffered = value,
                    "forebay_stage_dropped_items" if value > 0 => {
                        account.dropped.insert(label("reason").unwrap().to_owned(), value);
                    }
                    _ => {}
                }
            }
        }
        assert!(account.buffered >= 0, "{account:?}");
        account
    }

    /// Whether what came in is what left, waits or was dropped.
    pub(crate) fn balances(&self) -> bool {
        self.incoming == self.outgoing + self.buffered + self.dropped.values().sum::<i64>()
    }
}
