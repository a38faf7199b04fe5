@testable import Node
import Primitives
import Testing

@testable import Admin

@Suite("The status of a cluster")
struct ClusterStatusTests {
    private func status(_ cluster: FixedCluster, _ node: String = "a") async throws -> StatusAnswer {
        try await get("/api/v1/status", cluster.api(node)).decoded()
    }

    @Test("all well: sums, who sees whom, and the fault tolerance left, the same from any node")
    func healthy() async throws {
        let cluster = FixedCluster()
        for name in ["a", "b", "c"] {
            let status = try await status(cluster, name)
            #expect(status.summary == "healthy: accepting and delivering · every message on 3 disks · 1 node may fail")
            #expect(status.from == name)
            #expect(status.nodes.map(\.name) == ["a", "b", "c"])
            #expect(status.nodes.map(\.seenBy) == [["b", "c"], ["a", "c"], ["a", "b"]])
            #expect(status.nodes.map(\.journals) == [1, 1, 1])
            #expect(status.queue.messages == 3)
            #expect(status.queue.held == 18)
            #expect(status.upstreams.map(\.connections) == [60, 60])
            #expect(status.silent == [] && status.problems == [] && status.warnings == 0)
            #expect(status.copies.majority && status.copies.liveNodes == 3 && status.copies.needed == 2)
        }
    }

