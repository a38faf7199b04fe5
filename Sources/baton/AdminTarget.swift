internal import Relay

extension AdminClient {
    /// Whom to ask: `--node`, `--socket`, `--data`, `--config`, in this order; otherwise the default data directory.
    init(_ arguments: Arguments) throws {
        if let url = arguments.text("node") {
            target = try AdminClient.remote(url, tokenFile: arguments.text("token-file"))
        } else if let path = arguments.text("socket") {
            target = .unix(path)
        } else if let directory = arguments.text("data") {
            target = .unix(directory + "/admin.sock")
        } else if let path = arguments.text("config") {
            let reading = Configuration.load(path: path)
            guard let configuration = reading.configuration else {
                throw UsageError("\(path) has errors; see: baton config check \(path)")
            }
            target = .unix(configuration.adminSocketPath)
        } else {
            target = .unix("/var/lib/baton/admin.sock")
        }
    }

    private static func remote(_ url: String, tokenFile: String?) throws -> Target {
        var rest = Substring(url)
        if rest.hasPrefix("http://") { rest = rest.dropFirst(7) }
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        guard let address = HostPort(text: String(rest)), address.port > 0 else {
            throw UsageError("--node: expected a URL such as http://10.0.0.1:7480, got \(url)")
        }
        guard let tokenFile else { throw UsageError("--node needs --token-file FILE") }
        do throws(SecretFile.Refusal) {
            let token = String(decoding: try SecretFile.read(tokenFile), as: UTF8.self)
            return .tcp(host: address.host, port: String(address.port), token: token)
        } catch {
            throw UsageError("--token-file: \(error.text)")
        }
    }
}
