//! Resource and scope of waiting spans, one copy each.
//!
//! A thousand spans of one process share one resource, and predicates over resource attributes are
//! evaluated once for it. Scopes are interned below their resource; records count the scope's entry, which
//! counts the resource's.

use forebay_otlp::Envelopes;
use forebay_ottl::EnvelopeSlots;

use super::interner::Interner;
use crate::tail::fingerprint::Values;
use crate::tail::predicate::{Bits, Predicates};

/// The envelopes that records refer to by number.
#[derive(Debug, Default)]
pub(crate) struct EnvelopeTable {
    resources: Interner<Bits>,
    /// Keys are the resource's number and the scope's description.
    scopes: Interner<Scope>,
    key: Vec<u8>,
}

/// What is known of a scope under a resource.
#[derive(Debug, Default)]
struct Scope {
    /// The resource's number.
    resource: u32,
    /// What conditions ask of both, if there are conditions.
    slots: Option<Box<EnvelopeSlots>>,
    /// What fingerprints ask of both.
    values: Values<'static>,
}

impl Scope {
    fn new(resource: u32, resource_key: &[u8], key: &[u8], predicates: &Predicates) -> Self {
        let slots = predicates.slots_of(resource_key, key);
        Self { resource, slots, values: predicates.values_of(resource_key, key) }
    }
}

impl EnvelopeTable {
    /// The number of an envelope of `request`, for a record that is about to be appended: it stays valid while
    /// records retain it.
    pub(crate) fn intern(
        &mut self,
        request: &[u8],
        envelopes: &Envelopes,
        envelope: u32,
        predicates: &Predicates,
    ) -> u32 {
        self.key.clear();
        envelopes.resource_parts(request, envelope).for_each(|part| self.key.extend_from_slice(part));
        let resource = self.resources.intern(&self.key, || predicates.of_resource(&self.key));
        self.key.clear();
        self.key.extend_from_slice(&resource.to_le_bytes());
        envelopes.scope_parts(request, envelope).for_each(|part| self.key.extend_from_slice(part));
        let resources = &mut self.resources;
        self.scopes.intern(&self.key, || {
            resources.retain(resource);
            Scope::new(resource, resources.key(resource), &self.key[4..], predicates)
        })
    }

    /// Asks all envelopes what these predicates ask.
    pub(crate) fn ask_anew(&mut self, predicates: &Predicates) {
        self.resources.make_anew(|key| predicates.of_resource(key));
        let resources = &self.resources;
        self.scopes.make_anew(|key| {
            let (number, key) = key.split_at(4);
            let resource = u32::from_le_bytes(number.try_into().unwrap_or_default());
            Scope::new(resource, resources.key(resource), key, predicates)
        });
    }

    /// Counts a record.
    pub(crate) fn retain(&mut self, envelope: u32) {
        self.scopes.retain(envelope);
    }

    /// Uncounts a record.
    pub(crate) fn release(&mut self, envelope: u32) {
        if let Some(scope) = self.scopes.release(envelope) {
            self.resources.release(scope.resource);
        }
    }

    /// The predicates that the envelope's resource satisfies, and what conditions ask of it and its scope.
    pub(crate) fn facts(&self, envelope: u32) -> (Bits, Option<&EnvelopeSlots>) {
        let scope = self.scopes.value(envelope);
        (*self.resources.value(scope.resource), scope.slots.as_deref())
    }

    /// The values that fingerprints have of the envelope's resource and scope.
    pub(crate) fn values(&self, envelope: u32) -> &Values<'static> {
        &self.scopes.value(envelope).values
    }

    /// The number of the envelope's resource.
    pub(crate) fn resource(&self, envelope: u32) -> u32 {
        self.scopes.value(envelope).resource
    }

    /// The descriptions of the envelope's resource and scope.
    pub(crate) fn parts(&self, envelope: u32) -> (&[u8], &[u8]) {
        (self.resources.key(self.resource(envelope)), &self.scopes.key(envelope)[4..])
    }

    /// Whether no record refers to any.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.scopes.is_empty()
    }

    /// Bytes held.
    pub(crate) fn allocated(&self) -> usize {
        self.resources.allocated() + self.scopes.allocated()
    }
}
