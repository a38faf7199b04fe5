import Admin
import FoundationEssentials

@testable import baton

/// Status answers as a node gives them.
enum Answers {
    static let alone = status(
        nodes: [node("a")], copies: #"{"wanted":1,"fewest":1,"mayFail":0,"nodes":1,"liveNodes":1,"needed":1,"#,
        "healthy: accepting and delivering · every message on 1 disk · 0 nodes may fail", from: "a")

    /// The first example of outputs.md.
    static let healthy = status(
        nodes: [
            node("a", seenBy: ["b", "c"], lag: 0), node("b", seenBy: ["a", "c"], lag: 0),
            node("c", seenBy: ["a", "b"], lag: 4096),
        ], copies: #"{"wanted":3,"fewest":3,"mayFail":1,"nodes":3,"liveNodes":3,"needed":2,"#,
        "healthy: accepting and delivering · every message on 3 disks · 1 node may fail", from: "b")

    /// The second: 8 s after c was killed.
    static let killed = status(
        nodes: [
            node("a", seenBy: ["b"], lag: 0), node("b", seenBy: ["a"], lag: 0),
            """
            {"name":"c","state":"down","alive":false,"version":"0.1.0","journals":0,"copyLagBytes":42991616,"seenBy":[],
            "silentSeconds":8.2,"provedDead":true,"address":"10.0.0.3:7400","zone":"","disk":"01JD","protocols":"1-1",
            "configuration":""}
            """,
        ], copies: #"{"wanted":3,"fewest":2,"mayFail":0,"nodes":3,"liveNodes":2,"needed":2,"#,
        "degraded: accepting and delivering · every message on 2 disks · 0 nodes may fail", verdict: "degraded",
        from: "a", silent: #"["c"]"#,
        takeovers: """
            {"journal":"01JD8Z1KAAAAAAAAAAAAAA8V3K","epoch":13,"from":"c","to":"a","time":"2026-11-24T12:04:23.400Z",
            "messages":1000,"uncertain":1,"firstDeliverySeconds":0.21},
            {"journal":"01JD8Z1KAAAAAAAAAAAAAA8V41","epoch":13,"from":"c","to":"b","time":"2026-11-24T12:04:23.500Z",
            "messages":388,"uncertain":2,"firstDeliverySeconds":0.4},
            {"journal":"01JD8Z1KAAAAAAAAAAAAAA8V00","epoch":2,"from":"b","to":"a","time":"2026-11-24T11:04:23.500Z",
            "messages":5,"uncertain":0}
            """,
        problems: """
            {"name":"node-down","severity":"degraded","nodes":["c"],
            "summary":"c has been silent for 8.2 s (last word 12:04:23Z; its port refuses connections)",
            "effect":"2 copies instead of 3; losing a or b too stops acceptance (451) until one is back",
            "baton":"moved c's leases to a and b; c catches up by itself when it returns",
            "you":"restart it: systemctl start baton (on c)  ·  gone for good: baton node forget c"}
            """)

    static func node(_ name: String, seenBy: [String] = [], lag: Int? = nil) -> String {
        let seen = seenBy.map { "\"\($0)\"" }.joined(separator: ",")
        return """
            {"name":"\(name)","state":"serving","alive":true,"version":"0.1.0","upSeconds":788520,
            "acceptedPerSecond":212.4,"sentPerSecond":209,"journals":3,"syncP99Seconds":0.0021,"diskFreeBytes":71000,
            "diskTotalBytes":100000,"clientConnections":51,"seenBy":[\(seen)],\(lag.map { "\"copyLagBytes\":\($0)," } ?? "")
            "provedDead":false,"address":"10.0.0.1:7400","zone":"eu-1a","disk":"01JD8Z1KAAAAAAAAAAAAAAAAAA",
            "protocols":"1-1","configuration":"","clockOffsetSeconds":0.002}
            """
    }

    private static func status(
        nodes: [String], copies: String, _ summary: String, verdict: String = "healthy", from: String,
        silent: String = "[]", takeovers: String = "", problems: String = ""
    ) -> String {
        """
        {"verdict":"\(verdict)","summary":"\(summary)",
        "warnings":0,"ready":true,"time":"2026-11-24T12:04:31.123Z","from":"\(from)","cluster":"mail",
        "silent":\(silent),"nodes":[\(nodes.joined(separator: ","))],
        "copies":\(copies)"majority":true,"lackingJournals":0},
        "queue":{"messages":1204,"bytes":10276045,"due":61,"sending":118,"retrying":1019,"waitingForUpstream":0,"held":6,
        "uncertain":0,"oldestDueSeconds":0.4,"oldest":{"id":"01JD8Z1KAAAAAAAAAAAAAAAAAA","ageSeconds":11520,"tries":9,
        "to":"ann@example.net","lastReply":"451 4.7.1 greylisted"}},
        "recent5m":{"accepted":190502,"delivered":189871,"deferred":603,"bounced":28,"uncertain":0},
        "takeovers":[\(takeovers)],"drainedNodes":[],"disabledUpstreams":[],
        "upstreams":[{"name":"ses","state":"up","share":0.7,"wantedShare":0.7,"sentPerSecond":444,"connections":40,
        "maximumConnections":40,"transientShare":0.002,"permanentShare":0,"medianSeconds":0.088,"ready":0,"sent":1,
        "deferred":2,"failed":3,"downAt":[],
        "trust":98,"blind":false,"lowestAt":{"provider":"orange.fr","trust":91},
        "limits":[{"name":"recipients/s","limit":500,"used":444}]},
        {"name":"own","state":"up","share":0.3,"wantedShare":0.3,"sentPerSecond":190,
        "connections":22,"maximumConnections":60,"transientShare":0.004,"permanentShare":0.001,"medianSeconds":0.14,
        "ready":0,"sent":1,"deferred":2,"failed":3,"downAt":[],
        "trust":95,"blind":false,"lowestAt":{"provider":"t-online.de","trust":84},"limits":[]}],"journals":[],"problems":[\(problems)]}
        """
    }

    static func decode<Answer: Decodable>(_ text: String) throws -> Answer {
        try JSONDecoder().decode(Answer.self, from: Data(text.utf8))
    }
}
