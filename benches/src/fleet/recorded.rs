//! Recorded traces, as many copies of them at a time as have the rate that is wanted.
//!
//! Service instances are spread over agents and send what they have sent when they were recorded, once a second. Each
//! copy has trace ids of its own, and begins anew when the recording ends.

use std::{num::NonZero, path::Path, time::Duration};

use sampler_bench::{Placement, input::Input};

use super::schedule::Schedule;
use crate::Error;

/// How often a service instance sends.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a recording gives agents, at so many spans a second for so long.
///
/// # Errors
/// When it cannot be read, or there is nothing in it.
pub fn schedule(file: &Path, agents: usize, rate: usize, time: Duration) -> Result<Schedule, Error> {
    let input = Input { traces: vec![file.into()], labels: None, span_limit: usize::MAX, time_limit: time };
    let workload = input.read()?;
    let length = Duration::from_secs_f64(workload.seconds()) + INTERVAL;
    let recorded = workload.spans() as f64 / length.as_secs_f64();
    if recorded == 0.0 {
        return Err(format!("there are no spans in {}", file.display()).into());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
    let copies = (rate as f64 / recorded).round().max(1.0) as u32;
    let nodes = u32::try_from(agents).ok().and_then(NonZero::new).ok_or("there are no agents")?;
    let agent_of = Placement::Nodes(nodes).agents(&workload);
    let mut schedule = Schedule::new(agents);
    let rounds = (0..).take_while(|&round| length * round < time);
    for (round, request) in rounds.flat_map(|round| workload.requests.iter().map(move |r| (round, r))) {
        for copy in 0..copies {
            let at = length * round + request.at + INTERVAL * copy / copies;
            if at < time {
                let seed = u64::from(copy) << u32::BITS | u64::from(round);
                let batch = request.with_ids_of(seed, &workload.population);
                let agent = agent_of[request.source as usize];
                schedule.add(agent as usize, at, batch.bytes)?;
            }
        }
    }
    schedule.of_agents.iter_mut().for_each(|requests| requests.sort_by_key(|due| due.at));
    Ok(schedule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(service: &str, span: &str, end: &str) -> String {
        format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"{span}","name":"x","startTimeUnixNano":"1000000000","endTimeUnixNano":"{end}"}}]}}]}}]}}"#
        )
    }

    #[test]
    fn instances_are_at_their_agents_and_copies_are_traces_of_their_own() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = [("a", "0102030405060701", "2000000000"), ("b", "0102030405060702", "3000000000")];
        std::fs::write(file.path(), lines.map(|(service, span, end)| line(service, span, end)).join("\n"))
            .unwrap();
        // The recording has a span a second, and lasts two.
        let schedule = schedule(file.path(), 2, 3, Duration::from_secs(4)).unwrap();
        assert_eq!(schedule.of_agents.iter().map(Vec::len).collect::<Vec<_>>(), [6, 6]);
        assert_eq!((schedule.traces.len(), schedule.pieces()), (6, 12));
        assert!(schedule.traces.values().all(|sent| sent.spans == 2));
        assert_eq!(schedule.spans(Duration::ZERO..Duration::from_secs(2)), 6);
        assert_eq!(schedule.spans(Duration::from_secs(2)..Duration::from_secs(9)), 6);
    }
}
