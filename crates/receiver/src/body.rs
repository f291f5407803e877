//! Reading a body within two bounds: the request's own limit and the process's byte budget.
//!
//! The charge is always the capacity of the buffer, and the buffer grows with what has arrived: so a bomb
//! stops at its limit, uploads that announce megabytes and stall hold next to nothing, and whoever finds no
//! room waits a moment before being refused.
//!
//! A body that inflates to much more than has arrived waits, still compressed, until all of it is there and
//! others like it are done. So many bombs at once hold hardly more than one, and no slow sender is in their way.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use forebay_pipeline::{Budget, Charge};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::inflate::{Coding, InflateError, Inflater};
use crate::reject::{Kind, Reject};

/// How long a request waits for room in the budget before it is refused.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a call holds while it waits for its body: its task, its stream, its first buffer.
const CALL_MEMORY: usize = 4 << 10;
/// The smallest buffer.
const SMALLEST: usize = 512;
/// How far beyond what has arrived a declared length is believed. Senders cut messages into frames of
/// 16 KiB; a buffer for the whole message as soon as the first is there need not be copied later.
const TRUST: usize = 16;
/// A guess at how well telemetry compresses; too low costs copies, too high a moment's memory.
const EXPANSION: usize = 6;
/// What a body may inflate to without having to wait for others: a batch of an SDK does not.
const MODEST: usize = 256 << 10;
/// Or this many times what has arrived of it, if that is more.
const MODEST_EXPANSION: usize = 2;
/// After so many decoded bytes others get their turn.
const TURN: usize = 512 << 10;

/// How much one body may hold, and where room comes from.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    pub(crate) budget: Budget,
    /// Bytes after decoding.
    pub(crate) limit: usize,
    /// What the configuration calls the limit.
    pub(crate) limit_key: &'static str,
    /// How long to wait for room, in all: some clients drop what is refused.
    pub(crate) patience: Duration,
    /// Held while a body inflates beyond what is modest.
    pub(crate) inflating: Arc<Mutex<()>>,
}

/// A whole body, decoded, and what it costs.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) bytes: Bytes,
    pub(crate) charge: Charge,
}

/// The pieces of a body, without trailers and empty frames.
pub(crate) struct Pieces<B> {
    body: B,
    returned: Bytes,
}

/// A body being collected.
pub(crate) struct Gathering<'a> {
    allowance: &'a Allowance,
    coding: Coding,
    inflater: Option<Inflater>,
    bytes: Vec<u8>,
    /// What the buffer can grow to.
    most: usize,
    /// How far beyond its content the buffer grows; a length that is known makes its last growth exact.
    growth: usize,
    /// The capacity of `bytes`.
    charge: Charge,
    /// What the decoder itself holds, and the capacity of `held_back`.
    working_memory: Charge,
    /// Bytes that have arrived.
    arrived: usize,
    /// What has arrived and is not to be decoded before the rest is there; `None` if all is decoded.
    held_back: Option<Vec<u8>>,
    /// Set by the first wait for room.
    out_of_patience: Option<Instant>,
}

