//! Who waits for whom: changes of one secret are made one after the other, in the order in which
//! they came.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::naming::SecretName;

/// The last in the line of each secret.
#[derive(Default)]
pub(super) struct Line(Mutex<HashMap<SecretName, watch::Receiver<()>>>);

/// A place in the lines of some secrets. Whoever is behind goes on when it is dropped.
pub(super) struct Turn {
    before: Vec<watch::Receiver<()>>,
    _is_held: watch::Sender<()>,
}

impl Line {
    /// Takes a place in all lines at once, so that no two wait for each other.
    pub(super) fn enter<'n>(&self, names: impl IntoIterator<Item = &'n SecretName>) -> Turn {
        let (held, ended) = watch::channel(());
        let mut last = self.lock();
        // Those that have gone.
        last.retain(|_name, ended| ended.has_changed().is_ok());
        let before: Vec<_> = names
            .into_iter()
            .filter_map(|name| last.insert(name.clone(), ended.clone()))
            .filter(|other| !other.same_channel(&ended))
            .collect();
        Turn { before, _is_held: held }
    }

    /// Waits for those who are in a line now.
    pub(super) async fn pass(&self, name: &SecretName) {
        let last = self.lock().get(name).cloned();
        if let Some(last) = last {
            gone(last).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SecretName, watch::Receiver<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits until nobody is before.
    pub(super) async fn come(&mut self) {
        for other in self.before.drain(..) {
            gone(other).await;
        }
    }
}

/// Waits until a place is given up; nothing is ever sent.
async fn gone(mut place: watch::Receiver<()>) {
    while place.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_came_first_goes_first_and_others_names_do_not_wait() {
        let (one, two) = (SecretName::for_tests("one"), SecretName::for_tests("two"));
        let shouted = SecretName::for_tests("ONE");
        let line = Line::default();
        let mut first = line.enter([&one, &one]);
        first.come().await;
        let mut second = line.enter([&shouted, &two]);
        let mut third = line.enter([&two]);
        let (mut second_comes, mut third_comes) = (Box::pin(second.come()), Box::pin(third.come()));
        assert!(futures_util::poll!(second_comes.as_mut()).is_pending());
        assert!(futures_util::poll!(third_comes.as_mut()).is_pending());
        line.pass(&SecretName::for_tests("three")).await;
        drop(first);
        second_comes.await;
        assert!(futures_util::poll!(third_comes.as_mut()).is_pending());
        drop(second);
        third_comes.await;
    }
}
