import FoundationEssentials
@testable import Node
import Primitives
import Testing

@testable import Admin

@Suite("Commands upon nodes and the cluster")
struct MaintenanceTests {
    private let cluster = FixedCluster()

    @Test("a drain is a record with who and why; resume removes it; unknown nodes are refused")
    func drain() async throws {
        let body = #"{"by":"ann","reason":"new disk"}"#
        let done: DoneAnswer = try await post("/api/v1/nodes/b/drain", body, cluster.api("a")).decoded()
        #expect(done.text == "b hands over its work")
        let value = cluster["a"].state.withLock { $0.records["drain/b"] }
        let words = try JSONDecoder().decode([String: String].self, from: Data(try #require(value)))
        #expect(words == ["by": "ann", "reason": "new disk", "at": "2026-11-24T12:04:31.123Z"])
        for name in ["a", "b", "c"] { cluster[name].state.withLock { $0.status.drainedNodes = ["b"] } }
        #expect(await post("/api/v1/nodes/b/drain", "", cluster.api("a")).text.contains("as asked before"))
        #expect(await post("/api/v1/nodes/b/resume", "", cluster.api("a")).status == 200)
        #expect(cluster["a"].state.withLock { $0.records.isEmpty })
        #expect(await post("/api/v1/nodes/moon/drain", "", cluster.api("a")).status == 404)
        #expect(await post("/api/v1/nodes/moon/resume", "", cluster.api("a")).status == 404)
    }

    @Test("what no majority knows yet is not done, and says so")
    func tooFew() async {
        cluster["a"].state.withLock { $0.recorded = .unanswered }
        let answer = await post("/api/v1/nodes/b/drain", "", cluster.api("a"))
        #expect(answer.status == 503 && answer.text.contains("a majority of the nodes"))
        cluster["a"].state.withLock { $0.recorded = .refused("too many records") }
        #expect(await post("/api/v1/upstreams/ses/disable", "", cluster.api("a")).status == 409)
    }

    @Test("drain --check: safe with three, not with two, and never the only one")
    func check() async throws {
        var check: DrainCheckAnswer = try await get("/api/v1/nodes/b/drain", cluster.api("a")).decoded()
        #expect(check.safe && check.reasons == [] && check.journals == 1 && check.liveNodesAfter == 2)
        cluster.kill("c")
        check = try await get("/api/v1/nodes/b/drain", cluster.api("a")).decoded()
        #expect(!check.safe)
        #expect(check.reasons.first == "1 of 3 nodes would be left, 2 are needed")
        #expect(check.reasons.last == "3 messages would wait: 3 journals have no majority of copies without b")
        let alone = AdminAPI(FixedSource(), scope: .local)
        check = try await get("/api/v1/nodes/a/drain", alone).decoded()
        #expect(check.reasons == ["no other node is serving: nobody would take mail"])
        #expect(await get("/api/v1/nodes/moon/drain", alone).status == 404)
    }

    @Test("only a node that is gone can be forgotten")
    func forget() async {
        let refused = await post("/api/v1/nodes/c/forget", "", cluster.api("a"))
        #expect(refused.status == 409 && refused.text.contains("c is alive"))
        cluster.kill("c")
        #expect(await post("/api/v1/nodes/c/forget", "", cluster.api("a")).status == 200)
        #expect(cluster["a"].state.withLock { $0.forgotten } == ["c"])
        #expect(await post("/api/v1/nodes/moon/forget", "", cluster.api("a")).status == 404)
    }

    @Test("a version is final once every member has announced it")
    func finalize() async {
        for name in ["a", "b"] { cluster[name].state.withLock { $0.facts.protocols = "1-2" } }
        let refused = await post("/api/v1/cluster/finalize", #"{"version":2}"#, cluster.api("a"))
        #expect(refused.status == 409 && refused.text.contains("c speaks 1-1: upgrade it first"))
        cluster["c"].state.withLock { $0.facts.protocols = "1-2" }
        #expect(await post("/api/v1/cluster/finalize", #"{"version":2}"#, cluster.api("a")).status == 200)
        #expect(cluster["a"].state.withLock { $0.records["cluster/version"] } == Array("2".utf8))
        #expect(await post("/api/v1/cluster/finalize", "{}", cluster.api("a")).status == 400)
    }

    @Test("events of all nodes by time, from where the last answer ended")
    func events() async throws {
        for (name, second) in [("a", 2), ("b", 1)] {
            cluster[name].state.withLock {
                $0.events = [1, 2].map { number in
                    .init(
                        sequence: number, time: "2026-11-24T12:00:0\(second + Int(number)).000Z", node: name,
                        name: "peer-up", text: "\(name)\(number)")
                }
            }
        }
        let all: EventsAnswer = try await get("/api/v1/events", cluster.api("c")).decoded()
        #expect(all.events.map(\.text) == ["b1", "a1", "b2", "a2"])
        #expect(all.cursor == "a=2,b=2")
        let rest: EventsAnswer = try await get("/api/v1/events", cluster.api("c"), query: [("after", "a=1,b=2")])
            .decoded()
        #expect(rest.events.map(\.text) == ["a2"] && rest.cursor == "a=2,b=2")
        #expect(await get("/api/v1/events", cluster.api("c"), query: [("after", "rubbish")]).status == 400)
    }

    @Test("leases name the owner, and its time only where it is known")
    func leases() async throws {
        let answer: LeasesAnswer = try await get("/api/v1/leases", cluster.api("c")).decoded()
        #expect(answer.leases.map(\.owner) == ["a", "b", "c"] && answer.leases.allSatisfy { $0.leaseSeconds == 2 })
        let own: LeasesAnswer = try await get("/api/v1/leases", cluster.api("c"), query: [("scope", "local")]).decoded()
        #expect(own.leases.map(\.leaseSeconds) == [nil, nil, 2])
        let nodes: NodesAnswer = try await get("/api/v1/nodes", cluster.api("c")).decoded()
        #expect(nodes.nodes.count == 3)
    }

    @Test("every node examines itself; one that does not answer is a failure, and so is a clock apart")
    func examination() async throws {
        cluster["b"].state.withLock { $0.status.time = FixedSource.time + .seconds(60) }
        cluster.kill("c")
        let answer: ExaminationAnswer = try await get("/api/v1/examination", cluster.api("a")).decoded()
        #expect(
            answer.lines.map { "\($0.node) \($0.result.rawValue) \($0.check)" } == [
                "a pass sync", "b pass sync", "b fail clock", "c fail answer",
            ])
    }
}

@Suite("Small readers")
struct ReaderTests {
    @Test("a time is read as it was written", arguments: [0, 951_782_400_123, 1_795_521_871_123, 4_102_444_799_999])
    func times(_ milliseconds: Int64) {
        let time = WallTime(milliseconds: milliseconds)
        #expect(WallTime(rfc3339: time.rfc3339) == time)
        #expect(WallTime(rfc3339: "yesterday") == nil)
        #expect(WallTime(rfc3339: "2026-13-24T12:04:31.123Z") == nil)
    }

    @Test("the end of a certificate: openssl req -x509 … -not_after 20351231235959Z")
    func certificate() {
        // The head of a self-signed certificate: version, serial, algorithm, issuer, validity; the rest does not matter.
        let algorithm: [UInt8] = [0x30, 0x03, 0x06, 0x01, 0x2a]
        let validity = element(0x30, element(0x17, "251124000000Z") + element(0x18, "20351231235959Z"))
        let head = element(0xa0, [0x02, 0x01, 0x02]) + element(0x02, [0x2a]) + algorithm + element(0x30, []) + validity
        let der = element(0x30, element(0x30, head))
        #expect(CertificateExpiry.of(der: der)?.rfc3339 == "2035-12-31T23:59:59.000Z")
        let pem = "x\n-----BEGIN CERTIFICATE-----\n\(Data(der).base64EncodedString())\n-----END CERTIFICATE-----\n"
        #expect(CertificateExpiry.of(pem: Array(pem.utf8))?.rfc3339 == "2035-12-31T23:59:59.000Z")
        for end in 0..<der.count { #expect(CertificateExpiry.of(der: Array(der[..<end])) == nil) }
        #expect(CertificateExpiry.of(pem: Array("-----END CERTIFICATE----------BEGIN CERTIFICATE-----".utf8)) == nil)
    }

    private func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] { [tag, UInt8(content.count)] + content }

    private func element(_ tag: UInt8, _ text: String) -> [UInt8] { element(tag, Array(text.utf8)) }
}