impl<B> Pieces<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    pub(crate) fn new(body: B) -> Self {
        Self { body, returned: Bytes::new() }
    }

    /// The next bytes, at least one; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Reject> {
        if !self.returned.is_empty() {
            return Ok(Some(std::mem::take(&mut self.returned)));
        }
        while let Some(frame) = self.body.frame().await {
            let frame = frame
                .map_err(|error| Reject::new(Kind::Gone, format!("the body could not be read: {error}")))?;
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Waits for the next bytes and leaves them there; whether there are none any more.
    pub(crate) async fn are_over(&mut self) -> Result<bool, Reject> {
        match self.next().await? {
            Some(piece) => {
                self.returned = piece;
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// Exactly `N` bytes, or how many there were before the end.
    pub(crate) async fn exactly<const N: usize>(&mut self) -> Result<Result<[u8; N], usize>, Reject> {
        let mut bytes = [0; N];
        let mut filled = 0;
        while filled < N {
            let Some(mut piece) = self.next().await? else {
                return Ok(Err(filled));
            };
            let taken = piece.len().min(N - filled);
            piece.copy_to_slice(&mut bytes[filled..filled + taken]);
            filled += taken;
            self.returned = piece;
        }
        Ok(Ok(bytes))
    }

    /// The next bytes, at most `most` of them.
    pub(crate) async fn next_within(&mut self, most: usize) -> Result<Option<Bytes>, Reject> {
        let Some(mut piece) = self.next().await? else {
            return Ok(None);
        };
        if piece.len() > most {
            self.returned = piece.split_off(most);
        }
        Ok(Some(piece))
    }
}

impl<'a> Gathering<'a> {
    /// Starts on a body in `coding`, of `declared` bytes before decoding if that is known.
    pub(crate) fn new(
        allowance: &'a Allowance,
        coding: Coding,
        declared: Option<usize>,
    ) -> Result<Self, Reject> {
        if declared.is_some_and(|declared| declared > allowance.limit) {
            return Err(allowance.exceeded());
        }
        // One byte beyond the limit tells a body that just has it from one that exceeds it.
        let limit = allowance.limit.saturating_add(1);
        let (most, growth) = match (coding, declared) {
            (Coding::Identity, Some(declared)) => (declared, TRUST),
            _ => (limit, 2),
        };
        Ok(Self {
            allowance,
            coding,
            inflater: None,
            bytes: Vec::new(),
            most,
            growth,
            charge: allowance.budget.charge(0),
            working_memory: allowance.budget.charge(0),
            arrived: 0,
            held_back: None,
            out_of_patience: None,
        })
    }

    /// Takes the next bytes of the body.
    pub(crate) async fn push(&mut self, piece: &[u8]) -> Result<(), Reject> {
        if self.coding == Coding::Identity {
            self.make_room(piece.len(), 0, self.most).await?;
            self.bytes.extend_from_slice(piece);
            return Ok(());
        }
        self.arrived = self.arrived.saturating_add(piece.len());
        if self.held_back.is_some() {
            return self.hold_back(piece).await;
        }
        let modest = MODEST.max(self.arrived.saturating_mul(MODEST_EXPANSION));
        let rest = self.inflate(piece, modest).await?;
        if self.bytes.len() >= modest { self.hold_back(rest).await } else { Ok(()) }
    }

    /// Decodes until `input` is read or there are `enough` bytes; what is left of `input`.
    async fn inflate<'i>(&mut self, mut input: &'i [u8], enough: usize) -> Result<&'i [u8], Reject> {
        let mut inflater = match self.inflater.take() {
            Some(inflater) => Some(inflater),
            None => {
                let working_memory = self.coding.working_memory(input);
                self.working_memory = self.reserve(working_memory).await?;
                Inflater::new(self.coding)?
            }
        };
        let mut decoded = 0;
        while let Some(inflater) = &mut inflater
            && self.bytes.len() < enough
        {
            self.make_room(1, input.len().saturating_mul(EXPANSION), enough).await?;
            let before = self.bytes.len();
            inflater.run(&mut input, &mut self.bytes)?;
            if self.bytes.len() < self.bytes.capacity() {
                break;
            }
            decoded += self.bytes.len() - before;
            if decoded >= TURN {
                decoded = 0;
                tokio::task::yield_now().await;
            }
        }
        self.inflater = inflater;
        Ok(input)
    }

    /// Keeps `piece` as it is.
    async fn hold_back(&mut self, piece: &[u8]) -> Result<(), Reject> {
        // Telemetry that compression makes larger is not telemetry.
        if self.arrived > self.allowance.limit {
            return Err(self.allowance.exceeded());
        }
        let mut held_back = self.held_back.take().unwrap_or_default();
        if held_back.capacity() - held_back.len() < piece.len() {
            let more = piece.len().max(held_back.len());
            let room = self.reserve(more).await?;
            held_back.reserve_exact(more);
            self.working_memory.resize(self.working_memory.bytes() + more);
            drop(room);
        }
        held_back.extend_from_slice(piece);
        self.held_back = Some(held_back);
        Ok(())
    }

    /// Decodes what has been held back, when it is this body's turn.
    async fn release(&mut self, held_back: Vec<u8>) -> Result<(), Reject> {
        // Whoever has waited here for long has no patience left to wait for room.
        self.out_of_patience.get_or_insert_with(|| Instant::now() + self.allowance.patience);
        let _turn = self.allowance.inflating.lock().await;
        let Some(mut inflater) = self.inflater.take() else { return Ok(()) };
        let mut input = &*held_back;
        // In pieces, so that nothing is copied before it is known to be within the limit.
        let (mut pieces, mut length) = (Vec::new(), self.bytes.len());
        loop {
            let charge = self.reserve(TURN).await?;
            let mut piece = Vec::with_capacity(TURN);
            inflater.run(&mut input, &mut piece)?;
            length += piece.len();
            if length > self.allowance.limit {
                return Err(self.allowance.exceeded());
            }
            let last = piece.len() < piece.capacity();
            pieces.push((piece, charge));
            if last {
                break;
            }
            tokio::task::yield_now().await;
        }
        self.inflater = Some(inflater);
        let room = self.reserve(length - self.charge.bytes().min(length)).await?;
        self.bytes.reserve_exact(length - self.bytes.len());
        self.charge.resize(self.bytes.capacity());
        drop(room);
        pieces.iter().for_each(|(piece, _)| self.bytes.extend_from_slice(piece));
        Ok(())
    }

    /// The whole body. The buffer and the charge are cut to its size.
    pub(crate) async fn finish(mut self) -> Result<Payload, Reject> {
        if let Some(held_back) = self.held_back.take() {
            // Boxed, because it is rare and would make every body's future larger.
            Box::pin(self.release(held_back)).await?;
        }
        if self.bytes.len() > self.allowance.limit {
            return Err(self.allowance.exceeded());
        }
        if let Some(inflater) = self.inflater {
            inflater.finish(self.working_memory.bytes())?;
        }
        self.bytes.shrink_to_fit();
        self.charge.resize(self.bytes.capacity());
        Ok(Payload { bytes: Bytes::from(self.bytes), charge: self.charge })
    }

    /// Makes sure that `more` bytes can be written, and prepares for as many as are `expected`, up to `enough`.
    async fn make_room(&mut self, more: usize, expected: usize, enough: usize) -> Result<(), Reject> {
        let length = self.bytes.len();
        let needed = length.saturating_add(more);
        if needed <= self.bytes.capacity() {
            return Ok(());
        }
        if needed > self.most {
            return Err(self.allowance.exceeded());
        }
        // What is only expected must not make a body too large for the budget.
        let budget = &self.allowance.budget;
        let within_budget = self.charge.bytes() + budget.limit().saturating_sub(budget.used());
        let capacity = needed
            .saturating_mul(self.growth)
            .max(length.saturating_add(expected))
            .max(SMALLEST)
            .min(enough.min(within_budget).max(needed))
            .min(self.most);
        let room = self.reserve(capacity - self.charge.bytes()).await?;
        self.bytes.reserve_exact(capacity - length);
        self.charge.resize(self.bytes.capacity());
        drop(room);
        Ok(())
    }

    async fn reserve(&mut self, bytes: usize) -> Result<Charge, Reject> {
        let budget = &self.allowance.budget;
        let held = self.charge.bytes() + self.working_memory.bytes();
        if held.saturating_add(bytes) > budget.limit() {
            return Err(Reject::too_large("request", budget.limit(), "memory limit"));
        }
        if let Ok(charge) = budget.reserve(bytes) {
            return Ok(charge);
        }
        let until = *self.out_of_patience.get_or_insert_with(|| Instant::now() + self.allowance.patience);
        let patience = until.saturating_duration_since(Instant::now());
        // Boxed, because it is rare and would make every body's future a third larger.
        Box::pin(budget.reserve_within(bytes, patience)).await.map_err(Reject::overloaded)
    }
}

impl Allowance {
    /// `limit` bounds a body's bytes after decoding; the configuration calls it `limit_key`.
    pub(crate) fn new(budget: Budget, limit: usize, limit_key: &'static str) -> Self {
        Self { budget, limit, limit_key, patience: PATIENCE, inflating: Arc::default() }
    }

    /// Charges for a call itself, so that a flood of calls without bodies has a bound too.
    pub(crate) async fn enter(&self) -> Result<Charge, Reject> {
        match self.budget.reserve(CALL_MEMORY) {
            Ok(charge) => Ok(charge),
            Err(_) => {
                let room = self.budget.reserve_within(CALL_MEMORY, self.patience);
                Box::pin(room).await.map_err(Reject::overloaded)
            }
        }
    }

    fn exceeded(&self) -> Reject {
        Reject::too_large("request", self.limit, self.limit_key)
    }
}

impl From<InflateError> for Reject {
    fn from(error: InflateError) -> Self {
        Self::bad_data(error.to_string())
    }
}
