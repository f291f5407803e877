use super::*;
use crate::generate::Description;

fn workload() -> Workload {
    Description { duration: Duration::from_secs(1), ..Description::load("shop").unwrap() }
        .generate(1, usize::MAX)
}

#[tokio::test]
async fn what_is_replayed_is_stored_and_copies_of_a_burst_are_not_looked_for() {
    let workload = workload();
    for faults in [vec![], vec!["burst-3x@0s+60s".parse::<Fault>().unwrap()]] {
        let listening = Listening::start(&workload, 5).await.unwrap();
        let replay = Replay { workload: &workload, seed: 5, faults: &faults, until: Duration::MAX };
        let entries = vec![listening.address; workload.services.len()];
        let begin = Instant::now();
        let sent = replay.run(&entries, begin).await.unwrap();
        assert_eq!((sent.spans, sent.refused), (workload.spans() as u64, 0));
        assert_eq!(sent.latencies.len(), workload.requests.len());
        let kept = listening.store.kept(begin);
        assert!(
            kept.iter().map(|kept| kept.spans).eq(workload.population.traces.iter().map(|trace| trace.sent))
        );
    }
}

#[tokio::test]
async fn only_the_beginning_is_sent_where_that_is_asked_for() {
    let workload = workload();
    let listening = Listening::start(&workload, 5).await.unwrap();
    let until = Duration::from_millis(300);
    let entries = vec![listening.address; workload.services.len()];
    let replay = Replay { workload: &workload, seed: 5, faults: &[], until };
    let sent = replay.run(&entries, Instant::now()).await.unwrap();
    let due = workload.requests.iter().filter(|request| request.at <= until).count();
    assert!(0 < due && due < workload.requests.len());
    assert_eq!(sent.latencies.len(), due);
}
