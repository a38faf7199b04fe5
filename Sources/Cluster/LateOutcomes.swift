package import Primitives

/// Outcomes that former owners learned too late (`protocol.md`, 'Delivering').
///
/// Every replica keeps them, in memory, until an owner's own outcome replaces them. An owner uses one if it has not begun
/// that message in its own epoch; it then commits it as an outcome of its epoch.
package struct LateOutcomes: Sendable {
    /// Of all journals together; one too many is not kept, and its message is only what it was: uncertain.
    static let maximum = 100_000

    private struct Place: Hashable, Sendable {
        var message: MessageID
        var recipient: UInt32
    }

    private var journals: [JournalID: [Place: LateOutcome]] = [:]
    package private(set) var count = 0

    package init() {}

    /// Keeps one; of two for one recipient that of the higher epoch. False when it adds nothing.
    @discardableResult
    package mutating func keep(_ outcome: LateOutcome) -> Bool {
        let place = Place(message: outcome.message, recipient: outcome.recipient)
        if let known = journals[outcome.journal]?[place] {
            guard outcome.epoch > known.epoch else { return false }
        } else {
            guard count < LateOutcomes.maximum else { return false }
            count += 1
        }
        journals[outcome.journal, default: [:]][place] = outcome
        return true
    }

    /// What may be used for this recipient by the owner of `epoch`, which has not begun the message itself.
    package func usable(
        for message: MessageID, recipient: UInt32, in journal: JournalID, ownerEpoch epoch: UInt64
    ) -> LateOutcome? {
        guard let found = journals[journal]?[Place(message: message, recipient: recipient)], found.epoch < epoch
        else { return nil }
        return found
    }

    /// An outcome of this epoch replaces what came late from earlier ones. One of the same epoch or before is of an earlier
    /// attempt: it is met when a journal's file is read again.
    package mutating func drop(_ message: MessageID, recipient: UInt32, in journal: JournalID, before epoch: UInt64) {
        let place = Place(message: message, recipient: recipient)
        guard let known = journals[journal]?[place], known.epoch < epoch else { return }
        journals[journal]?[place] = nil
        count -= 1
    }

    package mutating func drop(_ journal: JournalID) {
        count -= journals.removeValue(forKey: journal)?.count ?? 0
    }
}
