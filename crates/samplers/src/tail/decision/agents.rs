//! What policies want of agents that hold spans of traces which are decided elsewhere.

use forebay_otlp::TraceId;
use forebay_otlp::threshold::Threshold;

use super::{Kept, Named, Policies};
use crate::retroactive::program::{Clause, Columns, Program};
use crate::tail::digest::Digest;
use crate::tail::policy::Evidence;

impl Policies {
    /// What agents are to do for a coordinator with these policies, which are no rules.
    #[must_use]
    pub fn program(&self, records: bool) -> Program {
        let chosen_by_chance = |named: &Named| named.nature.chance && !named.nature.limited;
        let thresholds = self.policies.iter().flat_map(|named| named.policy.sufficient());
        let least = if self.policies.iter().all(chosen_by_chance) {
            thresholds.map(|sufficient| sufficient.threshold).min()
        } else {
            Some(Threshold::ALWAYS)
        };
        let mut clauses = Vec::new();
        // What a policy may still drop is certain of nothing.
        for named in self.policies.iter().filter(|_| !self.may_drop()) {
            clauses.extend(named.policy.sufficient().into_iter().map(|sufficient| Clause {
                sufficient,
                kept: Kept { policy: named.index, part: None, threshold: Some(sufficient.threshold) },
                // Who is recorded depends on whether an earlier policy asks for it too.
                leaves: Some(sufficient.threshold) == least && (!records || named.index == 0),
            }));
        }
        Program {
            questions: self.predicates.questions().to_vec(),
            coerces: self.predicates.coerces(),
            clauses,
            columns: self
                .policies
                .iter()
                .fold(Columns::NONE, |columns, named| columns | named.policy.columns()),
            names: records.then(|| self.names_with_parts()),
        }
    }

    /// Why agents have to tell of every piece of a trace, if they have to. Else a piece that has no root, satisfies no
    /// predicate and does not lengthen its trace says nothing that a policy wants to know.
    pub(crate) fn needing_all_evidence(&self) -> Option<String> {
        let empty = Digest::EMPTY;
        // Whose randomness is the least.
        let trace = Evidence::new(TraceId(0), &empty);
        let limits = self.limits();
        self.policies.iter().find_map(|named| {
            let columns = named.policy.columns();
            let reason = if named.policy.evaluate(&trace, &limits).is_sampled() {
                "asks for traces that show nothing"
            } else if named.nature.limited || columns.spans || columns.bytes {
                "counts spans"
            } else if columns.trace_ids {
                "wants whole trace ids"
            } else if !self.predicates.fingerprints().is_empty() {
                "tells kinds of traces apart"
            } else {
                return None;
            };
            let name = &self.names[usize::from(named.index)];
            Some(format!("policy `{name}` {reason}, so all pieces of evidence have to be reported"))
        })
    }
}
