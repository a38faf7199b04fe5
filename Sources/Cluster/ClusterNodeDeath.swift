internal import Primitives

/// Other processes: greetings, connections that end, knocks (`protocol.md`, 'Process death').
extension ClusterNode {
    mutating func greeted(_ peer: ReplicaID, _ incarnation: UInt64, _ turn: inout ClusterTurn) {
        guard peer != me, incarnation >= incarnations[peer] ?? 0 else { return }
        let isNew = incarnation > incarnations.updateValue(incarnation, forKey: peer) ?? 0
        if meet(peer) { turn.ask(.met(peer)) }
        gossip.greeted(peer)
        let verdict = watches[peer, default: ProcessWatch()].greeted(incarnation: incarnation)
        act(on: verdict, about: peer, &turn)
        guard isNew else { return }
        for journal in journals.keys.sorted() { journals[journal]?.restarted(peer, &turn) }
    }

    mutating func disconnected(_ peer: ReplicaID, _ end: ProcessWatch.End, _ turn: inout ClusterTurn) {
        if settings.has(.endWithoutKnock), let incarnation = incarnations[peer] {
            for journal in journals.keys.sorted() {
                journals[journal]?.died(peer, incarnation: incarnation, epoch: nil, &turn)
            }
        }
        let verdict = watches[peer]?.ended(end, at: turn.now) ?? .nothing
        act(on: verdict, about: peer, &turn)
    }

    mutating func act(on verdict: ProcessWatch.Verdict, about peer: ReplicaID, _ turn: inout ClusterTurn) {
        switch verdict {
        case .nothing: break
        case .knock:
            // The proof will count only against what is promised now.
            promisedAtKnock[peer] = journals.compactMapValues { replica in
                replica.promise?.owner == peer ? replica.promisedEpoch : nil
            }
            turn.ask(.knock(peer))
        case .dead(let incarnation, let byGreeting):
            guard settings.isFastFailover else { return }
            if !byGreeting { gossip.died(peer) }
            turn.effects.append(.died(peer))
            let promised = promisedAtKnock.removeValue(forKey: peer) ?? [:]
            for journal in journals.keys.sorted() {
                if byGreeting {
                    journals[journal]?.died(peer, incarnation: incarnation, epoch: nil, &turn)
                } else if let epoch = promised[journal] {
                    journals[journal]?.died(peer, incarnation: incarnation, epoch: epoch, &turn)
                }
            }
        }
    }
}
