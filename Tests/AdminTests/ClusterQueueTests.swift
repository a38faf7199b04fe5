@testable import Node
import Primitives
import Testing

@testable import Admin

@Suite("The queue of a cluster")
struct ClusterQueueTests {
    /// Message n is in journal n - 1: of a, b and c.
    private let cluster = {
        let cluster = FixedCluster()
        for (number, name) in [(1, "a"), (2, "b"), (3, "c")] {
            cluster[name].state.withLock {
                $0.messages = [FixedSource.message(UInt64(number), journal: UInt64(number - 1))]
            }
        }
        return cluster
    }()

    private func id(_ number: UInt64) -> String { FixedSource.message(number).id.description }

    @Test("a listing has all nodes' messages, oldest first, and who owns each")
    func list() async throws {
        let answer: QueueListAnswer = try await get("/api/v1/queue", cluster.api("b")).decoded()
        #expect(answer.matched == 3 && answer.silent == [])
        #expect(answer.messages.map(\.id) == [id(1), id(2), id(3)])
        #expect(answer.messages.map(\.owner) == ["a", "b", "c"])
        let page: QueueListAnswer = try await get("/api/v1/queue", cluster.api("b"), query: [("limit", "1")]).decoded()
        #expect(page.matched == 3 && page.messages.map(\.id) == [id(1)])
        let own: QueueListAnswer = try await get("/api/v1/queue", cluster.api("b"), query: [("scope", "local")])
            .decoded()
        #expect(own.messages.map(\.id) == [id(2)])
    }

    @Test("a message that two nodes tell of is one, as its owner tells of it")
    func doubles() async throws {
        cluster["a"].state.withLock { $0.messages.append(FixedSource.message(2, state: .held, journal: 1)) }
        let answer: QueueListAnswer = try await get("/api/v1/queue", cluster.api("a")).decoded()
        #expect(answer.matched == 3 && answer.messages.map(\.state) == ["retrying", "retrying", "retrying"])
    }

    @Test("nodes that are silent are named in listings, summaries, errors and traces")
    func silence() async throws {
        cluster.kill("c")
        let answer: QueueListAnswer = try await get("/api/v1/queue", cluster.api("a")).decoded()
        #expect(answer.matched == 2 && answer.silent == ["c"])
        let summary: QueueSummaryAnswer = try await get("/api/v1/queue/summary", cluster.api("a")).decoded()
        #expect(summary.silent == ["c"] && summary.rows.map(\.messages) == [2])
        let missing = await get("/api/v1/queue/\(id(3))", cluster.api("a"))
        #expect(missing.status == 404 && missing.text.contains("(not answered by: c)"))
        let trace: TraceAnswer = try await get("/api/v1/trace/\(id(2))", cluster.api("a")).decoded()
        #expect(trace.silent == ["c"])
    }

    @Test("a beginning that is ambiguous across the cluster is refused, one that is not names a message anywhere")
    func prefixes() async throws {
        let common = String(id(1).prefix(8))
        #expect(await get("/api/v1/queue/\(common)", cluster.api("a")).status == 409)
        #expect(
            await post("/api/v1/queue/actions", "{\"verb\":\"hold\",\"ids\":[\"\(common)\"]}", cluster.api("a")).status
                == 409)
        #expect(cluster["a"].state.withLock { $0.commands.isEmpty })
        let found: MessageAnswer = try await get("/api/v1/queue/\(id(3))", cluster.api("a")).decoded()
        #expect(found.id == id(3) && found.owner == "c")
        #expect(await get("/api/v1/queue/\(id(3))/raw", cluster.api("a")).text.hasPrefix("Subject: c"))
    }

    @Test("a command goes to the node that owns the message")
    func commands() async throws {
        let body = "{\"verb\":\"hold\",\"ids\":[\"\(id(3))\",\"\(id(1))\"],\"by\":\"ann\",\"reason\":\"why\"}"
        let answer: ActionAnswer = try await post("/api/v1/queue/actions", body, cluster.api("a")).decoded()
        #expect(answer.matched == 2 && answer.outcomes == ["done": 2])
        for (name, number) in [("a", 1), ("c", 3)] {
            let commands = cluster[name].state.withLock { $0.commands }
            #expect(commands.map { $0.message.description } == [id(UInt64(number))])
            #expect(commands.first?.by == "ann" && commands.first?.reason == "why")
        }
        #expect(cluster["b"].state.withLock { $0.commands.isEmpty })
    }

    @Test("a bulk command is done by each owner; a dry run does nothing anywhere")
    func bulk() async throws {
        let dry: ActionAnswer = try await post(
            "/api/v1/queue/actions", #"{"verb":"cancel","all":true,"dryRun":true}"#, cluster.api("b")
        ).decoded()
        #expect(dry.matched == 3 && dry.samples.map(\.id) == [id(1), id(2), id(3)] && dry.outcomes == [:])
        let real: ActionAnswer = try await post(
            "/api/v1/queue/actions", #"{"verb":"cancel","all":true}"#, cluster.api("b")
        ).decoded()
        #expect(real.outcomes == ["done": 3] && Set(real.messages.map(\.id)) == [id(1), id(2), id(3)])
        for name in ["a", "b", "c"] { #expect(cluster[name].state.withLock { $0.commands.count } == 1) }
    }

    @Test("without an owner now it is to be tried again, and an owner that falls silent is said")
    func ownerless() async throws {
        for name in ["a", "b"] {
            cluster[name].state.withLock { state in
                state.peers["c"] = nil
                for index in state.status.peers.indices where state.status.peers[index].replica.node == "c" {
                    state.status.peers[index] = FixedSource.peer(FixedSource.replica("c"), silentFor: .seconds(3))
                }
                state.messages.append(FixedSource.message(3, journal: 2))
            }
        }
        let body = "{\"verb\":\"hold\",\"ids\":[\"\(id(3))\"]}"
        let single: ActionAnswer = try await post("/api/v1/queue/actions", body, cluster.api("a")).decoded()
        #expect(single.outcomes == ["tryAgain": 1])
        let all: ActionAnswer = try await post(
            "/api/v1/queue/actions", #"{"verb":"hold","all":true}"#, cluster.api("b")
        ).decoded()
        #expect(all.matched == 3 && all.outcomes == ["tryAgain": 1, "done": 2] && all.silent == ["c"])
    }

    @Test("one life of a message across nodes: the same frames from several disks are told once")
    func trace() async throws {
        cluster["b"].state.withLock { $0.messages.append(FixedSource.message(1, journal: 0)) }
        let trace: TraceAnswer = try await get("/api/v1/trace/\(id(1))", cluster.api("c")).decoded()
        #expect(trace.events.count == 1 && trace.knownBy == ["a", "b"])
        var late = trace
        late.events = [
            .init(time: "2026-11-24T12:03:32.000Z", node: "b", text: "delivered", mark: "delivered"),
            .init(time: "2026-11-24T12:03:31.500Z", node: "b", text: "took over", mark: nil),
        ]
        late.delivered = 1
        late.takeovers = 1
        late.knownBy = ["c"]
        let merged = try #require(TraceAnswer.merged([trace, late]))
        #expect(merged.events.map(\.text) == ["accepted from 10.0.0.9", "took over", "delivered"])
        #expect(merged.delivered == 1 && merged.takeovers == 1 && merged.knownBy == ["a", "b", "c"])
        #expect(TraceAnswer.merged([]) == nil)
    }
}
