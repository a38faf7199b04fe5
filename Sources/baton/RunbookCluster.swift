extension Runbook {
    /// Problems that only a cluster of several nodes can have (`Admin/ClusterProblems.swift`).
    static let cluster = [
        Runbook(
            name: "node-down", title: "a node has fallen silent",
            text: """
                Nobody has heard it for a lease, or its port refuses connections: its process ended, its machine is off, or the
                network to it is cut. Its journals were claimed by nodes that hold copies, within half a second when its process
                died, within a lease and a little when it fell silent. Nothing that was answered with 250 is lost.

                Messages that had a final dot under way may arrive twice; status counts them under TAKEOVER.

                What to do
                1. baton nodes                   who hears it, who does not: only some means a network between them
                2. systemctl start baton         on that node; it catches up by itself: baton journals
                3. its disk is gone              start it with an empty data directory, under the same name
                4. it never comes back           baton node forget NAME, so that nobody waits for it
                5. before touching another node  baton wait --for can-lose-one
                """),
        Runbook(
            name: "no-majority", title: "too few nodes answer",
            text: """
                A message is accepted once a majority of its copies is on disk, and delivered only by a node whose lease a majority
                granted. With fewer nodes than that, clients hear 451 4.3.2 and keep new mail; nothing is delivered.

                What was accepted is safe on the disks, also on those of the nodes that are down. As soon as a majority answers,
                everything goes on by itself.

                What to do
                1. baton status                  which nodes are down; DOWN with 'refuses connections' is a dead process
                2. systemctl start baton         on any one of them
                3. they run: baton doctor        which connections are missing, and why
                """),
        Runbook(
            name: "too-few-nodes", title: "this node has not met enough others yet",
            text: """
                Mail is accepted into a journal with cluster.replicas copies, never fewer, and this node has not met that many
                nodes since its data directory was made.

                What to do
                1. start the other nodes
                2. baton doctor                  'nobody has answered at' names the addresses of cluster.peers that are silent
                3. one cluster has one name and one secret: compare cluster.name and cluster.secretFiles on all nodes
                """),
        Runbook(
            name: "journal-ownerless", title: "journals wait for an owner",
            text: """
                The owner is gone, and no other node could claim its journal: a majority of that journal's copies must answer.
                For a moment after a node's death that is as it should be.

                What to do when it stays so
                1. baton journals                the copies that are down: WHERE names the nodes
                2. systemctl start baton         on one of those
                """),
        Runbook(
            name: "no-answer", title: "a node lives but did not answer a question",
            text: """
                Its pulses are heard, so mail moves, but the admin question to it was not answered in time: it is very busy, or its
                connections carry more than the network takes. What it owns is missing in that answer.

                What to do: ask again; then baton doctor, and the load of that machine.
                """),
        Runbook(
            name: "partition", title: "some nodes do not hear each other",
            text: """
                A node that is alive is not heard by others: a firewall, a route, a cable one way. Journals whose owner cannot reach
                a majority change hands. Who cannot prove its lease stops before the final dot, so nothing is sent twice because
                of it, but every such cut costs copies.

                What to do
                1. baton nodes                   SEEN BY: who hears whom
                2. baton doctor                  each connection, both ways, with its address
                3. the port of cluster.listen must be open both ways between all nodes
                """),
        Runbook(
            name: "clock", title: "the clocks of nodes are apart",
            text: """
                Wall clocks stamp mail and retry times; leases do not rest on them. After a takeover the new owner's clock
                counts: a message may be tried too early or too late by the difference, and traces are out of order.

                What to do
                1. timedatectl                   on each node: which one is not synchronized
                2. chronyc tracking, or the time service of your system
                """),
        Runbook(
            name: "copy-lacking", title: "a disk is gone, and journals lack the copy on it",
            text: """
                A node came back with an empty data directory (or was forgotten): it is a new replica. Journals that had a copy on
                the old disk go on with the others; new journals have all their copies, on the new disk too. The old ones are
                retired, and the problem ends, as their last messages are delivered or expire.

                Until then losing one more node may leave them without a majority.

                What to do
                1. baton journals --lacking      which, how many messages
                2. baton queue summary --by reply     what keeps their last messages
                3. before touching another node: baton wait --for can-lose-one --timeout 1h
                """),
        Runbook(
            name: "single-copy", title: "journals from before the cluster have one copy",
            text: """
                They were opened when this node was alone (cluster.replicas: 1) and stay on its one disk. New mail has all its
                copies. They are retired as their messages finish.

                What to do: nothing, or baton queue retry --all to hurry them; keep that disk until baton journals --lacking is
                empty.
                """),
        Runbook(
            name: "node-drained", title: "a node was drained by hand",
            text: """
                baton drain wrote a record that every node keeps: the node takes no mail and owns nothing, also after a restart. It
                keeps its copies, so it still counts when a majority is needed.

                What to do: baton resume NAME, when the work on it is done.
                """),
        Runbook(
            name: "upstream-off", title: "an upstream was switched off by hand",
            text: """
                baton upstreams disable wrote a record that every node keeps, through restarts. Its mail goes by the other
                upstreams of the route; without one it waits, and nothing bounces before its lifetime ends.

                What to do: baton upstreams enable NAME.
                """),
        Runbook(
            name: "version-skew", title: "nodes run different versions",
            text: """
                As it should be during an upgrade: nodes speak what all understand, and write nothing that the older ones cannot
                read until baton cluster finalize.

                What to do: go on with the upgrade, one node at a time:
                1. baton drain NAME; install; systemctl restart baton; baton resume NAME
                2. baton wait --for can-lose-one --timeout 10m
                3. after the last one, when PROTOCOLS of baton nodes allows: baton cluster finalize VERSION
                """),
        Runbook(
            name: "configuration-skew", title: "the nodes' configuration files differ",
            text: """
                What should be alike on all nodes is not: cluster name, replicas, lease, upstreams, routes, delivery. A message's way
                then depends on which node owns it.

                What to do
                1. compare the files; what is each node's own is node, listeners, addresses, files
                2. baton config check FILE; systemctl reload baton
                """),
        Runbook(
            name: "peer-refused", title: "somebody is not spoken to",
            text: """
                A process connected to this node's cluster port, or answered at an address of cluster.peers, and was refused: it does
                not know the cluster's secret, belongs to a cluster of another name, or speaks no Baton at all. Not a byte of
                mail was shown to it.

                What to do
                1. it belongs to this cluster: cluster.name and the first line of cluster.secretFiles must be the same everywhere
                2. it does not: find out who it is (the address is in the problem), and close the port to it
                3. a secret is being changed: add the new one on all nodes, SIGHUP, then put it first, SIGHUP, then remove the old
                """),
        Runbook(
            name: "node-name-taken", title: "two nodes have one name",
            text: """
                Two live processes with different data directories have the same node.name. The others speak to the one that they met
                first; the later one takes no part.

                What to do
                1. give the later one a node.name of its own and an empty data directory, then start it
                2. it was moved to a new machine: stop the old one first
                """),
    ]
}
