// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    // Dynamic exclusivity checks were a third of the user instructions of a message (measured 2026-11);
    // debug builds and tests keep them.
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

func part(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

let package = Package(
    name: "baton",
    products: [
        .executable(name: "baton", targets: ["baton"]),
        .executable(name: "simulate", targets: ["simulate"]),
    ],
    targets: [
        // The system's libraries, one each.
        .target(name: "CChecksum", linkerSettings: [.linkedLibrary("m")]),
        .target(name: "CLinux"),
        .systemLibrary(name: "CTLS", pkgConfig: "libssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .target(name: "CMicroHTTPD", linkerSettings: [.linkedLibrary("microhttpd")]),

        // The mind: no socket, file, clock or chance.
        part("Primitives", ["CChecksum"]),
        part("SMTP", ["Primitives"]),
        part("Journal", ["Primitives"]),
        part("Cluster", ["Primitives", "Journal"]),
        .target(
            name: "Routing", dependencies: ["Primitives", "SMTP"],
            resources: [.embedInCode("Replies/reply-rules.tsv"), .embedInCode("Replies/providers.tsv")],
            swiftSettings: strict),
        part("Node", ["Primitives", "SMTP", "Journal", "Cluster", "Routing", "CCrypto"]),
        part("Simulator", ["Primitives", "SMTP", "Journal", "Cluster", "Routing", "Node"]),
        .executableTarget(
            name: "simulate", dependencies: ["Simulator", "Cluster", "Primitives"], swiftSettings: strict),

        // The body.
        part("Feedback", ["Primitives", "SMTP", "CCrypto"]),
        part("EventLoop", ["Primitives", "CLinux", "CTLS", "CCrypto"]),
        part(
            "Relay",
            [
                "Primitives", "SMTP", "Journal", "Cluster", "Routing", "Node", "EventLoop", "Feedback", "CLinux",
                "CCrypto",
            ]),
        part(
            "Admin",
            [
                "Primitives", "SMTP", "Journal", "Cluster", "Routing", "Node", "EventLoop", "Feedback", "Relay",
                "CMicroHTTPD", "CCurl",
            ]),
        .executableTarget(
            name: "baton",
            dependencies: [
                "Primitives", "SMTP", "Journal", "Node", "Routing", "EventLoop", "Relay", "Admin", "CLinux",
            ],
            swiftSettings: strict),

        tests("PrimitivesTests", ["Primitives"]),
        tests("SMTPTests", ["SMTP", "Primitives"]),
        tests("JournalTests", ["Journal", "Primitives"]),
        tests("ClusterTests", ["Cluster", "Journal", "Primitives"]),
        .testTarget(
            name: "RoutingTests", dependencies: ["Routing", "SMTP", "Primitives"],
            resources: [.embedInCode("Replies/replies.tsv"), .embedInCode("Replies/more-replies.tsv")],
            swiftSettings: strict),
        tests("NodeTests", ["Node", "Routing", "Cluster", "Journal", "SMTP", "Primitives"]),
        tests("SimulatorTests", ["Simulator", "Node", "Primitives"]),
        tests("FeedbackTests", ["Feedback", "SMTP", "Primitives"]),
        tests("EventLoopTests", ["EventLoop", "Primitives", "CLinux"]),
        tests("RelayTests", ["Relay", "Cluster", "EventLoop", "Node", "Routing", "Journal", "SMTP", "Primitives"]),
        tests("AdminTests", ["Admin", "Cluster", "Feedback", "Relay", "Node", "EventLoop", "Primitives"]),
        tests("BatonTests", ["baton", "Primitives"]),
    ],
    swiftLanguageModes: [.v6]
)
