import Node
import Primitives
import SMTP

/// The upstream's end of a connection. It goes on after the node's process has died: what was on the way arrives.
extension Simulation {
    func greet(_ link: Link) {
        let upstream = link.upstream
        if strikes(.hang, upstream) { return link.server.phase = .silent }
        if strikes(.drop, upstream) { return hangUp(link) }
        if strikes(.greetPermanent, upstream) {
            reply(answer(554, 5, 7, 1, "you are blocked here"), link)
            return hangUp(link)
        }
        if strikes(.greetTransient, upstream) {
            reply(answer(421, 4, 7, 0, "too many connections"), link)
            return hangUp(link)
        }
        reply(Reply(220, text: Array("\(upstreams[upstream].name) ESMTP".utf8)), link)
        scheduleStaleness(link)
    }

    /// Some close what is idle, at any time.
    private func scheduleStaleness(_ link: Link) {
        guard strikes(.staleConnection, link.upstream) else { return }
        let wait = random.duration(acrossOrdersOf: .milliseconds(10)...(.seconds(10)))
        scheduler.after(wait) { [unowned self] in
            guard link.server.phase == .commands, !link.server.hasMail else { return }
            if random.chance(0.5) { reply(Reply(421, text: Array("idle for too long".utf8)), link) }
            hangUp(link)
        }
    }

    func arrive(_ item: ToServer, _ link: Link) {
        guard link.server.phase != .over, violation == nil else { return }
        switch item {
        case .end:
            link.server.phase = .over
            return
        case .handshake:
            if strikes(.failTLS, link.upstream) { return hangUp(link) }
            link.server.reset()
            link.server.buffer = []
            later(wire(), link) { [unowned self] in
                act(link) { session, actions in session.handle(.tlsStarted, &actions) }
            }
            return
        case .bytes(let bytes): link.server.buffer += bytes
        case .content(let bytes, let transaction):
            guard link.server.phase == .content else { return }
            link.server.content += bytes
            link.server.transaction = transaction
            if strikes(.contentRefused, link.upstream) {
                refuse(link, answer(552, 5, 3, 4, "that is too much"))
                return hangUp(link)
            }
        case .dot(let transaction):
            guard link.server.phase == .content else { return }
            link.server.transaction = transaction
            finalDot(link)
        }
        serve(link)
    }

    private func serve(_ link: Link) {
        while link.server.phase == .commands || link.server.phase == .content, let line = link.server.line() {
            if link.server.phase == .content {
                // Only the lone dot after a DATA without recipients comes as bytes.
                if line == [0x2e] { finalDot(link) }
                continue
            }
            command(line, link)
        }
    }

    private func command(_ line: [UInt8], _ link: Link) {
        let text = String(decoding: line, as: UTF8.self)
        say("\(link.name) ⇒ \(text)")
        let upstream = link.upstream
        if text == "QUIT" {
            reply(answer(221, 2, 0, 0, "bye"), link)
            return hangUp(link)
        }
        if strikes(.hang, upstream) { return link.server.phase = .silent }
        if strikes(.drop, upstream) { return hangUp(link) }
        if strikes(.close421, upstream) {
            reply(answer(421, 4, 3, 2, "shutting down"), link)
            return hangUp(link)
        }
        if strikes(.nonsense, upstream) {
            // Never a code that would say yes to this command.
            return reply(Reply(text == "DATA" ? 299 : 399, text: Array("indeed?".utf8)), link)
        }
        if text.hasPrefix("EHLO") || text.hasPrefix("HELO") {
            ehlo(link, isExtended: text.hasPrefix("E"))
        } else if text == "STARTTLS" {
            reply(answer(220, 2, 0, 0, "go ahead"), link)
        } else if text == "RSET" {
            link.server.reset()
            reply(answer(250, 2, 0, 0, "ok"), link)
        } else if text.hasPrefix("MAIL FROM:<") {
            mail(line, link)
        } else if text.hasPrefix("RCPT TO:<") {
            recipient(line, link)
        } else if text == "DATA" {
            data(link)
        } else {
            fail("the session says '\(text)'")
        }
    }

    private func ehlo(_ link: Link, isExtended: Bool) {
        if isExtended, strikes(.refuseEHLO, link.upstream) {
            return reply(random.pick([answer(502, 5, 5, 1, "what?"), answer(451, 4, 3, 0, "not now")]), link)
        }
        let offers = upstreams[link.upstream].capabilities
        if !isExtended { upstreams[link.upstream].offerNothing() }
        var lines = [upstreams[link.upstream].name]
        if isExtended {
            if offers.pipelining { lines.append("PIPELINING") }
            if offers.eightBitMIME { lines.append("8BITMIME") }
            if offers.smtputf8 { lines.append("SMTPUTF8") }
            if offers.startTLS { lines.append("STARTTLS") }
            if offers.size { lines.append("SIZE " + (offers.sizeLimit.map { "\($0)" } ?? "0")) }
        }
        reply(Reply(250, text: Array(lines.joined(separator: "\n").utf8)), link)
    }

    private func mail(_ line: [UInt8], _ link: Link) {
        let path = bracketed(line)
        let upstream = link.upstream
        if strikes(.mailTransient, upstream) { return reply(answer(451, 4, 3, 0, "not now"), link) }
        if strikes(.mailRights, upstream) { return reply(answer(550, 5, 7, 0, "authentication required"), link) }
        if strikes(.mailPermanent, upstream) {
            for transaction in link.transactions.values where (transaction.request.reversePath?.bytes ?? []) == path {
                for recipient in transaction.request.recipients { markRefused(transaction.message, recipient.bytes) }
            }
            return reply(answer(550, 5, 1, 8, "not this sender"), link)
        }
        link.server.reset()
        link.server.hasMail = true
        link.server.reversePath = path
        let words = String(decoding: line, as: UTF8.self).split(separator: " ")
        link.server.isEightBit = words.contains("BODY=8BITMIME")
        link.server.isInternationalized = words.contains("SMTPUTF8")
        reply(answer(250, 2, 1, 0, "ok"), link)
    }

