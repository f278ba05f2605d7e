//! The way from one mode to another: a search over the edges of a platform.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use super::operation::Step;

/// A mode of one platform, by its place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModeId(pub(super) usize);

impl ModeId {
    /// Returns the mode's place in the file, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// Lines that lead from one mode to another.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) from: ModeId,
    pub(super) to: ModeId,
    pub(super) steps: Vec<Step>,
}

/// Finds the way with the fewest edges, as the steps of these edges.
pub(super) fn way(edges: &[Edge], from: ModeId, to: ModeId) -> Option<Vec<&Step>> {
    let mut reached: BTreeMap<ModeId, Option<&Edge>> = BTreeMap::from([(from, None)]);
    let mut queue = VecDeque::from([from]);
    while let Some(here) = queue.pop_front() {
        if here == to {
            return Some(back(&reached, to));
        }
        for edge in edges.iter().filter(|edge| edge.from == here) {
            if let Entry::Vacant(place) = reached.entry(edge.to) {
                place.insert(Some(edge));
                queue.push_back(edge.to);
            }
        }
    }
    None
}

/// Walks back from the goal to the start along the edges by which each mode was reached.
fn back<'e>(reached: &BTreeMap<ModeId, Option<&'e Edge>>, goal: ModeId) -> Vec<&'e Step> {
    let mut edges = Vec::new();
    let mut here = goal;
    while let Some(Some(edge)) = reached.get(&here) {
        edges.push(*edge);
        here = edge.from;
    }
    edges.iter().rev().flat_map(|edge| edge.steps.iter()).collect()
}
