package import EventLoop

/// What the nodes of one cluster know and nobody else does, ready for use (`cluster.secretFiles`).
///
/// The first is offered to others, all are taken from others. So a secret is changed without a cut: add the new one behind
/// the old everywhere, put it first everywhere, take the old one away everywhere.
package struct ClusterSecrets: Sendable {
    let tls: PresharedTLSContext

    /// `secrets` are the files' bytes, without the newline at their ends. The cluster's name goes into the keys: clusters
    /// that share a secret by mistake stay apart.
    package init(_ secrets: [[UInt8]], cluster: String) throws(TLSConfigurationError) {
        var keys: [PresharedKey] = []
        for secret in secrets {
            keys.append(try PresharedKey(secret: secret, context: "baton cluster \(cluster)"))
        }
        tls = try PresharedTLSContext(keys)
    }

    /// Short names that tell secrets apart and reveal nothing of them, in the order of the files: for `status` and logs.
    package var names: [String] { tls.names }
}
