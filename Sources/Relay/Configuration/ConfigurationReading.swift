import Primitives

extension Configuration {
    /// What came of a file: a configuration if there were no errors, and everything there is to say about it.
    package struct Reading: Sendable {
        package var configuration: Configuration?
        package var errors: [ConfigurationProblem]
        package var warnings: [ConfigurationProblem]
    }

    /// The text of a file; paths inside it are relative to `directory`. Opens no other file: `load` does.
    package static func read(_ text: [UInt8], directory: String = "") -> Reading {
        let (configuration, report) = parse(text, directory: directory)
        return Reading(
            configuration: report.errors.isEmpty ? configuration : nil, errors: report.errors, warnings: report.warnings
        )
    }

    static func parse(_ text: [UInt8], directory: String) -> (Configuration, ConfigurationReport) {
        let report = ConfigurationReport()
        var configuration = Configuration()
        let root: JSON5
        do throws(JSON5Error) {
            root = try JSON5Reader.read(text)
        } catch {
            report.error("", error.place, error.text)
            return (configuration, report)
        }
        let keys = [
            "node", "cluster", "smtp", "upstreams", "routes", "routing", "delivery", "suppressions", "admin", "health",
            "log", "feedback",
        ]
        if let file = ConfigurationSection(root, at: "", keys: keys, report) {
            configuration.read(file, directory: directory)
        }
        return (configuration, report)
    }

    private mutating func read(_ file: ConfigurationSection, directory: String) {
        readNode(file, directory)
        readCluster(file, directory)
        readSMTP(file, directory)
        readUpstreams(file, directory)
        readRoutes(file)
        readRouting(file)
        readDelivery(file, directory)
        readSuppressions(file)
        readFeedback(file, directory)
        readAdmin(file, directory)
        if let health = file.section("health", keys: ["listen"]) { self.health.listen = health.hostPort("listen") }
        if let log = file.section("log", keys: ["level", "format"]) {
            self.log.level = log.choice("level", of: Log.Level.allCases) ?? self.log.level
            self.log.format = log.choice("format", of: [.text, .json]) ?? self.log.format
        }
    }

    private mutating func readNode(_ file: ConfigurationSection, _ directory: String) {
        guard let section = file.section("node", keys: ["name", "dataDirectory", "zone", "minimumFree"]) else {
            if file.value("node") == nil { file.error("node", "missing: expected node: { name: \"a\" }") }
            return
        }
        if let name = section.string("name") {
            let allowed = name.utf8.allSatisfy {
                (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
            }
            if name.utf8.count <= 32, allowed {
                node.name = name
            } else {
                section.error("name", "expected up to 32 of a-z, 0-9 and -, got \"\(name)\"")
            }
        } else if section.value("name") == nil {
            section.error("name", "missing: expected a short name of this node, such as \"a\"")
        }
        if let given = section.string("dataDirectory") { node.dataDirectory = resolve(given, directory) }
        node.zone = section.string("zone")
        node.minimumFree = section.size("minimumFree", in: 0...ByteCount.gibibytes(1 << 20))
    }

    private mutating func readAdmin(_ file: ConfigurationSection, _ directory: String) {
        guard let section = file.section("admin", keys: ["listen", "tokenFile"]) else { return }
        admin.listen = section.hostPort("listen")
        admin.tokenFile = section.string("tokenFile").map { resolve($0, directory) }
        guard let listen = admin.listen else { return }
        if section.value("tokenFile") == nil {
            section.error(
                "tokenFile", "missing: admin.listen needs a token; try: (umask 077; openssl rand -hex 32 > FILE)")
        }
        if !listen.isLoopback {
            section.warning(
                "listen", "\(listen) is not a loopback address, and the token travels unencrypted: put TLS before it")
        }
    }
}

/// A path inside a file is relative to the file, wherever the process was started.
func resolve(_ path: String, _ directory: String) -> String {
    path.hasPrefix("/") || directory.isEmpty ? path : directory + "/" + path
}
