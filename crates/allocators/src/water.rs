//! Water filling: the budget is poured over all keys until it is used up.
//!
//! Think of each key as a vessel, as high as its rate of spans and as large as what it asks for now. Water stands
//! equally high in all of them: keys that are lower than the [`level`] are full, so they are kept whole, and of
//! each higher one the share below the level is kept. What small keys do not need is thus with the large ones, to
//! the last span, and no key gets less for being rare. Max-min fairness, in other words (Bertsekas and Gallager,
//! "Data Networks", section 6.5.2); Datadog's agent divides its budget of traces so.
//!
//! All that is decided in a tick is known before the level is found, so the tick's budget is met exactly in
//! expectation, whatever the last tick was like. Heights are smoothed, so that a key is as rare as it has been,
//! and never below what the key brings now, so that one that bursts is not taken for rare.
//!
//! Traces that were sampled before, with probability `h`, come as a vessel of their own, whose height is `h` of
//! the key's: if the key's share is below `h`, of what arrives a share `share / h` stays. So the budget is met
//! behind head samplers, however they differ from key to key.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::key::{Key, Known};
use crate::{Allocator, Demand, Goal, Learned};

/// What asks for water.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vessel {
    /// The level at which it is full; above 0.
    pub height: f64,
    /// What it holds then; at least 0. Its ratio to the height has to be finite.
    pub volume: f64,
}

/// The budget poured over all keys.
#[derive(Debug)]
pub struct WaterFilling {
    settings: WaterSettings,
    known: Known,
    /// Smoothed spans per second before any sampling.
    rates: BTreeMap<Key, f64>,
    /// What is above or below the budget so far, in spans.
    balance: f64,
    /// When that was so, once there has been a trace.
    updated: Option<Duration>,
    /// What has been decided trace by trace since then.
    single: Classes,
    /// The heights by which traces are judged now.
    heights: BTreeMap<Key, f64>,
    level: f64,
}

/// How a [`WaterFilling`] is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaterSettings {
    /// The budget.
    pub goal: Goal,
    /// In which time what has been learned of a key falls to the `e`-th part, if nothing comes.
    pub memory: Duration,
    /// How many keys are told apart.
    pub max_keys: usize,
}

/// Spans by what they have in common.
type Classes = BTreeMap<Class, f64>;

/// Traces of one key that have come with the same probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    key: Key,
    /// Bits of the probability.
    head: u64,
}

/// Seconds of the first tick, and of a tick of those that are decided one by one.
const TICK: f64 = 1.0;
/// Time that is shorter is taken for so many seconds.
const PASSED_MIN: f64 = 0.001;
/// What a key brings at once is a rate over so many seconds. With less, a single trace of a key that comes once an
/// hour would seem frequent.
const RECENT: f64 = 5.0;
/// Seconds' worth of the budget that can be saved up, or owed.
const BURST: f64 = 2.0;
/// Of a tick's own income, what is spent even if more is owed: who keeps nothing cannot say what there was.
const LEAST: f64 = 1.0 / 16.0;
/// Half a span within its memory, and a key is forgotten.
const FORGOTTEN: f64 = 0.5;

/// How high `budget` stands in all vessels together; infinitely high if they hold no more than it.
///
/// In `O(n log n)`. The vessels are left in the order of their heights, the highest first.
#[must_use]
pub fn level(budget: f64, vessels: &mut [Vessel]) -> f64 {
    let by_size =
        |a: &Vessel, b: &Vessel| b.height.total_cmp(&a.height).then_with(|| b.volume.total_cmp(&a.volume));
    vessels.sort_unstable_by(by_size);
    let mut full: f64 = vessels.iter().map(|vessel| vessel.volume).sum();
    if full <= budget {
        return f64::INFINITY;
    }
    // From the highest down, which of them are not full.
    let mut area = 0.0;
    let mut lower = vessels.iter().skip(1).map(|vessel| vessel.height);
    for vessel in vessels.iter() {
        full -= vessel.volume;
        area += vessel.volume / vessel.height;
        let level = (budget - full) / area;
        if level >= lower.next().unwrap_or(0.0) {
            return level;
        }
    }
    0.0
}

impl WaterFilling {
    /// An allocator that has learned nothing.
    #[must_use]
    pub fn new(settings: WaterSettings) -> Self {
        Self {
            settings,
            known: Known::new(settings.max_keys),
            rates: BTreeMap::new(),
            balance: 0.0,
            updated: None,
            single: BTreeMap::new(),
            heights: BTreeMap::new(),
            level: f64::INFINITY,
        }
    }

    /// Learns from what has come until `now`, and finds the heights and the level by which `judged` is judged.
    fn advance(&mut self, now: Duration, came: &Classes, judged: &Classes) {
        let passed = self.updated.map_or(TICK, |updated| now.saturating_sub(updated).as_secs_f64());
        self.updated = Some(now);
        let budget = self.budget(passed, population(came), population(judged));
        self.smooth(passed, came);
        self.heights.clone_from(&self.rates);
        let mut by_key = BTreeMap::<Key, f64>::new();
        for (class, &spans) in judged {
            *by_key.entry(class.key).or_default() += class.population(spans);
        }
        by_key.into_iter().for_each(|(key, spans)| self.raise(key, spans));
        self.known.retain(|key| self.heights.contains_key(key));
        let vessels = judged.iter().map(|(class, &volume)| {
            let height = self.heights.get(&class.key).map_or(volume, |height| height * class.head());
            Vessel { height, volume }
        });
        self.level = level(budget, &mut vessels.collect::<Vec<_>>());
    }

