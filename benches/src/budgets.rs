//! How well allocators keep to their budgets, and what they let rare kinds of traces keep.
//!
//! Traffic is replayed second by second. `dynsampler-go`'s algorithms, which Refinery and the Collector use, are
//! asked as Refinery asks them: of one trace after the other, with its number of spans. Water filling is shown a
//! second's traces together, as the tail sampler shows them. A trace is kept if its random number says so, the
//! same for all. What an allocator *expects* to keep (the sum of probabilities) is told apart from what it keeps:
//! the difference is chance, which no allocator has in its hands.

pub mod traffic;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use forebay_allocators::{
    Allocator, Demand, Ema, EmaSettings, Goal, Key, WaterFilling, WaterSettings, Windowed,
};

use self::traffic::{Second, Trace};

/// An allocator under measurement.
pub struct Contender {
    /// What it is called in the table.
    pub name: &'static str,
    /// What it is to keep.
    pub goal: Goal,
    allocator: Box<dyn Allocator>,
    /// Whether it is shown the traces of a second together.
    together: bool,
}

/// What an allocator made of some traffic.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Mean over all seconds of the distance between what was expected to be kept and the target, as a part of
    /// the target.
    pub expected: f64,
    /// The same of what was kept.
    pub kept: f64,
    /// Of the rare kinds in each minute, the part of which a trace was kept; `None` if there are none.
    pub rare: Option<f64>,
}

/// Seconds until averages know the traffic; not measured.
const WARM_UP: usize = 120;
/// Refinery's defaults.
const INTERVAL: Duration = Duration::from_secs(15);
const WEIGHT: f64 = 0.5;
/// More kinds of traces than there are: what becomes of others is not compared.
const MAX_KEYS: usize = 100_000;
/// Kinds with less than this part of all traces are rare.
const RARE: f64 = 0.001;
const MINUTE: usize = 60;

/// Refinery's algorithms and water filling, for both sorts of goals: this share of all spans, and as many spans
/// per second as that share of `mean`.
#[must_use]
pub fn contenders(share: f64, mean: f64) -> Vec<Contender> {
    let throughput = share * mean;
    let [second, window] = [1, 30].map(Duration::from_secs);
    let ema = |goal, initial| {
        Box::new(Ema::new(EmaSettings {
            goal,
            interval: INTERVAL,
            weight: WEIGHT,
            initial,
            max_keys: MAX_KEYS,
        }))
    };
    let water = |goal| {
        let memory = INTERVAL.div_f64(std::f64::consts::LN_2);
        Box::new(WaterFilling::new(WaterSettings { goal, memory, max_keys: MAX_KEYS }))
    };
    let (percentage, rate) = (Goal::Share(share), Goal::SpansPerSecond(throughput));
    let contender = |name, goal, allocator: Box<dyn Allocator>| Contender {
        name,
        goal,
        allocator,
        together: name == "water filling",
    };
    vec![
        contender("EMA percentage", percentage, ema(percentage, share)),
        contender("water filling", percentage, water(percentage)),
        contender("EMA throughput", rate, ema(rate, 0.1)),
        contender("windowed", rate, Box::new(Windowed::throughput(throughput, second, window, MAX_KEYS))),
        contender("total", rate, Box::new(Windowed::total_throughput(throughput, window, MAX_KEYS))),
        contender("water filling", rate, water(rate)),
    ]
}

impl Contender {
    /// Replays traffic.
    pub fn run(mut self, traffic: &[Second]) -> Figures {
        let mut figures = Figures::default();
        let rare = rare(traffic);
        // By kind and minute, whether a trace was kept.
        let mut seen: HashMap<(Key, usize), bool> = HashMap::new();
        for (second, traces) in traffic.iter().enumerate() {
            let now = Duration::from_secs(second as u64 + 1);
            if self.together {
                let demands: Vec<_> = traces.iter().map(demand).collect();
                self.allocator.tick(now, &demands);
            }
            let (mut offered, mut expected, mut kept) = (0.0, 0.0, 0.0);
            for trace in traces {
                if !self.together {
                    self.allocator.count(now, demand(trace));
                }
                let share = self.allocator.share(trace.key);
                let (spans, keep) = (f64::from(trace.spans), trace.random < share);
                offered += spans;
                expected += spans * share;
                kept += if keep { spans } else { 0.0 };
                if second >= WARM_UP && rare.contains(&trace.key) {
                    *seen.entry((trace.key, second / MINUTE)).or_default() |= keep;
                }
            }
            let target = match self.goal {
                Goal::Share(share) => share * offered,
                Goal::SpansPerSecond(rate) => rate.min(offered),
            };
            if second >= WARM_UP && target > 0.0 {
                figures.expected += (expected - target).abs() / target;
                figures.kept += (kept - target).abs() / target;
            }
        }
        let seconds = traffic.len().saturating_sub(WARM_UP).max(1) as f64;
        figures.expected /= seconds;
        figures.kept /= seconds;
        let rare = seen.values().filter(|&&kept| kept).count();
        figures.rare = (!seen.is_empty()).then(|| rare as f64 / seen.len() as f64);
        figures
    }
}

fn demand(trace: &Trace) -> Demand {
    Demand { key: trace.key, spans: trace.spans, head: 1.0 }
}

/// The kinds of which there are few traces.
fn rare(traffic: &[Second]) -> HashSet<Key> {
    let mut counts: HashMap<Key, usize> = HashMap::new();
    traffic.iter().flatten().for_each(|trace| *counts.entry(trace.key).or_default() += 1);
    let all = counts.values().sum::<usize>() as f64;
    counts.into_iter().filter(|&(_, count)| (count as f64) < RARE * all).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::traffic::SYNTHETIC;
    use super::*;

    #[test]
    fn water_filling_misses_its_target_by_less_than_a_third_of_what_refinerys_algorithms_do() {
        for (name, make) in SYNTHETIC {
            let traffic = make(&mut Rng::with_seed(7), WARM_UP + 120);
            let spans: f64 = traffic.iter().flatten().map(|trace| f64::from(trace.spans)).sum();
            let mut best = HashMap::new();
            for contender in contenders(0.05, spans / traffic.len() as f64) {
                let (water, share) = (contender.together, matches!(contender.goal, Goal::Share(_)));
                let deviation = contender.run(&traffic).expected;
                let least: &mut f64 = best.entry((water, share)).or_insert(f64::INFINITY);
                *least = least.min(deviation);
            }
            for share in [true, false] {
                let (water, others) = (best[&(true, share)], best[&(false, share)]);
                assert!(water <= others / 3.0, "{name}: {water} and {others}");
            }
        }
    }
}
