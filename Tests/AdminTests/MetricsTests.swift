import Foundation
@testable import Node
import Testing

@testable import Admin

@Suite("Metrics")
struct MetricsTests {
    @Test("names and labels are those of the dashboards")
    func names() async {
        let source = FixedSource()
        let text = await Metrics.render(source.status(), source.facts())
        for line in [
            "baton_messages_accepted_total 1204", "baton_results_total{upstream=\"ses\",status=\"sent\"} 1100",
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
        var status = FixedSource.healthy
        let problem = Problem(name: "upstream-down", severity: .warning, summary: "", effect: "", baton: "", you: "")
        status.problems = [problem, problem]
        let text = await Metrics.render(status, FixedSource().facts())
        #expect(text.components(separatedBy: "baton_problem{name=\"upstream-down\"} 1\n").count == 2)
    }

    @Test("promtool finds nothing to complain about", .enabled(if: access("/usr/bin/promtool", X_OK) == 0))
    func promtool() async throws {
        let source = FixedSource()
        let text = await Metrics.render(source.status(), source.facts())
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
