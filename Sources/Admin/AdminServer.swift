package import Relay

/// The whole admin API of one node: the Unix socket in its data directory and, where configured, TCP and health.
package struct AdminServer: Sendable {
    package let local: HTTPServer
    package let remote: HTTPServer?
    package let health: HTTPServer?
    private let token: Token

    /// Listens at once. Call it when the data directory is locked.
    package init(_ configuration: Configuration, source: any NodeSource) async throws(AdminError) {
        let peersAPI = AdminAPI(source, scope: .peer)
        await source.answerPeers(with: { await peersAPI.answer(peer: $0) })
        var started: [HTTPServer] = []
        token = Token([])
        do throws(AdminError) {
            let unix = try HTTPListener.unix(configuration.adminSocketPath)
            local = try HTTPServer(unix, AdminAPI(source, scope: .local))
            started.append(local)
            if let listen = configuration.admin.listen {
                token.replace(by: try AdminServer.secret(configuration))
                let tcp = try HTTPListener.tcp(listen, name: "admin.listen")
                let server = try HTTPServer(tcp, AdminAPI(source, scope: .remote(token: token)))
                remote = server
                started.append(server)
            } else {
                remote = nil
            }
            if let listen = configuration.health.listen {
                let tcp = try HTTPListener.tcp(listen, name: "health.listen")
                health = try HTTPServer(tcp, HealthAPI(source))
            } else {
                health = nil
            }
        } catch {
            for server in started { await server.stop() }
            throw error
        }
    }

    /// Reads the token's file again; throws, and keeps the old token, when the new one can't be used.
    package func reload(_ configuration: Configuration) throws(AdminError) {
        guard remote != nil else { return }
        token.replace(by: try AdminServer.secret(configuration))
    }

    private static func secret(_ configuration: Configuration) throws(AdminError) -> [UInt8] {
        do throws(SecretFile.Refusal) {
            return try SecretFile.read(configuration.admin.tokenFile ?? "")
        } catch {
            throw AdminError(text: "admin.tokenFile: \(error.text)")
        }
    }

    /// Answers what is under way, then closes all sockets.
    package func stop() async {
        await local.stop()
        await remote?.stop()
        await health?.stop()
    }
}
