extension Configuration {
    /// What `baton config example` prints: every key of this version with its default or an example, and what it is for.
    package static let example = """
        // Baton's configuration: JSON5 (comments and trailing commas are welcome).
        // Durations "2s", "1h30m", sizes "50MiB". Relative paths are relative to this file.
        // Check it with: baton config check FILE
        {
          node: {
            name: "a",                          // short and lasting: it stands in logs and in the data directory
            dataDirectory: "/var/lib/baton",    // the queue; must survive a reboot
            // zone: "eu-1a",                   // where this node stands; peers and status tell it
            // minimumFree: "2GiB",             // below so much free disk no mail is taken (default: 2GiB or 10 %)
          },

          cluster: {
            name: "mail",                       // a data directory belongs to one cluster and refuses others

            // Several nodes share one queue, and a dead one's mail moves by itself. All that follows goes together; without
            // `listen` this node is alone and keeps the only copy.
            // listen: "10.0.0.1:7400",         // where the other nodes connect to: never through a balancer or NAT
            // advertise: "10.0.0.1:7400",      // what they are told, if not `listen`; needed when that is 0.0.0.0
            // peers: ["10.0.0.1:7400", "10.0.0.2:7400", "10.0.0.3:7400"],   // every node, this one too
            // secretFiles: ["cluster.secret"], // the first is offered, all are taken: head -c 32 /dev/urandom | base64
            // replicas: 3,                     // copies of each message (default: 3, or as many as there are nodes)
            // lease: "2s",                     // a node that is silent for so long loses its queue to another
            // fastFailover: true,              // false: wait for the lease even when a process is known to be dead
          },

          smtp: {
            hostname: "relay.example.net",      // greets clients and upstreams, and stands in Received
            postmaster: "ops@example.net",      // gets mail for "postmaster" without a domain
            listeners: [
              { address: "0.0.0.0:2525", tls: "off" },        // off, optional (STARTTLS offered) or required
              // Behind a balancer: each connection from it begins with a PROXY header that names the client, no other may.
              // { address: "0.0.0.0:2526", proxyProtocol: ["192.168.0.9/32"] },
            ],
            // certificateFile: "relay.pem",    // with its chain; needed for tls: "optional" and "required"
            // privateKeyFile: "relay.key",     // readable by this user only
            relayFrom: ["127.0.0.0/8", "::1", "10.0.0.0/8"],  // who may send; all others get 550 5.7.1
            maximumMessageSize: "50MiB",
            maximumRecipients: 1000,            // of one message
            maximumConnections: 10000,
            maximumConnectionsPerAddress: 200,
            maximumMessagesPerSession: 1000,
            maximumSessionAge: "10m",
            addMissingHeaders: true,            // Date and Message-ID
          },

          // Where mail goes. Several share the mail by weight, and stand in for each other.
          upstreams: [
            {
              name: "main",
              address: ["smtp.example.com:587"],              // several: tried in order
              tls: "verify",                    // off, opportunistic (default), required, verify (checks the certificate)
              implicitTls: false,               // TLS from the first byte, for port 465
              // serverName: "smtp.example.com",  // the name in its certificate, if not the address's
              // caFile: "ca.pem",              // instead of the system's authorities
              // helo: "relay.example.net",     // if not smtp.hostname
              // sourceAddresses: ["10.0.1.9"], // local addresses to connect from
              weight: 70,                       // 0: only when no other is usable
              maximumConnections: 20,           // of the whole cluster, as every limit here
              maximumMessagesPerConnection: 100,
              idleTimeout: "5s",
              pipelining: true,
              maximumRecipients: 50,            // in one transaction
              maximumMessageSize: "40MiB",
              nullSender: true,                 // takes bounces
              timeouts: { connect: "10s", greeting: "60s", command: "2m", data: "3m", finalDot: "10m" },
              rate: ["50/s", "10000/h", "100000/d"],          // recipients; "50 messages/s" counts messages
              // account: "acme",               // upstreams of one account share their limits
              perProvider: { google: { rate: "20/s", maximumConnections: 5 } },  // "*": at each that is not named
              // A new sending address starts small; without `since` on the day that a node first reads this.
              // warmup: { from: "200/d", to: "100000/d", over: "30d", since: "2026-12-01" },
              price: "0.10/1000",               // for each recipient, in any currency, the same everywhere
              budget: { day: 50, month: 1000 }, // nothing goes this way beyond it
              // What it says of mail after its 250, posted to feedback.listen at /feedback/main; of type
              // "ses" (topic: an SNS topic's ARN), "sendgrid" (publicKeyFile), "mailgun", "postmark", "plain" (secretFile).
              // feedback: { type: "ses", topic: "arn:aws:sns:eu-west-1:123456789012:ses-events" },
              // Bounces come back to this sender, signed in {id}, instead of the message's own, who is told by Baton.
              // envelopeSender: "b+{id}@b.example.net",
            },
            { name: "own", address: ["10.0.1.5:25"], weight: 30 },
          ],

          // The first match counts, anew at every try. Without routes every upstream takes all mail. Keys: recipientDomain,
          // senderDomain, sender ("<>": null sender), client (behind the balancer), header (patterns with * and ?), size
          // ({ over: "5MiB" }, { upTo: … }), priority (low, normal, high, by X-Priority, Priority or Importance).
          routes: [
            { recipientDomain: ["gmail.com", "*.gmail.com"], upstreams: ["main"], fallback: ["own"] },
            // { client: ["10.0.3.0/24"], header: { "X-Campaign": "news*" }, upstreams: ["main"], retry: ["1h"], lifetime: "1d" },
            // { priority: "high", upstreams: ["main"], fallback: [["own"], ["last"]] },    // tiers, tried in order
            { upstreams: ["main", "own"] },
          ],

          // How boldly mail follows what is learnt of each upstream at each mailbox provider.
          routing: {
            halfLife: "1h",                     // after it a result counts half
            exponent: 2,                        // the weight is multiplied with trust to this power; 0 ignores it
            exploration: 0.01,                  // the part that goes by weight alone, so that recovery is noticed
            costPreference: 1,                  // 1: half the price, twice the weight; 0 ignores prices
          },

          delivery: {
            retry: ["1m", "5m", "15m", "30m", "1h", "2h", "4h"],      // the last one repeats
            lifetime: "3d",                     // after it a message bounces
            nullSenderLifetime: "1d",
            delayWarning: "off",                // or a duration: the sender is told once that mail is late
            uncertain: "resend",                // or "hold": what may have been delivered waits for a person
            bounces: { send: true, from: "postmaster@relay.example.net", upstreams: ["own"] },
            drainTimeout: "25s",                // a stopping node waits so long for what is under way
            // replyRules: "replies.tsv",       // what replies mean, before Baton's own rules: baton classify --help
            softBounce: false,                  // true: what is refused for good is tried again (for a migration)
          },

          // Addresses that get no mail: baton suppressions.
          suppressions: {
            check: "rcpt",                      // the client is told; "routing": it bounces later; "off"
            hardBounces: true,                  // a bad recipient's bounce puts it on the list
            expiry: "90d",
          },

          // Where upstreams and mailbox providers tell what became of mail after its 250.
          // feedback: {
          //   listen: "0.0.0.0:7443",          // only POST /feedback/UPSTREAM
          //   certificateFile: "b.pem", privateKeyFile: "b.key",       // without them it speaks plain HTTP
          //   domain: "b.example.net",         // its MX are these nodes; takes only reports, at senders that Baton made
          //   secretFile: "feedback.secret",   // signs those senders, if not the cluster's secret; the same on every node
          // },

          // Beside the Unix socket DATADIRECTORY/admin.sock, which needs no token.
          // admin: { listen: "127.0.0.1:7480", tokenFile: "admin.token" },

          // Only /healthz, /readyz and /metrics, without a token: for balancers and Prometheus.
          health: { listen: "127.0.0.1:7481" },

          log: { level: "info", format: "text" },             // debug, info, warning, error; text or json
        }

        """
}
