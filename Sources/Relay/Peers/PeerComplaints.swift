internal import Cluster
internal import Primitives

/// What was said about others lately, so that the same thing is said once a minute only.
struct Complaints {
    static let interval = Duration.seconds(60)
    /// How many different things are remembered; beyond it nothing new is said.
    static let limit = 256

    private struct Key: Hashable {
        let about: String
        let what: String
    }

    private struct Said {
        var reason: String
        var at: Instant
        var last: WallTime
    }

    private var said: [Key: Said] = [:]

    /// Whether this has not been said in the last minute. Remembers when it last happened either way.
    mutating func isNew(about: String, _ what: String, _ reason: String, _ now: Now) -> Bool {
        let key = Key(about: about, what: what)
        if let known = said[key], now.instant - known.at < Complaints.interval {
            said[key] = Said(reason: reason, at: known.at, last: now.wall)
            return false
        }
        if said.count >= Complaints.limit {
            said = said.filter { now.instant - $0.value.at < Complaints.interval }
            guard said.count < Complaints.limit else { return false }
        }
        said[key] = Said(reason: reason, at: now.instant, last: now.wall)
        return true
    }

    /// The latest first.
    var recent: [PeerRefusal] {
        said.map { PeerRefusal(about: $0.about, reason: $1.reason, last: $1.last) }
            .sorted { ($1.last, $0.about, $0.reason) < ($0.last, $1.about, $1.reason) }
    }
}

extension Peers {
    /// For both ends' logs: so it names nodes, and says neither 'we' nor 'you'.
    func words(for refusal: Acquaintances.Refusal, _ hello: Hello) -> String {
        let (me, them) = (settings.me.node, hello.from.node)
        return switch refusal {
        case .otherCluster(let theirs):
            "node \(them) belongs to cluster '\(theirs)', node \(me) to cluster '\(settings.cluster)'"
        case .ourselves: "another process runs on a copy of the data directory of node \(me): stop one of them"
        case .notHere where hello.toNode == me:
            "node \(me) has another disk now than the one that node \(them) looks for"
        case .notHere: "node \(them) looks for node \(hello.toNode) where node \(me) listens"
        case .olderProcess:
            "a later process of node \(them) has greeted node \(me) before: is a copy of its data directory in use?"
        case .rolledBack:
            "node \(them) has forgotten its last process, its disk went back in time: give it an empty data directory"
        case .nameTaken:
            "two nodes are called \(them), with different data directories: the later one must take another name"
        case .noSharedProtocol(let theirs):
            "node \(them) speaks protocol versions \(theirs.lowerBound) to \(theirs.upperBound), node \(me) "
                + "\(settings.protocols.lowerBound) to \(settings.protocols.upperBound): update the older one"
        }
    }
}

extension ProcessWatch.End {
    var words: String {
        switch self {
        case .endOfFile: "it closed the connection"
        case .reset: "it reset the connection"
        case .closedByUs: "this node hung up"
        case .timedOut: "it fell silent"
        }
    }
}
