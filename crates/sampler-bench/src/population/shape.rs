//! The type of a trace: which operations call which.
//!
//! The path code of TracePicker (FSE 2025; `path_encoding.py` in rcabench): from the roots down, level by level, the
//! operations of each level in order. A root is a span without a parent, or whose parent is not in the trace. Here
//! the operations that fail are marked, so that a failure of a usual path is a type of its own.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::SpanFact;

/// A trace as a tree. Spans are numbered as they are given.
pub(super) struct Shape {
    /// For each span, the number of its parent.
    parents: Vec<Option<usize>>,
    /// The spans by their distance from a root. Of what calls itself in a circle there is no level.
    levels: Vec<Vec<usize>>,
}

impl Shape {
    pub(super) fn of(spans: &[SpanFact]) -> Self {
        let numbers: HashMap<u64, usize, FixedState> =
            spans.iter().enumerate().map(|(number, span)| (span.id, number)).collect();
        let parents: Vec<_> = spans.iter().map(|span| numbers.get(&span.parent).copied()).collect();
        let mut children = vec![Vec::new(); spans.len()];
        for (child, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(child);
            }
        }
        let mut levels = Vec::new();
        let mut level: Vec<_> = (0..spans.len()).filter(|&span| parents[span].is_none()).collect();
        while !level.is_empty() {
            let next = level.iter().flat_map(|&span| children[span].iter().copied()).collect();
            levels.push(std::mem::replace(&mut level, next));
        }
        Self { parents, levels }
    }

    /// The path code, hashed: equal for traces of one type.
    pub(super) fn code(&self, spans: &[SpanFact], operations: &[String]) -> u64 {
        let mut hasher = FixedState::default().build_hasher();
        for level in &self.levels {
            let label =
                |&span: &usize| (operations[spans[span].operation as usize].as_str(), spans[span].error);
            let mut labels: Vec<_> = level.iter().map(label).collect();
            labels.sort_unstable();
            hasher.write_usize(labels.len());
            for (operation, error) in labels {
                hasher.write(operation.as_bytes());
                hasher.write_u8(u8::from(error));
            }
        }
        hasher.finish()
    }

    /// Caller and callee of each call, and the operations that fail, each once and in order.
    pub(super) fn pattern(&self, spans: &[SpanFact]) -> Vec<u64> {
        const FAILS: u64 = u32::MAX as u64;
        const NOBODY: u64 = FAILS - 1;
        let operation = |span: usize| u64::from(spans[span].operation);
        let caller = |span: usize| self.parents[span].map_or(NOBODY, operation);
        let calls = (0..spans.len()).map(|span| caller(span) << 32 | operation(span));
        let failing = (0..spans.len()).filter(|&span| spans[span].error);
        let distinct: HashSet<u64, FixedState> =
            calls.chain(failing.map(|span| operation(span) << 32 | FAILS)).collect();
        let mut pattern: Vec<_> = distinct.into_iter().collect();
        pattern.sort_unstable();
        pattern
    }

    /// The operation of the root that starts first.
    pub(super) fn entry(&self, spans: &[SpanFact]) -> u32 {
        let roots = self.levels.first().into_iter().flatten();
        roots.min_by_key(|&&span| spans[span].start).map_or(0, |&span| spans[span].operation)
    }

    /// How many spans start more than `tolerance` nanoseconds before their parent does, or after it ends.
    pub(super) fn skewed(&self, spans: &[SpanFact], tolerance: u64) -> u64 {
        let is_skewed = |(span, parent): &(&SpanFact, &Option<usize>)| {
            parent.map(|parent| &spans[parent]).is_some_and(|parent| {
                span.start.saturating_add(tolerance) < parent.start
                    || span.start > parent.end.saturating_add(tolerance)
            })
        };
        spans.iter().zip(&self.parents).filter(is_skewed).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u64, parent: u64, operation: u32) -> SpanFact {
        SpanFact { id, parent, operation, error: false, start: id, end: id + 1 }
    }

    fn code(spans: &[SpanFact]) -> u64 {
        Shape::of(spans).code(spans, &["a", "b", "c"].map(str::to_owned))
    }

    #[test]
    fn siblings_may_come_in_any_order_and_levels_may_not() {
        let one = code(&[span(1, 0, 0), span(2, 1, 1), span(3, 1, 2)]);
        assert_eq!(one, code(&[span(3, 1, 1), span(2, 1, 2), span(1, 0, 0)]));
        assert_ne!(one, code(&[span(1, 0, 0), span(2, 1, 1), span(3, 2, 2)]));
    }

    #[test]
    fn a_failure_is_another_type() {
        let good = [span(1, 0, 0), span(2, 1, 1)];
        let bad = [good[0], SpanFact { error: true, ..good[1] }];
        assert_ne!(code(&good), code(&bad));
        assert_eq!(Shape::of(&bad).pattern(&bad).len(), Shape::of(&good).pattern(&good).len() + 1);
    }

    #[test]
    fn a_span_whose_parent_is_missing_is_a_root_and_a_circle_has_none() {
        let orphan = [span(5, 99, 2), span(6, 5, 1)];
        assert_eq!(Shape::of(&orphan).entry(&orphan), 2);
        let circle = [span(1, 2, 0), span(2, 1, 1), span(3, 3, 2)];
        assert!(Shape::of(&circle).levels.is_empty());
    }

    #[test]
    fn skew_is_told_by_the_parent() {
        let spans = [span(1000, 0, 0), span(10, 1000, 1), span(2000, 1000, 1), span(1010, 1000, 1)];
        assert_eq!(Shape::of(&spans).skewed(&spans, 100), 2);
    }
}
