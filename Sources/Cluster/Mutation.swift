/// One guard of `protocol.md` left out, to see that the simulator notices. Nothing but its tests ever sets one: a node's
/// settings hold none, and there is no option, file or message that could add one.
///
/// The raw values are the names in the model checker's list, so that the two tables can be read side by side.
package enum Mutation: String, Hashable, Sendable, CaseIterable {
    case promiseUnsynced = "promise-unsynced"
    case ownPromiseUnsynced = "own-promise-unsynced"
    case appendPromiseUnsynced = "append-promise-unsynced"
    /// A renewal is answered while its promise is on its way to the disk.
    case renewUnsynced = "renew-unsynced"
    /// A claimant promises itself without another look at what it has promised to others since its probe.
    case selfGrantUnchecked = "self-grant-unchecked"
    case noBootWait = "no-boot-wait"
    case commitAnyEpoch = "commit-any-epoch"
    case appendNoEpoch = "append-no-epoch"
    case bestIgnored = "best-ignored"
    case bestByLength = "best-by-length"
    case ownSyncAssumed = "own-sync-assumed"
    case acknowledgeUnsynced = "ack-unsynced"
    case epochTwice = "epoch-twice"
    case grantWhileOwnLease = "grant-while-own-lease"
    case fastRestartAnyone = "fast-restart-anyone"
    case countFromReceipt = "count-from-receipt"
    case previousOffsetOnly = "prev-offset-only"
    case cutAlways = "cut-always"
    case durableFileEnd = "durable-file-end"
    case oldAcknowledgements = "old-acks"
    case minorityClaim = "minority-claim"
    case probeAsGrant = "probe-as-grant"
    case fetchUnfenced = "fetch-unfenced"
    case fetchUnchecked = "fetch-unchecked"
    case releaseStillCounts = "release-still-counts"
    case releaseAnySender = "release-any-sender"
    case retiredForgotten = "retired-forgotten"
    case damagedVotes = "damaged-votes"
    case repairToCommitted = "repair-to-committed"
    case knockUntied = "knock-untied"
    case ownShareKept = "own-share-kept"
    case noCut = "no-cut"
    case resumeEpoch = "resume-epoch"
    /// The shell's duty: start-up syncs what it finds.
    case restartUnsynced = "restart-unsynced"
    /// The shell's duty: a bad last frame marks the copy.
    case flipTakenForTorn = "flip-taken-for-torn"
    /// A closed connection alone proves death (the model's `eof-any-connection` and its kin).
    case endWithoutKnock = "eof-without-knock"

    // The node's own, and its shell's: invariants 4, 5, 6, 7 and 9, which the model lacks.
    /// An empty disk that goes by the name of the one that was lost.
    case lostDiskVotes = "lost-disk-votes"
    case dotWithoutAttempt = "dot-without-attempt"
    case dotWithoutLease = "dot-without-lease"
    case acceptBeforeCommit = "250-before-commit"
    case acceptWhenLost = "250-for-lost-journal"
    case lateOutcomeIgnored = "late-outcome-ignored"
    /// Also for a message that was begun in the owner's own epoch.
    case lateOutcomeWrongEpoch = "late-outcome-wrong-epoch"
    case uncertainUnlisted = "uncertain-unlisted"
    case uncertainNotHeld = "uncertain-not-held"
    case releasedResent = "released-resent-at-once"
    case retireUnfinished = "retire-unfinished"
    case outcomesForgotten = "outcomes-forgotten"
    case triesForgotten = "tries-forgotten"
    case holdsForgotten = "holds-forgotten"
}