    private func recipient(_ line: [UInt8], _ link: Link) {
        let address = bracketed(line)
        let upstream = link.upstream
        guard link.server.hasMail else { return reply(answer(503, 5, 5, 1, "MAIL first"), link) }
        if address.starts(with: "dead".utf8) || strikes(.recipientPermanent, upstream) {
            markRefused(address, link)
            return reply(answer(550, 5, 1, 1, "no such user"), link)
        }
        if let domain = text(address).split(separator: "@").last, let block = upstreams[upstream].blocks[String(domain)]
        {
            if block.isPermanent { markRefused(address, link) }
            return reply(block, link)
        }
        if strikes(.recipientTransient, upstream) { return reply(answer(450, 4, 2, 1, "busy"), link) }
        let domain = String(decoding: address.suffix(from: (address.lastIndex(of: 0x40) ?? -1) + 1), as: UTF8.self)
        if let time = upstreams[upstream].unreachable[domain] {
            return reply(answer(451, 4, 4, 1, "no answer from its hosts"), link, after: time)
        }
        if domain == "d0.example.net", strikes(.domainDown, upstream) {
            return reply(answer(451, 4, 4, 1, "no answer from its hosts"), link)
        }
        if strikes(.tooManyRecipients, upstream) {
            return reply(
                random.chance(0.5) ? Reply(452, 4, 5, 3, "too many") : Reply(452, text: Array("too many".utf8)), link)
        }
        link.server.recipients.append(address)
        reply(answer(250, 2, 1, 5, "ok"), link)
    }

    private func data(_ link: Link) {
        let upstream = link.upstream
        guard link.server.hasMail else { return reply(answer(503, 5, 5, 1, "MAIL first"), link) }
        guard !link.server.recipients.isEmpty else {
            // Both are seen in the field (RFC 2920 §3.1).
            if random.chance(0.8) { return reply(answer(554, 5, 5, 1, "no valid recipients"), link) }
            link.server.phase = .content
            return reply(Reply(354, text: Array("go ahead".utf8)), link)
        }
        if strikes(.dataTransient, upstream) { return reply(answer(451, 4, 3, 0, "not now"), link) }
        if strikes(.dataPermanent, upstream) { return refuse(link, answer(554, 5, 7, 1, "no")) }
        link.server.phase = .content
        reply(Reply(354, text: Array("go ahead".utf8)), link)
    }

    private func finalDot(_ link: Link) {
        let upstream = link.upstream
        defer {
            if link.server.phase == .content { link.server.phase = .commands }
            link.server.completed += 1
            link.server.reset()
        }
        guard !link.server.recipients.isEmpty else { return reply(answer(554, 5, 5, 1, "no valid recipients"), link) }
        if strikes(.drop, upstream) {
            if random.chance(0.5) { take(link) }
            return hangUp(link)
        }
        if strikes(.dotLost, upstream) { return link.server.phase = .silent }
        if strikes(.dotUnanswered, upstream) {
            take(link)
            if random.chance(0.5) { return hangUp(link) }
            return link.server.phase = .silent
        }
        if strikes(.dotTransient, upstream) {
            return reply(random.pick([answer(451, 4, 3, 0, "not now"), answer(421, 4, 3, 2, "shutting down")]), link)
        }
        if strikes(.dotPermanent, upstream) {
            return refuse(link, answer(554, 5, 7, 1, "we do not want it"), after: dotDelay ?? .zero)
        }
        take(link)
        let longest = strikes(.dotSlow, upstream) ? plan.longestReply : .milliseconds(50)
        let work = dotDelay ?? random.duration(acrossOrdersOf: max(.microseconds(100), longest / 50)...longest)
        reply(answer(250, 2, 0, 0, "taken"), link, after: work)
    }

    /// The upstream has the message from here on: whatever happens to the reply.
    private func take(_ link: Link) {
        guard let transaction = link.server.transaction else { return fail("a dot that nobody wrote") }
        received(
            transaction, from: link.server.reversePath ?? [], recipients: link.server.recipients,
            content: link.server.content, isEightBit: link.server.isEightBit,
            isInternationalized: link.server.isInternationalized, upstream: link.upstream)
    }

    private func refuse(_ link: Link, _ reply: Reply, after work: Duration = .zero) {
        for address in link.server.recipients { markRefused(address, link) }
        self.reply(reply, link, after: work)
    }

    private func markRefused(_ address: [UInt8], _ link: Link) {
        for transaction in link.transactions.values
        where transaction.request.recipients.contains(where: { $0.bytes == address }) {
            markRefused(transaction.message, address)
        }
    }

    private func markRefused(_ id: MessageID, _ address: [UInt8]) {
        guard let index = books.messages[id]?.index(of: address) else { return }
        books.messages[id]?.recipients[index].isRefused = true
    }

    private func answer(
        _ code: Int, _ class: UInt8, _ subject: UInt16, _ detail: UInt16, _ text: String
    ) -> Reply {
        random.chance(0.7) ? Reply(code, `class`, subject, detail, text) : Reply(code, text: Array(text.utf8))
    }

    private func bracketed(_ line: [UInt8]) -> [UInt8] {
        guard let open = line.firstIndex(of: 0x3c), let close = line.lastIndex(of: 0x3e), open < close else {
            return []
        }
        return Array(line[(open + 1)..<close])
    }
}
