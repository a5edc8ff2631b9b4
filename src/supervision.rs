//! Vocabulary: tasks that last as long as the gateway, and what follows when one of them ends.
//!
//! A gateway without one of them looks well and does not work. So an end that nobody asked for, by
//! a return or by a panic, is counted, logged, shown by `/health`, and ends the process with an
//! error ([`Supervisor::failed`]). Work on a single call or message is attempted apart from the
//! task that takes it ([`Supervisor::attempt`]): its panic is counted and costs that call only.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: starts what it attempts as a task"
)]

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

macro_rules! tasks {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// What a task does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Task {
            $($(#[$doc])* $name,)*
        }

        impl Task {
            /// All of them.
            pub const ALL: &'static [Task] = &[$(Task::$name,)*];

            /// The word in metrics, logs and at `/health`.
            pub const fn name(self) -> &'static str {
                match self { $(Task::$name => $word,)* }
            }
        }
    };
}

tasks! {
    /// The SIP user agent.
    Sip = "sip";
    /// Accepts SIP connections on one listener.
    SipListener = "sip_listener";
    /// Reads what the network says of SIP datagrams (ICMP).
    SipNetworkErrors = "sip_network_errors";
    /// Reads certificates of SIP again.
    SipCertificates = "sip_certificates";
    /// Takes INVITEs of PBXs.
    IncomingCalls = "incoming_calls";
    /// Takes MESSAGEs of PBXs.
    IncomingMessages = "incoming_messages";
    /// Tells the SIP side which users are signed in.
    Presence = "presence";
    /// The HTTP listener.
    Http = "http";
    /// The built-in numbers, their SIP side included.
    BuiltIn = "built_in";
    /// A media worker's thread.
    MediaWorker = "media_worker";
    /// One call: its end is no fault of the gateway as a whole.
    Call = "call";
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It returned.
    Returned,
    /// It panicked.
    Panicked,
}

/// A task that ended although nothing asked it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which.
    pub task: Task,
    /// How.
    pub ending: Ending,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.ending {
            Ending::Returned => "returned",
            Ending::Panicked => "panicked",
        };
        write!(f, "task {} {how}", self.task.name())
    }
}

/// Watches tasks. Clones share what they know. The default watches nothing: for parts that run
/// alone.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    shared: Option<Arc<Shared>>,
    /// The name under which all tasks are watched, instead of their own.
    name: Option<Task>,
}

#[derive(Debug)]
struct Shared {
    fault: watch::Sender<Option<Fault>>,
    is_stopping: AtomicBool,
    /// While the gateway starts: faults that are told once it is up, since the parts of a start that
    /// fails end because of that.
    starting: Mutex<Option<Vec<Fault>>>,
    /// The task that is to end, for tests of what follows.
    ordered: watch::Sender<Option<Fault>>,
}

impl Supervisor {
    /// A supervisor that has seen no fault.
    pub fn new() -> Self {
        Supervisor::with(None)
    }

    /// The same for a gateway that starts: faults are told after [`Supervisor::started`], and never
    /// where that is not called.
    pub fn starting() -> Self {
        Supervisor::with(Some(Vec::new()))
    }

    fn with(starting: Option<Vec<Fault>>) -> Self {
        Supervisor {
            shared: Some(Arc::new(Shared {
                fault: watch::Sender::new(None),
                is_stopping: AtomicBool::new(false),
                starting: Mutex::new(starting),
                ordered: watch::Sender::new(None),
            })),
            name: None,
        }
    }

    /// The same supervisor; all tasks that are watched through it bear this name.
    #[must_use]
    pub fn named(&self, task: Task) -> Self {
        Supervisor {
            shared: self.shared.clone(),
            name: Some(task),
        }
    }

