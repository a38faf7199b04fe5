package import Primitives

/// What does not change while a node runs: who it is, and the protocol's times (`protocol.md`, 'Names' and 'Who claims').
package struct ClusterSettings: Sendable {
    package var me: ReplicaID
    /// Higher than that of every earlier process on this disk.
    package var incarnation: UInt64
    /// `L`: what this node's own claims ask for. Promises keep the lease that they were made with.
    package var lease: Duration = .seconds(2)
    /// Whether a proved process death ends a promise before its time.
    package var isFastFailover = true
    /// Bytes of a file that travel in one message; a longer frame travels alone.
    package var chunk: UInt64 = 256 << 10
    /// Empty in the product, always.
    package var mutations: Set<Mutation> = []

    package init(me: ReplicaID, incarnation: UInt64) {
        self.me = me
        self.incarnation = incarnation
    }

    /// Between two pulses.
    package var pulseInterval: Duration { lease / 8 }
    /// A claim that is not granted in this time is released.
    package var claimTimeout: Duration { lease / 4 }
    /// A replica that has not acknowledged for so long is sent the bytes again.
    package var resendInterval: Duration { lease / 4 }

    /// Between two candidates of neighbouring rank.
    package static let rankDelay = Duration.milliseconds(150)
    /// More, after this replica spoke for another.
    package static let courtesyDelay = Duration.milliseconds(300)
    /// The first repetition of a probe that met a promise which ends soon.
    package static let firstRetry = Duration.milliseconds(25)
    package static let maximumBackOff = Duration.seconds(2)
    /// No dot is sent with less of the lease left.
    package static let leaseGuard = Duration.milliseconds(200)

    /// How long an owner may count an answer to something that it sent: less than the replica is bound, by what two clocks
    /// may gain on each other (`L·(1−ε)`, ε = 10 %).
    package static func counted(_ lease: Duration) -> Duration { lease * 9 / 10 }

    /// Whether this build is one for tests or for `ops/mutants`.
    package static var canLeaveOutGuards: Bool {
        #if DEBUG || MUTANTS
            true
        #else
            false
        #endif
    }

    package func has(_ mutation: Mutation) -> Bool {
        ClusterSettings.canLeaveOutGuards && !mutations.isEmpty && mutations.contains(mutation)
    }
}