    @Test("a node was killed: named with what it costs, and its journals are its heir's")
    func killed() async throws {
        let cluster = FixedCluster()
        cluster.kill("c")
        cluster["a"].state.withLock {
            $0.status.takeovers = [
                .init(
                    journal: JournalID(ULID(high: 0, low: 2)), epoch: 13, from: "c", at: FixedSource.time,
                    messages: 1388,
                    uncertain: 3, firstDelivery: .milliseconds(210))
            ]
        }
        let status = try await status(cluster, "b")
        #expect(status.summary == "degraded: accepting and delivering · every message on 2 disks · 0 nodes may fail")
        #expect(status.silent == ["c"])
        let down = try #require(status.nodes.last)
        #expect(down.state == "down" && down.provedDead && down.seenBy == [] && down.copyLagBytes == 3 * (41 << 20))
        #expect(status.takeovers.map(\.to) == ["a"])
        let problem = try #require(status.problems.first)
        #expect(problem.name == "node-down")
        #expect(
            problem.summary == "c has been silent for 8.0 s (last word 12:04:23Z; its port refuses connections)")
        #expect(
            problem.effect
                == "2 copies instead of 3; losing a or b too stops acceptance (451) until one is back")
        #expect(problem.baton == "moved c's leases to a; c catches up by itself when it returns")
        #expect(problem.you == "restart it: systemctl start baton (on c)  ·  gone for good: baton node forget c")
        #expect(status.problems.count == 1)
    }

    @Test("without a majority it answers all the same, and says so")
    func noMajority() async throws {
        let cluster = FixedCluster()
        cluster.kill("c")
        cluster.kill("b")
        cluster["a"].state.withLock {
            $0.status.isReady = false
            $0.status.peers = ["b", "c"].map { FixedSource.peer(FixedSource.replica($0), silentFor: .seconds(60)) }
        }
        let status = try await status(cluster)
        #expect(
            status.summary == "degraded: neither accepting nor delivering · 1 of 3 nodes alive, 2 needed")
        #expect(status.problems.map(\.name) == ["no-majority", "node-down", "node-down"])
        #expect(status.problems[0].you.hasPrefix("start b or c: systemctl start baton"))
        #expect(!status.copies.majority)
    }

    @Test("a node that has not met enough others says how many it knows")
    func tooFew() async throws {
        let source = FixedSource()
        source.state.withLock {
            $0.facts.replicas = 3
            $0.status.isReady = false
        }
        let status: StatusAnswer = try await get("/api/v1/status", AdminAPI(source, scope: .local)).decoded()
        #expect(status.summary.hasSuffix("1 of 3 nodes known"))
        #expect(status.problems.map(\.name) == ["too-few-nodes"])
        #expect(status.problems[0].effect.hasPrefix("no mail is accepted (451) until this node has met 2 more"))
    }

    @Test("one that was forgotten may be missed by the next journal, not by those that are open")
    func forgotten() async throws {
        let cluster = FixedCluster()
        cluster.kill("c")
        for name in ["a", "b"] {
            cluster[name].state.withLock { state in
                for index in state.status.peers.indices where state.status.peers[index].replica.node == "c" {
                    state.status.peers[index].isForgotten = true
                }
            }
        }
        let status = try await status(cluster)
        #expect(status.nodes.map(\.name) == ["a", "b"])
        #expect(status.summary == "degraded: accepting and delivering · every message on 2 disks · 0 nodes may fail")
        #expect(status.problems.map(\.name) == ["too-few-nodes", "copy-lacking"])
        #expect(status.problems[0].effect.hasPrefix("mail goes on in the journals that are open"))
    }

    @Test("one that is alive but does not answer is named, and not waited for")
    func silent() async throws {
        let cluster = FixedCluster()
        cluster["a"].state.withLock { $0.peers["b"] = nil }
        let status = try await status(cluster)
        #expect(status.silent == ["b"])
        #expect(status.nodes[1].state == "no answer" && status.nodes[1].seenBy == ["a", "c"])
        #expect(status.problems.map(\.name) == ["no-answer"])
        #expect(status.verdict == .healthy && status.warnings == 1)
        #expect(status.summary.hasPrefix("healthy, 1 warning: accepting and delivering · all on 3 disks"))
    }

    @Test("rubbish from a node is as good as no answer")
    func rubbish() async throws {
        let peers = PeerQuestion.decode(response: Array("{\"status\":200}".utf8))
        #expect(peers == nil)
        #expect(PeerQuestion.decode(request: []) == nil)
        let answer = await AdminAPI(FixedSource(), scope: .local).answer(peer: Array("rubbish".utf8))
        #expect(PeerQuestion.decode(response: answer)?.status == 400)
    }

    @Test("clocks apart, versions apart, configurations apart, one-way networks: each has a name")
    func differences() async throws {
        let cluster = FixedCluster()
        cluster["b"].state.withLock {
            $0.status.time = FixedSource.time + .minutes(10)
            $0.status.peers.removeAll { $0.replica.node == "c" }
            $0.status.peers.append(FixedSource.peer(FixedSource.replica("c"), silentFor: .seconds(5)))
        }
        cluster["a"].state.withLock { $0.facts.configurationDigest = "1" }
        cluster["c"].state.withLock { $0.facts.configurationDigest = "2" }
        let status = try await status(cluster)
        #expect(Set(status.problems.map(\.name)) == ["clock", "partition", "configuration-skew"])
        #expect(status.problems.contains { $0.summary.hasPrefix("b is 10m 00s ahead of a") })
        #expect(status.problems.contains { $0.summary == "b cannot hear c" })
        #expect(status.nodes[2].seenBy == ["a"])
    }

    @Test("a wiped disk: its old journals lack a copy until they are retired")
    func wiped() async throws {
        let cluster = FixedCluster()
        let fresh = FixedSource.replica("c", disk: 2)
        for name in ["a", "b"] {
            cluster[name].state.withLock { $0.status.peers.append(FixedSource.peer(fresh)) }
            cluster[name].state.withLock { state in
                for index in state.status.peers.indices
                where state.status.peers[index].replica == FixedSource.replica("c") {
                    state.status.peers[index] = FixedSource.peer(FixedSource.replica("c"), silentFor: .seconds(30))
                }
                state.status.journals.removeLast()
            }
        }
        cluster["c"].state.withLock {
            $0.facts.disk = fresh.disk.description
            $0.status.journals = []
        }
        let status = try await status(cluster)
        #expect(status.nodes.map(\.name) == ["a", "b", "c"] && status.nodes.allSatisfy(\.alive))
        #expect(status.summary == "healthy, 1 warning: accepting and delivering · all on 2 disks · 0 nodes may fail")
        let problem = try #require(status.problems.first)
        #expect(problem.name == "copy-lacking")
        #expect(problem.summary == "2 journals lost the copy on a former disk of c")
        #expect(status.copies.lackingJournals == 2)
        let journals: JournalsAnswer = try await get("/api/v1/journals", cluster.api("c")).decoded()
        #expect(journals.journals.allSatisfy { $0.copies.last?.lost == true && $0.owner != nil })
    }

    @Test("journals of one copy from before there were others are warned of")
    func singleCopy() async throws {
        let cluster = FixedCluster()
        cluster["a"].state.withLock {
            let me = FixedSource.replica("a")
            $0.status.journals.append(FixedSource.journal(9, .owner, owner: me, on: [me], unfinished: 12))
        }
        let status = try await status(cluster, "b")
        #expect(status.problems.map(\.name) == ["single-copy"])
        #expect(status.problems[0].effect == "losing that disk loses 12 messages")
        #expect(status.copies.fewest == 1 && status.copies.mayFail == 0)
    }

    @Test("what people switched off is said with how to undo it, and a problem of one node says which")
    func people() async throws {
        let cluster = FixedCluster()
        cluster["b"].state.withLock {
            $0.status.drainedNodes = ["b"]
            $0.status.state = .drained
            $0.status.isReady = false
            $0.status.problems = [
                Problem(
                    name: "disk-low", severity: .degraded, summary: "1 GiB left", effect: "e", baton: "b", you: "df -h")
            ]
        }
        cluster["c"].state.withLock { $0.status.disabledUpstreams = ["ses"] }
        let status = try await status(cluster)
        #expect(status.problems.map(\.name) == ["disk-low", "node-drained", "upstream-off"])
        #expect(status.problems[0].summary == "on b: 1 GiB left")
        #expect(
            status.problems.map(\.you) == [
                "df -h", "when the work on it is done: baton resume b", "baton upstreams enable ses",
            ])
        #expect(status.nodes[1].state == "drained" && status.ready)
    }

    @Test("an upstream that is down for some nodes is told once, with where")
    func upstreams() async throws {
        let cluster = FixedCluster()
        for name in ["b", "c"] {
            cluster[name].state.withLock { state in
                state.status.upstreams[0].state = .down
                state.status.upstreams[0].downFor = .seconds(name == "b" ? 5 : 9)
                state.status.upstreams[0].failure = "421 \(name)"
                state.status.problems = [
                    Problem(
                        name: "upstream-down", severity: .warning, summary: "ses \(name)",
                        effect: name == "b" ? "20 messages wait for it" : "5 messages wait for it",
                        baton: "b",
                        you: "see what it says: baton upstreams show ses")
                ]
            }
        }
        let status = try await status(cluster)
        #expect(status.upstreams[0].state == "partial" && status.upstreams[0].downAt == ["b", "c"])
        #expect(status.upstreams[0].failure == "421 c" && status.upstreams[0].downSeconds == 9)
        #expect(status.problems.map(\.nodes) == [["b", "c"]])
        #expect(status.problems[0].effect == "25 messages wait for it")
        #expect(status.problems[0].summary == "on b, c: ses b")
    }

    @Test("a stranger who knocks at all doors is told once, with the reason")
    func strangers() async throws {
        let cluster = FixedCluster()
        for (number, name) in ["a", "b", "c"].enumerated() {
            cluster[name].state.withLock { state in
                state.facts.refusedPeers = (0...number).map {
                    .init(address: "10.0.0.9:\($0)", reason: "it does not know the secret", isNameTaken: false)
                }
            }
        }
        let status = try await status(cluster)
        #expect(status.problems.map(\.name) == ["peer-refused"] && status.problems[0].nodes == ["a", "b", "c"])
        #expect(status.problems[0].summary == "10.0.0.9:0: it does not know the secret")
        #expect(status.verdict == .healthy)
        let own: StatusAnswer = try await get("/api/v1/status", cluster.api("c"), query: [("scope", "local")]).decoded()
        #expect(own.problems[0].summary == "10.0.0.9:0 and 2 more: it does not know the secret")
    }

    @Test("who is proved dead is down at once, though another has not missed a pulse of it yet")
    func proof() async throws {
        let cluster = FixedCluster()
        cluster["a"].state.withLock { $0.peers["c"] = nil }
        cluster["b"].state.withLock { state in
            state.status.peers[1] = FixedSource.peer(
                FixedSource.replica("c"), silentFor: .seconds(9), isProvedDead: true)
        }
        let status = try await status(cluster)
        #expect(status.problems.map(\.name) == ["node-down", "journal-ownerless"])
        #expect(status.nodes[2].state == "down" && status.copies.liveNodes == 2)
    }

    @Test("messages of a journal that nobody owns are counted once, however many hold a copy")
    func ownerless() async throws {
        let cluster = FixedCluster()
        let (a, b, c) = (FixedSource.replica("a"), FixedSource.replica("b"), FixedSource.replica("c"))
        for name in ["a", "b"] {
            cluster[name].state.withLock {
                $0.status.peers = [FixedSource.peer(name == "a" ? b : a), FixedSource.peer(c, silentFor: .seconds(3))]
                $0.peers["c"] = nil
                $0.status.journals = [
                    FixedSource.journal(2, .replica, owner: c, on: [a, b, c], unfinished: 40, live: ["a", "b"])
                ]
                $0.status.queue.messages = 40
                $0.status.queue.due = 40
            }
        }
        let status = try await status(cluster)
        #expect(status.queue.messages == 40 && status.queue.due == 40)
        #expect(status.problems.map(\.name).contains("journal-ownerless"))
    }

    @Test("a journal that its owner has let go is nobody's until another claims it")
    func released() async throws {
        let cluster = FixedCluster()
        cluster["b"].state.withLock { $0.status.journals[1].role = .replica }
        let status = try await status(cluster)
        #expect(status.journals.map(\.owner) == ["a", nil, "c"] && status.nodes.map(\.journals) == [1, 0, 1])
    }

    @Test("/readyz tells of the cluster's problems without asking anybody")
    func readiness() async throws {
        let cluster = FixedCluster()
        cluster.kill("c")
        let answer = await get("/readyz", cluster.api("a"))
        #expect(answer.status == 200 && answer.text.contains("\nnode-down  c has been silent"))
        #expect(cluster["a"].state.withLock { $0.asked } == 0)
        cluster["a"].state.withLock { $0.status.state = .drained }
        #expect(await get("/readyz", cluster.api("a")).status == 404)
    }
}
