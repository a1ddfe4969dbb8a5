//! What the cases of a test share: the store, and processes that can be used again.

use std::future::Future;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::backend::{self, Backend, Kind, Stores};
use crate::process::Process;
use crate::setup::Setup;

/// So many cases run at once, most of them with two processes: more of them only take time from each other on a small machine.
const AT_ONCE: usize = 8;

#[derive(Debug)]
pub struct Rig {
    pub backend: Arc<Backend>,
    stores: Mutex<Stores>,
    idle: Mutex<Vec<Process>>,
}

impl Rig {
    pub async fn shared(kind: Kind) -> Arc<Self> {
        let backend = tokio::task::spawn_blocking(move || Backend::shared(kind)).await.unwrap();
        Self::of(backend).await
    }

    /// With a server that may be killed.
    pub async fn own(start: impl FnOnce() -> Backend + Send + 'static) -> Arc<Self> {
        let backend = tokio::task::spawn_blocking(start).await.unwrap();
        Self::of(Arc::new(backend)).await
    }

    async fn of(backend: Arc<Backend>) -> Arc<Self> {
        backend::prepare(&backend.address).await;
        let stores = backend::open(&backend.address).await;
        Arc::new(Self { backend, stores: Mutex::new(stores), idle: Mutex::default() })
    }

    /// The stores, as this process has them.
    pub fn stores(&self) -> Stores {
        self.stores.lock().unwrap().clone()
    }

    /// As `kill -9` does to the store's server.
    pub async fn kill_server(&self) {
        let backend = Arc::clone(&self.backend);
        tokio::task::spawn_blocking(move || backend.kill()).await.unwrap();
    }

    /// Starts it again. This process has new connections to it then.
    pub async fn restart_server(&self) {
        let backend = Arc::clone(&self.backend);
        tokio::task::spawn_blocking(move || backend.restart()).await.unwrap();
        let stores = backend::open(&self.backend.address).await;
        *self.stores.lock().unwrap() = stores;
    }

    /// A process that is ready.
    pub async fn process(&self, setup: &Setup) -> Process {
        let idle = self.idle.lock().unwrap().pop();
        let mut process = idle.unwrap_or_else(Process::start);
        process.set_up(setup).await;
        process
    }

    /// A process that is not needed any more, and lives.
    pub fn give_back(&self, process: Process) {
        self.idle.lock().unwrap().push(process);
    }
}

/// Runs all cases, some at a time.
pub async fn all<F>(cases: impl IntoIterator<Item = F>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for case in cases {
        let turns = Arc::clone(&turns);
        running.spawn(async move {
            let _turn = turns.acquire_owned().await.unwrap();
            case.await;
        });
    }
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}
