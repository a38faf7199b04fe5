/// What `baton explain` prints for each problem that `baton status` can name.
struct Runbook: Codable, Sendable {
    var name: String
    var title: String
    var text: String

    static let entries = node + cluster + rules

    /// What one node can have by itself.
    private static let node = [
        Runbook(
            name: "upstream-down", title: "an upstream takes no mail",
            text: """
                It cannot be reached, or refuses before any message is named: at connect, greeting, EHLO, STARTTLS.
                That speaks of the upstream, never of a message: nothing bounces because of it before its lifetime ends.

                Baton sends by the other upstreams of the route, tries this one again after a growing pause, and gives it
                mail slowly at first when it is back. With no other upstream, messages are shown as waiting for it.

                What to do
                1. baton upstreams show NAME     the last words of the upstream
                2. a refusal (554, 421): ask its operator; an account may be suspended or an address blocked
                3. no connection: name, port and firewall; a connection from this machine: openssl s_client or nc
                4. gone for long: baton upstreams disable NAME, or another upstream in the configuration, then a restart
                """),
        Runbook(
            name: "disk-low", title: "the data directory has too little free space",
            text: """
                Below the mark (node.minimumFree; by default 2 GiB or 10 %) no mail is accepted: clients get
                452 4.3.1 and keep it. What is queued goes on being delivered, from space that was kept for that.

                Baton accepts again by itself as soon as there is enough.

                What to do
                1. df -h                         what else fills the file system
                2. baton queue summary --by to   a long queue for one destination
                3. a larger disk, or a smaller node.minimumFree if this one is small on purpose
                """),
        Runbook(
            name: "reload-refused", title: "a new configuration was not taken over",
            text: """
                After SIGHUP the configuration, or a file that it names, had errors. The node runs on with what it had.

                What to do
                1. baton config check FILE       all that is wrong with it
                2. mend it, then SIGHUP again: the problem ends with a reload that succeeds
                """),
        Runbook(
            name: "disk-broken", title: "the data directory cannot be written",
            text: """
                A write or sync failed, and at the start a test file failed too. A disk that failed a sync may have lost
                anything since the last one, so Baton does not go on with it: no mail is taken, none is delivered.

                What was accepted is on the disk and waits.

                What to do
                1. dmesg, smartctl -a            what the disk says
                2. repair or replace it, copy the data directory, restart baton
                3. baton journal export OUT --data DIR     reads every unfinished message without a node
                """),
        Runbook(
            name: "queue-full", title: "the queue holds as many messages as it may",
            text: """
                The queue's index is in memory and bounded. Clients get 452 and keep new mail; messages leave as always.

                What to do
                1. baton queue summary --by upstream, --by reply     why they stay
                2. baton upstreams                                   one that is down or slow
                3. baton queue cancel --from ADDRESS                 a sender that floods
                """),
        Runbook(
            name: "destination-deferred", title: "mail waits for a recipient domain that defers",
            text: """
                The last transactions for it were all deferred (4xx) for a reason of its own: it can't be reached, has
                trouble, or wants less. Its messages are parked: they take no connection and stand in nobody's way.

                Baton tries one message at a time, each after twice the wait of the one before (5 s to 15 min). Once it
                takes one, two go, then four, until all are gone. Nothing is bounced before its lifetime ends.

                What to do
                1. baton queue summary --by destination     which domains, and what they say
                2. baton queue retry ID                     tries one now; if it is taken, the others follow
                3. baton queue bounce --to @DOMAIN          if it is gone for good
                """),
        Runbook(
            name: "journal-damaged", title: "a journal file had a bad frame",
            text: """
                At its start Baton found bytes in a journal that are no frame: a torn write at a power cut (only the end is
                lost, and nothing of it had been answered with 250), or a disk that changed bytes.

                Everything readable is in the queue. If frames came after the damage, their messages were moved to a new
                journal and the old file is kept as *.damaged; what lay in the gap is gone on this node. Messages whose
                outcome may have been in the gap are uncertain: they may arrive twice.

                What to do
                1. baton queue list --uncertain
                2. dmesg, smartctl -a, memtest: find out why, before it happens again
                """),
        Runbook(
            name: "journal-newer", title: "a journal was written by a newer version",
            text: """
                It holds frames that this version does not know, and so cannot deliver safely. Its messages wait.

                What to do: start the newer version again on this data directory.
                """),
    ]
}
