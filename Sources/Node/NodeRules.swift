internal import Cluster
internal import Journal
package import Primitives
internal import Routing
package import SMTP

/// Rules about mail yet to come, and what they and suppressions mean for a message that is about to be tried.
extension Node {
    /// Those of people, as the records say them now; asked again when one changed or ended.
    mutating func readRules(_ now: Now, _ effects: inout [NodeEffect]) {
        let changes = records.changes(ofKind: "rule")
        guard changes != rulesRead || rules.nextEnd.map({ $0 <= now.wall }) ?? false else { return }
        rulesRead = changes
        let before = rules
        rules = MailRules(records.records(prefix: MailRule.prefix, at: now.wall).compactMap { MailRule($0) })
        for key in Set(before.all.keys).union(rules.all.keys).sorted() where before.all[key] != rules.all[key] {
            // Every node sees it; the one that was told says so.
            guard records.record(key)?.version.node == configuration.replica else { continue }
            if let rule = rules.all[key] {
                effects.append(.note(.ruled(rule)))
            } else if let rule = before.all[key] {
                effects.append(.note(.ruleEnded(rule)))
            }
        }
        applyNewRules(since: before, now, &effects)
    }

    /// What waits for an upstream, in its lane or for one to return, is placed anew where its destination's rule is another.
    /// What waits for its next try meets the rule there, and what is on its way goes on.
    private mutating func applyNewRules(since before: MailRules, _ now: Now, _ effects: inout [NodeEffect]) {
        var domains: Set<String> = []
        for key in Set(before.all.keys).union(rules.all.keys) where before.all[key] != rules.all[key] {
            guard case .toDomain(let domain)? = (rules.all[key] ?? before.all[key])?.subject else { continue }
            domains.insert(domain)
        }
        guard !domains.isEmpty, state == .serving else { return }
        var waiting: [(id: MessageID, job: JobKey)] = []
        jobs.forEach { key, job in
            let message = messages[job.message]
            if job.recipients.contains(where: { domains.contains(message.recipients[Int($0)].address.domainKey) }) {
                waiting.append((message.id, key))
            }
        }
        for (_, job) in waiting.sorted(by: { $0.id < $1.id }) where jobs.contains(job) {
            let key = jobs[job].message
            guard messages[key].pendingCommand == nil, withdrawWhole(job, of: key, now) else { continue }
            beginTry(key, now, &effects)
        }
    }

    package func rulesInForce(at now: Now) -> [MailRule] {
        rules.all.values.filter { $0.isInForce(at: now.wall) }.sorted { $0.key < $1.key }
    }

    /// What a client hears at MAIL; nil: it may go on. `user` is empty for one who did not authenticate.
    package func refusal(ofSender sender: Address?, user: String, at now: Now) -> Reply? {
        rules.refusal(user: user, sender: sender, at: now.wall)
    }

    /// A rule may be newer than the replies to the envelope.
    func refusal(of submission: Submission, _ now: Now) -> Reply? {
        guard !rules.isEmpty else { return nil }
        return rules.refusal(user: submission.user, sender: submission.envelope.reversePath, at: now.wall)
    }

    // MARK: At a try

    /// Holds and fails those due recipients that rules and suppressions keep from being tried.
    mutating func applyRules(to key: MessageKey, _ now: Now, _ effects: inout [NodeEffect]) {
        let looksForSuppressions =
            configuration.suppressions.check == .routing && records.has(kind: Suppression.kind)
        guard !rules.isEmpty || looksForSuppressions else { return }
        var held: [(reason: String, recipients: [Int])] = []
        var suppressed: [(recipient: UInt32, verdict: Verdict)] = []
        for position in messages[key].recipients.indices {
            let recipient = messages[key].recipients[position]
            guard case .waiting(let at) = recipient.state, at <= now.instant else { continue }
            if let rule = hold(on: recipient, of: key, now) {
                let why = rule.reason.isEmpty ? "" : ": \(rule.reason)"
                let reason = "mail \(rule.subject.words) is suspended by \(rule.by)\(why)"
                if let place = held.firstIndex(where: { $0.reason == reason }) {
                    held[place].recipients.append(position)
                } else {
                    held.append((reason, [position]))
                }
            } else if looksForSuppressions, let entry = suppression(of: recipient.address, at: now) {
                suppressed.append((UInt32(position), .suppressed(entry.refusal)))
            }
        }
        for group in held { appendHold(key, group.recipients, reason: group.reason, now, &effects) }
        guard !suppressed.isEmpty else { return }
        counters.suppressed += UInt64(suppressed.count)
        let job = jobs.insert(
            Job(
                message: key, recipients: suppressed.map(\.recipient), route: 0, provider: .other, isRetry: false,
                begun: now.wall,
                queued: now.instant, fairKey: FairKey(user: messages[key].user, destination: 0)))
        messages[key].jobs += 1
        claim(job)
        end(job, with: suppressed, now, &effects)
    }

    /// What a person released is not held again by a rule that stood then.
    private func hold(on recipient: Recipient, of key: MessageKey, _ now: Now) -> MailRule? {
        guard !rules.isEmpty else { return nil }
        func holds(_ rule: MailRule?) -> Bool { rule.map { $0.action == .hold && $0.at > recipient.released } ?? false }
        if let rule = rules.suspension(to: recipient.address, at: now.wall), holds(rule) { return rule }
        guard recipient.tries == 0 else { return nil }
        let rule = rules.suspension(
            user: messages[key].userName, sender: messages[key].reversePath, at: now.wall)
        return holds(rule) ? rule : nil
    }

    /// The one upstream that a command or a rule put in the place of its route; nil where there is none, or where this
    /// node's configuration has it not.
    func redirection(of recipient: Recipient, _ now: Now) -> Int? {
        if recipient.redirect.isEmpty, rules.isEmpty { return nil }
        let name =
            recipient.redirect.isEmpty
            ? rules.redirection(to: recipient.address, at: now.wall) : recipient.redirect
        guard let name, let upstream = router.upstreams.firstIndex(where: { $0.name == name }) else { return nil }
        return router.route(by: upstream)
    }
}
