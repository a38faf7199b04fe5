extension Runbook {
    /// Problems with upstreams and with what they say (`Node/NodeUpstreamQueries.swift`).
    static let upstreams = [
        Runbook(
            name: "upstream-unreachable-here",
            title: "an upstream can't be reached from one node, while others work with it",
            text: """
                Only this node's connections fail; other nodes delivered by the same upstream meanwhile. So the fault lies between
                this node and the upstream: a route, a firewall, an address that the upstream does not allow.

                Baton takes it for the node's own fault: the upstream stays open for the others, and this node's mail goes by other
                upstreams of the route, or waits. It tries again by itself.

                What to do
                1. baton doctor                  on that node: names, routes, certificates
                2. baton upstreams show NAME     what the connection ends with
                3. it will take long: baton drain NODE, so that the others deliver its mail
                """),
        Runbook(
            name: "upstream-login-failed", title: "an upstream does not let Baton in, or does not relay for it",
            text: """
                It refused the login, the right to relay, or every connection before any message was named (554, 530, 535,
                'relaying denied', 'account suspended'). That is between us and the upstream: no message is at fault, none is bounced.

                Baton sends by the other upstreams of the route, and tries this one once a minute, so that no account is locked.

                What to do
                1. baton upstreams show NAME     its words
                2. account, password, permitted addresses and senders, unpaid bills, at the upstream's console
                3. baton upstreams reset NAME    tries it at once
                """),
        Runbook(
            name: "upstream-blocked", title: "a mailbox provider refuses an upstream",
            text: """
                Most of the latest results of this upstream at this provider were refusals for the upstream's sake: its address, its
                network or its reputation (class policy-block), or its pace (rate-limited). They may come as SMTP replies, or later, in
                the upstream's event feed or as bounces: what it has taken by then is out of Baton's reach.

                Baton sends this provider's mail by the other upstreams, and nothing else changes. It tries one message a minute, and
                once that is taken, gives the share back in steps of 10 % after 20 good results each.
                With no other upstream the mail waits for the probes.

                What to do
                1. baton upstreams show NAME --at PROVIDER      since when, what it says, when the next probe goes
                2. the provider's postmaster pages; a listing (DNSBL) that the reply names; who sent what: baton queue summary --by user
                3. solved: baton upstreams reset NAME --at PROVIDER
                """),
        Runbook(
            name: "bounce-storm", title: "an upstream refuses nearly everything, and its bounces are held",
            text: """
                More than half of its last 100 results are 5xx that speak neither of a recipient nor of a domain. When an upstream is
                misconfigured, or a filter goes wild, it would bounce a day's mail in a minute.

                Baton goes on sending, and holds what is refused so instead of bouncing it. Refusals of recipients bounce as ever.

                What to do
                1. baton upstreams show NAME                    its words
                2. baton queue list --state held --upstream NAME
                3. mended: baton queue release --upstream NAME  they are tried again
                4. they were right: baton queue bounce --upstream NAME
                """),
        Runbook(
            name: "upstream-certificate", title: "an upstream's certificate ends soon, or has ended",
            text: """
                The certificate that it showed last ends within 14 days. With tls: "verify" no connection will be made after that, and
                its mail goes by the other upstreams, or waits. With other modes nothing changes: it is not looked at.

                What to do
                1. baton upstreams show NAME     until when it is good
                2. ask its operator; a server of your own: renew its certificate
                """),
        Runbook(
            name: "upstream-budget-spent", title: "an upstream has used up its budget",
            text: """
                What was sent by it today or this month, at its price, has reached upstreams[].budget. Days and months are those of UTC;
                the sum is that of the whole cluster and survives restarts.

                Baton sends by the other upstreams of the routes until the next day or month begins; with no other, mail waits.

                What to do
                1. baton upstreams               what was spent where
                2. raise upstreams[].budget, then restart the nodes one after another (cluster/roll, or baton drain)
                """),
    ]
}
