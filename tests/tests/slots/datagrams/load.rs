//! Clients that ask all the time, each when it has been answered; every question is accounted for.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::*;

/// What became of a client's questions.
#[derive(Debug, Default)]
struct Account {
    answered: u64,
    lost: u64,
    /// How often another slot answered than the one before.
    moved: u64,
}

/// Load under way, or ended.
#[derive(Debug)]
pub(super) struct Load {
    ends: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Account>>,
    ended: Vec<Account>,
}

impl Load {
    pub(super) async fn start(clients: usize, address: SocketAddr) -> Self {
        let mut load = Self {
            ends: Arc::default(),
            answered: Arc::default(),
            clients: Vec::new(),
            ended: Vec::new(),
        };
        for client in super::clients(clients, address).await {
            let (ends, answered) = (Arc::clone(&load.ends), Arc::clone(&load.answered));
            load.clients.push(tokio::spawn(run(client, ends, answered)));
        }
        load
    }

    /// Until there are some more answers.
    pub(super) async fn goes_on(&self) {
        let until = self.answered.load(Ordering::Relaxed) + 40 * self.clients.len() as u64;
        eventually("more answers", PATIENCE, || {
            (self.answered.load(Ordering::Relaxed) >= until).then_some(())
        })
        .await;
    }

    pub(super) async fn stop(mut self) -> Self {
        self.goes_on().await;
        self.ends.store(true, Ordering::Relaxed);
        for client in std::mem::take(&mut self.clients) {
            self.ended.push(client.await.expect("an account"));
        }
        self
    }

    pub(super) fn lost(&self) -> u64 {
        self.ended.iter().map(|account| account.lost).sum()
    }

    pub(super) fn moved(&self) -> u64 {
        self.ended.iter().map(|account| account.moved).sum()
    }
}

async fn run(mut client: Client, ends: Arc<AtomicBool>, answered: Arc<AtomicU64>) -> Account {
    let (mut account, mut slot) = (Account::default(), None);
    while !ends.load(Ordering::Relaxed) {
        match client.try_ask().await {
            None => account.lost += 1,
            Some(answer) => {
                account.answered += 1;
                account.moved += u64::from(slot.is_some_and(|slot| slot != answer.slot));
                slot = Some(answer.slot);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    account
}
