extension Runbook {
    /// What people decided about mail yet to come, and where it is kept.
    static let rules = [
        Runbook(
            name: "suspended", title: "mail of a user, from a sender or to a destination is suspended by hand",
            text: """
                baton queue suspend (or queue hold --to-domain) wrote a rule that every node keeps, through restarts. Refused mail
                gets 550 5.7.1 at MAIL or RCPT, or 450 4.7.1 when the rule ends by itself. Held mail is accepted and waits.

                What to do
                1. baton queue suspend --list            who is suspended, since when, by whom, until when, and why
                2. baton queue list --state held         what is held
                3. baton queue resume --user NAME        (--from, --to-domain) takes it back; what is held stays held
                4. baton queue release --user NAME       lets go what was held; cancel or bounce end it
                5. baton queue release --to-domain NAME  a held destination: both at once
                """),
        Runbook(
            name: "redirected", title: "mail to a destination goes by another upstream, by hand",
            text: """
                baton queue redirect --to-domain wrote a rule that every node keeps, through restarts: the destination's mail goes by
                the named upstream alone, whatever its route says, and waits when that one takes no mail.

                What to do: baton queue redirect --to-domain NAME --off, when its own route is to be used again.
                """),
        Runbook(
            name: "records-full", title: "the cluster's records are nearly full",
            text: """
                Suppressions, rules, counters and the like are records that every node keeps in memory and in one file: 100,000 of
                them at most, or 32 MiB. When they are full, a new one is refused: baton suppressions add and import say so, and hard
                bounces suppress nothing. What is there stays in force. What ended is forgotten after 7 days more.

                What to do
                1. baton suppressions export list.csv    keep it
                2. baton suppressions remove --cause bounce --older-than 60d
                3. suppressions.expiry in the configuration: a shorter one keeps bounces for less long
                """),
    ]
}