    /// The future, watched: its return or panic is a fault, to be dropped unfinished is none.
    pub fn watch<F>(&self, task: Task, future: F) -> impl Future<Output = ()> + Send + use<F>
    where
        F: Future<Output = ()> + Send,
    {
        let guard = self.guard(task);
        async move {
            // A local of the body: dropped while a panic unwinds through it.
            let guard = guard;
            tokio::select! {
                () = future => {}
                ending = guard.ordered() => {
                    assert!(ending == Ending::Returned, "ended by a test");
                }
            }
            guard.supervisor.note(guard.task, Ending::Returned);
        }
    }

    /// The function of a thread, watched likewise.
    pub fn watch_thread(
        &self,
        task: Task,
        run: impl FnOnce() + Send + 'static,
    ) -> impl FnOnce() + Send + 'static {
        let guard = self.guard(task);
        move || {
            run();
            guard.supervisor.note(guard.task, Ending::Returned);
        }
    }

    /// Runs `work` on one call or message, for `task`; whether it came to its end. A panic is
    /// counted and logged, and is no fault of the task.
    pub async fn attempt(
        &self,
        task: Task,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> bool {
        let done = tokio::spawn(work).await;
        let has_panicked = done.is_err_and(|error| error.is_panic());
        if has_panicked {
            metrics::counter!("trunkline_task_ended_total", "task" => task.name()).increment(1);
            tracing::error!(task = task.name(), "work on one call or message panicked");
        }
        !has_panicked
    }

    /// The start is complete: tells the faults of the time before.
    pub fn started(&self) {
        if let Some(shared) = &self.shared {
            let mut starting = shared
                .starting
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let before = starting.take().unwrap_or_default();
            drop(starting);
            for fault in before {
                shared.tell(fault);
            }
        }
    }

    /// The gateway stops: from now on the end of a task is no fault.
    pub fn stop(&self) {
        if let Some(shared) = &self.shared {
            shared.is_stopping.store(true, Ordering::Release);
        }
    }

    /// The first fault, if there was one.
    pub fn fault(&self) -> Option<Fault> {
        *self.shared.as_ref()?.fault.borrow()
    }

    /// Waits for the first fault.
    pub async fn failed(&self) -> Fault {
        if let Some(shared) = &self.shared {
            let mut faults = shared.fault.subscribe();
            if let Ok(fault) = faults.wait_for(Option::is_some).await
                && let Some(fault) = *fault
            {
                return fault;
            }
        }
        std::future::pending().await
    }

    /// Ends the tasks of this name, for tests of what follows.
    #[doc(hidden)]
    pub fn end(&self, task: Task, ending: Ending) {
        if let Some(shared) = &self.shared {
            shared.ordered.send_replace(Some(Fault { task, ending }));
        }
    }

    fn guard(&self, task: Task) -> Guard {
        Guard {
            supervisor: self.clone(),
            task: self.name.unwrap_or(task),
        }
    }

    fn note(&self, task: Task, ending: Ending) {
        let Some(shared) = &self.shared else { return };
        if shared.is_stopping.load(Ordering::Acquire) {
            return;
        }
        let fault = Fault { task, ending };
        let mut starting = shared
            .starting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &mut *starting {
            Some(before) => before.push(fault),
            None => {
                drop(starting);
                shared.tell(fault);
            }
        }
    }
}

impl Shared {
    fn tell(&self, fault: Fault) {
        let task = fault.task.name();
        metrics::counter!("trunkline_task_ended_total", "task" => task).increment(1);
        tracing::error!(task, %fault, "a task that must not end has ended");
        self.fault.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(fault);
            is_first
        });
    }
}

/// Notes a panic while it unwinds.
struct Guard {
    supervisor: Supervisor,
    task: Task,
}

