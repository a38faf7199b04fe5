/// `GET /api/v1/nodes`.
package struct NodesAnswer: Codable, Hashable, Sendable {
    package var time: String
    package var from: String
    package var nodes: [StatusAnswer.NodeAnswer]
    package var silent: [String]
}

/// `GET /api/v1/leases`: who owns what.
package struct LeasesAnswer: Codable, Hashable, Sendable {
    package struct Lease: Codable, Hashable, Sendable {
        package var journal: String
        package var epoch: UInt64
        /// Nil: nobody owns it now.
        package var owner: String?
        package var state: String
        /// Nil: it never ends (a journal of one copy), or the owner did not answer.
        package var leaseSeconds: Double?
        package var members: [String]
        package var unfinished: Int
    }

    package var time: String
    package var from: String
    package var leases: [Lease]
    package var silent: [String]
}

/// `GET /api/v1/journals`: copies and how far they are.
package struct JournalsAnswer: Codable, Hashable, Sendable {
    package var time: String
    package var from: String
    /// Copies that a new journal gets.
    package var wanted: Int
    package var journals: [StatusAnswer.JournalAnswer]
    package var silent: [String]
}

/// `GET /api/v1/upstreams`.
package struct UpstreamsAnswer: Codable, Hashable, Sendable {
    package var upstreams: [UpstreamAnswer]
    package var silent: [String]
}

/// `GET /api/v1/events`: what happened to nodes, journals and upstreams, each as one node saw it.
package struct EventsAnswer: Codable, Hashable, Sendable {
    package struct Event: Codable, Hashable, Sendable {
        /// Of the node that tells; it begins again with its process.
        package var sequence: UInt64
        package var time: String
        package var node: String
        /// Stable: `takeover`, `peer-down`, `upstream-down`, …
        package var name: String
        package var text: String

        package init(sequence: UInt64, time: String, node: String, name: String, text: String) {
            self.sequence = sequence
            self.time = time
            self.node = node
            self.name = name
            self.text = text
        }
    }

    package var events: [Event]
    /// For the next question's `after`.
    package var cursor: String
    package var silent: [String]
}

/// `GET /api/v1/examination`, what `baton doctor` prints.
package struct ExaminationAnswer: Codable, Hashable, Sendable {
    package enum Result: String, Codable, Sendable { case pass, warn, fail }

    package struct Line: Codable, Hashable, Sendable {
        package var node: String
        package var result: Result
        /// `sync`, `space`, `files`, `clock`, `peer`, `upstream`, `name`, …
        package var check: String
        package var text: String

        package init(_ node: String, _ result: Result, _ check: String, _ text: String) {
            self.node = node
            self.result = result
            self.check = check
            self.text = text
        }
    }

    package var lines: [Line]
    package var silent: [String]
}

/// `GET /api/v1/nodes/NAME/drain`: whether the rest can do without it.
package struct DrainCheckAnswer: Codable, Hashable, Sendable {
    package var node: String
    package var state: String
    package var safe: Bool
    /// Why not; empty when it is safe.
    package var reasons: [String]
    package var drained: Bool
    package var liveNodesAfter: Int
    package var needed: Int
    package var journals: Int
    package var messages: Int
    package var clients: Int
}

/// How a command upon a node or the cluster ended.
package struct DoneAnswer: Codable, Hashable, Sendable {
    package var done: Bool
    package var text: String
    /// Nodes that have not heard of it.
    package var silent: [String]
}

/// The body of commands upon nodes: who, and why.
package struct CommandBody: Codable, Hashable, Sendable {
    package var by: String?
    package var reason: String?
    package var version: Int?

    package init(by: String? = nil, reason: String? = nil, version: Int? = nil) {
        self.by = by
        self.reason = reason
        self.version = version
    }
}

/// Every answer with a status of 400 or more.
package struct ErrorAnswer: Codable, Hashable, Sendable {
    package var error: String
}
