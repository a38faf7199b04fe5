internal import Node
internal import Primitives

/// `baton doctor`: each node looks at its own machine and connections (`MachineExamination`); clocks are compared with
/// that of the one that is asked.
extension AdminAPI {
    func examination(_ request: AdminRequest) async -> ExaminationAnswer {
        let own = await source.examine()
        guard !isLocal(request) else { return ExaminationAnswer(lines: own, silent: []) }
        let members = Membership(await source.status(), me: await source.facts().name).others
        let question = AdminRequest(method: "GET", path: "/api/v1/examination")
        var peers = await askPeers(question, members, PeerPatience.examination)
        let others = peers.decoded(as: ExaminationAnswer.self).flatMap(\.answer.lines)
        let all = await self.status(AdminRequest(method: "GET", path: "/api/v1/status"))
        let lines =
            own + others + AdminAPI.clocks(all)
            + peers.silent.map { silent in
                .init(silent, .fail, "answer", "does not answer \(all.from): is it running? \(address(silent, all))")
            }
        return ExaminationAnswer(lines: lines.sorted { $0.node < $1.node }, silent: peers.silent)
    }

    private func address(_ node: String, _ status: StatusAnswer) -> String {
        status.nodes.first { $0.name == node }.map { "its address: \($0.address)" } ?? ""
    }

    private static func clocks(_ status: StatusAnswer) -> [ExaminationAnswer.Line] {
        status.nodes.compactMap { node in
            guard let offset = node.clockOffsetSeconds else { return nil }
            let far = Duration.seconds(abs(offset)).short
            let text = "\(far) \(offset < 0 ? "behind" : "ahead of") \(status.from)"
            if abs(offset) > ClusterProblems.clockTolerance {
                return .init(node.name, .fail, "clock", text + ": timedatectl")
            }
            return .init(node.name, abs(offset) > 1 ? .warn : .pass, "clock", text)
        }
    }
}
