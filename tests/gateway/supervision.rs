//! Each lasting task ends on purpose: the gateway says which one, everywhere that an operator looks.

use trunkline::supervision::{Ending, Fault, Task};

use super::setup::Setup;
use super::sound::PATIENCE;

/// Tasks that a gateway with a UDP and a TCP listener and the built-in numbers has.
const TASKS: [Task; 9] = [
    Task::Sip,
    Task::SipListener,
    Task::SipNetworkErrors,
    Task::IncomingCalls,
    Task::IncomingMessages,
    Task::Presence,
    Task::Http,
    Task::BuiltIn,
    Task::MediaWorker,
];

async fn ends(task: Task, ending: Ending) {
    let setup = Setup::with(|settings| settings.built_in.enabled = true).await;
    let labels = [("task", task.name())];
    let before = setup.counter("trunkline_task_ended_total", &labels).await;
    setup.gateway.end_task(task, ending);
    let fault = tokio::time::timeout(PATIENCE, setup.gateway.failed())
        .await
        .unwrap_or_else(|_| panic!("{} ended and nothing noticed", task.name()));
    assert_eq!(fault, Fault { task, ending });
    if task != Task::Http {
        let health: serde_json::Value =
            serde_json::from_str(&setup.get("/health").await).expect("JSON");
        assert_eq!(health["status"], "failed");
        assert_eq!(health["failed_task"], task.name());
        let labels = [("task", task.name())];
        let counted = setup.counter("trunkline_task_ended_total", &labels).await;
        assert!(counted > before, "{}: {counted}", task.name());
    }
    tokio::time::timeout(PATIENCE, setup.gateway.stop())
        .await
        .expect("what is left can be ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_that_returns_fails_the_gateway() {
    for task in TASKS {
        ends(task, Ending::Returned).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_that_panics_fails_the_gateway() {
    for task in TASKS {
        // The thread of a media worker takes no order to panic: src/supervision.rs tests that.
        if task != Task::MediaWorker {
            ends(task, Ending::Panicked).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_known_series_stands_at_zero_or_above_with_help() {
    let setup = Setup::start().await;
    let page = setup.get("/metrics").await;
    for task in Task::ALL {
        let series = format!("trunkline_task_ended_total{{task=\"{}\"}} ", task.name());
        assert!(page.contains(&series), "{series}");
    }
    let names = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next());
    let mut count = 0;
    for name in names {
        assert!(
            page.contains(&format!("# HELP {name} ")),
            "{name} has no HELP"
        );
        count += 1;
    }
    assert!(count > 30, "{count}");
}
