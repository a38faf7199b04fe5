import Foundation
@testable import Node
import Testing

@testable import Admin

@Suite("Metrics")
struct MetricsTests {
    @Test("names and labels are those of the dashboards")
    func names() async {
        let source = FixedSource()
        let text = await rendered(source)
        for line in [
            "baton_messages_accepted_total 1204",
            "baton_results_total{upstream=\"ses\",provider=\"google\",status=\"sent\",class=\"\"} 1100",
            "baton_smtp_refusals_total{code=\"550\",reason=\"relaying \\\"denied\\\"\"} 3",
            "baton_queue_messages{state=\"held\"} 6", "baton_accept_seconds_count 1",
            "baton_sync_seconds_bucket{le=\"+Inf\"} 1",
            "baton_upstream_up{upstream=\"own\"} 1", "baton_build_info{version=\"\(BatonVersion.current)\"} 1",
        ] {
            #expect(text.contains(line + "\n"), "\(line) is missing")
        }
    }

    @Test("a problem that stands twice is one metric")
    func problems() async {
        let source = FixedSource()
        let problem = Problem(name: "upstream-down", severity: .warning, summary: "", effect: "", baton: "", you: "")
        source.state.withLock { $0.status.problems = [problem, problem] }
        let text = await rendered(source)
        #expect(text.components(separatedBy: "baton_problem{name=\"upstream-down\"} 1\n").count == 2)
    }

    @Test("what a node tells of the cluster adds up over nodes")
    func cluster() async {
        let cluster = FixedCluster()
        cluster.kill("c")
        let text = await rendered(cluster["a"])
        for line in [
            "baton_journals{role=\"owner\"} 2", "baton_journals{role=\"replica\"} 1",
            "baton_copy_lag_bytes{peer=\"b\"} 0", "baton_copy_lag_bytes{peer=\"c\"} \(2 * (41 << 20))",
            "baton_peer_up{peer=\"b\"} 1", "baton_peer_up{peer=\"c\"} 0", "baton_problem{name=\"node-down\"} 1",
            "baton_nodes_may_fail 0", "baton_copies_fewest 2", "baton_copies_wanted 3",
            "baton_clock_offset_seconds{peer=\"b\"} ",
        ] {
            #expect(text.contains("\n" + line), "\(line) is missing")
        }
    }

    @Test("promtool finds nothing to complain about", .enabled(if: access("/usr/bin/promtool", X_OK) == 0))
    func promtool() async throws {
        let text = await rendered(FixedCluster()["a"])
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/promtool")
        process.arguments = ["check", "metrics"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        input.fileHandleForWriting.write(Data(text.utf8))
        try input.fileHandleForWriting.close()
        let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(said == "")
        #expect(process.terminationStatus == 0)
    }
}

private func rendered(_ source: FixedSource) async -> String {
    await get("/metrics", AdminAPI(source, scope: .local)).text
}
