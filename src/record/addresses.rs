//! What went to each of several addresses.

/// Attempts, connections and answers of one address, over the whole run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AddressCounts {
    /// Attempts begun.
    pub attempts: u64,
    /// Attempts that became connections.
    pub established: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Requests answered on its connections. Counted when a connection ends.
    pub completed: u64,
}

impl AddressCounts {
    /// Adds what another worker counted of the same address.
    pub fn merge(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.established += other.established;
        self.failed += other.failed;
        self.completed += other.completed;
    }
}

/// Adds another worker's table, address by address.
pub(super) fn merge(mine: &mut Vec<AddressCounts>, theirs: &[AddressCounts]) {
    mine.resize(mine.len().max(theirs.len()), AddressCounts::default());
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        mine.merge(theirs);
    }
}
