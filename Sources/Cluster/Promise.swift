package import Primitives

/// What a replica promised for one journal: to take no word of a lower epoch (`protocol.md`, 'What a replica keeps').
package struct Promise: Hashable, Sendable {
    package var epoch: UInt64
    package var owner: ReplicaID
    package var lease: Duration

    package init(epoch: UInt64, owner: ReplicaID, lease: Duration) {
        self.epoch = epoch
        self.owner = owner
        self.lease = lease
    }
}