    /// What may be spent on `judged` spans, after so many seconds in which `came` spans came.
    fn budget(&mut self, passed: f64, came: f64, judged: f64) -> f64 {
        let (saved, income, usual) = match self.settings.goal {
            Goal::SpansPerSecond(rate) => (self.balance, rate * passed, rate * TICK),
            // A share is one of what there is: of little, a little, and more of nothing else.
            Goal::Share(share) => {
                let usual = self.rates.values().sum::<f64>() * TICK;
                (self.balance.min(0.0), share * came, share * usual.max(judged))
            }
        };
        let most = usual * BURST;
        self.balance = (saved + income).min(most).max(-most);
        self.balance.max(income.min(usual) * LEAST)
    }

    /// Makes a key at least as high as what it brings now.
    fn raise(&mut self, key: Key, spans: f64) {
        let height = self.heights.entry(key).or_default();
        *height = height.max(spans / RECENT);
    }

    fn smooth(&mut self, seconds: f64, came: &Classes) {
        let memory = self.settings.memory.as_secs_f64();
        let old = (-seconds / memory).exp();
        self.rates.values_mut().for_each(|rate| *rate *= old);
        for (class, spans) in came {
            let rate = class.population(*spans) / seconds.max(PASSED_MIN);
            *self.rates.entry(class.key).or_default() += rate * (1.0 - old);
        }
        self.rates.retain(|_, rate| *rate * memory >= FORGOTTEN);
    }

    /// Takes from the balance what a class is expected to cost.
    fn charge(&mut self, class: Class, spans: f64) {
        self.balance -= spans * (self.share_of(class.key) / class.head()).min(1.0);
    }

    fn share_of(&self, known: Key) -> f64 {
        self.heights.get(&known).map_or(1.0, |height| (self.level / height).min(1.0))
    }
}

impl Allocator for WaterFilling {
    fn count(&mut self, now: Duration, demand: Demand) {
        if self.updated.is_none_or(|updated| now.saturating_sub(updated).as_secs_f64() >= TICK) {
            // The last second stands for the next.
            let came = std::mem::take(&mut self.single);
            self.advance(now, &came, &came);
        }
        let class = Class::of(demand, self.known.admit(demand.key));
        let spans = spans(demand);
        *self.single.entry(class).or_default() += spans;
        self.raise(class.key, class.population(spans));
        self.charge(class, spans);
    }

    fn tick(&mut self, now: Duration, demands: &[Demand]) {
        let mut by_key = BTreeMap::new();
        demands.iter().for_each(|&demand| *by_key.entry(demand.key).or_default() += spans(demand));
        let mut by_key: Vec<(Key, f64)> = by_key.into_iter().collect();
        // Who is told apart does not depend on who came first.
        by_key.sort_by(|a, b| b.1.total_cmp(&a.1));
        by_key.iter().for_each(|&(key, _)| {
            self.known.admit(key);
        });
        let mut judged = Classes::new();
        for &demand in demands {
            let class = Class::of(demand, self.known.resolve(demand.key));
            *judged.entry(class).or_default() += spans(demand);
        }
        let mut came = std::mem::take(&mut self.single);
        judged.iter().for_each(|(&class, spans)| *came.entry(class).or_default() += spans);
        self.advance(now, &came, &judged);
        judged.into_iter().for_each(|(class, spans)| self.charge(class, spans));
    }

    fn share(&self, key: Key) -> f64 {
        self.share_of(self.known.resolve(key))
    }

    fn keys(&self) -> usize {
        self.known.len()
    }

    fn learned(&self) -> Learned {
        Learned { rates: self.rates.iter().map(|(&key, &rate)| (key, rate)).collect() }
    }

    fn learn(&mut self, learned: &Learned) {
        for (key, rate) in learned.valid() {
            *self.rates.entry(self.known.admit(key)).or_default() += rate;
        }
        self.heights.clone_from(&self.rates);
    }
}

impl Class {
    fn of(demand: Demand, key: Key) -> Self {
        let head = if demand.head > 0.0 { demand.head.min(1.0) } else { 1.0 };
        Self { key, head: head.to_bits() }
    }

    fn head(self) -> f64 {
        f64::from_bits(self.head)
    }

    /// For how many spans before any sampling so many stand.
    fn population(self, spans: f64) -> f64 {
        spans / self.head()
    }
}

fn spans(demand: Demand) -> f64 {
    f64::from(demand.spans.max(1))
}

fn population(classes: &Classes) -> f64 {
    classes.iter().map(|(class, &spans)| class.population(spans)).sum()
}

#[cfg(test)]
mod tests;
