internal import Primitives
internal import Routing

/// The router's limits hold back what is in line for an upstream.
extension Node {
    /// So many jobs with what they need of the limits may wait for each connection.
    private static let grantedAhead = 2

    /// Takes what a transaction needs of the upstream's limits; one that gets nothing waits for its provider's turn.
    mutating func isGranted(_ key: JobKey, _ lane: Int, _ now: Now) -> Bool {
        if jobs[key].hasToken { return true }
        let provider = jobs[key].provider
        if let until = lanes[lane].paced[provider]?.until, until > now.instant {
            pace(key, lane, until: until)
            return false
        }
        switch take(key, lane, now) {
        case .granted: return true
        case .wait(let until):
            pace(key, lane, until: until)
            return false
        }
    }

    private mutating func take(_ key: JobKey, _ lane: Int, _ now: Now) -> Limits.Taken {
        let taken = router.limits.take(
            upstream: lane, provider: jobs[key].provider, recipients: nextRecipients(of: key, lane), at: now.instant)
        if taken == .granted { jobs[key].hasToken = true }
        return taken
    }

    /// Of a long job its next transaction.
    private func nextRecipients(of key: JobKey, _ lane: Int) -> Int {
        min(jobs[key].recipients.count, max(1, lanes[lane].upstream.maximumRecipients))
    }

    private mutating func pace(_ key: JobKey, _ lane: Int, until: Instant) {
        let provider = jobs[key].provider
        jobs[key].standing = lanes[lane].pace(key, of: provider, for: jobs[key].fairKey, until: until)
    }

    /// Those whose limit is free again go before what came later, as far as connections may take them soon.
    mutating func releasePaced(_ lane: Int, _ now: Now) {
        guard !lanes[lane].paced.isEmpty else { return }
        let enough = max(4, Node.grantedAhead * router.health[lane].allowedConnections)
        for provider in lanes[lane].paced.keys.sorted() {
            while lanes[lane].readyCount < enough, let key = lanes[lane].popPaced(of: provider, at: now.instant) {
                switch take(key, lane, now) {
                case .granted:
                    jobs[key].standing = lanes[lane].enqueue(
                        key, for: jobs[key].fairKey, isRetry: jobs[key].isRetry)
                case .wait(let until):
                    jobs[key].standing = lanes[lane].paceFirst(key, of: provider, until: until)
                }
            }
        }
    }

    /// It is not in line there any more: what was lent to it is given back.
    mutating func leaveLine(_ key: JobKey, _ lane: Int) {
        lanes[lane].count(-1, of: jobs[key].provider)
        if jobs[key].hasToken {
            router.limits.giveBack(
                upstream: lane, provider: jobs[key].provider, recipients: nextRecipients(of: key, lane),
                at: present.instant)
            jobs[key].hasToken = false
        }
        jobs[key].place = .unplaced
        jobs[key].standing = .none
    }
}
