/// Whoever answers the requests of one listening socket.
package protocol HTTPAnswering: Sendable {
    func answer(_ request: AdminRequest) async -> AdminResponse
}

extension AdminAPI: HTTPAnswering {}

/// What balancers and Prometheus may ask without a token; everything else gets a 404 that tells nothing.
package struct HealthAPI: HTTPAnswering {
    private static let paths: Set<String> = ["/healthz", "/readyz", "/metrics"]

    private let api: AdminAPI

    package init(_ source: any NodeSource) { api = AdminAPI(source, scope: .health) }

    package func answer(_ request: AdminRequest) async -> AdminResponse {
        guard request.method == "GET", HealthAPI.paths.contains(request.path) else {
            return AdminResponse(status: 404, contentType: "text/plain; charset=utf-8", body: [])
        }
        return await api.answer(request)
    }
}
