//! What budgets have learned, kept beyond the processors that have learned it: a processor that is replaced, since
//! its configuration has changed, hands on what it knows of its traffic to the one that takes its name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use forebay_allocators::Learned;

/// The rates that the process's samplers have learned. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct LearnedRates(Arc<Mutex<HashMap<Owner, Learned>>>);

/// Whose rates: a processor's id, and the policy or rule with the budget.
type Owner = (String, String);

impl LearnedRates {
    /// What the budget of a policy or rule of a processor has learned.
    #[must_use]
    pub fn get(&self, processor: &str, policy: &str) -> Option<Learned> {
        let rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rates.get(&(processor.to_owned(), policy.to_owned())).cloned()
    }

    /// Remembers it.
    pub fn put(&self, processor: &str, policy: &str, learned: Learned) {
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rates.insert((processor.to_owned(), policy.to_owned()), learned);
    }
}
