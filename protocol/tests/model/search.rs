//! A breadth-first search over the same model with 16 bytes for each state that was seen, where
//! the checker's own search keeps the whole path of each state that is still to be visited.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use stateright::Model;

use crate::property;
use crate::world::{Protocol, World};

/// Fingerprints are spread evenly already.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {}
    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}

/// A search and how far it has got.
pub(crate) struct Search<'m> {
    model: &'m Protocol,
    states_max: usize,
    /// Each state's fingerprint, and that of the state from which it was reached first.
    seen: HashMap<u64, u64, BuildHasherDefault<Same>>,
    edge: Vec<World>,
    pub(crate) transitions: u64,
    pub(crate) depth: usize,
}

impl<'m> Search<'m> {
    pub(crate) fn new(model: &'m Protocol, states_max: usize) -> Self {
        let seen = HashMap::default();
        Self { model, states_max, seen, edge: Vec::new(), transitions: 0, depth: 0 }
    }

    /// How many unique states were found; every one was checked when it was.
    pub(crate) fn states(&self) -> usize {
        self.seen.len()
    }

    /// Whether there are no others within the bounds.
    pub(crate) fn is_complete(&self) -> bool {
        self.edge.is_empty()
    }

    /// Searches level by level; returns what was broken first, and how.
    pub(crate) fn run(&mut self, mut report: impl FnMut(&str)) -> Option<String> {
        for world in self.model.init_states() {
            let broken = self.find(world, 0);
            if broken.is_some() {
                return broken;
            }
        }
        while !self.edge.is_empty() && self.states() < self.states_max {
            let broken = self.go_deeper();
            report(&format!("{} states to depth {}", self.states(), self.depth));
            if broken.is_some() {
                return broken;
            }
        }
        None
    }

    /// Visits the states that were found last, up to the number of states asked for.
    fn go_deeper(&mut self) -> Option<String> {
        let mut actions = Vec::new();
        let edge = std::mem::take(&mut self.edge);
        for world in &edge {
            let from = fingerprint(world);
            self.model.actions(world, &mut actions);
            for action in actions.drain(..) {
                let Some(reached) = self.model.next_state(world, action) else { continue };
                self.transitions += 1;
                if let Some(broken) = self.find(reached, from) {
                    return Some(broken);
                }
            }
            if self.states() >= self.states_max {
                return None;
            }
        }
        self.depth += 1;
        None
    }

    /// Notes a state and checks it if it is a new one; says what it breaks.
    fn find(&mut self, world: World, from: u64) -> Option<String> {
        let Entry::Vacant(slot) = self.seen.entry(fingerprint(&world)) else { return None };
        slot.insert(from);
        self.edge.push(world);
        let name = property::broken(self.model, &world)?;
        Some(format!("{name}\n{}", self.witness(&world)))
    }

    /// Finds the way to a state again from the fingerprints along it.
    fn witness(&self, last: &World) -> String {
        let mut fingerprints = vec![fingerprint(last)];
        while let Some(from) = fingerprints.last().and_then(|last| self.seen.get(last)) {
            fingerprints.push(*from);
        }
        let mut text = String::new();
        let mut world = None;
        for wanted in fingerprints.into_iter().rev() {
            let Some(before) = world else {
                let first = self.model.init_states();
                world = first.into_iter().find(|world| fingerprint(world) == wanted);
                continue;
            };
            let mut steps = self.model.next_steps(&before).into_iter();
            let step = steps.find(|(_action, reached)| fingerprint(reached) == wanted);
            if let Some((action, reached)) = step {
                text.push_str(&format!("  {action:?}\n"));
                world = Some(reached);
            }
        }
        format!("{text}{last:?}")
    }
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish().max(1)
}
