internal import Primitives

/// Each message to the journal that it is about; what a node answers for a journal that it does not hold.
extension ClusterNode {
    mutating func received(
        _ message: Message, from sender: ReplicaID, incarnation: UInt64, _ turn: inout ClusterTurn
    ) {
        switch message {
        case .pulse(let pulse): pulsed(pulse, from: sender, incarnation: incarnation, &turn)
        case .pulseReply(let reply): pulseAnswered(reply, from: sender, &turn)
        case .append(let append):
            guard isOpenTo(append.journal, sender, &turn) else { return }
            hold(append.journal, turn)
            journals[append.journal]?.appended(append, from: sender, incarnation: incarnation, &turn)
        case .durable(let durable):
            journals[durable.journal]?.durable(durable, from: sender, &turn)
            buryIfRetired(durable.journal, &turn)
        case .mismatch(let mismatch):
            journals[mismatch.journal]?.appendMismatch(mismatch, from: sender, &turn)
            journals[mismatch.journal]?.fetchMismatch(mismatch, from: sender, &turn)
        case .fenced(let fenced): journals[fenced.journal]?.fenced(fenced.epoch, by: fenced.promised, &turn)
        case .probe(let request): probed(request, by: sender, &turn)
        case .claim(let request): claimed(request, by: sender, incarnation: incarnation, &turn)
        case .claimAnswers(let answers):
            for item in answers.items {
                if case .buried(let journal) = item {
                    heardBuried(journal, from: sender, &turn)
                } else {
                    journals[item.journal]?.answered(item, sentAt: answers.sentAt, by: sender, &turn)
                    buryIfRetired(item.journal, &turn)
                }
            }
        case .fetch(let fetch): journals[fetch.journal]?.fetching(fetch, by: sender, &turn)
        case .fetched(let fetched): journals[fetched.journal]?.fetched(fetched, from: sender, &turn)
        case .release(let epochs):
            for item in epochs { journals[item.journal]?.released(item.epoch, by: sender, &turn) }
        case .bury(let journal, let disks): askedToBury(journal, disks, by: sender, &turn)
        case .buried(let journal): heardBuried(journal, from: sender, &turn)
        case .lateOutcome(let outcome):
            if journals[outcome.journal] != nil, lateOutcomes.keep(outcome) {
                turn.effects.append(.lateOutcome(outcome))
            }
        case .ask(let ask): turn.effects.append(.asked(sender, ask))
        case .answer(let answer): turn.effects.append(.answered(sender, answer))
        case .recordsDigest, .recordsDelta, .notHere: break
        }
    }

    /// False for a buried journal, which is answered so; and, in silence, for one that is being buried.
    private func isOpenTo(_ journal: JournalID, _ sender: ReplicaID, _ turn: inout ClusterTurn) -> Bool {
        if isBuried(journal) {
            turn.send(.buried(journal), to: sender)
            return false
        }
        return burials[journal] == nil
    }

    /// Someone means this disk to be a replica: it has nothing yet, and says so.
    private mutating func hold(_ journal: JournalID, _ turn: ClusterTurn) {
        if journals[journal] == nil {
            journals[journal] = Replica(
                journal: journal, me: me, copy: JournalCopy(), promise: nil, settings: settings, at: turn.now)
        }
    }

    private mutating func probed(_ request: ClaimRequest, by sender: ReplicaID, _ turn: inout ClusterTurn) {
        var items: [ClaimAnswers.Item] = []
        for item in request.items where burials[item.journal] == nil {
            if isBuried(item.journal) {
                items.append(.buried(item.journal))
                continue
            }
            hold(item.journal, turn)
            guard let answer = journals[item.journal]?.probed(item, by: sender, &turn) else { continue }
            items.append(answer)
            // Someone misses the owner. If its connection here has ended too, knock again.
            if case .refused = answer, let owner = journals[item.journal]?.promise?.owner, owner != me {
                let verdict = watches[owner]?.asked(at: turn.now) ?? .nothing
                act(on: verdict, about: owner, &turn)
            }
        }
        turn.send(.claimAnswers(ClaimAnswers(sentAt: request.sentAt, items: items)), to: sender)
    }

    private mutating func claimed(
        _ request: ClaimRequest, by sender: ReplicaID, incarnation: UInt64, _ turn: inout ClusterTurn
    ) {
        for item in request.items where burials[item.journal] == nil {
            if isBuried(item.journal) {
                turn.send(
                    .claimAnswers(ClaimAnswers(sentAt: request.sentAt, items: [.buried(item.journal)])), to: sender)
                continue
            }
            hold(item.journal, turn)
            journals[item.journal]?.claimed(
                item, sentAt: request.sentAt, by: sender, incarnation: incarnation, &turn)
        }
    }
}

extension ClaimAnswers.Item {
    var journal: JournalID {
        switch self {
        case .would(let offer), .granted(let offer): offer.journal
        case .refused(let journal, _, _, _), .buried(let journal): journal
        }
    }
}