impl Guard {
    /// Waits until a test wants this task to end.
    async fn ordered(&self) -> Ending {
        if let Some(shared) = &self.supervisor.shared {
            let mut ordered = shared.ordered.subscribe();
            let is_own = |order: &Option<Fault>| order.is_some_and(|order| order.task == self.task);
            if let Ok(order) = ordered.wait_for(is_own).await
                && let Some(order) = *order
            {
                return order.ending;
            }
        }
        std::future::pending().await
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.supervisor.note(self.task, Ending::Panicked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ends(supervisor: &Supervisor) -> Fault {
        supervisor.failed().await
    }

    #[tokio::test]
    async fn a_return_and_a_panic_are_faults() {
        let supervisor = Supervisor::new();
        assert_eq!(supervisor.fault(), None);
        tokio::spawn(supervisor.watch(Task::Sip, async {}));
        let returned = Fault {
            task: Task::Sip,
            ending: Ending::Returned,
        };
        assert_eq!(ends(&supervisor).await, returned);

        let supervisor = Supervisor::new();
        tokio::spawn(supervisor.watch(Task::Presence, async { panic!("for the test") }));
        let panicked = Fault {
            task: Task::Presence,
            ending: Ending::Panicked,
        };
        assert_eq!(ends(&supervisor).await, panicked);
        tokio::spawn(supervisor.watch(Task::Sip, async {}))
            .await
            .expect("it returns");
        assert_eq!(supervisor.fault(), Some(panicked), "the first one stays");
    }

    #[tokio::test]
    async fn a_thread_is_watched_likewise() {
        for panics in [false, true] {
            let supervisor = Supervisor::new();
            let run = supervisor.watch_thread(Task::MediaWorker, move || {
                assert!(!panics, "for the test");
            });
            assert_eq!(std::thread::spawn(run).join().is_err(), panics);
            let fault = ends(&supervisor).await;
            assert_eq!(fault.task, Task::MediaWorker);
            assert_eq!(fault.ending == Ending::Panicked, panics);
        }
    }

    #[tokio::test]
    async fn a_stop_and_an_abort_are_no_faults() {
        let supervisor = Supervisor::new();
        let aborted = tokio::spawn(supervisor.watch(Task::Http, std::future::pending()));
        aborted.abort();
        assert!(aborted.await.is_err());
        supervisor.stop();
        tokio::spawn(supervisor.watch(Task::Sip, async {}))
            .await
            .expect("it returns");
        assert_eq!(supervisor.fault(), None);
    }

    #[tokio::test]
    async fn fault_while_starting_is_told_after_the_start_alone() {
        let supervisor = Supervisor::starting();
        tokio::spawn(supervisor.watch(Task::MediaWorker, async {}))
            .await
            .expect("it returns");
        assert_eq!(supervisor.fault(), None, "the start may have failed");
        supervisor.started();
        let fault = Fault {
            task: Task::MediaWorker,
            ending: Ending::Returned,
        };
        assert_eq!(supervisor.fault(), Some(fault));
        let supervisor = Supervisor::starting();
        supervisor.started();
        tokio::spawn(supervisor.watch(Task::Http, async {}))
            .await
            .expect("it returns");
        assert_eq!(ends(&supervisor).await.task, Task::Http);
    }

    #[tokio::test]
    async fn a_panic_on_one_message_costs_that_message() {
        let supervisor = Supervisor::new();
        let done = supervisor.attempt(Task::IncomingCalls, async { panic!("for the test") });
        assert!(!done.await);
        assert!(supervisor.attempt(Task::IncomingCalls, async {}).await);
        assert_eq!(supervisor.fault(), None);
    }

    #[tokio::test]
    async fn an_ordered_end_reaches_the_task_of_that_name() {
        let supervisor = Supervisor::new();
        let named = supervisor.named(Task::BuiltIn);
        tokio::spawn(supervisor.watch(Task::Sip, std::future::pending()));
        tokio::spawn(named.watch(Task::Sip, std::future::pending()));
        supervisor.end(Task::BuiltIn, Ending::Panicked);
        let fault = ends(&supervisor).await;
        assert_eq!(
            (fault.task, fault.ending),
            (Task::BuiltIn, Ending::Panicked)
        );
    }
}
