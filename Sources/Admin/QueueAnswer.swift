package import Node
package import Primitives

/// One unfinished message, as JSON. The keys are stable.
package struct MessageAnswer: Codable, Hashable, Sendable {
    package struct Recipient: Codable, Hashable, Sendable {
        package var address: String
        package var state: String
        package var tries: Int
        package var due: String?
        package var lastReply: String
        package var upstream: String
    }

    package var id: String
    package var journal: String
    package var state: String
    package var accepted: String
    package var ageSeconds: Double
    /// Empty for the null reverse-path.
    package var sender: String
    /// Who authenticated; nil for nobody.
    package var user: String?
    package var recipients: [Recipient]
    package var bytes: UInt64
    package var messageId: String
    package var attempts: Int
    package var uncertain: Bool
    package var due: String?
    package var dueInSeconds: Double?
    /// The node that owns its journal; nil when none does now.
    package var owner: String?

    package init(_ message: MessageStatus, at now: WallTime, owner: String?) {
        self.owner = owner
        id = message.id.description
        journal = message.journal.description
        state = message.state.rawValue
        accepted = message.accepted.rfc3339
        ageSeconds = (now - message.accepted).inSeconds
        sender = message.sender == "<>" ? "" : message.sender
        user = message.user.isEmpty ? nil : message.user
        recipients = message.recipients.map {
            Recipient(
                address: $0.address, state: $0.state, tries: $0.tries, due: $0.due?.rfc3339, lastReply: $0.lastReply,
                upstream: $0.upstream)
        }
        bytes = message.size.bytes
        messageId = message.messageIDField
        attempts = message.attempts
        uncertain = message.isUncertain
        due = message.due?.rfc3339
        dueInSeconds = message.due.map { ($0 - now).inSeconds }
    }
}

/// `GET /api/v1/queue`.
package struct QueueListAnswer: Codable, Hashable, Sendable {
    /// All that the filter means; `messages` is cut at the limit.
    package var matched: Int
    package var messages: [MessageAnswer]
    /// Nodes that did not answer: what they alone know is missing.
    package var silent: [String]
}

/// `GET /api/v1/queue/summary?by=…`.
package struct QueueSummaryAnswer: Codable, Hashable, Sendable {
    package struct Row: Codable, Hashable, Sendable {
        package var key: String
        package var messages: Int
        package var recipients: Int
        package var bytes: UInt64
        package var oldestSeconds: Double
        /// By destination: what it does to mail now, if it defers.
        package var state: String?
    }

    package var by: String
    package var matched: Int
    /// Of how many messages the rows tell: fewer than `matched` when the queue is very long.
    package var counted: Int
    package var rows: [Row]
    package var silent: [String]
}

/// `POST /api/v1/queue/actions`, the question.
package struct ActionRequest: Codable, Hashable, Sendable {
    package struct Filter: Codable, Hashable, Sendable {
        package var to: String?
        package var from: String?
        package var user: String?
        package var messageId: String?
        package var upstream: String?
        package var state: String?
        package var olderThan: String?
        package var uncertain: Bool?

        package init() {}

        package var isEmpty: Bool { self == Filter() }
    }

    package var verb: String
    /// Whole ids or unambiguous beginnings.
    package var ids: [String]?
    package var filter: Filter?
    package var all: Bool?
    package var reason: String?
    package var by: String?
    package var dryRun: Bool?
    /// Of `redirect`.
    package var upstream: String?

    package init(verb: String) { self.verb = verb }
}

/// `POST /api/v1/queue/actions`, the answer.
package struct ActionAnswer: Codable, Hashable, Sendable {
    package struct Outcome: Codable, Hashable, Sendable {
        package var id: String
        package var outcome: String
    }

    package var verb: String
    package var dryRun: Bool
    package var matched: Int
    package var samples: [MessageAnswer]
    /// How many ended how: `done`, `sent`, `unanswered`, `notFound`, `nothingToDo`, `tryAgain`, and `noAnswer` from
    /// the node that was told.
    package var outcomes: [String: Int]
    /// The first thousand.
    package var messages: [Outcome]
    /// Matched, but beyond what one request does: ask again.
    package var remaining: Int
    package var silent: [String]
}

/// `GET /api/v1/trace/ID`.
package struct TraceAnswer: Codable, Hashable, Sendable {
    package struct Event: Codable, Hashable, Sendable {
        package var time: String
        package var node: String
        package var text: String
        /// `durable`, `delivered`, `failed`, `uncertain`, and after the 250 `confirmed` and `complained`: the instants that
        /// people look for.
        package var mark: String?
    }

    package struct Feedback: Codable, Hashable, Sendable {
        package var delivered = 0
        package var deferred = 0
        package var bounced = 0
        package var complained = 0
    }

    package var id: String
    package var accepted: String
    /// Empty for the null reverse-path.
    package var sender: String
    package var recipients: [String]
    package var bytes: UInt64
    package var messageId: String
    /// Recipients that an upstream took.
    package var delivered: Int
    package var finished: Bool
    package var takeovers: Int
    /// Somebody may have got it twice.
    package var uncertain: Bool
    /// What was said after upstreams had taken it, by how many recipients; nil when nothing was.
    package var feedback: Feedback?
    /// Nil once the message is finished.
    package var message: MessageAnswer?
    package var events: [Event]
    /// Nodes whose disks know of it.
    package var knownBy: [String]
    /// Nodes that did not answer.
    package var silent: [String]
}
